package lang

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hclfile"
)

// Limits on how much text from other sources a diagnostic shows: names and lines can be of any length.
const (
	mostDiagnostics = 20
	longestSummary  = 300
	longestDetail   = 2000
	longestLine     = 200 // if there is no limit on the width
)

// WriteDiagnostics writes diagnostics for people to read: what is wrong, where, the source line with the error
// underlined, and what was expected. Text is wrapped at width columns, or not at all if width is below 40. Values that
// the expression read are shown unless they are sensitive. If there are very many diagnostics, only the first ones are
// shown.
func WriteDiagnostics(w io.Writer, files map[string]*hcl.File, diags hcl.Diagnostics, color bool, width int) {
	r := renderer{files: files, width: width}
	if color {
		r.red = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
		r.yellow = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Yellow)
		r.bold = lipgloss.NewStyle().Bold(true)
		r.faint = lipgloss.NewStyle().Faint(true)
	}
	for i, d := range diags {
		if i > 0 {
			r.b.WriteByte('\n')
		}
		if i == mostDiagnostics {
			fmt.Fprintf(&r.b, "… and %d more.\n", len(diags)-i)
			break
		}
		r.diagnostic(d)
	}
	// A write error is the caller's concern: there is nowhere else to report it.
	_, _ = io.WriteString(w, r.b.String())
}

type renderer struct {
	b                        strings.Builder
	files                    map[string]*hcl.File
	width                    int
	red, yellow, bold, faint lipgloss.Style
}

func (r *renderer) diagnostic(d *hcl.Diagnostic) {
	severity, style := "Error", r.red
	if d.Severity == hcl.DiagWarning {
		severity, style = "Warning", r.yellow
	}
	said, detail := d.Summary, d.Detail
	if d.Subject != nil && r.veiled(*d.Subject) {
		said, detail = unquoted(said), unquoted(detail)
	}
	summary := ansi.Truncate(lowerFirst(oneLine(plain([]byte(said)))), longestSummary, "…")
	r.b.WriteString(style.Render(severity+":") + " " + r.bold.Render(summary) + "\n")
	if d.Subject != nil {
		r.snippet(*d.Subject, style)
	}
	for _, line := range r.values(d) {
		r.b.WriteString(r.faint.Render("  with "+line) + "\n")
	}
	if detail != "" {
		text := ansi.Truncate(strings.TrimSpace(visible(detail)), longestDetail, "…")
		if r.width >= 40 {
			text = ansi.Wordwrap(text, r.width-2, "")
		}
		for line := range strings.SplitSeq(text, "\n") {
			r.b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
	}
}

// lowerFirst changes the first letter to lower case unless the word is an abbreviation: HCL's summaries begin with a
// capital letter, ours do not.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// snippet writes where the range is and its first line, with the range marked below it.
func (r *renderer) snippet(at hcl.Range, style lipgloss.Style) {
	file := r.files[at.Filename]
	if file == nil || at.Start.Byte > len(file.Bytes) || len(file.Bytes) == 0 {
		where := at.Filename
		if file != nil || at.Start.Line > 1 {
			where = lineOf(at)
		}
		fmt.Fprintf(&r.b, "  at %s\n", where)
		return
	}
	fmt.Fprintf(&r.b, "  at %s%s\n", lineOf(at), within(file, at))
	src := file.Bytes
	number := fmt.Sprintf("%5d │ ", at.Start.Line)
	if r.veiled(at) {
		r.b.WriteString(r.faint.Render(number+"(not shown: it may hold a sensitive value)") + "\n")
		return
	}
	begin := at.Start.Byte
	for begin > 0 && src[begin-1] != '\n' {
		begin--
	}
	end := at.Start.Byte
	for end < len(src) && src[end] != '\n' {
		end++
	}
	stop := min(max(at.End.Byte, at.Start.Byte), end)
	before, marked := plain(src[begin:at.Start.Byte]), plain(src[at.Start.Byte:stop])
	after := plain(src[stop:end])
	room := longestLine
	if r.width >= 40 {
		room = r.width - ansi.StringWidth(number)
	}
	before, marked, after = window(before, marked, after, room)
	r.b.WriteString(r.faint.Render(number) + strings.TrimRight(before+marked+after, " ") + "\n")
	pad := strings.Repeat(" ", ansi.StringWidth(number)-2) + "│ "
	marks := strings.Repeat("^", max(1, ansi.StringWidth(marked)))
	r.b.WriteString(r.faint.Render(pad) + strings.Repeat(" ", ansi.StringWidth(before)) + style.Render(marks) + "\n")
}

// veiled reports whether the line of a range must not be shown.
func (r *renderer) veiled(at hcl.Range) bool {
	file := r.files[at.Filename]
	return file != nil && at.Start.Byte <= len(file.Bytes) && secretLine(file.Bytes, at.Start.Byte)
}

// window cuts a line to the given number of columns, keeping the marked part in view.
func window(before, marked, after string, columns int) (string, string, string) {
	const behind = 12 // how much of the text after the mark stays in view
	extra := ansi.StringWidth(before) + min(ansi.StringWidth(marked), columns/2) + min(ansi.StringWidth(after), behind) - columns
	if extra > 0 {
		before = ansi.TruncateLeft(before, extra+1, "…")
	}
	marked = ansi.Truncate(marked, columns-ansi.StringWidth(before), "…")
	after = ansi.Truncate(after, columns-ansi.StringWidth(before+marked), "…")
	return before, marked, after
}

// visible returns text of several lines without anything that a terminal would interpret.
func visible(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plain([]byte(line))
	}
	return strings.Join(lines, "\n")
}

