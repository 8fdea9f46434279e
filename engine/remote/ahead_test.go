package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	a.lost(os.ErrClosed, nil)
	var got []bool
	for _, ahead := range a.Ahead {
		got = append(got, ahead.Begun && ahead.Err != nil)
	}
	if diff := cmp.Diff([]bool{false, true, true, false, false}, got); diff != "" {
		t.Errorf("may have been begun (-want +got):\n%s", diff)
	}
}

// through is a command that something else starts, as it does a long one.
func through(script string, args ...string) Command {
	return Command{Argv: append([]string{"sh", "-c", script, "sh"}, args...), Via: Query{Script: `eval "$_hl_command"`}}
}

// What a condition asks that a query right before it has asked is not asked again. Its answer is as good as the one that the controller
// gets, unless something that may take long comes between them.
func TestAheadAsksOnce(t *testing.T) {
	quick := Query{Script: `echo quick "${_hl_said-}"`}
	slow := Query{Script: `$limited echo slow "${_hl_said-}"`, Limit: time.Minute}
	for name, test := range map[string]struct {
		behind, before []Query // the query, and before the condition
		says           string  // what the condition is about
		is, expected   string
		asked          string
		met            bool
	}{
		"right before":             {nil, nil, "it", "a\nb", "a\nb", "x", true},
		"right before, as another": {nil, nil, "it", "a\nb", "a", "x", false},
		"behind a quick query":     {[]Query{quick, quick}, []Query{quick}, "it", "a", "a", "x", true},
		"behind a slow query":      {[]Query{quick, slow}, nil, "it", "a", "a", "xx", true},
		"behind a slow condition":  {nil, []Query{slow}, "it", "a", "a", "xx", true},
		"about something else":     {nil, nil, "other", "a", "a", "xx", true},
		"about nothing":            {nil, nil, "", "a", "a", "xx", true},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, c *conn) {
				dir := t.TempDir()
				asks := filepath.Join(dir, "asks")
				text := "#!/bin/sh\nprintf x >>" + filepath.Join(dir, "asked") + "\ncat " + filepath.Join(dir, "is") + "\necho complains >&2\nexit 3\n"
				if err := errors.Join(os.WriteFile(asks, []byte(text), 0o700), os.WriteFile(filepath.Join(dir, "is"), []byte(test.is+"\n"), 0o600)); err != nil {
					t.Fatal(err)
				}
				query := Query{Script: `"$1" "$2"`, Args: []string{asks, "it's"}, Inline: true, Says: "it"}
				condition := Query{Script: `if [ -z "${_hl_said+set}" ]; then _hl_said=$("$1"); fi; [ "$_hl_said" = "$2" ]`, Args: []string{asks, test.expected}, Says: test.says}
				then := append([]Query{query}, test.behind...)
				act := []Command{{Argv: []string{"true"}, Brief: true}}
				for _, a := range []Actions{
					{Commands: act, Then: then, Ahead: []*Ahead{{If: append(test.before, condition), Commands: act, Then: []Query{quick}}}},
					{Commands: act, Ahead: []*Ahead{{Commands: act, Then: then}, {If: append(test.before, condition), Commands: act, Then: []Query{quick}}}},
				} {
					if err := os.RemoveAll(filepath.Join(dir, "asked")); err != nil {
						t.Fatal(err)
					}
					_, answers, err := c.RunAll(bounded(t), a)
					if err != nil {
						t.Fatal(err)
					}
					if len(a.Ahead) > 1 {
						answers = a.Ahead[0].Answers
					}
					if len(answers) == 0 || string(answers[0].Stdout) != test.is+"\n" || string(answers[0].Stderr) != "complains\n" || answers[0].Exit != 3 {
						t.Errorf("the answers are %+v", answers)
					}
					last := a.Ahead[len(a.Ahead)-1]
					if last.Begun != test.met || last.Begun && string(last.Answers[0].Stdout) != "quick \n" {
						t.Errorf("begun: %v, want %v; the answers behind it are %+v", last.Begun, test.met, last.Answers)
					}
					if asked, _ := os.ReadFile(filepath.Join(dir, "asked")); string(asked) != test.asked {
						t.Errorf("asked %q, want %q", asked, test.asked)
					}
				}
			})
		})
	}
}

