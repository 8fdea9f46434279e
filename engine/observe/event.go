package observe

import (
	"context"
	"sync"
)

// Event is something that planners wait for and that is not an observation, such as another plan. It happens once. The
// zero value has not happened yet.
type Event struct {
	mu       sync.Mutex
	happened bool
	waiters  map[*waiter]struct{}
}

// Wait returns nil once the event has happened, or the context's error. A planner that is waiting does not hold back
// the flights of its host.
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

// Happened reports whether Happen has been called.
func (e *Event) Happened() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.happened
}

// Happen wakes everyone who is waiting. If a planner calls Happen and then ends, no flight leaves before the planners
// that it woke have asked for what they read.
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
