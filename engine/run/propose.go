package run

import (
	"fmt"
	"path/filepath"

	"hlplay/modules"
)

// Proposal is what a task is about to do on a host.
type Proposal struct {
	Host, Play, Task string
	// Line is where the task stands: "site.hcl:12".
	Line string
	// Steps are those of the task, or of one round of a task with for_each.
	Steps []ProposedStep
	Check bool
}

// ProposedStep is a step and its class.
type ProposedStep struct {
	// Summary is as reports have it, with the key of a task with for_each in front.
	Summary string
	Risk    modules.Risk
	Diff    *modules.Diff
}

// propose notes the classes of an item's steps, and asks whether they may be carried out.
func (e *execution) propose(it *itemPlan, o *outcome) error {
	p := Proposal{Host: e.host.Name, Play: e.task.play.Name, Task: e.task.Name, Line: fmt.Sprintf("%s:%d", filepath.ToSlash(e.task.Range.Filename), e.task.Range.Start.Line), Check: e.check}
	for _, step := range it.visible() {
		if step.Refresh {
			continue
		}
		risk := it.plan.RiskOf(step)
		o.class(step.Summary, risk)
		summary := step.Summary
		if e.task.ForEach != nil {
			summary = it.key + ": " + summary
		}
		p.Steps = append(p.Steps, ProposedStep{Summary: summary, Risk: risk, Diff: step.Diff})
	}
	if e.approve == nil || len(p.Steps) == 0 {
		return nil
	}
	return e.approve(p)
}
