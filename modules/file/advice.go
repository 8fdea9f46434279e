package file

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"hlplay/engine/localfile"
	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// written is text that the task puts into a file on the host. argument is named as in HCL.
type written struct{ argument, file, text string }

// texts returns the text that the task writes. A file on the controller that cannot be read is left out: Validate and
// Plan report it.
func (f *File) texts() []written {
	if f.State == absent {
		return nil
	}
	var all []written
	add := func(argument, file, text string) { all = append(all, written{argument, file, text}) }
	read := func(argument, file, source string) {
		if text, err := localfile.Read(source, observe.FileLimit); err == nil {
			add(argument, file, string(text))
		}
	}
	if f.Content != nil {
		add("content", f.Path, *f.Content)
	}
	if f.Source != "" {
		read("source", f.Path, f.Source)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Files)) {
		add("files", path.Join(f.Path, name), f.Files[name])
	}
	// Trees outside /etc are programs and data, which may be large.
	if f.Tree != "" && strings.HasPrefix(path.Clean(f.Path)+"/", "/etc/") {
		entries, _ := f.entries()
		for _, e := range entries {
			if e.source != "" {
				read("tree", path.Join(f.Path, e.name), e.source)
			}
		}
	}
	for _, l := range f.Lines {
		if l.State != absent {
			add("line.line", f.Path, l.Line)
		}
	}
	for _, b := range f.Blocks {
		if b.State != absent {
			add("block.content", f.Path, b.Content)
		}
	}
	return all
}

// Advise implements modules.Adviser.
func (f *File) Advise() []modules.Advice {
	all := wrongform.Path("path", f.Path, f.State == absent)
	for _, w := range f.texts() {
		all = append(all, wrongform.Content(w.argument, w.file, w.text)...)
	}
	for _, l := range f.Lines {
		if l.State == absent {
			all = append(all, wrongform.SourceLine("line.state", f.Path, l.Line+l.Regexp)...)
		}
	}
	if f.Guard != nil {
		all = append(all, wrongform.Command("guard.apply", strings.Join(f.Guard.Apply, " "))...)
	}
	return all
}

// advice returns advice that depends on the host: sources of another release.
func (f *File) advice(ctx context.Context, h modules.Host) []modules.Advice {
	if !strings.HasPrefix(f.Path, "/etc/apt") {
		return nil
	}
	for _, w := range f.texts() {
		if strings.HasPrefix(w.file, "/etc/apt/sources.list") {
			if all := wrongform.Suites(ctx, h, w.argument, w.text); len(all) > 0 {
				return all
			}
		}
	}
	return nil
}
