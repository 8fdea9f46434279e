package partition

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

// system returns a disk of 1 TB that the host runs from. It has a boot partition and a root partition, then free space
// with one partition in the middle.
func system(change func(*observe.BlockDevice)) observe.BlockDevice {
	d := observe.BlockDevice{Name: "nvme0n1", Path: "/dev/nvme0n1", Type: "disk", Size: 1e12, Serial: "S1", PartitionTable: "gpt", Links: []string{"/dev/disk/by-id/nvme-S1"},
		Children: []observe.BlockDevice{
			{Name: "nvme0n1p1", Path: "/dev/nvme0n1p1", Type: "part", Size: 1 << 30, PartitionTable: "gpt", Filesystem: "vfat", Mountpoints: []string{"/boot/efi"}},
			{Name: "nvme0n1p2", Path: "/dev/nvme0n1p2", Type: "part", Size: 100 << 30, PartitionTable: "gpt", Filesystem: "ext4", Mountpoints: []string{"/"}},
			{Name: "nvme0n1p4", Path: "/dev/nvme0n1p4", Type: "part", Size: 10 << 30, PartitionTable: "gpt", PartitionName: "scratch"},
		}}
	if change != nil {
		change(&d)
	}
	return d
}

const gib = 1 << 21 // in sectors

func table() observe.PartitionTable {
	return observe.PartitionTable{Label: "gpt", SectorSize: 512, First: 2048, Last: 1e12/512 - 34, Partitions: []observe.Partition{
		{Number: 1, Start: 2048, Size: gib}, {Number: 2, Start: 2048 + gib, Size: 100 * gib}, {Number: 4, Start: 301 * gib, Size: 10 * gib, Name: "scratch"},
	}}
}

func host(t observe.PartitionTable, disks ...observe.BlockDevice) modules.Host {
	return observe.NewRecorded("pve1", observe.Disks.Expect("", disks), observe.PartitionTables.Expect("/dev/nvme0n1", t))
}

func TestAdds(t *testing.T) {
	full := table()
	for name, test := range map[string]struct {
		size        string
		want, stdin string
	}{
		"first gap":   {"100GiB", "add partition osd-a to /dev/disk/by-id/nvme-S1 (/dev/nvme0n1p3, 102400 MiB in free space)", "start=211814400, size=209715200, "},
		"second gap":  {"500GB", "(/dev/nvme0n1p3, 476837 MiB in free space)", "start=652214272, size=976562176, "},
		"all of it":   {"", "(/dev/nvme0n1p3, 635210 MiB in free space)", "start=652214272, size=1300910080, "},
		"no multiple": {"1.5MB", "(/dev/nvme0n1p3, 1 MiB in free space)", "start=211814400, size=2048, "},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &partition{Disk: "/dev/disk/by-id/nvme-S1", Name: "osd-a", Size: test.size}, host(full, system(nil)))
			if got := modulestest.Summaries(plan); !strings.Contains(got, test.want) {
				t.Errorf("steps: %q, want %q", got, test.want)
			}
			run, ok := plan.Steps[0].Action.(modules.Run)
			if !ok || !strings.HasPrefix(string(run.Stdin), test.stdin) || run.Argv[len(run.Argv)-1] != "/dev/disk/by-id/nvme-S1" {
				t.Errorf("the action is %v with %q, want %q", run.Argv, run.Stdin, test.stdin)
			}
		})
	}
}

// TestUnknownToTheKernel tests a partition that a run has written into the table of a disk in use, without telling the kernel.
func TestUnknownToTheKernel(t *testing.T) {
	written := table()
	written.Partitions = append(written.Partitions, observe.Partition{Number: 3, Start: 101 * gib, Size: 5 * gib, Name: "osd-a"})
	plan := modulestest.Converges(t, &partition{Disk: "/dev/disk/by-id/nvme-S1", Name: "osd-a", Size: "5GiB"}, host(written, system(nil)))
	if got := modulestest.Summaries(plan); len(plan.Steps) != 1 || !strings.Contains(got, "tell the kernel about /dev/nvme0n1p3 (osd-a)") {
		t.Errorf("steps: %q", got)
	}
	run, ok := plan.Steps[0].Action.(modules.Run)
	if want := "partx --update --nr 3 /dev/disk/by-id/nvme-S1"; !ok || strings.Join(run.Argv, " ") != want {
		t.Errorf("the action is %q, want %q", run.Argv, want)
	}
}

