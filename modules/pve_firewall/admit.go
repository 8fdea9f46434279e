package pve_firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// filter is what decides about packets to a node: the file of the cluster and its own file.
type filter struct{ cluster, node config }

// on reports whether the node filters packets. It does unless its own file turns that off.
func (f filter) on() bool { return f.cluster.enabled() && f.node.options["enable"] != "0" }

// packet is the first packet of a connection to a node.
type packet struct {
	from     netip.Addr
	protocol string // "tcp" or "udp"
	port     int
}

func (p packet) String() string { return fmt.Sprintf("%s/%d from %s", p.protocol, p.port, p.from) }

// answer says whether a rule matches a packet. perhaps means that more than the packet decides.
type answer int

const (
	no answer = iota
	perhaps
	yes
)

// drops returns what keeps a packet out; "" if it is certain to be admitted. It follows the order of enable_host_firewall
// (PVE::Firewall, pve-firewall 6.0.4): the blacklist, the node's rules, the cluster's rules, the ports that the set
// "management" is always admitted to, and the policy. A rule that depends on an interface, a destination or a source port
// admits nobody for certain. Proxmox VE adds the network of the node's own address to "management", which does not count
// here, because that network changes with the address.
func (f filter) drops(p packet) string {
	if !f.on() {
		return ""
	}
	if f.inSet("blacklist", p.from) != no {
		return "IP set blacklist"
	}
	for _, at := range []struct {
		file  string
		rules []rule
	}{{"host.fw", f.node.rules}, {"cluster.fw", f.cluster.rules}} {
		if verdict, by, decided := f.decide(at.rules, p, no, true); decided {
			if verdict == "ACCEPT" {
				return ""
			}
			return fmt.Sprintf("the rule %q of %s", by, at.file)
		}
	}
	if f.inSet("management", p.from) == yes && p.protocol == "tcp" && managed(p.port) {
		return ""
	}
	if policy := f.cluster.options["policy_in"]; policy == "ACCEPT" {
		return ""
	} else if policy != "" {
		return "policy_in " + policy
	}
	return "policy_in DROP, which is the default"
}

// managed reports whether the set "management" is always admitted to a port: the web interface, consoles, SSH, migrations.
func managed(port int) bool {
	return port == 8006 || port == 22 || port == 3128 || port >= 5900 && port <= 5999 || port >= 60000 && port <= 60050
}

// decide returns the verdict of the first rule that matches a packet, and the rule. In a group, reached says whether the
// rule that refers to it matches for certain.
func (f filter) decide(rules []rule, p packet, reached answer, top bool) (verdict string, by rule, decided bool) {
	for _, r := range rules {
		switch {
		case r.disabled:
			continue
		case r.direction == "GROUP":
			reached := yes
			if r.iface != "" {
				reached = perhaps
			}
			if verdict, by, decided := f.decide(f.cluster.groups[strings.ToLower(r.action)].rules, p, reached, false); decided {
				return verdict, by, true
			}
			continue
		case r.direction != "IN":
			continue
		}
		m := f.matches(r, p)
		if !top {
			m = min(m, reached)
		}
		if m == yes || m == perhaps && r.action != "ACCEPT" {
			return r.action, r, true
		}
	}
	return "", rule{}, false
}

func (f filter) matches(r rule, p packet) answer {
	m := yes
	if r.iface != "" || r.dest != "" || r.sport != "" {
		m = perhaps
	}
	m = min(m, f.comesFrom(r.source, p.from))
	if r.macro != "" {
		return min(m, macroMatches(r.macro, p))
	}
	switch {
	case r.proto == "":
		return m
	case r.proto != p.protocol && r.proto != map[string]string{"tcp": "6", "udp": "17"}[p.protocol]:
		return no
	case r.dport == "":
		return m
	}
	found := no
	for _, part := range strings.Split(r.dport, ",") {
		first, last, two := strings.Cut(part, ":")
		if !two {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		switch {
		case err1 != nil || err2 != nil:
			found = max(found, perhaps) // the name of a service
		case a <= p.port && p.port <= b:
			found = yes
		}
	}
	return min(m, found)
}

// macroMatches knows the macros that concern the ports in question: SSH, the web interface and Ceph. The others have none
// of these ports.
func macroMatches(name string, p packet) answer {
	is := func(ok bool) answer {
		if ok && p.protocol == "tcp" {
			return yes
		}
		return no
	}
	switch {
	case name == "SSH":
		return is(p.port == 22)
	case name == "PMG":
		return is(p.port == 8006)
	case name == "Ceph":
		return is(p.port == 6789 || p.port == 3300 || p.port >= 6800 && p.port <= 7300)
	case slices.ContainsFunc(needed, func(n packet) bool { return n.protocol == p.protocol && n.port == p.port }):
		return no
	}
	return perhaps
}

// comesFrom reports whether an address is among those of a -source option.
func (f filter) comesFrom(source string, from netip.Addr) answer {
	is := func(ok bool) answer {
		if ok {
			return yes
		}
		return no
	}
	if source == "" {
		return yes
	}
	if name, set := strings.CutPrefix(source, "+"); set {
		name = withoutScope(name)
		if strings.HasPrefix(name, "sdn/") {
			return perhaps
		}
		return f.inSet(name, from)
	}
	if in, known := f.inAlias(source, from); known {
		return in
	}
	if first, last, ok := strings.Cut(source, "-"); ok {
		a, err1 := netip.ParseAddr(first)
		b, err2 := netip.ParseAddr(last)
		return is(err1 == nil && err2 == nil && a.Compare(from) <= 0 && from.Compare(b) <= 0 && a.Is4() == from.Is4())
	}
	return is(slices.ContainsFunc(strings.Split(source, ","), func(part string) bool { return within(part, from) }))
}

// inAlias reports whether an address is in an alias of the cluster, and whether there is such an alias. local_network is
// one without a definition: Proxmox VE defines it on each node as the network of the node's own address.
func (f filter) inAlias(name string, from netip.Addr) (in answer, known bool) {
	name = strings.ToLower(withoutScope(name))
	a, known := f.cluster.aliases[name]
	switch {
	case known && within(a.network, from):
		return yes, true
	case known:
		return no, true
	case name == "local_network":
		return perhaps, true
	}
	return no, false
}

// inSet reports whether an address is in an IP set of the cluster, and not excluded from it.
func (f filter) inSet(name string, from netip.Addr) answer {
	in, excluded := no, no
	for _, e := range f.cluster.sets[strings.ToLower(name)].entries {
		member, except := strings.CutPrefix(e.member, "!")
		is, known := f.inAlias(member, from)
		if !known && within(member, from) {
			is = yes
		}
		if except {
			excluded = max(excluded, is)
		} else {
			in = max(in, is)
		}
	}
	switch excluded {
	case yes:
		return no
	case perhaps:
		return min(in, perhaps)
	}
	return in
}

func within(network string, a netip.Addr) bool {
	p, err := parseNetwork(network)
	return err == nil && p.Contains(a)
}
