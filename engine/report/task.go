package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Columns of the lines of a task.
const (
	nameColumns   = 44 // width of the task's name if the statuses are on the same line
	detailIndent  = 6
	labelColumns  = 24 // the longest list of hosts that is on the same line as its details
	wideEnough    = 60 // the minimum width for that
	worthSaying   = 5 * time.Second
	outputMargin  = "│ "
	longestOutput = 40 // lines of a failed command's output
)

func taskName(t TaskStarted) string {
	if t.Handler {
		return "handler: " + OneLine(t.Task)
	}
	return OneLine(t.Task)
}

// task formats a task with its results: one line that says which hosts ended how and, below it, the details of hosts
// that have any.
func (t *textReporter) task(task *openTask) string {
	glyph, worst := "", Status("")
	for _, status := range worstFirst {
		if slices.ContainsFunc(task.results, func(r TaskResult) bool { return r.Status == status }) {
			glyph, worst = glyphs[status], status
			break
		}
	}
	if bad(worst) && !slices.ContainsFunc(task.results, func(r TaskResult) bool { return bad(r.Status) && !r.forgiven() }) {
		glyph = ignoredGlyph
	}
	var b strings.Builder
	name := taskName(task.TaskStarted)
	paintName := func(s string) string { return s }
	if worst == Skipped {
		paintName = t.look.dim
	}
	column := nameColumns
	if t.o.Width > 0 {
		column = min(column, t.o.Width*2/5)
	}
	head := "  " + t.look.status[worst](glyph) + " "
	begin := 4 + max(column, width(name)) + 2
	beside := t.statuses(task.results, t.o.Width, begin)
	if t.o.Width > 0 && (len(beside) > 1 || width(beside[0]) > t.o.Width-begin) {
		for i, line := range wrap(name, less(t.o.Width, 4)) {
			if i > 0 {
				head = "    "
			}
			b.WriteString(head + paintName(line) + "\n")
		}
		for _, line := range t.statuses(task.results, t.o.Width, detailIndent) {
			b.WriteString(cut(strings.Repeat(" ", detailIndent)+line, t.o.Width) + "\n")
		}
	} else {
		b.WriteString(head + paintName(pad(name, column)) + "  " + beside[0] + "\n")
	}
	b.WriteString(t.details(task.results))
	return b.String()
}

func bad(s Status) bool { return s == Failed || s == Unreachable }

// word returns a status as people read it.
func (t *textReporter) word(r TaskResult) string {
	switch {
	case r.Status == Changed && t.check:
		return "would change"
	case bad(r.Status) && r.Ignored:
		return string(r.Status) + " (ignored)"
	case bad(r.Status) && r.Rescued:
		return string(r.Status) + " (rescued)"
	}
	return string(r.Status)
}

// suffix returns the reason that all skipped hosts share, and how long the slowest host took if that is worth mentioning.
func (t *textReporter) suffix(results []TaskResult) string {
	var reasons []string
	var longest time.Duration
	for _, r := range results {
		longest = max(longest, r.Duration)
		if r.Status == Skipped && r.Message != "" && !slices.Contains(reasons, r.Message) {
			reasons = append(reasons, r.Message)
		}
	}
	s := ""
	if len(reasons) == 1 && (t.o.Width == 0 || width(reasons[0]) <= t.o.Width/4) {
		s = "(" + OneLine(reasons[0]) + ")"
	}
	if t.o.Verbose || t.live != nil && longest >= worthSaying {
		s += " " + span(longest)
	}
	return strings.TrimSpace(s)
}

// statuses returns "changed pve1 pve2 · ok pve3", with numbers instead of names if there is no room. Lines have at most
// columns less indent, unless a single status is wider.
func (t *textReporter) statuses(results []TaskResult, columns, indent int) []string {
	hosts := map[string][]string{}
	colors := map[string]paint{}
	var words []string
	for _, status := range worstFirst {
		for _, r := range results {
			if r.Status != status {
				continue
			}
			word := t.word(r)
			if _, ok := hosts[word]; !ok {
				words = append(words, word)
				colors[word] = t.look.status[status]
			}
			hosts[word] = append(hosts[word], r.Host)
		}
	}
	pieces := func(names func([]string) string) []string {
		list := make([]string, len(words))
		for i, word := range words {
			list[i] = colors[word](word) + " " + names(hosts[word])
		}
		return list
	}
	suffix := t.suffix(results)
	columns = less(columns, indent)
	lines := flow(pieces(hostNames), suffix, columns, t.look.dim)
	if len(lines) > 1 || columns > 0 && width(lines[0]) > columns {
		lines = flow(pieces(func(hosts []string) string {
			if len(hosts) == 1 {
				return OneLine(hosts[0])
			}
			return fmt.Sprintf("on %d hosts", len(hosts))
		}), suffix, columns, t.look.dim)
	}
	return lines
}

