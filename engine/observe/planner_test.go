package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

func TestPlannersTravelTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		planners(t.Context(), w.host,
			reads(t, w.host, "1", "2", "3"),
			reads(t, w.host, "4", "2"),
			reads(t, w.host, "1", "5", "6", "7"),
			func(ctx context.Context) {
				if n, err := numbers.Observe(ctx, w.host, "n"); n != 2 || err != nil {
					t.Errorf("number n: %d, %v", n, err)
				}
			},
			func(context.Context) {}, // a function that reads nothing must neither release the flight early nor hold it back
		)
		wantFlights(t, w, "n |  | 1 4", "2 5", "3 6", "7")
		if flights, observations := w.host.Flights(); flights != 4 || observations != 8 {
			t.Errorf("%d flights with %d observations, want 4 with 8", flights, observations)
		}
		if w.dials != 1 {
			t.Errorf("dialled %d times, want once", w.dials)
		}
	})
}

func TestWantTravelsWithTheNext(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		words.Want(w.host, "1", "2")
		synctest.Wait()
		wantFlights(t, w)
		planners(t.Context(), w.host, reads(t, w.host, "3", "1", "2"))
		wantFlights(t, w, "1 2 3")
	})
}

func TestObserveAllIsOneFlight(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		planners(t.Context(), w.host, func(ctx context.Context) {
			all, err := words.ObserveAll(ctx, w.host, []string{"2", "1", "2"})
			if err != nil || len(all) != 2 || all["1"] != "1 1" || all["2"] != "2 1" {
				t.Errorf("got %v, %v", all, err)
			}
			if _, err := words.ObserveAll(ctx, w.host, []string{"1", "bad"}); err == nil || err.Error() != "bad word" {
				t.Errorf("an error of one is not that of all: %v", err)
			}
		})
		wantFlights(t, w, "1 2", "bad")
	})
}

// Together hands over the caller's place: nothing is sent while any of its functions is running, and the caller counts
// again when all have ended.
func TestTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		planners(t.Context(), w.host,
			func(ctx context.Context) {
				Together(ctx)
				Together(ctx,
					reads(t, w.host, "a1", "a2"),
					reads(t, w.host, "b1", "b2", "b3"),
					func(ctx context.Context) {
						Together(ctx, reads(t, w.host, "c1"), reads(t, w.host, "d1", "d2"), func(context.Context) {})
						reads(t, w.host, "e3")(ctx)
					},
					func(context.Context) {},
				)
				reads(t, w.host, "f4")(ctx)
			},
			reads(t, w.host, "g1", "g2", "g3", "g4"),
		)
		wantFlights(t, w, "a1 b1 c1 d1 g1", "a2 b2 d2 g2", "b3 e3 g3", "f4 g4")
	})
}

func TestTogetherWithoutAPlanner(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		Together(t.Context(), reads(t, w.host, "1"), reads(t, w.host, "2"))
	})
}

func TestTogetherPanicsInItsCaller(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		planners(t.Context(), w.host,
			func(ctx context.Context) {
				defer func() {
					if p, ok := recover().(*defect.Error); !ok || p.Value != "oops" || !strings.HasPrefix(p.Stack[0].Function, "hlplay/engine/observe.TestTogetherPanicsInItsCaller") {
						t.Errorf("recovered %v, want oops with the stack of the goroutine that panicked", p)
					}
					reads(t, w.host, "3")(ctx)
				}()
				Together(ctx, reads(t, w.host, "1"), func(context.Context) { panic("oops") })
			},
			reads(t, w.host, "1", "2"),
		)
		wantFlights(t, w, "1", "2 3")
	})
}

// A planner that waits elsewhere does not hold back its own host's flights; a planner that is running does.
func TestWaitingOnAPeerHoldsNothingBack(t *testing.T) {
	in(t, func(t *testing.T) {
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		b.hold = make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			planners(t.Context(), a.host, reads(t, b.host, "far"), reads(t, a.host, "near"))
		}()
		synctest.Wait()
		wantFlights(t, b, "far")
		wantFlights(t, a, "near")
		wantIdle(t, a)
		close(b.hold)
		<-done
	})
}

