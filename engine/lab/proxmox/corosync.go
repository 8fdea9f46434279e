package proxmox

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Corosync is the content of /etc/pve/corosync.conf.
type Corosync struct {
	Name    string
	Version int
	Nodes   []CorosyncNode // sorted by name
	Links   []CorosyncLink
	// Totem are the other settings of the totem section.
	Totem map[string]string
	// Device is the QDevice; nil means none.
	Device *CorosyncDevice
}

// CorosyncDevice is a QDevice with model net.
type CorosyncDevice struct {
	Host, Algorithm string
	// Votes is 0 if the configuration sets none. corosync then gives it one vote fewer than there are nodes.
	Votes int
}

// deviceVotes returns the votes of the QDevice, whether it casts them or not.
func (c *Corosync) deviceVotes() int {
	switch {
	case c.Device == nil:
		return 0
	case c.Device.Votes == 0:
		return len(c.Nodes) - 1
	}
	return c.Device.Votes
}

// CorosyncNode is an entry of the nodelist.
type CorosyncNode struct {
	Name      string
	ID, Votes int
	// Links are the addresses by link number.
	Links map[int]string
}

// CorosyncLink is an interface section of totem. A priority of 0 is not written.
type CorosyncLink struct{ Number, Priority int }

// node returns the node with a name.
func (c *Corosync) node(name string) *CorosyncNode {
	for i := range c.Nodes {
		if c.Nodes[i].Name == name {
			return &c.Nodes[i]
		}
	}
	return nil
}

// clone returns a copy for a change; nil for nil.
func (c *Corosync) clone() *Corosync {
	if c == nil {
		return nil
	}
	copied := *c
	copied.Nodes, copied.Links, copied.Totem = slices.Clone(c.Nodes), slices.Clone(c.Links), maps.Clone(c.Totem)
	for i := range copied.Nodes {
		copied.Nodes[i].Links = maps.Clone(c.Nodes[i].Links)
	}
	if c.Device != nil {
		device := *c.Device
		copied.Device = &device
	}
	return &copied
}