// A command with Via is sent ahead like any other, with input of any kind. What another command left of its input, which was skipped, is
// not its own.
func TestAheadVia(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		look := Query{Script: `cd "$1" && echo *`, Args: []string{dir}}
		reads := through(`cat >"$1/read"; echo out; echo err >&2; exit 3`, dir)
		reads.Stdin, reads.OK = []byte("a\x00b"), []int{3}
		reads.Via.Script = `exec <"${_hl_at%/*}/in"; eval "$_hl_command"`
		var begun []string
		part := func(name string, commands ...Command) *Ahead {
			return &Ahead{If: []Query{{Script: "true"}}, Commands: commands, Then: []Query{look}, Begins: func(i int) { begun = append(begun, fmt.Sprint(name, i)) }}
		}
		touch := func(name string) Command {
			return Command{Argv: []string{"touch", filepath.Join(dir, name)}, Brief: true}
		}
		never := touch("never")
		never.Stdin = []byte("input")
		parts := []*Ahead{part("a", touch("1"), reads, touch("2")), part("b", through(`echo via >"$1/3"`, dir)), part("c", through("exit 4"), through(`: >"$1/never"`, dir)), part("d", never)}
		for _, p := range parts {
			if slices.ContainsFunc(p.Commands, func(c Command) bool { return !c.Portable() }) {
				t.Fatal("such commands do not count as portable")
			}
		}
		if _, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{touch("0")}, Ahead: parts}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a0", "a1", "a2", "a3", "b0", "b1", "c0"}, begun); diff != "" {
			t.Errorf("begun (-want +got):\n%s", diff)
		}
		var got []string
		for _, p := range parts {
			said := fmt.Sprint(p.Begun, len(p.Results), p.Err)
			for _, a := range p.Answers {
				said += string(a.Stdout)
			}
			got = append(got, strings.TrimSpace(said))
		}
		if diff := cmp.Diff([]string{"true 3 <nil>0 1 2 read", "true 1 <nil>0 1 2 3 read", "true 1 <nil>", "false 0 <nil>"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r := parts[0].Results[1]; string(r.Stdout)+string(r.Stderr) != "out\nerr\n" || r.Exit != 3 {
			t.Errorf("it printed %q and %q and ended with %d", r.Stdout, r.Stderr, r.Exit)
		}
		if read, err := os.ReadFile(filepath.Join(dir, "read")); string(read) != "a\x00b" {
			t.Errorf("it has read %q (%v)", read, err)
		}
		late := through("true")
		late.Via.Script = `cat "${_hl_at%/*}/in"; eval "$_hl_command"`
		if r, err := c.Run(bounded(t), late); err != nil || len(r.Stdout) > 0 {
			t.Errorf("the next one finds the input %q (%v)", r.Stdout, err)
		}
	})
}

// choice is an interruption after which the user has chosen.
type choice Choice

func (choice) Error() string           { return "interrupted" }
func (choice) Is(err error) bool       { return err == context.Canceled }
func (c choice) Choice() Choice        { return Choice(c) }
func (choice) Chosen() <-chan struct{} { done := make(chan struct{}); close(done); return done }

// A command with Via that was sent ahead is left running, waited for or stopped when its caller is interrupted, as one that was not, and
// nothing is begun behind it. If the connection is lost, what comes behind may have been begun.
func TestInterruptedAhead(t *testing.T) {
	key := newKey(t, "id", "")
	leave, await, stop := Leave, Await, Stop
	for name, test := range map[string]struct {
		choice *Choice
		want   []string // whether the two parts are begun, with how many results, and why there are not more
	}{
		"left":       {&leave, []string{"true 0 left", "true 0 lost"}},
		"waited for": {&await, []string{"true 1 ", "false 0 "}},
		"stopped":    {&stop, []string{"true 1 ", "false 0 "}},
		"cut":        {nil, []string{"true 0 lost", "true 0 lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, key)
			c := mustDial(t, s.target("root", key), plain())
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(bounded(t))
			defer cancel(nil)
			begun := make(chan struct{})
			parts := []*Ahead{
				{Commands: []Command{through(`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done`, dir)}, Begins: func(int) { close(begun) }},
				{Commands: []Command{{Argv: []string{"touch", filepath.Join(dir, "behind")}, Brief: true}}},
			}
			type end struct {
				results []Result
				answers []Answer
				err     error
			}
			ended := make(chan end)
			go func() {
				results, answers, err := c.RunAll(ctx, Actions{Commands: []Command{{Argv: []string{"true"}, Brief: true}}, Then: []Query{{Script: "echo then"}}, Ahead: parts})
				ended <- end{results, answers, err}
			}()
			<-begun
			waitFor(t, filepath.Join(dir, "started"))
			if test.choice == nil {
				s.cut()
			} else {
				cancel(choice(*test.choice))
			}
			release := func() {
				if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
			if name == "waited for" { // once nothing is started any more
				for stops := 0; stops == 0; {
					for _, place := range strings.Fields(actingPlaces) {
						found, _ := filepath.Glob(filepath.Join(place, c.act.shell.dir, "stop.*"))
						stops += len(found)
					}
				}
				release()
			}
			if e := <-ended; e.err != nil || len(e.results) != 1 || len(e.answers) != 1 {
				t.Errorf("%d results and %d answers of what came before (%v)", len(e.results), len(e.answers), e.err)
			}
			release()
			for i, p := range parts {
				why := ""
				switch {
				case errors.As(p.Err, new(*LeftError)):
					why = "left"
				case p.Err != nil:
					why = "lost"
				}
				if got := fmt.Sprint(p.Begun, len(p.Results), " ", why); got != test.want[i] {
					t.Errorf("part %d: %s (%v), want %s", i, got, p.Err, test.want[i])
				}
			}
			if len(parts[0].Results) > 0 && (parts[0].Results[0].Exit == 0) != (name == "waited for") {
				t.Errorf("it ended with %d", parts[0].Results[0].Exit)
			}
			if _, err := os.Stat(filepath.Join(dir, "behind")); err == nil && name != "cut" {
				t.Error("what comes behind it was begun")
			}
		})
	}
}
