package proxmox

import (
	"regexp"
	"time"
)

// liveCeph are the recordings of eight real OSDs.
var liveCeph = []liveScenario{
	{name: "flags, dry runs and the map", ceph: "18.2.7", setUp: (*testLab).poolsFour, steps: []liveStep{
		{play: "ceph-osd-flags", varies: regexp.MustCompile(`"num_(not_)?ok_pgs":\d+|"(bad|ok)_become_[a-z]+":\[[^]]*\]|\(\d+ PGs|have \d+ pgs`)},
		// In the recording, the balancer could not be loaded.
		{play: "ceph-osd-reweight-by-utilization.test", only: regexp.MustCompile(`^(moved|avg|stddev|min|max|oload|average|overload|Error EDOM|FAILED|no change|ID |-\d|  *\d|  *TOTAL|MIN)`),
			varies: regexp.MustCompile(`stddev \S+ -> \S+|osd\.\d with \d+ -> \d+ pgs \(\S+ -> \S+|\d[\d.]* (B|KiB|MiB)| *(SIZE|RAW USE|DATA|OMAP|META|AVAIL)|\d+ kb| +\d\.\d\d +\d\.\d\d( +\d+)?|\d\.\d\d/\d\.\d\d|STDDEV: .*| {2,}`)},
		{play: "crushtool-round-trip", only: regexp.MustCompile(`^[^{]`), varies: regexp.MustCompile(`stored : \d+|^\d\d$`)},
	}},
	{name: "an OSD is removed, a pool gets another rule", ceph: "18.2.7", setUp: (*testLab).poolsFour, steps: []liveStep{
		{play: "pveceph-osd-out-destroy"},
		// In the recording, the autoscaler could not be loaded, and there were objects.
		{play: "pveceph-pool-set.rule", only: regexp.MustCompile(`^(pool|skip|size|min_|pg|crush|hash|no|write|use|fast|eio|bulk|error)`)},
	}},
	{name: "a metadata server is stopped", ceph: "18.2.7", setUp: (*testLab).poolsFour, steps: []liveStep{{play: "mds-stopped.pve3-5s"}}},
}

// cephFour sets up the recorded cluster with its eight OSDs.
func (l *testLab) cephFour() {
	l.formFour()
	l.ok("pve1", "pveceph", "init", "--network", "10.77.0.0/24")
	for _, node := range []string{"pve1", "pve2", "pve3"} {
		l.ok(node, "pveceph", "mon", "create")
		l.clock.Advance(15 * time.Second)
	}
	for _, node := range []string{"pve2", "pve3", "pve4"} {
		l.ok(node, "pveceph", "mgr", "create")
	}
	l.world.at(func(v *view) {
		for _, c := range v.Ceph {
			c.NoModules = true
		}
	})
	used := map[string]int{}
	for _, node := range []string{"pve1", "pve3", "pve1", "pve2", "pve3", "pve2", "pve4", "pve4"} {
		l.ok(node, "pveceph", "osd", "create", []string{"/dev/sdb", "/dev/sdc"}[used[node]])
		l.clock.Advance(osdDelay)
		used[node]++
	}
	l.world.at(func(v *view) {
		for _, c := range v.Ceph {
			for _, o := range c.OSDs {
				o.Size, o.Weight = 12<<30, fixed(0.01169)
			}
		}
	})
	l.clock.Advance(time.Minute)
}

// poolsFour is cephFour with the recorded pools and file systems.
func (l *testLab) poolsFour() {
	l.cephFour()
	l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "replicated_rule_osd", "default", "osd")
	l.ok("pve1", "ceph", "osd", "crush", "rule", "create-replicated", "r_host", "default", "host")
	for _, pool := range [][]string{
		{"ha-disks", "--size", "5", "--min_size", "3", "--pg_num", "64", "--crush_rule", "replicated_rule_osd", "--pg_autoscale_mode", "warn"},
		{"vm-disks", "--size", "4", "--min_size", "2", "--pg_num", "64", "--crush_rule", "replicated_rule_osd", "--pg_autoscale_mode", "warn"},
	} {
		l.ok("pve1", append([]string{"pveceph", "pool", "create"}, pool...)...)
	}
	for _, node := range []string{"pve1", "pve2", "pve3", "pve4"} {
		l.ok(node, "pveceph", "mds", "create")
		l.clock.Advance(5 * time.Second)
	}
	l.ok("pve1", "pveceph", "fs", "create", "--pg_num", "32")
	l.clock.Advance(5 * time.Second)
	l.ok("pve1", "pveceph", "pool", "create", "t1", "--pg_num", "16", "--crush_rule", "r_host", "--pg_autoscale_mode", "off")
	l.ok("pve1", "pveceph", "pool", "create", "t2", "--pg_num", "8", "--pg_autoscale_mode", "on")
	l.ok("pve1", "pveceph", "fs", "create", "--name", "fs2", "--pg_num", "8")
	l.world.at(func(v *view) {
		for _, c := range v.Ceph {
			for _, p := range c.Pools {
				if p.Name == "ha-disks" || p.Name == "vm-disks" || p.Name == "t1" {
					p.Flags = append(p.Flags, "selfmanaged_snaps") // they contained an image
				}
			}
		}
	})
	l.clock.Advance(2 * time.Minute)
}
