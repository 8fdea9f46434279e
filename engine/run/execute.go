package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// mostRounds limits how often a partial plan may find more to do.
const mostRounds = 20

// attempts carries out a decision, with the task's retries.
func (e *execution) attempts(ctx context.Context, d *decision, settings lang.Settings) outcome {
	var o outcome
	for try := 1; ; try++ {
		o = e.carryOut(ctx, d).after(o)
		if o.status == report.Skipped || o.status == report.Unreachable || ctx.Err() != nil {
			break
		}
		again := 0 // how often
		if o.status == report.Failed {
			again = settings.Retries
		}
		if o.status != report.Failed && e.task.Until != nil {
			e.host.register(e.task, o)
			reached, err := e.until(ctx)
			switch {
			case err != nil && e.check && (unknowable(err) || o.foretold):
				return o.with(uncertain(e.host, err))
			case err != nil:
				return o.with(failure(e.host, err))
			case !reached && e.check:
				o.status, o.unknown, o.message = report.Uncertain, true, "its until condition is false now, and only the run can tell whether it becomes true"
			case !reached:
				again = settings.Repeats
				o.status, o.message = report.Failed, fmt.Sprintf("its until condition is still false after %d tries", try)
			}
		}
		if try > again || e.check {
			break
		}
		e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: fmt.Sprintf("try %d of %d follows", try+1, again+1), Awaits: true, Limit: settings.Delay})
		if err := e.clock.Sleep(ctx, settings.Delay); err != nil {
			break
		}
		e.forgetAll()
		e.host.planner.invalidate()
		d = e.host.planner.decision(ctx, e.task)
	}
	e.report(report.Progress{Host: e.host.Name, Task: e.task.Name})
	if ctx.Err() != nil && e.ctx.Err() == nil && o.status == report.Failed {
		o.message, o.hint = context.Cause(ctx).Error(), ""
	}
	return o
}

func (e *execution) until(ctx context.Context) (reached bool, err error) {
	e.host.observed.Run(ctx, func(ctx context.Context) {
		scope, scopeErr := e.expressions.scope(ctx, e.host, e.task, e.withOwnResult())
		if scopeErr != nil {
			err = scopeErr
			return
		}
		peers := e.expressions.peersOf(e.task, e.hosts)
		for more := true; more; {
			reached, err = e.task.UntilTrue(peers.in(scope))
			var readErr error
			if more, readErr = peers.more(ctx); readErr != nil {
				err = readErr
				return
			}
		}
	})
	return reached, err
}

// withOwnResult returns what until reads: the other results and the task's own.
func (e *execution) withOwnResult() map[string]cty.Value {
	results := e.host.readResults(e.task, nil)
	if own, ok := e.host.result(e.task.Register); ok {
		results[e.task.Register] = own
	}
	return results
}

// carryOut carries out a decision item by item, verifying each before the next.
func (e *execution) carryOut(ctx context.Context, d *decision) outcome {
	switch {
	case d.err != nil:
		return e.fault(d, d.err)
	case !d.acts() && e.host.planner.current(e.task, d) && !slices.ContainsFunc(d.items, func(it *itemPlan) bool { return e.obscured(it) != nil }):
		o := d.nothingToDo(e.task)
		for _, it := range d.items {
			o.behind = append(o.behind, e.told(it)...)
		}
		return o
	case d.skipped != "":
		return outcome{status: report.Skipped, message: d.skipped}
	}
	total := outcome{status: report.OK}
	rounds := map[string]cty.Value{}
	for i, it := range d.items {
		if !e.host.planner.current(e.task, d) { // an earlier item, or another host, has changed what the plan is based on
			e.alone(ctx, it)
		}
		o := e.item(ctx, it, d.items[i+1:])
		if e.task.ForEach == nil {
			return o
		}
		total = total.plus(it.key, o)
		rounds[it.key] = o.value()
		if o.status == report.Failed || o.status == report.Unreachable {
			break
		}
	}
	return total.of(rounds)
}

