package mount

import (
	"fmt"
	"path"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules/internal/conffile"
)

// fstab lists the file systems to mount at boot: fstab(5).
const fstab = "/etc/fstab"

// entry is a line of fstab. Its fields are unescaped.
type entry struct {
	source, path, kind, options, dump, pass string
}

// parse parses a line. ok is false for a comment and for an empty line. Like mount(8), it ignores a trailing slash of the
// directory.
func parse(line string) (e entry, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
		return entry{}, false
	}
	e = entry{observe.UnescapeMount(fields[0]), path.Clean(observe.UnescapeMount(fields[1])), "auto", "defaults", "0", "0"}
	for i, to := range []*string{&e.kind, &e.options, &e.dump, &e.pass} {
		if len(fields) > i+2 {
			*to = fields[i+2]
		}
	}
	return e, true
}

// String returns the line with its newline.
func (e entry) String() string {
	return strings.Join([]string{observe.EscapeMount(e.source), observe.EscapeMount(e.path), e.kind, e.options, e.dump, e.pass}, " ") + "\n"
}

// put returns the text with the entry in place of the one for its directory, or appended. All other lines are kept.
func (e entry) put(text string) (string, error) {
	return edit(text, e.path, e.String(), func(old entry) bool { return old == e })
}

// take returns the text without the entry for a directory.
func take(text, dir string) (string, error) {
	return edit(text, dir, "", func(entry) bool { return false })
}

// edit replaces the line for a directory unless it is good.
func edit(text, dir, line string, good func(entry) bool) (after string, err error) {
	after = conffile.EditLines(text, func(text string) string {
		text, err = replaced(text, dir, line, good)
		return text
	})
	return after, err
}

// replaced is edit of a text without carriage returns.
func replaced(text, dir, line string, good func(entry) bool) (string, error) {
	var out strings.Builder
	found := 0
	number := 0
	for old := range strings.Lines(text) {
		number++
		e, ok := parse(old)
		if !ok || e.path != dir {
			out.WriteString(old)
			continue
		}
		if found > 0 {
			return "", fmt.Errorf("%s mounts something at %s twice, on lines %d and %d: remove one of them", fstab, dir, found, number)
		}
		found = number
		if good(e) {
			line = old
		}
		out.WriteString(line)
	}
	if found == 0 && line != "" {
		if text != "" && !strings.HasSuffix(text, "\n") {
			out.WriteString("\n")
		}
		out.WriteString(line)
	}
	return out.String(), nil
}
