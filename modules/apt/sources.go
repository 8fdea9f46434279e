package apt

import (
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// stanza is one definition of a repository: a deb822 stanza, or a line in the one-line format (sources.list(5)).
type stanza struct {
	types, uris, suites, components []string
	architectures                   []string
	signedBy                        string
	enabled                         bool
}

// parseSources parses a file of either format, which depends on its name, as for apt.
func parseSources(f observe.TextFile) []stanza {
	if path.Ext(f.Path) == ".sources" {
		return parseDeb822(f.Content)
	}
	return parseLines(f.Content)
}

// parseDeb822 parses stanzas separated by empty lines. Field names are case-insensitive. A line that begins with a
// space or tab continues a field; a line that begins with # is a comment, even within a field.
func parseDeb822(text string) []stanza {
	var all []stanza
	fields := map[string]string{}
	last := ""
	end := func() {
		if len(fields) > 0 {
			all = append(all, deb822Stanza(fields))
		}
		fields, last = map[string]string{}, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			end()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if ok {
				last = strings.ToLower(strings.TrimSpace(name))
				fields[last] = strings.TrimSpace(value)
			}
		}
	}
	end()
	return all
}

func deb822Stanza(fields map[string]string) stanza {
	s := stanza{
		types:         strings.Fields(fields["types"]),
		uris:          strings.Fields(fields["uris"]),
		suites:        strings.Fields(fields["suites"]),
		components:    strings.Fields(fields["components"]),
		architectures: strings.Fields(fields["architectures"]),
		signedBy:      strings.TrimSpace(fields["signed-by"]),
		enabled:       true,
	}
	if value, ok := fields["enabled"]; ok {
		s.enabled = isYes(value)
	}
	return s
}

// isYes parses a boolean like apt (StringToBool): a value that it does not know counts as true.
func isYes(value string) bool {
	switch strings.ToLower(value) {
	case "no", "false", "without", "off", "disable", "0":
		return false
	}
	return true
}

// parseLines parses lines of the form "deb [option=value …] URI SUITE COMPONENT…".
func parseLines(text string) []stanza {
	var all []stanza
	for line := range strings.Lines(text) {
		if s, ok := parseLine(line); ok {
			all = append(all, s)
		}
	}
	return all
}

func parseLine(line string) (stanza, bool) {
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	kind, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	if kind != "deb" && kind != "deb-src" {
		return stanza{}, false
	}
	s := stanza{types: []string{kind}, enabled: true}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		options, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return stanza{}, false
		}
		rest = after
		for _, option := range strings.Fields(options) {
			name, value, _ := strings.Cut(option, "=")
			switch strings.ToLower(name) {
			case "arch":
				s.architectures = strings.Split(value, ",")
			case "signed-by":
				s.signedBy = value
			}
		}
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return stanza{}, false
	}
	s.uris, s.suites, s.components = fields[:1], fields[1:2], fields[2:]
	return s, true
}

// source is the smallest unit: a type, URI, suite and component.
type source struct {
	kind, uri, suite, component string
}

// sources returns what a stanza stands for. A suite that ends in a slash is a flat repository and has no components.
func (s stanza) sources() []source {
	var all []source
	for _, kind := range s.types {
		for _, uri := range s.uris {
			for _, suite := range s.suites {
				if len(s.components) == 0 {
					all = append(all, source{kind, canonical(uri), suite, ""})
				}
				for _, component := range s.components {
					all = append(all, source{kind, canonical(uri), suite, component})
				}
			}
		}
	}
	return all
}

// canonical returns a URI in the form in which apt compares it: with a trailing slash.
func canonical(uri string) string { return strings.TrimRight(uri, "/") + "/" }

// enabledSources returns the sources that a file enables, sorted, with their keys and architectures.
func enabledSources(f observe.TextFile) []signedSource {
	var all []signedSource
	for _, s := range parseSources(f) {
		if !s.enabled {
			continue
		}
		architectures := slices.Clone(s.architectures)
		slices.Sort(architectures)
		for _, one := range s.sources() {
			all = append(all, signedSource{one, s.signedBy, strings.Join(architectures, " ")})
		}
	}
	slices.SortFunc(all, func(a, b signedSource) int { return strings.Compare(a.text(), b.text()) })
	return slices.Compact(all)
}

type signedSource struct {
	source
	signedBy, architectures string
}

func (s signedSource) text() string {
	return strings.Join([]string{s.kind, s.uri, s.suite, s.component, s.signedBy, s.architectures}, " ")
}

// fileOf returns the file that enables the repository that serves uri, or "" if there is none.
func fileOf(files []observe.TextFile, uri string) string {
	for _, f := range files {
		for _, s := range enabledSources(f) {
			if strings.HasPrefix(canonical(uri), s.uri) {
				return f.Path
			}
		}
	}
	return ""
}

// filesOf returns the files that enable the repository at uri.
func filesOf(files []observe.TextFile, uri string) []string {
	var all []string
	for _, f := range files {
		if slices.ContainsFunc(enabledSources(f), func(s signedSource) bool { return s.uri == canonical(uri) }) {
			all = append(all, f.Path)
		}
	}
	if len(all) == 0 {
		return []string{"those in /etc/apt/sources.list and /etc/apt/sources.list.d"}
	}
	return all
}

// stem returns a file name without directory and extension: the name of a repository.
func stem(name string) string {
	return strings.TrimSuffix(path.Base(name), path.Ext(name))
}
