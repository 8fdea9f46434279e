package file

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// beginning is the place before the first line.
const beginning = "BOF"

func (b Block) begin() string { return b.line("BEGIN") }
func (b Block) end() string   { return b.line("END") }

func (b Block) line(mark string) string {
	return cmp.Or(b.Comment, "#") + " " + mark + " " + cmp.Or(b.Marker, "hlplay managed block")
}

// edited is the text with all lines and blocks as asked for. Each of them finds nothing to do in the
// result, so that editing that changes nothing; a line that a later one undoes is an error. Lines are compared
// without a carriage return at their end, and new ones end as those of the file do.
func (f *File) edited(text string) (string, error) {
	before := splitLines(text)
	end := lineEnd(text)
	if last := len(before) - 1; last >= 0 && !strings.HasSuffix(text, "\n") {
		before[last] = bare(before[last]) + end // it gets an end with whatever follows it
	}
	lines := before
	for _, e := range f.edits() {
		var err error
		if lines, err = e.edit(lines, end); err != nil {
			return "", err
		}
	}
	for _, e := range f.edits() {
		if again, err := e.edit(lines, end); err != nil || !slices.Equal(again, lines) {
			return "", fmt.Errorf("%s is undone by another line or block of this task; give each its own task or make them agree", e)
		}
	}
	if slices.Equal(lines, before) {
		return text, nil // the last line may lack its end, which is no reason to write
	}
	return joinLines(lines), nil
}

// edit is a Line or a Block.
type edit interface {
	// edit is the lines with what is asked for in them; new ones get the end, "\r" or nothing.
	edit(lines []string, end string) ([]string, error)
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

// splitLines are the lines of a text without their line feeds.
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

// bare is a line without the carriage return at its end.
func bare(line string) string { return strings.TrimSuffix(line, "\r") }

// lineEnd is what most lines of a text have before their line feed: a carriage return, or nothing.
func lineEnd(text string) string {
	if 2*strings.Count(text, "\r\n") > strings.Count(text, "\n") {
		return "\r"
	}
	return ""
}

func (l Line) edit(lines []string, end string) ([]string, error) {
	is := func(line string) bool { return bare(line) == l.Line }
	if l.Regexp != "" {
		re, err := regexp.Compile(l.Regexp)
		if err != nil {
			return nil, fmt.Errorf("line.regexp: %w", err)
		}
		is = func(line string) bool { return re.MatchString(bare(line)) }
	}
	if l.State == absent {
		return slices.DeleteFunc(slices.Clone(lines), is), nil
	}
	first := slices.IndexFunc(lines, is)
	if first < 0 && l.State == replaced {
		return lines, nil
	}
	if first < 0 {
		return insert(lines, l.InsertAfter, l.InsertBefore, l.Line+end)
	}
	if l.Regexp == "" {
		return lines, nil
	}
	edited := slices.Clone(lines[:first+1])
	if bare(edited[first]) != l.Line {
		edited[first] = l.Line + end
	}
	return append(edited, slices.DeleteFunc(slices.Clone(lines[first+1:]), is)...), nil
}

// insert puts new lines where insert_after or insert_before says.
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
		if i := slices.IndexFunc(lines, func(line string) bool { return re.MatchString(bare(line)) }); i >= 0 {
			at = i
		}
	case after != "":
		re, err := regexp.Compile(after)
		if err != nil {
			return nil, fmt.Errorf("insert_after: %w", err)
		}
		for i, line := range lines {
			if re.MatchString(bare(line)) {
				at = i + 1
			}
		}
	}
	return slices.Insert(slices.Clone(lines), at, added...), nil
}

func (b Block) edit(lines []string, end string) ([]string, error) {
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
		block[i] = bare(line) + end
	}
	if from < 0 {
		if len(block) == 0 {
			return lines, nil
		}
		return insert(lines, b.InsertAfter, b.InsertBefore, block...)
	}
	if slices.EqualFunc(lines[from:to], block, func(is, want string) bool { return bare(is) == bare(want) }) {
		return lines, nil
	}
	return slices.Replace(slices.Clone(lines), from, to, block...), nil
}

// find is where the block stands with its markers; from is negative if it is not there. A marker
// without its partner is an error: where the block ends is then anybody's guess.
func (b Block) find(lines []string) (from, to int, err error) {
	begins, ends := 0, 0
	from = -1
	for i, line := range lines {
		switch bare(line) {
		case b.begin():
			begins++
			from = i
		case b.end():
			ends++
			to = i + 1
		}
	}
	if begins != ends || begins > 1 || begins == 1 && to <= from {
		return 0, 0, fmt.Errorf("the file has %d lines %q and %d lines %q, expected one of each in this order or none; repair it by hand",
			begins, b.begin(), ends, b.end())
	}
	return from, to, nil
}
