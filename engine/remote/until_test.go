package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The host waits behind a command, in the same flight, until something is so, and then answers the other queries. It waits no
// longer than it may, and drops what the condition prints.
func TestUntilBehindACommand(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for name, test := range map[string]struct {
			enough string
			limit  time.Duration
			looks  string
			exit   int
		}{
			"it comes so":   {"xxx", time.Minute, "xxx", 0},
			"it is so":      {"x", time.Minute, "x", 0},
			"it never does": {"never", 0, "xxxx", 1},
		} {
			file := filepath.Join(t.TempDir(), "looks")
			is := Query{Script: `printf x >>"$1"; read -r s <"$1" || :; echo noise; echo noise >&2; [ "$s" = "$2" ]`, Args: []string{file, test.enough}}
			results, answers, err := c.RunAll(bounded(t), Actions{
				Commands: []Command{{Argv: []string{"true"}, Brief: true}},
				Then:     []Query{Until(is, test.limit, 0), {Script: `read -r s <"$1" || :; printf '%s' "$s"`, Args: []string{file}}},
			})
			if err != nil || len(results) != 1 || len(answers) != 2 {
				t.Fatalf("%s: %d results, %d answers, %v", name, len(results), len(answers), err)
			}
			if a := answers[0]; a.Exit != test.exit || len(a.Stdout)+len(a.Stderr) > 0 {
				t.Errorf("%s: the wait ended with %d and said %q, %q; want %d and nothing", name, a.Exit, a.Stdout, a.Stderr, test.exit)
			}
			// Two seconds are for the beginning of the first and the end of the last.
			if looks := string(answers[1].Stdout); looks != test.looks && !(test.exit == 1 && len(looks) >= 3 && len(looks) <= 5) {
				t.Errorf("%s: looked %d times before the next query, want %d", name, len(looks), len(test.looks))
			}
		}
	})
}

// Behind a command that says whether there is something to wait for, the host looks only if there is.
func TestUntilBehindAnExitCode(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for _, brief := range []bool{true, false} {
			for exit, want := range map[int]string{0: "", 75: "xx", 3: ""} {
				file := filepath.Join(t.TempDir(), "looks")
				is := Query{Script: `printf x >>"$1"; read -r s <"$1" || :; [ "$s" = xx ]`, Args: []string{file}}
				looks := Query{Script: `[ ! -e "$1" ] || cat "$1"`, Args: []string{file}}
				act := func(exit int) Command {
					return Command{Argv: []string{"sh", "-c", `exit "$1"`, "sh", strconv.Itoa(exit)}, OK: []int{0, 3, 75}, Brief: brief}
				}
				for _, a := range []Actions{
					{Commands: []Command{act(exit)}, Then: []Query{Until(is, time.Minute, 75), looks}},
					{Commands: []Command{act(map[int]int{0: 75, 3: 75, 75: 0}[exit]), act(exit)}, Then: []Query{Until(is, time.Minute, 75), looks}},
				} {
					_ = os.Remove(file)
					results, answers, err := c.RunAll(bounded(t), a)
					if err != nil || len(results) != len(a.Commands) || len(answers) != 2 {
						t.Fatalf("%d results, %d answers, %v", len(results), len(answers), err)
					}
					if answers[0].Exit != 0 || string(answers[1].Stdout) != want {
						t.Errorf("behind exit code %d of %d commands, brief %v: looked %q, and the wait ended with %d; want %q and 0",
							exit, len(a.Commands), brief, answers[1].Stdout, answers[0].Exit, want)
					}
				}
			}
		}
	})
}

// An interruption ends the wait.
func TestUntilIsInterrupted(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		file := filepath.Join(t.TempDir(), "looked")
		ctx, cancel := context.WithCancel(bounded(t))
		ended, heard := make(chan error), make(chan struct{})
		go func() {
			_, _, err := c.RunAll(ctx, Actions{
				Commands: []Command{{Argv: []string{"true"}, Brief: true}},
				Ended:    func(int, Result) { close(heard) },
				Then:     []Query{Until(Query{Script: `echo yes >"$1"; false`, Args: []string{file}}, time.Hour, 0)},
			})
			ended <- err
		}()
		waitFor(t, file)
		<-heard
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v, want no error: the command has succeeded", name, err)
		}
		if r := run(t, c, Command{Argv: []string{"echo", "x"}}); string(r.Stdout) != "x\n" {
			t.Errorf("%s: the next command printed %q", name, r.Stdout)
		}
	}
}

// A watch waits for a condition without known answers.
func TestWatchUntil(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		is, times := tallied(t, "")
		is.Script = `printf x >>"$1"; read -r s <"$1" || :; [ "$s" = xx ]`
		got, err := c.Watch(bounded(t), Watch{Queries: []Query{{Script: `printf answer`}}, Until: &is, Limit: time.Minute})
		if err != nil || len(got) != 1 || string(got[0].Stdout) != "answer" {
			t.Fatalf("got %v, %v", got, err)
		}
		if n := times(); n != 2 {
			t.Errorf("looked %d times, want 2", n)
		}
	})
}

// The host stops waiting for a condition if nobody waits for its answer any more.
func TestWatchUntilIsGivenUp(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		file := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithCancel(bounded(t))
		ended := make(chan error)
		go func() {
			_, err := c.Watch(ctx, Watch{Queries: []Query{{Script: `:`}}, Until: &Query{Script: `echo $$ >"$1"; false`, Args: []string{file}}, Limit: time.Hour})
			ended <- err
		}()
		pid, bad := strconv.Atoi(waitFor(t, file))
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || bad != nil {
			t.Errorf("%s: got %v, %v, want that it was given up", name, err, bad)
		}
		for syscall.Kill(pid, 0) == nil {
			ask(t, c, Query{Script: `:`})
		}
	}
}
