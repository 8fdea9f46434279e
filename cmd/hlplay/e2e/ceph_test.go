//go:build linux && e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/nspawn"
)

// What is real: Debian's Ceph with its systemd units, three monitors, managers and metadata servers, six OSDs with
// BlueStore, the CRUSH map, pools, placement groups and their health. hlplay runs the guides' own stages (playbooks/stages/ceph.hcl
// and pools.hcl, unchanged) from the networks on.
//
// What is not: Proxmox VE. testdata/e2e/ceph has small programs in the place of pveceph and pvesm, and /etc/pve is a
// directory that the nodes share. The packages are installed beforehand, because Proxmox's Ceph, which the
// first task would install, is no other than Debian's in kind and a newer one in release. And device-mapper: the containers have
// none, so that there are no logical volumes, as ceph-volume makes them, and no encrypted OSDs. OSDs lie on
// the bare device; hlplay tells whose they are by what the OSDs say of themselves instead of the volumes' names.
var cephPackages = []string{"ceph-common", "ceph-mds", "ceph-mgr", "ceph-mon", "ceph-osd"}

// cephFirstTask is the one after the installation of packages.
const cephFirstTask = "G1.33 networks, once"

// settleLimit bounds what Ceph does by itself, on a slow machine too.
const settleLimit = 2 * time.Minute

// cluster is three real nodes that are to carry Ceph.
type cluster struct {
	*runner
	first *nspawn.Node // which ceph commands run on
}

// newCluster boots the nodes.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	const disk, small = 4 << 30, 64 << 20
	n := startNodesWith(t, nspawn.Options{
		Names: []string{"pve1", "pve2", "pve3"}, Packages: cephPackages, Disks: []int64{disk, disk, small}, Shared: "/etc/pve",
	})
	c := &cluster{newRunner(t, n, nspawn.Root), n.List[0]}
	c.limit = 10 * time.Minute
	c.vars = []string{"public_network=10.77.0.0/24", "cluster_network=10.77.0.0/24"}
	c.furnish(t)
	return c
}

