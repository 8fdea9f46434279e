package run

import (
	"bytes"
	"fmt"
	"strings"

	"hlplay/engine/remote"
)

// commandError reports that a command ended in a way that the module does not accept.
type commandError struct {
	summary string
	argv    []string
	result  remote.Result
}

func (e *commandError) Error() string {
	what := remote.Ending(e.result.Exit)
	if e.result.Limit > 0 {
		what = "stopped at its time limit of " + e.result.Limit.String()
	}
	argv := e.argv
	if len(argv) == 3 && argv[1] == "-c" { // shell text
		argv = argv[2:]
	}
	if command := strings.Join(argv, " "); !strings.Contains(e.summary, command) {
		return fmt.Sprintf("%s: %s: %s", e.summary, strings.Join(e.argv, " "), what)
	}
	return fmt.Sprintf("%s: %s", e.summary, what)
}

// Hint says what may have killed the command.
func (e *commandError) Hint() string {
	if e.result.Exit != 137 {
		return ""
	}
	return "unless somebody killed it, the kernel ran out of memory: see journalctl -k"
}

// output returns the end of the command's output.
func (e *commandError) output() string { return printed(e.result, 10, 10) }

// longestShown is how many lines are shown of each stream of a command that is run for its output.
const longestShown = 40

// printed returns the last lines that a command printed, with standard error last.
func printed(r remote.Result, stdout, stderr int) string {
	return strings.TrimSpace(tail(r.Stdout, stdout) + "\n" + tail(r.Stderr, stderr))
}

// mostShown is how many bytes of each stream are shown. report.shortened shortens long lines.
const mostShown = 64 << 10

// tail returns the last lines of an output, using only as much memory as they need.
func tail(b []byte, lines int) string {
	b = bytes.TrimRight(b, "\n")
	from := len(b)
	for n := 0; n < lines && from >= 0 && len(b)-from <= mostShown; n++ {
		from = bytes.LastIndexByte(b[:max(from, 0)], '\n')
	}
	switch {
	case len(b)-max(from, 0) > mostShown:
		return fmt.Sprintf("(%d bytes before)\n%s", len(b)-mostShown, b[len(b)-mostShown:])
	case from < 0:
		return string(b)
	}
	return "…\n" + string(b[from+1:])
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	if len(line) == 0 {
		return "failed without a message"
	}
	return string(line)
}
