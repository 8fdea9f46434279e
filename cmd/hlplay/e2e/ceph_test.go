//go:build linux && e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var recordTo = flag.String("record", "", "directory to write what ceph prints on the guides' cluster to, in the form of the recordings in engine/lab/proxmox/testdata/ceph16")

// TestCeph sets up Ceph on three nodes, and repairs changes to it.
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
			t.FailNow() // the rest relies on the cluster being in the expected state
		}
	}
	for _, node := range c.nodes.List {
		cpu, err := node.CPU()
		t.Logf("processor time of %s: %s (%v)", node.Name, cpu.Round(time.Second), err)
	}
}

// recorded are the commands to which the simulator has to respond in the same way.
var recorded = []string{
	"osd pool ls detail", "osd pool ls detail -f json", "osd pool autoscale-status", "osd pool autoscale-status -f json",
	"osd pool get archive all", "osd pool get archive all -f json", "osd pool application get archive", "osd crush rule ls", "osd crush rule dump -f json", "osd crush class ls",
	"osd tree", "osd tree -f json", "fs ls", "fs ls -f json", "mds stat", "mon stat", "quorum_status -f json", "mgr stat", "health detail", "health detail -f json",
	"osd dump -f json", "mgr metadata -f json",
}

// record writes the output of ceph to files.
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

// testCephSettings changes pools by hand. hlplay corrects each change.
func testCephSettings(t *testing.T, c *cluster) {
	c.change(t,
		"osd pool set vm-disks size 3",
		"osd pool set vm-disks pg_num 16",
		"osd pool set ha-disks crush_rule replicated_rule",
		"osd pool set archive min_size 3",
		"osd pool set archive pg_num_min 4",
		"osd pool set archive target_size_ratio 0.5",
		"osd pool set archive pg_autoscale_mode on")
	c.repair(t, "pve1: G1.46 G2.10 create the pools", "pve1: pool with every setting")
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantSettings(t)
}

// testCephOSDs changes OSDs by hand. Moving data is for the administrator to decide: hlplay reports such changes but
// does not correct them.
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
		{"pve3", "G1.36 G2.8 create an OSD on each disk", fmt.Sprintf("osd.%d is out", fast)},
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

	want := []string{victim.Name + ": G1.36 G2.8 create an OSD on each disk", victim.Name + ": G1.34 G2.6 create the monitors, one by one", victim.Name + ": G1.40 G2.11 create the metadata servers, one by one"}
	slices.Sort(want)
	c.repair(t, want...)
	c.awaitQuiet(t, "HEALTH_OK")
	c.wantServices(t)
	c.run(t, "clean.hcl").wantUnchanged(t, "the gate when all is clean")
}

// testCephRefusals attempts what hlplay must refuse.
func testCephRefusals(t *testing.T, c *cluster) {
	disk := c.first.Disks()[2]
	shell(t, c.first, "mkswap --quiet "+disk)
	state := func() string {
		return c.session(t, "plain", "osd pool ls detail", "osd crush rule ls", "osd tree") + shell(t, c.first, "cat /etc/pve/ceph.conf; blkid --probe "+disk)
	}
	before := state()
	o := c.run(t, "refused.hcl", "-e", "used="+disk)
	for task, text := range map[string]string{
		"a rule that exists and is different":           "CRUSH rule slow_hosts exists but is different: it is root default, failure domain host, class hdd",
		"a rule for a class that no OSD has":            "no OSD has class nvme; there are: hdd, ssd",
		"more copies than places":                       "4 copies need as many OSDs, but the rule can choose from only 3",
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