// item carries out a plan, and plans again until there is nothing left to do. rest are the task's later items.
func (e *execution) item(ctx context.Context, it *itemPlan, rest []*itemPlan) outcome {
	o := outcome{status: report.OK}
	var doubt error        // because of changes that check mode has predicted
	var meanwhile []string // paths that others have changed meanwhile
	var done []modules.Step
	var noted []string // notes of the plans that were carried out
	for round := 1; ; round++ {
		if path := stale(it.err); path != "" && !e.check && ctx.Err() == nil {
			if len(meanwhile) == mostStale {
				return o.with(failure(e.host, &restlessError{it.err}))
			}
			meanwhile = append(meanwhile, plannedAgain(path))
			e.forgetAll()
			e.alone(ctx, it)
			continue
		}
		if it.err != nil {
			return o.with(e.fault(it.from, it.err, it.saw))
		}
		notes := slices.Clip(noted) // notes about completed steps: the next plan may have no reason to repeat them
		for _, note := range slices.Concat(remarks(e.task, it.plan), meanwhile) {
			if !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
		o.notes = notes
		o.data = it.plan.Data
		if len(it.plan.Steps) == 0 {
			e.fulfil(ctx, done)
			o.behind = e.told(it)
			if o.status == report.OK {
				doubt = cmp.Or(doubt, e.obscured(it))
			}
			return o.doubted(e.host, doubt)
		}
		if round > mostRounds {
			return o.with(failure(e.host, fmt.Errorf("planning found more to do %d times in a row, last: %s; this is a defect of module %s", mostRounds, summaries(it.plan.Steps), e.task.Module.Name)))
		}
		plan := it.plan
		if e.check {
			doubt = cmp.Or(doubt, plan.Doubt)
		}
		o.foretold = e.check
		if !e.check && settles(plan.Steps) {
			defer e.host.observed.KeepAnswers()()
		}
		switch asked, err := e.propose(it, &o); {
		case errors.Is(err, errLeft):
			return o.with(leftOut())
		case err != nil:
			return o.with(failure(e.host, err))
		case asked:
			e.forgetAll()
			e.host.planner.invalidate()
			e.alone(ctx, it)
			continue
		}
		if err := e.count(plan); err != nil {
			return o.with(e.fault(it.from, err, it.saw))
		}
		if err := e.guarded(ctx, it, rest, newBaseline(it, len(meanwhile) == mostStale), &o); err != nil {
			if path := stale(err); path != "" && ctx.Err() == nil {
				if len(meanwhile) == mostStale {
					return o.with(failure(e.host, &restlessError{err}))
				}
				meanwhile = append(meanwhile, plannedAgain(path))
				e.alone(ctx, it)
				continue
			}
			o.halts = plan.Guard != nil || slices.ContainsFunc(plan.Steps, rebootsAlone)
			var lost *remote.UnreachableError
			// Without an answer, the step may have been carried out.
			o.effect = o.effect || len(o.open) > 0 && (ctx.Err() != nil || errors.As(err, &lost))
			return o.with(failure(e.host, err))
		}
		done = append(done, plan.Steps...)
		noted = o.notes
		if plan.Repeats {
			e.fulfil(ctx, done)
			return o.doubted(e.host, doubt)
		}
		if len(rest) > 0 || plan.Partial { // the next item, or the next part, will probably change the host again
			e.alone(ctx, it)
		} else {
			e.verify(ctx, it)
		}
		if e.check && o.status == report.Changed && it.err != nil && unknowable(it.err) {
			o.unknown = true // it changes something, with unknown consequences
			return o.doubted(e.host, doubt)
		}
		if plan.Partial || it.err == nil && len(it.plan.Steps) == 0 {
			continue
		}
		if e.check {
			if it.err != nil {
				continue
			}
			return o.with(uncertain(e.host, fmt.Errorf("module %s did not predict the effect of its own steps: %s", e.task.Module.Name, summaries(it.plan.Steps))))
		}
		if err := e.settle(ctx, it, plan); err != nil {
			if it.err == nil {
				o.refuted(plan.Steps, it.plan.Steps)
			}
			return o.with(failure(e.host, err))
		}
	}
}

func plannedAgain(path string) string {
	return path + " was changed by somebody else while this task was running; planned again"
}

// fault returns the outcome of a task that could not be planned. In check mode, earlier tasks might prevent the error
// in the run.
func (e *execution) fault(d *decision, err error, saw ...*observe.Tracker) outcome {
	if unknowable(err) {
		return uncertain(e.host, err)
	}
	if doubtful := e.doubt(d, err, saw...); doubtful != nil {
		return uncertain(e.host, doubtful)
	}
	return failure(e.host, err)
}
