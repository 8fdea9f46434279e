package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tallied returns a query that counts, in a file, how often it is asked.
func tallied(t *testing.T, script string, args ...string) (q Query, times func() int) {
	file := filepath.Join(t.TempDir(), "times")
	return Query{Script: `printf x >>"$1"; shift; ` + script, Args: append([]string{file}, args...)}, func() int {
		b, _ := os.ReadFile(file)
		return len(b)
	}
}

// The host recognizes its own previous answers, whatever bytes and codes they contain, and keeps waiting.
func TestWatchKnowsTheAnswers(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		first, times := tallied(t, `:`)
		queries := []Query{
			first,
			{Script: `printf '%s' "$1"; printf 'a\000\377b'`, Args: []string{"it's \"$HOME\"\n"}},
			{Script: `printf '\n\n%s\n\n\n' "$1"`, Args: []string{"line breaks"}, Inline: true},
			{Script: `printf '%s\n' "$1" >&2; exit 7`, Args: []string{"a complaint"}},
			{Script: `printf 'to one\n'; printf 'to the other' >&2; printf 'and the first again'; false`},
			Argv(time.Minute, "false"),
			{
				Script: `echo "$1"; read -r s <"$2"; echo "{\"time\":$s,\"state\":\"up\"},{\"n\":1}"; echo "{" >&2; false`, Args: []string{"first{ line", first.Args[0]},
				Shows: `^first.*|"state":"[^"]*"|"n":[0-9]+`,
			},
			{Script: `[ "$(wc -c <"$1")" -lt 5 ] || printf enough`, Args: first.Args},
		}
		known := ask(t, c, queries...)
		got, err := c.Watch(bounded(t), Watch{Queries: queries, Known: known, Pause: time.Millisecond, Limit: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		want := readable(known)
		want[6] = text{Out: "first{ line\n{\"time\":xxxxxx,\"state\":\"up\"},{\"n\":1}\n", Err: "{\n", Exit: 1}
		want[7].Out = "enough"
		if diff := cmp.Diff(want, readable(got)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if n := times(); n != 5+1 {
			t.Errorf("asked %d times, want 6: what had not changed was not known again", n)
		}
	})
}

// The host answers as soon as the answer changes. Other queries are answered meanwhile.
func TestWatchEndsWithTheChange(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		there := filepath.Join(t.TempDir(), "there")
		q, times := tallied(t, `[ ! -e "$1" ] || printf there`, there)
		known := ask(t, c, q)
		type end struct {
			answers []Answer
			err     error
		}
		ended := make(chan end)
		go func() {
			answers, err := c.Watch(bounded(t), Watch{Queries: []Query{q}, Known: known, Pause: time.Millisecond, Limit: time.Minute})
			ended <- end{answers, err}
		}()
		for times() < 3 {
			ask(t, c, Query{Script: `:`})
		}
		ask(t, c, Query{Script: `: >"$1"`, Args: []string{there}})
		if e := <-ended; e.err != nil || string(e.answers[0].Stdout) != "there" {
			t.Errorf("got %+v, %v", readable(e.answers), e.err)
		}
		before := times()
		got, err := c.Watch(bounded(t), Watch{Queries: []Query{q}, Known: known, Pause: time.Millisecond, Limit: time.Minute})
		if err != nil || string(got[0].Stdout) != "there" || times() != before+2 {
			t.Errorf("what had changed before took %d looks: %+v, %v", times()-before, readable(got), err)
		}
	})
}

// The shell of an abandoned watch ends, and the next watch starts another.
func TestWatchIsGivenUp(t *testing.T) {
	own, key := local(), newKey(t, "id", "")
	defer own.Close()
	for _, c := range []*conn{own, mustDial(t, newOpenSSH(t, key).target(t, key), plain())} {
		shell := filepath.Join(t.TempDir(), "shell")
		q, times := tallied(t, `echo $$ >>"$1"`, shell)
		known := ask(t, c, q)
		ctx, cancel := context.WithCancel(bounded(t))
		ended := make(chan error)
		go func() {
			_, err := c.Watch(ctx, Watch{Queries: []Query{q}, Known: known, Pause: time.Millisecond, Limit: time.Minute})
			ended <- err
		}()
		for times() < 3 {
			ask(t, c, Query{Script: `:`})
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was given up", err)
		}
		text, err := os.ReadFile(shell)
		_, text, _ = bytes.Cut(text, []byte("\n")) // the first is the reading shell
		number, _, _ := strings.Cut(string(text), "\n")
		pid, bad := strconv.Atoi(number)
		for err == nil && bad == nil && syscall.Kill(pid, 0) == nil {
			ask(t, c, Query{Script: `:`})
		}
		if err := errors.Join(err, bad); err != nil {
			t.Error(err)
		}
		if _, err := c.Watch(bounded(t), Watch{Queries: []Query{q}, Known: []Answer{{Stdout: []byte("another")}}, Pause: time.Millisecond, Limit: time.Minute}); err != nil {
			t.Errorf("the next one: %v", err)
		}
	}
}

// Queries whose changes the host could not detect are not sent to it.
func TestUnwatchable(t *testing.T) {
	c := local()
	defer c.Close()
	q := Query{Script: `:`}
	for name, w := range map[string]Watch{
		"nothing is known":   {Queries: []Query{q}},
		"something left out": {Queries: []Query{q}, Known: []Answer{{Stdout: []byte("a"), Cut: 1}}},
		"two users":          {Queries: []Query{q, {Script: `:`, User: "www-data"}}, Known: make([]Answer, 2)},
		"no queries":         {},
	} {
		w.Pause, w.Limit = time.Second, time.Hour
		if _, err := c.Watch(bounded(t), w); !errors.Is(err, ErrUnwatchable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if flights := c.Stats().Flights; flights != 0 {
		t.Errorf("%d flights for nothing", flights)
	}
}

func TestPauses(t *testing.T) {
	w := Watch{Pause: 250 * time.Millisecond, Limit: 5 * time.Second}
	if got, want := w.pauses(), "0.250 0.500 1.000 2.000 2.000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
