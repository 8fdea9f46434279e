package pve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"hlplay/engine/remote"
)

// cephQuery asks the monitors for all that the kinds of this package need to know, in one start of the
// program: it is Python, and a start costs 0.2 to 0.6 s. Kinds that travel together ask the same query, which
// is sent once, and each reads its part.
//
//   - report has the monitors and their quorum, the OSD map with the pools, what the OSDs tell of their hosts, the
//     CRUSH map, the file systems with their metadata servers, and the states of the placement groups;
//     monitors answer it, so that it needs no manager;
//   - mgr metadata has the managers by name, active and standing by, which are in no report.
//
// Without a command ceph reads commands from its standard input and prints the answers one after the other;
// it then ends with 0 whatever they were, so that only an answer that is there counts. Recorded with Ceph 16;
// the sections and keys that are read are older than that, and 17 to 20 are expected to have them.
//
// Nothing is asked as long as ceph.conf names no monitor: the command would wait for one, for minutes. The cluster's
// own file is named, so that nodes whose /etc/ceph/ceph.conf is not linked yet can ask, too. --connect-timeout
// bounds the connection only, hence timeout(1).
var cephQuery = remote.Query{Script: `timeout 10 grep -Eq '^[[:space:]]*mon[_ ]host[[:space:]]*=[[:space:]]*[^[:space:]]' /etc/pve/ceph.conf 2>/dev/null
case $? in 0) ;; 124|137) exit 124 ;; *) exit 0 ;; esac
echo asked
printf 'report\nmgr metadata\n' | timeout 30 ceph -c /etc/pve/ceph.conf --connect-timeout 10 -f json`}

// askCeph is the Ask of the kinds that read what the monitors know.
func askCeph([]string) []remote.Query { return []remote.Query{cephQuery} }

// cephState is the answer to cephQuery. Where there is no cluster to ask, asked is false and all is empty.
type cephState struct {
	asked bool
	// report and managers are JSON. Only managers can be missing: then noManagers says why.
	report, managers []byte
	noManagers       error
}

// parseCephState checks the answer to cephQuery.
func parseCephState(a remote.Answer) (cephState, error) {
	body, asked := bytes.CutPrefix(a.Stdout, []byte("asked\n"))
	switch {
	case timedOut(a) && !asked:
		return cephState{}, fmt.Errorf("%s: %w", cephConfFile, errNotMounted)
	case timedOut(a):
		return cephState{}, fmt.Errorf("ceph report: no answer within 30 s: is a majority of the monitors up?")
	case a.Exit != 0:
		text := lastLine(a.Stderr)
		if strings.Contains(text, "timed out") {
			text = "no monitor answered within 10 s: is a majority of them up?"
		}
		return cephState{}, fmt.Errorf("ceph report: exit code %d: %s", a.Exit, text)
	case !asked:
		return cephState{}, nil
	}
	var answers []json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(clean(body)))
	for {
		var answer json.RawMessage
		err := decoder.Decode(&answer)
		if err == io.EOF {
			break
		}
		if err != nil {
			return cephState{}, fmt.Errorf("ceph report: %w", err)
		}
		answers = append(answers, answer)
	}
	s := cephState{asked: true}
	for _, answer := range answers { // one is an object, the other a list
		switch answer[0] {
		case '{':
			s.report = answer
		case '[':
			s.managers = answer
		}
	}
	if s.report == nil {
		return cephState{}, fmt.Errorf("ceph report: no answer: %s", lastLine(a.Stderr))
	}
	if s.managers == nil {
		s.noManagers = fmt.Errorf("ceph mgr metadata: no answer: %s", lastLine(a.Stderr))
	}
	return s, nil
}

// notJSON matches tokens that ceph prints for undefined numbers although JSON has none.
var notJSON = regexp.MustCompile(`:\s*-?(nan|inf)\b`)

// clean makes ceph's output valid JSON.
func clean(body []byte) []byte {
	return notJSON.ReplaceAll(bytes.TrimSpace(body), []byte(":null"))
}

// readReport reads a part of the report into a struct.
func readReport(s cephState, into any) error {
	if err := json.Unmarshal(s.report, into); err != nil {
		return fmt.Errorf("ceph report: %w", err)
	}
	return nil
}

// parseEach makes the Parse of a kind of which one answer holds all names; a name that it does not
// hold has the zero value, as all have where there is no cluster.
func parseEach[T any](parse func(cephState) (map[string]T, error)) func([]string, []remote.Answer, func(string, T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, T, error)) {
		var all map[string]T
		s, err := parseCephState(answers[0])
		if err == nil && s.asked {
			all, err = parse(s)
		}
		for _, name := range names {
			tell(name, all[name], err)
		}
	}
}

// parseWhole makes the Parse of a kind whose only name is "" and whose value is the whole map; it is
// empty where there is no cluster.
func parseWhole[T any](parse func(cephState) (map[string]T, error)) func([]string, []remote.Answer, func(string, map[string]T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, map[string]T, error)) {
		all := map[string]T{}
		s, err := parseCephState(answers[0])
		if err == nil && s.asked {
			all, err = parse(s)
		}
		for _, name := range names {
			tell(name, all, err)
		}
	}
}
