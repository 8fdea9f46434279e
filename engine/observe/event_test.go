package observe

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// Planners that wait for another planner's plan all read in the next flight after that plan's.
func TestEventsKeepFlightsTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		var planned Event
		follow := func(name string) func(context.Context) {
			return func(ctx context.Context) {
				if err := planned.Wait(ctx); err != nil {
					t.Error(err)
				}
				reads(t, w.host, name)(ctx)
			}
		}
		planners(t.Context(), w.host,
			follow("b1"), follow("b2"),
			func(ctx context.Context) {
				reads(t, w.host, "a1")(ctx)
				planned.Happen()
			},
			follow("b3"),
			reads(t, w.host, "a2", "b4"),
		)
		wantFlights(t, w, "a1 a2", "b1 b2 b3 b4")
		follow("a1")(t.Context()) // an event that has happened is not waited for
		if !planned.Happened() {
			t.Error("an event that happened has not")
		}
	})
}

func TestCancelledWaitForAnEvent(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		var never, soon Event
		var wg sync.WaitGroup
		for range 4 {
			for _, e := range []*Event{&never, &soon} {
				wg.Add(1)
				w.host.Go(ctx, func(ctx context.Context) {
					defer wg.Done()
					if err := e.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if n := running(w.host); n < 1 {
						t.Errorf("a planner runs and %d count as running", n)
					}
				})
			}
		}
		synctest.Wait()
		go soon.Happen()
		cancel()
		wg.Wait()
		wantIdle(t, w)
	})
}
