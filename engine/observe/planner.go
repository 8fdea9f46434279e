package observe

import (
	"context"
	"sync"
	"sync/atomic"

	"hlplay/engine/defect"
)

// waiter is one goroutine that waits; home is the host whose planner it is, nil for none.
type waiter struct {
	home *Host
	wake chan struct{}
}

// await returns when w is woken, or when ctx ends. waiters are those that w is among until it is to be
// woken, guarded by mu.
func (w *waiter) await(ctx context.Context, mu *sync.Mutex, waiters map[*waiter]struct{}) error {
	select {
	case <-w.wake:
		return nil
	case <-ctx.Done():
	}
	mu.Lock()
	_, still := waiters[w]
	delete(waiters, w)
	mu.Unlock()
	switch {
	case !still: // it is just being counted in and woken
		<-w.wake
	case w.home != nil: // nobody else will count it in
		w.home.arrive()
	}
	return ctx.Err()
}

// wake ends the waiting of all. Planners are counted in before they wake, and all before any: a planner
// that finishes at once must not let a flight go that the others would still add to.
func wake(all []*waiter) {
	for _, w := range all {
		if w.home != nil {
			w.home.arrive()
		}
	}
	for _, w := range all {
		close(w.wake)
	}
}

type plannerKey struct{}

// Go runs fn as a planner of this host: as long as one of a host's planners runs and does not
// wait, the host's next flight is held back for what that planner may still ask. The context
// given to fn must be the one that it observes with.
func (h *Host) Go(ctx context.Context, fn func(ctx context.Context)) {
	h.arrive()
	go func() {
		defer h.leave()
		fn(context.WithValue(ctx, plannerKey{}, h))
	}()
}

// Together runs functions side by side as planners of the calling planner's host and returns when all
// have ended, so that what they read travels together. A panic in one of them is the caller's.
func Together(ctx context.Context, fns ...func(ctx context.Context)) {
	if len(fns) == 0 {
		return
	}
	h, _ := ctx.Value(plannerKey{}).(*Host)
	if h != nil {
		h.mu.Lock()
		h.running += len(fns) - 1 // the caller's own place goes to one of them
		h.mu.Unlock()
	}
	var left atomic.Int64
	left.Store(int64(len(fns)))
	var panicked atomic.Pointer[defect.Error]
	done := make(chan struct{})
	for _, fn := range fns {
		go func() {
			defer func() {
				if p := recover(); p != nil {
					panicked.Store(defect.Recovered("reading", p))
				}
				switch {
				case left.Add(-1) == 0: // its place goes back to the caller
					close(done)
				case h != nil:
					h.leave()
				}
			}()
			fn(ctx)
		}()
	}
	<-done
	if p := panicked.Load(); p != nil {
		panic(p)
	}
}

func (h *Host) arrive() {
	h.mu.Lock()
	h.running++
	h.mu.Unlock()
}

func (h *Host) leave() {
	h.mu.Lock()
	h.running--
	h.flushLocked()
	h.mu.Unlock()
}