// plain returns a line of text without anything that a terminal would interpret.
func plain(src []byte) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c == '\r':
			return -1
		case c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0, unicode.Is(unicode.Cf, c): // control characters, and those that reorder text
			return '�'
		}
		return c
	}, string(src))
}

// within says which play, group and task contain the range.
func within(file *hcl.File, at hcl.Range) string {
	if file.Body == nil {
		return ""
	}
	var names []string
	for _, block := range file.BlocksAtPos(at.Start) {
		if len(block.Labels) > 0 && block.Type != "import" && block.DefRange.Start.Line < at.Start.Line {
			names = append(names, fmt.Sprintf("%s %q", block.Type, block.Labels[0]))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", in " + strings.Join(names, ", ")
}

// values returns the values that the diagnostic's expression reads, if they are simple and may be shown.
func (r *renderer) values(d *hcl.Diagnostic) []string {
	if d.Expression == nil || d.EvalContext == nil {
		return nil
	}
	var lines []string
	seen := make(map[string]bool)
	for _, traversal := range d.Expression.Variables() {
		v, diags := traversal.TraverseAbs(rootContext(d.EvalContext))
		if diags.HasErrors() {
			continue
		}
		line := traversalText(traversal)
		if seen[line] {
			continue
		}
		seen[line] = true
		if text := show(v); text != "" {
			lines = append(lines, line+" = "+text)
		}
	}
	return lines
}

// rootContext returns the context that holds the roots: ctx may be the context of a for expression.
func rootContext(ctx *hcl.EvalContext) *hcl.EvalContext {
	for ctx.Parent() != nil {
		ctx = ctx.Parent()
	}
	return ctx
}

func traversalText(traversal hcl.Traversal) string {
	text := traversal.RootName()
	for _, step := range traversal[1:] {
		switch s := step.(type) {
		case hcl.TraverseAttr:
			text += "." + s.Name
		case hcl.TraverseIndex:
			text += pathText(cty.Path{cty.IndexStep{Key: s.Key}})
		}
	}
	return text
}

// longest is the maximum length of a string that is shown.
const longest = 60

// show formats a simple value; it returns "" if the value is not simple.
func show(v cty.Value) string {
	if v.ContainsMarked() {
		return "(sensitive)"
	}
	switch {
	case !v.IsKnown():
		return "(known during the run)"
	case v.IsNull():
		return "null"
	case v.Type() == cty.String:
		s := v.AsString()
		if len(s) > longest {
			s = strings.ToValidUTF8(s[:longest], "") + "…"
		}
		return fmt.Sprintf("%q", s)
	case v.Type() == cty.Number && !hclfile.TooLarge(v):
		return v.AsBigFloat().Text('g', 20)
	case v.Type() == cty.Bool:
		return fmt.Sprint(v.True())
	}
	return ""
}
