package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules/network/interfaces"
)

// difference is a setting, such as "MTU of vmbr0", whose running value differs from that in the file.
type difference struct{ what, is, want string }

// running compares an interface as the kernel has it with what the edited file says.
type running struct {
	want
	file  interfaces.Interface
	net   observe.Network
	links links
}

// drift returns what a reload has to change. None means that the file is in effect.
func (r running) drift() []difference {
	card, there := interfaceOf(r.net, r.name)
	is := r.links.ByName[r.name]
	if !there {
		return []difference{{r.name, "not there", "there"}}
	}
	var all []difference
	compare := func(what, is, want string) {
		if is != want {
			all = append(all, difference{what + " of " + r.name, is, want})
		}
	}
	if r.kind != interfaces.Plain {
		compare("kind", or(is.Kind, "network card"), string(r.kind))
	}
	if r.mtu != 0 {
		compare("MTU", strconv.Itoa(card.MTU), strconv.Itoa(r.mtu))
	}
	for _, p := range r.file.Addresses {
		if !slices.Contains(card.Addresses, p) && r.file.Auto {
			all = append(all, difference{"addresses of " + r.name, words(global(card.Addresses)), words(r.file.Addresses)})
			break
		}
	}
	if r.port && len(global(card.Addresses)) > 0 {
		all = append(all, difference{"addresses of " + r.name, words(global(card.Addresses)), "none"})
	}
	for _, g := range r.gateways {
		to := defaultOf(g)
		if !r.routes(to, g) {
			all = append(all, difference{"default route", r.way(to), fmt.Sprintf("via %s, %s", g, r.name)})
		}
	}
	for _, via := range r.want.routes {
		if !r.routes(via.To, via.Via) {
			all = append(all, difference{"route to " + via.To.String(), r.way(via.To), fmt.Sprintf("via %s, %s", via.Via, r.name)})
		}
	}
	all = append(all, r.below(is)...)
	return append(all, r.options(is)...)
}

// below compares the ports, the members or the parent.
func (r running) below(is link) []difference {
	var all []difference
	switch r.kind {
	case interfaces.VLAN:
		if is.Kind == "vlan" && (is.Parent != r.lower[0] || is.VLAN != r.id) {
			all = append(all, difference{"VLAN of " + r.name, fmt.Sprintf("%d on %s", is.VLAN, is.Parent), fmt.Sprintf("%d on %s", r.id, r.lower[0])})
		}
	case interfaces.Bond, interfaces.Bridge:
		for _, lower := range r.lower {
			if master := r.links.ByName[lower].Master; master != r.name {
				all = append(all, difference{"master of " + lower, or(master, "none"), r.name})
			}
		}
	}
	return all
}

// options compares the options of a bond or a bridge.
func (r running) options(is link) []difference {
	if is.Kind != string(r.kind) {
		return nil
	}
	var all []difference
	for _, o := range r.want.options {
		var now string
		switch o.Key {
		case "bond-mode":
			now = is.Mode
		case "bond-xmit-hash-policy":
			now = is.Hash
		case "bond-lacp-rate":
			now = is.Rate
		case "bond-primary":
			now = is.Primary
		case "bond-miimon":
			now = strconv.Itoa(is.MIIMon)
		case "bond-updelay":
			now = strconv.Itoa(is.UpDelay)
		case "bond-downdelay":
			now = strconv.Itoa(is.DownDelay)
		case "bridge-vlan-aware":
			now = map[bool]string{false: "no", true: "yes"}[is.VLANAware]
		default:
			continue
		}
		if now != o.Value {
			all = append(all, difference{o.Key + " of " + r.name, now, o.Value})
		}
	}
	if slices.Contains(r.odd, "bridge-vlan-aware") && is.VLANAware {
		all = append(all, difference{"bridge-vlan-aware of " + r.name, "yes", "no"})
	}
	return all
}

// routes reports whether the kernel has a route on the interface.
func (r running) routes(to netip.Prefix, via netip.Addr) bool {
	return slices.Contains(r.links.Routes, route{to, via, r.name})
}

// way describes how the kernel routes packets to a network.
func (r running) way(to netip.Prefix) string {
	for _, other := range r.links.Routes {
		if other.To == to {
			return fmt.Sprintf("via %s, %s", other.Via, other.Dev)
		}
	}
	return "none"
}

// defaultOf returns the destination of the default route of a gateway's protocol.
func defaultOf(gateway netip.Addr) netip.Prefix {
	if gateway.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func interfaceOf(n observe.Network, name string) (observe.Interface, bool) {
	if i := slices.IndexFunc(n.Interfaces, func(i observe.Interface) bool { return i.Name == name }); i >= 0 {
		return n.Interfaces[i], true
	}
	return observe.Interface{}, false
}

// global returns the addresses that are not link-local.
func global(all []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
}

// words formats addresses for people.
func words(all []netip.Prefix) string {
	if len(all) == 0 {
		return "none"
	}
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
