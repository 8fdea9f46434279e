package pveceph

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// runningConf returns the ceph.conf of a cluster with one monitor on pve1.
func runningConf() ceph.Conf {
	conf := ceph.Conf{Exists: true, Folder: true}
	for key, value := range map[string]string{
		"public_network": "10.10.10.11/24", "cluster_network": "10.10.20.0/24", "mon_host": " 10.10.10.11",
		"osd_pool_default_size": "3", "osd_pool_default_min_size": "2", "fsid": "f",
	} {
		conf = conf.With("global", key, value)
	}
	return conf.With("mon.pve1", "public_addr", "10.10.10.11")
}

var members = []string{"pve1", "pve2", "pve3"}

// node returns pve1 of a healthy cluster with two OSDs per host, modified by the given expectations.
func node(more ...observe.Expectation) *observe.Host {
	cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{}}
	known := []observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}),
		ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19, Conf: linkTarget, Mon: true, Mgr: true}),
		ceph.Confs.Expect("", runningConf()),
		ceph.Monitors.Expect("pve1", ceph.Monitor{InMap: true, InQuorum: true, Address: "10.10.10.11"}),
		ceph.Managers.Expect("pve1", ceph.Manager{InMap: true}),
		ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": existingPool()}),
		ceph.CrushRules.Expect("", map[string]ceph.CrushRule{
			"replicated_rule": {Root: "default", FailureDomain: "host"}, "by-osd": {Root: "default", FailureDomain: "osd"}, "odd": {Custom: true},
			"pairs": {Root: "default", FailureDomain: "host", PerDomain: 2},
		}),
		ceph.Spreads.Expect("", map[string]ceph.Spread{"odd": {PerHost: 1}}),
		ceph.FileSystems.Expect("", map[string]ceph.FileSystem{}),
		ceph.Distributions.Expect("", ceph.Distribution{}),
		ceph.Holdings.Expect("", ceph.Holding{}),
		observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{
			{Name: "a", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.10.11/24")}},
			{Name: "b", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.20.11/24")}},
		}}),
		observe.Files.Expect("/etc/ceph/ceph.conf", observe.File{}),
		ceph.Units.Expect("", active("mon@pve1", "mgr@pve1", "mds@pve1", "osd@0", "osd@1")),
	}
	for i, name := range members {
		cluster.Members[name] = pve.Member{ID: i + 1, Votes: 1, Online: true}
		known = append(known, ceph.OSDs.Expect(name, []ceph.OSD{
			{ID: 2 * i, Up: true, In: true, Class: "hdd", UUID: "aaaa-" + name, Devices: []string{"sdx"}},
			{ID: 2*i + 1, Up: true, In: true, Class: "hdd", UUID: "bbbb-" + name, Devices: []string{"sdy"}},
		}), ceph.MetadataServers.Expect(name, ceph.MetadataServer{}))
	}
	known = append(known, pve.Clusters.Expect("", cluster), observe.Disks.Expect("", disks()))
	return observe.NewRecorded("pve1", append(known, more...)...)
}

// active returns the units of running daemons.
func active(daemons ...string) map[string]string {
	units := map[string]string{}
	for _, daemon := range daemons {
		units["ceph-"+daemon+".service"] = "active"
	}
	return units
}

func existingPool() ceph.Pool {
	return ceph.Pool{ID: 2, Size: 3, MinSize: 2, PGs: 128, Rule: "replicated_rule", Autoscale: "warn", Applications: []string{"rbd"}}
}

// disks returns a disk of each kind that an operator may name by mistake, and a blank one.
func disks() []observe.BlockDevice {
	lv := func(uuid string) []observe.BlockDevice {
		return []observe.BlockDevice{{Name: "dm-0", Type: "lvm", Filesystem: "ceph_bluestore",
			Path: "/dev/mapper/ceph--1111-osd--block--" + strings.ReplaceAll(uuid, "-", "--")}}
	}
	return []observe.BlockDevice{
		{Name: "sda", Path: "/dev/sda", Type: "disk", PartitionTable: "gpt", Children: []observe.BlockDevice{
			{Name: "sda1", Path: "/dev/sda1", Type: "part", Filesystem: "ext4", Mountpoints: []string{"/"}}}},
		{Name: "sdb", Path: "/dev/sdb", Type: "disk", Size: 4e12, Rotational: true, Links: []string{"/dev/disk/by-id/blank"}},
		{Name: "sdc", Path: "/dev/sdc", Type: "disk", Filesystem: "LVM2_member", Children: lv("aaaa-pve1")},
		{Name: "sdd", Path: "/dev/sdd", Type: "disk", Filesystem: "LVM2_member", Children: lv("foreign-uuid")},
		{Name: "sde", Path: "/dev/sde", Type: "disk", Filesystem: "zfs_member"},
		{Name: "nvme0n1", Path: "/dev/nvme0n1", Type: "disk", Filesystem: "LVM2_member", Children: []observe.BlockDevice{
			{Name: "dm-9", Type: "lvm", Path: "/dev/mapper/ceph--2222-osd--db--3333"}}},
		{Name: "sdx", Path: "/dev/sdx", Type: "disk"},
		{Name: "sr0", Path: "/dev/sr0", Type: "rom"},
	}
}

