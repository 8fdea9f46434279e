package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// Unfulfilled is an expectation of a task's step that does not match the host.
type Unfulfilled struct {
	// Host is the host for which the task ran.
	Host, Task, Module string
	observe.Unfulfilled
}

func (u Unfulfilled) String() string {
	return fmt.Sprintf("%s: task %q: module %s expected something else than was observed: %s", u.Host, u.Task, u.Module, u.Unfulfilled)
}

// fulfil compares what an item's steps expect with the hosts. An effect may take as long to show as its step says.
func (e *execution) fulfil(ctx context.Context, done []modules.Step) {
	if e.unfulfilled == nil || e.check || len(done) == 0 || e.host.sent.waiting() { // the host is further already
		return
	}
	var expect []observe.Expectation
	var limit time.Duration
	for _, step := range done {
		expect = append(expect, step.Expect...)
		limit = max(limit, step.Settle)
	}
	begun := e.clock.Now()
	for retry := (backoff{250 * time.Millisecond, 2 * time.Second}); ; {
		looked := e.clock.Now()
		found := slices.DeleteFunc(e.host.observed.Fulfil(ctx, expect), func(u observe.Unfulfilled) bool {
			var lost *remote.UnreachableError
			return errors.As(u.Err, &lost) // unknown, because the host was lost
		})
		if len(found) > 0 && looked.Sub(begun) < limit && retry.sleep(ctx, e.clock) == nil {
			continue
		}
		for _, u := range found {
			if ctx.Err() == nil { // otherwise unknown
				e.unfulfilled(Unfulfilled{e.host.Name, e.task.Name, e.task.Module.Name, u})
			}
		}
		return
	}
}
