package pve

import (
	"context"

	"hlplay/engine/observe"
)

// database is where pmxcfs keeps what it shows at /etc/pve. Removing the packages leaves it.
const database = "/var/lib/pve-cluster/config.db"

// InstalledExpectations are what the kinds of this package observe once Proxmox VE is installed on a
// bare host: a standalone node with its local storage, no guests, no HA, no Ceph. Where a database of
// pmxcfs has outlived an earlier installation, what it holds is unknown. Where Proxmox VE is there
// already, there is nothing to expect.
func InstalledExpectations(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
	observe.Files.Want(h, database)
	n, err := Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if n.Installed {
		return nil, nil
	}
	if _, err := n.major(h.Name()); err != nil {
		return nil, err
	}
	kept, err := observe.Exists(ctx, h, database)
	if err != nil {
		return nil, err
	}
	n.Installed = true
	expect := []observe.Expectation{
		observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"}),
		observe.Dirs.Unknown("/etc/pve", "pmxcfs is about to be mounted there"),
		Nodes.Expect("", n),
	}
	if kept {
		because := "Proxmox VE is about to read " + database + ", which was there before"
		return append(expect, Clusters.Unknown("", because), GuestLists.Unknown("", because), Storages.Unknown("", because),
			HAs.Unknown("", because), CephConfs.Unknown("", because)), nil
	}
	return append(expect,
		Clusters.Expect("", Cluster{Mounted: true, Quorate: true, Certificate: true}),
		GuestLists.Expect("", map[int]Guest{}),
		Storages.Expect("", map[string]Storage{"local": implicitLocal()}),
		HAs.Expect("", emptyHA()),
		CephConfs.Expect("", CephConf{}),
	), nil
}

// CephInstalledExpectations are what the kinds of this package observe once Ceph's packages of the
// release that pveceph would install by default are there and nothing is set up. Where Ceph is there
// already, there is nothing to expect.
func CephInstalledExpectations(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
	n, err := CephNodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if n.Installed {
		return nil, nil
	}
	n.Installed = true
	return []observe.Expectation{CephNodes.Expect("", n)}, nil
}

// Everywhere is an expectation on every host of the play: what changes is state that the nodes of the
// cluster share.
func Everywhere(h *observe.Host, expectations ...observe.Expectation) []observe.Expectation {
	var all []observe.Expectation
	for _, peer := range h.Peers() {
		for _, e := range expectations {
			all = append(all, e.On(peer))
		}
	}
	return all
}

// Shared are the kinds whose values all nodes of a cluster have in common, as one node has them: what a
// node that joins will observe. What is true of the Ceph cluster comes along where there is one; nodes
// are the names of all members, the new one included.
func Shared(ctx context.Context, from, to *observe.Host, nodes []string) ([]observe.Expectation, error) {
	var all []observe.Expectation
	add := func(err error, e observe.Expectation) error {
		all = append(all, e.On(to))
		return err
	}
	GuestLists.Want(from, "")
	Storages.Want(from, "")
	HAs.Want(from, "")
	guests, err := GuestLists.Observe(ctx, from, "")
	if err := add(err, GuestLists.Expect("", guests)); err != nil {
		return nil, err
	}
	storages, err := Storages.Observe(ctx, from, "")
	if err := add(err, Storages.Expect("", storages)); err != nil {
		return nil, err
	}
	ha, err := HAs.Observe(ctx, from, "")
	if err := add(err, HAs.Expect("", ha)); err != nil {
		return nil, err
	}
	conf, err := CephConfs.Observe(ctx, from, "")
	if err := add(err, CephConfs.Expect("", conf)); err != nil || len(conf.MonHosts()) == 0 {
		return all, err
	}
	ceph, err := sharedCeph(ctx, from, to, nodes)
	return append(all, ceph...), err
}

// sharedCeph is Shared of a Ceph cluster that has monitors.
func sharedCeph(ctx context.Context, from, to *observe.Host, nodes []string) ([]observe.Expectation, error) {
	var all []observe.Expectation
	pools, err := Pools.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	rules, err := CrushRules.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	systems, err := FileSystems.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	all = append(all, Pools.Expect("", pools).On(to), CrushRules.Expect("", rules).On(to), FileSystems.Expect("", systems).On(to))
	osds, err := OSDs.ObserveAll(ctx, from, nodes)
	if err != nil {
		return nil, err
	}
	mons, err := Monitors.ObserveAll(ctx, from, nodes)
	if err != nil {
		return nil, err
	}
	mgrs, err := Managers.ObserveAll(ctx, from, nodes)
	if err != nil {
		return nil, err
	}
	mdss, err := MetadataServers.ObserveAll(ctx, from, nodes)
	if err != nil {
		return nil, err
	}
	for _, name := range nodes {
		all = append(all, OSDs.Expect(name, osds[name]).On(to), Monitors.Expect(name, mons[name]).On(to),
			Managers.Expect(name, mgrs[name]).On(to), MetadataServers.Expect(name, mdss[name]).On(to))
	}
	return all, nil
}
