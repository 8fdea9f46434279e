package run

import (
	"maps"
	"slices"
	"sync"

	"hlplay/engine/lang"
)

// handlerKey identifies a handler that was notified on a host.
type handlerKey struct{ play, handler, host string }

// notice says how certain it is that a handler has to run on a host. The most certain of its tasks counts.
type notice int

const (
	// missed: the task failed but may have made its change. The handler is not run, but the next run may find the task
	// done and not notify, so the user is told. The same applies to a handler that the user has left out.
	missed notice = 1 + iota
	// doubtful: check mode cannot know whether the task changes anything.
	doubtful
	// due: the task changed something.
	due
)

// notifications are the notified handlers that have not run yet.
type notifications struct {
	mu      sync.Mutex
	pending map[handlerKey]notice
	overdue map[handlerKey]bool // those that earlier runs have left due
}

func newNotifications() *notifications {
	return &notifications{pending: map[handlerKey]notice{}, overdue: map[handlerKey]bool{}}
}

// add records the handlers that a task notifies.
func (n *notifications) add(t *task, h *host, sure notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range t.Notify {
		key := handlerKey{t.play.Name, name, h.Name}
		n.pending[key] = max(sure, n.pending[key])
	}
}

// takeOver records a handler that an earlier run has left due, and reports whether that is new.
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

// stands reports whether a handler is due on a host, and whether what an earlier run has left due there was taken over.
func (n *notifications) stands(handler *task, h *host) (isDue, tookOver bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := handlerKey{handler.play.Name, handler.Name, h.Name}
	return n.pending[key] == due, n.overdue[key]
}

// anyDue reports whether a handler of a play is due on a host.
func (n *notifications) anyDue(play *lang.Play, h *host) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(play.Handlers, func(t *lang.Task) bool { return n.pending[handlerKey{play.Name, t.Name, h.Name}] == due })
}

// leave records that a handler was left out, so that it still has to run.
func (n *notifications) leave(handler *task, h *host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := handlerKey{handler.play.Name, handler.Name, h.Name}
	n.pending[key] = max(missed, n.pending[key])
}

// has reports whether a handler was notified on a host and has not run yet.
func (n *notifications) has(key handlerKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, has := n.pending[key]
	return has
}

// take returns how certain it is that a handler has to run on a host, and removes it if it will be run or shown.
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

// forget removes a handler that was notified on a host.
func (n *notifications) forget(handler *task, h *host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pending, handlerKey{handler.play.Name, handler.Name, h.Name})
}

// left returns what was notified and has not run, in no particular order.
func (n *notifications) left() []handlerKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.pending))
}
