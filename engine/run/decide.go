package run

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/modules"
)

// decision is what planning a task on a host came to.
type decision struct {
	// skipped says why the task does not run here; elsewhere is set where another host runs it for all.
	skipped   string
	elsewhere bool
	scope     modules.Scope
	items     []*itemPlan
	// err is why there is no plan: a fault, or in check mode something unknowable.
	err error
	// saw is the facts that it was made from.
	saw *observe.Tracker
	// results are those of earlier tasks that it was made from.
	results map[string]cty.Value
}

// itemPlan is the plan of a task, or of one round of its for_each.
type itemPlan struct {
	key string // empty without for_each
	// secret says that sensitive values went into the module's arguments: then what they replace is as
	// secret, and no diff is shown.
	secret bool
	from   *decision
	module modules.Module
	plan   modules.Plan
	err    error
	// saw is what it was planned from; nil before it is planned.
	saw *observe.Tracker
}

// acts says whether anything is to be done, as far as is known.
func (d *decision) acts() bool {
	for _, it := range d.items {
		if it.err != nil || len(it.plan.Steps) > 0 {
			return true
		}
	}
	return d.err != nil
}

// foreseeable says whether a decision leaves nothing to do, so that the task's result is known before
// its turn.
func (d *decision) foreseeable(s *slot) bool {
	return !d.elsewhere && !d.acts() && s.task.Until == nil
}

// nothingToDo is the outcome of a task that a decision leaves nothing to do for.
func (d *decision) nothingToDo(s *slot) outcome {
	if d.skipped != "" {
		return outcome{status: report.Skipped, message: d.skipped}
	}
	total := outcome{status: report.OK}
	rounds := map[string]cty.Value{}
	for _, it := range d.items {
		o := outcome{status: report.OK, notes: it.plan.Notes, data: it.plan.Data}
		if s.task.ForEach == nil {
			return o
		}
		total = total.plus(it.key, o)
		rounds[it.key] = o.value()
	}
	return total.of(rounds)
}

// decide plans a task on a host, with what it reads of the results of others. It only reads.
func (r *runner) decide(ctx context.Context, h *host, s *slot, results map[string]cty.Value) *decision {
	facts, saw := observe.Track(ctx)
	d := r.plan(ctx, facts, h, s, results)
	d.results, d.saw = results, saw
	return d
}

// plan is decide; what its expressions read of the host is read under the context facts.
func (r *runner) plan(ctx, facts context.Context, h *host, s *slot, results map[string]cty.Value) *decision {
	ctx = modules.WithUser(ctx, s.observer(h))
	if s.task.RunOnce && !r.leads(h) {
		return &decision{elsewhere: true}
	}
	scope, err := r.scope(facts, h, s, results)
	if err != nil {
		return &decision{err: err}
	}
	ok, err := s.task.WhenTrue(scope)
	if err != nil {
		return &decision{err: err}
	}
	if !ok {
		return &decision{skipped: "its condition is false here"}
	}
	items, err := s.task.Items(scope)
	if err != nil {
		return &decision{err: err}
	}
	d := &decision{}
	if s.task.ForEach == nil {
		items = []lang.Item{{}}
	} else if len(items) == 0 {
		return &decision{skipped: "for_each is empty here"}
	}
	for _, item := range items {
		it := &itemPlan{key: item.Key, from: d}
		here := scope
		if s.task.ForEach != nil {
			here = maps.Clone(scope)
			here["each"] = item.Object()
		}
		if s.task.WhenPerItem() {
			ok, err := s.task.WhenTrue(here)
			if err != nil {
				return &decision{err: err}
			}
			if !ok {
				continue
			}
		}
		module, secrets, err := s.task.Decode(here)
		r.options.Redactor.Add(secrets...)
		it.secret = len(secrets) > 0
		it.module, it.err = module, err
		if scoped, ok := module.(modules.Scoped); ok && err == nil {
			d.scope = max(d.scope, scoped.Scope())
		}
		d.items = append(d.items, it)
	}
	if len(d.items) == 0 {
		return &decision{skipped: "its condition is false for every item"}
	}
	if d.scope == modules.OncePerCluster && !r.leads(h) {
		return &decision{elsewhere: true}
	}
	if len(d.items) == 1 {
		d.items[0].replan(ctx, h)
		return d
	}
	rounds := make([]func(context.Context), len(d.items))
	for i, it := range d.items {
		rounds[i] = func(ctx context.Context) { it.replan(ctx, h) }
	}
	observe.Together(ctx, rounds...)
	return d
}

// announce has what a task reads travel with the facts that its expressions wait for.
func (r *runner) announce(h *host, s *slot) {
	if !s.references.AllFacts && len(s.references.Facts) == 0 || s.task.RunOnce && !r.leads(h) {
		return
	}
	scope := r.around(h, s)
	scope["facts"], scope["result"] = cty.DynamicVal, cty.DynamicVal
	if module, ok := s.task.Foresee(scope).(modules.Announcer); ok {
		module.Want(h.observed)
	}
}

// replan plans an item anew, unless its arguments could not even be decoded.
func (it *itemPlan) replan(ctx context.Context, h *host) {
	if it.module == nil {
		return
	}
	if it.saw != nil {
		h.observed.Want(it.saw.Reads())
	}
	ctx, it.saw = observe.Track(ctx)
	it.plan, it.err = planSafely(ctx, it.module, h.observed)
}

// planSafely turns a panic of a module into an error of its task: a defect in one module must not
// leave other hosts in the middle of a step.
func planSafely(ctx context.Context, m modules.Module, h modules.Host) (plan modules.Plan, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &defectError{p}
		}
	}()
	return m.Plan(ctx, h)
}

// defectError is a panic of a module.
type defectError struct{ panicked any }

func (e *defectError) Error() string {
	return fmt.Sprintf("the module panicked: %v; this is a defect of hlplay", e.panicked)
}

// unknowable says whether an error means only that check mode cannot know.
func unknowable(err error) bool {
	var unknown *lang.UnknownError
	return errors.As(err, &unknown) || observe.IsUnknown(err)
}

// scope is what a task's expressions see on a host. Only the facts that they mention are observed.
func (r *runner) scope(ctx context.Context, h *host, s *slot, results map[string]cty.Value) (lang.Scope, error) {
	scope := r.around(h, s)
	scope["result"] = cty.ObjectVal(results)
	var err error
	scope["facts"], err = r.facts(ctx, h, s.references)
	return scope, err
}

// around is what a task's expressions see on a host before anything is read.
func (r *runner) around(h *host, s *slot) lang.Scope {
	return lang.Scope{"host": h.value, "hosts": r.hostsValue, "groups": r.groupsValue, "play": r.playValue(s.play)}
}

// facts observes those that a task's expressions mention.
func (r *runner) facts(ctx context.Context, h *host, refs lang.References) (cty.Value, error) {
	names := refs.Facts
	if refs.AllFacts {
		names = nil
		for _, f := range observe.Facts() {
			names = append(names, f.Name)
		}
	}
	return readFacts(ctx, h.observed, names)
}
