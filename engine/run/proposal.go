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
