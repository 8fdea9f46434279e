package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// mostRounds bounds how often a partial plan may find more to do.
const mostRounds = 20

// attempts carries out a decision, again after a delay where the task says so.
func (t *turn) attempts(ctx context.Context, s *slot, h *host, d *decision) outcome {
	tries := 1 + s.task.Retries
	if s.task.Until != nil && s.task.Retries == 0 {
		tries = 4
	}
	delay := s.task.Delay
	if delay == 0 {
		delay = 5 * time.Second
	}
	var o outcome
	for try := 1; ; try++ {
		o = t.carryOut(ctx, s, h, d).after(o)
		if o.status == report.Skipped || o.status == report.Unreachable || ctx.Err() != nil {
			break
		}
		again := o.status == report.Failed && s.task.Retries > 0
		if o.status != report.Failed && s.task.Until != nil {
			t.register(s, h, o)
			reached, err := t.until(ctx, s, h)
			switch {
			case err != nil && t.options.Check && (unknowable(err) || o.foretold):
				return o.with(uncertain(h, err))
			case err != nil:
				return o.with(failure(h, err))
			case !reached && t.options.Check:
				o.status, o.unknown, o.message = report.Uncertain, true, "its until condition is false now, and only the run can tell whether it becomes true"
			case !reached:
				again = true
				o.status, o.message = report.Failed, fmt.Sprintf("its until condition is still false after %d tries", try)
			}
		}
		if !again || try >= tries || t.options.Check {
			break
		}
		t.report(report.Progress{Host: h.Name, Task: s.task.Name, What: fmt.Sprintf("try %d of %d follows", try+1, tries), Awaits: true, Limit: delay})
		if err := t.options.Clock.Sleep(ctx, delay); err != nil {
			break
		}
		forgetAll(h)
		h.ahead.changed()
		d = h.ahead.take(ctx, s)
	}
	t.report(report.Progress{Host: h.Name, Task: s.task.Name})
	if ctx.Err() != nil && t.ctx.Err() == nil && o.status == report.Failed {
		o.message, o.hint = context.Cause(ctx).Error(), ""
	}
	return o
}

// forgetAll drops what is remembered of a host and of its peers: what is waited for may happen there.
func forgetAll(h *host) {
	h.observed.Forget()
	for _, peer := range h.observed.Peers() {
		peer.Forget()
	}
}

func (t *turn) until(ctx context.Context, s *slot, h *host) (reached bool, err error) {
	done := make(chan struct{})
	h.observed.Go(ctx, func(ctx context.Context) {
		defer close(done)
		scope, scopeErr := t.scope(ctx, h, s, t.ownResult(h, s))
		if scopeErr != nil {
			err = scopeErr
			return
		}
		reached, err = s.task.UntilTrue(scope)
	})
	<-done
	return reached, err
}

// ownResult is what until reads: its task's own result among the others.
func (t *turn) ownResult(h *host, s *slot) map[string]cty.Value {
	own := map[string]cty.Value{}
	if s.task.Register != "" {
		t.mu.Lock()
		own[s.task.Register] = h.results[s.task.Register]
		t.mu.Unlock()
	}
	return t.results(h, s, own)
}

