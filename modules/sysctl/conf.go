package sysctl

import (
	"strings"

	"hlplay/engine/observe"
)

// header begins a file that this module creates.
const header = "# Kernel settings kept by hlplay, in the order of their names. Other lines are left alone.\n"

// assignment reads a line of sysctl.d(5): "name = value", "-name = value" where failures are
// ignored; comments begin with # or ;.
func assignment(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false
	}
	name, value, ok = strings.Cut(line, "=")
	name = strings.TrimPrefix(strings.TrimSpace(name), "-")
	return name, observe.NormalSysctl(value), ok && name != ""
}

func same(a, b string) bool { return observe.SysctlPath(a) == observe.SysctlPath(b) }

// get is the value that a file gives a setting: that of the last line.
func get(text, name string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		if n, v, is := assignment(line); is && same(n, name) {
			value, ok = v, true
		}
	}
	return value, ok
}

// set is the text with the setting in exactly one line: the first that has it, or a new one before
// the first setting whose name sorts behind it.
func set(text, name, value string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	line := name + " = " + value + "\n"
	var out strings.Builder
	placed := false
	for old := range strings.Lines(text) {
		n, v, is := assignment(old)
		switch {
		case is && same(n, name) && placed:
			continue
		case is && same(n, name):
			placed = true
			if v != value {
				old = line
			}
		}
		out.WriteString(old)
	}
	if placed {
		return out.String()
	}
	out.Reset()
	for old := range strings.Lines(text) {
		if n, _, is := assignment(old); is && !placed && n > name {
			out.WriteString(line)
			placed = true
		}
		out.WriteString(old)
	}
	if !placed {
		out.WriteString(line)
	}
	return out.String()
}

// unset is the text without the lines of the setting.
func unset(text, name string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if n, _, is := assignment(line); !is || !same(n, name) {
			out.WriteString(line)
		}
	}
	return out.String()
}
