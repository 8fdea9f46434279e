package boot

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"hlplay/modules"
)

// split splits a kernel command line into parameters. As in the kernel, double quotes protect blanks.
func split(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && unicode.IsSpace(r)
	})
}

// nameOf returns the name of a parameter in the form that the kernel compares, in which dashes are underscores.
func nameOf(parameter string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(parameter, `"`), "=")
	return strings.ReplaceAll(name, "-", "_")
}

// named returns the parameters with that name, in order. There are several for a repeated one, such as console.
func named(parameters []string, name string) []string {
	var all []string
	for _, p := range parameters {
		if nameOf(p) == name {
			all = append(all, p)
		}
	}
	return all
}

// names returns the names of parameters, each once, in order.
func names(parameters []string) []string {
	var all []string
	for _, p := range parameters {
		if name := nameOf(p); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// differences compares a command line with the desired parameters. It returns the names whose parameters have to be removed,
// and the parameters to append.
func (m *Module) differences(line []string) (leave, added []string) {
	for _, name := range names(m.Cmdline) {
		want, have := named(m.Cmdline, name), named(line, name)
		if slices.Equal(want, have) {
			continue
		}
		if len(have) > 0 {
			leave = append(leave, name)
		}
		added = append(added, want...)
	}
	for _, name := range names(m.Remove) {
		if len(named(line, name)) > 0 {
			leave = append(leave, name)
		}
	}
	return leave, added
}

// missing describes the desired parameters that the running kernel's command line lacks. Others, added by the firmware or on
// the console, do not matter.
func (m *Module) missing(running []string) []string {
	var all []string
	for _, p := range m.Cmdline {
		if !slices.Contains(running, p) {
			all = append(all, "without "+p)
		}
	}
	for _, name := range names(m.Remove) {
		for _, p := range named(running, name) {
			all = append(all, "with "+p)
		}
	}
	return all
}

// beforeInit returns an error if parameters would be appended after the "--" of a command line: the kernel passes everything
// after it to init (kernel-parameters documentation).
func beforeInit(h modules.Host, line, added []string) error {
	if len(added) == 0 || !slices.Contains(line, "--") {
		return nil
	}
	return fmt.Errorf("the command line of %s has --, and the kernel would not take %s behind it: write it before the -- by hand", h.Name(), strings.Join(added, " "))
}
