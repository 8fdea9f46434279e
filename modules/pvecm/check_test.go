package pvecm

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// twoLinks returns a cluster whose nodes have two links each.
func twoLinks() pve.Cluster {
	c := cluster("pve1")
	c.Members["pve1"].Links[1] = "10.1.0.1"
	return c
}

func TestCheckRefusesWhatAJoinWould(t *testing.T) {
	bare := func(name string) *observe.Host {
		return host(name, pve.Cluster{}, pve.Nodes.Expect("", pve.Node{Name: name, Codename: "trixie"}))
	}
	other := cluster("pve2")
	other.Name = "elsewhere"
	for _, test := range []struct {
		name     string
		founder  *observe.Host
		joiner   *observe.Host
		selected []string
		want     string // part of the refusal; empty for none
	}{
		{"bare hosts", bare("pve1"), bare("pve2"), []string{"pve1", "pve2"}, ""},
		{"bare, without the founder", bare("pve1"), bare("pve2"), []string{"pve2"}, "founder pve1 has no cluster yet and is not among the hosts of this run"},
		{"bare, the founder has the cluster", host("pve1", cluster("pve1")), bare("pve2"), []string{"pve2"}, ""},
		{"a member, without the founder", bare("pve1"), host("pve2", cluster("pve1", "pve2")), []string{"pve2"}, ""},
		{"reinstalled", host("pve1", cluster("pve1", "pve3", "pve4")), host("pve2", standalone, pve.Nodes.Expect("", pve.Node{Name: "pve3", Codename: "trixie", Installed: true, Version: "9.2.11"})), []string{"pve1", "pve2"}, "has an online member pve3"},
		{"a cluster with other links", host("pve1", twoLinks()), bare("pve2"), []string{"pve1", "pve2"}, "cluster dream has link1"},
		{"a QDevice", host("pve1", withDevice(cluster("pve1", "pve3"))), bare("pve2"), []string{"pve1", "pve2"}, "has a QDevice, and no node can join until it is removed"},
		{"standalone and empty", host("pve1", standalone), host("pve2", standalone), []string{"pve1", "pve2"}, ""},
		{"guests", bare("pve1"), host("pve2", standalone, pve.GuestLists.Expect("", map[int]pve.Guest{200: {Node: "pve2", Type: "qemu"}})), []string{"pve1", "pve2"}, "pve2 has guests (200)"},
		{"Ceph of its own", bare("pve1"), host("pve2", standalone, ceph.Confs.Expect("", ceph.Conf{Exists: true})), []string{"pve1", "pve2"}, "its own Ceph configuration"},
		{"a left-over key", bare("pve1"), host("pve2", pve.Cluster{Mounted: true, Quorate: true, AuthKey: true}), []string{"pve1", "pve2"}, "/etc/corosync/authkey"},
		{"another cluster", bare("pve1"), host("pve2", other), []string{"pve1", "pve2"}, `pve2 is in cluster "elsewhere", not "dream"`},
		{"another release", host("pve1", pve.Cluster{}, pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: "bookworm"})), bare("pve2"), []string{"pve1", "pve2"}, "pve2 is Debian trixie and founder pve1 is Debian bookworm"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := play("pve2", test.founder, test.joiner)
			m := module("2")
			m.Check = &Check{Hosts: test.selected}
			plan, err := m.Plan(t.Context(), h)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			case len(plan.Steps) > 0:
				t.Errorf("a check plans %v", plan.Steps)
			}
			if m.Scope() != modules.EachHost {
				t.Error("a check has no reason to take turns")
			}
		})
	}
}
