package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

// Section is a section of a configuration file in PVE's SectionConfig format: a header "TYPE: ID", or just the ID in
// files with a single type, followed by lines of a tab, a key and a value.
type Section struct {
	Type, ID string
	// Keys are the values by key. Values of a repeated key are joined with the separator repeated.
	Keys map[string]string
}

// repeated separates the values of a repeated key.
const repeated = "\x00"

// ParseSections parses a file. Like PVE, it drops comments.
func ParseSections(text string) []Section {
	var all []Section
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case line[0] == '\t' || line[0] == ' ':
			if len(all) > 0 {
				key, value, _ := strings.Cut(trimmed, " ")
				value = strings.TrimSpace(value)
				if key == "disable" {
					if value != "" && !truth(value) {
						continue // a storage or rule that is not disabled
					}
					value = ""
				}
				keys := all[len(all)-1].Keys
				if before, again := keys[key]; again && key == "map" {
					value = before + repeated + value
				}
				keys[key] = value
			}
		default:
			kind, id, found := strings.Cut(trimmed, ":")
			if !found {
				kind, id = "", kind
			}
			all = append(all, Section{Type: strings.TrimSpace(kind), ID: strings.TrimSpace(id), Keys: map[string]string{}})
		}
	}
	return all
}

// FormatSections formats sections as PVE does: first the comment, then a bare `disable`, then the required keys, then
// the others, each sorted.
func FormatSections(all []Section, required ...string) string {
	var b strings.Builder
	for _, s := range all {
		if s.Type == "" {
			fmt.Fprintf(&b, "%s\n", s.ID)
		} else {
			fmt.Fprintf(&b, "%s: %s\n", s.Type, s.ID)
		}
		write := func(key string) {
			if key == "disable" {
				b.WriteString("\tdisable\n")
				return
			}
			for value := range strings.SplitSeq(s.Keys[key], repeated) {
				fmt.Fprintf(&b, "\t%s %s\n", key, value)
			}
		}
		var rest []string
		for _, key := range sortedKeys(s.Keys) {
			if key != "comment" && key != "disable" && !slices.Contains(required, key) {
				rest = append(rest, key)
			}
		}
		first := append([]string{"comment", "disable"}, required...)
		for _, key := range first {
			if _, ok := s.Keys[key]; ok {
				write(key)
			}
		}
		for _, key := range rest {
			write(key)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// section returns the index of the section with an ID, whatever its type.
func section(all []Section, id string) int {
	return slices.IndexFunc(all, func(s Section) bool { return s.ID == id })
}

// encodeComment encodes a comment as PVE stores it, percent-encoding all but plain characters.
func encodeComment(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == '%' || c == ':' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func decodeComment(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		var c byte
		if text[i] == '%' && i+2 < len(text) {
			if _, err := fmt.Sscanf(text[i+1:i+3], "%02X", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
