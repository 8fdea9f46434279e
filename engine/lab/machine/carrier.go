package machine

import (
	"fmt"
	"net/netip"
	"slices"
)

// carries reports whether packets leave the machine by an interface: at the end of what is below it there is a network card.
func carries(all []iface, name string) bool {
	at := slices.IndexFunc(all, func(i iface) bool { return i.Name == name })
	if at < 0 {
		return false
	}
	switch i := all[at]; {
	case i.Info == nil:
		return i.LinkType == "ether"
	case i.Info.Kind == "vlan":
		return carries(all, i.Link)
	default:
		return slices.ContainsFunc(all, func(port iface) bool { return port.Master == name && carries(all, port.Name) })
	}
}

// showCarrier sets the state that the kernel shows of bridges, bonds and VLANs.
func (r *reloaded) showCarrier() {
	for n := range r.ifaces {
		switch i := &r.ifaces[n]; {
		case i.Info == nil:
		case carries(r.ifaces, i.Name):
			i.State, i.Flags = "UP", []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}
		default:
			i.State, i.Flags = "DOWN", []string{"NO-CARRIER", "BROADCAST", "MULTICAST", "UP"}
		}
	}
}

// has reports whether an interface has an address.
func (i iface) has(a netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(own ifaddr) bool { return own.Local == a.String() })
}

// answers reports whether the machine has an address, and is heard on it from outside.
func (m *Machine) answers(a netip.Addr) bool {
	all := m.configured()
	return slices.ContainsFunc(all, func(i iface) bool { return i.has(a) && carries(all, i.Name) })
}

// connected reports whether the machine is reached from outside of the lab: at its primary address, or by its default route if it has
// another address now.
func (m *Machine) connected() bool {
	all := m.configured()
	if at := slices.IndexFunc(all, func(i iface) bool { return i.has(m.addresses[0].Addr()) }); at >= 0 {
		return carries(all, all[at].Name)
	}
	return slices.ContainsFunc(m.routes(), func(r kernelRoute) bool { return r.Dst == "default" && carries(all, r.Dev) })
}

// sends reports whether packets to an address leave the machine.
func (m *Machine) sends(to netip.Addr) bool {
	all := m.configured()
	near := false
	for _, i := range all {
		for _, a := range i.Addrs {
			if p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", a.Local, a.Prefix)); err != nil || !p.Contains(to) {
				continue
			}
			if carries(all, i.Name) {
				return true
			}
			near = true
		}
	}
	return !near && len(m.addresses) > 0 && m.connected()
}
