package report

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// printable is foreign text with control characters made visible ("^[") and what reorders text left out,
// so that a host cannot move the cursor of a terminal or hide what it says. Line breaks and tabs stay.
func printable(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	clean := true
	for _, c := range s {
		if c != '\n' && c != '\t' && (c < ' ' || c >= 0x7f && c < 0xa0 || c == utf8.RuneError || reorders(c)) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '\n' || c == '\t':
			b.WriteRune(c)
		case c == '\r':
			b.WriteByte('\n')
		case c < ' ':
			b.WriteByte('^')
			b.WriteRune(c + '@')
		case c == 0x7f:
			b.WriteString("^?")
		case c > 0x7f && c < 0xa0:
			b.WriteString(strconv.QuoteRune(c))
		case reorders(c):
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func reorders(c rune) bool { return c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 }

// plainText is a program's output without its colours and cursor movements, and of a line that was
// overwritten (a progress bar) what was left at the end.
func plainText(s string) string {
	lines := strings.Split(strings.ReplaceAll(ansi.Strip(s), "\r\n", "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
	}
	return strings.Join(lines, "\n")
}
