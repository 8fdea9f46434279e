package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/pattern"
	"hlplay/engine/suggest"
	"hlplay/modules"
	"hlplay/modules/network/interfaces"
)

// longestName is IFNAMSIZ without the terminating zero byte.
const longestName = 15

// namePattern matches the interface names that the kernel, ifupdown2 and Proxmox VE all accept.
var namePattern = pattern.New(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// reserved are the prefixes of the names that Proxmox VE gives to the interfaces of guests.
var reserved = []string{"tap", "veth", "fwbr", "fwln", "fwpr"}

// leastRollback leaves time for a reload and a new connection; mostRollback limits how long a host may be cut off.
const (
	leastRollback = 30 * time.Second
	mostRollback  = time.Hour
)

func fault(argument, want, problem string, args ...any) error {
	return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf(problem, args...), Want: want}
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	seen := map[string]string{}
	for _, w := range m.wants() {
		if other, twice := seen[w.name]; twice {
			return fault(w.block, "declare each interface once", "%s is also declared as %s", w.name, other)
		}
		seen[w.name] = w.block
	}
	switch {
	case m.pinsAll() && m.MTU != 0:
		return fault("mtu", "add a block interface for each card, or leave mtu out", "without blocks, the task only pins names")
	case len(seen) == 0 && len(m.Absent) == 0 && !m.Pin:
		return fault("bridge", "add a block bond, bridge, vlan or interface, name some in absent, or write pin = true", "no interface is named")
	}
	if m.Rollback != 0 && (m.Rollback < leastRollback || m.Rollback > mostRollback) {
		return fault("rollback", fmt.Sprintf("choose %s to %s: long enough for the reload, a new connection and the proofs", leastRollback, mostRollback), "a change cannot be confirmed within %s", m.Rollback)
	}
	if m.ReachableAt != "" {
		if a, err := netip.ParseAddr(m.ReachableAt); err != nil {
			return fault("reachable_at", "write an IP address as in 192.168.1.20", "%q is not an IP address", m.ReachableAt)
		} else if !slices.ContainsFunc(m.wants(), func(w want) bool {
			return slices.ContainsFunc(w.addresses, func(p netip.Prefix) bool { return p.Addr() == a })
		}) && m.addressesParse() {
			return fault("reachable_at", "write one of the addresses in this task", "no block has the address %s", a)
		}
	}
	if err := m.validMTU("mtu", m.MTU); err != nil {
		return err
	}
	for _, validate := range []func() error{m.validVLANs, m.validNames, m.validBonds, m.validBridges, m.validAbsent} {
		if err := validate(); err != nil {
			return err
		}
	}
	for _, w := range m.wants() {
		if err := m.validAddressing(w.block, *w.given); err != nil {
			return err
		}
	}
	return m.validLowers()
}

func (m *Module) validMTU(argument string, mtu int) error {
	if mtu != 0 && (mtu < 576 || mtu > 65520) {
		return fault(argument, "write 1500, or 9000 for jumbo frames", "%d is not an MTU for Ethernet", mtu)
	}
	return nil
}

func (m *Module) validNames() error {
	for _, w := range m.wants() {
		if err := validName(w.block, w.name); err != nil {
			return err
		}
		if w.kind != interfaces.Plain && slices.ContainsFunc(reserved, func(p string) bool { return strings.HasPrefix(w.name, p) }) {
			return fault(w.block, "choose another, such as vmbr0 or bond0", "names such as %s are reserved for the interfaces of guests", w.name)
		}
		for _, lower := range w.lower {
			if err := validName(w.block+"."+w.lowerArgument(), lower); err != nil {
				return err
			}
		}
	}
	return nil
}

func validName(argument, name string) error {
	switch {
	case len(name) > longestName:
		return fault(argument, fmt.Sprintf("use at most %d characters", longestName), "the name %s has %d characters, more than the kernel allows", name, len(name))
	case !namePattern.MatchString(name):
		return fault(argument, "use letters, digits, dots, dashes and underscores", "%q is not a name for an interface", name)
	case slices.Contains([]string{"lo", "all", "default", "none", "bonding_masters"}, name):
		return fault(argument, "name another interface", "%s is a reserved word", name)
	}
	return nil
}

// hashes are the hash policies that Proxmox VE supports.
var hashes = []string{"layer2", "layer2+3", "layer3+4"}

