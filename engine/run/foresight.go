package run

import (
	"context"
	"slices"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/modules"
)

// foresight plans tasks on a host as it is predicted to be once the steps so far are done.
type foresight struct {
	*execution
	ctx  context.Context
	host *host
	at   *observe.Host
	due  map[string]bool // IDs of the handlers that are due after the steps so far
}

// foresee returns the host as it is now.
func (e *execution) foresee(ctx context.Context) *foresight {
	at := e.host.observed.Foresee()
	h := &host{Host: e.host.Host, value: e.host.value, connection: e.host.connection, observed: at, keeper: e.host.keeper,
		results: e.host.readNamed(nil, true)}
	h.planner = newPlanner(e.host.planner.planning, h)
	due := map[string]bool{}
	for _, d := range e.notifies() {
		due[d.ID] = true
	}
	return &foresight{e, ctx, h, at, due}
}

// decide plans a task on the predicted host, and returns what the decision was made from. ok is false if the task cannot be
// sent ahead.
func (f *foresight) decide(t *task) (d *decision, reads []observe.Read, ok bool) {
	f.at.Run(f.ctx, func(ctx context.Context) { d = f.host.planner.decide(ctx, t, f.host.readResults(t, nil)) })
	if d.err != nil || d.elsewhere || d.scope != modules.EachHost || !ordinary(d.settings) || len(d.saw.Elsewhere()) > 0 {
		return nil, nil, false
	}
	reads = slices.Clone(d.saw.Reads())
	for _, it := range d.items {
		if it.err != nil || it.delegated != nil || it.saw == nil || len(it.saw.Elsewhere()) > 0 {
			return nil, nil, false
		}
		reads = append(reads, it.saw.Reads()...)
	}
	return d, reads, true
}

// carryOut predicts the steps of an item's plan. It returns what verifies them, as far as that can be predicted. done reports
// whether nothing will be left to do.
func (f *foresight) carryOut(t *task, it *itemPlan) (reads []observe.Read, done bool) {
	for _, step := range it.plan.Steps {
		// What cannot be known is guessed to stay as it is: the host compares.
		expect := slices.DeleteFunc(slices.Clone(step.Expect), func(x observe.Expectation) bool { return x.Unknown != "" })
		for i := range expect {
			expect[i].Host = f.at
		}
		f.at.Predict(expect)
	}
	if it.plan.Repeats { // nothing verifies it but the exit codes
		return nil, true
	}
	again := f.again(t, it)
	done = again.err == nil && len(again.plan.Steps) == 0 && len(again.saw.Elsewhere()) == 0
	return again.saw.Reads(), done
}

// again plans an item anew on the predicted host.
func (f *foresight) again(t *task, it *itemPlan) *itemPlan {
	again := *it
	again.saw = nil
	f.at.Run(f.ctx, func(ctx context.Context) { again.replan(observe.WithUser(ctx, t.observer(f.host)), f.host) })
	return &again
}

// behind returns the reads of the next tasks, of handlers, and of the tasks beyond them, that have nothing to do, as far as can
// be predicted, and of the first that has, with those that may be sent together with it. If none has, it returns what is read at the
// end of the run, too, when the parts in along are done.
func (f *foresight) behind(along []*part, following, handlers, beyond []*task) (reads []observe.Read) {
	acted := false
	for _, t := range slices.Concat(following, handlers, beyond) {
		travels := f.execution.host.planner.travels(t) || t.handler && f.mayShare(t) && t.confinable
		if acted && !travels {
			break
		}
		more, acts := f.likely(t)
		acted = acted || acts
		if reads = append(reads, more...); acts && !travels {
			break
		}
	}
	if !acted {
		reads = append(reads, f.copies.readsAtEnd(f.execution.host, along)...)
	}
	return reads
}

// dueBehind returns the handlers of a play that run after the steps so far, if the play's handlers run then.
func (f *foresight) dueBehind(play *lang.Play, flushes bool) (handlers []*task) {
	if !flushes {
		return nil
	}
	declared := play.Handlers
	if f.task.handler {
		declared = declared[slices.Index(declared, f.task.Task)+1:]
	}
	for _, d := range declared {
		h := f.tasksOf[play][d]
		id := nodestate.Name(h.play.Name, h.Name)
		isDue, tookOver := f.notifications.stands(h, f.execution.host)
		if isDue || f.due[id] || !tookOver && slices.ContainsFunc(f.execution.host.keeper.overdue(), func(d nodestate.Due) bool { return d.ID == id }) {
			handlers = append(handlers, h)
		}
	}
	return handlers
}

