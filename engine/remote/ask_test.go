package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ask(t *testing.T, s Session, queries ...Query) []Answer {
	t.Helper()
	answers, err := s.Ask(bounded(t), queries)
	if err != nil {
		t.Fatalf("ask: %v", err)
	}
	return answers
}

// text is an answer in readable form.
type text struct {
	Out, Err string
	Exit     int
}

func readable(answers []Answer) []text {
	var out []text
	for _, a := range answers {
		out = append(out, text{string(a.Stdout), string(a.Stderr), a.Exit})
	}
	return out
}

func TestAskSurvivesSyntaxErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for _, script := range []string{`if`, `echo "`, `)`, `'`, `for x in`, "}\n", `<<EOF`} {
			got := ask(t, c, Query{Script: `printf before`}, Query{Script: script}, Query{Script: `printf after`})
			if string(got[0].Stdout) != "before" || string(got[2].Stdout) != "after" {
				t.Errorf("%q disturbed the others: %+v", script, readable(got))
			}
		}
	})
}

func TestAskBigOutputOnBothStreams(t *testing.T) {
	const size = 4 << 20 // twice the window
	everywhere(t, func(t *testing.T, c *conn) {
		got := ask(t, c,
			Query{Script: `head -c "$1" /dev/zero; head -c "$1" /dev/zero >&2`, Args: []string{fmt.Sprint(size)}},
			Query{Script: `head -c "$1" /dev/zero >&2; head -c "$1" /dev/zero`, Args: []string{fmt.Sprint(size)}},
			Query{Script: `printf end`})
		for i, a := range got[:2] {
			if len(a.Stdout) != size || len(a.Stderr) != size {
				t.Errorf("answer %d: %d and %d bytes, want %d", i, len(a.Stdout), len(a.Stderr), size)
			}
		}
		if string(got[2].Stdout) != "end" {
			t.Errorf("the query behind: %q", got[2].Stdout)
		}
	})
}

// A flight that exceeds the window is sent while its answers are received.
func TestAskBigQuestions(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		big := strings.Repeat("question ", 300_000) // more than an SSH window
		if strings.Contains(t.Name(), "bash") {     // bash reads a byte at a time
			big = big[:300_000]
		}
		got := ask(t, c, Query{Script: `printf '%s' "$1"`, Args: []string{big}}, Query{Script: `printf '%s' "$1"`, Args: []string{big}})
		for i, a := range got {
			if string(a.Stdout) != big {
				t.Errorf("answer %d: %d bytes came back of %d", i, len(a.Stdout), len(big))
			}
		}
	})
}

func TestAskBytesThatAreNotText(t *testing.T) {
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	c := local()
	defer c.Close()
	if got := ask(t, c, Query{Script: `printf '%s' "$1"`, Args: []string{string(all)}}); string(got[0].Stdout) != string(all) {
		t.Errorf("%q came back as %q", all, got[0].Stdout)
	}
}

func TestAskRefusesNUL(t *testing.T) {
	c := local()
	defer c.Close()
	_, err := c.Ask(bounded(t), []Query{{Script: ":"}, {Script: ":", Args: []string{"a\x00b"}}})
	if err == nil || !strings.Contains(err.Error(), "query 1") || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("got error %v, want one that names the query and the NUL", err)
	}
}

func TestAskShellThatDies(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, c *conn) {
		if strings.Contains(t.Name(), "interpreter") {
			t.Skip("the shells of the interpreter have no process that could be killed")
		}
		ask(t, c, Query{Script: `:`})
		_, err := c.Ask(bounded(t), []Query{{Script: `printf x`}, {Script: `kill -9 $$`}, {Script: `printf y`}})
		if err == nil || !strings.Contains(err.Error(), "ended while it answered") {
			t.Errorf("a killed shell: error %v", err)
		}
		var lost *UnreachableError
		if errors.As(err, &lost) {
			t.Errorf("a killed shell is told as a lost host: %v", err)
		}
		if got := ask(t, c, Query{Script: `printf again`}); string(got[0].Stdout) != "again" {
			t.Errorf("the next shell said %q", got[0].Stdout)
		}
	})
}

func TestAskCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		if strings.Contains(t.Name(), "interpreter") {
			t.Skip("the interpreter of this test waits for its programs")
		}
		ctx, cancel := context.WithCancel(bounded(t))
		asked := make(chan error)
		go func() {
			_, err := c.Ask(ctx, []Query{{Script: `printf x; sleep 50`}})
			asked <- err
		}()
		cancel()
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
		if got := ask(t, c, Query{Script: `printf again`}); string(got[0].Stdout) != "again" {
			t.Errorf("the next shell said %q", got[0].Stdout)
		}
	})
}

func TestArgvQuery(t *testing.T) {
	t.Parallel()
	c := local()
	defer c.Close()
	got := ask(t, c, Argv(time.Second, "sleep", "50"), Argv(5*time.Second, "printf", "%s|", "a b", "$x"))
	if !got[0].TimedOut() || !got[0].Overran() {
		t.Errorf("a command beyond its limit answered %q (%d)", got[0].Stderr, got[0].Exit)
	}
	got[0].Stderr = nil
	want := []text{{"", "", 124}, {"a b|$x|", "", 0}}
	if diff := cmp.Diff(want, readable(got)); diff != "" {
		t.Errorf("answers differ (-want +got):\n%s", diff)
	}
}

