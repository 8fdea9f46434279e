package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/modules/network/interfaces"
)

// want is what the task asks of one interface.
type want struct {
	name  string
	kind  interfaces.Kind
	lower []string // ports, members, or the parent; none for a card
	id    int      // of a VLAN
	block string   // as in an ArgumentError: "bridge.vmbr0"
	given *Addressing
	mtu   int // 0 keeps it

	// options must be in the file. defaults apply to a new interface. odd lists options that do not fit the mode of a bond.
	options, defaults []interfaces.Option
	odd               []string

	addressed bool // addresses are given; otherwise the present ones stay
	addresses []netip.Prefix
	gateways  []netip.Addr
	routes    []interfaces.Route
	// port is set if the interface is a port or a member. It then has no block of its own, or loses its addresses if it has
	// one.
	port bool
}

// lowerArgument returns the argument that names the interfaces below.
func (w want) lowerArgument() string {
	switch w.kind {
	case interfaces.Bond:
		return "members"
	case interfaces.Bridge:
		return "ports"
	}
	return "parent"
}

func find(all []want, name string) (want, bool) {
	if i := slices.IndexFunc(all, func(w want) bool { return w.name == name }); i >= 0 {
		return all[i], true
	}
	return want{}, false
}

// wants returns the blocks of the task, lower interfaces first.
func (m *Module) wants() []want {
	var all []want
	for i := range m.Interfaces {
		b := &m.Interfaces[i]
		all = append(all, m.want(b.Name, interfaces.Plain, &b.Addressing))
	}
	for i := range m.Bonds {
		all = append(all, m.bond(&m.Bonds[i]))
	}
	for i := range m.Bridges {
		all = append(all, m.bridge(&m.Bridges[i]))
	}
	for i := range m.VLANs {
		all = append(all, m.vlan(&m.VLANs[i]))
	}
	return all
}

// want converts the common part of a block. It leaves out what cannot be parsed, which Validate has rejected.
func (m *Module) want(name string, kind interfaces.Kind, a *Addressing) want {
	w := want{name: name, kind: kind, given: a, block: fmt.Sprintf("%s.%s", kind, name), mtu: a.MTU}
	if w.mtu == 0 {
		w.mtu = m.MTU
	}
	w.addressed = a.Address != "" || a.Addresses != nil
	for _, text := range append([]string{a.Address}, a.Addresses...) {
		if p, err := netip.ParsePrefix(text); err == nil {
			w.addresses = append(w.addresses, p)
		}
	}
	for _, text := range []string{a.Gateway, a.Gateway6} {
		if g, err := netip.ParseAddr(text); err == nil {
			w.gateways = append(w.gateways, g)
		}
	}
	for to, text := range a.Routes {
		p, err := netip.ParsePrefix(to)
		via, err2 := netip.ParseAddr(text)
		if err == nil && err2 == nil {
			w.routes = append(w.routes, interfaces.Route{To: p, Via: via})
		}
	}
	slices.SortFunc(w.routes, func(a, b interfaces.Route) int { return strings.Compare(a.To.String(), b.To.String()) })
	return w
}

func (w *want) set(key, value string) {
	if value != "" {
		w.options = append(w.options, interfaces.Option{Key: key, Value: value})
	}
}

func (w *want) setNumber(key string, n *int) {
	if n != nil {
		w.set(key, strconv.Itoa(*n))
	}
}

func (m *Module) bond(b *Bond) want {
	w := m.want(b.Name, interfaces.Bond, &b.Addressing)
	w.lower = b.Members
	w.set("bond-slaves", strings.Join(b.Members, " "))
	w.set("bond-mode", b.Mode)
	w.setNumber("bond-miimon", b.MIIMon)
	w.set("bond-xmit-hash-policy", b.Hash)
	w.set("bond-lacp-rate", b.LACPRate)
	w.set("bond-primary", b.Primary)
	w.setNumber("bond-updelay", b.UpDelay)
	w.setNumber("bond-downdelay", b.DownDelay)
	w.defaults = []interfaces.Option{{Key: "bond-miimon", Value: "100"}}
	if b.Mode != "802.3ad" {
		w.odd = append(w.odd, "bond-lacp-rate")
	}
	if b.Mode != "802.3ad" && b.Mode != "balance-xor" {
		w.odd = append(w.odd, "bond-xmit-hash-policy")
	}
	if b.Mode == "802.3ad" || b.Mode == "balance-xor" || b.Mode == "balance-rr" || b.Mode == "broadcast" {
		w.odd = append(w.odd, "bond-primary")
	}
	return w
}

func (m *Module) bridge(b *Bridge) want {
	w := m.want(b.Name, interfaces.Bridge, &b.Addressing)
	w.lower = b.Ports
	ports := strings.Join(b.Ports, " ")
	if ports == "" {
		ports = "none"
	}
	w.set("bridge-ports", ports)
	switch {
	case b.VLANAware == nil:
	case *b.VLANAware:
		w.set("bridge-vlan-aware", "yes")
		w.set("bridge-vids", b.VIDs)
		w.defaults = []interfaces.Option{{Key: "bridge-vids", Value: "2-4094"}}
	default:
		w.odd = []string{"bridge-vlan-aware", "bridge-vids"}
	}
	w.defaults = append([]interfaces.Option{{Key: "bridge-stp", Value: "off"}, {Key: "bridge-fd", Value: "0"}}, w.defaults...)
	return w
}

func (m *Module) vlan(v *VLAN) want {
	w := m.want(v.Name, interfaces.VLAN, &v.Addressing)
	parent, id, named := interfaces.CutVLAN(v.Name)
	if !named {
		parent, id = v.Parent, v.ID
		w.set("vlan-raw-device", parent)
		w.set("vlan-id", strconv.Itoa(id))
	}
	w.lower, w.id = []string{parent}, id
	return w
}

// all returns the blocks, preceded by the ports and members that have none.
func (m *Module) all() []want {
	blocks := m.wants()
	var below []want
	for i := range blocks {
		w := &blocks[i]
		if w.kind == interfaces.VLAN {
			continue
		}
		for _, lower := range w.lower {
			at := slices.IndexFunc(blocks, func(b want) bool { return b.name == lower })
			if at >= 0 {
				blocks[at].port = true
				continue
			}
			p := m.want(lower, interfaces.Plain, &Addressing{})
			p.block, p.port = w.block+"."+w.lowerArgument(), true
			if w.mtu != 0 {
				p.mtu = w.mtu
			}
			below = append(below, p)
		}
	}
	return append(below, blocks...)
}
