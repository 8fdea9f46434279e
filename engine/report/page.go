package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/modules"
)

// NewPage returns a Reporter that on Close writes a run as a self-contained HTML page, readable without scripts: how
// the run ended, what failed and where, when each task was active on each host, what the run's duration consists of,
// and what changed. now is the run's clock.
func NewPage(w io.Writer, now func() time.Time) Reporter {
	return &page{w: w, now: now, text: newText(io.Discard, Options{Verbose: true})}
}

// page collects the run.
type page struct {
	w     io.Writer
	now   func() time.Time
	text  *textReporter // formats what the page says as the terminal does
	run   RunStarted
	began time.Time
	plays []*pagePlay
	next  bool // a play has started since the last result
	notes []string
	recap *Recap
}

// pagePlay is a play with its tasks, in the order in which they began.
type pagePlay struct {
	Name  string
	Tasks []*pageTask
}

// pageTask is a task with its results.
type pageTask struct {
	Name, File string
	Line       int
	ID         int // counts from 1
	Results    []pageResult
}

// Glyph returns the sign of the worst status of a task.
func (t *pageTask) Glyph(worst Status) string {
	if bad(worst) && !slices.ContainsFunc(t.Results, func(r pageResult) bool { return bad(r.Status) && !r.forgiven() }) {
		return ignoredGlyph
	}
	return glyphs[worst]
}

// Slowest returns how long the task took on the host where it took the longest.
func (t *pageTask) Slowest() time.Duration {
	var longest time.Duration
	for _, r := range t.Results {
		longest = max(longest, r.Duration)
	}
	return longest
}

// pageResult is how a task ended on a host, and when it was active there, relative to the start of the run.
type pageResult struct {
	TaskResult
	From, To time.Duration
	Of       *pageTask
}

// Report implements Reporter.
func (p *page) Report(e Event) {
	p.text.Report(e)
	switch e := e.(type) {
	case RunStarted:
		p.run, p.began = e, p.now()
	case Note:
		p.notes = append(p.notes, e.Text)
	case PlayStarted:
		p.next = p.next || e.Batch <= 1
	case TaskResult:
		to := p.now().Sub(p.began)
		task := p.task(e)
		task.Results = append(task.Results, pageResult{e, max(0, to-e.Duration), to, task})
	case Recap:
		p.recap = &e
	}
}

// task returns the task of a result. The batches of a play share its tasks; another play with the same name has its
// own.
func (p *page) task(r TaskResult) *pageTask {
	name := taskName(TaskStarted{r.Play, r.Task, r.Handler})
	if last := len(p.plays) - 1; p.next || last < 0 || p.plays[last].Name != r.Play {
		p.plays = append(p.plays, &pagePlay{Name: r.Play})
		p.next = false
	}
	play := p.plays[len(p.plays)-1]
	for _, task := range play.Tasks {
		if task.Name == name && task.File == r.File && task.Line == r.Line {
			return task
		}
	}
	task := &pageTask{Name: name, File: r.File, Line: r.Line, ID: 1}
	for _, play := range p.plays {
		task.ID += len(play.Tasks)
	}
	play.Tasks = append(play.Tasks, task)
	return task
}

// results returns the results of all tasks.
func (p *page) results() []pageResult {
	var all []pageResult
	for _, play := range p.plays {
		for _, task := range play.Tasks {
			all = append(all, task.Results...)
		}
	}
	return all
}

