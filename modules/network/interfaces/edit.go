package interfaces

import (
	"slices"
	"strings"
)

// indent is what stands before an option, as Proxmox VE writes it.
const indent = "\t"

// SetAuto has an interface brought up at boot: its name leaves the lines allow-hotplug, and, if no line says auto for it, one does
// before its first stanza, or at the end where it has none.
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

// Remove takes an interface out of the file: its stanzas, those of its aliases, and its name where it is brought up. Comments
// stay, but for those inside of a stanza.
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

// dropName takes a name out of the lines that begin with a keyword, and the lines away that are left without one.
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

// Configure brings the stanzas of an interface into the form that want has: at most one a family. Options that want names are set
// to its values, those of which owned says so and that it does not name go, and all others stay where they are. A stanza of a
// family that is not wanted, or the second of one, keeps what is not owned, and goes if that is nothing.
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

// find is the index among the stanzas of the first one of an interface and family; -1 if there is none.
func (f *File) find(name, family string) int {
	return slices.IndexFunc(f.Stanzas(), func(s Stanza) bool { return s.Name == name && (s.Family == family || s.Family == "") })
}

// setStanza edits the stanza with that index.
func (f *File) setStanza(index int, want Stanza, owned func(family, key string) bool) {
	s := f.Stanzas()[index]
	if s.Family != want.Family || s.Method != want.Method {
		f.replace(s.at, "iface "+s.Name+" "+want.Family+" "+want.Method)
	}
	values := map[string][]string{} // those wanted that have not been placed yet
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

// behind is where a further option of a stanza belongs: behind the others of its name, else at the end.
func (f *File) behind(s Stanza, key string) int {
	at := s.end
	for i := s.at + 1; i < s.end; i++ {
		if k, _, ok := f.lines[i].option(); ok && k == key {
			at = i + 1
		}
	}
	return at
}

// addStanza adds one: behind the last of the same interface, or before the lines that have other files read, which people
// keep at the end.
func (f *File) addStanza(want Stanza) {
	at := len(f.lines)
	for i, l := range slices.Backward(f.lines) {
		if k := l.keyword(); k == "source" || k == "source-directory" {
			at = i
		} else if k != "" {
			break
		}
	}
	for at > 0 && at < len(f.lines) && len(f.lines[at-1].words) == 0 { // comments above what is read stay above it
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

// dropOthers takes what is owned out of stanzas of the interface that are not those wanted.
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

// removeStanza takes a stanza away with the blank lines behind it, and an alias' line auto.
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

// replace puts another text in the place of a logical line, with the blanks before and the line end that it had.
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

// insert puts lines before the one with index at.
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

// close ends a line that the file leaves open: without a line end, or with a backslash that would continue it with what is put
// behind it.
func (l *line) close() {
	if trimmed := strings.TrimRight(l.raw, " \t\r\n"); strings.HasSuffix(trimmed, `\`) {
		l.raw = strings.TrimRight(trimmed, ` \`) + "\n"
	} else if !strings.HasSuffix(l.raw, "\n") {
		l.raw += "\n"
	}
}
