package pve

import (
	"fmt"
	"strings"
)

// Section is an entry of a file in Proxmox VE's section format (storage.cfg, ha/*.cfg): a line "TYPE: ID", and an
// indented "key value" line for each property.
type Section struct {
	Type, ID string
	// Options holds the properties; a bare key has the value "1".
	Options map[string]string
}

// ParseSections parses such a file, also of Proxmox Backup Server. The result is in the order of the file.
func ParseSections(content []byte) ([]Section, error) {
	var sections []Section
	open := false
	for number, line := range strings.Split(string(content), "\n") {
		line = strings.TrimRight(line, " \t\r")
		switch {
		case line == "":
			open = false
		case strings.HasPrefix(strings.TrimLeft(line, " \t"), "#"):
		case line[0] == ' ' || line[0] == '\t':
			if !open {
				return nil, fmt.Errorf("line %d: %q belongs to no section", number+1, strings.TrimSpace(line))
			}
			key, value, bare := splitProperty(line)
			if bare {
				value = "1"
			}
			sections[len(sections)-1].Options[key] = value
		default:
			kind, id, ok := strings.Cut(line, ":")
			id = strings.TrimSpace(id)
			if !ok || kind == "" || id == "" {
				return nil, fmt.Errorf("line %d: %q is not a section header (TYPE: ID)", number+1, line)
			}
			sections = append(sections, Section{Type: kind, ID: id, Options: map[string]string{}})
			open = true
		}
	}
	return sections, nil
}

func splitProperty(line string) (key, value string, bare bool) {
	line = strings.TrimLeft(line, " \t")
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, "", true
	}
	return line[:at], strings.TrimLeft(line[at:], " \t"), false
}

// List returns a comma-separated property as a set: Proxmox VE writes such lists in any order.
func List(text string) map[string]bool {
	set := map[string]bool{}
	for _, item := range items(text) {
		set[item] = true
	}
	return set
}

func items(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",; \t", r) })
}
