package conffile

import (
	"slices"
	"strings"
)

// EditLines edits a text, hiding carriage returns before line feeds from edit. Lines that are kept keep their line
// endings, and new ones get the ending of most lines in the text.
func EditLines(text string, edit func(text string) string) string {
	before := strings.SplitAfter(text, "\n")
	bare := make([]string, len(before))
	returns := 0
	for i, line := range before {
		bare[i] = withoutReturn(line)
		if strings.HasSuffix(line, "\r\n") {
			returns++
		}
	}
	plain := strings.Join(bare, "")
	edited := edit(plain)
	if edited == plain {
		return text
	}
	end := LineEnd(text)
	var out strings.Builder
	next := 0
	for line := range strings.Lines(edited) {
		line = withoutReturn(line)
		whole := strings.TrimSuffix(line, "\n") + end
		if at := slices.Index(bare[next:], line); at >= 0 && 0 < returns && returns < len(before)-1 { // in a text with both endings
			whole = before[next+at]
			next += at + 1
		} else if !strings.HasSuffix(line, "\n") {
			whole = line
		}
		out.WriteString(whole)
	}
	return out.String()
}

// withoutReturn returns a line, including its line feed if it has one, without the carriage return before it.
func withoutReturn(line string) string {
	if bare, ok := strings.CutSuffix(line, "\r\n"); ok {
		return bare + "\n"
	}
	return strings.TrimSuffix(line, "\r")
}

// LineEnd returns the ending of most lines of a text: "\r\n" or "\n".
func LineEnd(text string) string {
	if 2*strings.Count(text, "\r\n") > strings.Count(text, "\n") {
		return "\r\n"
	}
	return "\n"
}
