package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

// cephConf is a ceph.conf as PVE reads and writes it: sections of keys, without comments.
type cephConf struct {
	sections map[string]map[string]string
}

func parseCephConf(text string) *cephConf {
	c := &cephConf{sections: map[string]map[string]string{}}
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			current = strings.TrimSpace(strings.Trim(line, "[]"))
			c.section(current)
		default:
			key, value, ok := strings.Cut(line, "=")
			if ok && current != "" {
				key = strings.ReplaceAll(strings.TrimSpace(key), " ", "_")
				c.sections[current][key] = strings.TrimSpace(value)
			}
		}
	}
	return c
}

func (c *cephConf) section(name string) map[string]string {
	if c.sections[name] == nil {
		c.sections[name] = map[string]string{}
	}
	return c.sections[name]
}

func (c *cephConf) get(section, key string) string { return c.sections[section][key] }

func (c *cephConf) set(section, key, value string) { c.section(section)[key] = value }

var sectionOrder = []string{"global", "client", "mds", "mon", "osd", "mgr"}

// String formats the sections in PVE's order, with sorted keys.
func (c *cephConf) String() string {
	rank := func(name string) int {
		kind, _, _ := strings.Cut(name, ".")
		i := slices.Index(sectionOrder, kind)
		if i < 0 {
			i = len(sectionOrder)
		}
		return i
	}
	names := sortedKeys(c.sections)
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "[%s]\n", name)
		for _, key := range sortedKeys(c.sections[name]) {
			value := strings.NewReplacer("#", `\#`, ";", `\;`).Replace(c.sections[name][key])
			fmt.Fprintf(&b, "\t%s = %s\n", key, value)
		}
		b.WriteString("\n")
	}
	return b.String()
}
