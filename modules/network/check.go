package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules/network/interfaces"
)

// state holds everything that is checked before a change.
type state struct {
	host          string
	wants         []want   // with ports and members
	absent        []string // interfaces that must not exist
	before, after interfaces.Config
	net           observe.Network
	links         links
}

// sound returns the first fault that the files and the kernel's state alone show.
func (s state) sound() error {
	for _, check := range []func() error{s.below, s.mtus, s.cards, s.gateways, s.routes, s.addressesOnce} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// below verifies that ports, members and parents exist and belong to nothing else.
func (s state) below() error {
	for _, w := range s.wants {
		if w.kind == interfaces.Plain && !w.port && !s.exists(w.name) {
			return s.missing(w.block, w.name)
		}
		for _, lower := range w.lower {
			if !s.exists(lower) {
				return s.missing(w.block, lower)
			}
			if w.kind == interfaces.VLAN {
				if bond, ok := s.bondOf(lower); ok {
					return fmt.Errorf("%s: %s would be a member of %s, which would get the packets of the VLAN: put the VLAN on %s, as in vlan \"%s.%d\"", w.block, lower, bond, bond, bond, w.id)
				}
				continue
			}
			if kind := s.kind(lower); kind == interfaces.Bridge || kind != interfaces.Plain && w.kind == interfaces.Bond {
				return fmt.Errorf("%s: %s is a %s, which cannot be in a %s: name network cards or, for a bridge, a bond", w.block, lower, kind, w.kind)
			}
			for _, other := range s.after.Uppers(lower) {
				if other.Name != w.name && other.Kind != interfaces.VLAN {
					return fmt.Errorf("%s: %s is also in %s (%s:%d): remove it there, or declare %s in this task too", w.block, lower, other.Name, other.Path, other.Line, other.Name)
				}
			}
			master := s.links.ByName[lower].Master
			if _, known := s.before.Find(master); master != "" && master != w.name && !known {
				return fmt.Errorf("%s: %s is in %s, which no file in /etc/network mentions: remove it there first (ip link set %s nomaster)", w.block, lower, master, lower)
			}
		}
	}
	return nil
}

// bondOf returns the bond that an interface is a member of after the change.
func (s state) bondOf(name string) (bond string, ok bool) {
	for _, upper := range s.after.Uppers(name) {
		if upper.Kind == interfaces.Bond {
			return upper.Name, true
		}
	}
	return "", false
}

// kind returns the kind of an interface: what a file declares, or else what exists.
func (s state) kind(name string) interfaces.Kind {
	if i, ok := s.after.Find(name); ok && i.Kind != interfaces.Plain {
		return i.Kind
	}
	if _, declared := s.before.Find(name); declared {
		return interfaces.Plain
	}
	switch kind := interfaces.Kind(s.links.ByName[name].Kind); kind {
	case interfaces.Bond, interfaces.Bridge, interfaces.VLAN:
		return kind
	}
	return interfaces.Plain
}

// exists reports whether an interface exists or will exist.
func (s state) exists(name string) bool {
	if slices.Contains(s.absent, name) {
		return false
	}
	if i, ok := s.after.Find(name); ok && i.Kind != interfaces.Plain {
		return true
	}
	_, ok := s.links.ByName[name]
	return ok
}

func (s state) missing(block, name string) error {
	cards := s.links.cards()
	return fmt.Errorf("%s: %s has no interface %s; %sits network cards are %s", block, s.host, name, didYouMean(name, cards), strings.Join(cards, ", "))
}

// mtu returns the MTU that an interface will have. ifupdown2 resets the MTU of interfaces that the file gives none.
func (s state) mtu(name string) int {
	i, ok := s.after.Find(name)
	if !ok || !i.Auto {
		card, _ := interfaceOf(s.net, name)
		return card.MTU
	}
	if i.MTU != 0 {
		return i.MTU
	}
	if i.Kind == interfaces.VLAN && len(i.Lower) == 1 {
		return s.mtu(i.Lower[0])
	}
	for _, upper := range s.after.Uppers(name) {
		if upper.Kind == interfaces.Bond { // a bond passes its own MTU on to its members
			return s.mtu(upper.Name)
		}
	}
	return ethernetMTU
}

// ethernetMTU is the MTU of an interface that nothing configures.
const ethernetMTU = 1500

// mtus verifies that the MTUs along each path agree.
func (s state) mtus() error {
	for _, upper := range s.after {
		for _, lower := range upper.Lower {
			if !s.concerns(upper.Name) && !s.concerns(lower) || !s.exists(lower) {
				continue
			}
			above, below := s.mtu(upper.Name), s.mtu(lower)
			block := s.blockOf(upper.Name, lower)
			switch {
			case upper.Kind == interfaces.VLAN && above > below:
				return fmt.Errorf("%s: %s would have an MTU of %d, larger than that of %s below it, which is %d: give %s an mtu of at least %d, or %s one of at most %d", block, upper.Name, above, lower, below, lower, above, upper.Name, below)
			case upper.Kind != interfaces.VLAN && above != below:
				return fmt.Errorf("%s: %s would have an MTU of %d and %s on it one of %d, and larger packets are silently dropped: give both the same mtu (that of %s is %s)", block, upper.Name, above, lower, below, lower, s.saysMTU(lower))
			}
		}
	}
	return nil
}

// saysMTU says where the MTU of an interface comes from.
func (s state) saysMTU(name string) string {
	i, ok := s.after.Find(name)
	switch {
	case ok && i.MTU != 0:
		return fmt.Sprintf("set in %s:%d", i.Path, i.Line)
	case ok:
		return "not set in " + i.Path + ", so 1500"
	}
	return "set by the program that created it"
}

// concerns reports whether the task changes an interface.
func (s state) concerns(name string) bool {
	_, ok := find(s.wants, name)
	return ok || slices.Contains(s.absent, name)
}

// cards verifies that the network cards support what is asked of them.
func (s state) cards() error {
	for _, w := range s.wants {
		most := s.links.ByName[w.name].MostMTU
		if mtu := s.mtu(w.name); most > 0 && mtu > most {
			return fmt.Errorf("%s: %s supports an MTU of at most %d, not %d: choose a smaller mtu for everything on its path", w.block, w.name, most, mtu)
		}
		if mtu := s.mtu(w.name); mtu < 1280 && slices.ContainsFunc(s.addresses(w.name), func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			return fmt.Errorf("%s: IPv6 needs an MTU of at least 1280, and %s would have %d", w.block, w.name, mtu)
		}
	}
	return nil
}

// gateways verifies that each gateway lies in a subnet of its interface, and that there is at most one per protocol.
func (s state) gateways() error {
	for _, i := range s.after {
		for _, g := range i.Gateways {
			block := s.blockOf(i.Name)
			on := slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Contains(g) })
			switch {
			case !s.concerns(i.Name):
			case i.Methods[familyOf(g)] == "dhcp":
			case !on && !g.IsLinkLocalUnicast():
				return fmt.Errorf("%s: the gateway %s is in no subnet of %s, which has %s: it would be unreachable", block, g, i.Name, words(i.Addresses))
			case slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == g }):
				return fmt.Errorf("%s: the gateway %s is the address of %s itself", block, g, i.Name)
			}
			for _, other := range s.after {
				for _, o := range other.Gateways {
					if (s.concerns(i.Name) || s.concerns(other.Name)) && o.Is4() == g.Is4() && (o != g || other.Name != i.Name) {
						return fmt.Errorf("%s: %s would have two default gateways for one protocol, %s on %s (%s:%d) and %s on %s (%s:%d): keep one, and use routes for individual networks",
							s.blockOf(i.Name, other.Name), s.host, g, i.Name, i.Path, i.Line, o, other.Name, other.Path, other.Line)
					}
				}
			}
			if other, via, ok := s.foreignDefault(i.Name, g); ok && s.concerns(i.Name) {
				return fmt.Errorf("%s: %s has a default route via %s on %s, which is not from the file (DHCP, or a router): with %s on %s there would be two", block, s.host, via, other, g, i.Name)
			}
		}
	}
	return nil
}