func n(i int) *int { return &i }

// command returns the arguments of a plan's last command.
func command(t *testing.T, plan modules.Plan) string {
	t.Helper()
	for i := len(plan.Steps) - 1; i >= 0; i-- {
		if run, ok := plan.Steps[i].Action.(modules.Run); ok {
			if run.Limit == 0 {
				t.Errorf("%q has no limit", plan.Steps[i].Summary)
			}
			return strings.Join(run.Argv, " ")
		}
	}
	return ""
}

func TestPlans(t *testing.T) {
	downOSD := ceph.OSDs.Expect("pve1", []ceph.OSD{{ID: 0, UUID: "aaaa-pve1", In: true, Class: "hdd"}})
	clean := []observe.Expectation{ceph.Statuses.Expect("", ceph.Status{PGs: 3, Clean: 3}), ceph.Healths.Expect("", ceph.Health{Status: "HEALTH_OK"}), pve.HAs.Expect("", pve.HA{})}
	noout := ceph.Healths.Expect("", ceph.Health{Status: "HEALTH_WARN"}.WithFlags([]string{"noout"}))
	size4 := existingPool()
	size4.Size, size4.MinSize = 4, 2
	merging := existingPool()
	merging.PGs, merging.PGsNow = 64, 128
	scaled := existingPool()
	scaled.Autoscale, scaled.PGs = "on", 32
	stopped := ceph.Units.Expect("", active("osd@1"))
	bareConf := ceph.Confs.Expect("", ceph.Conf{})
	noDaemons := ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19})
	initialised := runningConf()
	delete(initialised.Sections["global"], "mon_host")
	delete(initialised.Sections, "mon.pve1")

	tests := []struct {
		name string
		m    Module
		host *observe.Host
		want string // the last command; empty for nothing to do
		note string
	}{
		{"init on nothing", Module{Init: &Init{Network: "10.10.10.0/24", ClusterNetwork: "10.10.20.0/24"}}, node(bareConf),
			"pveceph init --network 10.10.10.0/24 --cluster-network 10.10.20.0/24 --size 3 --min_size 2", ""},
		{"init on nothing, several networks", Module{Init: &Init{Network: "10.10.10.0/24,10.10.30.0/24"}}, node(bareConf),
			"sh -c " + severalNetworks + " sh /etc/pve/ceph.conf 10.10.10.0/24, 10.10.30.0/24 pveceph init --network 10.10.10.0/24 --size 3 --min_size 2", ""},
		{"init again with the same networks, typed otherwise", Module{Init: &Init{Network: "10.10.10.0/24", ClusterNetwork: "10.10.20.5/24"}}, node(), "", ""},
		{"init with another size is a note", Module{Init: &Init{Network: "10.10.10.0/24", ClusterNetwork: "10.10.20.0/24", Size: 4}}, node(), "", "osd_pool_default_size is 3"},
		{"init never rewrites networks when the folder is missing", Module{Init: &Init{Network: "10.10.10.0/24", ClusterNetwork: "10.10.20.0/24"}},
			node(ceph.Confs.Expect("", ceph.Conf{Exists: true, Sections: runningConf().Sections})), "pveceph init", ""},

		{"first monitor", Module{Mon: &Mon{}}, node(noDaemons, ceph.Confs.Expect("", initialised), ceph.Monitors.Expect("pve1", ceph.Monitor{}), ceph.Managers.Expect("pve1", ceph.Manager{})),
			"pveceph mon create --mon-address 10.10.10.11", ""},
		{"monitor in quorum", Module{Mon: &Mon{Address: "10.10.10.11"}}, node(), "", ""},
		{"three monitors", Module{Mon: &Mon{}}, node(ceph.Confs.Expect("", runningConf().With("mon.pve2", "public_addr", "10.10.10.12").With("mon.pve3", "public_addr", "10.10.10.13"))), "", ""},
		{"monitor at another address", Module{Mon: &Mon{Address: "10.10.10.99"}}, node(), "", "cannot change its address"},
		{"monitor that does not run", Module{Mon: &Mon{}}, node(ceph.Monitors.Expect("pve1", ceph.Monitor{InMap: true})), "systemctl enable --now ceph-mon@pve1.service", ""},
		{"first manager not in the map yet", Module{Mon: &Mon{}}, node(ceph.Managers.Expect("pve1", ceph.Manager{})), "systemctl enable --now ceph-mgr@pve1.service", ""},

		{"manager", Module{Mgr: &Mgr{}}, node(noDaemons, ceph.Managers.Expect("pve1", ceph.Manager{})), "pveceph mgr create", ""},
		{"manager that does not run", Module{Mgr: &Mgr{}}, node(ceph.Managers.Expect("pve1", ceph.Manager{})), "systemctl enable --now ceph-mgr@pve1.service", ""},
		{"monitor that was stopped a minute ago", Module{Mon: &Mon{}}, node(ceph.Units.Expect("", active("mgr@pve1"))), "systemctl enable --now ceph-mon@pve1.service", ""},
		{"manager that was stopped a minute ago", Module{Mgr: &Mgr{}}, node(stopped), "systemctl enable --now ceph-mgr@pve1.service", ""},
		{"metadata server that was stopped a minute ago", Module{MDS: &MDS{}},
			node(stopped, ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19, Conf: linkTarget, MDS: true}), ceph.MetadataServers.Expect("pve1", ceph.MetadataServer{State: "up:standby"})),
			"systemctl enable --now ceph-mds@pve1.service", ""},
		{"OSD that was stopped a minute ago", Module{OSD: &OSD{Device: "/dev/sdc"}}, node(stopped), "systemctl start ceph-osd@0.service", ""},
		{"OSD whose unit has failed", Module{OSD: &OSD{Device: "/dev/sdc"}},
			node(ceph.Units.Expect("", map[string]string{"ceph-osd@0.service": "failed"})), "systemctl start ceph-osd@0.service", ""},
		{"metadata server", Module{MDS: &MDS{}}, node(), "pveceph mds create", ""},
		{"metadata server there", Module{MDS: &MDS{}}, node(ceph.MetadataServers.Expect("pve1", ceph.MetadataServer{State: "up:active"})), "", ""},

		{"OSD on a blank disk", Module{OSD: &OSD{Device: "/dev/disk/by-id/blank", Class: "ssd", DBDevice: "/dev/nvme0n1", Encrypted: true}}, node(),
			"pveceph osd create /dev/disk/by-id/blank --crush-device-class ssd --db_dev /dev/nvme0n1 --encrypted 1", ""},
		{"OSD there, whatever the disk is called today", Module{OSD: &OSD{Device: "/dev/sdc"}}, node(), "", ""},
		{"OSD of another class is a note", Module{OSD: &OSD{Device: "/dev/sdc", Class: "ssd"}}, node(), "", "set-device-class ssd osd.0"},
		{"OSD down", Module{OSD: &OSD{Device: "/dev/sdc"}}, node(downOSD), "systemctl start ceph-osd@0.service", ""},

		{"rule", Module{Rule: &Rule{Name: "hdd", FailureDomain: "host", DeviceClass: "hdd"}}, node(),
			"ceph -c /etc/pve/ceph.conf --connect-timeout 10 osd crush rule create-replicated hdd default host hdd", ""},
		{"rule of two copies a host", Module{Rule: &Rule{Name: "two", FailureDomain: "host", PerDomain: 2, DeviceClass: "hdd"}}, node(),
			"sh -c " + insert + " sh /etc/pve/ceph.conf two default class hdd host 2 5 /var/backups/ceph-crushmap-", ""},
		{"rule of two copies a host there", Module{Rule: &Rule{Name: "pairs", FailureDomain: "host", PerDomain: 2}}, node(), "", ""},
		{"pool of five copies on three hosts", Module{Pool: &Pool{Name: "p", Size: n(5), MinSize: n(3), PGNum: n(32), CrushRule: "pairs"}}, node(),
			"pveceph pool create p --size 5 --min_size 3 --pg_num 32 --pg_autoscale_mode warn --crush_rule pairs --application rbd", ""},
		{"rule there", Module{Rule: &Rule{Name: "by-osd", FailureDomain: "osd"}}, node(), "", ""},

		{"pool", Module{Pool: &Pool{Name: "p", Size: n(4), MinSize: n(2), PGNum: n(64), CrushRule: "by-osd"}}, node(),
			"pveceph pool create p --size 4 --min_size 2 --pg_num 64 --pg_autoscale_mode warn --crush_rule by-osd --application rbd", ""},
		{"pool there", Module{Pool: &Pool{Name: "vm-disks", Size: n(3), MinSize: n(2), PGNum: n(128)}}, node(), "", ""},
		{"pool that says nothing", Module{Pool: &Pool{Name: "vm-disks"}}, node(ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": size4})), "", ""},
		{"size takes min_size along, and nothing else", Module{Pool: &Pool{Name: "vm-disks", Size: n(4), CrushRule: "by-osd"}}, node(),
			"pveceph pool set vm-disks --crush_rule by-osd --size 4 --min_size 2", ""},
		{"a pool that stops with one OSD", Module{Pool: &Pool{Name: "p", Size: n(3), MinSize: n(3), PGNum: n(64)}}, node(),
			"pveceph pool create p --size 3 --min_size 3 --pg_num 64 --pg_autoscale_mode warn --crush_rule replicated_rule --application rbd", "losing one OSD stops it; prefer min_size = 2"},
		{"placement groups that are just being merged", Module{Pool: &Pool{Name: "vm-disks", PGNum: n(128)}}, node(ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": merging})),
			"ceph -c /etc/pve/ceph.conf --connect-timeout 10 osd pool set vm-disks pg_num 128", ""},
		{"the autoscaler's pg_num is left alone", Module{Pool: &Pool{Name: "vm-disks", PGNum: n(128)}}, node(ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": scaled})), "", ""},

		{"a flag", Module{Flags: &Flags{Set: []string{"noout"}, Unset: []string{"norebalance"}}}, node(noout), "", ""},
		{"a flag more", Module{Flags: &Flags{Set: []string{"noout", "norebalance"}}}, node(noout), "ceph -c /etc/pve/ceph.conf --connect-timeout 10 osd set norebalance", ""},
		{"a flag less", Module{Flags: &Flags{Unset: []string{"noout"}}}, node(noout), "ceph -c /etc/pve/ceph.conf --connect-timeout 10 osd unset noout", ""},

		{"fs", Module{FS: &FS{PGNum: 32}}, node(ceph.MetadataServers.Expect("pve2", ceph.MetadataServer{State: "up:standby"})),
			"pveceph fs create --name cephfs --pg_num 32", ""},
		{"fs there", Module{FS: &FS{}}, node(ceph.FileSystems.Expect("", map[string]ceph.FileSystem{"cephfs": {Active: true}})), "", ""},
		{"disks", Module{Disks: &Disks{Devices: []string{"/dev/sdb", "/dev/sdc"}}}, node(), "", "/dev/sdb may refer to another disk after the next boot; /dev/disk/by-id/blank always refers to this one"},
		{"clean", Module{Clean: &Clean{}}, node(clean...), "", ""},
		{"clean says what was forgotten", Module{Clean: &Clean{}}, node(append(clean, ceph.Healths.Expect("", ceph.Health{Status: "HEALTH_OK", Out: map[int]string{3: "pve2"}}))...), "", "osd.3 on pve2 is out"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := modulestest.Decoded(&test.m).Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, &test.m, test.host)
			if got := command(t, plan); got != test.want || test.want == "" && len(plan.Steps) > 0 {
				t.Errorf("command %q, want %q; steps:\n%s", got, test.want, modulestest.Summaries(plan))
			}
			notes := strings.Join(plan.Notes, "\n")
			if !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

// Ceph creates .mgr by itself some time after the first OSDs. The task waits for the pool, and then changes it.
func TestPoolOfCephItself(t *testing.T) {
	m := &Module{Pool: &Pool{Name: ".mgr", Size: n(5), MinSize: n(3), CrushRule: "by-osd"}}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := modulestest.Converges(t, m, node())
	if len(plan.Steps) != 2 || !strings.Contains(plan.Steps[0].Summary, "wait until Ceph has created its pool .mgr") {
		t.Fatalf("steps:\n%s", modulestest.Summaries(plan))
	}
	want := "pveceph pool set .mgr --crush_rule by-osd --size 5 --min_size 3"
	if run, ok := plan.Steps[1].Action.(modules.Run); !ok || strings.Join(run.Argv, " ") != want {
		t.Errorf("then %+v, want %s", plan.Steps[1].Action, want)
	}
	there := ceph.Pool{ID: 1, Size: 3, MinSize: 2, PGs: 1, PGsMin: 1, Rule: "replicated_rule", Autoscale: "on", Applications: []string{"mgr"}}
	plan = modulestest.Converges(t, m, node(ceph.Pools.Expect("", map[string]ceph.Pool{".mgr": there})))
	if got := command(t, plan); got != want {
		t.Errorf("once it is there: %q, want %q", got, want)
	}
	if err := (&Module{Pool: &Pool{Name: "..", Size: n(3)}}).Validate(); err == nil {
		t.Error("a name of dots is accepted")
	}
}

func TestLinkComesBeforeTheManager(t *testing.T) {
	h := node(ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19}), ceph.Managers.Expect("pve1", ceph.Manager{}))
	plan := modulestest.Converges(t, &Module{Mgr: &Mgr{}}, h)
	want := modules.Link{Path: "/etc/ceph/ceph.conf", Target: "/etc/pve/ceph.conf"}
	if len(plan.Steps) != 2 {
		t.Fatalf("steps:\n%s", modulestest.Summaries(plan))
	}
	if diff := cmp.Diff(modules.Action(want), plan.Steps[0].Action); diff != "" {
		t.Errorf("a manager reads /etc/ceph/ceph.conf, which mgr create does not make; -want +got:\n%s", diff)
	}
}

// The first monitor is awaited together with its manager, and a further one alone.
func TestMonitorsAreAwaited(t *testing.T) {
	missing := []observe.Expectation{
		ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19}), ceph.Monitors.Expect("pve1", ceph.Monitor{}),
	}
	initialised, second := runningConf(), runningConf()
	delete(initialised.Sections["global"], "mon_host")
	delete(initialised.Sections, "mon.pve1")
	second.Sections["mon.pve2"] = second.Sections["mon.pve1"]
	delete(second.Sections, "mon.pve1")
	for name, test := range map[string]struct {
		conf  ceph.Conf
		await string
		until ceph.Condition
	}{
		"first":  {initialised, "mon.pve1 in the monitors' quorum, and mgr.pve1 active", ceph.FirstServes("pve1")},
		"second": {second, "mon.pve1 in the monitors' quorum", ceph.DaemonServes("mon", "pve1")},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &Module{Mon: &Mon{}}, node(append(missing, ceph.Confs.Expect("", test.conf))...))
			step := plan.Steps[len(plan.Steps)-1]
			if diff := cmp.Diff(test.until, step.Until); diff != "" || step.Await != test.await {
				t.Errorf("it awaits %q, want %q; until (-want +got):\n%s", step.Await, test.await, diff)
			}
		})
	}
}