// String formats the configuration as PVE does: sorted keys and sections, indented by two spaces, with an empty line
// after every top-level section.
func (c *Corosync) String() string {
	var b strings.Builder
	b.WriteString("logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n")
	nodes := append([]CorosyncNode(nil), c.Nodes...)
	slices.SortFunc(nodes, byName)
	for _, n := range nodes {
		fmt.Fprintf(&b, "  node {\n    name: %s\n    nodeid: %d\n    quorum_votes: %d\n", n.Name, n.ID, n.Votes)
		for _, link := range sortedKeys(n.Links) {
			fmt.Fprintf(&b, "    ring%d_addr: %s\n", link, n.Links[link])
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n\nquorum {\n")
	if d := c.Device; d != nil {
		fmt.Fprintf(&b, "  device {\n    model: net\n    net {\n      algorithm: %s\n      host: %s\n      tls: on\n    }\n", d.Algorithm, d.Host)
		if d.Votes > 0 {
			fmt.Fprintf(&b, "    votes: %d\n", d.Votes)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("  provider: corosync_votequorum\n}\n\ntotem {\n")
	lines := map[string]string{
		"cluster_name":   fmt.Sprintf("  cluster_name: %s\n", c.Name),
		"config_version": fmt.Sprintf("  config_version: %d\n", c.Version),
	}
	for key, value := range c.Totem {
		lines[key] = fmt.Sprintf("  %s: %s\n", key, value)
	}
	var interfaces strings.Builder
	for _, link := range c.Links {
		interfaces.WriteString("  interface {\n")
		if link.Priority > 0 {
			fmt.Fprintf(&interfaces, "    knet_link_priority: %d\n", link.Priority)
		}
		fmt.Fprintf(&interfaces, "    linknumber: %d\n  }\n", link.Number)
	}
	lines["interface"] = interfaces.String()
	for _, key := range sortedKeys(lines) {
		b.WriteString(lines[key])
	}
	b.WriteString("}\n\n")
	return b.String()
}

// ParseCorosync parses a corosync.conf by PVE's rules: `key: value`, `section {`, `}`, and comments that start with #.
func ParseCorosync(text string) (*Corosync, error) {
	c := &Corosync{Totem: map[string]string{}}
	var stack []string
	var node *CorosyncNode
	var link *CorosyncLink
	for number, line := range strings.Split(text, "\n") {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasSuffix(line, "{"):
			name := strings.TrimSpace(strings.TrimSuffix(line, "{"))
			stack = append(stack, name)
			switch strings.Join(stack, "/") {
			case "nodelist/node":
				node = &CorosyncNode{Votes: 1, Links: map[int]string{}}
			case "totem/interface":
				link = &CorosyncLink{}
			case "quorum/device":
				c.Device = &CorosyncDevice{}
			}
		case line == "}":
			if len(stack) == 0 {
				return nil, fmt.Errorf("line %d: '}' closes no section", number+1)
			}
			switch strings.Join(stack, "/") {
			case "nodelist/node":
				if node.Name == "" {
					node.Name = node.Links[0]
				}
				c.Nodes = append(c.Nodes, *node)
			case "totem/interface":
				c.Links = append(c.Links, *link)
			}
			stack = stack[:len(stack)-1]
		default:
			key, value, found := strings.Cut(line, ":")
			if !found {
				return nil, fmt.Errorf("line %d: expected 'key: value', found %q", number+1, line)
			}
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			switch strings.Join(stack, "/") {
			case "nodelist/node":
				if err := node.set(key, value); err != nil {
					return nil, fmt.Errorf("line %d: %w", number+1, err)
				}
			case "totem/interface":
				n, err := strconv.Atoi(value)
				if err != nil {
					return nil, fmt.Errorf("line %d: %s: expected a number, found %q", number+1, key, value)
				}
				switch key {
				case "linknumber":
					link.Number = n
				case "knet_link_priority":
					link.Priority = n
				}
			case "quorum/device":
				if key == "votes" {
					n, err := strconv.Atoi(value)
					if err != nil {
						return nil, fmt.Errorf("line %d: votes: expected a number, found %q", number+1, value)
					}
					c.Device.Votes = n
				}
			case "quorum/device/net":
				switch key {
				case "host":
					c.Device.Host = value
				case "algorithm":
					c.Device.Algorithm = value
				}
			case "totem":
				switch key {
				case "cluster_name":
					c.Name = value
				case "config_version":
					n, err := strconv.Atoi(value)
					if err != nil {
						return nil, fmt.Errorf("line %d: config_version: expected a number, found %q", number+1, value)
					}
					c.Version = n
				default:
					c.Totem[key] = value
				}
			}
		}
	}
	if len(stack) != 0 {
		return nil, fmt.Errorf("section %q is not closed", stack[len(stack)-1])
	}
	if len(c.Links) == 0 {
		c.Links = []CorosyncLink{{}} // link 0 needs no section
	}
	slices.SortFunc(c.Nodes, byName)
	return c, nil
}

func byName(a, b CorosyncNode) int { return strings.Compare(a.Name, b.Name) }

func (n *CorosyncNode) set(key, value string) error {
	if number, found := strings.CutPrefix(strings.TrimSuffix(key, "_addr"), "ring"); found {
		if link, err := strconv.Atoi(number); err == nil && key == fmt.Sprintf("ring%d_addr", link) {
			n.Links[link] = value
			return nil
		}
	}
	switch key {
	case "name":
		n.Name = value
	case "nodeid", "quorum_votes":
		number, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s: expected a number, found %q", key, value)
		}
		if key == "nodeid" {
			n.ID = number
		} else {
			n.Votes = number
		}
	}
	return nil
}

const corosyncFile = "corosync.conf"

// corosync returns the configuration that the cluster's corosync uses, or nil if the node is standalone. A running
// daemon keeps its configuration if the file is damaged, or if it changes what cannot be changed at run time. All callers
// share the configuration: only a clone may be changed.
func (d *Database) corosync() *Corosync {
	data, ok := d.Read(corosyncFile)
	if !ok {
		return nil
	}
	if d.parsed.text != d.Accepted {
		d.parsed.text, d.parsed.conf = d.Accepted, usable(d.Accepted)
	}
	if d.parsed.conf != nil {
		return d.parsed.conf
	}
	return usable(string(data))
}

// usable returns the parsed corosync.conf if it is sufficient to form a ring, and nil otherwise.
func usable(text string) *Corosync {
	c, err := ParseCorosync(text)
	if err != nil || c.Name == "" || len(c.Nodes) == 0 {
		return nil
	}
	return c
}

// accept remembers a newly written corosync.conf if corosync loads it.
func (d *Database) accept(name string) {
	if name != corosyncFile {
		return
	}
	text := d.Text(corosyncFile)
	next, running := usable(text), usable(d.Accepted)
	if next == nil || running != nil && running.Name == next.Name && (next.Version < running.Version || running.refuses(next)) {
		return
	}
	d.Accepted = text
}

// refuses reports whether a running corosync keeps its configuration when it is told to load another one, as recorded
// with corosync 3.1.7 (TestCorosyncLoadsLinks). corosync ignores the version, but pmxcfs does not install a file with a
// lower version than the current one (PVE::Cluster, dcdb_sync_corosync_conf).
func (c *Corosync) refuses(next *Corosync) bool {
	if len(next.numbers()) > 1 && slices.ContainsFunc(next.Nodes, func(n CorosyncNode) bool { return !slices.Equal(sortedKeys(n.Links), next.numbers()) }) {
		return true // "Not all nodes have the same number of links"
	}
	for _, n := range next.Nodes {
		was := c.node(n.Name)
		for link, address := range n.Links {
			if was != nil && was.Links[link] != "" && was.Links[link] != address {
				return true // "To reconfigure an interface it must be deleted and recreated."
			}
		}
	}
	return false
}

// numbers returns the sorted numbers of all links of the nodes.
func (c *Corosync) numbers() []int {
	all := map[int]bool{}
	for _, n := range c.Nodes {
		for link := range n.Links {
			all[link] = true
		}
	}
	return sortedKeys(all)
}

// forsake forgets the configuration that corosync has loaded when its file is removed: the node is standalone.
func (d *Database) forsake(name string) {
	if name == corosyncFile {
		d.Accepted = ""
	}
}