// routes verifies that the gateway of each of the task's routes lies in a subnet of its interface: the kernel refuses a
// route to a gateway that it cannot reach.
func (s state) routes() error {
	for _, w := range s.wants {
		i, _ := s.after.Find(w.name)
		for _, r := range w.routes {
			on := func(p netip.Prefix) bool { return p.Contains(r.Via) }
			switch {
			case i.Methods[familyOf(r.Via)] == "dhcp" || r.Via.IsLinkLocalUnicast():
			case !slices.ContainsFunc(i.Addresses, on):
				return fmt.Errorf("%s.routes: %s, the gateway for %s, is in no subnet of %s, which has %s: it would be unreachable", w.block, r.Via, r.To, w.name, words(i.Addresses))
			case slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == r.Via }):
				return fmt.Errorf("%s.routes: %s, the gateway for %s, is the address of %s itself", w.block, r.Via, r.To, w.name)
			}
		}
	}
	return nil
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "inet"
	}
	return "inet6"
}

// foreignDefault returns a default route on another interface that stays and that no file mentions.
func (s state) foreignDefault(name string, gateway netip.Addr) (dev string, via netip.Addr, ok bool) {
	for _, r := range s.links.Routes {
		if r.To == defaultOf(gateway) && r.Dev != name && !s.concerns(r.Dev) && r.Via.IsValid() && !r.Via.IsLinkLocalUnicast() {
			if i, known := s.after.Find(r.Dev); !known || !slices.Contains(i.Gateways, r.Via) {
				return r.Dev, r.Via, true
			}
		}
	}
	return "", netip.Addr{}, false
}

