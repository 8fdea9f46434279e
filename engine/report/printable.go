package report

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Printable returns text from elsewhere with control characters made visible ("^["), and with invisible characters and
// those that reorder text escaped ("\u202e"), so that a host can neither move the cursor of a terminal nor hide text.
// Newlines and tabs are kept.
func Printable(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	clean := true
	for _, c := range s {
		if c != '\n' && c != '\t' && (c < ' ' || c >= 0x7f && c < 0xa0 || c == utf8.RuneError || unseen(c)) {
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
		case unseen(c):
			b.WriteString(escape(c))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// unseen reports whether a character is invisible or changes how others are shown: Unicode's format characters (such as U+202E,
// zero-width characters and tags), line separators, and blank letters.
func unseen(c rune) bool {
	switch c {
	case 0x2028, 0x2029, 0x115f, 0x1160, 0x3164, 0xffa0, 0x034f:
		return true
	}
	return unicode.Is(unicode.Cf, c)
}

// escape returns a character as escaped in JSON.
func escape(c rune) string {
	if c >= 0x10000 {
		high, low := utf16.EncodeRune(c)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// EscapeUnseen escapes characters in a JSON text that terminals would interpret or not show. They occur in strings
// only.
func EscapeUnseen(text []byte) []byte {
	hidden := func(c rune) bool { return unseen(c) || c >= 0x7f && c < 0xa0 }
	if !bytes.ContainsFunc(text, hidden) {
		return text
	}
	escaped := make([]byte, 0, len(text)+16)
	for _, c := range string(text) {
		if hidden(c) {
			escaped = append(escaped, escape(c)...)
		} else {
			escaped = utf8.AppendRune(escaped, c)
		}
	}
	return escaped
}

// plainText returns a program's output without colours and cursor movements. Of a line that was overwritten, for
// example by a progress bar, it keeps the final state.
func plainText(s string) string {
	lines := strings.Split(strings.ReplaceAll(ansi.Strip(s), "\r\n", "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
	}
	return strings.Join(lines, "\n")
}
