package run

import (
	"context"
	"reflect"
	"slices"

	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/modules"
)

// Sending ahead: consecutive tasks share a flight if the engine can predict their steps. The host begins a task's steps only
// if everything that their plan was made from, and everything that verifies the task before, is exactly as predicted
// (observe.Kind.Holds). The first difference or failure ends the flight. The remaining tasks have not begun, and are planned
// again in their turn.
//
// When the turn of a task comes whose steps were sent ahead, it is decided, verified and reported as usual, with the answers
// that the host gave before it began the next task.

// mostAlong and mostAlongBytes limit how many tasks, and how much data, are sent with the steps of a task.
const (
	mostAlong      = 16
	mostAlongBytes = 256 << 10
)

// doneAhead returns the part with an item's steps if they were sent ahead, or nil if they have yet to be sent. The error is
// errContradiction if other steps were sent than are planned now.
func (e *execution) doneAhead(on *host, it *itemPlan, commands []command, o *outcome) (*part, error) {
	p := e.host.sent.take()
	if p == nil {
		return nil, nil
	}
	if p.task != e.task { // an earlier task failed or the shell was lost, and this is a handler or a rescue
		e.report(report.Note{Text: p.leftOver(e.host)})
		for _, p := range e.host.sent.rest() {
			e.report(report.Note{Text: p.leftOver(e.host)})
		}
		return nil, nil
	}
	same := on == e.host && len(p.steps) == len(commands) && len(commands) == len(it.plan.Steps)
	for i := range p.steps {
		same = same && p.steps[i].Summary == commands[i].step.Summary && sameAction(p.steps[i].Action, commands[i].step.Action)
	}
	if same {
		return p, nil
	}
	for _, step := range p.steps {
		o.begin(step)
	}
	o.effect = true
	return nil, errContradiction
}

// sameAction reports whether two actions do the same.
func sameAction(a, b modules.Action) bool {
	strip := func(a modules.Action) modules.Action {
		if run, ok := a.(modules.Run); ok {
			run.Explain, run.Suspect = nil, nil
			return run
		}
		return a
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// mayShare reports whether the playbook allows a task to share a flight with the tasks around it: the order in which hosts
// carry it out must not matter, and nothing may depend on its outcome on other hosts.
func (e *executor) mayShare(t *task) bool {
	refs := t.references
	return e.sendAhead && t.Module.Local && !t.handler && !t.RunOnce && !t.Delegated() && t.Until == nil &&
		!t.play.AnyErrorsFatal && t.play.MaxFailPercentage == nil && !refs.Peers.Any() && !refs.AllResults
}

// distant reports whether a round trip to the host takes long enough for steps to be sent ahead.
func (e *execution) distant() bool { return e.host.connection.stats().Latency >= e.sendAheadFrom }

// sharing returns how many tasks after t may share one flight.
func (e *execution) sharing(t *task) int {
	p := e.host.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[t]
	if !ok {
		return 0
	}
	n := 0
	for i := at + 1; i < len(p.upcoming.tasks) && n <= mostAlong && e.mayShare(p.upcoming.tasks[i]) && p.upcoming.legs[i] == p.upcoming.legs[at]; i++ {
		n++
	}
	return n
}

// following returns the next tasks that are certain to follow this one and may share its flight, at most number.
func (e *execution) following(number int) []*task {
	p := e.host.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[e.task]
	if !ok || p.window == 0 {
		return nil
	}
	var all []*task
	for i := at + 1; i < len(p.upcoming.tasks) && len(all) < number && e.mayShare(p.upcoming.tasks[i]) && p.upcoming.legs[i] == p.upcoming.legs[at]; i++ {
		all = append(all, p.upcoming.tasks[i])
	}
	return all
}

// along returns what is sent along with an item's steps: the parts of the next tasks, and the reads that the host answers
// before it begins the first of them.
func (e *execution) along(ctx context.Context, it *itemPlan, rest []*itemPlan, commands []command) (along []*part, reads []observe.Read) {
	user := e.task.user(e.host)
	pass := e.host.connection.asReader(user)
	if !e.mayShare(e.task) || len(rest) > 0 || it.delegated != nil || !ordinary(it.from.settings) || pass == nil || !e.host.connection.isRoot(user) ||
		e.host.sent.waiting() || !e.sendable(it.plan, commands, e.host.observed) {
		return nil, nil
	}
	following := e.following(mostAlong)
	if len(following) == 0 {
		return nil, nil
	}
	f := e.foresee(ctx)
	first, ok := f.carryOut(e.task, it)
	if !ok {
		return nil, nil
	}
	verified := first
	registered := map[string]bool{e.task.Register: true}
	var between []observe.Read // what the plans of tasks with nothing to do were made from
	size := 0
	for _, t := range following {
		if t.user(e.host) != user || slices.ContainsFunc(t.references.Results, func(name string) bool { return registered[name] }) || !e.host.hasResults(t.references.Results) {
			break
		}
		d, planned, ok := f.decide(t)
		if !ok {
			break
		}
		if t.Register != "" {
			registered[t.Register] = true
		}
		if !d.acts() {
			between = append(between, planned...)
			continue
		}
		p := f.part(t, d)
		if p == nil || e.approve != nil && e.approve(e.executor.execution(t, e.host).proposal(d.items, false)) != nil {
			break
		}
		if p.If, ok = f.at.Holds(slices.Concat(verified, between, planned)); !ok {
			break
		}
		if p.after, ok = f.carryOut(t, d.items[0]); !ok {
			break
		}
		if size += p.size(); size > mostAlongBytes {
			break
		}
		p.reads, p.between, verified, between = planned, between, p.after, nil
		along = append(along, p)
	}
	if len(along) == 0 {
		return nil, nil
	}
	for i, p := range along {
		reads := slices.Concat(p.after, p.reads)
		coming := widestReadback
		if i+1 < len(along) {
			reads = append(append(reads, along[i+1].between...), along[i+1].reads...)
		} else {
			coming = max(coming, e.sharing(p.task))
		}
		reads = append(reads, e.host.planner.coming(p.task, coming)...)
		p.readback = e.host.observed.Readback(reads, pass)
		p.Then, _ = distinct(p.readback.Queries())
	}
	return along, slices.Concat(first, along[0].between, along[0].reads)
}