// flow joins pieces and then the suffix into lines of at most columns.
func flow(pieces []string, suffix string, columns int, dim paint) []string {
	const between = " · "
	lines := pieces[:1:1]
	for _, piece := range pieces[1:] {
		last := len(lines) - 1
		if columns > 0 && width(lines[last])+width(between)+width(piece) > columns {
			lines = append(lines, piece)
		} else {
			lines[last] += between + piece
		}
	}
	if suffix != "" {
		last := len(lines) - 1
		if columns > 0 && width(lines[last])+1+width(suffix) > columns {
			lines = append(lines, dim(suffix))
		} else {
			lines[last] += " " + dim(suffix)
		}
	}
	return lines
}

// forgiven reports whether a failure leaves its host in the run.
func (r TaskResult) forgiven() bool { return r.Ignored || r.Rescued }

// details returns the details of hosts. Hosts with the same details share them; their names are added unless the line
// above lists them.
func (t *textReporter) details(results []TaskResult) string {
	type block struct {
		hosts []string
		tells func(columns int) []string
	}
	var blocks []*block
	byText := map[string]*block{}
	labels := 0
	for _, r := range results {
		text := strings.Join(t.tells(r, 0), "\n")
		if text == "" {
			continue
		}
		known := byText[text]
		if known == nil {
			known = &block{tells: func(columns int) []string { return t.tells(r, columns) }}
			byText[text] = known
			blocks = append(blocks, known)
		}
		known.hosts = append(known.hosts, r.Host)
	}
	beside := labelColumns
	if t.o.Width > 0 {
		beside = min(beside, t.o.Width/4)
	}
	if t.o.Width > 0 && t.o.Width < wideEnough {
		beside = 0
	}
	for _, block := range blocks {
		if w := width(hostNames(block.hosts)); w <= beside {
			labels = max(labels, w)
		}
	}
	var b strings.Builder
	if len(blocks) == 1 && t.plainWhose(results, blocks[0].hosts) {
		margin := strings.Repeat(" ", detailIndent)
		for _, line := range blocks[0].tells(less(t.o.Width, detailIndent)) {
			b.WriteString(strings.TrimRight(margin+line, " ") + "\n")
		}
		return b.String()
	}
	for _, block := range blocks {
		label := hostNames(block.hosts)
		margin := strings.Repeat(" ", detailIndent)
		indent := margin + strings.Repeat(" ", labels+2)
		first := margin + t.look.heading(pad(label, labels)) + "  "
		if width(label) > beside {
			indent, first = margin+"  ", margin+"  "
			for _, line := range wrap(label, less(t.o.Width, detailIndent)) {
				b.WriteString(margin + t.look.heading(line) + "\n")
			}
		}
		for i, line := range block.tells(less(t.o.Width, width(indent))) {
			if i > 0 {
				first = indent
			}
			b.WriteString(strings.TrimRight(first+line, " ") + "\n")
		}
	}
	return b.String()
}

// plainWhose reports whether hosts are exactly those with one of the statuses, which the line of statuses lists.
func (t *textReporter) plainWhose(results []TaskResult, hosts []string) bool {
	word := ""
	for _, r := range results {
		if slices.Contains(hosts, r.Host) {
			if word != "" && word != t.word(r) {
				return false
			}
			word = t.word(r)
		}
	}
	return !slices.ContainsFunc(results, func(r TaskResult) bool {
		return t.word(r) == word && !slices.Contains(hosts, r.Host)
	})
}