// hosts returns the names of the hosts in the inventory's order, followed by those that appear only in results.
func (p *page) hosts() []string {
	hosts := slices.Clone(p.run.Hosts)
	if p.recap != nil {
		hosts = slices.Clone(p.recap.Order)
	}
	for _, r := range p.results() {
		if !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts
}

// tally is a column of the table of hosts.
type tally struct {
	Heading string
	Counts  []int // in the order of the hosts
}

// tallies returns the columns that are not all zero.
func (p *page) tallies(hosts []string) []tally {
	if p.recap == nil {
		return nil
	}
	var tallies []tally
	for _, column := range columns(p.recap.Hosts) {
		t := tally{Heading: p.text.heading(column)}
		for _, host := range hosts {
			t.Counts = append(t.Counts, column.of(p.recap.Hosts[host]))
		}
		tallies = append(tallies, t)
	}
	return tallies
}

// verdict returns a sentence about how the run ended, and the status in whose colour it is shown.
func (p *page) verdict(hosts []string) (sentence string, status Status) {
	if p.recap == nil {
		return "The run did not come to its end.", Failed
	}
	status = OK
	for _, c := range p.recap.Hosts {
		switch {
		case c.Failed+c.Unreachable+c.Unfinished > 0 || p.recap.Interrupted:
			return p.text.verdict(hosts, *p.recap), Failed
		case c.Changed > 0:
			status = Changed
		}
	}
	return p.text.verdict(hosts, *p.recap), status
}

// ending is a status of a task with the hosts on which the task ended that way.
type ending struct {
	Status Status
	Word   string
	Hosts  []string
}

// Endings returns the statuses of a task, the worst first.
func (p *page) Endings(task *pageTask) []ending {
	var all []ending
	for _, status := range worstFirst {
		for _, r := range task.Results {
			if r.Status != status {
				continue
			}
			word := p.text.word(r.TaskResult)
			i := slices.IndexFunc(all, func(e ending) bool { return e.Word == word })
			if i < 0 {
				i = len(all)
				all = append(all, ending{Status: status, Word: word})
			}
			all[i].Hosts = append(all[i].Hosts, r.Host)
		}
	}
	return all
}

// telling is the details of a task on some hosts.
type telling struct {
	Hosts []string
	Text  string
	Diffs []modules.Diff
}

// Tellings returns the details of results. Hosts with the same details share them.
func (p *page) Tellings(results []pageResult) []*telling {
	var all []*telling
	known := map[string]*telling{}
	for _, r := range results {
		text := Printable(strings.Join(p.text.tells(r.TaskResult, 0), "\n"))
		key := text
		for _, d := range r.Diffs {
			key += "\n" + Unified(d)
		}
		switch same := known[key]; {
		case key == "":
		case same != nil:
			same.Hosts = append(same.Hosts, r.Host)
		default:
			known[key] = &telling{Hosts: []string{r.Host}, Text: text, Diffs: r.Diffs}
			all = append(all, known[key])
		}
	}
	return all
}

// failures returns the results that made the run fail.
func (p *page) failures() []pageResult {
	return slices.DeleteFunc(p.results(), func(r pageResult) bool { return !bad(r.Status) || r.forgiven() })
}

// Close writes the page.
func (p *page) Close() error {
	hosts := p.hosts()
	for _, play := range p.plays {
		for _, task := range play.Tasks {
			slices.SortStableFunc(task.Results, func(a, b pageResult) int {
				return slices.Index(hosts, a.Host) - slices.Index(hosts, b.Host)
			})
		}
	}
	results := p.results()
	total := time.Duration(1) // not zero, because it is a divisor
	on := map[string][]pageResult{}
	for _, r := range results {
		total = max(total, r.To)
		on[r.Host] = append(on[r.Host], r)
	}
	path := criticalPath(results)
	critical := map[string]bool{}
	for _, r := range path {
		critical[place(r)] = true
	}
	verdict, status := p.verdict(hosts)
	return pageTemplate().Execute(p.w, pageView{
		page: p, Run: p.run, Began: p.began, Verdict: verdict, Status: status, Hosts: hosts, Tallies: p.tallies(hosts), Notes: p.notes,
		Failures: p.failures(), Plays: p.plays, Ticks: ticks(total),
		// Results that are too short to matter are omitted from the table.
		Path:  slices.DeleteFunc(path, func(r pageResult) bool { return r.To-r.From < total/200 }),
		total: total, on: on, critical: critical,
	})
}

// pageView is what the template shows.
type pageView struct {
	*page
	Run      RunStarted
	Began    time.Time
	Verdict  string
	Status   Status
	Hosts    []string
	Tallies  []tally
	Notes    []string
	Failures []pageResult
	Plays    []*pagePlay
	Ticks    []time.Duration
	Path     []pageResult

	total    time.Duration // of the run
	on       map[string][]pageResult
	critical map[string]bool // by place
}

// At returns the position of a moment on the time axis.
func (v pageView) At(d time.Duration) string {
	return fmt.Sprintf("%.3f%%", 100*float64(d)/float64(v.total))
}

// Wide returns how much of the axis an interval takes.
func (v pageView) Wide(from, to time.Duration) string { return v.At(to - from) }

// Critical reports whether the run had to wait for a result.
func (v pageView) Critical(r pageResult) bool { return v.critical[place(r)] }

// On returns the results of a host.
func (v pageView) On(host string) []pageResult { return v.on[host] }

// place identifies a result on the page.
func place(r pageResult) string { return fmt.Sprint(r.Of.ID, r.From, r.Host) }

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// PageStyle returns the style that hlplay's pages share: that of a run and that of a plan.
func PageStyle() template.CSS { return template.CSS(pageStyle) }

// pageTemplate parses the page when it is first needed, because most commands need none.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"style": PageStyle,
		"clean": Printable,
		"span":  span,
		"hosts": hostNames,
		"diff":  DiffLines,
		"bad":   bad,
		"worth": func(d time.Duration) bool { return d >= 100*time.Millisecond },
		"alone": func(r pageResult) []pageResult { return []pageResult{r} },
	}).Parse(pageText))
})

// DiffLine is a line of a diff. Kind is heading, added, removed, or empty for context.
type DiffLine struct{ Kind, Text string }

// DiffLines returns the lines of a diff as Unified prints it.
func DiffLines(d modules.Diff) []DiffLine {
	var lines []DiffLine
	for line := range strings.Lines(Unified(d)) {
		kind := ""
		switch {
		case len(lines) < 2 && (strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ")), strings.HasPrefix(line, "@@"):
			kind = "heading"
		case strings.HasPrefix(line, "+"):
			kind = "added"
		case strings.HasPrefix(line, "-"):
			kind = "removed"
		}
		lines = append(lines, DiffLine{kind, Printable(strings.TrimSuffix(line, "\n")) + "\n"})
	}
	return lines
}
