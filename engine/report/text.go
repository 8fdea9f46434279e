package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/plural"
)

// Options control the form of a report.
type Options struct {
	// Color allows colours; plain text never has any.
	Color bool
	// Width is the width of the terminal in columns; zero means 80. Plain text is not wrapped.
	Width int
	// Resized, if set, returns the current width and is called for each output; zero means Width.
	Resized func() int
	// Rows, if set, returns the current height of the terminal and is called for each output; zero means unknown.
	Rows func() int
	// SetEcho, if set, turns the terminal's echo of keys off when live lines appear, because echoed newlines would move
	// them, and on again when they disappear.
	SetEcho func(on bool)
	// Diff shows the changes in files and settings.
	Diff bool
	// Verbose shows durations, reasons and the cost of the connections.
	Verbose bool
	// Check says before the first event that the run is a check, for words such as "would change".
	Check bool
}

// NewTerminal returns a Reporter for users at a terminal: finished tasks and, below them, a few live lines about what
// each host is doing. Suspend leaves the terminal to others for a while. Close removes the live lines.
func NewTerminal(w io.Writer, o Options) Reporter {
	if o.Width <= 0 {
		o.Width = 80
	}
	r := newText(w, o)
	r.live = &live{now: time.Now}
	r.live.stop = make(chan struct{})
	r.live.stopped.Add(1)
	go r.keepTime(r.live.stop)
	return r
}

// NewPlain returns a Reporter for logs and pipes: the same content as on a terminal, without colours and live lines. Unless
// Options.Verbose is set, the text depends only on what happened, not on how long it took or in which order hosts finished.
func NewPlain(w io.Writer, o Options) Reporter {
	o.Color, o.Width, o.Resized, o.Rows, o.SetEcho = false, 0, nil, nil, nil
	return newText(w, o)
}

// textReporter is the Reporter for people.
type textReporter struct {
	o    Options
	look palette

	mu       sync.Mutex
	w        io.Writer
	err      error
	check    bool
	rehearse bool // durations are in simulated time
	play     PlayStarted
	titled   bool // the play's heading is printed
	current  *openTask
	live     *live // nil for plain text
	waiting  strings.Builder
	away     int // how many Suspend calls are under way
}

// openTask is a task whose results are not complete.
type openTask struct {
	TaskStarted
	results []TaskResult
}

func newText(w io.Writer, o Options) *textReporter {
	return &textReporter{w: w, o: o, look: newPalette(o.Color), check: o.Check}
}

func (t *textReporter) Report(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.measure()
	var out strings.Builder
	switch e := e.(type) {
	case RunStarted:
		t.check = t.check || e.Check
		t.rehearse = e.Rehearse
		out.WriteString(t.runHeading(e))
	case PlayStarted:
		out.WriteString(t.finishTask())
		t.play, t.titled = e, false
	case TaskStarted:
		out.WriteString(t.begin(e))
	case TaskResult:
		out.WriteString(t.begin(TaskStarted{e.Play, e.Task, e.Handler}))
		t.current.results = append(t.current.results, e)
		t.live.settle(e.Host)
	case Progress:
		if t.live == nil && t.o.Verbose && e.What != "" {
			out.WriteString(t.progressLine(e))
		}
		t.live.progress(e)
	case Note:
		out.WriteString(t.finishTask())
		for i, line := range wrap(e.Text, less(t.o.Width, 8)) {
			out.WriteString(pad([]string{"  note: ", ""}[min(i, 1)], 8) + line + "\n")
		}
	case Recap:
		out.WriteString(t.finishTask())
		out.WriteString(t.recap(e))
	}
	t.emit(out.String())
}

// measure adopts the current width of the terminal.
func (t *textReporter) measure() {
	if t.o.Resized != nil {
		if now := t.o.Resized(); now > 0 {
			t.o.Width = now
		}
	}
}

// Close prints what is still open and removes the live lines.
func (t *textReporter) Close() error {
	t.live.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.finishTask()
	t.live.clear()
	t.emit(out)
	return t.err
}

// Suspend runs fn while nothing is written. Events reported meanwhile are written afterwards.
func (t *textReporter) Suspend(fn func()) {
	t.mu.Lock()
	t.print(t.live.erase(t.o.Width))
	t.setEcho(true)
	t.away++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.away--
		t.emit("")
	}()
	fn()
}

