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
// BlueStore, the CRUSH map, pools, placement groups and their health. hlplay runs the guides' own stages
// (playbooks/stages/ceph.hcl and pools.hcl, unchanged), starting with the networks.
//
// What is not: Proxmox VE. testdata/e2e/ceph has small programs in place of pveceph and pvesm, and /etc/pve is a
// directory that the nodes share. The packages are installed beforehand: Proxmox's Ceph, which the first task would
// install, is just a newer release of the same. Nor device mapper: containers have none, so there are no logical
// volumes as ceph-volume creates them, and no encrypted OSDs. OSDs use bare devices, and hlplay identifies their owner
// by what the OSDs report rather than by the names of volumes.
var cephPackages = []string{"ceph-common", "ceph-mds", "ceph-mgr", "ceph-mon", "ceph-osd"}

// cephFirstTask is the first task after the installation of packages.
const cephFirstTask = "G1.33 set Ceph's networks"

// settleLimit limits how long Ceph may take to settle, even on a slow machine.
const settleLimit = time.Hour

// cluster is three real nodes on which Ceph is set up.
type cluster struct {
	*runner
	nodes    *nspawn.Nodes
	first    *nspawn.Node // where ceph commands run
	networks []string     // variables of ceph.hcl
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

// furnish provides what Proxmox VE would provide on the nodes: its programs, and the files of a cluster.
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
	// A directory of inventory files is one inventory.
	dir := filepath.Dir(c.inventory)
	more := "group \"pve\" {\n  hosts = [" + strings.TrimSuffix(group.String(), ", ") + "]\n}\n" + hosts.String()
	if err := os.WriteFile(filepath.Join(dir, "ceph.hcl"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	c.inventory = dir
}

// ceph runs a command with ceph.
func (c *cluster) ceph(t *testing.T, args ...string) string {
	t.Helper()
	return on(t, c.first, append([]string{"timeout", "60", "ceph"}, args...)...)
}

// session runs commands in a single ceph, because starting it costs more than the commands do, and returns its output.
func (c *cluster) session(t *testing.T, format string, commands ...string) string {
	t.Helper()
	// It exits with 0 even if commands fail.
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

// await waits until a condition is met, and reports what is in the way otherwise.
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

// awaitQuiet waits until Ceph has nothing left to do by itself: all placement groups are clean and have their final
// number, the autoscaler does not want to change that, and the health status is health.
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

// converge runs ceph.hcl, starting with the networks.
func (c *cluster) converge(t *testing.T, flags ...string) outcome {
	t.Helper()
	for _, v := range c.networks {
		flags = append(flags, "-e", v)
	}
	return c.run(t, "ceph.hcl", append(flags, "--start-at-task", cephFirstTask)...)
}

// gates are the tasks that wait for Ceph. Check mode cannot know whether there is something to wait for.
var gates = []string{"G1.37 all placement groups are active and clean", "all is clean"}

// changes returns the changed tasks of a run without gates, sorted.
func changes(o outcome) []string {
	tasks := slices.DeleteFunc(o.with("changed"), func(task string) bool {
		return slices.ContainsFunc(gates, func(gate string) bool { return strings.HasSuffix(task, gate) })
	})
	slices.Sort(tasks)
	return slices.Compact(tasks)
}

// repair runs check mode and then the run. Both must change exactly these tasks.
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

// message returns what a run reports about a task on a host: its message, hint and steps.
func (o outcome) message(host, task string) string {
	var all []string
	for _, line := range o.tasks {
		if line.Host == host && line.Task == task {
			all = append(append(all, line.Status, line.Message, line.Hint), append(line.Steps, line.Notes...)...)
		}
	}
	return strings.Join(all, "\n")
}
