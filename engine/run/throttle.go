package run

import (
	"context"
	"sync"
)

// throttle limits how many hosts a task changes at a time. Each host has its own limit: it starts when fewer hosts than
// that are in progress.
type throttle struct {
	mu     sync.Mutex
	inside int
	left   chan struct{} // closed and replaced when a host leaves
}

// enter waits until fewer than most hosts are inside, and returns the function with which the host leaves. If most is
// zero, there is no limit and the host does not count.
func (t *throttle) enter(ctx context.Context, most int) (leave func()) {
	if most == 0 {
		return func() {}
	}
	for {
		t.mu.Lock()
		if t.inside < most {
			t.inside++
			t.mu.Unlock()
			return t.leave
		}
		if t.left == nil {
			t.left = make(chan struct{})
		}
		left := t.left
		t.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return func() {}
		}
	}
}

func (t *throttle) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	if t.left != nil {
		close(t.left)
		t.left = nil
	}
}
