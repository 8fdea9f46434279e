package report

import (
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"hlplay/modules"
)

// NewPage returns a Reporter that on Close writes a run as one self-contained page of HTML, readable without scripts: how it ended, what
// failed and where, when each task was at work on each host, which host each task waited for the longest, and what changed. now is the
// run's clock.
func NewPage(w io.Writer, now func() time.Time) Reporter { return &page{w: w, now: now} }

type page struct {
	w       io.Writer
	now     func() time.Time
	began   time.Time
	started RunStarted
	results []pageResult
	notes   []string
	recap   *Recap
}

// pageResult is how a task ended on a host, and when it was at work there, since the run began.
type pageResult struct {
	TaskResult
	From, To time.Duration
}

func (p *page) Report(e Event) {
	switch e := e.(type) {
	case RunStarted:
		p.started, p.began = e, p.now()
	case Note:
		p.notes = append(p.notes, e.Text)
	case TaskResult:
		to := p.now().Sub(p.began)
		p.results = append(p.results, pageResult{e, max(0, to-e.Duration), to})
	case Recap:
		p.recap = &e
	}
}

// pageTask is a task with its hosts.
type pageTask struct {
	Play, Task, File string
	Line             int
	Hosts            []pageResult
	// Slowest is the host that was at work the longest.
	Slowest pageResult
}

// Quiet reports whether the task did nothing on any host.
func (t pageTask) Quiet() bool {
	for _, r := range t.Hosts {
		if r.Status != OK && r.Status != Skipped {
			return false
		}
	}
	return true
}

func (p *page) tasks() []*pageTask {
	var all []*pageTask
	for _, r := range p.results {
		var task *pageTask
		for _, t := range all {
			if t.Play == r.Play && t.Task == r.Task {
				task = t
			}
		}
		if task == nil {
			task = &pageTask{Play: r.Play, Task: r.Task, File: r.File, Line: r.Line}
			all = append(all, task)
		}
		task.Hosts = append(task.Hosts, r)
		if r.Duration > task.Slowest.Duration || task.Slowest.Host == "" {
			task.Slowest = r
		}
	}
	return all
}

