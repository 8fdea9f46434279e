package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

// The tests run in bubbles of synctest: a lost wake-up ends a test at once, as a dead-lock, and
// "nothing more will happen by itself" is a state that a test can wait for.

// words is observed of a wire: each value is the name and the flight that brought it.
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

// numbers is a second kind, asked with two queries.
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

// wire is the way to a host of a test.
type wire struct {
	host *Host

	mu      sync.Mutex
	flights []string // "a b | c": the names asked for, by query
	dials   int
	dead    error         // what dialling meets
	fails   error         // what asking meets
	short   bool          // answers are missing
	hold    chan struct{} // flights wait for it to be closed
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

// What was seen is doubtful if a step may bring it only where its value says so, be it seen before or after the step.
func TestAValueThatAStepMayChange(t *testing.T) {
	small := Expectation{
		Match: func(k Key) bool { return k.Kind == counts.Name }, If: func(value any) bool { return value.(int) < 2 }, Unknown: "it may grow",
	}
	w := newWire(t.Context(), "n1")
	if n, err := counts.Observe(t.Context(), w.host, "a"); err != nil || n != 1 {
		t.Fatalf("a is %d (%v)", n, err)
	}
	w.host.Predict([]Expectation{small})
	if _, err := counts.Observe(t.Context(), w.host, "a"); !IsUnknown(err) {
		t.Errorf("a, which was seen before, is no longer known, but observing it gave %v", err)
	}
	if value, ok := w.host.Known(counts.Key("a")); ok {
		t.Errorf("a counts as known: %v", value)
	}
	if n, err := counts.Observe(t.Context(), w.host, "b"); err != nil || n != 2 {
		t.Errorf("b is %d (%v), expected it to be as it was seen", n, err)
	}
}

// counts are the number of the flight in which each was asked for.
var counts = &Kind[int]{
	Name: "test-count",
	Ask:  func(names []string) []remote.Query { return []remote.Query{{Args: names}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, int, error)) {
		for _, name := range names {
			n, err := strconv.Atoi(string(answers[0].Stdout))
			tell(name, n, err)
		}
	},
}

// in runs a test's body many times over, each in a bubble of its own, for what depends on the order
// in which goroutines happen to run.
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

// reads is a planner that observes words one after another.
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

// wantIdle says that every planner of a host has ended, or waits.
func wantIdle(t *testing.T, w *wire) {
	t.Helper()
	synctest.Wait()
	if n := running(w.host); n != 0 {
		t.Errorf("%d planners of %s count as running, want none", n, w.host.Name())
	}
}

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
			func(context.Context) {}, // one that reads nothing must not send the others early, nor keep them
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

// Together hands the caller's place over: as long as one of its functions runs nothing leaves, and
// when all have ended the caller is counted again.
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

// Planners of two hosts that observe each other, in both directions at once.
func TestPeers(t *testing.T) {
	in(t, func(t *testing.T) {
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		var wg sync.WaitGroup
		for _, pair := range [][2]*Host{{a.host, b.host}, {b.host, a.host}} {
			home, peer := pair[0], pair[1]
			wg.Go(func() {
				planners(t.Context(), home,
					func(ctx context.Context) {
						for i := range 4 {
							reads(t, home, fmt.Sprint("own", i))(ctx)
							reads(t, peer, fmt.Sprint("peer", i))(ctx)
						}
					},
					reads(t, peer, "own0", "own3", "peer1"),
					func(ctx context.Context) {
						Together(ctx, reads(t, peer, "own1", "x"), reads(t, home, "own1", "y"))
					},
				)
			})
		}
		wg.Wait()
		for _, w := range []*wire{a, b} {
			if n := len(w.sent()); n > 10 { // the names there are: nothing travels twice
				t.Errorf("%d flights to %s: %q", n, w.host.Name(), w.sent())
			}
			wantIdle(t, w)
		}
	})
}

// A planner that waits elsewhere does not hold back its own host's flights; one that runs does.
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
		wantFlights(t, w) // the planner that gave up runs, and may still ask
		close(goOn)
		<-done
		wantFlights(t, w, "1")
		close(other.hold)
		synctest.Wait()
		wantIdle(t, w)
	})
}

// Cancelling at the very moment of landing must count a planner once.
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
		wantFlights(t, w, "x") // one flight in the air at a time
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
		// What a kind says of a name is remembered, be it an error.
		fails("bad", "bad word")
		fails("bad", "bad word")
		fails("untold", "observation word:untold on a: the answer does not mention it")
		fails("broken", "observing word panicked: out of its depth; this is a defect of hlplay")
		wantFlights(t, w, "x", "x", "x", "bad", "untold", "broken")
	})
}

// A kind that panics fails its own observations, with value and stack; those that share its flight are read.
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
		wantFlights(t, w, "x") // and nothing is sent any more
	})
}

