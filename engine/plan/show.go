package plan

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/report"
	"hlplay/modules"
)

// Text returns the plan for a person to read: each task with the hosts on which it would do the same, its steps with
// their classes, what changes, and a summary.
func (p *Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Plan for %s, made %s by %s\n", report.OneLine(p.Run.Playbook), p.Made.Local().Format("2006-01-02 15:04"), report.OneLine(p.Run.By))
	for _, g := range p.groups() {
		fmt.Fprintf(&b, "\n%s (%s:%d) on %s\n%s", g.name(), report.OneLine(g.File), g.Line, report.OneLine(strings.Join(g.Hosts, " ")), g.text)
	}
	b.WriteString("\n" + p.Summary() + "\n")
	return b.String()
}

// group is a task with the hosts on which it would do the same.
type group struct {
	Task
	Hosts []string
	text  string
}

// name returns the name of the task, with a mark if it is a handler.
func (g *group) name() string {
	name := report.OneLine(g.Task.Task)
	if g.Handler {
		return "handler: " + name
	}
	return name
}

func (p *Plan) groups() (groups []*group) {
	for _, t := range p.Tasks {
		text := t.text()
		at := slices.IndexFunc(groups, func(g *group) bool { return g.Play == t.Play && g.Task.Task == t.Task && g.text == text })
		if at < 0 {
			at, groups = len(groups), append(groups, &group{Task: t, text: text})
		}
		groups[at].Hosts = append(groups[at].Hosts, t.Host)
	}
	return groups
}

func (t Task) text() string {
	var b strings.Builder
	for _, s := range t.Steps {
		fmt.Fprintf(&b, "  [%s] %s\n", s.Risk, report.OneLine(s.Summary))
	}
	if t.Status == report.Uncertain {
		fmt.Fprintf(&b, "  [uncertain] %s\n", report.OneLine(t.Message))
	}
	for _, note := range t.Notes {
		fmt.Fprintf(&b, "  note: %s\n", report.OneLine(note))
	}
	for _, d := range t.Diffs {
		for line := range strings.Lines(report.Unified(modules.Diff(d))) {
			b.WriteString("      " + line)
		}
	}
	return b.String()
}

// Summary returns the number of steps by class, and the meaning of every class above harmless that occurs.
func (p *Plan) Summary() string {
	hosts := map[string]bool{}
	uncertain := 0
	for _, t := range p.Tasks {
		hosts[t.Host] = true
		if t.Status == report.Uncertain {
			uncertain++
		}
	}
	if len(p.Tasks) == 0 {
		return "Nothing would change."
	}
	counts := p.Steps()
	total := 0
	var parts []string
	for _, risk := range modules.Risks() {
		n := counts[risk]
		if total += n; n == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, risk))
	}
	text := fmt.Sprintf("%s on %s: %s.", number(total, "step"), number(len(hosts), "host"), strings.Join(parts, ", "))
	if uncertain > 0 {
		text += fmt.Sprintf(" What %s would do is not known before the run.", number(uncertain, "task"))
	}
	return strings.Join(append([]string{text}, p.meanings()...), "\n")
}

// meanings returns the meaning of every class above harmless that occurs.
func (p *Plan) meanings() (all []string) {
	counts := p.Steps()
	for _, risk := range modules.Risks() {
		if risk > modules.Harmless && counts[risk] > 0 {
			all = append(all, fmt.Sprintf("%s: %s.", risk, risk.Meaning()))
		}
	}
	return all
}

func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
