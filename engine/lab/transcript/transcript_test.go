package transcript

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text string
		want Transcript
	}{
		"marked": {
			"# 2026-01-01 | node pve1 | stdin: 'a\\nb'\n$ cat -\n[stdout]\na\nb\n[no newline at end]\n[stderr]\noops\nexit=3\n",
			Transcript{Node: "pve1", Stdin: "a\nb", Command: "cat -", Stdout: "a\nb", Stderr: "oops\n", Exit: "3", Code: 3},
		},
		"counted": {
			"$ printf x\n--- stdout (1 bytes)\nx\n--- stderr (0 bytes)\nexit=0\n",
			Transcript{Command: "printf x", Stdout: "x", Exit: "0"},
		},
		"a stream that looks like a mark": {
			"$ x\n--- stdout (24 bytes)\n--- stderr (9 bytes)\nab\n--- stderr (0 bytes, none)\nexit=TIMEOUT\n",
			Transcript{Command: "x", Stdout: "--- stderr (9 bytes)\nab\n", Exit: "TIMEOUT"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, text := range []string{"", "$ x\n", "$ x\n[stdout]\n", "$ x\n--- stdout (9 bytes)\nx\n", "$ x\n--- stdout (0 bytes)\n--- stderr (0 bytes)\n"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
