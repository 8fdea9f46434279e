package network

import (
	"net/netip"
	"slices"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/modules/network/interfaces"
)

// predictedNetwork returns what ip(8) will show. New interfaces come after the existing ones.
func (s state) predictedNetwork() observe.Network {
	n := s.networkWithout()
	for _, w := range s.wants {
		at := slices.IndexFunc(n.Interfaces, func(i observe.Interface) bool { return i.Name == w.name })
		if at < 0 {
			at = len(n.Interfaces)
			n.Interfaces = append(n.Interfaces, observe.Interface{Name: w.name})
		}
		i := &n.Interfaces[at]
		if i.State != "up" { // an interface that is not up yet may come up later
			i.State = ""
		}
		i.MTU = s.mtu(w.name)
		i.Addresses = append(sorted(s.addresses(w.name)), slices.DeleteFunc(slices.Clone(i.Addresses), func(p netip.Prefix) bool { return w.port || !p.Addr().IsLinkLocalUnicast() })...)
	}
	for _, family := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		for _, w := range s.wants {
			file, _ := s.after.Find(w.name)
			if g := slices.IndexFunc(file.Gateways, family); g >= 0 {
				n.Gateway, n.GatewayInterface = file.Gateways[g], w.name
				return n
			}
		}
		if n.Gateway.IsValid() && family(n.Gateway) && !s.concerns(n.GatewayInterface) {
			return n
		}
	}
	if s.concerns(n.GatewayInterface) {
		n.Gateway, n.GatewayInterface = netip.Addr{}, ""
	}
	return n
}

// predictedLinks returns what the kernel will know about the interfaces.
func (s state) predictedLinks() links {
	all := s.linksWithout()
	change := func(name string, set func(*link)) {
		l := all.ByName[name]
		set(&l)
		all.ByName[name] = l
	}
	for _, w := range s.wants {
		change(w.name, func(l *link) { w.predict(l) })
		if w.port || w.kind == interfaces.VLAN {
			continue
		}
		change(w.name, func(l *link) { l.Master = "" })
	}
	for _, w := range s.wants {
		if w.kind == interfaces.VLAN {
			continue
		}
		for _, lower := range w.lower {
			change(lower, func(l *link) { l.Master = w.name })
		}
	}
	all.Routes = slices.DeleteFunc(slices.Clone(all.Routes), func(r route) bool { return s.concerns(r.Dev) })
	for _, w := range s.wants {
		file, _ := s.after.Find(w.name)
		for _, g := range file.Gateways {
			all.Routes = append(all.Routes, route{defaultOf(g), g, w.name})
		}
		for _, r := range file.Routes {
			all.Routes = append(all.Routes, route{r.To, r.Via, w.name})
		}
	}
	return all
}

// predict sets the predicted state of one interface.
func (w want) predict(l *link) {
	number := func(text string) int {
		n, _ := strconv.Atoi(text)
		return n
	}
	switch w.kind {
	case interfaces.Plain:
		return
	case interfaces.VLAN:
		l.Parent, l.VLAN = w.lower[0], w.id
	}
	l.Kind = string(w.kind)
	for _, o := range append(slices.Clone(w.defaults), w.options...) {
		switch o.Key {
		case "bond-mode":
			l.Mode = o.Value
		case "bond-xmit-hash-policy":
			l.Hash = o.Value
		case "bond-lacp-rate":
			l.Rate = o.Value
		case "bond-primary":
			l.Primary = o.Value
		case "bond-miimon":
			l.MIIMon = number(o.Value)
		case "bond-updelay":
			l.UpDelay = number(o.Value)
		case "bond-downdelay":
			l.DownDelay = number(o.Value)
		case "bridge-vlan-aware":
			l.VLANAware = truth(o.Value)
		}
	}
	if slices.Contains(w.odd, "bridge-vlan-aware") {
		l.VLANAware = false
	}
}
