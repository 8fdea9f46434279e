package pve

import (
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// readFile asks for the content of one file that may lie on, or be a link into, /etc/pve: a FUSE mount that
// can hang while its daemon restarts, so even a cat is bounded.
func readFile(path string) remote.Query {
	return remote.Query{Script: `timeout 10 cat -- "$1"`, Args: []string{path}, Inline: true}
}

// errNotMounted says that /etc/pve has no daemon behind it at this moment.
var errNotMounted = errors.New("the cluster file system does not answer (is pve-cluster.service running?)")

// fileContent reads the answer to readFile. A missing file is no error.
func fileContent(path string, a remote.Answer) (content []byte, exists bool, err error) {
	switch {
	case a.Exit == 0:
		return a.Stdout, true, nil
	case timedOut(a):
		return nil, false, fmt.Errorf("%s: %w", path, errNotMounted)
	}
	return nil, false, complaint(path, string(a.Stderr), a.Exit)
}

// complaint is what a program's message about a file means; nil if the file is not there.
func complaint(path, message string, exit int) error {
	switch {
	case strings.Contains(message, "No such file or directory"), strings.Contains(message, "Not a directory"):
		return nil
	case strings.Contains(message, "Transport endpoint is not connected"):
		return fmt.Errorf("%s: %w", path, errNotMounted)
	}
	return fmt.Errorf("cannot read %s: exit code %d: %s", path, exit, lastLine([]byte(message)))
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
