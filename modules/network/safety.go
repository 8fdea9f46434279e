package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
	"hlplay/modules/network/interfaces"
)

// reach verifies that a new connection can be made after the change. address is the one to connect to if it is new. Without
// an SSH session, or if NAT hides the address that it came in on, the inventory's address counts.
func (s state) reach(inventory, reachableAt string) (address, note string, err error) {
	server := s.links.Server
	if !server.IsValid() || server.IsLoopback() || !s.net.Has(server) {
		server, _ = netip.ParseAddr(inventory)
	}
	if !server.IsValid() || !s.net.Has(server) {
		return reachableAt, "the address that this session came in on is unknown, so only the proof after the change shows whether the host can still be reached", s.back()
	}
	for _, name := range s.names() {
		if slices.ContainsFunc(s.addresses(name), func(p netip.Prefix) bool { return p.Addr() == server }) {
			if a, err := netip.ParseAddr(reachableAt); err == nil && a == server {
				reachableAt = ""
			}
			return reachableAt, "", s.back()
		}
	}
	if reachableAt == "" {
		on := ""
		for _, i := range s.net.Interfaces {
			if slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == server }) {
				on = i.Name
			}
		}
		return "", "", fmt.Errorf("%s: the session to %s came in on %s of %s, which no interface would have any more: give the address to another interface, or set reachable_at to the new one",
			s.blockOf(on), s.host, server, on)
	}
	return reachableAt, "", s.back()
}

// back verifies that there is a route back to the client of the session.
func (s state) back() error {
	client := s.links.Client
	if !client.IsValid() || client.IsLoopback() || client.IsLinkLocalUnicast() {
		return nil
	}
	for _, name := range s.names() {
		if slices.ContainsFunc(s.addresses(name), func(p netip.Prefix) bool { return p.Contains(client) }) {
			return nil
		}
	}
	for _, i := range s.after {
		for _, g := range i.Gateways {
			if g.Is4() == client.Is4() {
				return nil
			}
		}
		if slices.ContainsFunc(i.Routes, func(r interfaces.Route) bool { return r.To.Contains(client) }) {
			return nil
		}
	}
	for _, r := range s.links.Routes {
		if r.To.Contains(client) && !s.concerns(r.Dev) {
			return nil
		}
	}
	family := "gateway"
	if client.Is6() {
		family = "gateway6"
	}
	return fmt.Errorf("%s: the session to %s comes from %s, which no route would lead back to: set the %s", s.lastBlock(), s.host, client, family)
}

// lastBlock returns the block to name in an error about the whole task.
func (s state) lastBlock() string {
	if len(s.wants) == 0 {
		return "absent"
	}
	return s.wants[len(s.wants)-1].block
}

// corosync verifies that the cluster's links keep their addresses and are not all on bonds.
func (s state) corosync(ctx context.Context, h modules.Host, told bool) error {
	pve.Nodes.Want(h, "")
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil || len(cluster.Members) == 0 {
		return err
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	bonded, before, all := 0, 0, cluster.Members[node.Name].Links
	for _, number := range slices.Sorted(maps.Keys(all)) {
		a, err := netip.ParseAddr(all[number])
		if err != nil {
			found, err := observe.Resolves.Observe(ctx, h, all[number])
			if err != nil {
				return err
			}
			if len(found) == 0 {
				continue
			}
			a = found[0]
		}
		if !s.net.Has(a) {
			continue // it is down already, and not because of this task
		}
		at := slices.IndexFunc(s.names(), func(name string) bool {
			return slices.ContainsFunc(s.addresses(name), func(p netip.Prefix) bool { return p.Addr() == a })
		})
		if at < 0 {
			return fmt.Errorf("corosync's link %d of %s is %s, which no interface would have any more: the node would lose its cluster. Keep the address, or give corosync another link first", number, node.Name, a)
		}
		if onBond(s.after, s.names()[at], 0) {
			bonded++
		}
		for _, i := range s.net.Interfaces {
			if slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) && onBond(s.before, i.Name, 0) {
				before++
			}
		}
	}
	declared := slices.ContainsFunc(s.wants, func(w want) bool { return w.kind == interfaces.Bond })
	if bonded > 0 && bonded == len(all) && !told && (declared || before < bonded) {
		return fmt.Errorf("all links of corosync on %s (%d) would be on bonds: while a bond waits for its switch, the cluster has no quorum. Give corosync a link on a network card of its own, or set corosync_on_bond = true", node.Name, bonded)
	}
	return nil
}

