package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Commands run in order. Queries sent along with them are answered afterwards, with both streams complete.
func TestRunAll(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		path := filepath.Join(t.TempDir(), "file")
		for range 2 {
			var told []int
			results, answers, err := c.RunAll(bounded(t), Actions{
				Commands: []Command{
					{Argv: []string{"sh", "-c", `cat >"$1"; printf one; printf err >&2`, "sh", path}, Stdin: []byte("written\n")},
					{Argv: []string{"sh", "-c", `printf two; exit 3`}, OK: []int{0, 3}},
				},
				Then: []Query{
					{Script: `cat "$1"; cat`, Args: []string{path}},
					{Script: `x=$1; printf '\000%s' "$x" >&2; exit 4`, Args: []string{"it's"}},
					{Script: `printf '%s' "$x"; if`},
				},
				Ended: func(i int, r Result) { told = append(told, i) },
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []text
			for _, r := range results {
				got = append(got, text{string(r.Stdout), string(r.Stderr), r.Exit})
			}
			if diff := cmp.Diff([]text{{"one", "err", 0}, {"two", "", 3}}, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			if len(answers) != 3 {
				t.Fatalf("%d answers, want 3", len(answers))
			}
			if diff := cmp.Diff([]text{{"written\n", "", 0}, {"", "\x00it's", 4}}, readable(answers[:2])); diff != "" {
				t.Errorf("queries (-want +got):\n%s", diff)
			}
			if answers[2].Exit == 0 {
				t.Error("a query with a syntax error ended with 0")
			}
			if diff := cmp.Diff([]int{0, 1}, told); diff != "" {
				t.Errorf("commands that were told (-want +got):\n%s", diff)
			}
		}
	})
}

// Queries run in the same directory as those of Ask.
func TestRunAllAsksWhereAskDoes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		where := Query{Script: "pwd; umask; echo $LC_ALL $PATH"}
		_, answers, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"true"}, Dir: "/tmp"}}, Then: []Query{where}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(readable(ask(t, c, where)), readable(answers)); diff != "" {
			t.Errorf("(-Ask +RunAll):\n%s", diff)
		}
	})
}

// Nothing runs and nothing is asked after a command that could not start or that exited with a code that it does not
// accept.
func TestRunAllStops(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		dir := t.TempDir()
		mark := func(name string) Command {
			return Command{Argv: []string{"touch", filepath.Join(dir, name)}}
		}
		asks := []Query{{Script: `: >"$1"`, Args: []string{filepath.Join(dir, "asked")}}}
		for name, bad := range map[string]Command{
			"fails":     {Argv: []string{"sh", "-c", "exit 7"}},
			"unwanted":  {Argv: []string{"true"}, OK: []int{2}},
			"no dir":    {Argv: []string{"true"}, Dir: "/nonesuch"},
			"not there": {Argv: []string{"nonesuch-program"}},
			"too long":  {Argv: []string{"sleep", "60"}, Limit: time.Second},
		} {
			results, answers, err := c.RunAll(bounded(t), Actions{Commands: []Command{mark("before"), bad, mark("after"), mark("after")}, Then: asks})
			want := 2
			if name == "no dir" {
				want = 1
				if err == nil || !strings.Contains(err.Error(), "cannot be entered") {
					t.Errorf("%s: error %v", name, err)
				}
			} else if err != nil {
				t.Errorf("%s: error %v", name, err)
			}
			if len(results) != want || answers != nil {
				t.Errorf("%s: %d results and %d answers, want %d and none", name, len(results), len(answers), want)
			}
			// The shell is still usable.
			if r := run(t, c, Command{Argv: []string{"echo", "x"}}); string(r.Stdout) != "x\n" {
				t.Errorf("%s: the next command printed %q", name, r.Stdout)
			}
		}
		for _, name := range []string{"after", "asked"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s although a command before it failed", name)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "before")); err != nil {
			t.Error(err)
		}
	})
}

