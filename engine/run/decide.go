package run

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/defect"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/modules"
)

// decision is the result of planning a task on a host.
type decision struct {
	// skipped says why the task does not run here. elsewhere is set if another host runs it for all.
	skipped   string
	elsewhere bool
	scope     modules.Scope
	items     []*itemPlan
	// err says why there is no plan: an error or, in check mode, something that cannot be known.
	err error
	// settings are the task's settings here as far as they are known, or nil if they were not needed.
	settings *lang.Settings
	// saw tracks the facts on which the decision is based.
	saw *observe.Tracker
	// results are the results of earlier tasks on which the decision is based.
	results map[string]cty.Value
	// peers are the facts and results of other hosts on which the decision is based.
	peers *peers
}

// itemPlan is the plan of a task, or of one item of its for_each.
type itemPlan struct {
	key string // empty without for_each
	// secret is set if the module's arguments contain sensitive values, or if the plan was made from some. What these
	// replace is then secret too, and no diff is shown.
	secret   bool
	redactor *report.Redactor
	from     *decision
	// environment is added to that of the steps' commands.
	environment map[string]string
	// delegated is set if the item is carried out on a host other than the planner's.
	delegated *delegation
	module    modules.Module
	plan      modules.Plan
	err       error
	// saw tracks what the item's plan is based on; nil before it is planned.
	saw *observe.Tracker
}

// acts reports whether there is anything to do, as far as is known.
func (d *decision) acts() bool {
	return d.err != nil || slices.ContainsFunc(d.items, (*itemPlan).acts)
}

// acts reports whether there is anything to do for the item, as far as is known.
func (it *itemPlan) acts() bool { return it.err != nil || len(it.plan.Steps) > 0 }

// confined reports whether the order in which hosts carry out an item of a task cannot matter.
func (it *itemPlan) confined(t *task) bool {
	m, ok := it.module.(modules.Confined)
	return t.Module.Local || ok && m.Confined() || it.plan.Confined
}

// reads returns what the plans of all items are based on.
func (d *decision) reads() []*observe.Tracker {
	var all []*observe.Tracker
	for _, it := range d.items {
		all = append(all, it.saw)
	}
	return all
}

// hasSteps reports whether a plan has steps. A plan that could not be made has none.
func (d *decision) hasSteps() bool {
	return slices.ContainsFunc(d.items, func(it *itemPlan) bool { return len(it.plan.Steps) > 0 })
}

// apart reports whether a task's steps share no flight with other tasks, whatever these are.
func (d *decision) apart(t *task) bool {
	return slices.ContainsFunc(d.items, func(it *itemPlan) bool { return len(it.plan.Steps) > 0 && !it.confined(t) })
}

// wide reports whether a step may change what is observed on other hosts.
func (d *decision) wide() bool {
	return slices.ContainsFunc(d.items, func(it *itemPlan) bool {
		return slices.ContainsFunc(it.plan.Steps, func(s modules.Step) bool { return s.Wide })
	})
}

// foreseeable reports whether there is nothing to do, so that the task's result is known before its turn.
func (d *decision) foreseeable(t *task) bool {
	return !d.elsewhere && !d.acts() && t.Until == nil
}

// nothingToDo returns the outcome of a task with nothing to do.
func (d *decision) nothingToDo(t *task) outcome {
	if d.skipped != "" {
		return outcome{status: report.Skipped, message: d.skipped}
	}
	total := outcome{status: report.OK}
	rounds := map[string]cty.Value{}
	for _, it := range d.items {
		o := outcome{status: report.OK, notes: remarks(t, it.plan), data: it.plan.Data}
		if t.ForEach == nil {
			return o
		}
		total = total.plus(it.key, o)
		rounds[it.key] = o.value()
	}
	return total.of(rounds)
}

// decide plans a task on the planner's host. results are the results of other tasks that it reads. It changes nothing.
func (p *planner) decide(ctx context.Context, t *task, results map[string]cty.Value) *decision {
	facts, saw := observe.Track(ctx)
	d := p.plan(ctx, facts, t, results)
	d.results, d.saw = results, saw
	return d
}

// plan implements decide. Expressions observe hosts with the context facts.
func (p *planner) plan(ctx, facts context.Context, t *task, results map[string]cty.Value) *decision {
	ctx = observe.WithUser(ctx, t.observer(p.host))
	if t.RunOnce && !p.hosts.leads(p.host) {
		return &decision{elsewhere: true}
	}
	scope, err := p.expressions.scope(facts, p.host, t, results)
	if err != nil {
		return &decision{err: err}
	}
	peers := p.expressions.peersOf(t, p.hosts)
	d := p.evaluate(t, peers.in(scope))
	for d.skipped == "" {
		more, err := peers.more(facts)
		if err != nil {
			return &decision{err: err, peers: peers}
		}
		if !more {
			break
		}
		d = p.evaluate(t, peers.in(scope))
	}
	d.peers = peers
	if d.err != nil || d.skipped != "" {
		return d
	}
	if p.delegate(t, d); d.err != nil {
		return d
	}
	if d.scope == modules.OncePerCluster && !p.hosts.leads(p.host) {
		return &decision{elsewhere: true}
	}
	defer d.takeTurns()
	if len(d.items) == 1 {
		d.items[0].replan(ctx, p.host)
		return d
	}
	rounds := make([]func(context.Context), len(d.items))
	for i, it := range d.items {
		rounds[i] = func(ctx context.Context) { it.replan(ctx, p.host) }
	}
	observe.Together(ctx, rounds...)
	return d
}

