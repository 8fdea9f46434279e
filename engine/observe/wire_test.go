package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"hlplay/engine/remote"
)

// The tests run in synctest bubbles: a lost wake-up is a deadlock and ends a test at once, and a test can wait for the
// state in which nothing more happens by itself.

// words is observed over a wire: each value consists of the name and the flight that fetched it.
var words = &Kind[string]{
	Name: "word",
	Ask:  func(names []string) []remote.Query { return []remote.Query{{Script: "word", Args: names}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		for _, name := range names {
			switch name {
			case "untold":
			case "broken":
				panic("out of its depth")
			case "bad":
				tell(name, "", errors.New("bad word"))
			default:
				tell(name, name+" "+string(answers[0].Stdout), nil)
			}
		}
	},
}

// numbers is a second kind, which asks two queries.
var numbers = &Kind[int]{
	Name: "number",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Script: "number", Args: names}, {Script: "more"}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, int, error)) {
		for _, name := range names {
			tell(name, len(answers), nil)
		}
	},
}

// wire is the connection to a host in a test.
type wire struct {
	host *Host

	mu      sync.Mutex
	flights []string // "a b | c": the names asked for, by query
	dials   int
	dead    error         // the error from dialling
	fails   error         // the error from asking
	short   bool          // some answers are missing
	hold    chan struct{} // flights wait until it is closed
}

func newWire(ctx context.Context, name string) *wire {
	w := &wire{}
	w.host = NewHost(ctx, name, name, func(context.Context) (Asker, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dials++
		return w, w.dead
	})
	return w
}

func (w *wire) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	w.mu.Lock()
	var asked []string
	for _, q := range queries {
		asked = append(asked, strings.Join(q.Args, " "))
	}
	w.flights = append(w.flights, strings.Trim(strings.Join(asked, " | "), " |"))
	n, hold, err, short := len(w.flights), w.hold, w.fails, w.short
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil || short {
		return nil, err
	}
	answers := make([]remote.Answer, len(queries))
	for i := range answers {
		answers[i].Stdout = fmt.Append(nil, n)
	}
	return answers, nil
}

func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.flights)
}

// in runs the body of a test many times, each time in a new bubble, to cover different orders in which goroutines may
// run.
func in(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	for range 200 {
		synctest.Test(t, body)
		if t.Failed() {
			return
		}
	}
}

// planners runs functions as planners of a host that start together, and returns when all have ended.
func planners(ctx context.Context, h *Host, fns ...func(ctx context.Context)) {
	var wg sync.WaitGroup
	wg.Add(len(fns))
	h.Go(ctx, func(ctx context.Context) {
		for _, fn := range fns {
			h.Go(ctx, func(ctx context.Context) {
				defer wg.Done()
				fn(ctx)
			})
		}
	})
	wg.Wait()
}

// reads returns a planner that observes words one after another.
func reads(t *testing.T, on *Host, names ...string) func(context.Context) {
	return func(ctx context.Context) {
		for _, name := range names {
			if got, err := words.Observe(ctx, on, name); err != nil || !strings.HasPrefix(got, name+" ") {
				t.Errorf("%s on %s: got %q, %v", name, on.Name(), got, err)
			}
		}
	}
}

func wantFlights(t *testing.T, w *wire, want ...string) {
	t.Helper()
	if got := w.sent(); !slices.Equal(got, want) {
		t.Errorf("flights to %s: %q, want %q", w.host.Name(), got, want)
	}
}

func running(h *Host) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running
}

// wantIdle checks that every planner of a host has ended or is waiting.
func wantIdle(t *testing.T, w *wire) {
	t.Helper()
	synctest.Wait()
	if n := running(w.host); n != 0 {
		t.Errorf("%d planners of %s count as running, want none", n, w.host.Name())
	}
}
