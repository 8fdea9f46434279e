package machine

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// source is a "deb" entry with one suite.
type source struct {
	file       string
	uri, suite string
	components []string
	signedBy   string
}

// parseOneLine parses a line of sources.list(5): "deb [options] URI suite components". ok is false if the line is not
// an entry; problem describes a malformed one.
func parseOneLine(line string) (s source, ok bool, problem string) {
	line, _, _ = strings.Cut(line, "#")
	f := strings.Fields(line)
	if len(f) == 0 || f[0] == "deb-src" {
		return s, false, ""
	}
	if f[0] != "deb" {
		return s, false, "Type '" + f[0] + "' is not known"
	}
	rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "deb"))
	if strings.HasPrefix(rest, "[") {
		options, after, closed := strings.Cut(rest[1:], "]")
		if !closed {
			return s, false, "Malformed entry ([option] not assignable)"
		}
		rest = after
		for _, option := range strings.Fields(options) {
			if key, value, _ := strings.Cut(option, "="); strings.EqualFold(key, "signed-by") {
				s.signedBy = value
			}
		}
	}
	f = strings.Fields(rest)
	if len(f) < 2 {
		return s, false, "Malformed entry (Suite)"
	}
	s.uri, s.suite, s.components = f[0], f[1], f[2:]
	if len(s.components) == 0 && !strings.HasSuffix(s.suite, "/") {
		return s, false, "Malformed entry (Component)"
	}
	return s, true, ""
}

// parseDeb822 parses the stanzas of a .sources file.
func parseDeb822(text string) (sources []source, problem string) {
	for _, stanza := range deb822(text) {
		if strings.EqualFold(stanza["enabled"], "no") || strings.EqualFold(stanza["enabled"], "false") {
			continue
		}
		if !slices.Contains(strings.Fields(stanza["types"]), "deb") {
			if stanza["types"] == "" {
				return nil, "Malformed stanza (Type)"
			}
			continue
		}
		uris, suites := strings.Fields(stanza["uris"]), strings.Fields(stanza["suites"])
		switch {
		case len(uris) == 0:
			return nil, "Malformed entry (URI)"
		case len(suites) == 0:
			return nil, "Malformed entry (Suite)"
		}
		components := strings.Fields(stanza["components"])
		for _, uri := range uris {
			for _, suite := range suites {
				if len(components) == 0 && !strings.HasSuffix(suite, "/") {
					return nil, "Malformed entry (Component)"
				}
				sources = append(sources, source{uri: uri, suite: suite, components: components, signedBy: stanza["signed-by"]})
			}
		}
	}
	return sources, ""
}

// deb822 parses stanzas of "Field: value" with continuation lines; field names are returned in lower case.
func deb822(text string) []map[string]string {
	var all []map[string]string
	current, last := map[string]string{}, ""
	flush := func() {
		if len(current) > 0 {
			all = append(all, current)
		}
		current, last = map[string]string{}, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				current[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			key, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(key))
			current[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return all
}

// sources returns the enabled entries on a machine. problem is apt's error for the first file that it cannot parse.
func (m *Machine) sources() (all []source, problem string) {
	files := []string{"/etc/apt/sources.list"}
	if entries, err := afero.ReadDir(m.FS(), "/etc/apt/sources.list.d"); err == nil {
		for _, e := range entries {
			files = append(files, "/etc/apt/sources.list.d/"+e.Name())
		}
	}
	for _, file := range files {
		content, err := afero.ReadFile(m.FS(), file)
		if err != nil {
			continue
		}
		switch path.Ext(file) {
		case ".list":
			for i, line := range strings.Split(string(content), "\n") {
				s, ok, wrong := parseOneLine(line)
				if wrong != "" {
					return nil, "E: " + strings.Replace(wrong, "Malformed entry", "Malformed entry "+strconv.Itoa(i+1)+" in list file "+file, 1) + "\nE: The list of sources could not be read."
				}
				if ok {
					s.file = file
					all = append(all, s)
				}
			}
		case ".sources":
			found, wrong := parseDeb822(string(content))
			if wrong != "" {
				return nil, "E: " + strings.Replace(wrong, "Malformed", "Malformed stanza 1 in source list "+file, 1) + "\nE: The list of sources could not be read."
			}
			for _, s := range found {
				s.file = file
				all = append(all, s)
			}
		}
	}
	return all, ""
}

// trusted reports whether the keyring of a source exists.
func (m *Machine) trusted(s source, keyring string) bool {
	present := func(file string) bool {
		content, err := afero.ReadFile(m.FS(), file)
		return err == nil && len(content) > 0
	}
	if s.signedBy != "" {
		if strings.Contains(s.signedBy, "BEGIN PGP") {
			return true
		}
		for _, file := range strings.FieldsFunc(s.signedBy, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
			if present(file) {
				return true
			}
		}
		return false
	}
	entries, err := afero.ReadDir(m.FS(), "/etc/apt/trusted.gpg.d")
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), keyring) && present("/etc/apt/trusted.gpg.d/"+e.Name()) {
			return true
		}
	}
	return false
}