func TestWaitingForCleanIsNoChange(t *testing.T) {
	h := node(ceph.Statuses.Expect("", ceph.Status{PGs: 3, Clean: 1, Others: map[string]int{"active+undersized": 2}}), ceph.Healths.Expect("", ceph.Health{}), pve.HAs.Expect("", pve.HA{}))
	plan := modulestest.Converges(t, &Module{Clean: &Clean{}}, h)
	if len(plan.Steps) != 1 || !plan.Steps[0].Refresh || plan.Steps[0].Settle == 0 {
		t.Fatalf("want one bounded wait that is no change, got %+v", plan.Steps)
	}
	if !strings.Contains(plan.Steps[0].Summary, "2 active+undersized") {
		t.Errorf("%q does not say what is not clean", plan.Steps[0].Summary)
	}
}

// What a rule that was made by hand does in the worst case is noted where it can be told, and otherwise that it cannot.
func TestPoolOfARuleMadeByHand(t *testing.T) {
	for want, spread := range map[string]ceph.Spread{
		"may put 2 of 3 copies on one host, and min_size is 2":                                   {PerHost: 2},
		"not known how many of its copies may share a host: its rule odd chooses more than once": {Unknown: "its rule odd chooses more than once"},
		"": {PerHost: 1},
	} {
		h := node(ceph.Spreads.Expect("", map[string]ceph.Spread{"odd": spread}))
		plan, err := modulestest.Decoded(&Module{Pool: &Pool{Name: "p", Size: n(3), MinSize: n(2), PGNum: n(32), CrushRule: "odd"}}).Plan(t.Context(), h)
		notes := strings.Join(plan.Notes, "\n")
		if err != nil || !strings.Contains(notes, want) || want == "" && notes != "" {
			t.Errorf("%q, %v; want %q", notes, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	erasure := existingPool()
	erasure.Erasure = true
	cephfs := existingPool()
	cephfs.Applications = []string{"cephfs"}
	lessOSDs := []observe.Expectation{ceph.OSDs.Expect("pve2", nil), ceph.OSDs.Expect("pve3", nil)}
	notQuorate := pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream"})
	gone := ceph.Nodes.Expect("", ceph.Node{Installed: true, Release: 19, Conf: linkTarget})
	noMon := ceph.Monitors.Expect("pve1", ceph.Monitor{})

	tree := func(buckets ...ceph.CrushBucket) observe.Expectation {
		m := ceph.CrushMap{Buckets: map[int]ceph.CrushBucket{}}
		for i, b := range buckets {
			m.Buckets[-1-i] = b
		}
		return ceph.CrushMaps.Expect("", m)
	}
	rackless := tree(ceph.CrushBucket{Name: "default", Type: "root", Items: []ceph.CrushItem{{Name: "pve1"}}}, ceph.CrushBucket{Name: "pve1", Type: "host"})
	racks := []observe.Expectation{
		tree(ceph.CrushBucket{Name: "default", Type: "root", Items: []ceph.CrushItem{{Name: "r1"}, {Name: "r2"}}}, ceph.CrushBucket{Name: "r1", Type: "rack"}, ceph.CrushBucket{Name: "r2", Type: "rack"}, ceph.CrushBucket{Name: "unused", Type: "rack"}),
		ceph.CrushRules.Expect("", map[string]ceph.CrushRule{"racks": {Root: "default", FailureDomain: "rack"}}),
	}

	tests := []struct {
		name string
		m    Module
		host *observe.Host
		want []string
	}{
		{"other public network", Module{Init: &Init{Network: "10.99.0.0/24"}}, node(), []string{"10.10.10.11/24", "10.99.0.0/24"}},
		{"a cluster network that would be erased", Module{Init: &Init{Network: "10.10.10.0/24"}}, node(), []string{"cluster network", "10.10.20.0/24"}},
		{"another public network instead of one of two", Module{Init: &Init{Network: "10.99.0.0/24, 10.98.0.0/24", ClusterNetwork: "10.10.20.0/24"}}, node(), []string{"10.10.10.11/24", "10.99.0.0/24"}},
		{"a public network more, and another cluster network", Module{Init: &Init{Network: "10.10.10.0/24, 10.99.0.0/24"}}, node(), []string{"public network", "10.99.0.0/24"}},
		{"init in a network where the host is not", Module{Init: &Init{Network: "10.99.0.0/24"}}, node(ceph.Confs.Expect("", ceph.Conf{})), []string{"no address in 10.99.0.0/24"}},
		{"init without quorum", Module{Init: &Init{Network: "10.10.10.0/24"}}, node(ceph.Confs.Expect("", ceph.Conf{}), notQuorate), []string{"no quorum"}},
		{"not installed", Module{Mgr: &Mgr{}}, node(ceph.Nodes.Expect("", ceph.Node{})), []string{"has no Ceph", "install"}},
		{"install was killed", Module{Mgr: &Mgr{}}, node(ceph.Nodes.Expect("", ceph.Node{Installed: true, Installing: true})), []string{"/run/pve-ceph-install-flag"}},
		{"a ceph.conf of its own", Module{Mgr: &Mgr{}}, node(ceph.Nodes.Expect("", ceph.Node{Installed: true, ForeignConf: true})), []string{"/etc/ceph/ceph.conf", "move it away"}},
		{"no monitor yet", Module{Mgr: &Mgr{}}, node(ceph.Confs.Expect("", ceph.Conf{})), []string{"no Ceph cluster yet"}},

		{"left-over store", Module{Mon: &Mon{}}, node(noMon), []string{"/var/lib/ceph/mon/ceph-pve1", "left over"}},
		{"store is gone", Module{Mon: &Mon{}}, node(gone), []string{"monitor map", "as after a reinstallation"}},
		{"section without monitor", Module{Mon: &Mon{}}, node(gone, noMon), []string{"[mon.pve1]"}},
		{"address elsewhere", Module{Mon: &Mon{Address: "10.99.0.1"}}, node(gone, noMon, ceph.Confs.Expect("", ceph.Conf{Exists: true, Folder: true,
			Sections: map[string]map[string]string{"global": {"public_network": "10.10.10.0/24"}}})), []string{"10.99.0.1", "10.10.10.11"}},
		{"section of a metadata server", Module{MDS: &MDS{}}, node(ceph.Confs.Expect("", runningConf().With("mds.pve1", "host", "pve1"))), []string{"pveceph mds destroy pve1"}},

		{"the system disk", Module{OSD: &OSD{Device: "/dev/sda"}}, node(), []string{"not blank", "gpt partition table", "ext4", "mounted at /", "contains the system"}},
		{"a disk of ZFS", Module{OSD: &OSD{Device: "/dev/sde"}}, node(), []string{"zfs_member"}},
		{"another cluster's OSD", Module{OSD: &OSD{Device: "/dev/sdd"}}, node(), []string{"an OSD that this cluster does not know"}},
		{"a blank disk that an OSD claims", Module{OSD: &OSD{Device: "/dev/sdx"}}, node(), []string{"blank, but osd.0 last ran on sdx"}},
		{"no such disk", Module{OSD: &OSD{Device: "/dev/sdq"}}, node(), []string{"no device /dev/sdq", "/dev/disk/by-id/blank (blank)", "/dev/sdc (osd.0)"}},
		{"a drive without disks", Module{OSD: &OSD{Device: "/dev/sr0"}}, node(), []string{"is a rom"}},
		{"database on a used disk", Module{OSD: &OSD{Device: "/dev/sdb", DBDevice: "/dev/sde"}}, node(), []string{"osd.db_device", "zfs_member"}},
		{"no address for replication", Module{OSD: &OSD{Device: "/dev/sdb"}}, node(observe.Networks.Expect("", observe.Network{})), []string{"cluster_network 10.10.20.0/24"}},
		{"all faults of a check at once", Module{Disks: &Disks{Devices: []string{"/dev/sda", "/dev/sde", "/dev/sdb"}}}, node(), []string{"/dev/sda", "/dev/sde"}},

		{"rule differs", Module{Rule: &Rule{Name: "by-osd", FailureDomain: "host"}}, node(), []string{"failure domain osd", "failure domain host", "another name"}},
		{"rule of one copy a host", Module{Rule: &Rule{Name: "pairs", FailureDomain: "host"}}, node(), []string{"failure domain host with up to 2 copies each, the task says root default, failure domain host;"}},
		{"pool of more copies than two a host", Module{Pool: &Pool{Name: "p", Size: n(5), CrushRule: "pairs"}}, node(ceph.OSDs.Expect("pve3", []ceph.OSD{{ID: 4, Up: true, In: true}}), ceph.OSDs.Expect("pve2", []ceph.OSD{{ID: 2, Up: true, In: true}, {ID: 3, Up: true}}),
			ceph.OSDs.Expect("pve1", []ceph.OSD{{ID: 0, Up: true, In: true}, {ID: 1, Up: true, In: true}, {ID: 5, Up: true, In: true}})), []string{"5 copies do not fit: the rule places at most 2 on a host", "room for 4"}},
		{"rule made by hand", Module{Rule: &Rule{Name: "odd", FailureDomain: "host"}}, node(), []string{"hand-made"}},
		{"class that nobody has", Module{Rule: &Rule{Name: "fast", FailureDomain: "host", DeviceClass: "nvme"}}, node(), []string{"no OSD has class nvme", "hdd"}},

		{"a rule over racks that are not there", Module{Rule: &Rule{Name: "r", FailureDomain: "rack"}}, node(rackless), []string{"root default has no bucket of type rack", "add the buckets to the CRUSH map first"}},
		{"a rule of a root that is not there", Module{Rule: &Rule{Name: "r", Root: "fast", FailureDomain: "rack"}}, node(rackless), []string{"no root fast; it has the buckets default, pve1"}},
		{"more copies than racks", Module{Pool: &Pool{Name: "p", Size: n(3), MinSize: n(2), CrushRule: "racks"}}, node(racks...), []string{"3 copies do not fit: the rule's root default has 2 buckets of type rack (r1, r2), with room for 2: set size to 2 or less"}},
		{"more copies than hosts", Module{Pool: &Pool{Name: "p", Size: n(4), MinSize: n(2)}}, node(), []string{"4 copies", "3"}},
		{"more copies than OSDs", Module{Pool: &Pool{Name: "p", Size: n(3), MinSize: n(2), CrushRule: "by-osd"}}, node(lessOSDs...), []string{"3 copies", "2"}},
		{"too many placement groups", Module{Pool: &Pool{Name: "p", Size: n(3), PGNum: n(512)}}, node(), []string{"mon_max_pg_per_osd", "250"}},
		{"more moves than is allowed", Module{Pool: &Pool{Name: "vm-disks", CrushRule: "by-osd", MaxMoved: "50%"}}, node(), []string{"up to 100.0 % of its data", "pool.max_moved is 50.0 %"}},
		{"unknown rule", Module{Pool: &Pool{Name: "p", CrushRule: "nosuch"}}, node(), []string{"no rule nosuch", "by-osd, odd, pairs, replicated_rule"}},
		{"erasure-coded", Module{Pool: &Pool{Name: "vm-disks", Size: n(3)}}, node(ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": erasure})), []string{"erasure-coded"}},
		{"another application's", Module{Pool: &Pool{Name: "vm-disks", Application: "rbd"}}, node(ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": cephfs})), []string{"application cephfs"}},

		{"no metadata server", Module{FS: &FS{}}, node(), []string{"mds {}"}},
		{"none stands by", Module{FS: &FS{}}, node(ceph.MetadataServers.Expect("pve1", ceph.MetadataServer{State: "up:active"})), []string{"all are busy", "pve1 (up:active)"}},
		{"pool of that name", Module{FS: &FS{Name: "x"}}, node(ceph.MetadataServers.Expect("pve1", ceph.MetadataServer{State: "up:standby"}),
			ceph.Pools.Expect("", map[string]ceph.Pool{"x_data": existingPool()})), []string{"x_data exists"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, err := modulestest.Decoded(&test.m).Plan(context.Background(), test.host)
			if err == nil {
				t.Fatalf("not refused; steps:\n%s", modulestest.Summaries(plan))
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	size, big, negative := 0.5, 1.5, -0.5
	tests := map[string]struct {
		m        Module
		argument string
	}{
		"no block":               {Module{}, "pveceph"},
		"two blocks":             {Module{Mgr: &Mgr{}, MDS: &MDS{}}, "pveceph"},
		"network twice":          {Module{Init: &Init{Network: "10.77.0.0/24,10.77.0.1/24"}}, "init.network"},
		"IPv4 and IPv6":          {Module{Init: &Init{Network: "10.77.0.0/24,fd00::/64"}}, "init.network"},
		"cluster network IPv6":   {Module{Init: &Init{Network: "10.77.0.0/24", ClusterNetwork: "fd00::/64"}}, "init.cluster_network"},
		"cluster networks":       {Module{Init: &Init{Network: "10.77.0.0/24", ClusterNetwork: "10.77.0.0/24,10.78.0.0/24"}}, "init.cluster_network"},
		"network":                {Module{Init: &Init{Network: "10.77.0.11"}}, "init.network"},
		"mon address":            {Module{Mon: &Mon{Address: "pve1"}}, "mon.address"},
		"kernel name":            {Module{OSD: &OSD{Device: "sdb"}}, "osd.device"},
		"one disk twice":         {Module{OSD: &OSD{Device: "/dev/sdb", DBDevice: "/dev/sdb"}}, "osd.db_device"},
		"small database":         {Module{OSD: &OSD{Device: "/dev/sdb", DBDevice: "/dev/sdc", DBSize: &size}}, "osd.db_size"},
		"empty rule name":        {Module{Rule: &Rule{FailureDomain: "osd"}}, "rule.name"},
		"empty domain":           {Module{Rule: &Rule{Name: "r"}}, "rule.failure_domain"},
		"no copy":                {Module{Rule: &Rule{Name: "r", FailureDomain: "host", PerDomain: -1}}, "rule.per_domain"},
		"two copies an OSD":      {Module{Rule: &Rule{Name: "r", FailureDomain: "osd", PerDomain: 2}}, "rule.per_domain"},
		"min_size 1":             {Module{Pool: &Pool{Name: "p", Size: n(2), MinSize: n(1)}}, "pool.min_size"},
		"min_size over size":     {Module{Pool: &Pool{Name: "p", Size: n(2), MinSize: n(3)}}, "pool.min_size"},
		"size 1":                 {Module{Pool: &Pool{Name: "p", Size: n(1)}}, "pool.size"},
		"no power of two":        {Module{Pool: &Pool{Name: "p", PGNum: n(100)}}, "pool.pg_num"},
		"slash in a name":        {Module{Pool: &Pool{Name: "p/4"}}, "pool.name"},
		"few PGs":                {Module{FS: &FS{PGNum: 4}}, "fs.pg_num"},
		"weight of no OSD":       {Module{Weight: &Weight{OSD: "3", Crush: &size}}, "weight.osd"},
		"no weight":              {Module{Weight: &Weight{OSD: "osd.3"}}, "weight"},
		"a reweight above 1":     {Module{Weight: &Weight{OSD: "osd.3", Reweight: &big}}, "weight.reweight"},
		"a negative weight":      {Module{Weight: &Weight{OSD: "osd.3", Crush: &negative}}, "weight.crush"},
		"no percentage":          {Module{Weight: &Weight{OSD: "osd.3", Crush: &size, MaxMoved: "0.1"}}, "weight.max_moved"},
		"no limit":               {Module{Pool: &Pool{Name: "p", MaxMoved: "half"}}, "pool.max_moved"},
		"a default of one copy":  {Module{Conf: &Conf{Section: "global", Settings: map[string]string{"osd_pool_default_size": "1"}}}, "conf.settings"},
		"one copy is enough":     {Module{Conf: &Conf{Section: "global", Settings: map[string]string{"osd_pool_default_min_size": "1"}}}, "conf.settings"},
		"another cluster's id":   {Module{Conf: &Conf{Section: "global", Settings: map[string]string{"fsid": "x"}}}, "conf.settings"},
		"two lines of a value":   {Module{Conf: &Conf{Section: "mon", Settings: map[string]string{"x": "1\n[osd]"}}}, "conf.settings"},
		"no section":             {Module{Conf: &Conf{Section: "pools", Settings: map[string]string{"x": "1"}}}, "conf.section"},
		"no UUID":                {Module{OSDAbsent: &OSDAbsent{ID: 1, FSID: "1"}}, "osd_absent.fsid"},
		"no share of an OSD":     {Module{OSDAbsent: &OSDAbsent{ID: 1, FSID: gone, MaxMoved: "0.1"}}, "osd_absent.max_moved"},
		"no number of an OSD":    {Module{OSDAbsent: &OSDAbsent{ID: -1, FSID: gone}}, "osd_absent.id"},
		"flags without any":      {Module{Flags: &Flags{}}, "flags"},
		"a flag set and unset":   {Module{Flags: &Flags{Set: []string{"noout"}, Unset: []string{"noout"}}}, "flags.unset"},
		"no flag":                {Module{Flags: &Flags{Unset: []string{"full"}}}, "flags.unset"},
		"a flag misspelt":        {Module{Health: &Health{Allow: []string{"no-out"}}}, "health.allow"},
		"a name with a blank":    {Module{Health: &Health{Allow: []string{"pve 1"}}}, "health.allow"},
		"no time":                {Module{Health: &Health{Timeout: -1}}, "health.timeout"},
		"one disk checked twice": {Module{Disks: &Disks{Devices: []string{"/dev/sdb", "/dev/sdb"}}}, "disks.devices"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var fault *modules.ArgumentError
			if err := modulestest.Decoded(&test.m).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
				t.Errorf("%v, want a fault in %s", err, test.argument)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	for want, all := range map[modules.Scope][]Module{
		modules.EachHost:       {{Install: &Install{}}, {Link: &Link{}}, {Mgr: &Mgr{}}, {OSD: &OSD{}}, {Disks: &Disks{}}, {OSDAbsent: &OSDAbsent{}}},
		modules.OneByOne:       {{Mon: &Mon{}}, {MDS: &MDS{}}},
		modules.OncePerCluster: {{Init: &Init{}}, {Rule: &Rule{}}, {Pool: &Pool{}}, {FS: &FS{}}, {Clean: &Clean{}}, {Health: &Health{}}, {Flags: &Flags{}}, {Weight: &Weight{}}},
	} {
		for _, m := range all {
			if got := m.Scope(); got != want {
				t.Errorf("%v has scope %d, want %d", m.parts(), got, want)
			}
		}
	}
}

// Monitors are counted over all hosts of a task, with those that exist.
func TestMonitorsAreCounted(t *testing.T) {
	plan, err := modulestest.Decoded(&Module{Mon: &Mon{}}).Plan(t.Context(), node(ceph.Confs.Expect("", runningConf().With("mon.pve2", "public_addr", "10.10.10.12"))))
	if err != nil || plan.Tally == nil || plan.Tally.Run {
		t.Fatalf("%+v, %v", plan.Tally, err)
	}
	if note, err := plan.Tally.Judge(plan.Tally.Names); err != nil || note != "2 monitors (pve1, pve2) survive the loss of 0, no more than 1 would: use 3" {
		t.Errorf("%q, %v", note, err)
	}
	if note, _ := judgeMonitors([]string{"a", "b", "c", "d"}); !strings.HasSuffix(note, "survive the loss of 1, no more than 3 would: use 3 or 5") {
		t.Errorf("%q", note)
	}
	if note, _ := judgeMonitors([]string{"a", "b", "c"}); note != "" {
		t.Errorf("%q", note)
	}
}

func TestExplain(t *testing.T) {
	err := explain(255, nil, []byte("unable to get monitor info from DNS SRV with service name: ceph-mon\nmonitor address '10.77.0.11' already in use\n"))
	if err == nil || err.Error() != "monitor address '10.77.0.11' already in use" {
		t.Errorf("%v: the line about DNS is printed on success, too", err)
	}
}
