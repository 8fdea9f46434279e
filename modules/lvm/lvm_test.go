package lvm

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// recorded returns what vgs, pvs and lvs of LVM 2.03.16 printed about a group with a volume of each kind.
func recorded(t *testing.T) []remote.Answer {
	t.Helper()
	var all []remote.Answer
	for _, name := range []string{"vgs", "pvs", "lvs"} {
		out, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, remote.Answer{Stdout: out})
	}
	return all
}

// real is the recorded group.
var real = group{
	Name: "data", UUID: "60TKV1-HDed-24wt-ozjT-pp3Q-Lq4F-MeE0t5", Extent: 4 << 20, Extents: 510, Free: 373, Spare: 1,
	Disks: []physical{{Device: "/dev/sda", Extents: 255, Used: 136, Size: 1 << 30}, {Device: "/dev/sdb", Extents: 255, Used: 1, Size: 1 << 30}},
	Volumes: []logical{
		{Name: "lv", Layout: linear, Extents: 25, Active: true},
		{Name: "my-lv", Layout: linear, Extents: 10, Active: true},
		{Name: "pool", Layout: thinPool, Extents: 100, Metadata: 1, Active: true, Open: true},
		{Name: "thin1", Layout: thinVolume, Pool: "pool", Extents: 512, Active: true},
	},
}

