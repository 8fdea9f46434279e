package report

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Programs that quote a text differ in what they escape and how: a tab is \t, \011, \x09 or \u0009, and for ls it ends
// the quotation ('a'$'\t''b'). Text with backslashes is therefore searched again, with its escape sequences decoded: as
// it then is, and without the marks that quoting adds, for secrets without these marks.

// marks are the characters that quoting adds, doubles or moves: quotation marks, "$" as in $'…' and $$, and "%" as in %%.
const marks = `'"$%`

// bare returns a text without marks.
func bare(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if strings.IndexByte(marks, s[i]) < 0 {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// unescaped is a text with its escape sequences decoded. Byte i comes from the part from[i] to to[i] of the original.
type unescaped struct {
	bytes    []byte
	from, to []int
}

// newUnescaped returns a text as it is, for decode.
func newUnescaped(s string) *unescaped {
	u := &unescaped{bytes: []byte(s), from: make([]int, len(s)), to: make([]int, len(s))}
	for i := range u.from {
		u.from[i], u.to[i] = i, i+1
	}
	return u
}

// decode returns the text with one level of escape sequences decoded. Numbers of 128 and more that stand for a byte in
// most programs stand for a character in some (Python's \xe9, Perl's \351): characters says which.
func (u *unescaped) decode(characters bool) *unescaped {
	d := u.empty()
	var value [utf8.UTFMax]byte
	for i := 0; i < len(u.bytes); {
		n, decoded := 1, append(value[:0], u.bytes[i])
		if u.bytes[i] == '\\' && i+1 < len(u.bytes) {
			n, decoded = escapeSequence(u.bytes[i:], decoded[:0], characters)
		}
		for _, c := range decoded {
			d.add(c, u.from[i], u.to[i+n-1])
		}
		i += n
	}
	return d
}

// bare returns the text without marks.
func (u *unescaped) bare() *unescaped {
	b := u.empty()
	for i, c := range u.bytes {
		if strings.IndexByte(marks, c) < 0 {
			b.add(c, u.from[i], u.to[i])
		}
	}
	return b
}

// empty returns an empty text with room for this one.
func (u *unescaped) empty() *unescaped {
	return &unescaped{bytes: make([]byte, 0, len(u.bytes)), from: make([]int, 0, len(u.bytes)), to: make([]int, 0, len(u.bytes))}
}

func (u *unescaped) add(c byte, from, to int) {
	u.bytes, u.from, u.to = append(u.bytes, c), append(u.from, from), append(u.to, to)
}

// find reports where the automata's texts are in the original s, if at least a part of them is escaped there.
func (u *unescaped) find(s string, all automata, tell func(from, to int)) {
	text := string(u.bytes)
	for _, a := range all {
		a.find(text, func(from, to int) {
			if from, to := u.from[from], u.to[to-1]; strings.IndexByte(s[from:to], '\\') >= 0 {
				tell(from, to)
			}
		})
	}
}

// escapeSequence returns the length of the escape sequence at the beginning of s, which is a backslash and more, and
// appends to decoded what it stands for.
func escapeSequence(s, decoded []byte, characters bool) (int, []byte) {
	number := func(value, n int) (int, []byte) {
		if value < 0x80 || value < 0x100 && !characters {
			return n, append(decoded, byte(value))
		}
		return n, utf8.AppendRune(decoded, rune(value))
	}
	c := s[1]
	switch i := strings.IndexByte("abtnvfreE", c); {
	case c == '\n': // the text goes on in the next line
		return 2, decoded
	case i >= 0:
		return 2, append(decoded, "\a\b\t\n\v\f\r\x1b\x1b"[i])
	case c >= '0' && c <= '7':
		value, n := digitsOf(s[1:], 3, 8)
		return number(value, 1+n)
	case c != 'x' && c != 'u' && c != 'U':
		return 2, append(decoded, c)
	}
	if len(s) > 2 && s[2] == '{' { // Perl, Ruby, JavaScript
		if value, n := digitsOf(s[3:], 6, 16); n > 0 && len(s) > 3+n && s[3+n] == '}' {
			return 4 + n, utf8.AppendRune(decoded, rune(value))
		}
	}
	longest := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	value, n := digitsOf(s[2:], longest, 16)
	switch {
	case n == 0 || c != 'x' && n < longest:
		return 2, append(decoded, c)
	case c == 'x':
		return number(value, 2+n)
	}
	if rest := s[2+n:]; utf16.IsSurrogate(rune(value)) && len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if low, digits := digitsOf(rest[2:], 4, 16); digits == 4 {
			return 2 + n + 6, utf8.AppendRune(decoded, utf16.DecodeRune(rune(value), rune(low)))
		}
	}
	return 2 + n, utf8.AppendRune(decoded, rune(value))
}

// digitsOf returns the value and the length of the number at the beginning of s, of at most the given number of digits.
func digitsOf(s []byte, longest, base int) (value, n int) {
	for n < min(longest, len(s)) {
		d := int(hexDigits[s[n]])
		if d >= base { // also noDigit
			break
		}
		value = value*base + d
		n++
	}
	return value, n
}

// escaped reports where secrets are in a text with at least one escape sequence. bare are the automata of the secrets
// without marks.
func (all automata) escaped(s string, bare automata, tell func(from, to int)) {
	if strings.IndexByte(s, '\\') < 0 {
		return
	}
	for _, characters := range []bool{false, true} {
		u := newUnescaped(s)
		for range 2 { // also JSON in JSON
			u = u.decode(characters)
			u.find(s, all, tell)
			u.bare().find(s, bare, tell)
		}
	}
}
