package raid

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// disk returns a disk of 1 TB, modified by change unless that is nil.
func disk(n int, change func(*observe.BlockDevice)) observe.BlockDevice {
	letter := string(rune('a' + n))
	d := observe.BlockDevice{
		Name: "sd" + letter, Path: "/dev/sd" + letter, Type: "disk", Size: 1e12, Serial: fmt.Sprintf("S%d", n), Rotational: true,
		Links: []string{fmt.Sprintf("/dev/disk/by-id/ata-S%d", n)},
	}
	if change != nil {
		change(&d)
	}
	return d
}

const id = "0b7ba5e2-1111-2222-3333-444455556666"

// in makes a disk a member of the array md127, which is named after bulk.
func in(d *observe.BlockDevice) {
	d.Filesystem, d.UUID = signature, id
	d.Children = []observe.BlockDevice{{Name: "md127", Path: "/dev/md127", Type: "raid6", Size: 2e12, Links: []string{"/dev/md/bulk"}}}
}

func host(devices []observe.BlockDevice, found ...array) modules.Host {
	return observe.NewRecorded("pve1",
		observe.Disks.Expect("", devices),
		arrays.Expect("", found),
		observe.Files.Expect(program, observe.File{Type: observe.Regular}),
		observe.Files.Expect("/etc/mdadm", observe.File{Type: observe.Directory}),
		observe.Files.Expect(confFile, observe.File{Type: observe.Regular, Content: []byte("MAILADDR root\nARRAY /dev/md/bulk metadata=1.2 name=pve1:bulk UUID=0b7ba5e2:11112222:33334444:55556666\n")}),
		observe.StaleInitramfs.Expect(confFile, false),
		observe.InstalledKernels.Expect("", []string{"6.1.0-1-amd64"}),
	)
}

// bulk returns the array of the disks 1 to 4, modified by change.
func bulk(change func(*array)) array {
	a := array{Name: "md127", Level: "raid6", State: "clean", Disks: 4, Sync: "idle", Members: []member{{Device: "sdb"}, {Device: "sdc", Slot: 1}, {Device: "sdd", Slot: 2}, {Device: "sde", Slot: 3}}}
	if change != nil {
		change(&a)
	}
	return a
}

func TestPlan(t *testing.T) {
	members := []observe.BlockDevice{disk(1, in), disk(2, in), disk(3, in), disk(4, in)}
	listing := "list /dev/md/bulk in /etc/mdadm/mdadm.conf\n  rebuild the initramfs images of all kernels"
	for name, test := range map[string]struct {
		devices []observe.BlockDevice
		arrays  []array
		disks   string
		wipe    string
		want    string
	}{
		"new":                {[]observe.BlockDevice{disk(1, nil), disk(2, nil), disk(3, nil), disk(4, nil)}, nil, "S1 ata-S2 /dev/disk/by-id/ata-S3 /dev/sde", "", "create RAID 6 /dev/md/bulk of 4 disks: /dev/sdb (S1), /dev/sdc (S2), /dev/sdd (S3), /dev/sde (S4)\n  " + listing},
		"there":              {members, []array{bulk(nil)}, "S1 S2 S3 S4", "", ""},
		"one is gone":        {append(members[:3:3], disk(5, nil)), []array{bulk(func(a *array) { a.Members, a.Degraded = a.Members[:3], 1 })}, "S1 S2 S3 S5", "", "add /dev/sdf (S5) to /dev/md/bulk, in place of a missing disk"},
		"one has failed":     {append(members[:4:4], disk(5, nil)), []array{bulk(func(a *array) { a.Members[3].Failed, a.Members[3].Slot, a.Degraded = true, -1, 1 })}, "S1 S2 S3 S5", "", "remove the failed disk sde from /dev/md/bulk\n  add /dev/sdf (S5) to /dev/md/bulk, in place of a missing disk"},
		"a healthy one goes": {append(members[:4:4], disk(5, nil)), []array{bulk(nil)}, "S1 S2 S3 S5", "", "have /dev/sdf (S5) take over from sde in /dev/md/bulk"},
		"it has gone": {append(members[:4:4], disk(5, in)), []array{bulk(func(a *array) {
			a.Members = append(a.Members, member{Device: "sdf", Slot: 3})
			a.Members[3].Failed = true
		})}, "S1 S2 S3 S5", "", "remove the failed disk sde from /dev/md/bulk"},
		"a failed one's node is gone": {append(members[:3:3], disk(5, nil)), []array{bulk(func(a *array) { a.Members[3].Failed, a.Members[3].Slot, a.Degraded = true, -1, 1 })}, "S1 S2 S3 S5", "", "remove the failed disk sde from /dev/md/bulk\n  add /dev/sdf (S5) to /dev/md/bulk, in place of a missing disk"},
		"one more":                    {append(members[:4:4], disk(5, nil)), []array{bulk(nil)}, "S1 S2 S3 S4 S5", "", "grow /dev/md/bulk to 5 disks: /dev/sdf (S5)"},
		"one comes back":              {append(members[:3:3], disk(4, func(d *observe.BlockDevice) { d.Filesystem, d.UUID = signature, id })), []array{bulk(func(a *array) { a.Members, a.Degraded = a.Members[:3], 1 })}, "S1 S2 S3 S4", "", "add /dev/sde (S4) to /dev/md/bulk, in place of a missing disk"},
		"wiped": {append(members[:3:3], disk(5, func(d *observe.BlockDevice) { d.Filesystem = "ext4" })), []array{bulk(func(a *array) { a.Members, a.Degraded = a.Members[:3], 1 })}, "S1 S2 S3 S5", "S5",
			"wipe S5 (/dev/sdf, serial S5): ext4\n  add /dev/sdf (S5) to /dev/md/bulk, in place of a missing disk"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &raid{Name: "bulk", Level: "6", Disks: strings.Fields(test.disks), Wipe: strings.Fields(test.wipe)}
			plan := modulestest.Converges(t, m, host(test.devices, test.arrays...))
			if got := strings.TrimSpace(modulestest.Summaries(plan)); got != test.want {
				t.Errorf("steps:\n%s\nexpected:\n%s", got, test.want)
			}
		})
	}
}