// A cancelled command is stopped, and those sent along with it do not start, even if it exits successfully on SIGTERM.
func TestRunAllCancelled(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(bounded(t))
		done := make(chan error)
		go func() {
			results, answers, err := c.RunAll(ctx, Actions{
				Commands: []Command{
					{Argv: []string{"true"}},
					{Argv: []string{"sh", "-c", `trap 'exit 0' TERM; echo yes >"$1/started"; while :; do sleep 0.05; done`, "sh", dir}},
					{Argv: []string{"touch", filepath.Join(dir, "after")}},
				},
				Then: []Query{{Script: `: >"$1"`, Args: []string{filepath.Join(dir, "after")}}},
			})
			if len(results) != 1 || answers != nil {
				err = fmt.Errorf("%d results and %d answers, want 1 and none: %w", len(results), len(answers), err)
			}
			done <- err
		}()
		waitFor(t, filepath.Join(dir, "started"))
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "sh was given up and sent SIGTERM; it has ended since") {
			t.Errorf("%s: error %v, want that sh was given up and has ended", name, err)
		}
		run(t, c, Command{Argv: []string{"true"}}) // the shell has finished everything that it was sent
		if _, err := os.Stat(filepath.Join(dir, "after")); err == nil {
			t.Errorf("%s: something was begun after the interruption", name)
		}
	}
}

// If the next command was started, the previous one had ended before the interruption, even if its result was not known
// yet.
func TestLateResultsOfWhatWasGivenUp(t *testing.T) {
	commands := []Command{{Argv: []string{"first"}}, {Argv: []string{"second"}}, {Argv: []string{"third"}}, {Argv: []string{"fourth"}}}
	var told []int
	r := &running{
		actions: Actions{Commands: commands, Ended: func(i int, _ Result) { told = append(told, i) }}, mark: "mark",
		under: &commands[0], timer: time.NewTimer(time.Hour),
	}
	answer := func(text string) Answer {
		return Answer{Stdout: []byte("\nmark 1\n" + text), Stderr: []byte("\nmark 1\n")}
	}
	r.ended(0, answer("one"))
	r.giveUp()
	r.ended(1, answer("two"))
	r.ended(2, answer("three"))
	r.ended(3, Answer{Exit: leftOut})
	results, under, err := r.so()
	if err != nil || len(results) != 2 || string(results[1].Stdout) != "two" {
		t.Errorf("results %+v and error %v, expected those of the first two", results, err)
	}
	if under != &commands[2] {
		t.Errorf("given up is %v, expected the third", under)
	}
	if diff := cmp.Diff([]int{0, 1}, told); diff != "" {
		t.Errorf("told of the ends of (-want +got):\n%s", diff)
	}
}

// If the connection is lost between two commands, the second one does not start.
func TestRunAllLostConnection(t *testing.T) {
	c := sshConn(t)
	dir := t.TempDir()
	run(t, c, Command{Argv: []string{"true"}})
	acting := c.act.shell.out.said
	status := ask(t, c, Query{Script: `grep PPid: /proc/$1/status`, Args: []string{acting}})
	sshd, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(status[0].Stdout), "PPid:")))
	if err != nil {
		t.Fatal(err)
	}
	ran, heard := make(chan error), make(chan struct{})
	go func() {
		results, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{
			{Argv: []string{"true"}},
			{Argv: []string{"sh", "-c", `echo yes >"$1/started"; while [ -d "/proc/$2" ]; do sleep 0.01; done; echo yes >"$1/ended"`, "sh", dir, strconv.Itoa(sshd)}},
			{Argv: []string{"touch", filepath.Join(dir, "after")}},
		}, Ended: func(int, Result) { close(heard) }})
		if len(results) != 1 {
			err = fmt.Errorf("%d results, want 1: %w", len(results), err)
		}
		ran <- err
	}()
	select {
	case <-heard:
	case err := <-ran:
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, "started"))
	c.Close()
	if err := <-ran; !errors.As(err, new(*UnreachableError)) || !strings.Contains(err.Error(), "sh: whether it ended is not known") {
		t.Errorf("error %v, want an UnreachableError that says that the end of sh is not known", err)
	}
	waitFor(t, filepath.Join(dir, "ended"))
	ctx := bounded(t)
	for { // until the shell has ended
		if _, err := os.Stat("/proc/" + acting); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal("the acting shell does not end")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "after")); err == nil {
		t.Error("a command began after the connection was lost")
	}
}