// furnish gives the nodes what Proxmox VE would: its programs, and the files of a cluster.
func (c *cluster) furnish(t *testing.T) {
	t.Helper()
	var group, hosts, members, corosync strings.Builder
	for i, node := range c.nodes.List {
		for _, program := range []string{"pveceph", "pvesm", "lsblk"} {
			content, err := os.ReadFile(filepath.Join(playbooks, "ceph", program))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := node.ExecInput(t.Context(), string(content), "sh", "-euc", `cat >"/usr/local/bin/$1"; chmod 755 "/usr/local/bin/$1"`, "sh", program); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&group, "%q, ", node.Name)
		fmt.Fprintf(&hosts, "group \"the-%s\" {\n  hosts = [%q]\n  vars = {\n    ceph_address = %q\n    osd_devices = [%q]\n    slow_device = %q\n  }\n}\n",
			node.Name, node.Name, node.Address, node.Disks()[0], node.Disks()[1])
		fmt.Fprintf(&members, "%q: {\"id\": %d, \"online\": 1, \"ip\": %q},\n", node.Name, i+1, node.Address)
		fmt.Fprintf(&corosync, "  node {\n    name: %s\n    nodeid: %d\n    quorum_votes: 1\n    ring0_addr: %s\n  }\n", node.Name, i+1, node.Address)
	}
	for name, content := range map[string]string{
		"/etc/pve/.members":      fmt.Sprintf("{\"nodename\": \"pve1\", \"version\": 4, \"cluster\": {\"name\": \"e2e\", \"version\": 3, \"nodes\": 3, \"quorate\": 1},\n\"nodelist\": {\n%s}}\n", strings.TrimSuffix(members.String(), ",\n")),
		"/etc/pve/corosync.conf": "totem {\n  cluster_name: e2e\n  config_version: 3\n}\nnodelist {\n" + corosync.String() + "}\n",
	} {
		if _, err := c.first.ExecInput(t.Context(), content, "sh", "-euc", `cat >"$1"`, "sh", name); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, c.first, "mkdir -p /etc/pve/nodes /etc/pve/priv && ln -s nodes /etc/pve/local")
	// A directory of inventory files is read as one.
	dir := filepath.Dir(c.inventory)
	more := "group \"pve\" {\n  hosts = [" + strings.TrimSuffix(group.String(), ", ") + "]\n}\n" + hosts.String()
	if err := os.WriteFile(filepath.Join(dir, "ceph.hcl"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	c.inventory = dir
}

// ceph runs a command of ceph on a node.
func (c *cluster) ceph(t *testing.T, args ...string) string {
	t.Helper()
	return on(t, c.first, append([]string{"timeout", "60", "ceph"}, args...)...)
}

// read runs a command of ceph and decodes its JSON.
func (c *cluster) read(t *testing.T, into any, args ...string) {
	t.Helper()
	text := c.ceph(t, append(args, "--format", "json")...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("ceph %s: %v in:\n%s", strings.Join(args, " "), err, text)
	}
}

// want compares what a command of ceph prints.
func (c *cluster) want(t *testing.T, want string, args ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.ceph(t, args...)); diff != "" {
		t.Errorf("ceph %s (-want +got):\n%s", strings.Join(args, " "), diff)
	}
}

// await waits until a condition is there, and says what stands in its way.
func (c *cluster) await(t *testing.T, what string, met func() (obstacle string)) {
	t.Helper()
	deadline := time.Now().Add(settleLimit)
	for {
		obstacle := met()
		if obstacle == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %s", what, settleLimit, obstacle)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// awaitQuiet waits until Ceph has nothing left to do by itself: all placement groups are clean and as many
// as shall be, the autoscaler wants no others, and health is as it says.
func (c *cluster) awaitQuiet(t *testing.T, health string) {
	t.Helper()
	c.await(t, "quiet with "+health, func() string {
		var pools []struct {
			Name         string `json:"pool_name"`
			WouldAdjust  bool   `json:"would_adjust"`
			PGNum, Final int
		}
		c.read(t, &pools, "osd", "pool", "autoscale-status")
		for _, pool := range pools {
			if pool.WouldAdjust {
				return "the autoscaler wants to adjust pool " + pool.Name
			}
		}
		var detail []struct {
			Name    string `json:"pool_name"`
			Num     int    `json:"pg_num"`
			Target  int    `json:"pg_num_target"`
			Placing int    `json:"pg_placement_num"`
		}
		c.read(t, &detail, "osd", "pool", "ls", "detail")
		for _, pool := range detail {
			if pool.Num != pool.Target || pool.Num != pool.Placing {
				return fmt.Sprintf("pool %s has %d placement groups, %d of them placed, and shall have %d", pool.Name, pool.Num, pool.Placing, pool.Target)
			}
		}
		var status struct {
			Health struct{ Status string }
			PGMap  struct {
				Num    int `json:"num_pgs"`
				States []struct {
					Name  string `json:"state_name"`
					Count int
				} `json:"pgs_by_state"`
			}
		}
		c.read(t, &status, "status")
		for _, state := range status.PGMap.States {
			if !strings.HasPrefix(state.Name, "active+clean") {
				return fmt.Sprintf("%d of %d placement groups are %s", state.Count, status.PGMap.Num, state.Name)
			}
		}
		if status.Health.Status != health {
			return c.ceph(t, "health", "detail")
		}
		return ""
	})
}

// converge runs ceph.hcl from the networks on.
func (c *cluster) converge(t *testing.T, flags ...string) outcome {
	t.Helper()
	return c.run(t, "ceph.hcl", append([]string{"--start-at-task", cephFirstTask}, flags...)...)
}

// gates are the tasks that wait for Ceph: whether there is something to wait for, check mode cannot know.
var gates = []string{"G1.37 all placement groups are active and clean", "all is clean"}

// changes are the changed tasks of a run, gates aside, sorted.
func changes(o outcome) []string {
	tasks := slices.DeleteFunc(o.with("changed"), func(task string) bool {
		return slices.ContainsFunc(gates, func(gate string) bool { return strings.HasSuffix(task, gate) })
	})
	slices.Sort(tasks)
	return slices.Compact(tasks)
}

// repair runs check mode and then the run: both are to change these tasks and no others.
func (c *cluster) repair(t *testing.T, want ...string) {
	t.Helper()
	check := c.converge(t, "--check")
	check.wantCode(t, "check mode", exitOK)
	run := c.converge(t)
	run.wantCode(t, "the run", exitOK)
	for what, o := range map[string]outcome{"check mode": check, "the run": run} {
		if diff := cmp.Diff(want, changes(o)); diff != "" {
			t.Errorf("%s changed other tasks than expected (-want +got):\n%s", what, diff)
		}
	}
	t.Logf("check: %s", check.summary())
	t.Logf("run: %s", run.summary())
}

// message is what a run says of a task on a host: its message, hint and steps.
func (o outcome) message(host, task string) string {
	var all []string
	for _, line := range o.tasks {
		if line.Host == host && line.Task == task {
			all = append(append(all, line.Status, line.Message, line.Hint), append(line.Steps, line.Notes...)...)
		}
	}
	return strings.Join(all, "\n")
}

// TestCeph brings up Ceph on three nodes, and keeps it right.
func TestCeph(t *testing.T) {
	c := newCluster(t)
	t.Logf("kernel %s; %s; %s", shell(t, c.first, "uname -r"), c.ceph(t, "--version"), shell(t, c.first, "systemctl --version | head -1"))
	for _, part := range []struct {
		name string
		test func(*testing.T, *cluster)
	}{
		{"bring up", testCephBringUp},
		{"settings changed by hand", testCephSettings},
		{"OSDs changed by hand", testCephOSDs},
		{"stopped daemons", testCephStopped},
		{"refusals", testCephRefusals},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, c) }) {
			t.FailNow() // what follows would find another cluster than it expects
		}
	}
	for _, node := range c.nodes.List {
		cpu, err := node.CPU()
		t.Logf("processor time of %s: %s (%v)", node.Name, cpu.Round(time.Second), err)
	}
}