func TestCancelledPlannerCounts(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		other := newWire(t.Context(), "b")
		other.hold = make(chan struct{})
		blocked, cancel := context.WithCancel(t.Context())
		gaveUp, goOn := make(chan struct{}), make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			planners(t.Context(), w.host,
				func(ctx context.Context) {
					// The planner's own place, under a context that ends.
					ctx, stop := context.WithCancel(ctx)
					defer context.AfterFunc(blocked, stop)()
					if _, err := words.Observe(ctx, other.host, "never"); !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want that it was cancelled", err)
					}
					close(gaveUp)
					<-goOn
				},
				func(ctx context.Context) {
					<-gaveUp
					reads(t, w.host, "1")(ctx)
				},
			)
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		wantFlights(t, w) // the planner that gave up is running and may still ask
		close(goOn)
		<-done
		wantFlights(t, w, "1")
		close(other.hold)
		synctest.Wait()
		wantIdle(t, w)
	})
}

// A planner that is cancelled at the very moment its flight lands must be counted once.
func TestCancelAsTheFlightLands(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		w.hold = make(chan struct{})
		for i := range 8 {
			w.host.Go(ctx, func(ctx context.Context) {
				_, _ = words.Observe(ctx, w.host, fmt.Sprint(i))
				if n := running(w.host); n < 1 {
					t.Errorf("a planner runs and %d count as running", n)
				}
			})
		}
		synctest.Wait()
		go cancel()
		close(w.hold)
		synctest.Wait()
		wantIdle(t, w)
		planners(t.Context(), w.host, reads(t, w.host, "later"))
	})
}

// A plan that is overtaken by a change reads the rest in one flight, as it did before.
func TestOvertakenPlansReadTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		var before *Tracker
		planners(t.Context(), w.host, func(ctx context.Context) {
			ctx, before = Track(ctx)
			reads(t, w.host, "1", "2", "3", "4")(ctx)
		})
		w.host.Forget()
		planners(t.Context(), w.host, func(ctx context.Context) {
			w.host.Want(before.Reads())
			ctx, saw := Track(ctx)
			saw.Likely(before.Reads())
			reads(t, w.host, "1")(ctx)
			w.host.Forget()
			reads(t, w.host, "2", "3", "5")(ctx)
		})
		wantFlights(t, w, "1", "2", "3", "4", "1 2 3 4", "2 3 4", "5")
	})
}

// The answers to one kind's queries also serve a kind that asks the same, until something may have changed.
func TestCommonAnswers(t *testing.T) {
	asked := func([]string) []remote.Query { return []remote.Query{{Script: "all", Args: []string{"all"}}} }
	these := &Kind[string]{Name: "this", Common: true, Shared: Always, Ask: asked, Parse: words.Parse}
	those := &Kind[string]{Name: "that", Common: true, Shared: Always, Ask: asked, Parse: words.Parse}
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		want := func(k *Kind[string], name, flight string) func(context.Context) {
			return func(ctx context.Context) {
				if got, err := k.Observe(ctx, w.host, name); err != nil || got != name+" "+flight {
					t.Errorf("%s %s: %q, %v, want that of flight %s", k.Name, name, got, err, flight)
				}
			}
		}
		planners(t.Context(), w.host, func(ctx context.Context) {
			want(these, "1", "1")(ctx)
			want(those, "1", "1")(ctx)
			want(those, "2", "1")(ctx)
			if _, err := those.Observe(ctx, w.host, "bad"); err == nil || err.Error() != "bad word" {
				t.Errorf("an error of one: %v", err)
			}
			if _, err := those.Observe(ctx, w.host, "broken"); err == nil || !strings.Contains(err.Error(), "out of its depth") {
				t.Errorf("a panic of one: %v", err)
			}
			if _, err := those.Observe(ctx, w.host, "untold"); err == nil || !strings.Contains(err.Error(), "does not mention it") {
				t.Errorf("one that is left out: %v", err)
			}
			w.host.Forget()
			want(those, "1", "2")(ctx)
			w.host.ForgetShared()
			want(these, "3", "3")(ctx)
		})
		readback := w.host.Readback([]Read{{these, "1"}}, everything)
		readback.Arrive(arrival(readback, "behind the step"))
		planners(t.Context(), w.host, want(those, "4", "behind the step"))
		wantFlights(t, w, "all", "all", "all")
		hold := make(chan struct{}) // an answer from before a change is no answer for the time after it
		w.host.Forget()
		w.mu.Lock()
		w.hold = hold
		w.mu.Unlock()
		w.host.Go(t.Context(), want(these, "1", "4"))
		synctest.Wait()
		w.host.Forget()
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
		synctest.Wait()
		planners(t.Context(), w.host, want(those, "1", "5"))
	})
}
