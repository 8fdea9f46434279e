package observe

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// steady is a kind that no step changes.
var steady = &Kind[string]{Name: "steady", Lasting: true, Ask: words.Ask, Parse: words.Parse}

func everything(remote.Query) bool { return true }

// arrival returns answers that came with a step.
func arrival(readback *Readback, text string) []remote.Answer {
	answers := make([]remote.Answer, len(readback.Queries()))
	for i := range answers {
		answers[i].Stdout = []byte(text)
	}
	return answers
}

// tracked returns what a planner of a host read.
func tracked(t *testing.T, h *Host, names ...string) []Read {
	t.Helper()
	ctx, saw := Track(context.Background())
	planners(ctx, h, reads(t, h, names...))
	return saw.Reads()
}

// What is read with a step is remembered from then on, and what was remembered before is forgotten.
func TestReadback(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		read := tracked(t, w.host, "one", "two", "one")
		planners(t.Context(), w.host, reads(t, w.host, "other"))
		readback := w.host.Readback(read, everything)
		if q := readback.Queries(); len(q) != 1 || !slices.Equal(q[0].Args, []string{"one", "two"}) {
			t.Fatalf("the readback asks %v, want one query for one and two", q)
		}
		readback.Arrive(arrival(readback, "behind the step"))
		before := len(w.sent())
		planners(t.Context(), w.host, func(ctx context.Context) {
			for _, name := range []string{"one", "two"} {
				if got, err := words.Observe(ctx, w.host, name); got != name+" behind the step" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
		if after := w.sent(); len(after) != before {
			t.Errorf("flights for what came with the step: %v", after[before:])
		}
		planners(t.Context(), w.host, reads(t, w.host, "other"))
		if after := w.sent(); len(after) != before+1 {
			t.Errorf("what was read before the step is still remembered")
		}
	})
}

// A readback without answers, or during which something else has changed the host, leaves nothing behind: its
// observations are read again.
func TestReadbackThatIsNotBelieved(t *testing.T) {
	for name, land := range map[string]func(*Host, *Readback){
		"no answers": func(_ *Host, r *Readback) { r.Arrive(nil) },
		"forgotten":  func(h *Host, r *Readback) { h.Forget(); r.Arrive(arrival(r, "stale")) },
		"broken": func(h *Host, r *Readback) {
			r.Arrive(nil)
			broken := h.Readback([]Read{{words, "broken"}}, everything)
			broken.Arrive(arrival(broken, "x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWire(t.Context(), "a")
				land(w.host, w.host.Readback(tracked(t, w.host, "one"), everything))
				planners(t.Context(), w.host, reads(t, w.host, "one"))
				if diff := cmp.Diff([]string{"one", "one"}, w.sent()); diff != "" {
					t.Errorf("flights (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A host that is ahead has answered before its steps are taken into account. What is its own is remembered then, but not what
// another host may have changed in between.
func TestReadbackOfAHostThatIsAhead(t *testing.T) {
	common := &Kind[string]{Name: "common", Shared: Always, Ask: words.Ask, Parse: words.Parse}
	for name, test := range map[string]struct {
		between func(*Host)
		want    []string
	}{
		"a step of its own": {(*Host).Forget, nil},
		"one on another":    {(*Host).ForgetShared, []string{"shared"}},
		"one of each":       {func(h *Host) { h.Forget(); h.ForgetShared() }, []string{"shared"}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWire(t.Context(), "a")
				readback := w.host.Readback([]Read{{words, "own"}, {common, "shared"}}, everything)
				answers := arrival(readback, "ahead")
				test.between(w.host)
				readback.Renew()
				readback.Arrive(answers)
				planners(t.Context(), w.host, func(ctx context.Context) {
					_, _ = words.Observe(ctx, w.host, "own")
					_, _ = common.Observe(ctx, w.host, "shared")
				})
				if diff := cmp.Diff(test.want, w.sent()); diff != "" {
					t.Errorf("flights (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Observations with rejected queries are left out.
func TestReadbackLeavesOut(t *testing.T) {
	w := newWire(t.Context(), "a")
	readback := w.host.Readback([]Read{{words, "one"}, {numbers, "two"}}, func(q remote.Query) bool { return q.Script == "word" })
	if q := readback.Queries(); len(q) != 1 || q[0].Script != "word" {
		t.Errorf("the readback asks %v, want only for words", q)
	}
}

// Lasting observations are remembered until the host is rebooted, and need not be read back. One that failed may succeed
// after a step.
func TestLasting(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		lookAt := func(name string) {
			planners(t.Context(), w.host, func(ctx context.Context) { _, _ = steady.Observe(ctx, w.host, name) })
		}
		look := func() { lookAt("name") }
		lookAt("bad")
		w.host.Forget()
		lookAt("bad")
		if n := len(w.sent()); n != 2 {
			t.Errorf("%d flights for what failed, want 2", n)
		}
		if q := w.host.Readback([]Read{{steady, "bad"}}, everything).Queries(); len(q) != 1 {
			t.Errorf("what failed is not read with a step: %v", q)
		}
		w = newWire(t.Context(), "a")
		look()
		w.host.Forget()
		look()
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d flights for what lasts, want 1", n)
		}
		if q := w.host.Readback([]Read{{steady, "name"}}, everything).Queries(); len(q) > 0 {
			t.Errorf("what is remembered readbacks: %v", q)
		}
		w.host.ForgetAll()
		look()
		if n := len(w.sent()); n != 2 {
			t.Errorf("%d flights, want another after a reboot", n)
		}
	})
}

// An observation that is only wanted does not start a flight.
func TestWantAloneDoesNotFly(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		planners(t.Context(), w.host, func(context.Context) { words.Want(w.host, "wanted") })
		if flights := w.sent(); len(flights) > 0 {
			t.Errorf("flights for what nobody waits for: %v", flights)
		}
		planners(t.Context(), w.host, reads(t, w.host, "one"))
		if diff := cmp.Diff([]string{"one wanted"}, w.sent()); diff != "" {
			t.Errorf("flights (-want +got):\n%s", diff)
		}
	})
}