func testCephBringUp(t *testing.T, c *cluster) {
	check := c.converge(t, "--check")
	check.wantCode(t, "check mode", exitOK)
	if uncertain := check.with("uncertain"); len(uncertain) > 0 {
		t.Errorf("check mode was uncertain of %q", uncertain)
	}
	wantOn(t, c.first, "ls -A /etc/ceph /etc/pve/priv; find /var/lib/ceph -mindepth 2 -name '*ceph-*'", "/etc/ceph:\nrbdmap\n\n/etc/pve/priv:")

	first := c.converge(t)
	first.wantCode(t, "the first run", exitOK)
	for _, task := range first.tasks {
		if took := time.Duration(task.DurationMS) * time.Millisecond; took >= time.Second {
			t.Logf("%s: %s: %s after %s", task.Host, task.Task, task.Status, took.Round(100*time.Millisecond))
		}
	}
	if diff := cmp.Diff(changes(check), changes(first)); diff != "" {
		t.Errorf("check mode did not predict what the first run changed (-predicted +changed):\n%s", diff)
	}
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantSettings(t)
	c.wantServices(t)
	second := c.converge(t)
	second.wantUnchanged(t, "the second run")
	again := c.converge(t, "--check")
	again.wantUnchanged(t, "check mode of what has converged")
	t.Logf("check: %s", check.summary())
	t.Logf("first run: %s", first.summary())
	t.Logf("second run: %s", second.summary())
	t.Logf("check again: %s", again.summary())
	t.Logf("%s\n%s\n%s", c.ceph(t, "status"), c.ceph(t, "osd", "tree"), c.ceph(t, "osd", "pool", "ls", "detail"))
}

