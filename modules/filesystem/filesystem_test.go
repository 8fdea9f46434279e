package filesystem

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// device is a disk with a serial, and what is on it.
func device(change func(*observe.BlockDevice)) observe.BlockDevice {
	d := observe.BlockDevice{Name: "sdb", Path: "/dev/sdb", Type: "disk", Size: 8e12, Serial: "S1", Links: []string{"/dev/disk/by-id/ata-S1"}}
	if change != nil {
		change(&d)
	}
	return d
}

func host(d observe.BlockDevice) modules.Host {
	return observe.NewRecorded("pve1",
		observe.Disks.Expect("", []observe.BlockDevice{d}),
		observe.Files.Expect("/usr/sbin/mkfs.ext4", observe.File{Type: observe.Regular}),
		observe.Files.Expect("/usr/sbin/mkfs.xfs", observe.File{}),
	)
}

func part(change func(*observe.BlockDevice)) []observe.BlockDevice {
	p := observe.BlockDevice{Name: "sdb1", Path: "/dev/sdb1", Type: "part", Size: 8e12, PartitionTable: "gpt"}
	change(&p)
	return []observe.BlockDevice{p}
}

func TestPlan(t *testing.T) {
	old := device(func(d *observe.BlockDevice) {
		d.PartitionTable = "gpt"
		d.Children = part(func(p *observe.BlockDevice) { p.Filesystem = "ntfs" })
	})
	for name, test := range map[string]struct {
		device     observe.BlockDevice
		name, wipe string
		want       string
	}{
		"blank":      {device(nil), "/dev/disk/by-id/ata-S1", "", "make ext4 on /dev/disk/by-id/ata-S1 (/dev/sdb, 8000 GB)"},
		"made":       {device(func(d *observe.BlockDevice) { d.Filesystem = "ext4" }), "/dev/sdb", "", ""},
		"wiped":      {old, "/dev/sdb", "S1", "wipe /dev/sdb (/dev/sdb, serial S1): partitions\n  make ext4 on /dev/sdb (/dev/sdb, 8000 GB)"},
		"partition":  {old, "/dev/sdb1", "S1", "wipe /dev/sdb1 (/dev/sdb1, serial S1): ntfs\n  make ext4 on /dev/sdb1 (/dev/sdb1, 8000 GB)"},
		"array":      {observe.BlockDevice{Name: "md0", Path: "/dev/md0", Type: "raid6", Size: 8e12}, "/dev/md0", "", "make ext4 on /dev/md0 (/dev/md0, 8000 GB)"},
		"wipe again": {device(func(d *observe.BlockDevice) { d.Filesystem = "ext4" }), "/dev/sdb", "S1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &filesystem{Device: test.name, Type: "ext4", Wipe: test.wipe}, host(test.device))
			if got := strings.TrimSpace(modulestest.Summaries(plan)); got != test.want {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
		})
	}
}

// TestRefused has devices that no file system is made on. Those that are in use, or hold the system, are refused with their serial
// repeated too.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*observe.BlockDevice)
		wipe   string
		want   string
	}{
		"signature":        {func(d *observe.BlockDevice) { d.Filesystem = "linux_raid_member" }, "", "is not blank (linux_raid_member): name another device or"},
		"another's serial": {func(d *observe.BlockDevice) { d.Filesystem = "xfs" }, "S2", `is not the serial number of the disk, which is "S1"`},
		"no serial":        {func(d *observe.BlockDevice) { d.Filesystem, d.Serial = "xfs", "" }, "S1", "has no serial number to confirm with wipe"},
		"mounted":          {func(d *observe.BlockDevice) { d.Filesystem, d.Mountpoints = "xfs", []string{"/srv"} }, "S1", "is in use, mounted at /srv"},
		"root": {func(d *observe.BlockDevice) {
			d.Children = part(func(p *observe.BlockDevice) { p.Mountpoints = []string{"/"} })
		}, "S1", "holds the system"},
		"swap": {func(d *observe.BlockDevice) { d.Mountpoints = []string{"[SWAP]"} }, "S1", "holds the system"},
		"EFI partition": {func(d *observe.BlockDevice) {
			d.Children = part(func(p *observe.BlockDevice) { p.PartitionType = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" })
		}, "S1", "holds the system"},
		"system on an array": {func(d *observe.BlockDevice) {
			d.Children = []observe.BlockDevice{{Name: "md0", Path: "/dev/md0", Type: "raid1", Mountpoints: []string{"/var"}}}
		}, "S1", "holds the system"},
		"held": {func(d *observe.BlockDevice) {
			d.Children = []observe.BlockDevice{{Name: "dm-0", Path: "/dev/mapper/vg-lv", Type: "lvm"}}
		}, "S1", "is held by lvm /dev/mapper/vg-lv"},
		"read-only": {func(d *observe.BlockDevice) { d.ReadOnly = true }, "S1", "is read-only"},
		"volume":    {func(d *observe.BlockDevice) { d.Name = "rbd0" }, "S1", "is not a disk of the host (RBD image)"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := (&filesystem{Device: "/dev/sdb", Type: "ext4", Wipe: test.wipe}).Plan(context.Background(), host(device(test.change)))
			if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
				t.Errorf("%d steps, %v; expected %q", len(plan.Steps), err, test.want)
			}
		})
	}
	if _, err := (&filesystem{Device: "/dev/sdb", Type: "xfs"}).Plan(context.Background(), host(device(nil))); err == nil || !strings.Contains(err.Error(), "install package xfsprogs") {
		t.Errorf("without the program: %v", err)
	}
}

// The kernel numbers volumes and arrays as they are started: what once had a number has given it to another since, and
// a UUID that was derived from it would be there twice.
func TestUUIDsAreNotDerivedFromNumbers(t *testing.T) {
	uuid := func(d observe.BlockDevice) string {
		plan := modulestest.Converges(t, &filesystem{Device: d.Path, Type: "ext4"}, host(d))
		argv := plan.Steps[0].Action.(modules.Run).Argv
		return argv[len(argv)-2]
	}
	volume := func(number, name string) string {
		return uuid(observe.BlockDevice{Name: "dm-" + number, Path: "/dev/mapper/data-" + name, Type: "lvm", Size: 1e9})
	}
	array := func(number, name string) string {
		return uuid(observe.BlockDevice{Name: "md" + number, Path: "/dev/md" + number, Type: "raid1", Size: 1e9, Links: []string{"/dev/md/" + name}})
	}
	for what, of := range map[string]func(number, name string) string{"volume": volume, "array": array} {
		if of("0", "a") == of("0", "b") {
			t.Errorf("two file systems, on one %s after the other with the same number, have the same UUID", what)
		}
		if of("0", "a") != of("1", "a") {
			t.Errorf("the UUID depends on the number of the %s", what)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		m  filesystem
		ok bool
	}{
		{filesystem{Device: "/dev/disk/by-id/x", Type: "ext4"}, true},
		{filesystem{Device: "/dev/sdb", Type: "xfs", Label: "twelve-bytes"}, true},
		{filesystem{Device: "/dev/sdb", Type: "xfs", Label: "thirteen-byte"}, false},
		{filesystem{Device: "/dev/sdb", Type: "ext4", Label: "-O"}, false},
		{filesystem{Device: "/dev/sdb", Type: "ext4", Label: "a b"}, false},
		{filesystem{Device: "sdb", Type: "ext4"}, false},
		{filesystem{Device: "/dev/../etc/passwd", Type: "ext4"}, false},
	} {
		if err := test.m.Validate(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.m, err)
		}
	}
}
