// Package interfaces reads and edits /etc/network/interfaces as ifupdown2 understands it (interfaces(5)), and leaves every
// byte of it alone that an edit does not concern: order, comments, blank lines, continued lines, options that it does not know.
package interfaces

import (
	"slices"
	"strings"
)

// Path is the file that ifupdown2 reads; others are read where it says `source`.
const Path = "/etc/network/interfaces"

// File is the text of one file.
type File struct {
	lines []line
}

// line is a logical line: what a backslash at the end of a line continues belongs to it.
type line struct {
	raw    string   // with all line ends, as it stands in the file
	words  []string // none for a blank line or a comment
	number int      // of its first line in the file, from 1; 0 if an edit made it
}

// Parse reads a text. There is none that it refuses: what makes no sense stays, and means nothing.
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

// words are those of a logical line.
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

// String is the text, byte for byte as it was read where no edit changed it.
func (f *File) String() string {
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.raw)
	}
	return b.String()
}

// keyword is what a line begins that is no option of the interface above: "iface", "auto", "allow" of any class, "source", or
// another word that ifupdown or ifupdown2 knows; "" if it is an option, a comment or blank.
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

// option is the name and the value of an option; ok is false where the line is none. Underscores in names are dashes to
// ifupdown2.
func (l line) option() (key, value string, ok bool) {
	if len(l.words) == 0 || l.keyword() != "" {
		return "", "", false
	}
	return Key(l.words[0]), strings.Join(l.words[1:], " "), true
}

// Key is the name of an option in the one form in which it is compared: bridge_ports is bridge-ports, and slaves, which
// ifupdown2 takes too, bond-slaves.
func Key(name string) string {
	switch name = strings.ReplaceAll(name, "_", "-"); name {
	case "slaves":
		return "bond-slaves"
	}
	return name
}

// Source is a line that has other files read.
type Source struct {
	// Pattern is of files, as the shell expands it, or, with Directory, names a directory all files of which are read.
	Pattern   string
	Directory bool
	// Line is where it stands, from 1.
	Line int
}

// Sources are the lines of a file that have others read.
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

// Stanza is one `iface` of a file with its options.
type Stanza struct {
	// Name is as it is written: vmbr0, or vmbr0:1 for an alias.
	Name string
	// Family is "inet" or "inet6", Method "static", "manual", "dhcp", "loopback", …. ifupdown2 takes both as optional.
	Family, Method string
	Options        []Option
	// Line is where it begins, from 1; 0 if an edit made it.
	Line int

	at, end int // of its lines: the first, and behind the last that belongs to it
}

// Option is one option, its name in the form of Key.
type Option struct{ Key, Value string }

// Device is the interface that a stanza configures: an alias configures that which it is one of.
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

// Stanzas are those of a file, in its order.
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
