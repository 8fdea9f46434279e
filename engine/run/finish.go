package run

import (
	"encoding/json"
	"path/filepath"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/nodestate"
	"hlplay/engine/report"
	"hlplay/modules"
)

// finish counts, registers and reports the outcome of a task on a host, and notifies its handlers.
func (b *batch) finish(t *task, h *host, o outcome) {
	// An interrupted task is neither failed nor changed: nothing follows it.
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
	if t.handler && o.left {
		b.notifications.leave(t, h)
	}
	b.judgeKept(t, h, o)
	h.register(t, o)
	var registered json.RawMessage
	if t.Register != "" && !b.check {
		registered = recordable(o.value())
	}
	b.report(report.TaskResult{
		Play: t.play.Name, Task: t.Name, Host: h.Name, Module: t.Module.Name, Handler: t.handler,
		Status: o.status, Steps: o.steps, Unfinished: o.open, Diffs: o.diffs, Notes: o.notes, Message: o.message,
		Output: o.output, Hint: o.hint, Ignored: ignored, Rescued: rescued, Items: o.items, Duration: o.duration,
		Registered: registered, Risks: risks(o),
		File: filepath.ToSlash(t.Range.Filename), Line: t.Range.Start.Line,
	})
}

// risks returns the risk classes of an outcome's steps, in order.
func risks(o outcome) []modules.Risk {
	all := make([]modules.Risk, len(o.steps))
	for i, step := range o.steps {
		all[i] = o.classes[step]
	}
	return all
}

// share gives the result of a task to the hosts for which another host ran it.
func share(t *task, leader *host, others []*host) {
	if t.Register == "" {
		return
	}
	for _, h := range others {
		h.adopt(t, leader)
	}
}

// largestRecorded is the size limit, in bytes, of a result that is kept for a later run that resumes this one.
const largestRecorded = 64 << 10

// recordable returns a result as JSON with its type, or nil if it is sensitive or too large.
func recordable(result cty.Value) json.RawMessage {
	if result.ContainsMarked() || !result.IsWhollyKnown() {
		return nil
	}
	text, err := ctyjson.Marshal(result, cty.DynamicPseudoType)
	if err != nil || len(text) > largestRecorded {
		return nil
	}
	return text
}

// recall registers the result that an earlier run recorded for a task before the first one to run. Without one, the
// task counts as not selected.
func (b *batch) recall(t *task, hosts []*host) {
	for _, h := range hosts {
		value, ok := cty.NilVal, false
		if b.options.Earlier != nil && t.Register != "" {
			value, ok = b.options.Earlier(h.Name, t.play.Name, t.Name)
		}
		if ok {
			h.recall(t.Register, value)
		} else {
			leaveOut(t, []*host{h})
		}
	}
}

// leaveOut registers a task that is not selected as skipped, so that expressions that read its result find the name.
func leaveOut(t *task, hosts []*host) {
	for _, h := range hosts {
		h.register(t, outcome{status: report.Skipped, message: "not selected"})
	}
}

// judgeKept decides after a task which handlers stay due. A handler that has succeeded is no longer due, nor are those
// that a task has announced if it did not start anything. A failed command may have made its change, which the next run
// would find done, so the handlers that it notifies stay due.
func (b *batch) judgeKept(t *task, h *host, o outcome) {
	if b.check {
		return
	}
	if t.handler && finished(o.status) && !o.held && !o.left {
		h.keeper.clear(nodestate.Name(t.play.Name, t.Name))
	}
	if o.sure || o.effect || len(o.open) > 0 {
		return
	}
	for _, name := range t.Notify {
		if !b.notifications.has(handlerKey{t.play.Name, name, h.Name}) {
			h.keeper.withdraw(nodestate.Name(t.play.Name, name))
		}
	}
}

// finished reports whether a handler with this status need not run again.
func finished(status report.Status) bool {
	return status == report.OK || status == report.Changed || status == report.Skipped
}

// reportSentAhead reports the steps that hosts have begun for tasks whose turn did not come before the run ended. It would be
// wrong to say that such a handler has not run: either the host has recorded that it has, or it is still due.
func (c *conductor) reportSentAhead() {
	for _, h := range c.hosts.all() {
		for _, p := range h.sent.rest() {
			c.leaveOver(h, p)
			if !p.task.handler {
				continue
			}
			if p.cleared() {
				h.keeper.told(p.clears)
				c.notifications.forget(p.task, h)
				continue
			}
			if unreachable(h, p.Err) {
				h.keeper.doubt(p.clears)
			}
			if h.keeper.remembers(nodestate.Name(p.task.play.Name, p.task.Name)) {
				c.notifications.forget(p.task, h)
			}
		}
	}
}
