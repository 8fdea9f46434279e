package ceph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// monitorsQuery asks the monitors everything that the kinds of this package need, by starting the program only once:
// it is written in Python, and a start takes 0.2 to 0.6 s. Kinds that are fetched together ask the same query, which
// is sent once, and each of them takes its part of the answer.
//
//   - report contains the monitors and their quorum, the OSD map with the pools, what the OSDs report about their hosts, the
//     CRUSH map, the file systems with their metadata servers, and the states of the placement groups. Monitors answer it,
//     so no manager is needed.
//   - mgr metadata contains the managers by name, active and standby, which no report contains.
//
// Without a command, ceph reads commands from its standard input and prints one answer after the other. It then always
// exits with status 0, so only an answer that is present counts. This was recorded with Ceph 16; the sections and keys
// used here are older than that, and 17 to 20 are expected to have them.
//
// Nothing is asked as long as ceph.conf does not name a monitor: the command would wait for one for minutes. The
// cluster's own file is passed, so that nodes whose /etc/ceph/ceph.conf is not linked yet can ask too.
// --connect-timeout only bounds the connection, hence timeout(1).
//
// That there is no cluster to ask is a finding of its own, "none", and never inferred from a failure to read: it
// requires a ceph.conf that does not name a monitor, a host without pmxcfs, or a listing of /etc/pve (a single look
// rather than two) that contains pmxcfs's own link and no ceph.conf. Otherwise, while pmxcfs is away, an OSD's disk
// would be mistaken for a foreign one.
//
// A report contains its time and counters that never stand still. A change shows in the epochs of the maps, the quorum, the
// states of daemons and placement groups, the failing health checks and the names of the managers.
var monitorsQuery = remote.Query{Script: `_m=$(timeout 10 grep -Em1 '^[[:space:]]*mon[-_ ](host|addr)[[:space:]]*=[[:space:]]*[^[:space:]]' ` + pve.CephConfFile + `)
case $? in
0) ;;
1) echo none; exit ;;
*)
	[ -e ` + pve.PmxcfsProgram + ` ] || { echo none; exit; }
	echo listing
	timeout 10 ls -A /etc/pve
	exit ;;
esac
read -r _n </proc/sys/kernel/hostname
echo "asked ${_n%%.*} $_m"
printf 'report\nmgr metadata\n' | timeout 30 ceph -c ` + pve.CephConfFile + ` --connect-timeout 10 -f json`,
	Shows: `^(asked|none|listing|local|ceph\.conf).*|"(epoch|num)":[0-9]+|"(status|state|name)":"[^"]*"|"quorum":\[[0-9,]*]|"[A-Z_]+":$`,
}

// askMonitors is the Ask of the kinds that read what the monitors know.
func askMonitors([]string) []remote.Query { return []remote.Query{monitorsQuery} }

// monitorsAnswer is the answer to monitorsQuery. If there is no cluster to ask, asked is false and everything else is
// empty.
type monitorsAnswer struct {
	asked bool
	// report and managers are JSON. Only managers may be missing; noManagers then says why.
	report, managers []byte
	noManagers       error
}