// tells returns the details of a result in lines of at most columns (zero: no limit). Lines of diffs are not wrapped.
func (t *textReporter) tells(r TaskResult, columns int) []string {
	d := &detail{columns: columns}
	switch {
	case bad(r.Status):
		t.failure(d, r)
	case r.Status == Skipped && !t.o.Verbose:
	default:
		if r.Status != OK || t.o.Verbose {
			d.paragraph("", r.Message, nil)
			t.work(d, r)
			if t.o.Verbose {
				t.output(d, r.Output)
			}
		}
	}
	for _, note := range r.Notes {
		d.paragraph("note: ", note, nil)
	}
	if t.o.Diff {
		for _, diff := range r.Diffs {
			d.lines = append(d.lines, t.diff(Unified(diff))...)
		}
	}
	return d.lines
}

// work adds the steps, item by item if there are items, and the messages of items that the task's message does not contain.
func (t *textReporter) work(d *detail, r TaskResult) {
	told := false
	for _, item := range r.Items {
		prefix := OneLine(item.Key) + ": "
		for _, step := range item.Steps {
			if names(step, item.Key) {
				d.paragraph("", step, nil)
			} else {
				d.paragraph(prefix, step, nil)
			}
			told = true
		}
		if t.o.Verbose {
			t.output(d, item.Output)
		}
		if item.Message != "" && !strings.Contains(r.Message, item.Message) && (item.Status == Uncertain || bad(item.Status) || t.o.Verbose) {
			d.paragraph(prefix, item.Message, t.look.status[item.Status])
			told = true
		}
	}
	if !told {
		for _, step := range r.Steps {
			d.paragraph("", step, nil)
		}
	}
}

// names reports whether a step mentions its item, so that the key need not precede it.
func names(step, key string) bool { return slices.Contains(strings.Fields(step), key) }

func (t *textReporter) failure(d *detail, r TaskResult) {
	message := r.Message
	if message == "" {
		message = string(r.Status) + " without a message"
	}
	d.paragraph("", message, t.look.status[r.Status])
	if r.File != "" {
		d.paragraph("at ", fmt.Sprintf("%s:%d", r.File, r.Line), t.look.dim)
	}
	t.under(d, "before that:", func(d *detail) { t.work(d, r) })
	t.under(d, "not completed:", func(d *detail) {
		for _, step := range r.Unfinished {
			if !strings.HasPrefix(r.Message, step+": ") { // the message already mentions it
				d.paragraph("", step, nil)
			}
		}
	})
	t.output(d, r.Output)
	if r.Hint != "" {
		d.paragraph("hint: ", r.Hint, nil)
	}
}

// under adds what fn writes, indented below a heading, or nothing if fn writes nothing.
func (t *textReporter) under(d *detail, heading string, fn func(*detail)) {
	below := &detail{columns: less(d.columns, 2)}
	fn(below)
	for i, line := range below.lines {
		if i == 0 {
			d.lines = append(d.lines, t.look.dim(heading))
		}
		d.lines = append(d.lines, "  "+line)
	}
}

// output adds the end of a command's output.
func (t *textReporter) output(d *detail, text string) {
	text = strings.Trim(text, "\r\n")
	if strings.TrimSpace(text) == "" {
		return
	}
	lines := wrap(plainText(text), less(d.columns, width(outputMargin)))
	if extra := len(lines) - longestOutput; extra > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before)", extra)}, lines[extra:]...)
	}
	for _, line := range lines {
		d.lines = append(d.lines, t.look.dim(outputMargin)+line)
	}
}

// diff returns the lines of a rendered diff in colour.
func (t *textReporter) diff(text string) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
			lines[i] = t.look.dim(line)
		case strings.HasPrefix(line, "@@"):
			lines[i] = t.look.hunk(line)
		case strings.HasPrefix(line, "+"):
			lines[i] = t.look.added(line)
		case strings.HasPrefix(line, "-"):
			lines[i] = t.look.removed(line)
		}
	}
	return lines
}

// detail collects lines of at most columns.
type detail struct {
	columns int
	lines   []string
}

// paragraph adds a text with prefix before its first line and the same width of spaces before the others.
func (d *detail) paragraph(prefix, text string, color paint) {
	if strings.TrimSpace(text) == "" {
		return
	}
	indent := width(prefix)
	if d.columns > 0 && indent > d.columns/2 {
		indent = 2
		d.lines = append(d.lines, strings.TrimRight(prefix, " "))
		prefix = "  "
	}
	for i, line := range wrap(text, less(d.columns, indent)) {
		if color != nil {
			line = color(line)
		}
		if i > 0 {
			prefix = strings.Repeat(" ", indent)
		}
		d.lines = append(d.lines, prefix+line)
	}
}
