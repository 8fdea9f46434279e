// Package living reads a survival.Cluster from the nodes of a cluster.
package living

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
	"hlplay/modules/survival"
)

// Machine is the name that a host has as a node, and its memory in bytes.
func Machine(ctx context.Context, h *observe.Host) (node string, memory uint64, err error) {
	n, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return "", 0, err
	}
	fact, err := observe.Fact(ctx, h, "memory")
	if err != nil {
		return "", 0, err
	}
	memory, _ = fact.GetAttr("total").AsBigFloat().Uint64()
	return n.Name, memory, nil
}

// Read reads the cluster that a node is in, but for the memory of its machines.
func Read(ctx context.Context, h *observe.Host) (survival.Cluster, error) {
	r := &reader{ctx: ctx, host: h}
	ceph.MonitorMaps.Want(h, "")
	pve.Mappings.Want(h, "")
	members := get(r, pve.Clusters)
	if r.err == nil && !members.Mounted {
		return survival.Cluster{}, fmt.Errorf("%s has no Proxmox VE whose /etc/pve is there", h.Name())
	}
	if r.err == nil && members.Name == "" {
		return survival.Cluster{}, fmt.Errorf("%s is in no cluster: a single node survives no loss", h.Name())
	}
	c := survival.Cluster{Name: members.Name, DeviceVotes: members.DeviceVotes}
	ha := get(r, pve.HAs)
	for _, name := range members.Names() {
		m := members.Members[name]
		c.Nodes = append(c.Nodes, survival.Node{Name: name, Votes: m.Votes, Online: m.Online, Maintenance: ha.Nodes[name] == "maintenance"})
	}
	r.ceph(&c)
	r.guests(&c, ha)
	return c, r.err
}

// reader keeps the first error.
type reader struct {
	ctx  context.Context
	host *observe.Host
	err  error
}

// get observes a kind that has one name.
func get[T any](r *reader, kind *observe.Kind[T]) (value T) {
	if r.err == nil {
		value, r.err = kind.Observe(r.ctx, r.host, "")
	}
	return value
}

// ceph reads what the monitors know. Without Ceph it is nothing.
func (r *reader) ceph(c *survival.Cluster) {
	monitors := get(r, ceph.MonitorMaps)
	for _, name := range slices.Sorted(maps.Keys(monitors)) {
		c.Monitors = append(c.Monitors, survival.Daemon{Node: name, Down: !monitors[name].InQuorum})
	}
	osds := get(r, ceph.OSDMaps)
	for _, node := range slices.Sorted(maps.Keys(osds)) {
		for _, o := range osds[node] {
			if o.In {
				c.OSDs = append(c.OSDs, survival.OSD{Node: node, Class: o.Class, Up: o.Up})
			}
		}
	}
	spreads, pools := get(r, ceph.Spreads), get(r, ceph.Pools)
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		p := pools[name]
		spread, ok := spreads[p.Rule]
		if !ok {
			spread.Unknown = "the monitors list no rule of its own"
		}
		c.Pools = append(c.Pools, survival.Pool{Name: name, Size: p.Size, MinSize: p.MinSize,
			Spread: survival.Spread{PerHost: spread.PerHost, Class: spread.Class, Unknown: spread.Unknown}})
	}
	servers := get(r, ceph.MetadataServerMaps)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		c.MetadataServers = append(c.MetadataServers, survival.Daemon{Node: name})
	}
	c.FileSystems = slices.Sorted(maps.Keys(get(r, ceph.FileSystems)))
}

// guests reads the resources that are to run, and what decides where they can.
func (r *reader) guests(c *survival.Cluster, ha pve.HA) {
	lists, storages, mappings := get(r, pve.GuestLists), get(r, pve.Storages), get(r, pve.Mappings)
	groups := map[string][]string{}
	for _, sid := range slices.Sorted(maps.Keys(ha.Resources)) {
		resource := ha.Resources[sid]
		_, id := pve.SplitServiceID(sid)
		guest, exists := lists[id]
		if resource.Group != "" {
			groups[resource.Group] = append(groups[resource.Group], sid)
		}
		if resource.State != "started" || !exists || r.err != nil {
			continue
		}
		var config pve.GuestConfig
		if config, r.err = pve.GuestConfigs.Observe(r.ctx, r.host, strconv.Itoa(id)); r.err != nil {
			return
		}
		g := survival.Guest{ID: sid, Node: guest.Node, Memory: config.Memory()}
		tie := pve.TieOf(config, storages, mappings)
		g.Bound, g.Only = tie.Bound, tie.Only
		c.Guests = append(c.Guests, g)
	}
	for _, name := range slices.Sorted(maps.Keys(ha.Rules)) {
		if rule := ha.Rules[name]; !rule.Disabled {
			c.Rules = append(c.Rules, ruleOf(name, rule))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		group := ha.Groups[name]
		c.Rules = append(c.Rules, survival.Rule{Name: name, Guests: groups[name], Priorities: group.Nodes, Strict: group.Restricted})
	}
}

func ruleOf(name string, rule pve.Rule) survival.Rule {
	r := survival.Rule{Name: name, Guests: slices.Sorted(maps.Keys(rule.Resources))}
	switch {
	case rule.Type == "node-affinity":
		r.Priorities, r.Strict = rule.Nodes, rule.Strict
	case rule.Affinity == "positive":
		r.Together = true
	default:
		r.Apart = true
	}
	return r
}
