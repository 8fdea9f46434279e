package interfaces

import (
	"slices"
	"strings"
)

// indent precedes an option, as Proxmox VE writes it.
const indent = "\t"

// SetAuto makes the interface come up at boot. It removes the name from allow-hotplug lines and, if no auto line has it,
// adds one before its first stanza, or at the end of the file.
func (f *File) SetAuto(name string) {
	f.dropName("allow-hotplug", name)
	if f.Auto(name) {
		return
	}
	at := len(f.lines)
	for _, s := range f.Stanzas() {
		if s.Device() == name {
			at = s.at
			break
		}
	}
	f.insert(at, "auto "+name)
}

// Remove removes an interface from the file: its stanzas, those of its aliases, and its name in auto and allow-hotplug
// lines. Comments outside of its stanzas are kept.
func (f *File) Remove(name string) {
	for index := 0; index < len(f.Stanzas()); index++ {
		if s := f.Stanzas()[index]; s.Device() == name {
			f.lines = slices.Delete(f.lines, s.at+1, s.end)
			f.removeStanza(f.Stanzas()[index])
			index--
		}
	}
	for _, keyword := range []string{"auto", "allow-auto", "allow-hotplug"} {
		f.dropName(keyword, name)
	}
}

// dropName removes a name from the lines that begin with a keyword, and lines that have no other name.
func (f *File) dropName(keyword, name string) {
	f.lines = slices.DeleteFunc(f.lines, func(l line) bool {
		return len(l.words) == 2 && l.words[0] == keyword && l.words[1] == name
	})
	for i, l := range f.lines {
		if len(l.words) > 2 && l.words[0] == keyword && slices.Contains(l.words[1:], name) {
			f.replace(i, strings.Join(slices.DeleteFunc(slices.Clone(l.words), func(w string) bool { return w == name }), " "))
		}
	}
}

// Configure changes the stanzas of an interface to those in want, at most one per family. Options in want get its values;
// other options are removed if owned says so, and stay where they are otherwise. A second stanza of a family, or one of a
// family that is not wanted, loses its owned options and is removed if no others are left.
func (f *File) Configure(name string, want []Stanza, owned func(family, key string) bool) {
	for _, w := range want {
		if at := f.find(name, w.Family); at >= 0 {
			f.setStanza(at, w, owned)
		} else {
			f.addStanza(w)
		}
	}
	f.dropOthers(name, want, owned)
}

// find returns the index of an interface's first stanza of a family, or -1 if there is none.
func (f *File) find(name, family string) int {
	return slices.IndexFunc(f.Stanzas(), func(s Stanza) bool { return s.Name == name && (s.Family == family || s.Family == "") })
}

// setStanza edits the stanza with that index.
func (f *File) setStanza(index int, want Stanza, owned func(family, key string) bool) {
	s := f.Stanzas()[index]
	if s.Family != want.Family || s.Method != want.Method {
		f.replace(s.at, "iface "+s.Name+" "+want.Family+" "+want.Method)
	}
	values := map[string][]string{} // the wanted values that have not been placed yet
	for _, o := range want.Options {
		values[o.Key] = append(values[o.Key], o.Value)
	}
	wanted := func(key string) bool { _, ok := values[key]; return ok }
	for i := s.at + 1; i < s.end; i++ {
		key, value, ok := f.lines[i].option()
		switch {
		case !ok || !wanted(key) && !owned(want.Family, key):
		case wanted(key) && len(values[key]) > 0:
			if value != values[key][0] {
				f.replace(i, f.lines[i].words[0]+" "+values[key][0])
			}
			values[key] = values[key][1:]
		default:
			f.lines = slices.Delete(f.lines, i, i+1)
			i--
			s.end--
		}
	}
	for _, o := range want.Options {
		if left := values[o.Key]; len(left) > 0 {
			at := f.behind(s, o.Key)
			f.insert(at, indent+o.Key+" "+left[0])
			values[o.Key] = left[1:]
			s.end++
		}
	}
}

// behind returns where to insert another option of a stanza: after the options of the same name, or else at the end.
func (f *File) behind(s Stanza, key string) int {
	at := s.end
	for i := s.at + 1; i < s.end; i++ {
		if k, _, ok := f.lines[i].option(); ok && k == key {
			at = i + 1
		}
	}
	return at
}

