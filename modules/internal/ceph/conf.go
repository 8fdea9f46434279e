package ceph

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Conf is /etc/pve/ceph.conf, which all nodes of a cluster share.
type Conf struct {
	// Exists is set if the file exists, Folder if /etc/pve/ceph exists: with both, Proxmox VE considers Ceph
	// initialised.
	Exists, Folder bool
	// Sections maps names ("global", "mon.pve1") to settings. Keys are spelt with "_".
	Sections map[string]map[string]string
}

// Global returns a setting in [global], or "" if it is not set.
func (c Conf) Global(key string) string { return c.Sections["global"][key] }

// Initialised reports whether pveceph init has run.
func (c Conf) Initialised() bool { return c.Exists && c.Folder && c.Sections["global"] != nil }

// MonHosts returns the addresses in mon_host. They are separated by commas and spaces, and the value may begin with
// spaces.
func (c Conf) MonHosts() []string {
	return strings.FieldsFunc(c.Global("mon_host"), func(r rune) bool { return strings.ContainsRune(", \t;", r) })
}

// Monitors returns the ids of the [mon.ID] sections, sorted.
func (c Conf) Monitors() []string {
	var ids []string
	for name := range c.Sections {
		if id, ok := strings.CutPrefix(name, "mon."); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Networks parses a list of networks, as in public_network, and masks each, because they are stored as typed.
func Networks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.10.10.0/24", item)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// With returns the configuration with a setting added or changed.
func (c Conf) With(section, key, value string) Conf {
	sections := make(map[string]map[string]string, len(c.Sections)+1)
	for name, settings := range c.Sections {
		copied := make(map[string]string, len(settings)+1)
		for k, v := range settings {
			copied[k] = v
		}
		sections[name] = copied
	}
	if sections[section] == nil {
		sections[section] = map[string]string{}
	}
	sections[section][key] = value
	c.Sections = sections
	return c
}

// Confs observes Conf, under the empty name.
//
// An expectation claims only the settings that it names: pveceph writes others as well.
var Confs = &observe.Kind[Conf]{
	Complete: func(expected, found Conf) Conf {
		for section, settings := range found.Sections {
			for key, value := range settings {
				if _, claimed := expected.Sections[section][key]; !claimed {
					expected = expected.With(section, key, value)
				}
			}
		}
		return expected
	},
	Name: "ceph-conf", What: "Ceph's configuration",
	Shared: observe.Always,
	Ask:    pve.AskFiles,
	Common: true,
	Alike:  true,
	Parse: func(names []string, answers []remote.Answer, tell func(string, Conf, error)) {
		cluster := pve.ParseFiles(answers[0])
		content, exists, err := cluster.Read(pve.CephConfFile)
		conf := Conf{Exists: exists, Folder: cluster.Has(pve.CephFolder), Sections: parseConf(content)}
		for _, name := range names {
			tell(name, conf, err)
		}
	},
}

// parseConf parses a ceph.conf. Spaces, "-" and "_" in keys are equivalent, as for Ceph, and lines that are not
// settings are ignored, as Ceph does.
func parseConf(content []byte) map[string]map[string]string {
	sections := map[string]map[string]string{}
	var current map[string]string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(stripComment(line))
		if name, ok := strings.CutPrefix(line, "["); ok {
			name = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			if sections[name] == nil {
				sections[name] = map[string]string{}
			}
			current = sections[name]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || current == nil {
			continue
		}
		key = strings.Join(strings.FieldsFunc(key, func(r rune) bool { return strings.ContainsRune(" \t_-", r) }), "_")
		current[key] = strings.TrimSpace(value)
	}
	return sections
}

// stripComment cuts the line at an unescaped "#" or ";" and removes the escapes.
func stripComment(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && (line[i+1] == '#' || line[i+1] == ';'):
			i++
			b.WriteByte(line[i])
		case c == '#' || c == ';':
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
