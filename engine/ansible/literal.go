package ansible

import (
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

var (
	integer  = pattern.New(`^[+-]?(0+|[1-9](_?[0-9])*)$`)
	floating = pattern.New(`^[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?$`)
)

// literal returns the value of a text in an INI file: a Python literal if it is one, else a string.
func literal(text string) cty.Value {
	trimmed := strings.TrimSpace(text)
	p := &python{text: trimmed}
	if v, ok := p.value(0); ok && p.atEnd() {
		return v
	}
	return cty.StringVal(trimmed)
}

// python parses Python literals.
type python struct {
	text string
	at   int
}

// deepest is the maximum nesting depth of values.
const deepest = 50

func (p *python) space() {
	for p.at < len(p.text) && strings.ContainsRune(" \t", rune(p.text[p.at])) {
		p.at++
	}
}

// atEnd reports whether nothing but a comment is left.
func (p *python) atEnd() bool {
	p.space()
	return p.at == len(p.text) || p.text[p.at] == '#'
}

func (p *python) take(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *python) value(depth int) (cty.Value, bool) {
	p.space()
	if p.at >= len(p.text) || depth > deepest {
		return cty.NilVal, false
	}
	switch c := p.text[p.at]; c {
	case '"', '\'':
		return p.quoted(c)
	case '[', '(':
		return p.list(depth, map[byte]byte{'[': ']', '(': ')'}[c])
	case '{':
		return p.object(depth)
	}
	from := p.at
	for p.at < len(p.text) && !strings.ContainsRune(",]})([{: \t\"'#", rune(p.text[p.at])) {
		p.at++
	}
	word := p.text[from:p.at]
	switch {
	case word == "True":
		return cty.True, true
	case word == "False":
		return cty.False, true
	case word == "None":
		return cty.NullVal(cty.DynamicPseudoType), true
	case integer.MatchString(word):
		v, err := cty.ParseNumberVal(strings.TrimPrefix(strings.ReplaceAll(word, "_", ""), "+"))
		return v, err == nil
	case floating.MatchString(word) && strings.ContainsAny(word, ".eE"):
		f, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return cty.NilVal, false
		}
		return cty.NumberFloatVal(f), true
	}
	return cty.NilVal, false
}

func (p *python) quoted(quote byte) (cty.Value, bool) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return cty.StringVal(b.String()), true
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			switch e := p.text[p.at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '\\', '\'', '"':
				b.WriteByte(e)
			default:
				b.WriteByte('\\')
				b.WriteByte(e)
			}
		default:
			b.WriteByte(c)
		}
	}
	return cty.NilVal, false
}

func (p *python) list(depth int, end byte) (cty.Value, bool) {
	var all []cty.Value
	p.at++
	for !p.take(end) {
		v, ok := p.value(depth + 1)
		if !ok {
			return cty.NilVal, false
		}
		all = append(all, v)
		if !p.take(',') {
			if !p.take(end) {
				return cty.NilVal, false
			}
			break
		}
	}
	return cty.TupleVal(all), true
}

func (p *python) object(depth int) (cty.Value, bool) {
	all := map[string]cty.Value{}
	p.at++
	for !p.take('}') {
		key, ok := p.value(depth + 1)
		if !ok || key.IsNull() || key.Type() != cty.String || !p.take(':') {
			return cty.NilVal, false
		}
		if all[key.AsString()], ok = p.value(depth + 1); !ok {
			return cty.NilVal, false
		}
		if !p.take(',') {
			if !p.take('}') {
				return cty.NilVal, false
			}
			break
		}
	}
	return cty.ObjectVal(all), true
}
