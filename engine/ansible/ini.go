package ansible

import (
	"fmt"
	"strings"

	"hlplay/engine/pattern"
)

var section = pattern.New(`^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$`)

// ini reads a file in INI format.
func (inv *Inventory) ini(file, text string) error {
	group, kind := "ungrouped", "hosts"
	number := 0
	for line := range strings.Lines(text) {
		number++
		fail := func(format string, args ...any) error {
			return &Error{file, number, fmt.Sprintf(format, args...)}
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			m := section.FindStringSubmatch(line)
			if m == nil {
				return fail("%q is not a section; write [group], [group:vars] or [group:children]", line)
			}
			group, kind = m[1], "hosts"
			switch m[2] {
			case "":
			case "vars", "children":
				kind = m[2]
			default:
				return fail("there is no kind of section %q; there are [group], [group:vars] and [group:children]", m[2])
			}
			if !implicit(group) {
				inv.group(group, file, number)
			}
			continue
		}
		switch kind {
		case "children":
			inv.nest(strings.Fields(line)[0], group, file, number)
		case "vars":
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				return fail("expected name = value")
			}
			vars := inv.all
			switch group {
			case "all":
			case "ungrouped":
				return fail("variables of the group ungrouped are not supported")
			default:
				vars = inv.group(group, file, number).own
			}
			vars[strings.TrimSpace(name)] = literal(value)
		default:
			words, err := split(line)
			if err != nil {
				return fail("%s", err)
			}
			if len(words) == 0 {
				continue
			}
			names, port, err := hostNames(words[0])
			if err != nil {
				return fail("%s", err)
			}
			for _, name := range names {
				h := inv.host(name, file, number)
				inv.put(name, group, file, number)
				if port != "" {
					h.own["ansible_port"] = literal(port)
				}
				for _, word := range words[1:] {
					key, value, ok := strings.Cut(word, "=")
					if !ok {
						return fail("%q is no name=value", word)
					}
					h.own[key] = literal(value)
				}
			}
		}
	}
	return nil
}

// split splits a line into words like a shell: quotes join, and "#" starts a comment, even within a word.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\'):
			i++
			word.WriteByte(line[i])
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inWord = true
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
