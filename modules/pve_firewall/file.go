package pve_firewall

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/pattern"
)

// config is the content of a .fw file.
type config struct {
	options map[string]string
	aliases map[string]alias
	sets    map[string]ipset
	rules   []rule
	groups  map[string]group
}

// alias is a name for an address or a network.
type alias struct {
	name, network, comment string
}

// ipset is a set of addresses, networks and aliases. A leading ! excludes an entry.
type ipset struct {
	comment string
	entries []entry
}

type entry struct{ member, comment string }

// group is a security group: rules that other rules refer to with GROUP.
type group struct {
	comment string
	rules   []rule
}

var (
	groupLine = pattern.New(`^\[(?i:group)\s+(\S+)\]\s*(?:#\s*(.*?)\s*)?$`)
	setLine   = pattern.New(`^\[(?i:ipset)\s+(\S+)\]\s*(?:#\s*(.*?)\s*)?$`)
)

// parseConfig parses a .fw file as generic_fw_config_parser of PVE::Firewall does: invalid lines are skipped. Proxmox VE
// reports them in the log of pve-firewall.
func parseConfig(text string) config {
	c := config{options: map[string]string{}, aliases: map[string]alias{}, sets: map[string]ipset{}, groups: map[string]group{}}
	section, name := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if m := groupLine.FindStringSubmatch(line); m != nil {
			section, name = "group", strings.ToLower(m[1])
			c.groups[name] = group{comment: m[2]}
			continue
		}
		if m := setLine.FindStringSubmatch(line); m != nil {
			section, name = "ipset", strings.ToLower(m[1])
			c.sets[name] = ipset{comment: m[2]}
			continue
		}
		switch strings.ToLower(line) {
		case "[options]", "[aliases]", "[rules]":
			section = strings.Trim(strings.ToLower(line), "[]")
			continue
		}
		switch section {
		case "options":
			if key, value, ok := strings.Cut(line, ":"); ok {
				c.options[strings.ToLower(key)] = strings.TrimSpace(value)
			}
		case "aliases":
			text, comment, _ := strings.Cut(line, "#")
			if words := strings.Fields(text); len(words) == 2 {
				c.aliases[strings.ToLower(words[0])] = alias{words[0], withoutFull(words[1]), strings.TrimSpace(comment)}
			}
		case "rules":
			if r, err := parseRule(line); err == nil {
				c.rules = append(c.rules, r)
			}
		case "group":
			if r, err := parseRule(line); err == nil {
				g := c.groups[name]
				g.rules = append(g.rules, r)
				c.groups[name] = g
			}
		case "ipset":
			text, comment, _ := strings.Cut(line, "#")
			s := c.sets[name]
			s.entries = append(s.entries, entry{withoutFull(strings.ReplaceAll(text, " ", "")), strings.TrimSpace(comment)})
			c.sets[name] = s
		}
	}
	return c
}

// withoutFull removes the prefix length of a single address, as parse_ip_or_cidr does.
func withoutFull(network string) string {
	network = strings.TrimSpace(network)
	if strings.Contains(network, ":") {
		return strings.TrimSuffix(network, "/128")
	}
	return strings.TrimSuffix(network, "/32")
}

// enabled reports whether the option enable is set.
func (c config) enabled() bool { return c.options["enable"] == "1" }

// Text returns the file as Proxmox VE writes it (save_clusterfw_conf), but with sorted options; "" if it is empty. Two
// files with the same text are equivalent.
func (c config) Text() string {
	var b strings.Builder
	if len(c.options) > 0 {
		b.WriteString("[OPTIONS]\n\n")
		for _, key := range slices.Sorted(maps.Keys(c.options)) {
			fmt.Fprintf(&b, "%s: %s\n", key, c.options[key])
		}
		b.WriteString("\n")
	}
	if len(c.aliases) > 0 {
		b.WriteString("[ALIASES]\n\n")
		for _, key := range slices.Sorted(maps.Keys(c.aliases)) {
			a := c.aliases[key]
			b.WriteString(commented(a.name+" "+a.network, a.comment) + "\n")
		}
		b.WriteString("\n")
	}
	for _, name := range slices.Sorted(maps.Keys(c.sets)) {
		s := c.sets[name]
		b.WriteString(commented("[IPSET "+name+"]", s.comment) + "\n\n")
		entries := slices.Clone(s.entries)
		slices.SortFunc(entries, func(a, b entry) int {
			return strings.Compare(strings.TrimPrefix(a.member, "!"), strings.TrimPrefix(b.member, "!"))
		})
		for _, e := range entries {
			b.WriteString(commented(e.member, e.comment) + "\n")
		}
		b.WriteString("\n")
	}
	writeRules := func(rules []rule) {
		for _, r := range rules {
			b.WriteString(r.String() + "\n")
		}
		b.WriteString("\n")
	}
	if len(c.rules) > 0 {
		b.WriteString("[RULES]\n\n")
		writeRules(c.rules)
	}
	for _, name := range slices.Sorted(maps.Keys(c.groups)) {
		b.WriteString(commented("[group "+name+"]", c.groups[name].comment) + "\n\n")
		writeRules(c.groups[name].rules)
	}
	return b.String()
}

func commented(text, comment string) string {
	if comment == "" {
		return text
	}
	return text + " # " + comment
}
