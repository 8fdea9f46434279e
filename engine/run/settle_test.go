package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// If time passes between a look at the host and one at the clock, as when the controller was suspended, the host is not
// to blame: it is looked at once more.
func TestSettleEndsWithALook(t *testing.T) {
	for name, task := range map[string]string{
		"what settles": set("x", "1", "settles = 20"),
		"a lock":       set("x", "1", "busy = 20"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			answers := 0
			s.onAnswer = func() {
				if len(s.acts) > 0 {
					answers++
				}
				if answers == 3 {
					s.now = s.now.Add(time.Hour)
				}
			}
			r := s.play(t, lines(`play "p" { hosts = "all"; task "t" { `+task+` } }`))
			if diff := cmp.Diff([]string{"a t: changed"}, outcomes(r)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, r.Results()[0].Message)
			}
		})
	}
}

// An error that waiting cannot resolve ends the wait, however long the step may take to settle.
func TestSettleEndsWithFinalError(t *testing.T) {
	s := newStage("a")
	began := s.Now()
	r := s.play(t, lines(`play "p" { hosts = "all"; task "t" { `+set("x", "1", "doomed = true", "settles = 20")+` } }`))
	if diff := cmp.Diff([]string{"a t: failed"}, outcomes(r)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if message := r.Results()[0].Message; !strings.Contains(message, "x is broken for good") {
		t.Errorf("the message is %q", message)
	}
	if waited := s.Now().Sub(began); waited > time.Minute {
		t.Errorf("waited %s of the twenty minutes, want the end at once", waited)
	}
}

// Hosts that do not answer for a long time do not delay others: more of them than are connected to at a time come first
// in the inventory, and the others have been read long before the silent ones are given up.
func TestPlannerSilentHosts(t *testing.T) {
	const silent, others, patience = 100, 30, 15 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range silent {
			names = append(names, fmt.Sprintf("a%03d", i))
		}
		for i := range others {
			names = append(names, fmt.Sprintf("b%03d", i))
		}
		s := newStage(names...)
		s.onConnect = func(host string) error {
			if host[0] == 'a' {
				time.Sleep(patience)
				return &remote.UnreachableError{Host: host, Reason: "no answer"}
			}
			return nil
		}
		began := time.Now()
		var read []time.Duration
		s.onEvent = func(context.Context) { read = append(read, time.Since(began)) }
		s.play(t, manyTasks(5))
		if took := time.Since(began); took > patience+5*time.Second {
			t.Errorf("the run took %s, although all silent hosts are given up after %s", took, patience)
		}
		for i, at := range read[:min(others, len(read))] {
			if at >= patience {
				t.Fatalf("the %d. of %d flights to hosts that answer left after %s, when the silent ones were given up", i+1, others, at)
			}
		}
		if len(s.acts) != 4*others {
			t.Errorf("%d commands, want four on each host that answers", len(s.acts))
		}
	})
}

// Waiting takes place on the host, and costs a round trip for each detected change rather than for each check.
func TestSettleOnTheHost(t *testing.T) {
	s := newStage("a")
	begun := s.now
	r := s.play(t, lines(`play "p" { hosts = "all"; task "t" { `+set("x", "1", "settles = 50")+` } }`))
	if got := outcomes(r); !slices.Equal(got, []string{"a t: changed"}) {
		t.Errorf("got %v: %s", got, r.Results()[0].Message)
	}
	if took := s.now.Sub(begun); took < 50*time.Second || took > 55*time.Second {
		t.Errorf("waited %s for what took 50s", took)
	}
	// It is asked again every 20 seconds, because some changes cannot be watched.
	if s.watches["a"] != 3 || s.asks["a"] > 4 {
		t.Errorf("%d times waited there and %d flights, want 3 and 4 at most", s.watches["a"], s.asks["a"])
	}
}

// A host that can tell when a step has settled waits for that in the step's flight, which also verifies the step. It waits no
// longer than the step may take, and what it says does not count by itself.
func TestSettleInTheFlight(t *testing.T) {
	for name, c := range map[string]struct {
		args, want string
		watches    int
		took       time.Duration
	}{
		"it settles":              {args: "tells = true, settles = 50", want: "a t: changed", took: 50 * time.Second},
		"it never does":           {args: "tells = true, settles = 1, lies = true", want: "a t: failed", took: time.Minute},
		"its command knows":       {args: "tells = true, knows = true, settles = 50", want: "a t: changed", took: 50 * time.Second},
		"its command is mistaken": {args: "tells = true, knows = true, settles = 1, lies = true", want: "a t: failed", watches: 3, took: time.Minute},
		"nobody can tell":         {args: "settles = 50", want: "a t: changed", watches: 3, took: 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			begun := s.now
			r := s.play(t, lines(`play "p" { hosts = "all"; task "t" { `+set("x", "1", strings.Split(c.args, ", ")...)+` } }`))
			if got := outcomes(r); !slices.Equal(got, []string{c.want}) {
				t.Errorf("got %v: %s", got, r.Results()[0].Message)
			}
			if s.watches["a"] != c.watches || s.flights["a"] != 1 || c.watches == 0 && s.asks["a"] > 2 {
				t.Errorf("%d flights of steps, %d of waiting and %d of reads, want 1, %d and 2 at most", s.flights["a"], s.watches["a"], s.asks["a"], c.watches)
			}
			if took := s.now.Sub(begun); took < c.took || took > c.took+5*time.Second {
				t.Errorf("waited %s, want %s", took, c.took)
			}
		})
	}
}

// A host that cannot wait itself is asked repeatedly.
func TestSettleFromAfar(t *testing.T) {
	for name, err := range map[string]error{"it cannot tell": remote.ErrUnwatchable, "no shell": errors.New("no session")} {
		s := newStage("a")
		s.unwatchable = err
		r := s.play(t, lines(`play "p" { hosts = "all"; task "t" { `+set("x", "1", "settles = 20")+` } }`))
		if got := outcomes(r); !slices.Equal(got, []string{"a t: changed"}) {
			t.Errorf("%s: got %v: %s", name, got, r.Results()[0].Message)
		}
		if s.asks["a"] < 10 {
			t.Errorf("%s: %d flights, want one for each look", name, s.asks["a"])
		}
		if more := s.watches["a"] > 1; more != errors.Is(err, remote.ErrUnwatchable) {
			t.Errorf("%s: tried %d times", name, s.watches["a"])
		}
	}
}