// Argv runs a program even if its name is a builtin or keyword of the shell, and it does not affect the queries after
// it.
func TestArgvIsAProgram(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		for name, exit := range map[string]int{"exit": 127, "exec": 127, "cd": 127, "set": 127, "_hl_end": 127, "trap": 127, ".": -1, "false": 1, "true": 0, "": -1} {
			for _, limit := range []time.Duration{0, time.Minute} {
				queries := []Query{Argv(limit, name, "/tmp")}
				for range fewest { // enough for a company
					queries = append(queries, Argv(limit, "printf", "%s", "behind"))
				}
				got := ask(t, c, queries...)
				if got[0].Exit != exit && exit >= 0 || exit < 0 && got[0].Exit == 0 {
					t.Errorf("%q (limit %s) ended with %d: %s", name, limit, got[0].Exit, got[0].Stderr)
				}
				for _, a := range got[1:] {
					if string(a.Stdout) != "behind" || a.Exit != 0 {
						t.Errorf("behind %q (limit %s): %q, exit %d, %s", name, limit, a.Stdout, a.Exit, a.Stderr)
					}
				}
			}
		}
	})
}

// A program that hides one that was run before is found: the shell does not remember paths between flights.
func TestProgramsAreLookedForAgain(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	program := func(dir, says string) {
		t.Helper()
		if err := os.WriteFile(dir+"/hl-greet", []byte("#!/bin/sh\necho "+says+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := local()
	defer c.Close()
	ask(t, c, Query{Script: `PATH=$1:$2:$PATH`, Args: []string{first, second}, Inline: true})
	program(second, "old")
	greet := Query{Script: `hl-greet`, Inline: true}
	if got := ask(t, c, greet); string(got[0].Stdout) != "old\n" {
		t.Fatalf("first it says %q (%s)", got[0].Stdout, got[0].Stderr)
	}
	program(first, "new")
	if got := ask(t, c, greet); string(got[0].Stdout) != "new\n" {
		t.Errorf("then it says %q, expected the new program", got[0].Stdout)
	}
}

// An inline query has its own arguments, which do not outlast it, no input, and an exit code.
func TestInlineQueries(t *testing.T) {
	inline := func(script string, args ...string) Query { return Query{Script: script, Args: args, Inline: true} }
	queries := []Query{
		inline(`printf '%s|' "$@"; printf e >&2`, "a b", "$x", "'"),
		inline(`printf %s "$#"; cat; read -r _x || printf eof`),
		inline(`set -- x y; sh -c 'exit 7'`),
		inline(`for _f do printf '%s' "$_f"; done`, "1", "2"),
		inline(`nonesuch-program 2>/dev/null`),
		inline(`printf '%s %s' "$LC_ALL" "$#"`),
		inline(``),
	}
	want := []text{{"a b|$x|'|", "e", 0}, {"0eof", "", 0}, {"", "", 7}, {"12", "", 0}, {"", "", 127}, {"C 0", "", 0}, {"", "", 0}}
	everywhere(t, func(t *testing.T, c *conn) {
		for range 2 {
			if diff := cmp.Diff(want, readable(ask(t, c, queries...))); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		}
	})
}

// Limited queries are asked together, which does not change their answers.
func TestLimitedQueriesKeepApart(t *testing.T) {
	hostile := "it's \"$(rm x)\" `y` \\ \t\x01 é *\n--"
	var queries []Query
	var want []text
	add := func(q Query, answer text) { queries, want = append(queries, q), append(want, answer) }
	add(Argv(time.Minute, "printf", "%s|", hostile, ""), text{hostile + "||", "", 0})
	add(Query{Script: `printf '%s' "alone $limited"`}, text{"alone ", "", 0})
	add(Query{Script: `v=1; cd /tmp; exit 3`, Limit: time.Minute}, text{"", "", 3})
	add(Query{Script: `printf '%s' "v=$v"; [ "$PWD" != /tmp ] && printf ok`, Limit: time.Minute}, text{"v=ok", "", 0})
	add(Query{Script: `if`, Limit: time.Minute}, text{})
	add(Query{Script: `cat; read -r x || printf eof >&2`, Limit: time.Hour}, text{"", "eof", 0})
	add(Query{Script: `printf 'x\000y\n'; $limited sh -c "$1"`, Args: []string{`exit 130`}, Limit: time.Minute}, text{"x\x00y\n", "", 130})
	add(Query{Script: `printf '%s' "$LC_ALL"`}, text{"C", "", 0})
	// The script that asks them is not in the environment of the commands that they run.
	add(Argv(time.Minute, "sh", "-c", `env | grep -c _hl_`), text{"0\n", "", 1})
	add(Argv(time.Minute, "printf", "last"), text{"last", "", 0})
	everywhere(t, func(t *testing.T, c *conn) {
		for range 2 { // the second time in the same shell
			got := readable(ask(t, c, queries...))
			if got[4].Exit == 0 {
				t.Error("a syntax error was no error")
			}
			got[4] = text{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		}
	})
}

// More queries than an environment variable can hold.
func TestManyLimitedQueries(t *testing.T) {
	var queries []Query
	var want []text
	for i := range 600 {
		arg := fmt.Sprintf("%d %s", i, strings.Repeat("'", 200))
		queries, want = append(queries, Argv(time.Hour, "printf", "%s", arg)), append(want, text{arg, "", 0})
	}
	c := local()
	defer c.Close()
	if diff := cmp.Diff(want, readable(ask(t, c, queries...))); diff != "" {
		t.Errorf("answers differ (-want +got):\n%s", diff)
	}
}

// A query that reaches its limit does not affect those around it and leaves nothing behind, whatever it does on
// SIGTERM. Those after it have their whole limit and their own exit code.
func TestLimitInCompany(t *testing.T) {
	t.Parallel()
	c := local()
	defer c.Close()
	pids := t.TempDir() + "/pids"
	deaf := `trap "" TERM; echo $$ >>"$0"; while :; do sleep 1; done`
	got := readable(ask(t, c,
		Argv(time.Second, "printf", "first"),
		Argv(time.Second, "sh", "-c", deaf, pids),
		Argv(time.Second, "sleep", "50"),
		Argv(time.Second, "sh", "-c", `kill -TERM $$`),
		Argv(time.Minute, "sh", "-c", "sleep 1.5; echo late; exit 7"),
		Query{Script: "echo alone"},
		Argv(time.Second, "printf", "last")))
	for i := range got {
		got[i].Err = "" // a shell may report how its child has ended
	}
	want := []text{{"first", "", 0}, {"", "", 137}, {"", "", 124}, {"", "", 143}, {"late\n", "", 7}, {"alone\n", "", 0}, {"last", "", 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers differ (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	started := strings.Fields(string(text))
	if len(started) != 2 {
		t.Errorf("the command that ignores SIGTERM was started %d times, expected once in company and once alone", len(started))
	}
	ctx := bounded(t)
	for _, pid := range started {
		id, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		// It was killed; its current parent still has to reap it.
		for syscall.Kill(id, 0) == nil {
			if ctx.Err() != nil {
				t.Fatalf("process %d, which ignores SIGTERM, still runs", id)
			}
			runtime.Gosched()
		}
	}
}

// The queries of a converged run cost one round trip per flight once the shell is running.
func TestRoundTrips(t *testing.T) {
	key := newKey(t, "id", "")
	c := mustDial(t, newServer(t, key).target("root", key), plain())
	ask(t, c, Query{Script: `printf x`})
	before := c.Stats()
	ask(t, c, Query{Script: `printf x`}, Query{Script: `printf y`})
	after := c.Stats()
	if trips := after.RoundTrips - before.RoundTrips; trips != 1 {
		t.Errorf("a flight cost %d round trips, want 1", trips)
	}
	if after.Sent <= before.Sent || after.Received <= before.Received {
		t.Errorf("bytes are not counted: %+v then %+v", before, after)
	}
}

// The latency is known once a session was opened after the first one, which the login delays.
func TestLatency(t *testing.T) {
	key := newKey(t, "id", "")
	c := mustDial(t, newServer(t, key).target("root", key), plain())
	ask(t, c, Query{Script: `printf x`})
	if took := c.Stats().Latency; took != 0 {
		t.Errorf("after the first session it is %s, want 0, which means unknown", took)
	}
	began := time.Now()
	if _, err := c.Run(t.Context(), Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	if took := c.Stats().Latency; took <= 0 || took > time.Since(began) {
		t.Errorf("after the second session it is %s, and it cannot have taken more than %s", took, time.Since(began))
	}
	c.transport.(*sshTransport).count.sessionOpened(time.Hour)
	if took := c.Stats().Latency; took == time.Hour {
		t.Error("a session that took longer replaces the shortest time")
	}
}

// A script for the reading shell that is cut at any point runs nothing.
func TestAskCutScriptRunsNothing(t *testing.T) {
	dir := t.TempDir()
	script, err := calls([]Query{{Script: `: >"$1"`, Args: []string{filepath.Join(dir, "a")}}, {Script: `: >"$1"`, Args: []string{filepath.Join(dir, "b")}, Inline: true}})
	if err != nil {
		t.Fatal(err)
	}
	text := whole(append([]byte(environment+"_hl_n=x _hl_i=0\n"+reading), script...))
	for end := range len(text) - 2 {
		if end%37 != 0 && end < len(text)-100 {
			continue
		}
		runSh(sourced, os.Environ(), bytes.NewReader(text[:end]), io.Discard, io.Discard)
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Fatalf("cut after %d of %d bytes, it ran: %v", end, len(text), left)
		}
	}
	runSh(sourced, os.Environ(), bytes.NewReader(text), io.Discard, io.Discard)
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Fatalf("whole, it did not run")
	}
}
