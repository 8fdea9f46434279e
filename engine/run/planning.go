package run

import (
	"context"
	"time"

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
	room chan struct{}
}

// admit starts work on a host when there is room for it. It returns when the work has ended or the host is slow.
func (p *planning) admit(start func() (ended <-chan struct{})) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-p.ctx.Done(): // the work notices that itself
	}
	patience := time.NewTimer(slowHost)
	defer patience.Stop()
	select {
	case <-start():
	case <-patience.C:
	}
}
