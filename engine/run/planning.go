package run

import (
	"context"
	"sync"
	"time"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/report"
)

// hostsAtOnce limits how many hosts are planned ahead at a time. Each of them connects, and has a goroutine per task
// while it is planned; finished plans need little memory.
const hostsAtOnce = 64

// slowHost is how long a slow or silent host keeps its place among them.
const slowHost = 4 * time.Second

// planning is the state that the planners of a run share.
type planning struct {
	ctx         context.Context // of the run
	hosts       *hosts
	expressions *expressions
	redactor    *report.Redactor
	readAhead   bool
	// room has a place for each host that may be planned ahead at a time.
	room  chan struct{}
	stirs stirring
	// share, if not nil, reports whether a task's steps may share a flight to a host with those of the tasks around it.
	share func(h *host, t *task) bool
	// copied, if not nil, returns what is read of a host so that copies can be kept before a task's steps.
	copied func(h *host, t *task) []observe.Read
	// due reports whether a handler of a play is due on a host.
	due func(play *lang.Play, h *host) bool
}

// stirring holds the hosts on which the plans of tasks have steps that may change every host.
type stirring struct {
	mu sync.Mutex
	by map[*task]map[*host]bool
}

// note records whether a host has yet to carry out such steps.
func (s *stirring) note(t *task, h *host, wide bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !wide:
		delete(s.by[t], h)
	case s.by == nil:
		s.by = map[*task]map[*host]bool{t: {h: true}}
	case s.by[t] == nil:
		s.by[t] = map[*host]bool{h: true}
	default:
		s.by[t][h] = true
	}
}

// others reports whether another host has yet to carry out such steps of a task.
func (s *stirring) others(t *task, than *host) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.by[t] {
		if failed, unreachable := h.standing(); h != than && !failed && !unreachable {
			return true
		}
	}
	return false
}

// admit starts work on a host when there is room for it, at once if there is room now. The work keeps its room until it has ended or
// the host is slow.
func (p *planning) admit(start func() (ended <-chan struct{})) {
	select {
	case p.room <- struct{}{}:
		ended := start()
		go p.accommodate(ended)
	default:
		go func() {
			select {
			case p.room <- struct{}{}:
				p.accommodate(start())
			case <-p.ctx.Done(): // the work notices that itself
				start()
			}
		}()
	}
}

// accommodate frees the room of work when it has ended or the host is slow.
func (p *planning) accommodate(ended <-chan struct{}) {
	defer func() { <-p.room }()
	patience := time.NewTimer(slowHost)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
	}
}
