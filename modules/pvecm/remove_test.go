package pvecm

import (
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// remaining returns pve1 of a cluster of four nodes; pve4 is off and holds nothing.
func remaining(c pve.Cluster, more ...observe.Expectation) *observe.Host {
	absent := observe.File{}
	nothing := []observe.Expectation{
		pve.Replications.Expect("", map[string]pve.Replication{}), ceph.OSDs.Expect("pve4", nil), ceph.Monitors.Expect("pve4", ceph.Monitor{}),
		ceph.Managers.Expect("pve4", ceph.Manager{}), ceph.MetadataServers.Expect("pve4", ceph.MetadataServer{}), ceph.CrushHosts.Expect("pve4", false),
		observe.Files.Expect(clusterKeys, absent), observe.Files.Expect(clusterHosts, absent), observe.Files.Expect(nodesFolder+"pve4", absent),
	}
	h := host("pve1", c, append(nothing, more...)...)
	return play("pve1", h)
}

func off(c pve.Cluster, nodes ...string) pve.Cluster {
	for _, name := range nodes {
		m := c.Members[name]
		m.Online = false
		c.Members[name] = m
	}
	return c
}

func TestRemove(t *testing.T) {
	m := &Module{Remove: &Remove{Node: "pve4"}}
	four := off(cluster("pve1", "pve2", "pve3", "pve4"), "pve4")
	plan := modulestest.Converges(t, m, remaining(four, ceph.CrushHosts.Expect("pve4", true),
		observe.Files.Expect(nodesFolder+"pve4", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"}),
		observe.Files.Expect(clusterKeys, observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "www-data", Size: 60,
			Content: []byte("ssh-rsa AAAA1 root@pve1\nssh-rsa AAAA4 root@pve4\n")})))
	want := []string{
		"delete pve4 from cluster dream, which then has 3 nodes", "remove pve4's empty bucket from the CRUSH map",
		"remove root's key of pve4, so that it can no longer log in", "remove /etc/pve/nodes/pve4",
	}
	var got []string
	for _, s := range plan.Steps {
		got = append(got, s.Summary)
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	if plan := modulestest.Converges(t, m, remaining(cluster("pve1", "pve2", "pve3"))); len(plan.Steps) > 0 {
		t.Errorf("a node that is gone is removed again:\n%s", modulestest.Summaries(plan))
	}
}

func TestRemoveRefuses(t *testing.T) {
	four := func(offline ...string) pve.Cluster {
		return off(cluster("pve1", "pve2", "pve3", "pve4"), offline...)
	}
	device := four("pve4")
	device.Device, device.DeviceVotes = "10.0.0.9", 1
	gone := cluster("pve1", "pve2", "pve3")
	for _, test := range []struct {
		name string
		h    *observe.Host
		want string
	}{
		{"online", remaining(four()), "switch off pve4 permanently, and erase its disks before it starts again: the cluster sees it online"},
		{"a QDevice", remaining(device), "remove the QDevice"},
		{"others are off", remaining(four("pve3", "pve4")), "bring pve3 back online: the online members have 2 of 4 votes, and removing a node while most are merely switched off"},
		{"its guests, though it is deleted", remaining(gone, pve.GuestLists.Expect("", map[int]pve.Guest{104: {Node: "pve4", Type: "lxc"}})), "migrate or remove its guests (104)"},
		{"a rule", remaining(four("pve4"), pve.HAs.Expect("", pve.HA{Rules: map[string]pve.Rule{"r": {Nodes: map[string]int{"pve4": 0}}}})), "remove it from the nodes of HA rule r"},
		{"a group", remaining(four("pve4"), pve.HAs.Expect("", pve.HA{Groups: map[string]pve.Group{"g": {Nodes: map[string]int{"pve4": 0}}}})), "remove it from the nodes of HA group g"},
		{"replication", remaining(four("pve4"), pve.Replications.Expect("", map[string]pve.Replication{"100-0": {Target: "pve4"}, "101-0": {Source: "pve4"}, "102-0": {Target: "pve2"}})), "(pvesr delete 100-0, 101-0)"},
		{"an OSD", remaining(four("pve4"), ceph.OSDs.Expect("pve4", []ceph.OSD{{ID: 7}})), "destroy them (osd.7)"},
		{"a monitor", remaining(four("pve4"), ceph.Monitors.Expect("pve4", ceph.Monitor{InMap: true})), "ceph mon remove pve4"},
		{"itself", remaining(four("pve4"), pve.Nodes.Expect("", pve.Node{Name: "pve4", Installed: true})), "pve1 is the node to remove"},
		{"no cluster", remaining(standalone), "pve1 is not in a cluster"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := (&Module{Remove: &Remove{Node: "pve4"}}).Plan(t.Context(), test.h)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("expected a refusal that says %q, got %v and %d steps", test.want, err, len(plan.Steps))
			}
		})
	}
}

func TestRemoveStandsAlone(t *testing.T) {
	for _, m := range []*Module{
		{Remove: &Remove{Node: "pve4"}, Cluster: "dream"}, {Remove: &Remove{Node: "-pve4"}}, {Remove: &Remove{}}, {},
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%+v is accepted", m)
		} else if _, ok := err.(*modules.ArgumentError); !ok {
			t.Errorf("%v names no argument", err)
		}
	}
}

func TestKeysOfANode(t *testing.T) {
	keys := "# root@pve4\nssh-rsa AAAA1 root@pve1\nssh-rsa AAAA4 root@pve4\nssh-rsa AAAA5 root@pve40\nfrom=\"10.0.0.4\" ssh-rsa AAAA6 root@pve4\nssh-ed25519 AAAA7 root@pve4 my own\n"
	if got, want := withoutKeys(keys, "pve4"), strings.Replace(keys, "ssh-rsa AAAA4 root@pve4\n", "", 1); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	hosts := "pve1 ssh-rsa AAAA1\npve4 ssh-rsa AAAA4\n10.0.0.4 ssh-rsa AAAA4\npve40,10.0.0.40 ssh-rsa AAAA5\n|1|x|y ssh-rsa AAAA6\n"
	if got, want := withoutHost(hosts, "pve4"), "pve1 ssh-rsa AAAA1\npve40,10.0.0.40 ssh-rsa AAAA5\n|1|x|y ssh-rsa AAAA6\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