// wantSettings asserts rules, pools and file systems.
func (c *cluster) wantSettings(t *testing.T) {
	t.Helper()
	for _, pool := range []struct{ name, settings, application string }{
		{"vm-disks", "size: 4\nmin_size: 2\npg_num: 32\ncrush_rule: replicated_rule_osd\npg_autoscale_mode: warn", "rbd"},
		{"ha-disks", "size: 5\nmin_size: 3\npg_num: 16\ncrush_rule: replicated_rule_osd\npg_autoscale_mode: warn", "rbd"},
		{"archive", "size: 3\nmin_size: 2\npg_num: 16\ncrush_rule: slow_hosts\npg_autoscale_mode: off\npg_num_min: 8\ntarget_size_ratio: 0.25", "rgw"},
	} {
		wanted := strings.Split(pool.settings, "\n")
		have := strings.Split(c.ceph(t, "osd", "pool", "get", pool.name, "all"), "\n")
		for _, setting := range wanted {
			if !slices.Contains(have, setting) {
				t.Errorf("pool %s: expected %s; it has:\n%s", pool.name, setting, strings.Join(have, "\n"))
			}
		}
		c.want(t, "{\n    \""+pool.application+"\": {}\n}", "osd", "pool", "application", "get", pool.name)
	}
	type step struct {
		Op, Type, ItemName string
		Num                int
	}
	for name, want := range map[string][]step{
		"replicated_rule":     {{Op: "take", ItemName: "default"}, {Op: "chooseleaf_firstn", Type: "host"}, {Op: "emit"}},
		"replicated_rule_osd": {{Op: "take", ItemName: "default"}, {Op: "choose_firstn", Type: "osd"}, {Op: "emit"}},
		"slow_hosts":          {{Op: "take", ItemName: "default~hdd"}, {Op: "chooseleaf_firstn", Type: "host"}, {Op: "emit"}},
	} {
		var rule struct {
			Steps []struct {
				Op, Type string
				ItemName string `json:"item_name"`
				Num      int
			}
		}
		c.read(t, &rule, "osd", "crush", "rule", "dump", name)
		var have []step
		for _, s := range rule.Steps {
			have = append(have, step{s.Op, s.Type, s.ItemName, s.Num})
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("CRUSH rule %s (-want +got):\n%s", name, diff)
		}
	}
	c.want(t, "name: cephfs, metadata pool: cephfs_metadata, data pools: [cephfs_data ]", "fs", "ls")
}

// wantServices asserts daemons and health.
func (c *cluster) wantServices(t *testing.T) {
	t.Helper()
	names := []string{"pve1", "pve2", "pve3"}
	var quorum struct {
		Names []string `json:"quorum_names"`
	}
	c.read(t, &quorum, "quorum_status")
	slices.Sort(quorum.Names)
	if diff := cmp.Diff(names, quorum.Names); diff != "" {
		t.Errorf("monitors in quorum (-want +got):\n%s", diff)
	}
	var managers []struct{ Name string }
	c.read(t, &managers, "mgr", "metadata")
	if len(managers) != len(names) {
		t.Errorf("managers: %v, expected one of each node", managers)
	}
	if active, standbys := c.metadataServers(t); active == "" || len(standbys) != 2 {
		t.Errorf("metadata servers: active is %q, standing by are %q; expected one and two", active, standbys)
	}
	var tree struct {
		Nodes []struct {
			Name, Type, Status, Class string `json:",omitempty"`
			DeviceClass               string `json:"device_class"`
			Children                  []int
			ID                        int
			Reweight                  float64
		}
	}
	c.read(t, &tree, "osd", "tree")
	classes := map[int]string{}
	for _, node := range tree.Nodes {
		if node.Type == "osd" {
			classes[node.ID] = node.DeviceClass
			if node.Status != "up" || node.Reweight != 1 {
				t.Errorf("%s is %s with reweight %g, expected up and 1", node.Name, node.Status, node.Reweight)
			}
		}
	}
	for _, node := range tree.Nodes {
		if node.Type != "host" {
			continue
		}
		var here []string
		for _, id := range node.Children {
			here = append(here, classes[id])
		}
		slices.Sort(here)
		// Loop devices do not spin: that is Ceph's own judgement. The other class is what the task says.
		if diff := cmp.Diff([]string{"hdd", "ssd"}, here); diff != "" {
			t.Errorf("classes of the OSDs of %s (-want +got):\n%s", node.Name, diff)
		}
	}
	for _, node := range c.nodes.List {
		wantOn(t, node, `for type in mon mgr mds; do systemctl is-active "ceph-$type@$(uname -n)"; systemctl is-enabled "ceph-$type@$(uname -n)"; done; readlink /etc/ceph/ceph.conf`,
			strings.Repeat("active\nenabled\n", 3)+"/etc/pve/ceph.conf")
	}
	c.want(t, "HEALTH_OK", "health")
}