// Close writes the page.
func (p *page) Close() error {
	tasks := p.tasks()
	total := time.Duration(1) // of what is divided by
	for _, r := range p.results {
		total = max(total, r.To)
	}
	var bad []pageResult
	for _, r := range p.results {
		if (r.Status == Failed && !r.Ignored && !r.Rescued) || r.Status == Unreachable {
			bad = append(bad, r)
		}
	}
	slowest := slices.Clone(tasks)
	slices.SortStableFunc(slowest, func(a, b *pageTask) int { return int(b.Slowest.Duration - a.Slowest.Duration) })
	slowest = slices.DeleteFunc(slowest, func(t *pageTask) bool { return t.Slowest.Duration < total/100 })
	slowest = slowest[:min(len(slowest), 10)]
	return pageTemplate.Execute(p.w, struct {
		Run            RunStarted
		Began          time.Time
		Recap          *Recap
		Failures       []pageResult
		Tasks, Slowest []*pageTask
		Notes          []string
		Total          time.Duration
	}{p.started, p.began, p.recap, bad, tasks, slowest, p.notes, total})
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"share": func(part, whole time.Duration) string { return fmt.Sprintf("%.2f", 100*float64(part)/float64(whole)) },
	"width": func(r pageResult, whole time.Duration) string {
		return fmt.Sprintf("%.2f", max(0.4, 100*float64(r.To-r.From)/float64(whole)))
	},
	"short": func(d time.Duration) string { return d.Round(time.Millisecond).String() },
	"diff":  func(d modules.Diff) string { return Unified(d) },
	"clean": printable,
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Run.Playbook}}</title>
<style>
:root { color-scheme: light dark; --ok: #2e7d32; --changed: #b26a00; --failed: #c62828; --unreachable: #c62828; --uncertain: #6a4fb3; --skipped: #888; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
.scroll { overflow-x: auto; }
pre { overflow-x: auto; padding: .5rem; background: #8881; white-space: pre-wrap; overflow-wrap: anywhere; }
.where { color: #777; overflow-wrap: anywhere; }
.lane { display: flex; align-items: center; gap: .6rem; } .lane > b { flex: 0 0 7rem; overflow-wrap: anywhere; font-weight: normal; }
.track { position: relative; flex: 1; height: .7rem; background: #8882; } .track > i { position: absolute; top: 0; bottom: 0; }
.ok { color: var(--ok); } .changed { color: var(--changed); } .failed, .unreachable { color: var(--failed); } .uncertain { color: var(--uncertain); } .skipped { color: var(--skipped); }
.track > i { background: currentColor; }
summary { cursor: pointer; }
</style>
</head>
<body>
<h1>{{.Run.Playbook}}{{if .Run.Rehearse}}, rehearsed{{end}}{{if .Run.Check}}, check mode: nothing was changed{{end}}</h1>
<p>Inventory {{.Run.Inventory}}, begun {{.Began.Format "2006-01-02 15:04:05"}}{{with .Recap}}, {{short .Duration}}{{if .Interrupted}}, interrupted{{end}}{{else}}; it did not come to its end{{end}}</p>
{{with .Recap}}{{$hosts := .Hosts}}<div class="scroll"><table><tr><th>host<th>ok<th>changed<th>skipped<th>uncertain<th>failed<th>unreachable</tr>
{{range .Order}}<tr><td>{{.}}{{with index $hosts .}}<td>{{.OK}}<td>{{.Changed}}<td>{{.Skipped}}<td>{{.Uncertain}}<td>{{.Failed}}<td>{{.Unreachable}}{{end}}</tr>
{{end}}</table></div>{{end}}
{{range .Notes}}<p>Note: {{clean .}}</p>
{{end}}
{{if .Failures}}<h2>What failed</h2>
{{range .Failures}}<section><b class="{{.Status}}">{{.Host}}: {{.Task}}</b> <span class="where">{{.File}}:{{.Line}}, play {{.Play}}</span>
<pre>{{clean .Message}}{{if .Hint}}
hint: {{clean .Hint}}{{end}}{{if .Output}}
{{clean .Output}}{{end}}</pre></section>
{{end}}{{end}}
{{if .Slowest}}<h2>Where the time went</h2>
<div class="scroll"><table><tr><th>task<th>slowest host<th>its time<th>of the run</tr>
{{$total := .Total}}{{range .Slowest}}<tr><td>{{.Task}}<td>{{.Slowest.Host}}<td>{{short .Slowest.Duration}}<td>{{share .Slowest.Duration $total}} %</tr>
{{end}}</table></div>{{end}}
<h2>Tasks</h2>
{{$total := .Total}}{{range .Tasks}}<details{{if not .Quiet}} open{{end}}><summary>{{.Task}} <span class="where">{{.File}}:{{.Line}}, play {{.Play}}</span></summary>
{{range .Hosts}}<div class="lane"><b>{{.Host}}</b><span class="{{.Status}}">{{.Status}}{{if .Ignored}} (ignored){{end}}{{if .Rescued}} (rescued){{end}}</span><span class="track {{.Status}}"><i style="left: {{share .From $total}}%; width: {{width . $total}}%" title="{{short .From}} to {{short .To}}"></i></span></div>
{{if .Steps}}<ul>{{range .Steps}}<li>{{clean .}}</li>{{end}}</ul>{{end}}{{range .Unfinished}}<p class="failed">not completed: {{clean .}}</p>{{end}}{{range .Notes}}<p>note: {{clean .}}</p>{{end}}{{if eq .Status "uncertain"}}<p>{{clean .Message}}</p>{{end}}
{{range .Diffs}}<details><summary>{{clean .Subject}}</summary><pre>{{diff .}}</pre></details>
{{end}}{{end}}</details>
{{end}}
</body>
</html>
`))
