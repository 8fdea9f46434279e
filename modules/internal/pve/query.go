package pve

import (
	"errors"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// readFile asks for the content of a file that may be on, or a link into, /etc/pve: a FUSE mount that can hang while
// its daemon restarts, so even cat is bounded. A link that is dangling while the daemon is away is distinguished from
// a missing file.
func readFile(path string) remote.Query {
	return remote.Query{Script: `timeout 10 cat -- "$1" || { _r=$?
if [ -L "$1" ] && [ -e ` + PmxcfsProgram + ` ] && ! timeout 10 test -L ` + LocalLink + `; then echo '` + ErrNotMounted.Error() + `' >&2; fi
(exit "$_r"); }`, Args: []string{path}, Inline: true}
}

// ErrNotMounted means that no daemon is serving /etc/pve at the moment.
var ErrNotMounted = errors.New("the cluster file system does not answer: find out why (systemctl status pve-cluster.service), start it (systemctl start pve-cluster.service), and run again")

// fileContent parses the answer to readFile. A missing file is not an error.
func fileContent(path string, a remote.Answer) (content []byte, exists bool, err error) {
	switch {
	case a.Exit == 0:
		return a.Stdout, true, nil
	case a.TimedOut():
		return nil, false, fmt.Errorf("%s: %w", path, ErrNotMounted)
	}
	return nil, false, complaint(path, string(a.Stderr), a.Exit)
}

// complaint interprets a program's message about a file; it returns nil if the file does not exist.
func complaint(path, message string, exit int) error {
	switch {
	case strings.Contains(message, ErrNotMounted.Error()), strings.Contains(message, "Transport endpoint is not connected"):
		return fmt.Errorf("%s: %w", path, ErrNotMounted)
	case strings.Contains(message, "No such file or directory"), strings.Contains(message, "Not a directory"):
		return nil
	}
	return fmt.Errorf("cannot read %s: %s: %s", path, remote.Ending(exit), observe.LastLine([]byte(message)))
}
