package modprobe

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

const (
	loadHeader    = "# Kernel modules loaded at boot, kept by hlplay. Other lines are left alone.\n"
	optionsHeader = "# Options of kernel modules, kept by hlplay. Other lines are left alone.\n"
)

// line is a line of either file: a keyword ("options", "blacklist", "softdep"; "" in the list of modules to load), the
// module, and the rest.
type line struct {
	keyword, module, rest string
}

func (m *Module) loadLines() []line {
	var lines []line
	for _, name := range m.Modules {
		lines = append(lines, line{module: name})
	}
	return lines
}

func (m *Module) optionLines() []line {
	var lines []line
	for _, name := range m.Blacklist {
		lines = append(lines, line{"blacklist", name, ""})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Options)) {
		lines = append(lines, line{"options", name, normal(m.Options[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Softdep)) {
		lines = append(lines, line{"softdep", name, normal(m.Softdep[name])})
	}
	return lines
}

func normal(s string) string { return strings.Join(strings.Fields(s), " ") }

func (l line) String() string {
	return strings.TrimSpace(strings.Join([]string{l.keyword, l.module, l.rest}, " ")) + "\n"
}

// lines returns the lines of a file's text. In modprobe.d, a backslash continues a line.
func (l line) lines(text string) iter.Seq[string] {
	if l.keyword == "" {
		return strings.Lines(text)
	}
	return logicalLines(text)
}

// logicalLines returns the lines of a file in modprobe.d, each with its continuation lines.
func logicalLines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		whole := ""
		for physical := range strings.Lines(text) {
			whole += physical
			if strings.HasSuffix(strings.TrimSuffix(physical, "\n"), "\\") {
				continue
			}
			if !yield(whole) {
				return
			}
			whole = ""
		}
		if whole != "" {
			yield(whole)
		}
	}
}

// parse parses a line of a file with or without keywords. ok is false for a comment and an empty line.
func parse(text string, keywords bool) (line, bool) {
	if keywords {
		text = strings.ReplaceAll(text, "\\\n", " ")
	}
	fields := strings.Fields(text)
	if len(fields) == 0 || fields[0][0] == '#' || !keywords && fields[0][0] == ';' {
		return line{}, false
	}
	var l line
	if keywords {
		if len(fields) < 2 {
			return line{}, false
		}
		l.keyword, fields = fields[0], fields[1:]
	}
	l.module, l.rest = fields[0], strings.Join(fields[1:], " ")
	return l, true
}

// about reports whether two lines make the same kind of statement about the same module.
func (l line) about(other line) bool {
	return l.keyword == other.keyword && observe.ModuleName(l.module) == observe.ModuleName(other.module)
}

// putInto returns the text with the line in exactly one place: that of the first line about the same, or the end.
func (l line) putInto(text string) string {
	switch {
	case text == "" || strings.HasSuffix(text, "\n") && !strings.HasSuffix(text, "\\\n"):
	case l.keyword != "" && strings.HasSuffix(strings.TrimSuffix(text, "\n"), "\\"):
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\\") + "\n" // the last line must not continue with the appended one
	case !strings.HasSuffix(text, "\n"):
		text += "\n"
	}
	var out strings.Builder
	placed := false
	for old := range l.lines(text) {
		if other, ok := parse(old, l.keyword != ""); ok && l.about(other) {
			if placed {
				continue
			}
			placed = true
			if other.rest != l.rest {
				old = l.String()
			}
		}
		out.WriteString(old)
	}
	if !placed {
		out.WriteString(l.String())
	}
	return out.String()
}

// removeFrom returns the text without the lines about the same.
func (l line) removeFrom(text string) string {
	var out strings.Builder
	for old := range l.lines(text) {
		if other, ok := parse(old, l.keyword != ""); !ok || !l.about(other) {
			out.WriteString(old)
		}
	}
	return out.String()
}

// OptionsIn returns the options that the text of a file in modprobe.d gives a module.
func OptionsIn(text, module string) string {
	var all []string
	wanted := line{keyword: "options", module: module}
	for old := range logicalLines(text) {
		if l, ok := parse(old, true); ok && l.about(wanted) {
			all = append(all, l.rest)
		}
	}
	return strings.Join(all, " ")
}
