package observe

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// alikes and ours ask the same queries: the first is the same for all hosts that are united, the second each host's own.
var (
	alikes = &Kind[string]{Name: "alike", Common: true, Alike: true, Shared: Always, Ask: askAll, Parse: words.Parse}
	ours   = &Kind[string]{Name: "ours", Common: true, Shared: Always, Ask: askAll, Parse: words.Parse}
)

func askAll([]string) []remote.Query { return []remote.Query{{Script: "all", Args: []string{"all"}}} }

// What a host was answered behind its step is known to the hosts that are united with it, of kinds that are the same for all of
// them, unless something else has happened to one of the two meanwhile. What the step may have changed is forgotten in any case,
// and nothing else.
func TestLend(t *testing.T) {
	all := func(Read) bool { return true }
	of := func(k *Kind[string]) func(Read) bool { return func(r Read) bool { return r.Key().Kind == k.Name } }
	for name, test := range map[string]struct {
		apart   bool
		touched func(Read) bool
		between func(a, b *Host)
		behind  func(a, b *Host)
		alike   string // what b observes then
		ours    string
		flights []string // of b
	}{
		"what is alike": {
			touched: all, alike: "x behind", ours: "x 2", flights: []string{"all", "all"},
		},
		"what the step does not change": {
			touched: of(alikes), alike: "x behind", ours: "x 1", flights: []string{"all"},
		},
		"nothing is changed": {
			touched: func(Read) bool { return false }, alike: "x 1", ours: "x 1", flights: []string{"all"},
		},
		"hosts that are not united": {
			apart: true, touched: of(alikes), alike: "x 2", ours: "x 1", flights: []string{"all", "all"},
		},
		"something has happened to the borrower": {
			touched: all, between: func(_, b *Host) { b.Forget() }, alike: "x 2", ours: "x 2", flights: []string{"all", "all"},
		},
		"another step has changed the borrower": {
			touched: of(alikes), between: func(_, b *Host) { b.ForgetTouched(of(ours)) }, alike: "x 2", ours: "x 2", flights: []string{"all", "all"},
		},
		"something has happened to the lender": {
			touched: of(alikes), between: func(a, _ *Host) { a.Forget() }, alike: "x 2", ours: "x 1", flights: []string{"all", "all"},
		},
		"another step has changed the lender": {
			touched: of(alikes), between: func(a, _ *Host) { a.ForgetTouched(of(ours)) }, alike: "x 2", ours: "x 1", flights: []string{"all", "all"},
		},
		"a later step changes it again": {
			touched: all, behind: func(_, b *Host) { b.ForgetTouched(of(alikes)) }, alike: "x 2", ours: "x 2", flights: []string{"all", "all"},
		},
		"a later step changes all": {
			touched: of(alikes), behind: func(_, b *Host) { b.Forget() }, alike: "x 2", ours: "x 2", flights: []string{"all", "all"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				unite(t, func(_, _ *Host) bool { return !test.apart })
				a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
				var got []string
				look := func(ctx context.Context) {
					got = nil
					for _, k := range []*Kind[string]{alikes, ours} {
						value, _ := k.Observe(ctx, b.host, "x")
						got = append(got, value)
					}
				}
				planners(t.Context(), b.host, look)
				readback := a.host.Readback([]Read{{alikes, "x"}}, everything)
				readback.LendTo([]*Host{a.host, b.host})
				if test.between != nil {
					test.between(a.host, b.host)
				}
				readback.Arrive(arrival(readback, "behind"))
				readback.Lend(b.host, test.touched)
				if test.behind != nil {
					test.behind(a.host, b.host)
				}
				planners(t.Context(), b.host, look)
				if diff := cmp.Diff([]string{test.alike, test.ours}, got); diff != "" {
					t.Errorf("observed (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.flights, b.sent()); diff != "" {
					t.Errorf("flights (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Nothing is lent of a step that was not answered, and an error of the lender is not the borrower's.
func TestLendOfFailures(t *testing.T) {
	for name, answers := range map[string]func(*Readback) []remote.Answer{
		"no answer": func(*Readback) []remote.Answer { return nil },
		"an error":  func(r *Readback) []remote.Answer { return arrival(r, "behind") },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				unite(t, func(_, _ *Host) bool { return true })
				a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
				readback := a.host.Readback([]Read{{alikes, "x"}}, everything)
				readback.LendTo([]*Host{b.host})
				readback.Arrive(answers(readback))
				readback.Lend(b.host, Read.Shared)
				planners(t.Context(), b.host, func(ctx context.Context) { _, _ = alikes.Observe(ctx, b.host, "bad") })
				if diff := cmp.Diff([]string{"all"}, b.sent()); diff != "" {
					t.Errorf("flights (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What a host could not find out is asked again after a step on another host, even one that does not change it.
func TestFailuresAreNotKeptBeyondSteps(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWire(t.Context(), "a")
		look := func() {
			planners(t.Context(), w.host, func(ctx context.Context) {
				if _, err := alikes.Observe(ctx, w.host, "bad"); err == nil {
					t.Error("it does not fail")
				}
			})
		}
		look()
		look()
		if n := len(w.sent()); n != 1 {
			t.Fatalf("%d flights, want one", n)
		}
		w.host.ForgetTouched(func(Read) bool { return false })
		look()
		if n := len(w.sent()); n != 2 {
			t.Errorf("%d flights, want a second one", n)
		}
	})
}

// unite replaces what unites hosts for a test.
func unite(t *testing.T, u Union) {
	t.Helper()
	before := unions
	unions = []Union{u}
	t.Cleanup(func() { unions = before })
}

// What is lent need not be asked of a host, although it was announced there before, and those who wait for it go on.
func TestLendOfWhatWasAnnounced(t *testing.T) {
	in(t, func(t *testing.T) {
		unite(t, func(_, _ *Host) bool { return true })
		a, b := newWire(t.Context(), "a"), newWire(t.Context(), "b")
		readback := a.host.Readback([]Read{{alikes, "x"}, {alikes, "y"}}, everything)
		readback.LendTo([]*Host{b.host})
		alikes.Want(b.host, "y")
		busy, done := make(chan struct{}), make(chan string)
		b.host.Go(t.Context(), func(context.Context) { <-busy }) // nothing is sent meanwhile
		a.host.Go(t.Context(), func(ctx context.Context) {
			value, err := alikes.Observe(ctx, b.host, "x")
			if err != nil {
				t.Error(err)
			}
			done <- value
		})
		synctest.Wait()
		readback.Arrive(arrival(readback, "behind"))
		readback.Lend(b.host, Read.Shared)
		got := []string{<-done}
		close(busy)
		planners(t.Context(), b.host, func(ctx context.Context) {
			value, _ := alikes.Observe(ctx, b.host, "y")
			got = append(got, value)
		})
		if diff := cmp.Diff([]string{"x behind", "y behind"}, got); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
		if sent := b.sent(); len(sent) > 0 {
			t.Errorf("b was asked: %q", sent)
		}
	})
}
