package observe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

func TestForgetDuringAFlight(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		w.hold = make(chan struct{})
		var before, after string
		w.host.Go(t.Context(), func(ctx context.Context) { before, _ = words.Observe(ctx, w.host, "x") })
		synctest.Wait()
		w.host.Forget()
		w.host.Go(t.Context(), func(ctx context.Context) { after, _ = words.Observe(ctx, w.host, "x") })
		synctest.Wait()
		wantFlights(t, w, "x") // one flight at a time
		close(w.hold)
		synctest.Wait()
		if before != "x 1" || after != "x 2" {
			t.Errorf("who waited got %q, who asked after Forget %q; want the first and the second flight's", before, after)
		}
		if known, _ := w.host.Known(words.Key("x")); known != "x 2" {
			t.Errorf("remembered is %v, want x 2", known)
		}
	})
}

func TestForgetKeepsWhatHasNotLeft(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		words.Want(w.host, "x")
		w.host.Forget()
		planners(t.Context(), w.host, reads(t, w.host, "x"))
		wantFlights(t, w, "x")
		w.host.Forget()
		planners(t.Context(), w.host, reads(t, w.host, "x"))
		wantFlights(t, w, "x", "x")
	})
}

func TestFailedFlightsAreNotRemembered(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		fails := func(name, want string) {
			t.Helper()
			planners(t.Context(), w.host, func(ctx context.Context) {
				if _, err := words.Observe(ctx, w.host, name); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %q", name, err, want)
				}
			})
		}
		w.dead = errors.New("nobody answers")
		fails("x", "nobody answers")
		fails("x", "nobody answers")
		if w.dials != 2 {
			t.Errorf("dialled %d times in two flights that failed", w.dials)
		}
		w.dead, w.fails = nil, errors.New("line cut")
		fails("x", "line cut")
		w.fails, w.short = nil, true
		fails("x", "a answered 0 of 1 queries")
		w.short = false
		planners(t.Context(), w.host, reads(t, w.host, "x"))
		wantFlights(t, w, "x", "x", "x")
		if w.dials != 3 {
			t.Errorf("dialled %d times, want no more than needed: 3", w.dials)
		}
		// What a kind reports for a name is remembered, even if it is an error.
		fails("bad", "bad word")
		fails("bad", "bad word")
		fails("untold", "observation word:untold on a: the answer does not mention it")
		fails("broken", "observing word panicked: out of its depth; this is a defect of hlplay")
		wantFlights(t, w, "x", "x", "x", "bad", "untold", "broken")
	})
}

// A kind that panics fails only its own observations, with the panic's value and stack; other observations in the same
// flight succeed.
func TestKindThatPanics(t *testing.T) {
	unaskable := &Kind[int]{Name: "unaskable", Ask: func([]string) []remote.Query { panic("nothing to ask") }}
	planner := func(w *wire, observe func(ctx context.Context) error, value, function string) func(ctx context.Context) {
		return func(ctx context.Context) {
			var caught *defect.Error
			if err := observe(ctx); !errors.As(err, &caught) || caught.Value != value || !strings.HasPrefix(caught.Stack[0].Function, "hlplay/engine/observe."+function) {
				t.Errorf("got %v, want %q from %s", err, value, function)
			}
		}
	}
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		parsing := planner(w, func(ctx context.Context) error { _, err := words.Observe(ctx, w.host, "broken"); return err }, "out of its depth", "init")
		asking := planner(w, func(ctx context.Context) error { _, err := unaskable.Observe(ctx, w.host, "x"); return err }, "nothing to ask", "TestKindThatPanics")
		planners(t.Context(), w.host, parsing, asking, func(ctx context.Context) {
			if n, err := numbers.Observe(ctx, w.host, "1"); n != 2 || err != nil {
				t.Errorf("a number of the same flight is %d, %v", n, err)
			}
		})
		wantFlights(t, w, "1 |  | broken")

		readback := w.host.Readback([]Read{{words, "broken"}, {unaskable, "y"}, {numbers, "2"}}, everything)
		readback.Arrive(arrival(readback, "x"))
		planners(t.Context(), w.host, parsing, func(ctx context.Context) {
			if n, err := numbers.Observe(ctx, w.host, "2"); n != 2 || err != nil {
				t.Errorf("a number that was read back is %d, %v", n, err)
			}
		})
	})
}

func TestEndOfTheRunEndsFlights(t *testing.T) {
	in(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWire(ctx, "a")
		w.hold = make(chan struct{})
		var got error
		w.host.Go(t.Context(), func(ctx context.Context) { _, got = words.Observe(ctx, w.host, "x") })
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(got, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", got)
		}
		w.host.Go(t.Context(), func(ctx context.Context) { _, got = words.Observe(ctx, w.host, "y") })
		synctest.Wait()
		if !errors.Is(got, context.Canceled) {
			t.Errorf("after the end: got %v, want that it was cancelled", got)
		}
		wantFlights(t, w, "x") // and nothing more is sent
	})
}
