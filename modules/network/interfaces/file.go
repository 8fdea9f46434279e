// Package interfaces reads and edits /etc/network/interfaces as ifupdown2 understands it (interfaces(5)). An edit leaves
// every other byte alone: the order, comments, blank lines, continuation lines and unknown options.
package interfaces

import (
	"slices"
	"strings"
)

// Path is the file that ifupdown2 reads. It includes others with `source`.
const Path = "/etc/network/interfaces"

// File is the text of one file.
type File struct {
	lines []line
}

// line is a logical line: a backslash at the end continues it on the next line of the file.
type line struct {
	raw    string   // as in the file, including line endings
	words  []string // nil for a blank line or a comment
	number int      // of its first line in the file, from 1; 0 if an edit added it
}

// Parse parses a text. It never fails: lines that make no sense are kept and ignored.
func Parse(text string) *File {
	f := &File{}
	raw, first, number := "", 0, 0
	for part := range strings.Lines(text) {
		number++
		if raw == "" {
			first = number
		}
		raw += part
		if strings.HasSuffix(strings.TrimRight(part, " \t\r\n"), `\`) && strings.HasSuffix(part, "\n") {
			continue
		}
		f.lines = append(f.lines, line{raw, words(raw), first})
		raw = ""
	}
	if raw != "" {
		f.lines = append(f.lines, line{raw, words(raw), first})
	}
	return f
}

// words splits a logical line into words.
func words(raw string) []string {
	text := strings.TrimSpace(raw)
	if strings.HasPrefix(text, "#") {
		return nil
	}
	var all []string
	for part := range strings.Lines(text) {
		part = strings.TrimRight(part, " \t\r\n")
		all = append(all, strings.Fields(strings.TrimSuffix(part, `\`))...)
	}
	return all
}

// String returns the text. Lines that no edit changed are the same byte for byte.
func (f *File) String() string {
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.raw)
	}
	return b.String()
}

// keyword returns the first word of a line that is not an option of the interface above: "iface", "auto", "allow" for any
// class, "source", or another word that ifupdown or ifupdown2 knows. It returns "" for an option, a comment or a blank line.
func (l line) keyword() string {
	if len(l.words) == 0 {
		return ""
	}
	switch w := l.words[0]; {
	case strings.HasPrefix(w, "allow-"):
		return "allow"
	case slices.Contains([]string{"iface", "auto", "source", "source-directory", "mapping", "vlan", "template", "no-auto-down", "no-scripts", "rename"}, w):
		return w
	}
	return ""
}

// option returns the name and the value of an option. ifupdown2 takes underscores in names for dashes.
func (l line) option() (key, value string, ok bool) {
	if len(l.words) == 0 || l.keyword() != "" {
		return "", "", false
	}
	return Key(l.words[0]), strings.Join(l.words[1:], " "), true
}

// Key returns the canonical name of an option: bridge_ports is bridge-ports, and slaves, which ifupdown2 accepts too, is
// bond-slaves.
func Key(name string) string {
	switch name = strings.ReplaceAll(name, "_", "-"); name {
	case "slaves":
		return "bond-slaves"
	}
	return name
}

// Source is a line that includes other files.
type Source struct {
	// Pattern is a shell pattern of files or, with Directory, a directory whose files are all included.
	Pattern   string
	Directory bool
	// Line is the line number, from 1.
	Line int
}

// Sources returns the lines that include other files.
func (f *File) Sources() []Source {
	var all []Source
	for _, l := range f.lines {
		if k := l.keyword(); k == "source" || k == "source-directory" {
			for _, pattern := range l.words[1:] {
				all = append(all, Source{pattern, k == "source-directory", l.number})
			}
		}
	}
	return all
}

// Stanza is an `iface` stanza with its options.
type Stanza struct {
	// Name is the name as written: vmbr0, or vmbr0:1 for an alias.
	Name string
	// Family is "inet" or "inet6", and Method "static", "manual", "dhcp", "loopback" and so on. Both are optional for
	// ifupdown2.
	Family, Method string
	Options        []Option
	// Line is the number of its first line, from 1; 0 if an edit added it.
	Line int

	at, end int // the indexes of its first line, and of the one after its last
}

// Option is an option. Key is its canonical name (see Key).
type Option struct{ Key, Value string }

// Device returns the interface that the stanza configures; for an alias, that is the interface itself.
func (s Stanza) Device() string {
	name, _, _ := strings.Cut(s.Name, ":")
	return name
}

// Get returns the first value of an option.
func (s Stanza) Get(key string) (string, bool) {
	for _, o := range s.Options {
		if o.Key == key {
			return o.Value, true
		}
	}
	return "", false
}

// Stanzas returns the stanzas of the file, in order.
func (f *File) Stanzas() []Stanza {
	var all []Stanza
	open := false
	for i, l := range f.lines {
		switch l.keyword() {
		case "iface":
			open = len(l.words) > 1
			if open {
				s := Stanza{Name: l.words[1], Line: l.number, at: i, end: i + 1}
				if len(l.words) > 2 {
					s.Family = l.words[2]
				}
				if len(l.words) > 3 {
					s.Method = l.words[3]
				}
				all = append(all, s)
			}
		case "":
			if key, value, ok := l.option(); ok && open {
				s := &all[len(all)-1]
				s.Options = append(s.Options, Option{key, value})
				s.end = i + 1
			}
		default:
			open = false
		}
	}
	return all
}

// Auto reports whether an interface is brought up at boot and by `ifreload -a`.
func (f *File) Auto(name string) bool {
	return slices.ContainsFunc(f.lines, func(l line) bool {
		return (l.keyword() == "auto" || l.keyword() == "allow" && l.words[0] == "allow-auto") &&
			(slices.Contains(l.words[1:], name) || slices.Contains(l.words[1:], "all"))
	})
}
