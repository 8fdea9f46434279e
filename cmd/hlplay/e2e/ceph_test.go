//go:build linux && e2e

package e2e

import (
	"encoding/json"
	"flag"
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

var recordTo = flag.String("record", "", "directory to write what ceph prints on the guides' cluster to, in the form of the recordings in engine/lab/proxmox/testdata/ceph16")

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
const settleLimit = time.Hour

// cluster is three real nodes that are to carry Ceph.
type cluster struct {
	*runner
	nodes    *nspawn.Nodes
	first    *nspawn.Node // which ceph commands run on
	networks []string     // what ceph.hcl has to be told
}

// newCluster boots the nodes.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	const disk, small = 4 << 30, 64 << 20
	n := startNodesWith(t, nspawn.Options{
		Names: []string{"pve1", "pve2", "pve3"}, Packages: cephPackages, Disks: []int64{disk, disk, small}, Shared: "/etc/pve",
	})
	c := &cluster{runner: newRunner(t, n, nspawn.Root), nodes: n, first: n.List[0]}
	c.networks = []string{"public_network=10.77.0.0/24", "cluster_network=10.77.0.0/24"}
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
		fmt.Fprintf(&hosts, "group \"the-%s\" {\n  hosts = [%q]\n  vars = {\n    domain = \"example.org\"\n    ceph_address = %q\n    osd_devices = [%q]\n    slow_device = %q\n  }\n}\n",
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

// ceph runs a command of ceph.
func (c *cluster) ceph(t *testing.T, args ...string) string {
	t.Helper()
	return on(t, c.first, append([]string{"timeout", "60", "ceph"}, args...)...)
}

// session gives commands to one ceph, whose start costs more than what it does, and returns what it printed.
func (c *cluster) session(t *testing.T, format string, commands ...string) string {
	t.Helper()
	// It ends with 0 whatever became of the commands.
	const script = `ceph --format "$1" 2>/tmp/e2e-ceph && ! grep -q ^Error /tmp/e2e-ceph || { cat /tmp/e2e-ceph >&2; exit 1; }`
	out, err := c.first.ExecInput(t.Context(), strings.Join(commands, "\n")+"\n", "timeout", "60", "sh", "-c", script, "sh", format)
	if err != nil {
		t.Fatalf("ceph, %q: %v", commands, err)
	}
	return out
}

// change runs commands that print nothing.
func (c *cluster) change(t *testing.T, commands ...string) {
	t.Helper()
	c.session(t, "plain", commands...)
}

// read runs commands and decodes what each prints, as JSON.
func (c *cluster) read(t *testing.T, commands []string, into ...any) {
	t.Helper()
	text := c.session(t, "json", commands...)
	decoder := json.NewDecoder(strings.NewReader(text))
	for i := range into {
		if err := decoder.Decode(into[i]); err != nil {
			t.Fatalf("ceph %s: %v in:\n%s", commands[i], err, text)
		}
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
		time.Sleep(time.Second)
	}
}

// awaitQuiet waits until Ceph has nothing left to do by itself: all placement groups are clean and as many
// as shall be, the autoscaler wants no others, and health is as it says.
func (c *cluster) awaitQuiet(t *testing.T, health string) {
	t.Helper()
	c.await(t, "quiet with "+health, func() string {
		var pools []struct {
			Name        string `json:"pool_name"`
			WouldAdjust bool   `json:"would_adjust"`
		}
		var detail []struct {
			Name    string `json:"pool_name"`
			Num     int    `json:"pg_num"`
			Target  int    `json:"pg_num_target"`
			Placing int    `json:"pg_placement_num"`
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
		c.read(t, []string{"osd pool autoscale-status", "osd pool ls detail", "status"}, &pools, &detail, &status)
		for _, pool := range pools {
			if pool.WouldAdjust {
				return "the autoscaler wants to adjust pool " + pool.Name
			}
		}
		for _, pool := range detail {
			if pool.Num != pool.Target || pool.Num != pool.Placing {
				return fmt.Sprintf("pool %s has %d placement groups, %d of them placed, and shall have %d", pool.Name, pool.Num, pool.Placing, pool.Target)
			}
		}
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
	for _, v := range c.networks {
		flags = append(flags, "-e", v)
	}
	return c.run(t, "ceph.hcl", append(flags, "--start-at-task", cephFirstTask)...)
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

// recorded are the commands that the simulator is to answer in the same way.
var recorded = []string{
	"osd pool ls detail", "osd pool ls detail -f json", "osd pool autoscale-status", "osd pool autoscale-status -f json",
	"osd pool get archive all", "osd pool get archive all -f json", "osd pool application get archive", "osd crush rule ls", "osd crush rule dump -f json", "osd crush class ls",
	"osd tree", "osd tree -f json", "fs ls", "fs ls -f json", "mds stat", "mon stat", "quorum_status -f json", "mgr stat", "health detail", "health detail -f json",
	"osd dump -f json", "mgr metadata -f json",
}

// record writes what ceph prints.
func (c *cluster) record(t *testing.T) {
	t.Helper()
	for i, command := range recorded {
		out := shell(t, c.first, "ceph "+command+" 2>/tmp/e2e-stderr; echo exit=$? >/tmp/e2e-exit; printf .")
		out = strings.TrimSuffix(out, ".")
		stderr := strings.TrimSuffix(shell(t, c.first, "cat /tmp/e2e-stderr; printf ."), ".")
		text := fmt.Sprintf("# %s, on the cluster of testdata/e2e/ceph.hcl\n$ ceph %s\n--- stdout (%d bytes)\n%s", c.ceph(t, "--version"), command, len(out), out)
		if !strings.HasSuffix(out, "\n") {
			text += "\n"
		}
		text += fmt.Sprintf("--- stderr (%d bytes)\n%s", len(stderr), stderr)
		if stderr != "" && !strings.HasSuffix(stderr, "\n") {
			text += "\n"
		}
		text += shell(t, c.first, "cat /tmp/e2e-exit") + "\n"
		name := fmt.Sprintf("%03d-%s.txt", i+1, strings.NewReplacer(" -f ", ".", " ", "-", "_", "-").Replace(command))
		if err := os.WriteFile(filepath.Join(*recordTo, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
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
	if *recordTo != "" {
		c.record(t)
	}
	second := c.converge(t)
	second.wantUnchanged(t, "the second run")
	t.Logf("check: %s", check.summary())
	t.Logf("first run: %s", first.summary())
	t.Logf("second run: %s", second.summary())
	t.Logf("%s\n%s\n%s", c.ceph(t, "status"), c.ceph(t, "osd", "tree"), c.ceph(t, "osd", "pool", "ls", "detail"))
}

// osd is what the cluster says of an OSD.
type osd struct {
	ID                    int
	Host, Class, Status   string
	Reweight, CrushWeight float64
}

// osds are all OSDs, in the order of the tree.
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

// osd is the one of that class on a host.
func (c *cluster) osd(t *testing.T, host, class string) osd {
	t.Helper()
	all := c.osds(t)
	at := slices.IndexFunc(all, func(o osd) bool { return o.Host == host && o.Class == class })
	if at < 0 {
		t.Fatalf("no OSD of class %s on %s: %v", class, host, all)
	}
	return all[at]
}

// poolSettings are settings of a pool as Ceph has them.
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
		// Loop devices do not spin: that is Ceph's own judgement. The other class is what the task says. The tree is
		// sorted by classes.
		if classes[node.Name] != "hdd ssd " {
			t.Errorf("%s has OSDs of the classes %s, expected hdd ssd", node.Name, classes[node.Name])
		}
		wantOn(t, node, `for type in mon mgr mds; do systemctl is-active "ceph-$type@$(uname -n)"; systemctl is-enabled "ceph-$type@$(uname -n)"; done; readlink /etc/ceph/ceph.conf`,
			strings.Repeat("active\nenabled\n", 3)+"/etc/pve/ceph.conf")
	}
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

// testCephSettings changes pools by hand, each in a way that hlplay puts right.
func testCephSettings(t *testing.T, c *cluster) {
	c.change(t,
		"osd pool set vm-disks size 3",
		"osd pool set vm-disks pg_num 16",
		"osd pool set ha-disks crush_rule replicated_rule",
		"osd pool set archive min_size 3",
		"osd pool set archive pg_num_min 4",
		"osd pool set archive target_size_ratio 0.5",
		"osd pool set archive pg_autoscale_mode on")
	c.repair(t, "pve1: G1.46 G2.10 pools", "pve1: pool with every setting")
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantSettings(t)
}

// testCephOSDs changes OSDs by hand. Whatever moves data is somebody's decision: hlplay tells, and lets it be.
func testCephOSDs(t *testing.T, c *cluster) {
	slow, fast := c.osd(t, "pve2", "hdd").ID, c.osd(t, "pve3", "ssd").ID
	c.change(t, fmt.Sprintf("osd reweight %d 0.75", fast), fmt.Sprintf("osd crush reweight osd.%d 0.005", fast))
	c.awaitQuiet(t, "HEALTH_OK")
	c.converge(t).wantUnchanged(t, "a run with other weights")
	if osd := c.osd(t, "pve3", "ssd"); osd.Reweight != 0.75 || osd.CrushWeight < 0.0049 || osd.CrushWeight > 0.0051 {
		t.Errorf("osd.%d has reweight %g and weight %g, expected 0.75 and 0.005 as set by hand", fast, osd.Reweight, osd.CrushWeight)
	}
	reclass := func(class string) []string {
		return []string{fmt.Sprintf("osd crush rm-device-class osd.%d", slow), fmt.Sprintf("osd crush set-device-class %s osd.%d", class, slow)}
	}
	c.change(t, append(reclass("nvme"), fmt.Sprintf("osd reweight %d 1", fast), fmt.Sprintf("osd out %d", fast))...)
	check := c.converge(t, "--check")
	check.wantCode(t, "check mode with another class and an OSD that is out", exitOK)
	if changed := changes(check); len(changed) > 0 {
		t.Errorf("check mode would change %q, expected nothing", changed)
	}
	for _, want := range []struct{ host, task, text string }{
		{"pve2", "an OSD of class hdd", fmt.Sprintf("osd.%d has class nvme, the task says hdd; not changed", slow)},
		{"pve3", "G1.36 G2.8 an OSD on each disk", fmt.Sprintf("osd.%d is out", fast)},
	} {
		if said := check.message(want.host, want.task); !strings.Contains(said, want.text) {
			t.Errorf("%s on %s does not say %q:\n%s", want.task, want.host, want.text, said)
		}
	}
	c.change(t, append(reclass("hdd"), fmt.Sprintf("osd in %d", fast))...)
	c.awaitQuiet(t, "HEALTH_OK")
}

// testCephStopped stops an OSD, a monitor and a metadata server.
func testCephStopped(t *testing.T, c *cluster) {
	_, standbys := c.metadataServers(t)
	standbys = slices.DeleteFunc(standbys, func(name string) bool { return name == c.first.Name })
	victim := c.nodes.Node(standbys[0])
	down := c.osd(t, victim.Name, "ssd").ID
	shell(t, victim, fmt.Sprintf(`systemctl stop ceph-osd@%d "ceph-mon@$(uname -n)" "ceph-mds@$(uname -n)"`, down))
	c.await(t, "Ceph notices what has stopped", func() string {
		health := c.ceph(t, "health", "detail")
		_, standbys := c.metadataServers(t)
		switch {
		case !strings.Contains(health, fmt.Sprintf("osd.%d ", down)), !strings.Contains(health, "mon."+victim.Name+" "), !strings.Contains(health, "undersized"):
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

	want := []string{victim.Name + ": G1.36 G2.8 an OSD on each disk", victim.Name + ": G1.34 G2.6 monitors, one by one", victim.Name + ": G1.40 G2.11 metadata servers, one by one"}
	slices.Sort(want)
	c.repair(t, want...)
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantServices(t)
	c.run(t, "clean.hcl").wantUnchanged(t, "the gate when all is clean")
}

// testCephRefusals runs what must not be done.
func testCephRefusals(t *testing.T, c *cluster) {
	disk := c.first.Disks()[2]
	shell(t, c.first, "mkswap --quiet "+disk)
	state := func() string {
		return c.session(t, "plain", "osd pool ls detail", "osd crush rule ls", "osd tree") + shell(t, c.first, "cat /etc/pve/ceph.conf; blkid --probe "+disk)
	}
	before := state()
	o := c.run(t, "refused.hcl", "-e", "used="+disk)
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