// Without an acting shell, commands run all the same, and the queries are left to Ask.
func TestRunAllWithoutShell(t *testing.T) {
	c := sshConn(t)
	c.act.barred = true
	var told []int
	results, answers, err := c.RunAll(bounded(t), Actions{
		Commands: []Command{{Argv: []string{"true"}}, {Argv: []string{"false"}}, {Argv: []string{"true"}}},
		Then:     []Query{{Script: ":"}},
		Ended:    func(i int, r Result) { told = append(told, r.Exit) },
	})
	if err != nil || len(results) != 2 || answers != nil {
		t.Errorf("%d results, %d answers, error %v, want two results", len(results), len(answers), err)
	}
	if diff := cmp.Diff([]int{0, 1}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Commands and the queries after them cost one round trip.
func TestRunAllRoundTrips(t *testing.T) {
	c := sshConn(t)
	run(t, c, Command{Argv: []string{"true"}})
	before := c.Stats().RoundTrips
	const times = 10
	for range times {
		_, answers, err := c.RunAll(bounded(t), Actions{
			Commands: []Command{{Argv: []string{"true"}}, {Argv: []string{"true"}}, {Argv: []string{"true"}}},
			Then:     []Query{{Script: "echo x"}, {Script: "echo y"}},
		})
		if err != nil || len(answers) != 2 {
			t.Fatalf("%d answers, error %v", len(answers), err)
		}
	}
	if spent := c.Stats().RoundTrips - before; spent > times {
		t.Errorf("%d round trips for %d times three commands and two queries", spent, times)
	}
}

// runActing returns the output of an acting shell with its own directory, prepared by more, whose input is frames.
func runActing(t *testing.T, more string, frames []byte) (out, errs string) {
	t.Helper()
	opening := environment + "_hl_n=x _hl_d=" + filepath.Join(t.TempDir(), "shell") + "\nmkdir \"$_hl_d\"\n" + more
	var stdout, stderr bytes.Buffer
	runSh("exec sh -c '"+boot+"'", os.Environ(), bytes.NewReader(slices.Concat(frame([]byte(opening+gathered+actingLoop)), frames)), &stdout, &stderr)
	return stdout.String(), stderr.String()
}

// If the connection is cut in the middle of a command or its input, nothing of the command runs, nor if it is compressed.
func TestCutCommandRunsNothing(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	long := strings.Repeat("input\n", 50)
	for name, command := range map[string]Command{
		"input in the call":           {Stdin: []byte(long)},
		"a compressed call":           {Stdin: []byte(strings.Repeat(long, 40))},
		"input in a frame of its own": {Stdin: []byte("\x00" + long)},
		"a command in its own frame":  {Stdin: []byte(long), Before: Query{Script: ":"}},
		"a brief command, no input":   {Brief: true},
		"a command without input":     {},
		"a carriage return":           {Env: map[string]string{"X": "y\r"}, Stdin: []byte(long)},
	} {
		command.Argv = []string{"sh", "-c", `cat >"$1"`, "sh", made}
		frames, err := Actions{Commands: []Command{command}}.frames("mark", "root", true)
		if err != nil {
			t.Fatal(err)
		}
		for end := range len(frames) - 1 { // the last line end is not missed
			if end%37 != 0 && end < len(frames)-40 {
				continue
			}
			runActing(t, "", frames[:end])
			if _, err := os.Stat(made); err == nil {
				t.Fatalf("%s: cut after %d of %d bytes, the command was run", name, end, len(frames))
			}
		}
		runActing(t, "", frames)
		if got, err := os.ReadFile(made); err != nil || !bytes.Equal(got, command.Stdin) {
			t.Fatalf("%s: whole, it had the input %q (%v)", name, got, err)
		}
		if err := os.Remove(made); err != nil {
			t.Fatal(err)
		}
	}
}

// A command does not run if there is no space for its input, and the rest of the input is not taken for the next
// command.
func TestCommandWithoutRoomForItsInput(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	touch := Command{Argv: []string{"sh", "-c", `: >"$1"`, "sh", made}}
	for input, why := range map[string]string{strings.Repeat("0 0 first\n", 100_000): "No space left on device", "0 0 first\n": "no room for the command's input"} {
		fed := touch
		fed.Stdin = []byte(input)
		frames, err := Actions{Commands: []Command{fed, touch}}.frames("mark", "root", false)
		if err != nil {
			t.Fatal(err)
		}
		out, errs := runActing(t, `ln -s /dev/full "$_hl_d/in"`+"\n", frames)
		if want := "\nx 0 1\n"; out != want {
			t.Errorf("it answered %q, want %q", out, want)
		}
		if !strings.Contains(errs, why) {
			t.Errorf("it does not say why: %q", errs)
		}
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("a command was run")
	}
}
