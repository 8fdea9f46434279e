package run

import (
	"slices"
)

// propose records the risk classes of an item's steps, and asks whether they may be carried out. The user is asked only
// about steps that no host needed when the task began. asked is set after waiting for a yes: what the item's plan is
// based on is then out of date.
func (e *execution) propose(it *itemPlan, o *outcome) (asked bool, err error) {
	for _, step := range it.plan.Steps {
		if !step.Refresh {
			o.class(step.Summary, it.plan.RiskOf(step))
		}
	}
	if p := e.proposal([]*itemPlan{it}, false); e.approve != nil && len(p.Steps) > 0 {
		if err := e.approve(p); err != nil {
			return false, err
		}
	}
	if e.agreed || e.check {
		return false, nil
	}
	now := e.proposal([]*itemPlan{it}, true)
	if !covers(e.shown, now) {
		if asked, err = e.asking.put(e.ctx, []Proposal{now}); err != nil {
			return false, err
		}
		e.shown = now
	}
	e.agreed = !asked
	return asked, nil
}

// covers reports whether everything in now was also in shown.
func covers(shown, now Proposal) bool {
	return !slices.ContainsFunc(now.Steps, func(s ProposedStep) bool {
		return !slices.ContainsFunc(shown.Steps, func(other ProposedStep) bool { return other.same(s) })
	})
}
