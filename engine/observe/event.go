package observe

import (
	"context"
	"sync"
)

// Event is something that planners wait for beside observations: another plan. It happens once; its
// zero value has not happened yet.
type Event struct {
	mu       sync.Mutex
	happened bool
	waiters  map[*waiter]struct{}
}

// Wait returns when the event has happened, or with the context's error. A planner that waits does not
// hold back its host's flights.
func (e *Event) Wait(ctx context.Context) error {
	e.mu.Lock()
	if e.happened {
		e.mu.Unlock()
		return nil
	}
	home, _ := ctx.Value(plannerKey{}).(*Host)
	w := &waiter{home: home, wake: make(chan struct{})}
	if e.waiters == nil {
		e.waiters = map[*waiter]struct{}{}
	}
	e.waiters[w] = struct{}{}
	e.mu.Unlock()
	if home != nil {
		home.leave()
	}
	return w.await(ctx, &e.mu, e.waiters)
}

// Happened reports whether Happen was called.
func (e *Event) Happened() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.happened
}

// Happen wakes all that wait. A planner that calls it and then ends lets no flight go before those that
// it woke have said what they read.
func (e *Event) Happen() {
	e.mu.Lock()
	e.happened = true
	woken := make([]*waiter, 0, len(e.waiters))
	for w := range e.waiters {
		woken = append(woken, w)
	}
	clear(e.waiters)
	e.mu.Unlock()
	wake(woken)
}