// begin makes a task the current one. Its heading is printed with its results.
func (t *textReporter) begin(started TaskStarted) string {
	if t.current != nil && t.current.TaskStarted == started {
		return ""
	}
	out := t.finishTask()
	t.current = &openTask{TaskStarted: started}
	t.live.begin(started)
	return out
}

// finishTask prints the current task with its results, below the heading of its play.
func (t *textReporter) finishTask() string {
	task := t.current
	t.current = nil
	t.live.finish()
	if task == nil || len(task.results) == 0 {
		return ""
	}
	slices.SortStableFunc(task.results, func(a, b TaskResult) int {
		if byPlace := t.place(a.Host) - t.place(b.Host); byPlace != 0 {
			return byPlace
		}
		return strings.Compare(a.Host, b.Host)
	})
	var out strings.Builder
	if !t.titled {
		t.titled = true
		out.WriteString(t.playHeading())
	}
	out.WriteString(t.task(task))
	return out.String()
}

// place returns a host's position in the play. Hosts of other plays come last.
func (t *textReporter) place(host string) int {
	if i := slices.Index(t.play.Hosts, host); i >= 0 {
		return i
	}
	return len(t.play.Hosts)
}

func (t *textReporter) runHeading(e RunStarted) string {
	what := "Run"
	switch {
	case e.Check && e.Rehearse:
		what = "Check of a rehearsal"
	case e.Check:
		what = "Check"
	case e.Rehearse:
		what = "Rehearsal"
	}
	text := fmt.Sprintf("%s on %s", OneLine(e.Playbook), plural.Of(len(e.Hosts), "host"))
	if e.Inventory != "" {
		text = fmt.Sprintf("%s on %s of %s", OneLine(e.Playbook), plural.Of(len(e.Hosts), "host"), OneLine(e.Inventory))
	}
	if e.Rehearse {
		text += ", simulated"
	}
	if e.Check {
		text += "; it shows what would change and touches nothing"
	}
	return t.titledLines(what, text)
}

func (t *textReporter) playHeading() string {
	text := hostNames(t.play.Hosts)
	if room := t.o.Width - width(OneLine(t.play.Play)) - 6; t.o.Width > 0 && width(text) > room {
		text = plural.Of(len(t.play.Hosts), "host")
	}
	if t.play.Batches > 1 {
		text += fmt.Sprintf(" (batch %d of %d)", t.play.Batch, t.play.Batches)
	}
	return "\n" + t.titledLines("── "+OneLine(t.play.Play), text)
}

// titledLines returns a title and a dimmed text about it, on the same line if there is room.
func (t *textReporter) titledLines(title, text string) string {
	if t.o.Width > 0 && width(title)+2+width(text) > t.o.Width {
		var b strings.Builder
		for _, line := range wrap(title, t.o.Width) {
			b.WriteString(t.look.heading(line) + "\n")
		}
		for _, line := range wrap(text, t.o.Width-4) {
			b.WriteString("    " + t.look.dim(line) + "\n")
		}
		return b.String()
	}
	return t.look.heading(title) + "  " + t.look.dim(text) + "\n"
}

func (t *textReporter) progressLine(e Progress) string {
	what := OneLine(e.What)
	if e.Awaits {
		what = "waits for " + what
	}
	if e.Limit > 0 {
		what += ", at most " + span(e.Limit)
	}
	return fmt.Sprintf("    … %s  %s\n", OneLine(e.Host), what)
}

// emit writes finished text above the live lines.
func (t *textReporter) emit(s string) {
	t.waiting.WriteString(s)
	if t.away > 0 {
		return
	}
	out := t.live.erase(t.o.Width) + t.waiting.String()
	t.waiting.Reset()
	lines := t.drawLive()
	if lines != "" {
		t.setEcho(false)
	}
	t.print(out + lines)
	if lines == "" {
		t.setEcho(true)
	}
}

// setEcho calls Options.SetEcho if that changes the echo.
func (t *textReporter) setEcho(on bool) {
	if t.o.SetEcho != nil && t.live != nil && on == t.live.echoOff {
		t.live.echoOff = !on
		t.o.SetEcho(on)
	}
}

// print writes text at once and remembers the first error for Close.
func (t *textReporter) print(s string) {
	if s == "" || t.err != nil {
		return
	}
	if _, err := io.WriteString(t.w, s); err != nil {
		t.err = fmt.Errorf("writing the report: %w", err)
	}
}

// less returns a reduced width. Zero, which means no limit, stays zero.
func less(columns, by int) int {
	if columns == 0 {
		return 0
	}
	return max(columns-by, narrowest/2)
}
