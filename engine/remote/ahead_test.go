package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is sent ahead is carried out in order, each with what is asked behind it, until a condition is not met or a command
// fails. Nothing is begun after that.
func TestAhead(t *testing.T) {
	for name, test := range map[string]struct {
		fails int // the command that fails, none if it is 9
		unmet int // whose second condition is not met
		begun []bool
		files string
	}{
		"all":                        {9, 9, []bool{true, true, true}, "0123"},
		"a condition is not met":     {9, 1, []bool{true, false, false}, "01"},
		"a command fails":            {2, 9, []bool{true, true, false}, "01"},
		"the first command fails":    {0, 9, []bool{false, false, false}, ""},
		"the first one's is not met": {9, 0, []bool{false, false, false}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, c *conn) {
				dir := t.TempDir()
				act := func(n int) []Command {
					if n == test.fails {
						return []Command{{Argv: []string{"false"}, Brief: true}, {Argv: []string{"touch", filepath.Join(dir, "never")}, Brief: true}}
					}
					return []Command{
						{Argv: []string{"mkdir", filepath.Join(dir, fmt.Sprint(n))}, Brief: true},
						MakeDir(filepath.Join(dir, fmt.Sprint(n), "below"), 0o755, "", ""),
					}
				}
				look := Query{Script: `cd "$1" && echo *`, Args: []string{dir}}
				for range 2 {
					a := Actions{Commands: act(0), Then: []Query{look}}
					for n := range 3 {
						met := Query{Script: `[ -d "$1" ]; exit`, Args: []string{filepath.Join(dir, fmt.Sprint(n), "below")}}
						other := met
						if n == test.unmet {
							other.Script = `echo no; exit 3`
						}
						a.Ahead = append(a.Ahead, &Ahead{If: []Query{met, other}, Commands: act(n + 1), Then: []Query{look, {Script: "exit 4"}}})
					}
					if _, _, err := c.RunAll(bounded(t), a); err != nil {
						t.Fatal(err)
					}
					for n, want := range test.begun {
						got := a.Ahead[n]
						if got.Begun != want || got.Err != nil {
							t.Errorf("%d is begun: %v (%v), want %v", n, got.Begun, got.Err, want)
						}
						done := want && n+1 != test.fails
						if done != (len(got.Answers) == 2) || done && (len(got.Results) != 2 || got.Answers[1].Exit != 4) {
							t.Errorf("%d: %d results, %d answers", n, len(got.Results), len(got.Answers))
						}
					}
					entries, err := os.ReadDir(dir)
					if err != nil {
						t.Fatal(err)
					}
					var files string
					for _, e := range entries {
						files += e.Name()
						if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
							t.Fatal(err)
						}
					}
					if files != test.files {
						t.Errorf("made %q, want %q", files, test.files)
					}
				}
			})
		})
	}
}

// A command that is sent ahead may print more than a pipe holds, and read little text, also if something runs before it.
func TestAheadPrintsMuch(t *testing.T) {
	much := Command{Argv: []string{"sh", "-c", `read -r line; head -c 200000 /dev/zero | tr '\0' x; echo "$line" >&2; exit "$CODE"`}, Env: map[string]string{"CODE": "3"}, OK: []int{3}, Stdin: []byte("a line\n")}
	if binary := (Command{Argv: []string{"cat"}, Stdin: []byte("\x00")}); binary.Portable() {
		t.Error("a command with binary input counts as portable")
	}
	everywhere(t, func(t *testing.T, c *conn) {
		trace := filepath.Join(t.TempDir(), "trace")
		second := much
		second.Before = Query{Script: `echo before >>"$1"`, Args: []string{trace}}
		if !much.Portable() || !second.Portable() {
			t.Fatalf("portable: %v, and with something before it %v", much.Portable(), second.Portable())
		}
		behind := &Ahead{If: []Query{{Script: "true"}}, Commands: []Command{{Argv: []string{"echo", "behind"}, Brief: true}}}
		ahead := &Ahead{Commands: []Command{much, second}, Then: []Query{{Script: "echo then"}}}
		if _, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Ahead: []*Ahead{ahead, behind}}); err != nil {
			t.Fatal(err)
		}
		if len(ahead.Results) != 2 || len(ahead.Answers) != 1 || string(ahead.Answers[0].Stdout) != "then\n" || len(behind.Results) != 1 || string(behind.Results[0].Stdout) != "behind\n" {
			t.Fatalf("%d results, %v, %v; behind it %v, %v", len(ahead.Results), ahead.Answers, ahead.Err, behind.Results, behind.Err)
		}
		for _, r := range ahead.Results {
			if len(r.Stdout) != 200000 || string(r.Stderr) != "a line\n" || r.Exit != 3 {
				t.Errorf("%d bytes, %q, exit code %d", len(r.Stdout), r.Stderr, r.Exit)
			}
		}
		if text, _ := os.ReadFile(trace); string(text) != "before\n" {
			t.Errorf("what runs before the second command has left %q", text)
		}
	})
}

// What was sent with a command that loses the connection may have been begun; what a condition has kept from beginning was not.
func TestAheadIsLost(t *testing.T) {
	c := []Command{{Argv: []string{"true"}}}
	q := []Query{{}}
	a := Actions{Ahead: []*Ahead{
		{If: q, Commands: c, heard: 2}, {If: q, Commands: c, heard: 1}, {If: q, Commands: c},
		{If: q, Commands: c, heard: 1, leftOut: true}, {If: q, Commands: c},
	}}
	a.lost(os.ErrClosed)
	var got []bool
	for _, ahead := range a.Ahead {
		got = append(got, ahead.Begun && ahead.Err != nil)
	}
	if diff := cmp.Diff([]bool{false, true, true, false, false}, got); diff != "" {
		t.Errorf("may have been begun (-want +got):\n%s", diff)
	}
}