// takeTurns makes a task run host by host if its hosts must not be down at the same time.
func (d *decision) takeTurns() {
	for _, it := range d.items {
		if slices.ContainsFunc(it.plan.Steps, rebootsAlone) {
			d.scope = max(d.scope, modules.OneByOne)
		}
	}
}

// rebootsAlone reports whether a step is a reboot during which no other host may be down.
func rebootsAlone(step modules.Step) bool {
	a, boots := step.Action.(modules.Reboot)
	return boots && a.Alone
}

// evaluate evaluates a task's expressions on the planner's host, before any of its items is planned.
func (p *planner) evaluate(t *task, scope lang.Scope) *decision {
	ok, err := t.WhenTrue(scope)
	if err != nil {
		return &decision{err: err}
	}
	if !ok {
		return &decision{skipped: "its condition is false here"}
	}
	settings, err := t.Settings(scope)
	if err != nil && !unknowable(err) { // check mode carries nothing out
		return &decision{err: err, settings: &settings}
	}
	items, err := t.Items(scope)
	if err != nil {
		return &decision{err: err, settings: &settings}
	}
	d := &decision{settings: &settings}
	if t.ForEach == nil {
		items = []lang.Item{{}}
	} else if len(items) == 0 {
		return &decision{skipped: "for_each is empty here"}
	}
	for _, item := range items {
		it := &itemPlan{key: item.Key, from: d, redactor: p.redactor}
		here := scope
		if t.ForEach != nil {
			here = maps.Clone(scope)
			here["each"] = item.Object()
		}
		if t.WhenPerItem() {
			ok, err := t.WhenTrue(here)
			if err != nil {
				return &decision{err: err, settings: &settings}
			}
			if !ok {
				continue
			}
		}
		module, secrets, err := t.Decode(here)
		p.redactor.Add(secrets...)
		it.secret = len(secrets) > 0
		if err == nil {
			if it.environment, secrets, err = t.EnvironmentOf(here); err != nil {
				module = nil
			}
			p.redactor.Add(secrets...)
		}
		it.module, it.err = module, err
		if scoped, ok := module.(modules.Scoped); ok && err == nil {
			d.scope = max(d.scope, scoped.Scope())
		}
		d.items = append(d.items, it)
	}
	if len(d.items) == 0 {
		return &decision{skipped: "its condition is false for every item"}
	}
	return d
}

// announce makes the observations that a task needs travel along with the facts that its expressions wait for.
func (p *planner) announce(t *task) {
	if t.Delegated() || !t.references.AllFacts && len(t.references.Facts) == 0 || t.RunOnce && !p.hosts.leads(p.host) {
		return
	}
	if module, ok := t.Foresee(p.expressions.foreseen(p.host, t)).(modules.Announcer); ok {
		module.Want(p.host.observed)
	}
}

// replan plans an item again, unless its arguments could not be decoded.
func (it *itemPlan) replan(ctx context.Context, h *host) {
	if it.module == nil {
		return
	}
	var likely []observe.Read
	if it.saw != nil {
		likely = it.saw.Reads()
		h.observed.Want(likely)
	}
	ctx, it.saw = observe.Track(ctx)
	it.saw.Likely(likely)
	on := h
	if it.delegated != nil {
		on, ctx = it.delegated.to, observe.WithUser(ctx, it.delegated.user)
	}
	it.plan, it.err = planSafely(observe.WithEnvironment(ctx, it.environment), it.module, on.observed)
	if it.err == nil && it.delegated != nil {
		it.err = it.delegated.direct(&it.plan)
	}
	it.redactor.Add(it.plan.Secrets...)
	it.secret = it.secret || len(it.plan.Secrets) > 0
	surround(it.plan.Steps, it.environment)
}

// surround adds an environment to the commands of steps. Variables that a module sets itself take precedence.
func surround(steps []modules.Step, env map[string]string) {
	for i, step := range steps {
		run, ok := step.Action.(modules.Run)
		if !ok || len(env) == 0 {
			continue
		}
		own := run.Env
		run.Env = maps.Clone(env)
		maps.Copy(run.Env, own)
		steps[i].Action = run
	}
}

// planSafely turns a panic in a module into an error of its task, so that a defect in one module does not stop other
// hosts in the middle of a step.
func planSafely(ctx context.Context, m modules.Module, h modules.Host) (plan modules.Plan, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = defect.Recovered("the module", p)
		}
	}()
	return m.Plan(ctx, h)
}

// unknowable reports whether an error only means that check mode cannot know something.
func unknowable(err error) bool {
	var unknown *lang.UnknownError
	return errors.As(err, &unknown) || observe.IsUnknown(err)
}

// visible returns the steps of an item's plan with diffs that may be shown.
func (it *itemPlan) visible() []modules.Step {
	if !it.secret {
		return it.plan.Steps
	}
	steps := make([]modules.Step, len(it.plan.Steps))
	for i, step := range it.plan.Steps {
		if !step.Public {
			step.Diff = veiled(step.Diff)
		}
		steps[i] = step
	}
	return steps
}

// veiled returns a diff that only says that something sensitive changes. The old value may be a secret too, without
// being marked as one.
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