// metadataServers are the names of those that are active and that stand by.
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
	c.read(t, &dump, "fs", "dump")
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

// testCephSettings changes pools by hand, each in a way that hlplay puts right.
func testCephSettings(t *testing.T, c *cluster) {
	for _, set := range [][]string{
		{"vm-disks", "size", "3"},
		{"vm-disks", "pg_num", "16"}, // a way that takes its time: what counts is where it leads
		{"ha-disks", "crush_rule", "replicated_rule"},
		{"archive", "min_size", "3"},
		{"archive", "pg_num_min", "4"},
		{"archive", "target_size_ratio", "0.5"},
		{"archive", "pg_autoscale_mode", "on"},
	} {
		c.ceph(t, append([]string{"osd", "pool", "set"}, set...)...)
	}
	c.repair(t, "pve1: G1.46 G2.10 pools", "pve1: pool with every setting")
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantSettings(t)
	c.converge(t).wantUnchanged(t, "the run after that")
}

// testCephOSDs changes OSDs by hand. Whatever moves data is somebody's decision: hlplay tells, and lets it be.
func testCephOSDs(t *testing.T, c *cluster) {
	id := func(node *nspawn.Node, class string) string {
		return shell(t, node, `for id in $(ls /var/lib/ceph/osd | cut -d- -f2); do [ "$(ceph osd crush get-device-class $id)" != `+class+` ] || echo $id; done`)
	}
	slow, fast := id(c.nodes.Node("pve2"), "hdd"), id(c.nodes.Node("pve3"), "ssd")
	c.ceph(t, "osd", "reweight", fast, "0.75")
	c.ceph(t, "osd", "crush", "reweight", "osd."+fast, "0.005")
	c.awaitQuiet(t, "HEALTH_OK")
	c.converge(t).wantUnchanged(t, "a run with other weights")
	var tree struct {
		Nodes []struct {
			Name        string
			Reweight    float64
			CrushWeight float64 `json:"crush_weight"`
		}
	}
	c.read(t, &tree, "osd", "tree")
	for _, osd := range tree.Nodes {
		if osd.Name == "osd."+fast && (osd.Reweight != 0.75 || osd.CrushWeight < 0.0049 || osd.CrushWeight > 0.0051) {
			t.Errorf("%s has reweight %g and weight %g, expected 0.75 and 0.005 as set by hand", osd.Name, osd.Reweight, osd.CrushWeight)
		}
	}
	c.ceph(t, "osd", "reweight", fast, "1")

	c.ceph(t, "osd", "crush", "rm-device-class", "osd."+slow)
	c.ceph(t, "osd", "crush", "set-device-class", "nvme", "osd."+slow)
	c.ceph(t, "osd", "out", fast)
	check := c.converge(t, "--check")
	check.wantCode(t, "check mode with another class and an OSD that is out", exitOK)
	if changed := changes(check); len(changed) > 0 {
		t.Errorf("check mode would change %q, expected nothing", changed)
	}
	for _, want := range []struct{ host, task, text string }{
		{"pve2", "an OSD of class hdd", "osd." + slow + " has class nvme, the task says hdd; not changed"},
		{"pve3", "G1.36 G2.8 an OSD on each disk", "osd." + fast + " is out"},
	} {
		if said := check.message(want.host, want.task); !strings.Contains(said, want.text) {
			t.Errorf("%s on %s does not say %q:\n%s", want.task, want.host, want.text, said)
		}
	}
	c.ceph(t, "osd", "in", fast)
	c.ceph(t, "osd", "crush", "rm-device-class", "osd."+slow)
	c.ceph(t, "osd", "crush", "set-device-class", "hdd", "osd."+slow)
	c.awaitQuiet(t, "HEALTH_OK")
}

