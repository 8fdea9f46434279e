package proxmox

import (
	"fmt"
	"strings"
	"testing"
)

// transcript is a recording of a real program.
type transcript struct {
	name          string // the path below testdata, without .txt
	node, command string
	stdin         string
	result
}

// readTranscript reads a recording: comments, the command behind "$ ", its two streams, and "exit=CODE". There are two forms.
// In one the streams follow the lines [stdout] and [stderr], and the first comment names the node and the standard input.
// In the other each stream follows a line "--- NAME (N bytes…)" and is exactly N bytes long.
func readTranscript(t *testing.T, file string) transcript {
	t.Helper()
	data, err := testdata.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := transcript{name: strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt")}
	rest := string(data)
	for strings.HasPrefix(rest, "#") {
		var comment string
		comment, rest, _ = strings.Cut(rest, "\n")
		for field := range strings.SplitSeq(comment, " | ") {
			if node, ok := strings.CutPrefix(field, "node "); ok {
				tr.node = node
			}
			if _, quoted, ok := strings.Cut(field, "stdin: '"); ok {
				tr.stdin = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), `\n`, "\n")
			}
		}
	}
	command, rest, _ := strings.Cut(rest, "\n")
	tr.command = strings.TrimPrefix(command, "$ ")
	if marked, ok := strings.CutPrefix(rest, "[stdout]\n"); ok {
		body, exit := cutLast(marked, "exit=")
		stdout, stderr := cutLast(body, "[stderr]\n")
		tr.stdout, tr.stderr, rest = strings.Replace(stdout, "\n[no newline at end]\n", "", 1), stderr, exit
	} else {
		for _, stream := range []struct {
			name string
			text *string
		}{{"stdout", &tr.stdout}, {"stderr", &tr.stderr}} {
			head, after, _ := strings.Cut(rest, "\n")
			var n int
			if _, err := fmt.Sscanf(head, "--- "+stream.name+" (%d bytes", &n); err != nil || n > len(after) {
				t.Fatalf("%s: %q does not begin the %s", file, head, stream.name)
			}
			*stream.text, rest = after[:n], after[n:]
			if !strings.HasSuffix(*stream.text, "\n") {
				rest = strings.TrimPrefix(rest, "\n")
			}
		}
		rest = strings.TrimPrefix(rest, "exit=")
	}
	exit, _, _ := strings.Cut(rest, "\n")
	tr.exit = strings.TrimSpace(exit)
	fmt.Sscan(tr.exit, &tr.code) // "TIMEOUT" has no code
	return tr
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}
