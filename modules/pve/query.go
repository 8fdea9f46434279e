package pve

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"hlplay/engine/remote"
)

// readFile asks for the content of one file. /etc/pve is a FUSE mount that can hang while its
// daemon restarts, so even a cat is bounded.
func readFile(path string) remote.Query {
	return remote.Query{Script: `timeout 10 cat -- "$1"`, Args: []string{path}}
}

// errNotMounted says that /etc/pve has no daemon behind it at this moment.
var errNotMounted = errors.New("the cluster file system does not answer (is pve-cluster.service running?)")

// fileContent reads the answer to readFile. A missing file is no error.
func fileContent(path string, a remote.Answer) (content []byte, exists bool, err error) {
	text := string(a.Stderr)
	switch {
	case a.Exit == 0:
		return a.Stdout, true, nil
	case strings.Contains(text, "No such file or directory"), strings.Contains(text, "Not a directory"):
		return nil, false, nil
	case strings.Contains(text, "Transport endpoint is not connected"), timedOut(a):
		return nil, false, fmt.Errorf("%s: %w", path, errNotMounted)
	}
	return nil, false, fmt.Errorf("cannot read %s: exit code %d: %s", path, a.Exit, lastLine(a.Stderr))
}

// timedOut reports whether timeout(1) ended the command.
func timedOut(a remote.Answer) bool { return a.Exit == 124 || a.Exit == 137 }

// lastLine is the last line of output that says something.
func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return "no message"
}

// ceph asks the monitors one question. Nothing is asked, and the answer is empty, as long as
// ceph.conf names no monitor: the command would wait for one, for minutes. The cluster's own file is named, so
// that nodes whose /etc/ceph/ceph.conf is not linked yet can ask, too. --connect-timeout does not help when a quorum but no
// manager exists, hence timeout(1) around it.
func ceph(args ...string) remote.Query {
	return remote.Query{
		Script: `grep -Eq '^[[:space:]]*mon[_ ]host[[:space:]]*=[[:space:]]*[^[:space:]]' /etc/pve/ceph.conf 2>/dev/null || exit 0
timeout 30 ceph -c /etc/pve/ceph.conf --connect-timeout 10 "$@" -f json`,
		Args: args,
	}
}

// cephAnswer checks the answer to ceph; asked is false where there is no cluster to ask.
func cephAnswer(a remote.Answer, what string) (body []byte, asked bool, err error) {
	if timedOut(a) {
		return nil, false, fmt.Errorf("ceph %s: no answer within 30 s: is a majority of the monitors up, and a manager?", what)
	}
	if a.Exit != 0 {
		text := lastLine(a.Stderr)
		if strings.Contains(text, "timed out") {
			text = "no monitor answered within 10 s: is a majority of them up?"
		}
		return nil, false, fmt.Errorf("ceph %s: exit code %d: %s", what, a.Exit, text)
	}
	body = bytes.TrimSpace(a.Stdout)
	return body, len(body) > 0, nil
}

// notJSON matches tokens that ceph prints for undefined numbers although JSON has none.
var notJSON = regexp.MustCompile(`:\s*-?(nan|inf)\b`)

// clean makes ceph's output valid JSON.
func clean(body []byte) []byte {
	return notJSON.ReplaceAll(bytes.TrimSpace(body), []byte(":null"))
}