func TestThere(t *testing.T) {
	for size, note := range map[string]string{
		"10GiB": "", "": "", "10.0001GiB": "",
		"20GiB": "scratch (/dev/nvme0n1p4) has 10240 MiB, the task specifies 20GiB; not changed, because partitions are not resized",
	} {
		plan := modulestest.Converges(t, &partition{Disk: "/dev/nvme0n1", Name: "scratch", Size: size}, host(table(), system(nil)))
		if notes := strings.Join(plan.Notes, "\n"); len(plan.Steps) != 0 || notes != note {
			t.Errorf("size %q: %d steps, notes %q, want %q", size, len(plan.Steps), notes, note)
		}
	}
}

// TestRefused tests disks that get no partition, and names that refer to other partitions.
func TestRefused(t *testing.T) {
	other := system(func(d *observe.BlockDevice) {
		d.Name, d.Path, d.Links = "sdb", "/dev/sdb", nil
		d.Children = []observe.BlockDevice{{Name: "sdb1", Path: "/dev/sdb1", Type: "part", PartitionName: "osd-a"}}
	})
	for name, test := range map[string]struct {
		disk  string
		size  string
		disks []observe.BlockDevice
		table observe.PartitionTable
		want  string
	}{
		"no such disk":     {"/dev/sdz", "", []observe.BlockDevice{system(nil)}, table(), "pve1 has no device /dev/sdz; it has: /dev/disk/by-id/nvme-S1"},
		"a partition":      {"/dev/nvme0n1p2", "", []observe.BlockDevice{system(nil)}, table(), "is of type part, but only disks can be partitioned"},
		"name elsewhere":   {"/dev/nvme0n1", "1GiB", []observe.BlockDevice{system(nil), other}, table(), "a partition named osd-a already exists on pve1: /dev/sdb1; /dev/disk/by-partlabel/osd-a would refer to only one of them"},
		"too large":        {"/dev/nvme0n1", "2TiB", []observe.BlockDevice{system(nil)}, table(), "has no room for osd-a (2TiB): the largest free extent is 635210 MiB"},
		"another table":    {"/dev/nvme0n1", "", []observe.BlockDevice{system(func(d *observe.BlockDevice) { d.PartitionTable = "dos" })}, table(), "has a dos partition table"},
		"no table":         {"/dev/nvme0n1", "", []observe.BlockDevice{system(func(d *observe.BlockDevice) { d.PartitionTable = "" })}, table(), "has no partition table"},
		"whole disk":       {"/dev/nvme0n1", "", []observe.BlockDevice{system(func(d *observe.BlockDevice) { d.Filesystem = "zfs_member" })}, table(), "all of it is zfs_member"},
		"read-only":        {"/dev/nvme0n1", "", []observe.BlockDevice{system(func(d *observe.BlockDevice) { d.ReadOnly = true })}, table(), "is read-only"},
		"network device":   {"/dev/rbd0", "", []observe.BlockDevice{system(func(d *observe.BlockDevice) { d.Name, d.Path = "rbd0", "/dev/rbd0" })}, table(), "is not a disk of the host (RBD image)"},
		"sfdisk disagrees": {"/dev/nvme0n1", "", []observe.BlockDevice{system(nil)}, observe.PartitionTable{}, "sfdisk finds none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&partition{Disk: test.disk, Name: "osd-a", Size: test.size}).Plan(t.Context(), host(test.table, test.disks...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for want, m := range map[string]partition{
		"is not the path of a disk":             {Disk: "sda", Name: "a"},
		"cannot be the name of a partition":     {Disk: "/dev/sda", Name: "a,b"},
		"is not a size with one of the units":   {Disk: "/dev/sda", Name: "a", Size: "100"},
		"is less than 1 MiB, or too large":      {Disk: "/dev/sda", Name: "a", Size: "0.5MiB"},
		`"999999999TiB" is less than 1 MiB, or`: {Disk: "/dev/sda", Name: "a", Size: "999999999TiB"},
	} {
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", m, err, want)
		}
	}
	if err := (&partition{Disk: "/dev/sda", Name: strings.Repeat("a", 36), Size: "1.92 TB"}).Validate(); err != nil {
		t.Error(err)
	}
}