// addresses returns the addresses that an interface will have, without link-local ones.
func (s state) addresses(name string) []netip.Prefix {
	i, known := s.after.Find(name)
	card, _ := interfaceOf(s.net, name)
	now := global(card.Addresses)
	if slices.Contains(s.absent, name) {
		return nil
	}
	if !known {
		return now
	}
	var all []netip.Prefix
	for _, p := range i.Addresses {
		if i.Auto || slices.Contains(now, p) {
			all = append(all, p)
		}
	}
	if w, _ := find(s.wants, name); w.port {
		return all
	}
	for _, p := range now {
		if m := i.Methods[familyOf(p.Addr())]; m != "" && m != "static" && m != "manual" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// names returns the names of the interfaces that exist or will exist.
func (s state) names() []string {
	var all []string
	for _, i := range s.net.Interfaces {
		all = append(all, i.Name)
	}
	for _, i := range s.after {
		if !slices.Contains(all, i.Name) {
			all = append(all, i.Name)
		}
	}
	return all
}

// addressesOnce verifies that no interface gets an address that another one has.
func (s state) addressesOnce() error {
	for _, w := range s.wants {
		for _, p := range s.addresses(w.name) {
			for _, other := range s.names() {
				if other != w.name && slices.ContainsFunc(s.addresses(other), func(o netip.Prefix) bool { return o.Addr() == p.Addr() }) {
					return fmt.Errorf("%s: %s would be on %s and on %s: give each interface its own", s.blockOf(w.name, other), p.Addr(), w.name, other)
				}
			}
			if n := slices.IndexFunc(s.addresses(w.name), func(o netip.Prefix) bool { return o.Addr() == p.Addr() && o != p }); n >= 0 {
				return fmt.Errorf("%s: %s is given twice, with different subnets", w.block, p.Addr())
			}
		}
	}
	return nil
}
