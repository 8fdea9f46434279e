package proxmox

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/shell"
)

// recordedCluster sets up the cluster of the recordings: monitors on three nodes, managers on two, and two OSDs of 1 TB
// per node, except osd.3, which is half as large.
func recordedCluster(osds int) func(l *testLab) {
	return func(l *testLab) {
		l.form("lab", 3)
		l.ok("pve1", "pveceph", "init", "--network", "10.10.10.0/24")
		for _, node := range []string{"pve1", "pve2", "pve3"} {
			l.ok(node, "pveceph", "mon", "create")
			l.clock.Advance(15 * time.Second)
		}
		l.ok("pve2", "pveceph", "mgr", "create")
		for i := range osds {
			l.ok(fmt.Sprintf("pve%d", i/2+1), "pveceph", "osd", "create", "/dev/"+[]string{"sdb", "sdc"}[i%2])
		}
		l.world.at(func(v *view) {
			for _, c := range v.Ceph {
				for _, o := range c.OSDs {
					o.Weight, o.Class = fixed(0.90970), "hdd"
					if o.ID == 3 {
						o.Weight = fixed(0.45479)
					}
				}
			}
		})
		l.clock.Advance(time.Minute)
		l.world.at(func(v *view) {
			for _, c := range v.Ceph {
				for _, p := range c.Pools {
					p.ID, c.NextPool = 2, 3 // an older pool had been removed
				}
			}
		})
	}
}

// guidesCluster sets up what the end-to-end test creates on three nodes with testdata/e2e/ceph.hcl: two OSDs of 4 GiB
// on each node, one of which has its own class.
func guidesCluster(l *testLab) {
	nodes := []string{"pve1", "pve2", "pve3"}
	l.form("lab", 3)
	l.ok("pve1", "pveceph", "init", "--network", "10.77.0.0/24")
	for _, node := range nodes {
		l.ok(node, "pveceph", "mon", "create")
		l.clock.Advance(15 * time.Second)
	}
	for _, node := range nodes[1:] {
		l.ok(node, "pveceph", "mgr", "create")
	}
	for _, node := range guidesOSDs[:3] {
		l.ok(node, "pveceph", "osd", "create", "/dev/sdb")
	}
	for _, node := range guidesOSDs[3:] {
		l.ok(node, "pveceph", "osd", "create", "/dev/sdc")
	}
	l.world.at(func(v *view) {
		for _, c := range v.Ceph {
			// The OSD that started first did not have the lowest number.
			c.Classes = []string{"ssd", "hdd"}
			c.Hosts = map[string]int{"pve1": -3, "pve2": -5, "pve3": -7}
			for _, o := range c.OSDs {
				o.Weight, o.Class = fixed(0.0039), "ssd"
				if o.ID >= 3 {
					o.Class = "hdd"
				}
			}
		}
	})
	l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "replicated_rule_osd", "default", "osd")
	l.ok("pve1", "pveceph", "pool", "create", "ha-disks", "--size", "5", "--min_size", "3", "--pg_num", "16", "--crush_rule", "replicated_rule_osd")
	l.ok("pve1", "pveceph", "pool", "create", "vm-disks", "--size", "4", "--min_size", "2", "--pg_num", "32", "--crush_rule", "replicated_rule_osd")
	for _, node := range nodes {
		l.ok(node, "pveceph", "mds", "create")
		l.clock.Advance(5 * time.Second)
	}
	l.ok("pve1", "pveceph", "fs", "create", "--pg_num", "32")
	l.ok("pve1", "ceph", "osd", "pool", "set", "cephfs_metadata", "pg_num", "32") // as the autoscaler did while the pool was new
	l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "slow_hosts", "default", "host", "hdd")
	l.ok("pve1", "pveceph", "pool", "create", "archive", "--pg_num", "16", "--pg_num_min", "8", "--crush_rule", "slow_hosts", "--application", "rgw", "--pg_autoscale_mode", "off", "--target_size_ratio", "0.25")
	l.clock.Advance(2 * time.Minute)
}

// guidesOSDs are the nodes of guidesCluster's OSDs, by number.
var guidesOSDs = []string{"pve2", "pve3", "pve1", "pve2", "pve3", "pve1"}

