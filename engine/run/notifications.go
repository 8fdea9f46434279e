package run

import (
	"maps"
	"slices"
	"sync"
)

// handlerKey is a handler that was notified on a host.
type handlerKey struct{ play, handler, host string }

// notice is how sure it is that a handler is to run on a host. The surest of its tasks decides.
type notice int

const (
	// missed is of a task that failed and yet may have made its change: to act on it would be
	// rash, but the next run can find the task done and not notify again, so a person must know.
	missed notice = 1 + iota
	// doubtful is of a task of which check mode cannot know whether it changes anything.
	doubtful
	// due is of a task that changed something.
	due
)

// notifications are the handlers that were notified and have not run yet.
type notifications struct {
	mu      sync.Mutex
	pending map[handlerKey]notice
	overdue map[handlerKey]bool // that were found due from earlier runs
}

func newNotifications() *notifications {
	return &notifications{pending: map[handlerKey]notice{}, overdue: map[handlerKey]bool{}}
}

// add notes the handlers that a task notifies.
func (n *notifications) add(t *task, h *host, sure notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range t.Notify {
		key := handlerKey{t.play.Name, name, h.Name}
		n.pending[key] = max(sure, n.pending[key])
	}
}

// takeOver notes a handler that an earlier run has left due, and reports whether that was new.
func (n *notifications) takeOver(handler *task, h *host) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := handlerKey{handler.play.Name, handler.Name, h.Name}
	if n.overdue[key] {
		return false
	}
	n.overdue[key], n.pending[key] = true, due
	return true
}

// has reports whether a handler was notified on a host and has not run yet.
func (n *notifications) has(key handlerKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, has := n.pending[key]
	return has
}

// take returns how sure it is that a handler is to run on a host, and forgets it if it is to be run or shown.
func (n *notifications) take(handler *task, h *host) notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := handlerKey{handler.play.Name, handler.Name, h.Name}
	sure := n.pending[key]
	if sure >= doubtful {
		delete(n.pending, key)
	}
	return sure
}

// left returns what was notified and has not run, in no particular order.
func (n *notifications) left() []handlerKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.pending))
}
