// Package transcript reads recordings of real programs.
package transcript

import (
	"fmt"
	"strings"
)

// Transcript is the recording of one command.
type Transcript struct {
	// Node is the host that the command ran on, and Stdin its input, if the recording says so.
	Node, Stdin string
	// Command is its command line.
	Command        string
	Stdout, Stderr string
	// Exit is its exit code, or TIMEOUT. Code is the exit code as a number, or 0 after a timeout.
	Exit string
	Code int
}

// Parse parses a recording: comments, the command after "$ ", its two streams, and "exit=CODE". There are two formats.
// In one, the streams follow the lines [stdout] and [stderr], and the first comment names the node and the standard
// input. In the other, each stream follows a line "--- NAME (N bytes…)" and is exactly N bytes long.
func Parse(text string) (Transcript, error) {
	var t Transcript
	rest := text
	for strings.HasPrefix(rest, "#") {
		var comment string
		comment, rest, _ = strings.Cut(rest, "\n")
		for field := range strings.SplitSeq(comment, " | ") {
			if node, ok := strings.CutPrefix(field, "node "); ok {
				t.Node = node
			}
			if _, quoted, ok := strings.Cut(field, "stdin: '"); ok {
				t.Stdin = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), `\n`, "\n")
			}
		}
	}
	command, rest, _ := strings.Cut(rest, "\n")
	t.Command = strings.TrimPrefix(command, "$ ")
	if marked, ok := strings.CutPrefix(rest, "[stdout]\n"); ok {
		var body string
		body, rest = cutLast(marked, "exit=")
		stdout, stderr := cutLast(body, "[stderr]\n")
		t.Stdout, t.Stderr = strings.Replace(stdout, "\n[no newline at end]\n", "", 1), stderr
	} else {
		var err error
		if t.Stdout, rest, err = counted(rest, "stdout"); err != nil {
			return Transcript{}, err
		}
		if t.Stderr, rest, err = counted(rest, "stderr"); err != nil {
			return Transcript{}, err
		}
		rest = strings.TrimPrefix(rest, "exit=")
	}
	exit, _, _ := strings.Cut(rest, "\n")
	t.Exit = strings.TrimSpace(exit)
	if t.Exit == "" {
		return Transcript{}, fmt.Errorf("the recording of %q does not say how the command ended", t.Command)
	}
	fmt.Sscan(t.Exit, &t.Code) // "TIMEOUT" has no code
	return t, nil
}

// counted reads the stream with the given name, whose first line states its length.
func counted(text, name string) (stream, rest string, err error) {
	head, after, _ := strings.Cut(text, "\n")
	var n int
	if _, err := fmt.Sscanf(head, "--- "+name+" (%d bytes", &n); err != nil || n > len(after) {
		return "", "", fmt.Errorf("%q does not begin the %s", head, name)
	}
	stream, rest = after[:n], after[n:]
	if !strings.HasSuffix(stream, "\n") {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return stream, rest, nil
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}
