package plan

import (
	"strings"
	"testing"
	"time"

	"hlplay/engine/journal"
	"hlplay/engine/report"
	"hlplay/modules"
)

// What a module says about a step is part of what is approved, and nothing in a plan reaches the terminal as a control
// sequence.
func TestText(t *testing.T) {
	p := New(time.Unix(0, 0), journal.Run{Playbook: "site\x1b[2J.hcl", By: "me\x1b[2J"}, []report.TaskResult{{
		Play: "p", Task: "t\x1b[2J", Host: "n1", Status: report.Changed, File: "a\x1b[2J.hcl", Line: 3,
		Steps: []string{"upgrade\x1b[2J"}, Risks: []modules.Risk{modules.Restarts}, Notes: []string{"a safe upgrade leaves packages back\x1b[2J"},
		Diffs: []modules.Diff{{Subject: "s\x1b[2J", Before: "a\n", After: "b\x1b[2J\n"}},
	}})
	text := p.Text()
	if strings.Contains(text, "\x1b") {
		t.Errorf("a control sequence is printed: %q", text)
	}
	if !strings.Contains(text, "  note: a safe upgrade leaves packages back") {
		t.Errorf("the module's note is missing:\n%s", text)
	}
}