// TestStarted tests disks that are members of an array that is not running, as after a reinstallation. The array is
// started, not created.
func TestStarted(t *testing.T) {
	member := func(d *observe.BlockDevice) { d.Filesystem, d.UUID = signature, id }
	h := host([]observe.BlockDevice{disk(1, member), disk(2, member), disk(3, member), disk(4, member)})
	plan, err := (&raid{Name: "bulk", Level: "6", Disks: []string{"S1", "S2", "S3", "S4"}}).Plan(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	if got := modulestest.Summaries(plan); !strings.HasPrefix(strings.TrimSpace(got), "start the existing RAID on /dev/sdb (S1)") || strings.Contains(got, "make RAID") {
		t.Errorf("steps: %s", got)
	}
}

// TestOtherName tests an array that is running under another name. It is found by its UUID in mdadm.conf, and mdadm gets
// the name that it has now.
func TestOtherName(t *testing.T) {
	unnamed := func(d *observe.BlockDevice) { in(d); d.Children[0].Links = nil }
	members := []observe.BlockDevice{disk(1, unnamed), disk(2, unnamed), disk(3, unnamed), disk(4, unnamed), disk(5, nil)}
	failed := bulk(func(a *array) { a.Members[3].Failed, a.Members[3].Slot, a.Degraded = true, -1, 1 })
	for name, test := range map[string]struct {
		found array
		disks string
		want  []string
	}{
		"replaced":  {failed, "S1 S2 S3 S5", []string{"mdadm --manage /dev/md127 --remove sde", "mdadm --manage /dev/md127 --add /dev/disk/by-id/ata-S5"}},
		"exchanged": {bulk(nil), "S1 S2 S3 S5", []string{"mdadm --manage /dev/md127 --add /dev/disk/by-id/ata-S5 --replace /dev/sde --with /dev/disk/by-id/ata-S5"}},
		"grown":     {bulk(nil), "S1 S2 S3 S4 S5", []string{"mdadm --grow /dev/md127 --raid-devices=5 --add /dev/disk/by-id/ata-S5"}},
		"whole":     {bulk(nil), "S1 S2 S3 S4", nil},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &raid{Name: "bulk", Level: "6", Disks: strings.Fields(test.disks)}, host(members, test.found))
			var got []string
			for _, step := range plan.Steps {
				argv := step.Action.(modules.Run).Argv
				if at := slices.Index(argv, "mdadm"); at >= 0 {
					argv = argv[at:]
				}
				got = append(got, strings.Join(argv, " "))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			if device := plan.Data.GetAttr("device").AsString(); device != "/dev/md127" {
				t.Errorf("the result's device is %s", device)
			}
			if !slices.ContainsFunc(plan.Notes, func(note string) bool { return strings.HasPrefix(note, "/dev/md/bulk is running as /dev/md127") }) {
				t.Errorf("notes: %q", plan.Notes)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	all := func(change func(*observe.BlockDevice)) []observe.BlockDevice {
		return []observe.BlockDevice{disk(1, nil), disk(2, change), disk(3, nil), disk(4, nil)}
	}
	members := []observe.BlockDevice{disk(1, in), disk(2, in), disk(3, in), disk(4, in), disk(5, nil), disk(6, nil)}
	for name, test := range map[string]struct {
		devices []observe.BlockDevice
		arrays  []array
		disks   string
		wipe    string
		want    string
	}{
		"a signature":        {all(func(d *observe.BlockDevice) { d.Filesystem = "xfs" }), nil, "S1 S2 S3 S4", "", "S2 on pve1 is not blank (xfs): name another device or, to destroy what is on it, set wipe to the serial number of the disk, S2"},
		"others' serials":    {all(func(d *observe.BlockDevice) { d.Filesystem = "xfs" }), nil, "S1 S2 S3 S4", "S1 S3", `wipe (S1, S3) does not contain the serial number of the disk, "S2"`},
		"mounted":            {all(func(d *observe.BlockDevice) { d.Filesystem, d.Mountpoints = "xfs", []string{"/srv"} }), nil, "S1 S2 S3 S4", "S2", "is in use, mounted at /srv"},
		"the system":         {all(func(d *observe.BlockDevice) { d.Mountpoints = []string{"[SWAP]"} }), nil, "S1 S2 S3 S4", "S2", "holds the system"},
		"another's member":   {all(func(d *observe.BlockDevice) { in(d); d.UUID, d.Children[0].Links = "9", nil }), nil, "S1 S2 S3 S4", "S2", "is held by raid6 /dev/md127"},
		"not there":          {all(nil), nil, "S1 S2 S3 S9", "", "has no disk S9; it has: /dev/disk/by-id/ata-S1 (blank)"},
		"twice":              {all(nil), nil, "S1 /dev/sdb S3 S4", "", "S1 and /dev/sdb are the same disk of pve1"},
		"one serial for two": {append(all(nil), disk(5, func(d *observe.BlockDevice) { d.Serial = "S1" })), nil, "S1 S2 S3 S4", "", "is the serial number of both /dev/sdb and /dev/sdf"},
		"a volume":           {all(func(d *observe.BlockDevice) { d.Type = "lvm" }), nil, "S1 S2 S3 S4", "", "is a lvm: expected a disk or a partition"},
		"unknown to /sys":    {members, nil, "S1 S2 S3 S4", "", "but /sys/block/md127/md is missing"},
		"inactive":           {members, []array{bulk(func(a *array) { a.State = "inactive" })}, "S1 S2 S3 S4", "", "is inactive"},
		"no count":           {members, []array{bulk(func(a *array) { a.Disks = 0 })}, "S1 S2 S3 S4", "", "does not report the number of disks"},
		"no UUID":            {[]observe.BlockDevice{disk(1, in), disk(2, in), disk(3, in), disk(4, func(d *observe.BlockDevice) { in(d); d.UUID = "" })}[3:], []array{bulk(nil)}, "S4", "", "lsblk reports no UUID for the members of /dev/md127"},
		"two of the name": {append(slices.Clone(members[:4]), disk(7, func(d *observe.BlockDevice) {
			in(d)
			d.UUID = "1"
			d.Children[0].Name, d.Children[0].Path = "md126", "/dev/md126"
		})),
			[]array{bulk(nil)}, "S1 S2 S3 S4", "", "could be /dev/md127 or /dev/md126"},
		"another level":    {members, []array{bulk(func(a *array) { a.Level = "raid5" })}, "S1 S2 S3 S4", "", "is raid5, expected RAID 6"},
		"failed":           {members, []array{bulk(func(a *array) { a.Members[1].Failed = true })}, "S1 S2 S3 S4", "", "S2 (/dev/sdc) has failed; install a new disk"},
		"gone":             {members, []array{bulk(nil)}, "S1 S2 S3 S9", "", "S9 is not there; install a new disk"},
		"fewer":            {members, []array{bulk(func(a *array) { a.Disks = 5 })}, "S1 S2 S3 S4", "", "arrays are never shrunk"},
		"busy":             {members, []array{bulk(func(a *array) { a.Sync = "check" })}, "S1 S2 S3 S4 S5", "", "is busy (check): run again when that has finished to grow it to 5 disks"},
		"grown and mended": {members[1:], []array{bulk(func(a *array) { a.Members, a.Degraded = a.Members[1:], 1 })}, "S2 S3 S4 S5 S6", "", "cannot be grown to 5 disks while its disks are replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &raid{Name: "bulk", Level: "6", Disks: strings.Fields(test.disks), Wipe: strings.Fields(test.wipe)}
			plan, err := m.Plan(context.Background(), host(test.devices, test.arrays...))
			if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
				t.Errorf("%d steps, %v; expected %q", len(plan.Steps), err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for _, test := range []struct {
		m  raid
		ok bool
	}{
		{raid{Name: "bulk", Level: "6", Disks: four}, true},
		{raid{Name: "bulk", Level: "6", Disks: four[:3]}, false},
		{raid{Name: "bulk", Level: "5", Disks: four[:3], Mail: "root"}, true},
		{raid{Name: "bulk", Level: "1", Disks: four[:1]}, false},
		{raid{Name: "bulk", Level: "10", Disks: []string{"a", "a"}}, false},
		{raid{Name: "../bulk", Level: "6", Disks: four}, false},
		{raid{Name: "0", Level: "6", Disks: four}, false},
		{raid{Name: "bulk", Level: "6", Disks: four, Mail: "a b"}, false},
		{raid{Name: "bulk", Level: "6", Disks: []string{"/dev/../etc/passwd", "b", "c", "d"}}, false},
	} {
		if err := test.m.Validate(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.m, err)
		}
	}
}

func TestListed(t *testing.T) {
	const line = "ARRAY /dev/md/bulk UUID=0b7ba5e2:11112222:33334444:55556666\n"
	for name, test := range map[string]struct{ text, mail, want string }{
		"empty":        {"", "", line},
		"other lines":  {"# x\nHOMEHOST <system>\nMAILADDR root", "", "# x\nHOMEHOST <system>\nMAILADDR root\n" + line},
		"mail":         {"MAILADDR root\n", "a@b", "MAILADDR a@b\n" + line},
		"mail again":   {"MAILADDR a@b\n" + line, "a@b", "MAILADDR a@b\n" + line},
		"other mail":   {"MAILFROM x\n" + line, "a@b", "MAILFROM x\n" + line + "MAILADDR a@b\n"},
		"mdadm's form": {"array /dev/md/bulk level=raid6 num-devices=4\n   uuid=0B7BA5E2:11112222:33334444:55556666\n# y\n", "", "array /dev/md/bulk level=raid6 num-devices=4\n   uuid=0B7BA5E2:11112222:33334444:55556666\n# y\n"},
		"another name": {"ARRAY /dev/md127 UUID=0b7ba5e2:11112222:33334444:55556666\n  devices=/dev/sda\nDEVICE partitions\n", "", line + "DEVICE partitions\n"},
		"another UUID": {"ARRAY /dev/md/bulk UUID=1:2:3:4\nARRAY /dev/md/other UUID=5:6:7:8\n", "", line + "ARRAY /dev/md/other UUID=5:6:7:8\n"},
		"twice":        {line + line, "", line},
	} {
		if diff := cmp.Diff(test.want, listed(test.text, "bulk", id, test.mail)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := listed(test.text, "bulk", id, test.mail); listed(got, "bulk", id, test.mail) != got {
			t.Errorf("%s: a second edit changes it again", name)
		}
	}
}

// TestParseArrays parses /sys of a Debian 12 on which a disk failed during the initial synchronization of its array, and
// another disk was added, which has no slot yet.
func TestParseArrays(t *testing.T) {
	text, err := os.ReadFile("testdata/failed.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := []array{{
		Name: "md127", Level: "raid6", State: "clean", Disks: 4, Degraded: 1, Sync: "resync",
		Members: []member{{Device: "vdb"}, {Device: "vdc", Slot: -1, Failed: true}, {Device: "vdd", Slot: 2}, {Device: "vde", Slot: 3}, {Device: "vdf", Slot: -1}},
	}}
	if diff := cmp.Diff(want, parseArrays(string(text))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
