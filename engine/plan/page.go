package plan

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"sync"

	"hlplay/engine/report"
	"hlplay/modules"
)

// WriteHTML writes the plan as a self-contained page, readable without scripts: the summary, and each task with the
// hosts on which it would do the same, its steps with their classes, and what changes. Harmless tasks are collapsed.
func (p *Plan) WriteHTML(w io.Writer) error {
	total, _, _ := strings.Cut(p.Summary(), "\n")
	groups := p.groups()
	severest := "harmless"
	var classes []class
	for _, risk := range modules.Risks() {
		if n := p.Steps()[risk]; n > 0 {
			classes = append(classes, class{risk, n})
			severest = risk.String()
		}
	}
	return page().Execute(w, struct {
		*Plan
		Total, Worst string
		Classes      []class
		Groups       []*group
	}{p, total, severest, classes, groups})
}

// class is a risk class with its number of steps.
type class struct {
	Risk  modules.Risk
	Steps int
}

// worst returns the highest class of a task's steps, or uncertain.
func (g *group) worst() string {
	if g.Status == report.Uncertain {
		return string(report.Uncertain)
	}
	worst := modules.Harmless
	for _, s := range g.Steps {
		worst = max(worst, s.Risk)
	}
	return worst.String()
}

//go:embed page.html
var pageText string

// page parses the template when it is first needed, because most commands need none.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("plan").Funcs(template.FuncMap{
		"style": report.PageStyle,
		"line":  report.OneLine,
		"hosts": func(names []string) string { return report.OneLine(strings.Join(names, " ")) },
		"name":  (*group).name,
		"worst": (*group).worst,
		"diff":  func(d Diff) []report.DiffLine { return report.DiffLines(modules.Diff(d)) },
	}).Parse(pageText))
})
