package machine

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// Network is the set of machines that can reach each other.
type Network struct {
	mu       sync.RWMutex
	machines []*Machine
	byAddr   map[netip.Addr]*Machine
}

// NewNetwork returns a network without machines.
func NewNetwork() *Network { return &Network{byAddr: map[netip.Addr]*Machine{}} }

func (n *Network) add(m *Machine) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machines = append(n.machines, m)
	for _, p := range m.addresses {
		n.byAddr[p.Addr()] = m
	}
}

// all returns the machines.
func (n *Network) all() []*Machine {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.machines)
}

// holder returns the machine that currently has an address.
func (n *Network) holder(a netip.Addr) (*Machine, bool) {
	for _, m := range n.all() {
		if slices.ContainsFunc(m.configured(), func(i iface) bool { return i.has(a) }) {
			return m, true
		}
	}
	return nil, false
}

// Resolve looks up a name in the machine's /etc/hosts and returns its addresses in the file's order. An address
// resolves to itself. A lab has no DNS.
func (m *Machine) Resolve(name string) []netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}
	}
	var found []netip.Addr
	for _, line := range m.hosts() {
		for _, n := range line.names {
			if strings.EqualFold(n, name) {
				found = append(found, line.addr)
				break
			}
		}
	}
	return found
}

// Reach returns the machine that has a name or address, as resolved on this one, if it is on and neither of them is cut
// off.
func (m *Machine) Reach(name string) (*Machine, bool) {
	for _, a := range m.Resolve(name) {
		if to, ok := m.reachAt(a); ok {
			return to, true
		}
	}
	return nil, false
}

// reachAt returns the machine that has an address, if it is on and neither of them is cut off.
func (m *Machine) reachAt(a netip.Addr) (*Machine, bool) {
	if a.IsLoopback() {
		return m, true
	}
	if to, ok := m.network.holder(a); ok && (to == m || m.sends(a) && to.On() && to.answers(a)) {
		return to, true
	}
	if to, ok := m.beyond(a); ok {
		return to, true
	}
	return m.beyondNebula(a)
}

type hostsLine struct {
	addr  netip.Addr
	names []string
}

func (m *Machine) hosts() []hostsLine {
	content, err := afero.ReadFile(m.FS(), "/etc/hosts")
	if err != nil {
		return nil
	}
	var lines []hostsLine
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if a, err := netip.ParseAddr(fields[0]); err == nil {
			lines = append(lines, hostsLine{a, fields[1:]})
		}
	}
	return lines
}
