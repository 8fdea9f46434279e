package machine

import (
	"fmt"
	"net/netip"
	"slices"
)

// carries reports whether packets on an interface can leave the machine: whether it is a network card, or based on one.
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

// answers reports whether the machine has an address on an interface that can be reached from outside.
func (m *Machine) answers(a netip.Addr) bool {
	all := m.configured()
	return slices.ContainsFunc(all, func(i iface) bool { return i.has(a) && carries(all, i.Name) })
}

// Heard returns the addresses at which the machine is heard from outside, through tunnels as well; nil means all of them.
func (m *Machine) Heard() []netip.Addr {
	r, changed := m.Value(reloadedKey{}).(reloaded)
	if !changed {
		return nil
	}
	all := []netip.Addr{}
	ifaces := slices.DeleteFunc(slices.Clone(r.ifaces), func(i iface) bool { return len(i.Addrs) == 0 || !carries(r.ifaces, i.Name) })
	if len(ifaces) > 0 {
		for n, t := range m.tunnels() {
			ifaces = append(ifaces, t.iface(n))
		}
	}
	for _, i := range ifaces {
		for _, own := range i.Addrs {
			if a, err := netip.ParseAddr(own.Local); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// connected reports whether the machine can be reached from outside the lab: at its primary address or, if it has
// another address now, through its default route.
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
