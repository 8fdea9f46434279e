package plan

import (
	"html/template"
	"io"
	"strings"
	"sync"

	"hlplay/engine/report"
	"hlplay/modules"
)

// WriteHTML writes the plan as one self-contained page, readable without scripts: the summary, and each task with the
// hosts on which it would do the same, its steps with their classes, and what changes.
func (p *Plan) WriteHTML(w io.Writer) error {
	return page().Execute(w, struct {
		*Plan
		Groups []*group
		Totals []string
	}{p, p.groups(), strings.Split(p.Summary(), "\n")})
}

// page parses the template when it is first needed, because most commands need none.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("plan").Funcs(template.FuncMap{
		"line":    report.OneLine,
		"hosts":   func(names []string) string { return report.OneLine(strings.Join(names, " ")) },
		"changes": func(d Diff) string { return report.Unified(modules.Diff(d)) },
	}).Parse(pageText))
})

const pageText = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plan for {{line .Run.Playbook}}</title>
<style>
:root { color-scheme: light dark; --restart: #b26a00; --destroy: #c62828; --uncertain: #6a4fb3; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem; }
pre { padding: .5rem; background: #8881; white-space: pre-wrap; }
ul { list-style: none; padding: 0; } b { font-weight: 600; }
.where { color: #777; font-weight: normal; }
.command, .restart, .ssh, .quorum, .data { color: var(--restart); } .destroy { color: var(--destroy); } .uncertain { color: var(--uncertain); }
</style>
</head>
<body>
<h1>Plan for {{line .Run.Playbook}}</h1>
<p class="where">made {{.Made.Local.Format "2006-01-02 15:04"}} by {{line .Run.By}}</p>
{{range .Totals}}<p>{{.}}</p>
{{end}}
{{range .Groups}}<section>
<h2>{{if .Handler}}handler: {{end}}{{line .Task.Task}} <span class="where">{{line .File}}:{{.Line}}, play {{line .Play}}</span></h2>
<p>on {{hosts .Hosts}}</p>
<ul>
{{range .Steps}}<li><b class="{{.Risk}}">{{.Risk}}</b> {{line .Summary}}</li>
{{end}}{{if eq .Status "uncertain"}}<li><b class="uncertain">uncertain</b> {{line .Message}}</li>
{{end}}{{range .Notes}}<li>note: {{line .}}</li>
{{end}}</ul>
{{range .Diffs}}<details open><summary>{{line .Subject}}</summary><pre>{{changes .}}</pre></details>
{{end}}</section>
{{end}}
</body>
</html>
`
