package run

import (
	"fmt"
	"path/filepath"
	"slices"

	"hlplay/modules"
)

// Proposal is what a task is about to do on a host.
type Proposal struct {
	Host, Play, Task string
	// Line is the position of the task: "site.hcl:12".
	Line string
	// Steps are the steps of the task, or of one item of its for_each.
	Steps          []ProposedStep
	Handler, Check bool
	order          int // of the host
}

// ProposedStep is a step with its risk class.
type ProposedStep struct {
	// Summary is the summary in reports, prefixed with the item's key in a for_each.
	Summary string
	Risk    modules.Risk
	Diff    *modules.Diff
}

func (s ProposedStep) same(other ProposedStep) bool {
	same := s.Summary == other.Summary && s.Risk == other.Risk && (s.Diff == nil) == (other.Diff == nil)
	return same && (s.Diff == nil || *s.Diff == *other.Diff)
}

// proposal returns what items are about to do. Steps that only refresh are omitted unless refresh is set: they are no
// changes.
func (e *execution) proposal(items []*itemPlan, refresh bool) Proposal {
	p := Proposal{
		Host: e.host.Name, Play: e.task.play.Name, Task: e.task.Name, Handler: e.task.handler, Check: e.check,
		Line: fmt.Sprintf("%s:%d", filepath.ToSlash(e.task.Range.Filename), e.task.Range.Start.Line),
	}
	for _, it := range items {
		if it.err != nil {
			continue
		}
		for _, step := range it.visible() {
			if step.Refresh && !refresh {
				continue
			}
			summary := step.Summary
			if e.task.ForEach != nil {
				summary = it.key + ": " + summary
			}
			p.Steps = append(p.Steps, ProposedStep{Summary: summary, Risk: it.plan.RiskOf(step), Diff: step.Diff})
		}
	}
	return p
}

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
