package run

import (
	"encoding/json"
	"path/filepath"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"hlplay/engine/report"
	"hlplay/modules"
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

// risks are the classes of the steps of an outcome, in their order.
func risks(o outcome) []modules.Risk {
	all := make([]modules.Risk, len(o.steps))
	for i, step := range o.steps {
		all[i] = o.classes[step]
	}
	return all
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

// largestRecorded is how large a result may be, in bytes, that is kept for a run that goes on with this one.
const largestRecorded = 64 << 10

// recordable is a result as JSON with its type; nil if it is sensitive, or too large to be kept.
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

// recall registers a task in front of the one to start at as an earlier run has it; without one it is as if not selected.
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

// leaveOut registers a task that is not selected, so that what reads its result sees a task
// that was skipped and not a missing name.
func leaveOut(t *task, hosts []*host) {
	for _, h := range hosts {
		h.register(t, outcome{status: report.Skipped, message: "not selected"})
	}
}
