package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"hlplay/engine/pattern"
)

// shortestSecret is the minimum length in bytes of a secret that is replaced, and shortestLine that of a single line of
// a secret with several lines. Shorter ones would match unrelated text.
const (
	shortestSecret = 3
	shortestLine   = 6
)

// longestWhole is the maximum length of a secret with several lines that is searched for as a whole in every form. For
// longer ones, the whole is searched for only literally and quoted, and the lines in every form.
const longestWhole = 64 << 10

// parts returns the texts that reveal a secret: the secret itself, and its lines, because diffs and logs show single
// lines.
func parts(secret string) []string {
	all := []string{secret, strings.TrimSpace(secret)}
	if lines := strings.FieldsFunc(secret, func(c rune) bool { return c == '\n' || c == '\r' }); len(lines) > 1 {
		for _, line := range lines {
			for _, part := range []string{line, strings.TrimSpace(line)} {
				if len(part) >= shortestLine {
					all = append(all, part)
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < shortestSecret })
}

// unquotable matches texts that are the same in every form but in names of units, where a hyphen is a slash.
var unquotable = pattern.New(`^[A-Za-z0-9._-]+$`)

// forms returns the forms in which a text may appear in other texts: literally, and as written in JSON, YAML, HCL, XML,
// CSV, quoted strings, shell words, URLs and one-line titles. Base64 and hexadecimal digits are decoded instead: see
// run.
func forms(text string) []string {
	if unquotable.MatchString(text) {
		return slices.Compact([]string{text, unitName(text)})
	}
	all := []string{text}
	add := func(s string) {
		if len(s) >= shortestSecret && !strings.Contains(s, text) { // otherwise the literal form matches
			all = append(all, s)
		}
	}
	asJSON := `"` + text + `"`
	if quoted, err := json.Marshal(text); err == nil { // "<" as \u003c
		add(inner(string(quoted)))
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) == nil { // "<" as itself
		asJSON = strings.TrimSuffix(plain.String(), "\n")
		add(inner(asJSON))
	}
	quoted := inner(strconv.Quote(text))
	add(quoted)
	if len(text) > longestWhole {
		return all
	}
	add(strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quoted)) // HCL
	add(inner(strconv.QuoteToASCII(text)))
	add(asciiJSON(text))
	add(escaped(text, `\%03o`))
	add(escaped(text, `\x%02x`))
	for _, lang := range []syntax.LangVariant{syntax.LangPOSIX, syntax.LangBash} {
		if word, err := syntax.Quote(text, lang); err == nil {
			add(word)
			add(inner(strings.TrimPrefix(word, "$")))
		}
	}
	add(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(text))
	add(strings.ReplaceAll(text, "'", `'\''`))
	add(strings.ReplaceAll(text, "'", `'"'"'`))
	add(strings.ReplaceAll(text, "'", "''"))                     // YAML, SQL
	add(strings.ReplaceAll(text, `"`, `""`))                     // CSV
	add(strings.ReplaceAll(text, "%", "%%"))                     // systemd, printf
	add(strings.ReplaceAll(text, "$", "$$"))                     // make, compose
	add(strings.ReplaceAll(inner(asJSON), "/", `\/`))            // JSON of PHP
	add(strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text)) // Python, JavaScript
	add(backslashed(text))
	add(shellEscaped(text, false))
	add(shellEscaped(text, true))
	add(caret(text, true))
	add(caret(text, false))
	add(unitName(text))
	query := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	for _, s := range []string{
		url.QueryEscape(text), url.PathEscape(text), url.UserPassword("", text).String()[1:],
		query, strings.ReplaceAll(query, "%2F", "/"), // Python
		strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(query), // JavaScript
	} {
		add(s)
		add(lowerEscapes(s))
	}
	add(html.EscapeString(text))
	var asXML strings.Builder
	if xml.EscapeText(&asXML, []byte(text)) == nil {
		add(asXML.String())
	}
	for _, apostrophe := range []string{"&apos;", "&#x27;"} {
		add(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", apostrophe).Replace(text))
	}
	add(strings.ReplaceAll(text, "\n", "\r\n"))
	add(strings.ReplaceAll(text, "\n", "⏎")) // titles of commands
	add(strings.Join(strings.Fields(text), " "))
	return all
}

// inner returns a quoted text without its quotes.
func inner(s string) string {
	if len(s) < 2 {
		return s
	}
	return s[1 : len(s)-1]
}

// asciiJSON returns a text as in a JSON string that consists of ASCII characters only.
func asciiJSON(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			b.WriteString(escape(c))
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// escaped returns a text with backslashes doubled, and each byte that is not printable ASCII in the given format.
func escaped(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, format, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// caret returns a text as cat -v shows it, or, with tabs, as cat -A and Printable do: an escape character is ^[.
func caret(s string, tabs bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 {
			b.WriteString("M-")
			c -= 0x80
		}
		switch {
		case c == '\n' && s[i] == c, c == '\t' && s[i] == c && !tabs:
			b.WriteByte(c)
		case c < ' ':
			b.WriteString("^" + string(rune(c+'@')))
		case c == 0x7f:
			b.WriteString("^?")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// shellEscaped returns a text as ls and other programs of GNU coreutils quote it between single quotes. In the C locale,
// only ASCII is printable.
func shellEscaped(s string, ascii bool) string {
	var b strings.Builder
	within := false // $'…'
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		printable := c >= ' ' && c < 0x7f || c >= utf8.RuneSelf && n > 1 && !ascii && unicode.IsPrint(c)
		switch {
		case printable && within && c != '\'':
			b.WriteString("''")
		case !printable && !within:
			b.WriteString("'$'")
		}
		within = !printable
		switch short := strings.IndexRune("\a\b\t\n\v\f\r", c); {
		case c == '\'':
			b.WriteString(`'\''`)
		case printable:
			b.WriteString(s[:n])
		case short >= 0:
			b.WriteString(`\` + "abtnvfr"[short:short+1])
		default:
			for i := range n {
				fmt.Fprintf(&b, `\%03o`, s[i])
			}
		}
		s = s[n:]
	}
	return b.String()
}

// backslashed returns a text as bash's printf %q writes it.
func backslashed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if strings.IndexByte(" !\"$&'()*,;<>?[\\]^`{|}", c) >= 0 || i == 0 && (c == '~' || c == '#') {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unitName returns a text as systemd-escape(1) writes it.
func unitName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			b.WriteByte('-')
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// lowerEscapes returns an escaped part of a URL with lower-case escapes: %2f for %2F.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(s[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}
