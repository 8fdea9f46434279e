package report

import (
	"fmt"
	"sync"
)

// Underway is a Reporter that knows what each host is doing. Its zero value is ready to use. Its methods are safe for concurrent use.
type Underway struct {
	mu    sync.Mutex
	order []string // the hosts in the inventory's order
	at    map[string]Progress
	ended bool
}

// Report keeps what each host is doing.
func (u *Underway) Report(e Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e := e.(type) {
	case RunStarted:
		u.order, u.at = e.Hosts, map[string]Progress{}
	case Progress:
		if e.What == "" {
			delete(u.at, e.Host)
		} else if u.at != nil {
			u.at[e.Host] = e
		}
	case TaskResult:
		delete(u.at, e.Host)
	case Recap:
		u.ended = true
	}
}

// Close does nothing.
func (u *Underway) Close() error { return nil }

// Running reports whether a run is in progress.
func (u *Underway) Running() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at != nil && !u.ended
}

// Lines returns a line for each host that is doing something. bound are those whose command ends with the run, detached
// those whose host completes the command.
func (u *Underway) Lines() (bound, detached []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, host := range u.order {
		p, ok := u.at[host]
		if !ok {
			continue
		}
		line := host + ": " + p.What
		if p.Awaits {
			line = host + ": waits for " + p.What
		}
		if p.Task != "" {
			line += fmt.Sprintf(" (task %q)", p.Task)
		}
		if p.Detached {
			detached = append(detached, line)
		} else {
			bound = append(bound, line)
		}
	}
	return bound, detached
}
