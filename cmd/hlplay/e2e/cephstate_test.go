//go:build linux && e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// osd is what the cluster reports about an OSD.
type osd struct {
	ID                    int
	Host, Class, Status   string
	Reweight, CrushWeight float64
}

// osds returns all OSDs in the order of the tree.
func (c *cluster) osds(t *testing.T) (all []osd) {
	t.Helper()
	var tree struct {
		Nodes []struct {
			ID           int
			Name, Status string
			Class        string  `json:"device_class"`
			Weight       float64 `json:"crush_weight"`
			Reweight     float64
			Type         string
			Children     []int
		}
	}
	c.read(t, []string{"osd tree"}, &tree)
	host := map[int]string{}
	for _, node := range tree.Nodes {
		if node.Type == "host" {
			for _, id := range node.Children {
				host[id] = node.Name
			}
		}
	}
	for _, node := range tree.Nodes {
		if node.Type == "osd" {
			all = append(all, osd{node.ID, host[node.ID], node.Class, node.Status, node.Reweight, node.Weight})
		}
	}
	return all
}

// osd returns the OSD of that class on a host.
func (c *cluster) osd(t *testing.T, host, class string) osd {
	t.Helper()
	all := c.osds(t)
	at := slices.IndexFunc(all, func(o osd) bool { return o.Host == host && o.Class == class })
	if at < 0 {
		t.Fatalf("no OSD of class %s on %s: %v", class, host, all)
	}
	return all[at]
}

// poolSettings are the settings of a pool as Ceph reports them.
type poolSettings struct {
	Size        int
	MinSize     int     `json:"min_size"`
	PGs         int     `json:"pg_num"`
	PGsMin      int     `json:"pg_num_min"`
	Rule        string  `json:"crush_rule"`
	Autoscale   string  `json:"pg_autoscale_mode"`
	TargetRatio float64 `json:"target_size_ratio"`
}

// ruleStep is a step of a CRUSH rule.
type ruleStep struct {
	Op, Type string
	Item     string `json:"item_name"`
	Num      int
}

// wantSettings asserts rules, pools and file systems.
func (c *cluster) wantSettings(t *testing.T) {
	t.Helper()
	for _, pool := range []struct {
		name, application string
		want              poolSettings
	}{
		{"vm-disks", "rbd", poolSettings{4, 2, 32, 0, "replicated_rule_osd", "warn", 0}},
		{"ha-disks", "rbd", poolSettings{5, 3, 16, 0, "replicated_rule_osd", "warn", 0}},
		{"archive", "rgw", poolSettings{3, 2, 16, 8, "slow_hosts", "off", 0.25}},
	} {
		var have poolSettings
		var applications map[string]any
		c.read(t, []string{"osd pool get " + pool.name + " all", "osd pool application get " + pool.name}, &have, &applications)
		if diff := cmp.Diff(pool.want, have); diff != "" {
			t.Errorf("pool %s (-want +got):\n%s", pool.name, diff)
		}
		if _, ok := applications[pool.application]; !ok || len(applications) != 1 {
			t.Errorf("pool %s is of the applications %v, expected %s", pool.name, applications, pool.application)
		}
	}
	var rules []struct {
		Name  string `json:"rule_name"`
		Steps []ruleStep
	}
	var systems []struct {
		Name     string
		Metadata string   `json:"metadata_pool"`
		Data     []string `json:"data_pools"`
	}
	c.read(t, []string{"osd crush rule dump", "fs ls"}, &rules, &systems)
	have := map[string][]ruleStep{}
	for _, rule := range rules {
		have[rule.Name] = rule.Steps
	}
	take, emit := ruleStep{Op: "take", Item: "default"}, ruleStep{Op: "emit"}
	if diff := cmp.Diff(map[string][]ruleStep{
		"replicated_rule":     {take, {Op: "chooseleaf_firstn", Type: "host"}, emit},
		"replicated_rule_osd": {take, {Op: "choose_firstn", Type: "osd"}, emit},
		"slow_hosts":          {{Op: "take", Item: "default~hdd"}, {Op: "chooseleaf_firstn", Type: "host"}, emit},
	}, have); diff != "" {
		t.Errorf("CRUSH rules (-want +got):\n%s", diff)
	}
	if len(systems) != 1 || systems[0].Name != "cephfs" || systems[0].Metadata != "cephfs_metadata" || !slices.Equal(systems[0].Data, []string{"cephfs_data"}) {
		t.Errorf("file systems: %v, expected cephfs with its two pools", systems)
	}
}

// wantServices asserts daemons and health.
func (c *cluster) wantServices(t *testing.T) {
	t.Helper()
	names := []string{"pve1", "pve2", "pve3"}
	var quorum struct {
		Names []string `json:"quorum_names"`
	}
	var managers []struct{ Name string }
	var health struct{ Status string }
	c.read(t, []string{"quorum_status", "mgr metadata", "health"}, &quorum, &managers, &health)
	slices.Sort(quorum.Names)
	if diff := cmp.Diff(names, quorum.Names); diff != "" {
		t.Errorf("monitors in quorum (-want +got):\n%s", diff)
	}
	if len(managers) != len(names) {
		t.Errorf("managers: %v, expected one of each node", managers)
	}
	if health.Status != "HEALTH_OK" {
		t.Errorf("health is %s", health.Status)
	}
	if active, standbys := c.metadataServers(t); active == "" || len(standbys) != 2 {
		t.Errorf("metadata servers: active is %q, standing by are %q; expected one and two", active, standbys)
	}
	classes := map[string]string{}
	for _, osd := range c.osds(t) {
		classes[osd.Host] += osd.Class + " "
		if osd.Status != "up" || osd.Reweight != 1 {
			t.Errorf("osd.%d is %s with reweight %g, expected up and 1", osd.ID, osd.Status, osd.Reweight)
		}
	}
	for _, node := range c.nodes.List {
		// Ceph itself classifies loop devices as not rotational. The other class is set by the task. The tree is sorted
		// by class.
		if classes[node.Name] != "hdd ssd " {
			t.Errorf("%s has OSDs of the classes %s, expected hdd ssd", node.Name, classes[node.Name])
		}
		wantOn(t, node, `for type in mon mgr mds; do systemctl is-active "ceph-$type@$(uname -n)"; systemctl is-enabled "ceph-$type@$(uname -n)"; done; readlink /etc/ceph/ceph.conf`,
			strings.Repeat("active\nenabled\n", 3)+"/etc/pve/ceph.conf")
	}
}

// metadataServers returns the names of the active and the standby metadata servers.
func (c *cluster) metadataServers(t *testing.T) (active string, standbys []string) {
	t.Helper()
	var dump struct {
		Standbys    []struct{ Name string }
		Filesystems []struct {
			MDSMap struct {
				Info map[string]struct{ Name, State string }
			}
		}
	}
	c.read(t, []string{"fs dump"}, &dump)
	for _, standby := range dump.Standbys {
		standbys = append(standbys, standby.Name)
	}
	for _, fs := range dump.Filesystems {
		for _, server := range fs.MDSMap.Info {
			if server.State == "up:active" {
				active = server.Name
			}
		}
	}
	return active, standbys
}
