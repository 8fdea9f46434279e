package observe

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// Planners of two hosts observe each other, in both directions at once.
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
			if n := len(w.sent()); n > 10 { // at most one flight per name: nothing is sent twice
				t.Errorf("%d flights to %s: %q", n, w.host.Name(), w.sent())
			}
			wantIdle(t, w)
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