// ceph verifies that the Ceph daemons which run on the host keep their networks, and a monitor its address.
func (s state) ceph(ctx context.Context, h modules.Host) error {
	conf, err := ceph.Confs.Observe(ctx, h, "")
	if err != nil || !conf.Initialised() {
		return err
	}
	for _, text := range conf.MonHosts() {
		// Another host's monitor is not in s.net, and a name of this host is not an address that pveceph writes.
		if a, err := netip.ParseAddr(text); err == nil && s.net.Has(a) && !s.keeps(func(p netip.Prefix) bool { return p.Addr() == a }) {
			return fmt.Errorf("%s is the address of Ceph's monitor on %s, which no interface would have any more. Keep the address, or destroy the monitor first and create it again at the new one", a, s.host)
		}
	}
	for _, key := range []string{"public_network", "cluster_network"} {
		networks, err := ceph.Networks(conf.Global(key))
		if err != nil {
			return fmt.Errorf("/etc/pve/ceph.conf: %s: %w", key, err)
		}
		within := func(p netip.Prefix) bool {
			return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(p.Addr()) })
		}
		if s.keeps(within) || !slices.ContainsFunc(s.net.Interfaces, func(i observe.Interface) bool { return slices.ContainsFunc(i.Addresses, within) }) {
			continue
		}
		units, err := ceph.Units.Observe(ctx, h, "")
		if err != nil {
			return err
		}
		var running []string
		for _, unit := range slices.Sorted(maps.Keys(units)) {
			if units[unit] == "active" {
				running = append(running, strings.TrimSuffix(unit, ".service"))
			}
		}
		if len(running) > 0 {
			return fmt.Errorf("no interface of %s would have an address in Ceph's %s (%s) any more, and its daemons run there (%s): keep an address in it, or give one to another interface", s.host, key, conf.Global(key), strings.Join(running, ", "))
		}
	}
	return nil
}

// keeps reports whether an interface has an address after the change that fits.
func (s state) keeps(fits func(netip.Prefix) bool) bool {
	return slices.ContainsFunc(s.names(), func(name string) bool { return slices.ContainsFunc(s.addresses(name), fits) })
}

// onBond reports whether an interface is a bond or on top of one.
func onBond(c interfaces.Config, name string, depth int) bool {
	i, ok := c.Find(name)
	return ok && depth < 8 && (i.Kind == interfaces.Bond || slices.ContainsFunc(i.Lower, func(lower string) bool { return onBond(c, lower, depth+1) }))
}

// neighbour is another host of the play with an address in one of this host's subnets.
type neighbour struct {
	host string
	addr netip.Addr
	// most is the largest packet that both ends accept.
	most int
}

// inventoried verifies that no interface gets the address of another host in the inventory, which need not be up.
func (s state) inventoried(h modules.Host) error {
	given := h.Inventory()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		a, err := netip.ParseAddr(given[name])
		if err != nil || name == h.Name() || given[name] == given[h.Name()] || a.IsLoopback() {
			continue
		}
		for _, w := range s.wants {
			if slices.ContainsFunc(s.addresses(w.name), func(p netip.Prefix) bool { return p.Addr() == a }) {
				return fmt.Errorf("%s: the inventory gives %s to %s: give each host its own address, such as ${host.address}", w.block, a, name)
			}
		}
	}
	return nil
}

// neighbours asks the play's other hosts for their addresses. An address that is used twice is an error. A host on the
// task's subnets can serve as a proof. One that does not answer does not prevent the change, but is noted.
func (s state) neighbours(ctx context.Context, h modules.Host) (all []neighbour, notes []string, err error) {
	if err := s.inventoried(h); err != nil {
		return nil, nil, err
	}
	var others []modules.Host
	for _, peer := range h.Peers() {
		if peer.Name() != h.Name() {
			others = append(others, peer)
		}
	}
	found := make([]observe.Network, len(others))
	errs := make([]error, len(others))
	ask := make([]func(context.Context), len(others))
	for i, peer := range others {
		ask[i] = func(ctx context.Context) { found[i], errs[i] = observe.Networks.Observe(ctx, peer, "") }
	}
	observe.Together(ctx, ask...)
	for i, peer := range others {
		if errs[i] != nil {
			if ctx.Err() != nil {
				return nil, nil, errs[i]
			}
			notes = append(notes, fmt.Sprintf("could not check whether %s uses one of these addresses: %v", peer.Name(), errs[i]))
			continue
		}
		for _, w := range s.wants {
			for _, p := range s.addresses(w.name) {
				if found[i].Has(p.Addr()) {
					return nil, nil, fmt.Errorf("%s: %s is the address of %s: give each host its own address, such as ${host.address}", w.block, p.Addr(), peer.Name())
				}
			}
			if n, ok := s.neighbour(w, peer.Name(), found[i]); ok {
				all = append(all, n)
			}
		}
	}
	return all, notes, nil
}

// neighbour returns the first address of another host in a subnet of an interface of the task.
func (s state) neighbour(w want, host string, n observe.Network) (neighbour, bool) {
	for _, p := range s.addresses(w.name) {
		for _, i := range n.Interfaces {
			for _, other := range i.Addresses {
				if a := other.Addr(); p.Contains(a) && !a.IsLinkLocalUnicast() && i.State != "down" {
					return neighbour{host, a, min(s.mtu(w.name), i.MTU)}, true
				}
			}
		}
	}
	return neighbour{}, false
}

// safe returns the first reason not to change the host. The plan then reports nothing else.
func safe(ctx context.Context, h modules.Host) error {
	for _, check := range []func(context.Context, modules.Host) error{ready, waiting, managed, pve.Disarmed} {
		if err := check(ctx, h); err != nil {
			return err
		}
	}
	return nil
}
