package pvecm

import (
	"context"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// What creating and joining say of other hosts: a standalone node keeps its own /etc/pve. A member's changes, and so may that of a
// host of which nothing is known, or that is the joining node itself under another name. Nothing else of a host changes, but what is
// not known to stay as it is.
func TestElsewhere(t *testing.T) {
	known := func(h *observe.Host, c pve.Cluster, node string) *observe.Host {
		is := installed
		is.Name = node
		h.Predict([]observe.Expectation{pve.Clusters.Expect("", c), pve.Nodes.Expect("", is)})
		return h
	}
	founder, member := host("pve1", cluster("pve1", "pve4")), host("pve4", cluster("pve1", "pve4"))
	alone, twice, silent := host("pve3", standalone), known(observe.NewRecorded("twin"), standalone, "pve2"), observe.NewRecorded("silent")
	unmounted := known(observe.NewRecorded("unmounted"), pve.Cluster{}, "pve5")
	all := []*observe.Host{founder, host("pve2", standalone), alone, member, twice, silent, unmounted}
	plan, err := module("2").Plan(context.Background(), play("pve2", all...))
	if err != nil {
		t.Fatal(err)
	}
	join := plan.Steps[len(plan.Steps)-1]
	plan, err = module("1").Plan(context.Background(), play("pve1", host("pve1", standalone), alone))
	if err != nil {
		t.Fatal(err)
	}
	create := plan.Steps[0]
	ofPVE := []observe.Key{pve.Clusters.Key(""), pve.Trusts.Key(""), pve.GuestLists.Key(""), pve.Storages.Key(""), pve.HAs.Key(""), ceph.Confs.Key("")}
	files := []observe.Key{observe.Files.Key("/etc/pve/corosync.conf"), observe.Files.Key("/root/.ssh/authorized_keys"), observe.Files.Key("/etc/corosync/corosync.conf"), observe.Files.Key("/etc/hostname")}
	ofHost := []observe.Key{pve.Nodes.Key(""), ceph.Nodes.Key(""), observe.Packages.Key("ceph"), observe.Networks.Key(""), observe.Resolves.Key("pve2"), observe.Files.Key("/etc/apt/sources.list.d/ceph.list"),
		observe.Files.Key("/etc/hosts"), observe.Files.Key("/etc/network/interfaces")}
	for name, test := range map[string]struct {
		step    modules.Step
		on      *observe.Host
		changes bool
	}{
		"a join, the founder":                 {join, founder, true},
		"a join, another member":              {join, member, true},
		"a join, a standalone node":           {join, alone, false},
		"a join, a host nobody knows":         {join, silent, true},
		"a join, /etc/pve is away":            {join, unmounted, true},
		"a join, the same node listed twice":  {join, twice, true},
		"a join, a host outside of the play":  {join, observe.NewRecorded("pve9"), true},
		"a creation, a standalone node":       {create, alone, false},
		"a creation, a host outside the play": {create, observe.NewRecorded("pve9"), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range ofPVE {
				if test.step.Elsewhere(test.on, k) != test.changes {
					t.Errorf("%s is said to change: %v, want %v", k, !test.changes, test.changes)
				}
			}
			for _, k := range append(files, observe.AuthorCommands.Key("pvecm status"), observe.Units.Key("corosync.service")) {
				if !test.step.Elsewhere(test.on, k) {
					t.Errorf("%s is said to stay as it is", k)
				}
			}
			for _, k := range ofHost {
				if test.step.Elsewhere(test.on, k) {
					t.Errorf("%s is said to change", k)
				}
			}
		})
	}
}
