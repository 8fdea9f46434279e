package run

import (
	"path/filepath"

	"hlplay/engine/report"
)

// finish counts, registers, notifies and reports what became of a task on a host.
func (b *batch) finish(t *task, h *host, o outcome) {
	// What an interruption ended is neither: nothing comes after it.
	failed := o.status == report.Failed && b.ctx.Err() == nil
	ignored := failed && o.forgiven
	rescued := failed && !ignored && b.rescuable > 0
	if b.check && o.unknown {
		b.execution(t, h).obscure()
	}
	h.count(t, o, ignored, rescued)
	switch {
	case o.sure:
		b.notifications.add(t, h, due)
	case o.status == report.Uncertain:
		b.notifications.add(t, h, doubtful)
	case o.effect && !b.check:
		b.notifications.add(t, h, missed)
	}
	b.judgeKept(t, h, o)
	h.register(t, o)
	b.report(report.TaskResult{
		Play: t.play.Name, Task: t.Name, Host: h.Name, Module: t.Module.Name, Handler: t.handler,
		Status: o.status, Steps: o.steps, Unfinished: o.open, Diffs: o.diffs, Notes: o.notes, Message: o.message,
		Output: o.output, Hint: o.hint, Ignored: ignored, Rescued: rescued, Items: o.items, Duration: o.duration,
		File: filepath.ToSlash(t.Range.Filename), Line: t.Range.Start.Line,
	})
}

// share gives hosts for which a task ran elsewhere the result of the host that it ran on.
func share(t *task, leader *host, others []*host) {
	if t.Register == "" {
		return
	}
	for _, h := range others {
		h.adopt(t, leader)
	}
}

// leaveOut registers a task that is not selected, so that what reads its result sees a task
// that was skipped and not a missing name.
func leaveOut(t *task, hosts []*host) {
	for _, h := range hosts {
		h.register(t, outcome{status: report.Skipped, message: "not selected"})
	}
}
