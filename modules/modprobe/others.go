package modprobe

import (
	"context"
	"fmt"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// others returns remarks about what other files in modprobe.d say about the same modules, since modprobe reads all of them.
func (m *Module) others(ctx context.Context, h modules.Host) []string {
	if m.State == "absent" {
		return nil
	}
	files, err := configFiles.Observe(ctx, h, "")
	if err != nil { // a file that cannot be read or is about to change gives no remark
		return nil
	}
	var notes []string
	for _, f := range observe.DropIns(files) {
		if f.Path == OptionsFile {
			continue
		}
		if path.Base(f.Path) == path.Base(OptionsFile) {
			notes = append(notes, fmt.Sprintf("%s hides %s, which is not read: remove it", f.Path, OptionsFile))
		}
		for text := range logicalLines(f.Content) {
			if l, ok := parse(text, true); ok {
				notes = append(notes, m.against(f.Path, l)...)
			}
		}
	}
	return notes
}

// against describes how a line of another file conflicts with the task.
func (m *Module) against(file string, l line) []string {
	var notes []string
	switch l.keyword {
	case "options":
		// If an option is given twice, the kernel uses the last one.
		if path.Base(file) < path.Base(OptionsFile) {
			break
		}
		for name, wanted := range m.Options {
			if !sameModule(name, l.module) {
				continue
			}
			for _, option := range conflicting(wanted, l.rest) {
				notes = append(notes, fmt.Sprintf("%s gives %s the option %s and is read after %s, so it takes precedence; remove it there", file, name, option, OptionsFile))
			}
		}
	case "blacklist", "install":
		for _, name := range m.Modules {
			if !sameModule(name, l.module) {
				continue
			}
			what := "at boot it is not loaded"
			if l.keyword == "install" {
				what = "modprobe runs that in its place"
			}
			notes = append(notes, fmt.Sprintf("%s has %q: %s; remove the line there", file, strings.TrimSpace(l.String()), what))
		}
	case "softdep":
		if path.Base(file) > path.Base(OptionsFile) { // modprobe uses the first one
			break
		}
		for name, wanted := range m.Softdep {
			if sameModule(name, l.module) && normal(wanted) != l.rest {
				notes = append(notes, fmt.Sprintf("%s has %q and is read before %s, so it takes precedence; remove it there", file, strings.TrimSpace(l.String()), OptionsFile))
			}
		}
	}
	return notes
}

// conflicting returns the options of another line that the task gives another value.
func conflicting(wanted, other string) []string {
	values := map[string]string{}
	for _, option := range strings.Fields(wanted) {
		name, value, _ := strings.Cut(option, "=")
		values[observe.ModuleName(name)] = value
	}
	var all []string
	for _, option := range strings.Fields(other) {
		name, value, _ := strings.Cut(option, "=")
		if want, ok := values[observe.ModuleName(name)]; ok && want != value {
			all = append(all, option)
		}
	}
	return all
}
