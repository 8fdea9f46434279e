package plan

import (
	"strings"
	"testing"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// A difference on one host does not interrupt tasks in progress on another, where packages may be half installed; no
// further task starts there.
func TestApproveStopsAfterSteps(t *testing.T) {
	task := func(name, host string) Task {
		return Task{Play: "p", Task: name, Host: host, Status: report.Changed, Steps: []Step{{Summary: "install x"}}}
	}
	p := &Plan{Tasks: []Task{task("install", "a"), task("install", "b"), task("next", "a")}}
	var stopped error
	a := p.Approve(report.NewRedactor(), nil, func(err error) { stopped = err })
	propose := func(name, host, step string) error {
		return a.Approve(run.Proposal{Host: host, Play: "p", Task: name, Line: "p.hcl:1", Steps: []run.ProposedStep{{Summary: step}}})
	}
	if err := propose("install", "a", "install x"); err != nil {
		t.Fatal(err)
	}
	differs := propose("install", "b", "install y")
	if differs == nil || !strings.Contains(differs.Error(), "install y") {
		t.Errorf("error %v, want one that names what differs", differs)
	}
	if stopped != nil {
		t.Errorf("the run was stopped (%v) while host a was at work", stopped)
	}
	a.Ended(report.TaskResult{Play: "p", Task: "install", Host: "b", Status: report.Failed})
	if err := propose("next", "a", "install x"); err == nil || !strings.Contains(err.Error(), "was not started") {
		t.Errorf("error %v of what was to begin after the difference, want a refusal", err)
	}
	if stopped != nil {
		t.Errorf("the run was stopped (%v) while host a was at work", stopped)
	}
	a.Ended(report.TaskResult{Play: "p", Task: "install", Host: "a", Status: report.Changed})
	if stopped != differs || a.Stopped() != differs {
		t.Errorf("the run was stopped with %v, want %v", stopped, differs)
	}
}