// likely returns what a task probably reads, and whether it probably has something to do: as predicted or, if too little is
// known, as when it was last planned. It omits commands of the playbook's author if facts or results decide whether they run.
func (f *foresight) likely(t *task) (reads []observe.Read, acts bool) {
	reads, acts = f.execution.host.planner.last(t)
	may := f.execution.host.planner.changes(t)
	if !f.host.hasResults(t.references.Results) {
		return append(reads, f.copies.reads(f.execution.host, t, may, false)...), acts
	}
	var d *decision
	f.at.Run(f.ctx, func(ctx context.Context) { d = f.host.planner.decide(ctx, t, f.host.readResults(t, nil)) })
	more, known := slices.Clone(d.saw.Reads()), d.err == nil
	for _, it := range d.items {
		if it.saw != nil {
			more = append(more, it.saw.Reads()...)
		}
		if it.acts() && it.delegated == nil {
			more = append(more, f.at.Announced(func(h *observe.Host) { forecast(h, it.module) })...)
		}
		known = known && it.err == nil
	}
	if refs := t.references; refs.AllFacts || refs.AllResults || len(refs.Facts)+len(refs.Results) > 0 {
		more = slices.DeleteFunc(more, observe.Read.ByAuthor)
	}
	if known {
		acts = d.hasSteps()
	}
	more = append(more, f.copies.reads(f.execution.host, t, acts || !known && may, d.elsewhere)...)
	return append(reads, more...), acts
}

// part returns an item's part of a flight, without its conditions and reads, or nil if it cannot be sent ahead. last is set for
// the task's last item.
func (f *foresight) part(t *task, it *itemPlan, last bool) *part {
	commands := together(f.host, f.host, it.plan.Steps, newBaseline(it, false))
	if !it.confined(t) || !f.sendable(it.plan, commands, f.at, false) {
		return nil
	}
	for _, step := range it.plan.Steps {
		if !f.copies.ready(f.execution.host, step, t.Module) {
			return nil
		}
	}
	notifies := f.executor.execution(t, f.execution.host).notifies()
	commands[0].Before = f.host.keeper.beforeAhead(notifies, f.due)
	if !commands[0].Portable() {
		return nil
	}
	for _, d := range notifies { // those that need no record, too: they were due before, or nothing can be kept
		f.due[d.ID] = true
	}
	p := &part{task: t, key: it.key, steps: it.plan.Steps, until: awaited(commands), clears: clears(t, it.plan, last, commands)}
	for i := range commands {
		f.executor.execution(t, f.execution.host).detach(f.execution.host, &commands[i])
		if i > 0 {
			commands[i].follow(commands[i-1])
		}
		p.Commands, p.longs = append(p.Commands, commands[i].Command), append(p.longs, commands[i].long)
	}
	return p
}

// sendable reports whether the steps of a plan, as these commands, can share a flight with those of other tasks. Only those of
// the first may be such that the host's shell cannot run by calling a function (see remote.Command.Portable).
func (e *execution) sendable(plan modules.Plan, commands []command, on *observe.Host, first bool) bool {
	if plan.Guard != nil || plan.Doubt != nil || len(plan.Steps) == 0 || len(commands) != len(plan.Steps) {
		return false
	}
	for i, step := range plan.Steps {
		if step.On != nil || step.Wide || step.Unknown || len(step.Objects) > 0 || !first && !commands[i].Portable() {
			return false
		}
		if step.Settle != 0 && (step.Until == nil || i < len(plan.Steps)-1) { // what verifies it might be read too early
			return false
		}
		if run, ok := step.Action.(modules.Run); ok && (run.Suspect != nil || run.Stale != nil) {
			return false
		}
		for _, expected := range step.Expect {
			if expected.Host != nil && expected.Host != on {
				return false
			}
		}
	}
	return true
}

// ordinary reports whether a task ends when its steps do: no settings repeat or ignore it, or let some hosts wait.
func ordinary(s *lang.Settings) bool {
	return s == nil || s.Retries == 0 && s.Throttle == 0 && !s.IgnoreErrors
}

// untimed reports whether a task has no timeout, which would also limit what is sent with its steps.
func untimed(s *lang.Settings) bool { return s == nil || s.Timeout == 0 }