// cephScenario replays a directory of recordings in the order of their numbers.
type cephScenario struct {
	dir   string
	setUp func(l *testLab)
	// network is the nodes' network with a trailing dot; empty means 10.10.10.
	network string
	// before are changes to make before the recording with a number.
	before map[int]func(l *testLab)
}

var cephScenarios = []cephScenario{
	{dir: "12-three-mons-two-mgr-no-osd", setUp: recordedCluster(0)},
	{dir: "13-adding-osds", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		l.ok("pve1", "pveceph", "stop", "--service", "osd.0")
		l.world.at(func(v *view) {
			for _, c := range v.Ceph {
				c.OSDs[0].Booted, c.OSDs[0].Up = false, false // created, and never started
			}
		})
		l.clock.Advance(time.Minute)
	}},
	{dir: "20-healthy-no-user-pools", setUp: recordedCluster(6)},
	{dir: "21-client-errors", setUp: recordedCluster(0)},
	{dir: "30-crush-rules", setUp: recordedCluster(6)},
	{dir: "31-pools", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "replicated_rule_osd", "default", "osd")
		l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "rule_hdd_osd", "default", "osd", "hdd")
	}},
	{dir: "50-osd-crush-ops", setUp: recordedCluster(6), before: map[int]func(l *testLab){122: func(l *testLab) {
		l.ok("pve3", "ceph", "osd", "getcrushmap", "-o", "/tmp/cm.bin")
	}}},
	{dir: "52-fs-mds", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		l.world.at(func(v *view) {
			for _, c := range v.Ceph {
				c.NextPool = 17
			}
		})
	}, before: map[int]func(l *testLab){13: func(l *testLab) {
		l.world.at(func(v *view) {
			for _, c := range v.Ceph {
				if r := fsNew(v, c, []string{"cephfs", "cephfs_metadata", "cephfs_data"}); r.errno != 0 {
					l.t.Fatal(r.err)
				}
			}
		})
	}, 21: func(l *testLab) {
		l.ok("pve1", "pveceph", "mds", "create")
		l.clock.Advance(10 * time.Second)
		l.ok("pve2", "pveceph", "mds", "create")
		l.clock.Advance(10 * time.Second)
	}}},
	{dir: "60-no-quorum", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		for _, node := range []string{"pve1", "pve2"} {
			l.ok(node, "pveceph", "stop", "--service", "mon."+node)
		}
		l.clock.Advance(time.Minute)
	}},
	{dir: "61-one-osd-down", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		l.ok("pve1", "ceph", "osd", "pool", "create", "vmpool", "64")
		l.clock.Advance(time.Minute)
	}, before: map[int]func(l *testLab){75: func(l *testLab) {
		l.ok("pve1", "ceph", "osd", "set", "noout")
		l.ok("pve3", "pveceph", "stop", "--service", "osd.5")
		l.clock.Advance(time.Minute)
	}}},
	{dir: "64-one-mon-down", setUp: func(l *testLab) {
		recordedCluster(6)(l)
		l.ok("pve2", "pveceph", "stop", "--service", "mon.pve2")
		l.clock.Advance(time.Minute)
	}},
	{dir: "80-guides", network: "10.77.0.", setUp: guidesCluster},
	{dir: "67-clean-repeats", setUp: recordedCluster(6), before: map[int]func(l *testLab){7: func(l *testLab) {
		l.ok("pve3", "pveceph", "stop", "--service", "osd.5")
		l.clock.Advance(2 * time.Second)
	}}},
}

func TestReplayCeph(t *testing.T) {
	for _, s := range cephScenarios {
		t.Run(s.dir, func(t *testing.T) {
			network := s.network
			if network == "" {
				network = "10.10.10."
			}
			l := newLab(t, labOptions{debian: "bookworm", network: network, ceph: "16.2.15"})
			s.setUp(l)
			entries, err := testdata.ReadDir("testdata/ceph16/" + s.dir)
			if err != nil {
				t.Fatal(err)
			}
			done := map[int]bool{}
			for _, e := range entries {
				n, _ := strconv.Atoi(e.Name()[:3])
				for _, number := range sortedKeys(s.before) {
					if number <= n && !done[number] {
						done[number] = true
						s.before[number](l)
					}
				}
				tr := readTranscript(t, path.Join("testdata/ceph16", s.dir, e.Name()))
				compareCeph(t, tr, l.replayCeph(tr))
			}
		})
	}
}

