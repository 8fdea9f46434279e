package run

import (
	"fmt"
	"path/filepath"

	"hlplay/modules"
)

// Proposal is what a task is about to do on a host.
type Proposal struct {
	Host, Play, Task string
	// Line is the position of the task: "site.hcl:12".
	Line string
	// Steps are those of the task, or of one item of its for_each.
	Steps []ProposedStep
	Check bool
}

// ProposedStep is a step with its risk class.
type ProposedStep struct {
	// Summary is the summary in reports, prefixed with the key of a for_each.
	Summary string
	Risk    modules.Risk
	Diff    *modules.Diff
}

// propose records the risk classes of an item's steps, and asks whether they may be carried out.
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
