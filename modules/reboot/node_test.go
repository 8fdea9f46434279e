package reboot

import (
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// member is a host that is to be rebooted, pve1, and a node of a cluster.
func member(cluster pve.Cluster, more ...observe.Expectation) modules.Host {
	cluster.Mounted, cluster.Name, cluster.Quorate = true, "dream", true
	return observe.NewRecorded("pve1", slices.Concat([]observe.Expectation{
		observe.Kernels.Expect("", observe.Kernel{Release: proxmox, Version: "#1", Architecture: "x86_64", BootID: "4ab72829-403a-40e3-abe1-129ff55a738a"}),
		observe.InstalledKernels.Expect("", []string{proxmox}),
		pve.Clusters.Expect("", cluster), pve.Nodes.Expect("", pve.Node{Name: "pve1", Installed: true, Version: "9.1.2"}),
		ceph.Units.Expect("", map[string]string{"ceph-osd@0.service": "active", "ceph-osd@1.service": "failed"}),
		observe.Units.Expect("corosync.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Units.Expect("pve-cluster.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Units.Expect("pvedaemon.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Units.Expect("pveproxy.service", observe.Unit{LoadState: "loaded", ActiveState: "inactive"}),
		observe.Units.Expect("pvestatd.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Units.Expect("pve-ha-crm.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Units.Expect("pve-ha-lrm.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
	}, more)...)
}

func nodes(online ...bool) map[string]pve.Member {
	all := map[string]pve.Member{}
	for i, name := range []string{"pve1", "pve2", "pve3"}[:len(online)] {
		all[name] = pve.Member{ID: i + 1, Votes: 1, Online: online[i]}
	}
	return all
}

// A node is rebooted if the others have a quorum without it.
func TestQuorumOfTheOthers(t *testing.T) {
	device := func(alive bool) observe.Expectation {
		return pve.QDevices.Expect("", pve.QDevice{Registered: true, Alive: alive, Votes: alive})
	}
	for _, c := range []struct {
		name    string
		cluster pve.Cluster
		more    []observe.Expectation
		module  Module
		refusal string
	}{
		{name: "all are online", cluster: pve.Cluster{Members: nodes(true, true, true)}},
		{name: "another node is away", cluster: pve.Cluster{Members: nodes(true, true, false)},
			refusal: "while pve1 reboots, cluster dream would have no quorum: pve2 would have 1 of 3 votes, and 2 are needed. Bring pve3 back first, or set loses_quorum = true"},
		{name: "another node is away, which is accepted", cluster: pve.Cluster{Members: nodes(true, true, false)}, module: Module{LosesQuorum: true}},
		{name: "there are two nodes", cluster: pve.Cluster{Members: nodes(true, true)},
			refusal: "pve2 would have 1 of 2 votes, and 2 are needed. Give the cluster another node or a QDevice (playbooks/qdevice.hcl), or"},
		{name: "a QDevice helps the other", cluster: pve.Cluster{Members: nodes(true, true), Device: "10.0.0.9", DeviceVotes: 1}, more: []observe.Expectation{device(true)}},
		{name: "a QDevice is away", cluster: pve.Cluster{Members: nodes(true, true), Device: "10.0.0.9", DeviceVotes: 1}, more: []observe.Expectation{device(false)},
			refusal: "pve2 would have 1 of 3 votes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.module.Always, c.module.Limit = true, 1
			plan, err := c.module.Plan(t.Context(), member(c.cluster, c.more...))
			if c.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Errorf("got %v, expected a refusal with %q", err, c.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if action := plan.Steps[0].Action.(modules.Reboot); !action.Alone {
				t.Error("the nodes of a cluster do not take turns")
			}
		})
	}
}

// What ran before the reboot is waited for after it, and what the task names.
func TestReady(t *testing.T) {
	m := Module{Always: true, Limit: 1, Units: []string{"docker.service"}}
	plan, err := m.Plan(t.Context(), member(pve.Cluster{Members: nodes(true, true, true)}))
	if err != nil {
		t.Fatal(err)
	}
	ready := plan.Steps[0].Action.(modules.Reboot).Ready
	if len(ready) != 2 {
		t.Fatalf("it is waited for %+v", ready)
	}
	want := []string{"docker.service", "corosync.service", "pve-cluster.service", "pvedaemon.service", "pvestatd.service", "pve-ha-crm.service", "pve-ha-lrm.service", "ceph-osd@0.service"}
	if got := ready[0].Argv[4:]; !slices.Equal(got, want) {
		t.Errorf("it is waited for %q, want %q", got, want)
	}
	if ready[1].Summary != "a quorum of cluster dream" {
		t.Errorf("it is waited for %q", ready[1].Summary)
	}

	plan, err = (&Module{Always: true, Limit: 1}).Plan(t.Context(), recorded(debian, observe.RebootDemand{}, debian))
	if err != nil {
		t.Fatal(err)
	}
	if action := plan.Steps[0].Action.(modules.Reboot); action.Alone || len(action.Ready) > 0 {
		t.Errorf("a host without Proxmox VE is treated like a node: %+v", action)
	}
}

// A node whose cluster file system is not mounted may be in a cluster all the same: corosync runs without it.
func TestUnknownMembership(t *testing.T) {
	file := func(exists bool) observe.File {
		if !exists {
			return observe.File{}
		}
		return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root"}
	}
	away := func(corosync, pmxcfs bool) modules.Host {
		h := member(pve.Cluster{})
		h.Predict([]observe.Expectation{
			pve.Clusters.Expect("", pve.Cluster{AuthKey: corosync}), pve.Remounted.Expect("", pve.Cluster{AuthKey: corosync}),
			observe.Files.Expect(configured, file(corosync)), observe.Files.Expect(pve.PmxcfsProgram, file(pmxcfs)),
		})
		return h
	}
	m := Module{Always: true, Limit: 1}
	_, err := m.Plan(t.Context(), away(true, true))
	if err == nil || !strings.Contains(err.Error(), "its membership in the cluster and whether the others would have a quorum without it are unknown: start it (systemctl start pve-cluster.service)") {
		t.Errorf("the error is %v", err)
	}
	for name, h := range map[string]modules.Host{"a standalone node": away(false, true), "a cluster without Proxmox VE": away(true, false)} {
		plan, err := m.Plan(t.Context(), h)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if plan.Steps[0].Action.(modules.Reboot).Alone {
			t.Errorf("%s takes turns", name)
		}
	}

	h := away(true, true) // pmxcfs was only restarted
	h.Predict([]observe.Expectation{pve.Remounted.Expect("", pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: nodes(true, true, false)})})
	if _, err := m.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "cluster dream would have no quorum") {
		t.Errorf("the error is %v", err)
	}

	m.LosesQuorum = true
	plan, err := m.Plan(t.Context(), away(true, true))
	if err != nil {
		t.Fatal(err)
	}
	action := plan.Steps[0].Action.(modules.Reboot)
	if !action.Alone {
		t.Error("the nodes of a cluster do not take turns")
	}
	if len(action.Ready) != 1 || !slices.Contains(action.Ready[0].Argv, "corosync.service") {
		t.Errorf("it is waited for %+v", action.Ready)
	}
}