// addStanza adds a stanza after the last one of the same interface, or else before the source lines, which people keep at
// the end.
func (f *File) addStanza(want Stanza) {
	at := len(f.lines)
	for i, l := range slices.Backward(f.lines) {
		if k := l.keyword(); k == "source" || k == "source-directory" {
			at = i
		} else if k != "" {
			break
		}
	}
	for at > 0 && at < len(f.lines) && len(f.lines[at-1].words) == 0 { // keep the comments above a source line with it
		if strings.TrimSpace(f.lines[at-1].raw) == "" {
			break
		}
		at--
	}
	for _, s := range f.Stanzas() {
		if s.Name == want.Name {
			at = s.end
		}
	}
	lines := []string{"iface " + want.Name + " " + want.Family + " " + want.Method}
	for _, o := range want.Options {
		lines = append(lines, indent+o.Key+" "+o.Value)
	}
	if at > 0 && strings.TrimSpace(f.lines[at-1].raw) != "" {
		lines = slices.Insert(lines, 0, "")
	}
	if at < len(f.lines) && strings.TrimSpace(f.lines[at].raw) != "" {
		lines = append(lines, "")
	}
	f.insert(at, lines...)
}

// dropOthers removes owned options from stanzas of the interface that are not among the wanted ones.
func (f *File) dropOthers(name string, want []Stanza, owned func(family, key string) bool) {
	kept := map[string]bool{}
	for index := 0; index < len(f.Stanzas()); index++ {
		s := f.Stanzas()[index]
		isWanted := s.Name == name && !kept[s.Family] && slices.ContainsFunc(want, func(w Stanza) bool { return w.Family == s.Family })
		if s.Device() != name || isWanted {
			kept[s.Family] = kept[s.Family] || isWanted
			continue
		}
		for i := s.end - 1; i > s.at; i-- {
			if key, _, ok := f.lines[i].option(); ok && owned(s.Family, key) {
				f.lines = slices.Delete(f.lines, i, i+1)
			}
		}
		s = f.Stanzas()[index]
		switch {
		case len(s.Options) == 0 && (s.Method == "static" || s.Name != name):
			f.removeStanza(s)
			index--
		case s.Method == "static":
			f.replace(s.at, "iface "+s.Name+" "+s.Family+" manual")
		}
	}
}

// removeStanza removes a stanza with the blank lines after it, and the auto line of an alias.
func (f *File) removeStanza(s Stanza) {
	end := s.at + 1
	for end < len(f.lines) && strings.TrimSpace(f.lines[end].raw) == "" {
		end++
	}
	f.lines = slices.Delete(f.lines, s.at, end)
	if s.Name != s.Device() {
		f.dropName("auto", s.Name)
		f.dropName("allow-hotplug", s.Name)
	}
}

// replace replaces the text of a logical line and keeps its leading blanks and line ending.
func (f *File) replace(at int, text string) {
	old := f.lines[at]
	blanks := old.raw[:len(old.raw)-len(strings.TrimLeft(old.raw, " \t"))]
	end := "\n"
	if !strings.HasSuffix(old.raw, "\n") {
		end = ""
	}
	raw := blanks + text + end
	f.lines[at] = line{raw, words(raw), old.number}
}

// insert inserts lines before the one with index at.
func (f *File) insert(at int, texts ...string) {
	if at > 0 {
		f.lines[at-1].close()
	}
	added := make([]line, len(texts))
	for i, text := range texts {
		added[i] = line{text + "\n", words(text), 0}
	}
	f.lines = slices.Insert(f.lines, at, added...)
}

// close terminates a line that lacks a line ending, or whose backslash would continue it with the line after it.
func (l *line) close() {
	if trimmed := strings.TrimRight(l.raw, " \t\r\n"); strings.HasSuffix(trimmed, `\`) {
		l.raw = strings.TrimRight(trimmed, ` \`) + "\n"
	} else if !strings.HasSuffix(l.raw, "\n") {
		l.raw += "\n"
	}
}