// testCephStopped stops an OSD, a monitor and a metadata server.
func testCephStopped(t *testing.T, c *cluster) {
	_, standbys := c.metadataServers(t)
	standbys = slices.DeleteFunc(standbys, func(name string) bool { return name == c.first.Name })
	victim := c.nodes.Node(standbys[0])
	osd := shell(t, victim, "ls /var/lib/ceph/osd | head -1 | cut -d- -f2")
	shell(t, victim, `systemctl stop "ceph-osd@`+osd+`" "ceph-mon@$(uname -n)" "ceph-mds@$(uname -n)"`)
	c.await(t, "Ceph notices", func() string {
		health := c.ceph(t, "health", "detail")
		_, standbys := c.metadataServers(t)
		switch {
		case !strings.Contains(health, "osd."+osd+" "), !strings.Contains(health, "mon."+victim.Name+" "), !strings.Contains(health, "PG_DEGRADED"):
			return health
		case slices.Contains(standbys, victim.Name):
			return "mds." + victim.Name + " still stands by"
		}
		return ""
	})
	t.Log(c.ceph(t, "health"))
	gate := c.run(t, "clean.hcl")
	gate.wantCode(t, "the gate with an OSD down", exitFailed)
	if failures := gate.failures(); !strings.Contains(failures, "undersized") {
		t.Errorf("the gate does not say in which states the placement groups are:\n%s", failures)
	}
	t.Log(strings.TrimSpace(gate.failures()))

	osdTask := "G1.36 G2.8 an OSD on each disk"
	if shell(t, victim, "ceph osd crush get-device-class "+osd) == "hdd" {
		osdTask = "an OSD of class hdd"
	}
	want := []string{victim.Name + ": " + osdTask, victim.Name + ": G1.34 G2.6 monitors, one by one", victim.Name + ": G1.40 G2.11 metadata servers, one by one"}
	slices.Sort(want)
	c.repair(t, want...)
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantServices(t)
	c.run(t, "clean.hcl").wantUnchanged(t, "the gate when all is clean")
	c.converge(t).wantUnchanged(t, "the run after that")
}

// testCephRefusals runs what must not be done.
func testCephRefusals(t *testing.T, c *cluster) {
	disk := c.first.Disks()[2]
	shell(t, c.first, "mkswap --quiet "+disk)
	state := func() string {
		return c.ceph(t, "osd", "pool", "ls", "detail") + c.ceph(t, "osd", "crush", "rule", "ls") + c.ceph(t, "osd", "tree") + shell(t, c.first, "cat /etc/pve/ceph.conf; blkid --probe "+disk)
	}
	before := state()
	c.vars = append(c.vars, "used="+disk)
	o := c.run(t, "refused.hcl")
	for task, text := range map[string]string{
		"a rule that exists and is different":           "CRUSH rule slow_hosts exists and is different: it is root default, failure domain host, class hdd",
		"a rule for a class that no OSD has":            "no OSD has class nvme; there are: hdd, ssd",
		"more copies than places":                       "4 copies need as many OSDs, and the rule can choose from 3",
		"more placement groups than the OSDs may carry": "Ceph allows 250 each",
		"a pool of another application":                 "pool archive is in use by application rgw, the task says cephfs",
		"a disk that is not blank":                      disk + " on pve1 is not blank: swap",
		"another network":                               "the public network of Ceph is \"10.77.0.0/24\", the task says \"10.78.0.0/24\"",
	} {
		if said := o.message("pve1", task); !strings.HasPrefix(said, "failed\n") || !strings.Contains(said, text) {
			t.Errorf("%s: expected a refusal that says %q, got:\n%s", task, text, said)
		}
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}
}