func (m *Module) validBonds() error {
	for _, b := range m.Bonds {
		at := "bond." + b.Name + "."
		lacp := b.Mode == "802.3ad"
		hashed := lacp || b.Mode == "balance-xor"
		switch {
		case len(b.Members) == 0:
			return fault(at+"members", "name the network cards", "a bond without members carries nothing")
		case strings.HasPrefix(b.Hash, "encap") || b.Hash == "vlan+srcmac":
			return fault(at+"hash", `did you mean "layer3+4"? The choices are `+strings.Join(hashes, ", "), "the kernel supports the policy %s, but Proxmox VE does not", b.Hash)
		case b.Hash != "" && !slices.Contains(hashes, b.Hash):
			return fault(at+"hash", didYouMean(b.Hash, hashes)+"the choices are "+strings.Join(hashes, ", "), "there is no policy %q", b.Hash)
		case b.Hash != "" && !hashed:
			return fault(at+"hash", `remove it, or write mode = "802.3ad"`, "mode %s does not use a hash", b.Mode)
		case b.LACPRate != "" && !lacp:
			return fault(at+"lacp_rate", `remove it, or write mode = "802.3ad"`, "mode %s does not use LACP", b.Mode)
		case b.Primary != "" && !slices.Contains([]string{"active-backup", "balance-tlb", "balance-alb"}, b.Mode):
			return fault(at+"primary", `remove it, or write mode = "active-backup"`, "mode %s has no primary member", b.Mode)
		case b.Primary != "" && !slices.Contains(b.Members, b.Primary):
			return fault(at+"primary", "choose one of "+strings.Join(b.Members, ", "), "%s is not a member", b.Primary)
		}
		miimon := 100
		if b.MIIMon != nil {
			if miimon = *b.MIIMon; miimon < 1 {
				return fault(at+"miimon", "write 100", "with %d, a dead link is never detected", miimon)
			}
		}
		for _, d := range []struct {
			argument string
			delay    *int
		}{{"updelay", b.UpDelay}, {"downdelay", b.DownDelay}} {
			if delay := d.delay; delay != nil && (*delay < 0 || *delay%miimon != 0) {
				return fault(at+d.argument, fmt.Sprintf("write a multiple of miimon, which is %d", miimon), "the kernel rounds %d ms", *delay)
			}
		}
	}
	return nil
}

// didYouMean returns a question, or "" if no candidate is close.
func didYouMean(name string, candidates []string) string {
	if near := suggest.Nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %q? ", near)
	}
	return ""
}

// validVIDs reports whether a text is a list of VLAN IDs and ascending ranges, as ifupdown2 reads it.
func validVIDs(text string) bool {
	id := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 4094 || strconv.Itoa(n) != text {
			return 0
		}
		return n
	}
	for word := range strings.SplitSeq(text, " ") {
		first, last, isRange := strings.Cut(word, "-")
		if id(first) == 0 || isRange && id(last) <= id(first) {
			return false
		}
	}
	return true
}

func (m *Module) validBridges() error {
	for _, b := range m.Bridges {
		at := "bridge." + b.Name + "."
		switch {
		case b.VIDs != "" && !validVIDs(b.VIDs):
			return fault(at+"vids", `write "2-4094", or "10 20-30"`, "%q is not a list of VLANs", b.VIDs)
		case b.VIDs != "" && (b.VLANAware == nil || !*b.VLANAware):
			return fault(at+"vids", "add vlan_aware = true", "the bridge is not VLAN-aware")
		}
	}
	return nil
}

func (m *Module) validVLANs() error {
	for _, v := range m.VLANs {
		at := "vlan." + v.Name
		parent, id, named := interfaces.CutVLAN(v.Name)
		switch {
		case !named && (v.Parent == "" || v.ID == 0):
			return fault(at, "set parent and id, or use a name such as bond0.20", "the name %s does not contain the VLAN ID and the parent", v.Name)
		case named && v.Parent != "" && v.Parent != parent:
			return fault(at+".parent", "remove it, or choose a name without a dot", "ifupdown2 would take %s for a VLAN of %s", v.Name, parent)
		case named && v.ID != 0 && v.ID != id:
			return fault(at+".id", "remove it, or choose a name without a dot", "ifupdown2 would take %s for VLAN %d", v.Name, id)
		case v.ID != 0 && (v.ID < 1 || v.ID > 4094):
			return fault(at+".id", "write 1 to 4094", "there is no VLAN %d", v.ID)
		}
	}
	return nil
}

// addressesParse reports whether all addresses are valid, so that the error about another argument cannot be caused by one
// of them.
func (m *Module) addressesParse() bool {
	return !slices.ContainsFunc(m.wants(), func(w want) bool { return m.validAddressing(w.block, *w.given) != nil })
}

