package plan

import (
	"fmt"
	"strings"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// Question describes what a task is about to do on some hosts, for the person who decides about it: like Plan.Text,
// with the meaning of every class above harmless. Diffs are shown if diffs is set.
func Question(r *report.Redactor, proposals []run.Proposal, diffs bool) string {
	var p Plan
	for _, proposal := range proposals {
		t := Task{Play: proposal.Play, Task: r.String(proposal.Task), Host: proposal.Host, Handler: proposal.Handler, Status: report.Changed}
		for _, s := range proposal.Steps {
			t.Steps = append(t.Steps, Step{r.String(s.Summary), s.Risk})
			if s.Diff != nil && diffs {
				t.Diffs = append(t.Diffs, Diff{r.String(s.Diff.Subject), r.String(s.Diff.Before), r.String(s.Diff.After)})
			}
		}
		p.Tasks = append(p.Tasks, t)
	}
	var b strings.Builder
	for _, g := range p.groups() {
		fmt.Fprintf(&b, "\n%s (%s) on %s\n%s", g.name(), report.OneLine(proposals[0].Line), report.OneLine(strings.Join(g.Hosts, " ")), g.text)
	}
	for _, meaning := range p.meanings() {
		b.WriteString(meaning + "\n")
	}
	return b.String()
}
