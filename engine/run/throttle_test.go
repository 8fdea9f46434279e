package run

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestThrottle makes hosts wait for one another, each with its own limit.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &throttle{}
		leave := x.enter(t.Context(), 1)
		x.enter(t.Context(), 0)() // hosts without a limit neither wait nor count
		x.enter(t.Context(), 2)()
		entered := false
		go func() {
			defer x.enter(t.Context(), 1)()
			entered = true
		}()
		synctest.Wait()
		if entered {
			t.Error("two hosts are at it, and the second one allows only one")
		}
		leave()
		synctest.Wait()
		if !entered {
			t.Error("the waiting host did not begin although the other one has left")
		}

		defer x.enter(t.Context(), 1)()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		x.enter(ctx, 1)() // does not block
		if x.inside != 1 {
			t.Errorf("%d hosts are inside, expected 1: one whose time ran out was never in", x.inside)
		}
	})
}