func (m *Module) validAddressing(block string, a Addressing) error {
	at := block + "."
	texts := map[string][]string{"address": {a.Address}, "addresses": a.Addresses}
	for _, argument := range []string{"address", "addresses"} {
		for _, text := range texts[argument] {
			if argument == "address" && text == "" {
				continue
			}
			if err := validAddress(at+argument, text); err != nil {
				return err
			}
		}
	}
	for argument, g := range map[string]struct {
		text string
		six  bool
	}{"gateway": {a.Gateway, false}, "gateway6": {a.Gateway6, true}} {
		if g.text == "" {
			continue
		}
		ip, err := netip.ParseAddr(g.text)
		if err != nil || ip.Zone() != "" {
			return fault(at+argument, "write the gateway's address alone, as in 192.168.1.1", "%q is not an IP address", g.text)
		}
		if ip.Is6() != g.six {
			return fault(at+argument, "gateway is for IPv4, gateway6 for IPv6", "%s is of the other IP version", ip)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(a.Routes)) {
		p, err := netip.ParsePrefix(to)
		via, err2 := netip.ParseAddr(a.Routes[to])
		switch {
		case err != nil || p != p.Masked():
			return fault(at+"routes", "write networks as in 10.0.0.0/8", "%q is not a network", to)
		case p.Bits() == 0:
			return fault(at+"routes", "write gateway or gateway6", "%s is the default route", to)
		case err2 != nil || via.Is6() != p.Addr().Is6():
			return fault(at+"routes", "write the address of a gateway of the same protocol", "%q cannot be a gateway for %s", a.Routes[to], to)
		}
	}
	if a.GatewayMTU != 0 && a.Gateway == "" && a.Gateway6 == "" {
		return fault(at+"gateway_mtu", "give the gateway too", "there is no gateway")
	}
	if err := m.validMTU(at+"gateway_mtu", a.GatewayMTU); err != nil {
		return err
	}
	return m.validMTU(at+"mtu", a.MTU)
}

func validAddress(argument, text string) error {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil && isAddress(text):
		return fault(argument, fmt.Sprintf("append the prefix length of the subnet: %s/24", text), "%s has no prefix length", text)
	case err != nil || p.Addr().Is4In6():
		return fault(argument, "write it as in 192.168.1.10/24", "%q is not an address with a prefix length", text)
	case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsUnspecified() || p.Bits() == 0:
		return fault(argument, "write an address of the host itself", "%s cannot be the address of an interface", text)
	case p.Addr().Is4() && p.Bits() < 31 && (p.Addr() == p.Masked().Addr() || p.Addr() == broadcast(p)):
		return fault(argument, "write an address within the subnet", "%s is the network or broadcast address", text)
	}
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// broadcast returns the last address of an IPv4 subnet.
func broadcast(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(bytes)
}

// validLowers rejects ports and members that are used twice, that have addresses, or that form a loop.
func (m *Module) validLowers() error {
	taken := map[string]string{}
	for _, w := range m.wants() {
		argument := w.block + "." + w.lowerArgument()
		for _, lower := range w.lower {
			if lower == w.name {
				return fault(argument, "name what lies below it", "%s cannot be on itself", lower)
			}
			if w.kind == interfaces.VLAN {
				continue
			}
			if other, twice := taken[lower]; twice {
				return fault(argument, "give it to one of them", "%s is also in %s", lower, other)
			}
			taken[lower] = w.name
			if d, ok := find(m.wants(), lower); ok && (len(d.addresses) > 0 || len(d.gateways) > 0) {
				return fault(d.block, "give them to "+w.name, "%s has addresses or a gateway, which cannot be reached because it is in %s", lower, w.name)
			}
			if d, ok := find(m.wants(), lower); ok && (d.kind == interfaces.Bridge || w.kind == interfaces.Bond && d.kind != interfaces.Plain) {
				return fault(argument, "name network cards or, for a bridge, a bond", "a %s cannot be in a %s", d.kind, w.kind)
			}
		}
	}
	for _, w := range m.wants() {
		if m.depth(w, 0) > len(m.wants()) {
			return fault(w.block, "put each interface on a different one", "%s is indirectly on top of itself", w.name)
		}
	}
	return nil
}

// depth returns how many of the task's interfaces are stacked below one. For a loop, the result exceeds their number.
func (m *Module) depth(w want, above int) int {
	deepest := above
	if above > len(m.wants()) {
		return above
	}
	for _, lower := range w.lower {
		if d, ok := find(m.wants(), lower); ok {
			deepest = max(deepest, m.depth(d, above+1))
		}
	}
	return deepest
}
