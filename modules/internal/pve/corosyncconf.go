package pve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CorosyncFile is the corosync.conf that all nodes share. On each node, pmxcfs copies it to /etc/corosync/corosync.conf,
// unless that has a higher config_version, and makes corosync load it.
const CorosyncFile = corosyncFile

// CorosyncConf is a whole corosync.conf, for changes that no command of Proxmox VE makes. Methods that change it return a
// new one.
type CorosyncConf struct{ root *block }

// ParseCorosyncConf parses the corosync.conf of a cluster that uses knet.
func ParseCorosyncConf(text string) (CorosyncConf, error) {
	root, err := parseBlocks([]byte(text))
	if err != nil {
		return CorosyncConf{}, &FileError{corosyncFile, err}
	}
	c := CorosyncConf{root}
	if transport := root.first("totem").values["transport"]; transport != "" && transport != "knet" {
		return c, &FileError{corosyncFile, fmt.Errorf("totem.transport is %s: expected knet, which is what has links", transport)}
	}
	if _, err := parseCorosync([]byte(text)); err != nil {
		return c, &FileError{corosyncFile, err}
	}
	return c, nil
}

// Version returns the config_version; 0 if there is none.
func (c CorosyncConf) Version() int {
	version, _ := strconv.Atoi(c.root.first("totem").values["config_version"])
	return version
}

// Links returns the addresses of the nodes on each link, by the number of the link and the name of the node.
func (c CorosyncConf) Links() map[int]map[string]string {
	links := map[int]map[string]string{}
	for _, node := range c.nodes() {
		for number := range mostLinks {
			if address, ok := node.values[ringKey(number)]; ok {
				if links[number] == nil {
					links[number] = map[string]string{}
				}
				links[number][listedAs(node)] = address
			}
		}
	}
	return links
}

// DefaultPriority is the priority of a link without knet_link_priority (corosync.conf(5)).
const DefaultPriority = 1

// Priority returns a link's priority. corosync uses the connected link with the highest one.
func (c CorosyncConf) Priority(link int) int {
	for _, section := range c.root.first("totem").blocks["interface"] {
		if linkOf(section) == link {
			if priority, err := strconv.Atoi(section.values["knet_link_priority"]); err == nil {
				return priority
			}
		}
	}
	return DefaultPriority
}

// WithLink returns the configuration with a link that has these addresses, by node name. If addresses is empty, the
// addresses are kept.
func (c CorosyncConf) WithLink(link int, addresses map[string]string, priority int) CorosyncConf {
	c = c.clone()
	for _, node := range c.nodes() {
		if address, ok := addresses[listedAs(node)]; ok {
			node.values[ringKey(link)] = address
		}
	}
	totem := c.root.blocks["totem"][0]
	for _, section := range totem.blocks["interface"] {
		if linkOf(section) == link {
			if c.Priority(link) != priority {
				section.values["knet_link_priority"] = strconv.Itoa(priority)
			}
			return c
		}
	}
	section := newBlock()
	section.values["linknumber"] = strconv.Itoa(link)
	if priority != DefaultPriority {
		section.values["knet_link_priority"] = strconv.Itoa(priority)
	}
	totem.blocks["interface"] = append(totem.blocks["interface"], section)
	return c
}

// WithoutLink returns the configuration without a link.
func (c CorosyncConf) WithoutLink(link int) CorosyncConf {
	c = c.clone()
	for _, node := range c.nodes() {
		delete(node.values, ringKey(link))
	}
	totem := c.root.blocks["totem"][0]
	totem.blocks["interface"] = slices.DeleteFunc(totem.blocks["interface"], func(section *block) bool { return linkOf(section) == link })
	if len(totem.blocks["interface"]) == 0 {
		delete(totem.blocks, "interface")
	}
	return c
}

// Text returns the file with the given config_version, in the form in which Proxmox VE writes it (PVE::Corosync,
// pve-cluster 9.1): sorted keys and sections, nodes sorted by name, no comments.
func (c CorosyncConf) Text(version int) string {
	c = c.clone()
	c.root.blocks["totem"][0].values["config_version"] = strconv.Itoa(version)
	slices.SortStableFunc(c.nodes(), func(a, b *block) int { return cmp.Compare(listedAs(a), listedAs(b)) })
	slices.SortStableFunc(c.root.first("totem").blocks["interface"], func(a, b *block) int { return cmp.Compare(linkOf(a), linkOf(b)) })
	var b strings.Builder
	c.root.write(&b, "")
	return b.String()
}

func (c CorosyncConf) clone() CorosyncConf { return CorosyncConf{c.root.clone()} }

func (c CorosyncConf) nodes() []*block { return c.root.first("nodelist").blocks["node"] }

// mostLinks is the maximum number of links of corosync.
const mostLinks = 8

func ringKey(link int) string { return fmt.Sprintf("ring%d_addr", link) }

func listedAs(node *block) string { return cmp.Or(node.values["name"], node.values["ring0_addr"]) }

// linkOf returns the number of an interface section; ringnumber is the name of the key before corosync 3.
func linkOf(section *block) int {
	number, _ := strconv.Atoi(cmp.Or(section.values["linknumber"], section.values["ringnumber"]))
	return number
}

func (b *block) clone() *block {
	copied := &block{maps.Clone(b.values), map[string][]*block{}}
	for name, all := range b.blocks {
		for _, inner := range all {
			copied.blocks[name] = append(copied.blocks[name], inner.clone())
		}
	}
	return copied
}

func (b *block) write(to *strings.Builder, indent string) {
	keys := slices.Collect(maps.Keys(b.values))
	for name := range b.blocks {
		if _, both := b.values[name]; !both {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if value, ok := b.values[key]; ok {
			fmt.Fprintf(to, "%s%s: %s\n", indent, key, value)
		}
		for _, inner := range b.blocks[key] {
			fmt.Fprintf(to, "%s%s {\n", indent, key)
			inner.write(to, indent+"  ")
			fmt.Fprintf(to, "%s}\n", indent)
			if indent == "" {
				to.WriteString("\n")
			}
		}
	}
}