// parseMonitorsAnswer checks the answer to monitorsQuery.
func parseMonitorsAnswer(a remote.Answer) (monitorsAnswer, error) {
	first, body, _ := bytes.Cut(a.Stdout, []byte("\n"))
	words := strings.SplitN(string(first), " ", 3)
	switch {
	case words[0] == "none" && a.Exit == 0:
		return monitorsAnswer{}, nil
	case words[0] == "listing":
		return monitorsAnswer{}, noConf(a, string(body))
	case words[0] != "asked" || len(words) != 3:
		return monitorsAnswer{}, fmt.Errorf("could not find out whether there is a Ceph cluster: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	_, monitors, _ := strings.Cut(words[2], "=")
	asked := fmt.Sprintf("ceph report: %s asked the monitors at %s", words[1], strings.TrimSpace(monitors))
	switch {
	case a.TimedOut():
		return monitorsAnswer{}, fmt.Errorf("%s: no answer within 30 s: is a majority of the monitors up?", asked)
	case a.Exit != 0:
		text := observe.LastLine(a.Stderr)
		if strings.Contains(text, "timed out") {
			text = "no monitor answered within 10 s: is a majority of them up?"
		}
		return monitorsAnswer{}, fmt.Errorf("%s: %s: %s", asked, remote.Ending(a.Exit), text)
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
			return monitorsAnswer{}, fmt.Errorf("%s: %w", asked, err)
		}
		answers = append(answers, answer)
	}
	s := monitorsAnswer{asked: true}
	for _, answer := range answers { // one is an object, the other a list
		switch answer[0] {
		case '{':
			s.report = answer
		case '[':
			s.managers = answer
		}
	}
	if s.report == nil {
		return monitorsAnswer{}, fmt.Errorf("%s: no answer: %s", asked, observe.LastLine(a.Stderr))
	}
	if s.managers == nil {
		s.noManagers = fmt.Errorf("ceph mgr metadata: no answer: %s", observe.LastLine(a.Stderr))
	}
	return s, nil
}

// noConf interprets a listing of /etc/pve that was made because ceph.conf could not be read. It returns nil if
// ceph.conf does not exist and pmxcfs is mounted.
func noConf(a remote.Answer, listing string) error {
	names := strings.Split(listing, "\n")
	switch {
	case a.Exit != 0 || !slices.Contains(names, path.Base(pve.LocalLink)):
		return fmt.Errorf("%s: %w", pve.CephConfFile, pve.ErrNotMounted)
	case slices.Contains(names, path.Base(pve.CephConfFile)):
		return fmt.Errorf("cannot read %s: %s", pve.CephConfFile, observe.LastLine(a.Stderr))
	}
	return nil
}

// notJSON matches tokens that ceph prints for undefined numbers although they are not valid JSON.
var notJSON = regexp.MustCompile(`:\s*-?(nan|inf)\b`)

// clean makes ceph's output valid JSON.
func clean(body []byte) []byte {
	return notJSON.ReplaceAll(bytes.TrimSpace(body), []byte(":null"))
}

// readReport decodes a part of the report into a struct.
func readReport(s monitorsAnswer, into any) error {
	if err := json.Unmarshal(s.report, into); err != nil {
		return fmt.Errorf("ceph report: %w", err)
	}
	return nil
}

// parseEach returns the Parse of a kind whose names are all contained in one answer. A name that is missing has the
// zero value, as have all names if there is no cluster.
func parseEach[T any](parse func(monitorsAnswer) (map[string]T, error)) func([]string, []remote.Answer, func(string, T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, T, error)) {
		var all map[string]T
		s, err := parseMonitorsAnswer(answers[0])
		if err == nil && s.asked {
			all, err = parse(s)
		}
		for _, name := range names {
			tell(name, all[name], err)
		}
	}
}

// parseWhole returns the Parse of a kind that has only the empty name and whose value is the whole map, which is empty
// if there is no cluster.
func parseWhole[T any](parse func(monitorsAnswer) (map[string]T, error)) func([]string, []remote.Answer, func(string, map[string]T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, map[string]T, error)) {
		all := map[string]T{}
		s, err := parseMonitorsAnswer(answers[0])
		if err == nil && s.asked {
			all, err = parse(s)
		}
		for _, name := range names {
			tell(name, all, err)
		}
	}
}

// parseOnly returns the Parse of a kind that has only the empty name. The value is the zero value if there is no
// cluster.
func parseOnly[T any](parse func(monitorsAnswer) (T, error)) func([]string, []remote.Answer, func(string, T, error)) {
	return func(names []string, answers []remote.Answer, tell func(string, T, error)) {
		var value T
		s, err := parseMonitorsAnswer(answers[0])
		if err == nil && s.asked {
			value, err = parse(s)
		}
		for _, name := range names {
			tell(name, value, err)
		}
	}
}