func TestPredictions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		a.host.Predict([]Expectation{
			{Match: func(k Key) bool { return strings.HasPrefix(k.Name, "v") }, Unknown: "fog"},
			words.Expect("x", "predicted"),
			words.Expect("v-known", "also predicted"),
			words.Unknown("y", "who knows"),
			words.Expect("x", "there").On(b.host),
			{Key: words.Key("typo"), Value: 7},
		})
		a.host.Forget() // predictions stay
		tests := []struct {
			on   *Host
			name string
			want string // the value, or the error after "!"
		}{
			{a.host, "x", "predicted"},
			{b.host, "x", "there"},
			{a.host, "v-known", "also predicted"}, // what is expected exactly wins, earlier or later
			{a.host, "v-other", "!word:v-other on a cannot be known before the run: fog"},
			{a.host, "y", "!word:y on a cannot be known before the run: who knows"},
			{a.host, "typo", "!observation word:typo on a holds a int: a step expected a value of the wrong type"},
			{a.host, "z", "z 1"},
			{b.host, "v-other", "v-other 1"},
		}
		for _, test := range tests {
			words.Want(test.on, test.name) // wanting what is predicted sends nothing
			planners(t.Context(), a.host, func(ctx context.Context) {
				got, err := words.Observe(ctx, test.on, test.name)
				if err != nil {
					got = "!" + err.Error()
				}
				if got != test.want {
					t.Errorf("%s on %s: %q, want %q", test.name, test.on.Name(), got, test.want)
				}
				if IsUnknown(err) != strings.Contains(test.want, "cannot be known") {
					t.Errorf("%s on %s: IsUnknown(%v) is %v", test.name, test.on.Name(), err, IsUnknown(err))
				}
			})
		}
		wantFlights(t, a, "z")
		wantFlights(t, b, "v-other")
		if _, ok := a.host.Known(words.Key("y")); ok {
			t.Error("what is unknowable is known")
		}
		if v, _ := a.host.Known(words.Key("x")); v != "predicted" {
			t.Errorf("known under x: %v", v)
		}
		// What has become unknowable is not known from before.
		a.host.Predict([]Expectation{words.Unknown("z", "who knows")})
		if v, ok := a.host.Known(words.Key("z")); ok {
			t.Errorf("what has become unknowable is known to be %v", v)
		}
	})
}

func TestTrackerRemembersPeers(t *testing.T) {
	in(t, func(t *testing.T) {
		a, b, c := newWire(t.Context(), "a"), newWire(t.Context(), "b"), newWire(t.Context(), "c")
		ctx, saw := Track(t.Context())
		planners(ctx, a.host, reads(t, a.host, "1"), func(ctx context.Context) {
			Together(ctx, reads(t, b.host, "1"), reads(t, a.host, "2"))
		})
		if !saw.Saw(b.host) || saw.Saw(c.host) {
			t.Errorf("saw b: %v, c: %v; want b alone", saw.Saw(b.host), saw.Saw(c.host))
		}
	})
}

func TestRecordedHost(t *testing.T) {
	h := NewRecorded("a", words.Expect("x", "1"))
	if got, err := words.Observe(t.Context(), h, "x"); got != "1" || err != nil {
		t.Errorf("x: %q, %v", got, err)
	}
	if _, err := words.Observe(t.Context(), h, "y"); err == nil {
		t.Error("what is not recorded was observed")
	}
}

// What may come leaves what is there as it is, and what is not there in doubt; what a step is known to bring or to take is sure.
func TestWhatMayAppear(t *testing.T) {
	h := NewRecorded("h", Files.Expect("/etc/there", File{Type: Regular}))
	h.memory[Files.Key("/etc/absent")] = &entry{kind: Files, key: Files.Key("/etc/absent"), value: File{}, done: true}
	if err := Files.MayAppear(h, "/etc/absent"); err != nil {
		t.Errorf("before any step: %v", err)
	}
	h.Predict([]Expectation{
		{Match: func(k Key) bool { return k.Kind == Files.Name }, Appears: true, Unknown: "a package may bring it"},
		Files.Expect("/etc/removed", File{}),
	})
	if f, err := Files.Observe(t.Context(), h, "/etc/absent"); err != nil || f.Exists() {
		t.Errorf("what is not there is observed as %+v (%v), expected as it is", f, err)
	}
	for name, doubtful := range map[string]bool{"/etc/absent": true, "/etc/removed": false, "/etc/there": false} {
		err := Files.MayAppear(h, name)
		if doubtful != IsUnknown(err) || !doubtful && err != nil {
			t.Errorf("%s: %v, expected a doubt: %v", name, err, doubtful)
		}
	}
	if err := Users.MayAppear(h, "x"); err != nil {
		t.Errorf("a kind that the step does not name: %v", err)
	}
}
