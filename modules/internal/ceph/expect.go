package ceph

import (
	"context"

	"hlplay/engine/observe"
	"hlplay/modules/internal/pve"
)

// Content is Ceph's configuration in /etc/pve.
var Content = pve.ContentOf(Confs, Conf{})

// InstalledExpectations returns what is observed once Ceph's packages are installed, in the release that pveceph
// installs by default, and nothing is set up. It returns nothing if Ceph is installed already.
func InstalledExpectations(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
	n, err := Nodes.Observe(ctx, h, "")
	if err != nil || n.Installed {
		return nil, err
	}
	n.Installed = true
	return []observe.Expectation{Nodes.Expect("", n)}, nil
}

// Shared returns what a node observes about Ceph once it has joined a cluster, based on what a member observes: the
// configuration and, if there are monitors, what they know. nodes holds the names of all members, including the new
// one.
func Shared(ctx context.Context, from, to *observe.Host, nodes []string) ([]observe.Expectation, error) {
	conf, err := Confs.Observe(ctx, from, "")
	if err != nil {
		return nil, err
	}
	all := []observe.Expectation{Confs.Expect("", conf).On(to)}
	if len(conf.MonHosts()) == 0 {
		return all, nil
	}
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