// carryOut turns a decision into an outcome: item by item, each verified before the next.
func (t *turn) carryOut(ctx context.Context, s *slot, h *host, d *decision) outcome {
	switch {
	case d.err != nil:
		return t.fault(s, h, d, d.err)
	case !d.acts() && h.ahead.holds(s, d):
		o := d.nothingToDo(s)
		for _, it := range d.items {
			o.behind = append(o.behind, t.told(s, h, it)...)
		}
		return o
	case d.skipped != "":
		return outcome{status: report.Skipped, message: d.skipped}
	}
	total := outcome{status: report.OK}
	rounds := map[string]cty.Value{}
	for i, it := range d.items {
		if !h.ahead.holds(s, d) { // an item before it, or another host, changed what it was planned from
			t.alone(ctx, s, h, it)
		}
		o := t.item(ctx, s, h, it, d.items[i+1:])
		if s.task.ForEach == nil {
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

// of gives the outcome of a for_each its rounds: result.NAME.items["key"] is the round's own result.
func (o outcome) of(rounds map[string]cty.Value) outcome {
	o.data = cty.ObjectVal(map[string]cty.Value{"items": cty.ObjectVal(rounds)})
	return o
}

// plus adds one round of a for_each to the task's outcome.
func (o outcome) plus(key string, item outcome) outcome {
	o.status = worst(o.status, item.status)
	for _, step := range item.steps {
		o.steps = append(o.steps, key+": "+step)
	}
	for _, step := range item.open {
		o.open = append(o.open, key+": "+step)
	}
	o.diffs = append(o.diffs, item.diffs...)
	o.notes = append(o.notes, item.notes...)
	if item.message != "" {
		o.message = key + ": " + item.message
	}
	shown := item.output
	if item.status == report.Failed || item.status == report.Unreachable { // the task ends with it
		o.output, shown = item.output, ""
	}
	if item.hint != "" {
		o.hint = item.hint
	}
	o.unknown = o.unknown || item.unknown
	o.foretold = o.foretold || item.foretold
	o.behind = append(o.behind, item.behind...)
	o.sure = o.sure || item.sure
	o.effect = o.effect || item.effect
	o.items = append(o.items, report.ItemResult{Key: key, Status: item.status, Steps: item.steps, Message: item.message, Output: shown})
	return o
}

// alone plans an item anew, with nothing planned ahead beside it.
func (t *turn) alone(ctx context.Context, s *slot, h *host, it *itemPlan) {
	done := make(chan struct{})
	h.observed.Go(modules.WithUser(ctx, s.observer(h)), func(ctx context.Context) {
		defer close(done)
		it.replan(ctx, h)
	})
	<-done
}

// verify plans an item anew together with the tasks behind it, so that the reads that verify a step
// and the reads of the next task travel together.
func (t *turn) verify(ctx context.Context, s *slot, h *host, it *itemPlan) {
	done := make(chan struct{})
	h.ahead.alongside(func(planner context.Context) {
		defer close(done)
		// The planner's context says whose planner it is; the task's own bounds it.
		planner, cancel := context.WithCancelCause(planner)
		defer cancel(nil)
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		defer stop()
		it.replan(modules.WithUser(planner, s.observer(h)), h)
	})
	<-done
}

// item carries out one plan: steps, then planning again until nothing is left to do. rest are the task's
// items behind it.
func (t *turn) item(ctx context.Context, s *slot, h *host, it *itemPlan, rest []*itemPlan) outcome {
	o := outcome{status: report.OK}
	var doubt error        // of what check mode has predicted
	var meanwhile []string // what others have changed
	var done []modules.Step
	for round := 1; ; round++ {
		if it.err != nil {
			return o.with(t.fault(s, h, it.from, it.err, it.saw))
		}
		o.notes = append(slices.Clip(it.plan.Notes), meanwhile...)
		o.data = it.plan.Data
		if len(it.plan.Steps) == 0 {
			t.fulfil(ctx, s, h, done)
			o.behind = t.told(s, h, it)
			return o.doubted(h, doubt)
		}
		if round > mostRounds {
			return o.with(failure(h, fmt.Errorf("planning found more to do %d times in a row, last: %s; this is a defect of module %s", mostRounds, summaries(it.plan.Steps), s.task.Module.Name)))
		}
		plan := it.plan
		if t.options.Check {
			doubt = cmp.Or(doubt, plan.Doubt)
		}
		o.foretold = t.options.Check
		if err := t.steps(ctx, s, h, it, rest, newSight(it, len(meanwhile) == mostStale), &o); err != nil {
			if path := stale(err); path != "" && ctx.Err() == nil {
				if len(meanwhile) == mostStale {
					return o.with(failure(h, &restlessError{err}))
				}
				meanwhile = append(meanwhile, path+" was changed by somebody else while this task was under way; planned again")
				t.alone(ctx, s, h, it)
				continue
			}
			var lost *remote.UnreachableError
			// Without an answer, the step may be done.
			o.effect = o.effect || len(o.open) > 0 && (ctx.Err() != nil || errors.As(err, &lost))
			return o.with(failure(h, err))
		}
		done = append(done, plan.Steps...)
		if plan.Repeats {
			t.fulfil(ctx, s, h, done)
			return o.doubted(h, doubt)
		}
		if len(rest) > 0 {
			t.alone(ctx, s, h, it)
		} else {
			t.verify(ctx, s, h, it)
		}
		if t.options.Check && o.status == report.Changed && it.err != nil && unknowable(it.err) {
			o.unknown = true // it changes something; what that leads to cannot be known
			return o.doubted(h, doubt)
		}
		if plan.Partial || it.err == nil && len(it.plan.Steps) == 0 {
			continue
		}
		if t.options.Check {
			if it.err != nil {
				continue
			}
			return o.with(uncertain(h, fmt.Errorf("module %s did not foresee the effect of its own steps: %s", s.task.Module.Name, summaries(it.plan.Steps))))
		}
		if err := t.settle(ctx, s, h, it, plan); err != nil {
			if it.err == nil {
				o.refuted(plan.Steps, it.plan.Steps)
			}
			return o.with(failure(h, err))
		}
	}
}

// fault makes an error of planning the outcome of a task. In check mode it may be one that comes about only without
// what earlier tasks do.
func (t *turn) fault(s *slot, h *host, d *decision, err error, saw ...*observe.Tracker) outcome {
	if unknowable(err) {
		return uncertain(h, err)
	}
	if doubtful := t.doubt(s, h, d, err, saw...); doubtful != nil {
		return uncertain(h, doubtful)
	}
	return failure(h, err)
}

// doubted is an outcome of which check mode does not know whether it can come about; nil means that it does.
func (o outcome) doubted(h *host, doubt error) outcome {
	if doubt == nil {
		return o
	}
	o.sure = false
	return o.with(uncertain(h, doubt))
}

// with replaces the end of an outcome, and keeps what was done before it.
func (o outcome) with(end outcome) outcome {
	end.steps, end.open, end.diffs, end.notes, end.data, end.items = o.steps, o.open, o.diffs, o.notes, o.data, o.items
	end.sure, end.effect, end.foretold = o.sure, o.effect, o.foretold
	if end.last == nil {
		end.last = o.last
	}
	if end.output == "" && end.status == report.Failed && o.last != nil {
		// Commands of Proxmox exit 0 and say on standard error why they did nothing.
		end.output = printed(*o.last, 5, 10)
	}
	return end
}

// veiled is a diff that says only that something sensitive changes: what is replaced may be the secret of
// yesterday, which nobody has marked.
func veiled(d *modules.Diff) *modules.Diff {
	if d == nil {
		return nil
	}
	v := modules.Diff{Subject: d.Subject, After: "(sensitive)"}
	if d.Before != "" {
		v.Before = "(sensitive, another)"
	}
	return &v
}

// predict lays over the observations what a step would bring about. What commands of the playbook's
// author would print after it cannot be known.
func (t *turn) predict(s *slot, h, on *host, step modules.Step) {
	expect := bind(step.Expect, h.observed)
	h.observed.Predict(expect)
	t.causes.step(s, on.observed, t.observedHosts(), step, expect)
	switch {
	case step.Refresh:
	case step.Wide:
		t.cloud(t.observedHosts(), step.Summary)
	default:
		t.cloud([]*observe.Host{h.observed, on.observed}, step.Summary)
	}
	t.changed(h, step)
}

// obscure notes in check mode that nobody can tell what a task would do, if anything.
func (t *turn) obscure(s *slot, h *host) {
	scope := t.around(h, s)
	scope["facts"], scope["result"] = cty.DynamicVal, cty.DynamicVal
	module := s.task.Foresee(scope)
	if reads(module) {
		return
	}
	all := t.observedHosts()
	scoped, ok := module.(modules.Scoped)
	wide := ok && scoped.Scope() != modules.EachHost
	t.causes.anything(cause{s, h.Name}, h.observed, all, wide)
	if !wide {
		all = []*observe.Host{h.observed}
	}
	t.cloud(all, s.task.Name)
}

// cloud makes unknown what commands of the playbook's author say on some hosts, for something changes there.
func (t *turn) cloud(hosts []*observe.Host, what string) {
	for _, o := range hosts {
		h := t.byObserved(o)
		t.mu.Lock()
		already := h.clouded
		h.clouded = true
		t.mu.Unlock()
		if !already {
			o.Predict([]observe.Expectation{observe.AfterChange(what)})
			h.ahead.changed()
		}
	}
}

// bind gives expectations that name no host the host that was planned for.
func bind(expectations []observe.Expectation, h *observe.Host) []observe.Expectation {
	all := make([]observe.Expectation, len(expectations))
	for i, e := range expectations {
		if e.Host == nil {
			e.Host = h
		}
		all[i] = e
	}
	return all
}

// changed drops what was planned ahead on every host that a step can have touched.
func (t *turn) changed(h *host, step modules.Step) {
	touched := map[*host]bool{h: true}
	if step.On != nil {
		touched[t.byObserved(step.On)] = true
	}
	for _, e := range step.Expect {
		if e.Host != nil {
			touched[t.byObserved(e.Host)] = true
		}
	}
	t.mu.Lock()
	all := make([]*host, 0, len(t.hosts))
	for _, other := range t.hosts {
		all = append(all, other)
		if step.Wide {
			touched[other] = true
		}
	}
	t.mu.Unlock()
	if step.Unknown && !step.Wide && !t.options.Check {
		for _, other := range all {
			if !touched[other] {
				other.observed.ForgetShared()
				other.ahead.sharedChanged()
			}
		}
	}
	for other := range touched {
		if other == nil {
			continue
		}
		if !t.options.Check && other != h {
			other.observed.Forget()
		}
		other.ahead.changed()
		for _, reader := range all {
			reader.ahead.peerChanged(other.observed)
		}
	}
}

// settle waits until planning again finds nothing left to do, as long as the steps allow.
func (t *turn) settle(ctx context.Context, s *slot, h *host, it *itemPlan, done modules.Plan) error {
	var limit time.Duration
	await := ""
	for _, step := range done.Steps {
		if step.Settle > limit {
			limit, await = step.Settle, step.Await
		}
	}
	if await == "" {
		await = "the change to show"
	}
	// What was planned ahead together with the first verification has not seen the change either.
	defer func() {
		for _, step := range done.Steps {
			t.changed(h, step)
		}
	}()
	begun := t.options.Clock.Now()
	looked := begun // what was seen before the time was over is no proof: there is always a look after
	pause := 250 * time.Millisecond
	for {
		if it.err == nil && len(it.plan.Steps) == 0 {
			return nil
		}
		var final *modules.FinalError
		if looked.Sub(begun) >= limit || errors.As(it.err, &final) {
			return unsettled(it, done, limit, await)
		}
		t.report(report.Progress{Host: h.Name, Task: s.task.Name, What: await, Awaits: true, Limit: limit})
		if err := t.options.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, 2*time.Second)
		looked = t.options.Clock.Now()
		forgetAll(h)
		t.alone(ctx, s, h, it)
		if unreachable(h, it.err) {
			return it.err
		}
	}
}

// unsettled says what is still missing after a step.
func unsettled(it *itemPlan, done modules.Plan, limit time.Duration, await string) error {
	if it.err != nil {
		return fmt.Errorf("done: %s; but then: %w", summaries(done.Steps), it.err)
	}
	missing := summaries(it.plan.Steps)
	for _, step := range it.plan.Steps {
		if step.Unmet != "" {
			missing += ": " + step.Unmet
		}
	}
	if limit == 0 {
		return fmt.Errorf("done, and yet still to do: %s", missing)
	}
	return fmt.Errorf("waited %s for %s; still to do: %s", limit, await, missing)
}

func summaries(steps []modules.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Summary)
	}
	return strings.Join(all, "; ")
}
