// Package pve_firewall implements the module for Proxmox VE's own firewall, of a cluster, its nodes and its guests.
//
// The meaning of the files in /etc/pve/firewall is taken from the source of pve-firewall 6.0.4 (PVE::Firewall and
// PVE::Service::pve_firewall), because there is no transcript of a real node.
package pve_firewall

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hlplay/engine/pattern"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "pve_firewall",
	Vital:   []string{"/etc/pve/firewall/*.fw", "/etc/pve/nodes/*/host.fw"},
	Summary: "Proxmox VE's own firewall, of the cluster, a node or a guest",
	Doc: `A task sets one of three files, with one block:

- **cluster**: ` + "`cluster.fw`" + `, the rules of all nodes (Datacenter, Firewall), with aliases, IP sets and security groups that nodes and guests
  refer to. Nothing is filtered anywhere unless its ` + "`enable`" + ` is set.
- **node**: ` + "`host.fw`" + ` of the host, whose rules come before the cluster's.
- **guest**: the rules of a guest. They apply to those of its network devices that have ` + "`firewall=1`" + `.

The file is replaced by what the task describes; everything else in it is removed. A file that is equivalent is left alone, however
it is formatted. With ` + "`state = \"absent\"`" + ` the file of the node or of the guest is removed. A node then has only the cluster's rules, and
a guest is not filtered. A copy is kept for ` + "`hlplay restore`" + `. The cluster's file cannot be removed; ` + "`enable = false`" + ` turns the firewall off.

Rules are lines in Proxmox VE's format: ` + "`IN SSH(ACCEPT) -source +management -log nolog # a comment`" + `, in this
order: direction (` + "`IN`, `OUT`, `FORWARD`, or `GROUP`" + ` and the name of a security group); ` + "`ACCEPT`, `DROP` or `REJECT`" + `, or a macro
with one of them; and any of ` + "`-i`, `-source`, `-dest`, `-p`, `-dport`, `-sport`, `-log`, `-icmp-type`" + `. A line that begins
with ` + "`|`" + ` is disabled.

**The nodes of a cluster always reach each other.** The first rule of a cluster's file admits everything from the IP set ` + "`hlplay-nodes`" + `,
which the module maintains: the addresses of the nodes on corosync's links, in every network in which several nodes have addresses, and
their host addresses (/32 and /128), such as those of a routed mesh. Proxmox VE itself admits only corosync's first ports (5404 and 5405, for
link 0), and not Ceph. The set keeps the addresses of a node that is away.

**Nobody is locked out.** A change is refused if a node would not admit a new connection like the one that hlplay is using, or would keep out
another node. Only rules about addresses count as certain: list the network from which you administer the nodes in the IP set ` + "`management`" + `,
which Proxmox VE admits to SSH, the web interface and consoles. Proxmox VE adds the network of the node's own address to that set, but hlplay does not rely on it.
A change of a cluster's or a node's file is also guarded: after the rollback time the host stops its firewall and restores the old file,
unless by then every node has loaded the rules without a complaint and is quorate, and hlplay has logged in over
a new connection.

For a host without Proxmox VE, see ` + "`firewall`" + `.`,
	Example: `task "the cluster's firewall" {
  pve_firewall {
    cluster {
      enable  = true
      aliases = { office = "192.168.1.0/24" }
      ipset "management" {
        entries = ["office"]
      }
      group "webserver" {
        rules = ["IN HTTPS(ACCEPT)", "IN HTTP(ACCEPT) # only redirects"]
      }
      rules = ["IN ACCEPT -source office -p tcp -dport 9100 # metrics"]
    }
  }
}

task "a guest's firewall" {
  pve_firewall {
    guest {
      id     = 100
      enable = true
      rules  = ["GROUP webserver -i net0", "IN SSH(ACCEPT) -source +management"]
    }
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

// Module holds the module's arguments.
type Module struct {
	Cluster  *Cluster      `hcl:"cluster,block" doc:"The firewall of the cluster, or of a node that is in none."`
	Node     *Node         `hcl:"node,block" doc:"The firewall of each host of the play."`
	Guest    *Guest        `hcl:"guest,block" doc:"The firewall of a guest."`
	State    string        `hcl:"state,optional" enum:"present,absent" default:"present" doc:"absent removes the file of the node or the guest."`
	Rollback time.Duration `hcl:"rollback,optional" default:"\"3m\"" doc:"Time after which the host undoes the change of a cluster's or a node's firewall, unless it has been proven: 1m to 30m."`
}

// Cluster holds the arguments for cluster.fw.
type Cluster struct {
	Enable        bool              `hcl:"enable" doc:"Whether anything is filtered, anywhere in the cluster."`
	PolicyIn      string            `hcl:"policy_in,optional" enum:"ACCEPT,DROP,REJECT" doc:"What happens to packets to the nodes that no rule matches. Proxmox VE's default is DROP."`
	PolicyOut     string            `hcl:"policy_out,optional" enum:"ACCEPT,DROP,REJECT" doc:"What happens to packets from the nodes that no rule matches. Proxmox VE's default is ACCEPT."`
	PolicyForward string            `hcl:"policy_forward,optional" enum:"ACCEPT,DROP" doc:"What happens to forwarded packets that no rule matches; only for the firewall with nftables."`
	Options       map[string]string `hcl:"options,optional" doc:"Other options: ebtables, log_ratelimit."`
	Aliases       map[string]string `hcl:"aliases,optional" doc:"Names of addresses and networks: { office = \"192.168.1.0/24\" }."`
	Rules         []string          `hcl:"rules,optional" doc:"The rules of all nodes, in order."`
	Ipset         []Ipset           `hcl:"ipset,block" doc:"Sets of addresses, which rules refer to as +NAME. management is admitted to SSH, the web interface and consoles; blacklist is not admitted to anything."`
	Group         []Group           `hcl:"group,block" doc:"Security groups: rules that other rules refer to as GROUP NAME."`
}

// Node holds the arguments for host.fw.
type Node struct {
	Enable  bool              `hcl:"enable,optional" default:"true" doc:"Whether packets to and from the node itself are filtered."`
	Rules   []string          `hcl:"rules,optional" doc:"The node's own rules, in order; the cluster's follow."`
	Options map[string]string `hcl:"options,optional" doc:"Other options: log_level_in, nosmurfs, tcpflags, nf_conntrack_max, protection_synflood, nftables, …"`
}

// Guest holds the arguments for the file of a guest.
type Guest struct {
	ID        int               `hcl:"id" doc:"The guest's ID, from 100."`
	Enable    *bool             `hcl:"enable,optional" doc:"Whether the guest's packets are filtered. Required unless state is absent."`
	PolicyIn  string            `hcl:"policy_in,optional" enum:"ACCEPT,DROP,REJECT" doc:"What happens to packets to the guest that no rule matches. Proxmox VE's default is DROP."`
	PolicyOut string            `hcl:"policy_out,optional" enum:"ACCEPT,DROP,REJECT" doc:"What happens to packets from the guest that no rule matches. Proxmox VE's default is ACCEPT."`
	Options   map[string]string `hcl:"options,optional" doc:"Other options: dhcp, ipfilter, macfilter, ndp, radv, log_level_in, log_level_out, …"`
	Aliases   map[string]string `hcl:"aliases,optional" doc:"Names of addresses and networks, for this guest only."`
	Rules     []string          `hcl:"rules,optional" doc:"The guest's rules, in order."`
	Ipset     []Ipset           `hcl:"ipset,block" doc:"Sets of addresses, for this guest only. ipfilter-net0 limits what addresses net0 may send from."`
}

// Ipset is an IP set.
type Ipset struct {
	Name    string   `hcl:"name,label" doc:"its name"`
	Entries []string `hcl:"entries" doc:"Addresses, networks and aliases. A leading ! excludes an entry."`
	Comment string   `hcl:"comment,optional" doc:"What it is for."`
}

// Group is a security group.
type Group struct {
	Name    string   `hcl:"name,label" doc:"its name"`
	Rules   []string `hcl:"rules" doc:"Its rules, in order, without -i."`
	Comment string   `hcl:"comment,optional" doc:"What it is for."`
}

// nodesSet is the IP set that the module keeps.
const nodesSet = "hlplay-nodes"

// leastRollback and mostRollback bound the rollback time. pve-firewall checks its files every ten seconds.
const (
	leastRollback = time.Minute
	mostRollback  = 30 * time.Minute
)

// The forms of the values of options.
var (
	onOff = pattern.New(`^[01]$`)
	level = pattern.New(`^(emerg|alert|crit|err|warning|notice|info|debug|nolog)$`)
	count = pattern.New(`^[0-9]+$`)
	words = pattern.New(`^[^\s\p{Cc}]+$`)
)

// options returns the options of one of the three files that have no argument of their own, with the forms of their values
// (parse_clusterfw_option, parse_hostfw_option, parse_vmfw_option).
func options(of string) map[string]*pattern.Regexp {
	switch of {
	case "cluster":
		return map[string]*pattern.Regexp{"ebtables": onOff, "log_ratelimit": words}
	case "node":
		return map[string]*pattern.Regexp{"nosmurfs": onOff, "tcpflags": onOff, "ndp": onOff, "log_nf_conntrack": onOff, "nf_conntrack_allow_invalid": onOff,
			"protection_synflood": onOff, "nftables": onOff, "log_level_in": level, "log_level_out": level, "log_level_forward": level,
			"tcp_flags_log_level": level, "smurf_log_level": level, "nf_conntrack_helpers": words, "nf_conntrack_max": count,
			"nf_conntrack_tcp_timeout_established": count, "nf_conntrack_tcp_timeout_syn_recv": count, "protection_synflood_rate": count,
			"protection_synflood_burst": count}
	}
	return map[string]*pattern.Regexp{"dhcp": onOff, "ndp": onOff, "radv": onOff, "macfilter": onOff, "ipfilter": onOff, "ips": onOff,
		"log_level_in": level, "log_level_out": level, "ips_queues": words, "layer2_protocols": words}
}

// Scope implements modules.Scoped: a file of the cluster is written once, and a mistake should cut off one node and not
// all of them.
func (m *Module) Scope() modules.Scope {
	if m.Node != nil {
		return modules.OneByOne
	}
	return modules.OncePerCluster
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	given := 0
	for _, there := range []bool{m.Cluster != nil, m.Node != nil, m.Guest != nil} {
		if there {
			given++
		}
	}
	switch {
	case given != 1:
		return &modules.ArgumentError{Argument: "pve_firewall", Problem: fmt.Sprintf("%d blocks are given", given), Want: "one of cluster, node and guest"}
	case m.Rollback != 0 && (m.Rollback < leastRollback || m.Rollback > mostRollback):
		return &modules.ArgumentError{Argument: "rollback", Problem: fmt.Sprintf("%s is not between %s and %s", m.Rollback, leastRollback, mostRollback), Want: "three minutes are enough for pve-firewall on every node"}
	case m.Guest != nil && (m.Guest.ID < 100 || m.Guest.ID > 999999999):
		return &modules.ArgumentError{Argument: "guest.id", Problem: fmt.Sprint(m.Guest.ID), Want: "a guest's ID is 100 to 999999999"}
	}
	if err := m.validateState(); err != nil {
		return err
	}
	c, err := m.config()
	if err != nil {
		return err
	}
	if m.Cluster != nil {
		if err := c.defines("cluster", c); err != nil {
			return err
		}
	}
	return nil
}

// validateState checks what is given against state.
func (m *Module) validateState() error {
	guest := m.Guest
	switch {
	case !m.absent() && guest != nil && guest.Enable == nil:
		return &modules.ArgumentError{Argument: "guest.enable", Problem: "missing", Want: "whether the guest's packets are filtered"}
	case !m.absent():
		return nil
	case m.Cluster != nil:
		return &modules.ArgumentError{Argument: "state", Problem: "the cluster's file cannot be removed", Want: "turn the firewall off with enable = false"}
	case m.Node != nil && len(m.Node.Rules)+len(m.Node.Options) > 0,
		guest != nil && (guest.Enable != nil || guest.PolicyIn+guest.PolicyOut != "" || len(guest.Options)+len(guest.Aliases)+len(guest.Rules)+len(guest.Ipset) > 0):
		return &modules.ArgumentError{Argument: "state", Problem: "absent, but the file is described", Want: "only node {}, or guest { id = … }"}
	}
	return nil
}

// absent reports whether the file is removed.
func (m *Module) absent() bool { return m.State == "absent" }

// config returns the file that the task describes, which is empty if the file is removed.
func (m *Module) config() (config, error) {
	c := config{options: map[string]string{}, aliases: map[string]alias{}, sets: map[string]ipset{}, groups: map[string]group{}}
	at, enable := "cluster", false
	var aliases map[string]string
	var more map[string]string
	var rules []string
	var sets []Ipset
	if m.absent() {
		return c, nil
	}
	switch {
	case m.Cluster != nil:
		k := m.Cluster
		enable, more, aliases, rules, sets = k.Enable, k.Options, k.Aliases, k.Rules, k.Ipset
		c.set("policy_in", k.PolicyIn)
		c.set("policy_out", k.PolicyOut)
		c.set("policy_forward", k.PolicyForward)
		for _, g := range k.Group {
			if err := c.addGroup(g); err != nil {
				return c, err
			}
		}
	case m.Node != nil:
		at, enable, more, rules = "node", m.Node.Enable, m.Node.Options, m.Node.Rules
	default:
		g := m.Guest
		at, enable, more, aliases, rules, sets = "guest", g.Enable != nil && *g.Enable, g.Options, g.Aliases, g.Rules, g.Ipset
		c.set("policy_in", g.PolicyIn)
		c.set("policy_out", g.PolicyOut)
	}
	c.set("enable", map[bool]string{true: "1", false: "0"}[enable])
	known := options(at)
	for _, name := range slices.Sorted(maps.Keys(more)) {
		switch form := known[name]; {
		case form == nil:
			return c, &modules.ArgumentError{Argument: at + ".options", Problem: fmt.Sprintf("%q is not an option of it", name), Want: "one of " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")}
		case !form.MatchString(more[name]):
			return c, &modules.ArgumentError{Argument: at + ".options." + name, Problem: fmt.Sprintf("%q", more[name]), Want: wanted(form)}
		}
		c.set(name, more[name])
	}
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		network, err := parseNetwork(aliases[name])
		switch {
		case !nameForm.MatchString(name) || len(name) > 64:
			return c, &modules.ArgumentError{Argument: at + ".aliases", Problem: fmt.Sprintf("%q cannot be the name of an alias", name), Want: "letters, digits, - and _, beginning with a letter"}
		case err != nil:
			return c, &modules.ArgumentError{Argument: at + ".aliases." + name, Problem: fmt.Sprintf("%q is not an address or a network", aliases[name]), Want: "write it as in 192.168.1.0/24"}
		}
		c.aliases[strings.ToLower(name)] = alias{name: name, network: withoutFull(network.String())}
	}
	for _, s := range sets {
		if err := c.addSet(at, s); err != nil {
			return c, err
		}
	}
	var err error
	c.rules, err = parseRules(at+".rules", rules, func(r rule) error {
		if m.Guest != nil && r.direction == "FORWARD" {
			return fmt.Errorf("a guest has no forwarded packets")
		}
		if m.Guest != nil && r.iface != "" && (!strings.HasPrefix(r.iface, "net") || !count.MatchString(r.iface[3:])) {
			return fmt.Errorf("-i %s: a guest's interfaces are net0, net1, …", r.iface)
		}
		return nil
	})
	return c, err
}

func (c config) set(option, value string) {
	if value != "" {
		c.options[option] = value
	}
}

func (c config) addGroup(g Group) error {
	at := "cluster.group." + g.Name
	name := strings.ToLower(g.Name)
	switch _, twice := c.groups[name]; {
	case !nameForm.MatchString(g.Name) || len(g.Name) > 18:
		return &modules.ArgumentError{Argument: "cluster.group", Problem: fmt.Sprintf("%q cannot be the name of a security group", g.Name), Want: "2 to 18 letters, digits, - and _, beginning with a letter"}
	case twice:
		return &modules.ArgumentError{Argument: at, Problem: "given twice; case does not matter", Want: "one block for each group"}
	}
	rules, err := parseRules(at+".rules", g.Rules, func(r rule) error {
		switch {
		case r.direction == "GROUP":
			return fmt.Errorf("a group cannot contain another one")
		case r.iface != "":
			return fmt.Errorf("-i %s belongs to the rule that refers to the group", r.iface)
		}
		return nil
	})
	if err != nil {
		return err
	}
	comment, err := oneLine(g.Comment)
	if err != nil {
		return &modules.ArgumentError{Argument: at + ".comment", Problem: err.Error(), Want: "write it in one line"}
	}
	c.groups[name] = group{comment, rules}
	return nil
}

func (c config) addSet(at string, s Ipset) error {
	at += ".ipset"
	name := strings.ToLower(s.Name)
	switch _, twice := c.sets[name]; {
	case !nameForm.MatchString(s.Name) || len(s.Name) > 64:
		return &modules.ArgumentError{Argument: at, Problem: fmt.Sprintf("%q cannot be the name of an IP set", s.Name), Want: "2 to 64 letters, digits, - and _, beginning with a letter"}
	case name == nodesSet:
		return &modules.ArgumentError{Argument: at, Problem: nodesSet + " is the set that hlplay keeps", Want: "give yours another name"}
	case twice:
		return &modules.ArgumentError{Argument: at + "." + s.Name, Problem: "given twice; case does not matter", Want: "one block for each set"}
	}
	comment, err := oneLine(s.Comment)
	if err != nil {
		return &modules.ArgumentError{Argument: at + "." + s.Name + ".comment", Problem: err.Error(), Want: "write it in one line"}
	}
	set := ipset{comment: comment}
	seen := map[string]bool{}
	for _, text := range s.Entries {
		member, except := strings.CutPrefix(text, "!")
		member = strings.TrimSpace(member)
		if p, err := parseNetwork(member); err == nil {
			if p.Bits() == 0 {
				return &modules.ArgumentError{Argument: at + "." + s.Name, Problem: fmt.Sprintf("%q is everybody, which an IP set cannot contain", text), Want: "two halves, such as 0.0.0.0/1 and 128.0.0.0/1"}
			}
			member = withoutFull(member)
		} else if !nameForm.MatchString(withoutScope(member)) {
			return &modules.ArgumentError{Argument: at + "." + s.Name, Problem: fmt.Sprintf("%q is not an address, a network or an alias", text), Want: "write it as in 192.168.1.0/24"}
		}
		if seen[member] {
			return &modules.ArgumentError{Argument: at + "." + s.Name, Problem: fmt.Sprintf("%q is given twice", member), Want: "each entry once"}
		}
		seen[member] = true
		if except {
			member = "!" + member
		}
		set.entries = append(set.entries, entry{member: member})
	}
	c.sets[name] = set
	return nil
}

// parseRules parses lines, and checks each rule with also.
func parseRules(at string, lines []string, also func(rule) error) ([]rule, error) {
	var rules []rule
	for i, line := range lines {
		line, err := oneLine(line)
		if err != nil {
			return nil, &modules.ArgumentError{Argument: at + "[" + strconv.Itoa(i) + "]", Problem: err.Error(), Want: "write each rule as an element of its own, in one line"}
		}
		r, err := parseRule(line)
		if err == nil {
			err = also(r)
		}
		if err != nil {
			return nil, &modules.ArgumentError{Argument: at + "[" + strconv.Itoa(i) + "]", Problem: err.Error(), Want: "write it as in IN SSH(ACCEPT) -source +management"}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// oneLine returns a text without the blanks around it, or an error if the text contains control characters: what follows a
// line break would be a line of its own in the file. A tab is a blank.
func oneLine(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return "", fmt.Errorf("%q contains a control character, such as a line break", text)
	}
	return text, nil
}

func wanted(form *pattern.Regexp) string {
	switch form {
	case onOff:
		return "\"1\" or \"0\""
	case level:
		return "one of " + strings.Join(logLevels, ", ")
	case count:
		return "a whole number"
	}
	return "a word without blanks and control characters"
}

// defines returns an error if rules or sets refer to something that neither the file nor the cluster's file defines.
func (c config) defines(at string, cluster config) error {
	missing := func(argument, kind, name string) error {
		return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("there is no %s %q", kind, name), Want: "define it, in the cluster block"}
	}
	address := func(argument, text string) error {
		name, set := strings.CutPrefix(text, "+")
		bare := strings.ToLower(withoutScope(name))
		switch {
		case set && !strings.HasPrefix(name, "sdn/") && bare != nodesSet:
			if _, own := c.sets[bare]; !own {
				if _, ok := cluster.sets[bare]; !ok {
					return missing(argument, "IP set", bare)
				}
			}
		case !set && nameForm.MatchString(withoutScope(name)) && bare != "local_network":
			if _, own := c.aliases[bare]; !own {
				if _, ok := cluster.aliases[bare]; !ok {
					return missing(argument, "alias", withoutScope(name))
				}
			}
		}
		return nil
	}
	check := func(argument string, rules []rule) error {
		for i, r := range rules {
			argument := argument + "[" + strconv.Itoa(i) + "]"
			if r.direction == "GROUP" {
				if _, ok := cluster.groups[strings.ToLower(r.action)]; !ok {
					return missing(argument, "security group", r.action)
				}
			}
			for _, text := range []string{r.source, r.dest} {
				if err := address(argument, text); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.sets)) {
		for _, e := range c.sets[name].entries {
			if err := address(at+".ipset."+name, strings.TrimPrefix(e.member, "!")); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.groups)) {
		if err := check(at+".group."+name+".rules", c.groups[name].rules); err != nil {
			return err
		}
	}
	return check(at+".rules", c.rules)
}