func TestGroupsAreParsed(t *testing.T) {
	got := modulestest.Parsed(t, volumeGroups, []string{""}, recorded(t)...)
	if diff := cmp.Diff([]group{real}, got[""]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(a []remote.Answer){
		"no program": func(a []remote.Answer) { a[0] = remote.Answer{Exit: 127, Stderr: []byte("sh: vgs: not found\n")} },
		"not root": func(a []remote.Answer) {
			a[2] = remote.Answer{Exit: 5, Stderr: []byte("  /run/lock/lvm/P_global:aux: open failed: Permission denied\n")}
		},
		"not JSON":  func(a []remote.Answer) { a[1].Stdout = []byte("  PV VG\n") },
		"nothing":   func(a []remote.Answer) { a[1].Stdout = nil },
		"no report": func(a []remote.Answer) { a[1].Stdout = []byte(`{}`) },
		"not a count": func(a []remote.Answer) {
			a[0].Stdout = []byte(strings.Replace(string(a[0].Stdout), `"510"`, `"many"`, 1))
		},
		"attributes": func(a []remote.Answer) { a[0].Stdout = []byte(strings.Replace(string(a[0].Stdout), "wz--n-", "wz", 1)) },
		"no extent": func(a []remote.Answer) {
			a[0].Stdout = []byte(strings.Replace(string(a[0].Stdout), `"4194304"`, `""`, 1))
		},
	} {
		answers := recorded(t)
		change(answers)
		if all, err := parseGroups(answers); err == nil {
			t.Errorf("%s: %v, expected an error", name, all)
		}
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte(`{"report":[{"vg":[{"vg_name":"a","vg_uuid":"u","vg_attr":"wz--n-","vg_extent_size":"4194304"}]}]}`), []byte(`{"report":[{"pv":[{"vg_uuid":"u"}]}]}`), []byte(`{"report":[{"lv":[{"vg_uuid":"u","lv_size":"7"}]}]}`))
	f.Fuzz(func(t *testing.T, vgs, pvs, lvs []byte) {
		all, err := parseGroups([]remote.Answer{{Stdout: vgs}, {Stdout: pvs}, {Stdout: lvs}})
		if err == nil {
			complete(all, all)
		}
	})
}

// disk returns a blank disk of 1 GiB, whose serial is its name in upper case.
func disk(name string, change ...func(*observe.BlockDevice)) observe.BlockDevice {
	serial := strings.ToUpper(name)
	d := observe.BlockDevice{Name: name, Path: "/dev/" + name, Type: "disk", Size: 1 << 30, Serial: serial, Links: []string{"/dev/disk/by-id/ata-" + serial}}
	for _, c := range change {
		c(&d)
	}
	return d
}

// holds makes a disk a physical volume with logical volumes on it.
func holds(volumes ...observe.BlockDevice) func(*observe.BlockDevice) {
	return func(d *observe.BlockDevice) { d.Filesystem, d.UUID, d.Children = member, "PV-"+d.Name, volumes }
}

func mapped(path string, change ...func(*observe.BlockDevice)) observe.BlockDevice {
	d := observe.BlockDevice{Name: "dm-" + path, Path: "/dev/mapper/" + path, Type: "lvm", Size: 100 << 20}
	for _, c := range change {
		c(&d)
	}
	return d
}

func with(kind string, at ...string) func(*observe.BlockDevice) {
	return func(d *observe.BlockDevice) { d.Filesystem, d.Mountpoints = kind, at }
}

// usual returns the disks of the recorded group, with a file system on lv, and a blank one.
func usual() []observe.BlockDevice {
	volumes := []observe.BlockDevice{mapped("data-lv", with("ext4", "/srv/lv")), mapped("data-my--lv"), mapped("data-thin1"), mapped("data-pool")}
	return []observe.BlockDevice{disk("sda", holds(volumes...)), disk("sdb", holds()), disk("sdc")}
}

func host(devices []observe.BlockDevice, groups ...group) modules.Host {
	return observe.NewRecorded("pve1",
		observe.Disks.Expect("", devices), volumeGroups.Expect("", groups), observe.Files.Expect(program, observe.File{Type: observe.Regular}))
}

func TestPlan(t *testing.T) {
	blank := []observe.BlockDevice{disk("sda"), disk("sdb"), disk("sdc", with("ext4"))}
	for name, test := range map[string]struct {
		m    lvm
		h    modules.Host
		want []string
	}{
		"a group": {lvm{Disks: []string{"SDA", "/dev/sdb"}}, host(blank), []string{"create the volume group data on /dev/sda (SDA), /dev/sdb (SDB)"}},
		"a wiped disk": {lvm{Disks: []string{"ata-SDC"}, Wipe: []string{"SDC"}}, host(blank),
			[]string{"wipe ata-SDC (/dev/sdc, serial SDC): ext4", "create the volume group data on /dev/sdc (SDC)"}},
		"all kinds": {lvm{Disks: []string{"SDA", "SDB"},
			Volumes: []volume{{Name: "rest", Size: allFree}, {Name: "lv", Size: "99MiB"}, {Name: "half", Size: "50%VG"}, {Name: "thin", Size: "5GiB", Pool: "pool"}},
			Pools:   []poolArgs{{Name: "pool", Size: "400MiB"}}}, host(blank), []string{"create the volume group data on /dev/sda (SDA), /dev/sdb (SDB)",
			"create the thin pool data/pool (400 MiB, and 4 MiB for metadata)", "create the volume data/lv (100 MiB)", "create the volume data/half (1020 MiB)",
			"create the volume data/rest (512 MiB)", "create the thin volume data/thin (5 GiB) in pool"}},
		"a pool of all that is free": {lvm{Disks: []string{"SDA"}, Pools: []poolArgs{{Name: "pool", Size: allFree, Metadata: "8MiB"}}}, host(blank),
			[]string{"create the volume group data on /dev/sda (SDA)", "create the thin pool data/pool (1004 MiB, and 8 MiB for metadata)"}},
		"as it is": {lvm{Disks: []string{"SDA", "SDB"}, Volumes: []volume{{Name: "lv", Size: "100MiB"}, {Name: "thin1", Size: "2GiB", Pool: "pool"}},
			Pools: []poolArgs{{Name: "pool", Size: "397MiB"}}}, host(usual(), real), nil},
		"another disk": {lvm{Disks: []string{"SDA", "SDB", "SDC"}}, host(usual(), real), []string{"extend the volume group data by /dev/sdc (SDC)"}},
		"larger volumes": {lvm{Volumes: []volume{{Name: "lv", Size: "200MiB"}, {Name: "my-lv", Size: allFree}, {Name: "thin1", Size: "3GiB", Pool: "pool"}},
			Pools: []poolArgs{{Name: "pool", Size: "50%VG"}}}, host(usual(), real), []string{"grow data/pool from 400 MiB to 1020 MiB",
			"grow data/lv from 100 MiB to 200 MiB, with its ext4", "grow data/my-lv from 40 MiB to 812 MiB", "grow data/thin1 from 2 GiB to 3 GiB"}},
		"on a new disk": {lvm{Disks: []string{"SDA", "SDB", "SDC"}, Volumes: []volume{{Name: "big", Size: "2GiB"}}}, host(usual(), real),
			[]string{"extend the volume group data by /dev/sdc (SDC)", "create the volume data/big (2 GiB)"}},
		"removed": {lvm{Volumes: []volume{{Name: "my-lv", State: "absent"}, {Name: "gone", State: "absent"}, {Name: "thin1", State: "absent"}, {Name: "all", Size: allFree}}},
			host(usual(), real), []string{"remove the volume data/my-lv (40 MiB, no known contents) with all that is in it",
				"remove the volume data/thin1 (2 GiB, no known contents) with all that is in it", "create the volume data/all (1.5 GiB)"}},
		"nothing to remove": {lvm{Volumes: []volume{{Name: "my-lv", State: "absent"}}}, host(usual()), nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.m.Group = "data"
			if err := test.m.Validate(); err != nil {
				t.Fatal(err)
			}
			for i := range test.m.Volumes {
				test.m.Volumes[i] = defaults(test.m.Volumes[i])
			}
			var got []string
			for range 5 { // a partial plan is continued
				plan, err := test.m.Plan(t.Context(), test.h)
				if err != nil {
					t.Fatal(err)
				}
				for _, step := range plan.Steps {
					got = append(got, step.Summary)
					test.h.Predict(step.Expect)
				}
				if !plan.Partial {
					break
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if plan, err := test.m.Plan(t.Context(), test.h); err != nil || len(plan.Steps) > 0 {
				t.Errorf("planned again, there are %q (%v)", modulestest.Summaries(plan), err)
			}
		})
	}
}

func defaults(v volume) volume {
	v.ResizeFilesystem = true
	if v.State == "" {
		v.State = "present"
	}
	return v
}

// The commands get sizes in extents, so that LVM rounds nothing.
func TestCommands(t *testing.T) {
	m := &lvm{Group: "data", Volumes: []volume{{Name: "lv", Size: "150MiB"}, {Name: "my-lv", State: "absent"}, {Name: "t", Size: "1.001GiB", Pool: "p"}, {Name: "new", Size: "1GB"}},
		Pools: []poolArgs{{Name: "p", Size: "100MiB"}}}
	plan := modulestest.Converges(t, m, host(usual(), real))
	var got []string
	for _, step := range plan.Steps {
		got = append(got, strings.Join(step.Action.(modules.Run).Argv, " "))
		if destroys := strings.HasPrefix(step.Summary, "remove"); destroys != (step.Risk == modules.Destroys) {
			t.Errorf("%s has the risk %s", step.Summary, step.Risk)
		}
	}
	want := []string{
		"lvremove --yes data/my-lv",
		"lvcreate --yes --type thin-pool --name p --extents 25 --poolmetadatasize 4194304b data",
		"lvextend --extents 38 --resizefs --yes data/lv",
		"lvcreate --yes --name new --extents 239 data",
		"lvcreate --yes --type thin --name t --virtualsize 1077936128b --thinpool p data",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A file system that cannot be grown with its volume is left alone.
	for kind, resize := range map[string]bool{"btrfs": true, "ext4": false} {
		devices := []observe.BlockDevice{disk("sda", holds(mapped("data-lv", with(kind)))), disk("sdb", holds())}
		plan, err := (&lvm{Group: "data", Volumes: []volume{{Name: "lv", Size: "150MiB", ResizeFilesystem: resize}}}).Plan(t.Context(), host(devices, real))
		if err != nil || slices.Contains(plan.Steps[0].Action.(modules.Run).Argv, "--resizefs") || !slices.Contains(plan.Notes, "data/lv holds "+kind+", which is not grown with it") {
			t.Errorf("%s: %v, notes %q (%v)", kind, plan.Steps, plan.Notes, err)
		}
	}
}

func TestNotes(t *testing.T) {
	larger := real.clone()
	larger.Disks[1].Size = 2 << 30
	plan, err := (&lvm{Group: "data", Disks: []string{"SDA"}, Wipe: []string{"SDA"}, Volumes: []volume{{Name: "lv", Size: "1MiB"}}}).Plan(t.Context(), host(usual(), larger))
	if err == nil {
		t.Fatalf("a volume is shrunk: %v", plan)
	}
	plan, err = (&lvm{Group: "data", Disks: []string{"SDA"}, Wipe: []string{"SDA"}, Volumes: []volume{{Name: "lv", Size: "100MiB"}}}).Plan(t.Context(), host(usual(), larger))
	want := []string{
		"/dev/sdb is larger than what data uses of it: pvresize /dev/sdb makes the rest available",
		"data also has /dev/sdb, which the task does not name: not removed",
		"data also has my-lv, pool, thin1, which the task does not name: not changed",
		"wipe is no longer needed: remove it from the task, so that later data on the disks is never destroyed",
	}
	if diff := cmp.Diff(want, plan.Notes); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestRefused tests what is never done, whatever the playbook says.
func TestRefused(t *testing.T) {
	change := func(fn func(g *group)) group {
		g := real.clone()
		fn(&g)
		return g
	}
	other := group{Name: "pve", UUID: "P", Extent: 4 << 20, Extents: 255, Disks: []physical{{Device: "/dev/sdc", Extents: 255, Size: 1 << 30}}}
	taken := usual()
	taken[2] = disk("sdc", holds())
	root := usual()
	root[2] = disk("sdc", func(d *observe.BlockDevice) {
		d.Children = []observe.BlockDevice{{Name: "sdc1", Path: "/dev/sdc1", Type: "part", Mountpoints: []string{"/"}}}
	})
	system := []observe.BlockDevice{disk("sda", holds(mapped("data-lv", with("ext4", "/")), mapped("data-my--lv", with("swap", "[SWAP]")))), disk("sdb", holds()), disk("sdc")}
	disks := []string{"SDA", "SDB", "SDC"}
	absent := func(name string) lvm { return lvm{Volumes: []volume{{Name: name, State: "absent"}}} }
	for name, test := range map[string]struct {
		m    lvm
		h    modules.Host
		want string
	}{
		"shrink":               {lvm{Volumes: []volume{{Name: "lv", Size: "50MiB"}}}, host(usual(), real), "data/lv on pve1 has 100 MiB, and size is 50MiB: nothing is ever shrunk"},
		"shrink a pool":        {lvm{Pools: []poolArgs{{Name: "pool", Size: "1%VG"}}}, host(usual(), real), "data/pool on pve1 has 400 MiB"},
		"too large":            {lvm{Volumes: []volume{{Name: "new", Size: "1TiB"}}}, host(usual(), real), "data/new on pve1 needs 1 TiB, but data has only 1.46 GiB free"},
		"too large to grow":    {lvm{Volumes: []volume{{Name: "lv", Size: "1TiB"}}}, host(usual(), real), "data/lv on pve1 needs 1023.9 GiB"},
		"nothing is free":      {lvm{Volumes: []volume{{Name: "new", Size: allFree}}}, host(usual(), change(func(g *group) { g.Free = 0 })), "but data has only 0 B free"},
		"no room for metadata": {lvm{Pools: []poolArgs{{Name: "new", Size: allFree}}}, host(usual(), change(func(g *group) { g.Free = 1 })), "data/new on pve1 needs"},
		"a pool as a volume":   {lvm{Volumes: []volume{{Name: "pool", Size: "1GiB"}}}, host(usual(), real), "data/pool on pve1 is a thin pool, expected a volume with space of its own"},
		"a volume as a pool":   {lvm{Pools: []poolArgs{{Name: "lv", Size: "1GiB"}}}, host(usual(), real), "data/lv on pve1 is a volume with space of its own, expected a thin pool"},
		"a thin volume":        {lvm{Volumes: []volume{{Name: "thin1", Size: "9GiB"}}}, host(usual(), real), "data/thin1 on pve1 is a thin volume"},
		"another pool":         {lvm{Volumes: []volume{{Name: "thin1", Size: "9GiB", Pool: "p2"}}, Pools: []poolArgs{{Name: "p2", Size: "1%VG"}}}, host(usual(), real), "is in the thin pool pool, expected p2"},
		"no pool":              {lvm{Volumes: []volume{{Name: "new", Size: "9GiB", Pool: "lv"}}}, host(usual(), real), "data has no thin pool lv on pve1"},
		"mirrored":             {lvm{Volumes: []volume{{Name: "lv", Size: "1GiB"}}}, host(usual(), change(func(g *group) { g.Volumes[0].Layout = "raid,raid1" })), "is a volume of the kind raid,raid1, which is not grown here"},
		"not active":           {lvm{Volumes: []volume{{Name: "lv", Size: "1GiB"}}}, host(usual(), change(func(g *group) { g.Volumes[0].Active = false })), "is not active, and therefore cannot be grown: lvchange -ay data/lv"},
		"no group":             {lvm{Volumes: []volume{{Name: "lv", Size: "1GiB"}}}, host(taken, other), "pve1 has no volume group data, and disks names none to create it on; it has: pve"},
		"no disk":              {lvm{Disks: []string{"NONE"}}, host(usual()), "pve1 has no disk NONE"},
		"a disk is gone":       {lvm{Disks: []string{"SDA", "NONE"}}, host(usual(), real), "pve1 has no disk NONE"},
		"another's name":       {lvm{Disks: []string{"SDC"}}, host(usual(), real), "already has a volume group data, on /dev/sda (SDA), /dev/sdb (SDB), of which disks names none"},
		"another's disk":       {lvm{Disks: disks, Wipe: []string{"SDC"}}, host(taken, real, other), "SDC on pve1 belongs to the volume group pve"},
		"not blank":            {lvm{Disks: disks}, host(taken, real), "SDC on pve1 is not blank (LVM2_member)"},
		"the system's disk":    {lvm{Disks: disks, Wipe: []string{"SDC"}}, host(root, real), "SDC on pve1 holds the system"},
		"a volume as a disk":   {lvm{Disks: []string{"/dev/data/lv"}}, host(usual(), real), "/dev/data/lv on pve1 is a lvm: expected a disk or a partition"},
		"two groups":           {lvm{}, host(usual(), real, change(func(g *group) { g.UUID = "2" })), "pve1 has two volume groups named data"},
		"a disk is missing":    {lvm{}, host(usual(), change(func(g *group) { g.Partial = true })), "the volume group data of pve1 lacks a disk"},
		"exported":             {lvm{}, host(usual(), change(func(g *group) { g.Exported = true })), "is exported"},
		"shared":               {lvm{}, host(usual(), change(func(g *group) { g.Shared = true })), "is shared between hosts"},
		"read-only":            {lvm{}, host(usual(), change(func(g *group) { g.Fixed = true })), "cannot be changed"},
		"remove a mounted one": {absent("lv"), host(usual(), real), "data/lv on pve1 is in use, mounted at /srv/lv"},
		"remove the root":      {absent("lv"), host(system, real), "data/lv on pve1 holds the system"},
		"remove swap":          {absent("my-lv"), host(system, real), "data/my-lv on pve1 holds the system"},
		"remove a pool":        {absent("pool"), host(usual(), real), "data/pool on pve1 is a thin pool, which is never removed"},
		"remove an open one":   {absent("my-lv"), host(usual(), change(func(g *group) { g.Volumes[1].Open = true })), "data/my-lv on pve1 is in use: something has it open"},
		"remove an origin":     {absent("my-lv"), host(usual(), change(func(g *group) { g.Volumes[1].Origin = true })), "has snapshots, which would be removed with it"},
		"remove a mirror":      {absent("my-lv"), host(usual(), change(func(g *group) { g.Volumes[1].Layout = "raid,raid1" })), "which is not removed here"},
		"remove a held one": {absent("my-lv"), host([]observe.BlockDevice{disk("sda", holds(mapped("data-my--lv", func(d *observe.BlockDevice) {
			d.Children = []observe.BlockDevice{{Type: "crypt", Path: "/dev/mapper/secret"}}
		})))}, real), "is held by crypt /dev/mapper/secret"},
	} {
		t.Run(name, func(t *testing.T) {
			test.m.Group = "data"
			plan, err := test.m.Plan(t.Context(), test.h)
			if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
				t.Errorf("%d steps, %v; expected %q", len(plan.Steps), err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	sized := func(size, pool string) lvm {
		return lvm{Group: "g", Volumes: []volume{{Name: "a", Size: size, Pool: pool}}}
	}
	for _, test := range []struct {
		m    lvm
		want string // part of the error, or "" for none
	}{
		{lvm{Group: "g"}, ""},
		{lvm{Group: "-g"}, "cannot be a name"},
		{lvm{Group: ".."}, "cannot be a name"},
		{lvm{Group: "a/b"}, "cannot be a name"},
		{lvm{Group: "g", Disks: []string{}}, "disks: it is empty"},
		{lvm{Group: "g", Disks: []string{"a", "a"}}, "given twice"},
		{lvm{Group: "g", Disks: []string{"/dev/../etc/passwd"}}, "is not the path of a device"},
		{sized("100MiB", ""), ""}, {sized("50%VG", ""), ""}, {sized(allFree, ""), ""}, {sized("1.5 TiB", "p"), ""},
		{sized("", ""), "volume.size: that of a is missing"}, {sized("0%VG", ""), "is not a size"}, {sized("101%VG", ""), "is not a size"}, {sized("50%FREE", ""), "is not a size"},
		{sized("100", ""), "is not a size"}, {sized("-1GiB", ""), "is not a size"}, {sized(allFree, "p"), "does not take space of the group"}, {sized("50%VG", "p"), "does not take space of the group"},
		{sized("1GiB", "a"), "a cannot be in itself"},
		{lvm{Group: "g", Volumes: []volume{{Name: "a", Size: allFree}}, Pools: []poolArgs{{Name: "p", Size: allFree}}}, "p and a cannot both take all that is free"},
		{lvm{Group: "g", Volumes: []volume{{Name: "a", Size: "1GiB"}, {Name: "a", Size: "1GiB"}}}, "there are two blocks for \"a\""},
		{lvm{Group: "g", Volumes: []volume{{Name: "a", Size: "1GiB"}}, Pools: []poolArgs{{Name: "a", Size: "1GiB"}}}, "there are two blocks for \"a\""},
		{lvm{Group: "g", Volumes: []volume{{Name: "snapshot1", Size: "1GiB"}}}, "keeps for itself"},
		{lvm{Group: "g", Volumes: []volume{{Name: "a_tdata", Size: "1GiB"}}}, "keeps for itself"},
		{lvm{Group: "g", Volumes: []volume{{Name: "a_rimage_0", Size: "1GiB"}}}, "keeps for itself"},
		{lvm{Group: "g", Pools: []poolArgs{{Name: "p", Size: "1GiB", Metadata: "1MiB"}}}, "is not between 2MiB and 15GiB"},
		{lvm{Group: "g", Volumes: []volume{{Name: "old", State: "absent"}}}, ""},
		{lvm{Group: "pve", Volumes: []volume{{Name: "vm-100-disk-0", State: "absent"}}}, "named like a disk of guest 100"},
	} {
		err := test.m.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, expected %q", test.m, err, test.want)
		}
	}
}