func (l *testLab) replayCeph(tr transcript) result {
	l.t.Helper()
	argv, err := shell.Fields(tr.command, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if argv[0] == "timeout" {
		argv = argv[2:]
	}
	if slices.Contains(argv, "/nonexistent") {
		return l.run("pve3", "", argv...)
	}
	return l.run("pve3", "", argv...)
}

// cephMeasured are keys whose values depend on how the recorded daemons were started, on time, or on numbers that a
// build generates. Only their presence and type are compared.
var cephMeasured = regexp.MustCompile(`^(epoch|fsid|created|modified|election_epoch|quorum_age|.*_since|last_.*|create_time|crush_version|flags_num|.*nonce|.*_addrs?|addrs?|addrvec|uuid|up_from|up_thru|gid|.*features.*|quorum_con|bytes_.*|.*_ratio|pool_max|max_avail|` +
	`device_ids|device_paths|devices|.*bdev.*|cpu|distro.*|kernel_.*|mem_.*|os|objectstore_.*|created_at|hostname|arch|.*_iface|services|servicemap|modules|item|min_compat_client|removed_snaps_queue|lost_at|down_at|state_seq|incarnation|mdsmap_.*|compat|default_fscid|id|min_mon_release.*|cluster_fingerprint|timestamp|.*_committed|osdmap_clean_epochs|auth|(pool|osd)_sum.*|(pool|osd)_stats|num_pg_by_osd|paxos|num_ok_pgs|num_not_ok_pgs|bad_become_.*|ok_become_.*|rotational|journal_rotational|default_device_class)$`)

// cephIgnored are the parts that the simulator omits or adds.
var cephIgnored = []string{
	"ok_become_more_degraded", // the simulator does not tell those that are degraded already from the others
	"bluestore_bdev_dev_node", // the recorded OSDs were on files
	"osd_xinfo", "crush_node_flags", "choose_args", "available_modules", "erasure_code_profiles", "blocklist", "blacklist", "pools_with_options", "stretch_mode",
}

func compareCeph(t *testing.T, tr transcript, got result) {
	t.Helper()
	if tr.code != got.code {
		t.Errorf("%s: exit %d, the real one %d: %s", tr.name, got.code, tr.code, got.stderr)
		return
	}
	normal := func(s string) string {
		for _, n := range cephNormal {
			s = n.ReplaceAllString(s, "X")
		}
		return s
	}
	if diff := cmp.Diff(normal(tr.stderr), normal(got.stderr)); diff != "" {
		t.Errorf("%s: stderr (-real +simulated):\n%s", tr.name, diff)
	}
	var want, have any
	if json.Unmarshal([]byte(tr.stdout), &want) == nil && json.Unmarshal([]byte(got.stdout), &have) == nil {
		if diff := cmp.Diff(cephShape(want, ""), cephShape(have, "")); diff != "" {
			t.Errorf("%s: stdout (-real +simulated):\n%s", tr.name, diff)
		}
		return
	}
	if diff := cmp.Diff(normal(tr.stdout), normal(got.stdout)); diff != "" {
		t.Errorf("%s: stdout (-real +simulated):\n%s", tr.name, diff)
	}
}

// cephNormal matches ages, epochs and IDs in texts.
var cephNormal = []*regexp.Regexp{
	regexp.MustCompile(`(last_change|epoch|election epoch|lfor|osdmap e|e)\s?\d[\d/]*`), regexp.MustCompile(`lfor \S+ `), regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.+]+`),
	regexp.MustCompile(`\d+ (pgs currently mapped|PGs are or would become)`), regexp.MustCompile(`gids \d+`),
	regexp.MustCompile(`pgp_num_target \d+ `), regexp.MustCompile(`^report \d+`),
}

// cephShape returns a value with measured values replaced by their type.
func cephShape(value any, key string) any {
	if cephMeasured.MatchString(key) {
		return fmt.Sprintf("%T", value)
	}
	switch value := value.(type) {
	case map[string]any:
		for _, k := range sortedKeys(value) {
			if slices.Contains(cephIgnored, k) {
				delete(value, k)
				continue
			}
			value[k] = cephShape(value[k], k)
		}
		return value
	case []any:
		for i := range value {
			value[i] = cephShape(value[i], "")
		}
		if key == "state" || key == "flags_set" {
			slices.SortFunc(value, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return value
	case float64:
		return float32(value)
	}
	return value
}
