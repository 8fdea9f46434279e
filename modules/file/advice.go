package file

import (
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Advise implements modules.Adviser.
func (f *File) Advise() []modules.Advice {
	all := wrongform.Path("path", f.Path, f.State == absent)
	if f.Content != nil {
		all = append(all, wrongform.Content("content", f.Path, *f.Content)...)
	}
	for _, l := range f.Lines {
		if l.State != absent {
			all = append(all, wrongform.Content("line.line", f.Path, l.Line)...)
		} else {
			all = append(all, wrongform.SourceLine("line.state", f.Path, l.Line+l.Regexp)...)
		}
	}
	for _, b := range f.Blocks {
		if b.State != absent {
			all = append(all, wrongform.Content("block.content", f.Path, b.Content)...)
		}
	}
	return all
}
