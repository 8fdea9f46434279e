package run

import (
	"hlplay/engine/observe"
	"hlplay/modules"
)

// predict overlays the observations with the expectations of a step. The output that commands of the playbook's author
// would have afterwards is unknown.
func (e *execution) predict(on *host, step modules.Step) {
	expect := bind(step.Expect, e.host.observed)
	e.host.observed.Predict(expect)
	e.causes.step(e.task, on.observed, e.hosts.observed(), step, expect)
	switch {
	case step.Refresh:
	case step.Wide:
		e.forgetOutputs(e.hosts.observed(), step.Summary)
	default:
		e.forgetOutputs([]*observe.Host{e.host.observed, on.observed}, step.Summary)
	}
	e.changed(step, nil)
}

// obscure records in check mode that it is unknown what a task would do, if anything.
func (e *execution) obscure() {
	module := e.task.Foresee(e.expressions.foreseen(e.host, e.task))
	if reads(module) {
		return
	}
	all := e.hosts.observed()
	scoped, ok := module.(modules.Scoped)
	e.causes.nobodyKnows(cause{e.task, e.host.Name}, module)
	wide := ok && scoped.Scope() != modules.EachHost
	var here []*observe.Host
	for _, at := range e.at() {
		by := cause{e.task, at.Name}
		e.causes.anything(by, at.observed, all, wide)
		if opaque, ok := module.(modules.Opaque); ok && opaque.Opaque() {
			e.causes.anythingShared(by)
		}
		here = append(here, at.observed)
	}
	if !wide {
		all = here
	}
	e.forgetOutputs(all, e.task.Name)
}

// forgetOutputs makes the output of the author's commands unknown on some hosts, because something changes there.
func (e *execution) forgetOutputs(hosts []*observe.Host, what string) {
	for _, o := range hosts {
		h := e.hosts.behind(o)
		if !h.noteChange() {
			o.Predict([]observe.Expectation{observe.AfterChange(what)})
			h.planner.invalidate()
		}
	}
}
