package pve

import (
	"context"

	"hlplay/engine/observe"
)

// InstalledExpectations are what the kinds of this package observe once Proxmox VE is installed on a
// bare host: a standalone node with its local storage, no guests, no HA, no Ceph. Where Proxmox VE is
// there already, there is nothing to expect.
func InstalledExpectations(ctx context.Context, h *observe.Host) ([]observe.Expectation, error) {
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
	n.Installed = true
	return []observe.Expectation{
		Nodes.Expect("", n),
		Clusters.Expect("", Cluster{Mounted: true, Quorate: true, Certificate: true}),
		GuestLists.Expect("", map[int]Guest{}),
		Storages.Expect("", map[string]Storage{"local": implicitLocal()}),
		HAs.Expect("", emptyHA()),
		CephConfs.Expect("", CephConf{}),
	}, nil
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
