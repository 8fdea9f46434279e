package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"hlplay/modules"
)

// Unified renders a diff for people, ending in a newline: "subject: before → after" if both sides have one line,
// otherwise a unified diff with three lines of context. A side that does not exist is /dev/null. A missing newline at
// the end is mentioned if the two sides differ in that, and a carriage return is shown as \r, because it may be the
// only difference.
func Unified(d modules.Diff) string {
	subject := OneLine(d.Subject)
	switch {
	case !text(d.Before) || !text(d.After):
		return fmt.Sprintf("%s: binary, %d bytes → %d bytes\n", subject, len(d.Before), len(d.After))
	case d.Before == d.After && strings.Contains(d.Before, Redacted):
		return fmt.Sprintf("%s: changes in a sensitive value\n", subject)
	case d.Before == d.After:
		return fmt.Sprintf("%s: no difference in content\n", subject)
	case single(d.Before) && single(d.After):
		return fmt.Sprintf("%s: %s → %s\n", subject, side(d.Before), side(d.After))
	}
	from, to := subject, subject
	if d.Before == "" {
		from = "/dev/null"
	}
	if d.After == "" {
		to = "/dev/null"
	}
	before, after := d.Before, d.After
	if before != "" && after != "" && !strings.HasSuffix(before, "\n") && !strings.HasSuffix(after, "\n") {
		before, after = before+"\n", after+"\n" // not a difference: lists of settings have no final newline
	}
	return Printable(showReturns(udiff.Unified(from, to, before, after)))
}

func single(s string) bool { return !strings.Contains(strings.TrimSuffix(s, "\n"), "\n") }

func side(s string) string {
	if s == "" {
		return "(absent)"
	}
	if s = strings.TrimSuffix(s, "\n"); s == "" {
		return "(empty)"
	}
	return Printable(showReturns(s))
}

func showReturns(s string) string { return strings.ReplaceAll(s, "\r", `\r`) }

func text(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// OneLine returns text from elsewhere as a single line.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(Printable(s), func(c rune) bool { return c == '\n' }), " ")
}
