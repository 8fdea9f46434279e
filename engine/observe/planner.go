package observe

import (
	"context"
	"sync"
	"sync/atomic"

	"hlplay/engine/defect"
)

// waiter is a waiting goroutine. home is the host whose planner it is, or nil.
type waiter struct {
	home *Host
	wake chan struct{}
}

// await returns when w is woken or ctx ends. waiters, guarded by mu, is the set that contains w until w is about to be
// woken.
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
	case !still: // it is being counted and woken right now
		<-w.wake
	case w.home != nil: // it has to count itself
		w.home.arrive()
	}
	return ctx.Err()
}

// wake wakes all waiters. All planners among them are counted as running before the first one wakes: a planner that
// ends at once must not release a flight that the others would still add to.
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

// Go runs fn as a planner of this host. While any planner of a host is running and not waiting, the host's next flight
// is held back for whatever that planner may still ask. fn must observe with the context that it is given.
func (h *Host) Go(ctx context.Context, fn func(ctx context.Context)) {
	h.arrive()
	go func() {
		defer h.leave()
		fn(context.WithValue(ctx, plannerKey{}, h))
	}()
}

// Run is like Go, but runs fn in the caller's goroutine, whose stack has grown already, and returns when it has ended.
func (h *Host) Run(ctx context.Context, fn func(ctx context.Context)) {
	h.arrive()
	defer h.leave()
	fn(context.WithValue(ctx, plannerKey{}, h))
}

// Hold holds the host's next flight back until release is called, for the plans that are about to be made.
func (h *Host) Hold() (release func()) {
	h.arrive()
	return h.leave
}

// Together runs functions concurrently as planners of the calling planner's host, so that what they read is fetched
// together, and returns when all of them have ended. A panic in one of them is raised in the caller.
func Together(ctx context.Context, fns ...func(ctx context.Context)) {
	if len(fns) == 0 {
		return
	}
	h, _ := ctx.Value(plannerKey{}).(*Host)
	if h != nil {
		h.mu.Lock()
		h.running += len(fns) - 1 // one of them takes over the caller's place
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
				case left.Add(-1) == 0: // the caller gets its place back
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
