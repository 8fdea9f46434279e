package run

import (
	"fmt"
	"slices"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/modules"
)

// delegation says on which host the task of another host is carried out. Expressions, results and the status in the run
// are those of the task's own host. The module reads and changes the delegate.
type delegation struct {
	to *host
	// user is the account that runs the author's reading commands there.
	user string
	// limited is set if --limit excludes the delegate, so that it must not be changed.
	limited bool
}

// delegate returns the host on which an item of a task of h is carried out, or nil if that is h.
func (a *hosts) delegate(t *task, h *host, key string) *host {
	name := t.Delegate(h.Name, key)
	if name == "" {
		return nil
	}
	return a.get(a.inventory.Host(name)) // Run has checked that the host exists
}

// delegates returns the hosts other than h on which a task of h is carried out.
func (a *hosts) delegates(t *task, h *host) []*host {
	var all []*host
	for _, name := range t.On(h.Name) {
		if name != h.Name {
			all = append(all, a.get(a.inventory.Host(name)))
		}
	}
	return all
}

// delegates returns the hosts other than h on which the decision is carried out, as far as it is known.
func (b *batch) delegates(t *task, h *host, d *decision) []*host {
	switch {
	case d.skipped != "":
		return nil
	case d.err != nil:
		return b.hosts.delegates(t, h)
	}
	var all []*host
	for _, it := range d.items {
		if it.delegated != nil && !slices.Contains(all, it.delegated.to) {
			all = append(all, it.delegated.to)
		}
	}
	return all
}

// delegate makes the decision about a task with delegate_to apply to the delegate. The task's hosts take turns, since
// several of them may change the same delegate.
func (p *planner) delegate(t *task, d *decision) {
	if !t.Delegated() {
		return
	}
	elsewhere := p.hosts.delegates(t, p.host)
	if d.scope != modules.EachHost {
		if len(elsewhere) == 0 {
			return
		}
		d.items, d.err = nil, &undelegableError{fmt.Sprintf("%s changes a cluster, or must not run on two hosts at once, and decides itself where it acts: leave delegate_to out", t.Module.Name)}
		return
	}
	d.scope = modules.OneByOne
	for _, it := range d.items {
		to := p.hosts.delegate(t, p.host, it.key)
		if to == nil {
			continue
		}
		it.delegated = &delegation{to: to, user: t.observer(to), limited: !p.expressions.limited[to.Name]}
	}
}

// direct makes the steps of a plan apply to the delegate.
func (d *delegation) direct(plan *modules.Plan) error {
	name := d.to.Name
	switch {
	case len(plan.Steps) > 0 && d.limited:
		return &undelegableError{fmt.Sprintf("--limit leaves out %s, where this would %s: add it to --limit", name, plan.Steps[0].Summary)}
	case plan.Guard != nil:
		return &undelegableError{"a change that the host undoes unless it is confirmed needs a play for " + name}
	}
	for i, step := range plan.Steps {
		if _, boots := step.Action.(modules.Reboot); boots {
			return &undelegableError{"a reboot needs a play for " + name + ", which notices that the host went away"}
		}
		if step.On != nil {
			return &undelegableError{"this module acts on several hosts, and decides itself on which: leave delegate_to out"}
		}
		step.On, step.Expect = d.to.observed, bind(step.Expect, d.to.observed)
		step.Summary = "on " + name + ": " + step.Summary
		plan.Steps[i] = step
	}
	return nil
}

// at returns the hosts on which the task is carried out.
func (e *execution) at() []*host {
	delegates := e.hosts.delegates(e.task, e.host)
	if len(delegates) == len(e.task.On(e.host.Name)) {
		return delegates
	}
	return append(delegates, e.host)
}

// forgetAll forgets everything on which the task's plan may be based.
func (e *execution) forgetAll() {
	e.host.forgetAll()
	for _, to := range e.hosts.delegates(e.task, e.host) {
		to.observed.Forget()
	}
}

// undelegableError reports that a task cannot be carried out on another host.
type undelegableError struct{ why string }

func (e *undelegableError) Error() string { return "delegate_to: " + e.why }

// missingDelegate returns an error if a task names a delegate that is not in the inventory.
func (c *conductor) missingDelegate(play *lang.Play) error {
	for _, t := range play.AllTasks() {
		for _, name := range t.Delegates() {
			if c.hosts.inventory.Host(name) == nil {
				return fmt.Errorf("%s: task %q: delegate_to: no host %q in the inventory %s", t.Range, t.Name, name, c.hosts.inventory.Path)
			}
		}
	}
	return nil
}

// bind sets the host of expectations that name none.
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
