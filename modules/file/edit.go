package file

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hlplay/modules/internal/conffile"
)

// beginning stands for the place before the first line.
const beginning = "BOF"

func (b Block) begin() string { return b.line("BEGIN") }
func (b Block) end() string   { return b.line("END") }

func (b Block) line(mark string) string {
	return b.Comment + " " + mark + " " + b.Marker
}

// edited returns the text with all lines and blocks applied. Editing is idempotent: applied to the result, each of
// them has nothing to do. A line that is undone by a later one is an error.
func (f *File) edited(text string) (string, error) {
	var failed error
	after := conffile.EditLines(text, func(text string) string {
		before := splitLines(text)
		lines := before
		for _, e := range f.edits() {
			if lines, failed = e.edit(lines); failed != nil {
				return text
			}
		}
		for _, e := range f.edits() {
			if again, err := e.edit(lines); err != nil || !slices.Equal(again, lines) {
				failed = fmt.Errorf("%s conflicts with another line or block of this task; change one of them", e)
				return text
			}
		}
		if slices.Equal(lines, before) {
			return text // the last line may lack its newline, which is no reason to write
		}
		return joinLines(lines)
	})
	return after, failed
}

// edit is a Line or a Block.
type edit interface {
	// edit applies the edit to lines, which do not include their line ends.
	edit(lines []string) ([]string, error)
	String() string
}

func (f *File) edits() []edit {
	var all []edit
	for _, l := range f.Lines {
		all = append(all, l)
	}
	for _, b := range f.Blocks {
		all = append(all, b)
	}
	return all
}

func (l Line) String() string  { return fmt.Sprintf("the line %q", cmp.Or(l.Line, l.Regexp)) }
func (b Block) String() string { return fmt.Sprintf("the block %q", b.begin()) }

// splitLines returns the lines of a text without their newlines.
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (l Line) edit(lines []string) ([]string, error) {
	wanted := strings.TrimSuffix(l.Line, "\r")
	is := func(line string) bool { return line == wanted }
	if l.Regexp != "" {
		re, err := regexp.Compile(l.Regexp)
		if err != nil {
			return nil, fmt.Errorf("line.regexp: %w", err)
		}
		is = func(line string) bool { return re.MatchString(line) }
	}
	if l.State == absent {
		return slices.DeleteFunc(slices.Clone(lines), is), nil
	}
	first := slices.IndexFunc(lines, is)
	if first < 0 && l.State == replaced {
		return lines, nil
	}
	if first < 0 {
		return insert(lines, l.InsertAfter, l.InsertBefore, wanted)
	}
	if l.Regexp == "" {
		return lines, nil
	}
	edited := slices.Clone(lines[:first+1])
	edited[first] = wanted
	return append(edited, slices.DeleteFunc(slices.Clone(lines[first+1:]), is)...), nil
}

// insert adds new lines at the place given by insert_after or insert_before.
func insert(lines []string, after, before string, added ...string) ([]string, error) {
	at := len(lines)
	switch {
	case before == beginning:
		at = 0
	case before != "":
		re, err := regexp.Compile(before)
		if err != nil {
			return nil, fmt.Errorf("insert_before: %w", err)
		}
		if i := slices.IndexFunc(lines, func(line string) bool { return re.MatchString(line) }); i >= 0 {
			at = i
		}
	case after != "":
		re, err := regexp.Compile(after)
		if err != nil {
			return nil, fmt.Errorf("insert_after: %w", err)
		}
		for i, line := range lines {
			if re.MatchString(line) {
				at = i + 1
			}
		}
	}
	return slices.Insert(slices.Clone(lines), at, added...), nil
}

func (b Block) edit(lines []string) ([]string, error) {
	from, to, err := b.find(lines)
	if err != nil {
		return nil, err
	}
	var block []string
	if b.State != absent {
		block = append([]string{b.begin()}, splitLines(b.Content)...)
		block = append(block, b.end())
	}
	for i, line := range block {
		block[i] = strings.TrimSuffix(line, "\r")
	}
	if from < 0 {
		if len(block) == 0 {
			return lines, nil
		}
		return insert(lines, b.InsertAfter, b.InsertBefore, block...)
	}
	return slices.Replace(slices.Clone(lines), from, to, block...), nil
}

// find returns the range of the block including its markers; from is negative if there is none. A marker without its
// partner is an error, because nobody knows where the block ends.
func (b Block) find(lines []string) (from, to int, err error) {
	begins, ends := 0, 0
	from = -1
	for i, line := range lines {
		switch line {
		case b.begin():
			begins++
			from = i
		case b.end():
			ends++
			to = i + 1
		}
	}
	if begins != ends || begins > 1 || begins == 1 && to <= from {
		return 0, 0, fmt.Errorf("the file has %d lines %q and %d lines %q, expected one of each, in this order, or none; repair the file by hand",
			begins, b.begin(), ends, b.end())
	}
	return from, to, nil
}
