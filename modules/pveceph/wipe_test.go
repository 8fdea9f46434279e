package pveceph

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

// used returns disks with serial numbers that are not blank.
func used() []observe.BlockDevice {
	volume := func(name string) []observe.BlockDevice {
		return []observe.BlockDevice{{Name: "dm-1", Path: "/dev/mapper/ceph--9999-osd--" + name, Type: "lvm", Filesystem: "ceph_bluestore"}}
	}
	return []observe.BlockDevice{
		{Name: "sda", Path: "/dev/sda", Type: "disk", Serial: "SYSTEM", PartitionTable: "gpt", Children: []observe.BlockDevice{
			{Name: "sda1", Path: "/dev/sda1", Type: "part", Filesystem: "ext4", Mountpoints: []string{"/"}}}},
		{Name: "sdb", Path: "/dev/sdb", Type: "disk", Serial: "ZFS", Filesystem: "zfs_member", Links: []string{"/dev/disk/by-id/zfs"}},
		{Name: "sdc", Path: "/dev/sdc", Type: "disk", Serial: "OURS", Filesystem: "LVM2_member", Children: volume("block--aaaa--pve1")},
		{Name: "sdd", Path: "/dev/sdd", Type: "disk", Serial: "FOREIGN", Filesystem: "LVM2_member", Children: volume("block--ffff"), Links: []string{"/dev/disk/by-id/foreign"}},
		{Name: "sde", Path: "/dev/sde", Type: "disk", Serial: "MOUNTED", Filesystem: "xfs", Mountpoints: []string{"/srv"}},
		{Name: "sdf", Path: "/dev/sdf", Type: "disk", Serial: "ARRAY", Filesystem: "linux_raid_member", Children: []observe.BlockDevice{{Name: "md0", Path: "/dev/md0", Type: "raid1"}}},
		{Name: "sdg", Path: "/dev/sdg", Type: "disk", Serial: "LVM", Filesystem: "LVM2_member", Children: []observe.BlockDevice{{Name: "dm-7", Path: "/dev/mapper/vg-data", Type: "lvm"}}},
		{Name: "sdh", Path: "/dev/sdh", Type: "disk", Filesystem: "swap"},
		{Name: "sdi", Path: "/dev/sdi", Type: "disk", Serial: "PARTS", PartitionTable: "gpt", Children: []observe.BlockDevice{{Name: "sdi1", Path: "/dev/sdi1", Type: "part", Filesystem: "ext4"}}},
		{Name: "sdj", Path: "/dev/sdj", Type: "disk", Serial: "DBS", Filesystem: "LVM2_member", Children: volume("db--7777")},
		{Name: "sdk", Path: "/dev/sdk", Type: "disk", Serial: "NEW"},
	}
}

func TestWipeBySerial(t *testing.T) {
	for name, c := range map[string]struct {
		osd  OSD
		want []string // the commands
	}{
		"blank, and nothing to wipe": {OSD{Device: "/dev/sdk", Wipe: []string{"NEW"}}, []string{"pveceph osd create /dev/sdk"}},
		"a signature":                {OSD{Device: "/dev/sdb", Wipe: []string{"ZFS"}}, []string{"wipefs --all /dev/disk/by-id/zfs", "pveceph osd create /dev/sdb"}},
		"partitions":                 {OSD{Device: "/dev/sdi", Wipe: []string{"PARTS"}}, []string{"wipefs --all /dev/sdi1 /dev/sdi", "pveceph osd create /dev/sdi"}},
		"a partition alone":          {OSD{Device: "/dev/sdi1", Wipe: []string{"PARTS"}}, []string{"wipefs --all /dev/sdi1", "pveceph osd create /dev/sdi1"}},
		"an OSD of another cluster":  {OSD{Device: "/dev/sdd", Wipe: []string{"FOREIGN"}}, []string{"sh -c " + zap + " sh /dev/disk/by-id/foreign", "pveceph osd create /dev/sdd"}},
		"the disk of the database": {OSD{Device: "/dev/sdk", DBDevice: "/dev/sdb", Wipe: []string{"ZFS"}},
			[]string{"wipefs --all /dev/disk/by-id/zfs", "pveceph osd create /dev/sdk --db_dev /dev/sdb"}},
		"both": {OSD{Device: "/dev/sdi", DBDevice: "/dev/sdb", Wipe: []string{"ZFS", "PARTS"}, MaxWiped: 2},
			[]string{"wipefs --all /dev/sdi1 /dev/sdi", "wipefs --all /dev/disk/by-id/zfs", "pveceph osd create /dev/sdi --db_dev /dev/sdb"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := modulestest.Converges(t, &Module{OSD: &c.osd}, node(observe.Disks.Expect("", used())))
			var got []string
			for _, step := range plan.Steps {
				argv := strings.Join(step.Action.(modules.Run).Argv, " ")
				got = append(got, argv)
				if wipes := !strings.HasPrefix(argv, "pveceph"); wipes != (step.Risk == modules.Destroys) {
					t.Errorf("%s has risk %v", argv, step.Risk)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("the commands are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestWipeNever(t *testing.T) {
	all := []string{"SYSTEM", "ZFS", "OURS", "FOREIGN", "MOUNTED", "ARRAY", "LVM", "PARTS", "DBS"}
	for name, c := range map[string]struct {
		osd  OSD
		want string
	}{
		"serial not repeated":         {OSD{Device: "/dev/sdb"}, "is not blank: zfs_member; name another disk or, to destroy what is on it, repeat its serial number, ZFS, in wipe"},
		"another serial":              {OSD{Device: "/dev/sdb", Wipe: []string{"PARTS"}}, "repeat its serial number, ZFS, in wipe"},
		"no serial":                   {OSD{Device: "/dev/sdh", Wipe: all, MaxWiped: 9}, "has no serial number to confirm with wipe"},
		"the system":                  {OSD{Device: "/dev/sda", Wipe: all, MaxWiped: 9}, "it contains the system"},
		"mounted":                     {OSD{Device: "/dev/sde", Wipe: all, MaxWiped: 9}, "it is in use (/srv)"},
		"an array":                    {OSD{Device: "/dev/sdf", Wipe: all, MaxWiped: 9}, "in use by raid1 /dev/md0"},
		"volumes that are not Ceph's": {OSD{Device: "/dev/sdg", Wipe: all, MaxWiped: 9}, "in use by lvm /dev/mapper/vg-data"},
		"databases":                   {OSD{Device: "/dev/sdj", Wipe: all, MaxWiped: 9}, "databases or logs of OSDs"},
		"more than the bound":         {OSD{Device: "/dev/sdb", Wipe: []string{"ZFS", "PARTS"}, MaxWiped: 1}, "on pve1, wipe would wipe 2 disks (/dev/disk/by-id/zfs, /dev/sdi), but max_wiped allows 1"},
		"a database's disk":           {OSD{Device: "/dev/sdk", DBDevice: "/dev/sdb"}, "osd.db_device: /dev/sdb on pve1 is not blank: zfs_member"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.osd.MaxWiped == 0 {
				c.osd.MaxWiped = 1
			}
			plan, err := (&Module{OSD: &c.osd}).Plan(t.Context(), node(observe.Disks.Expect("", used())))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the plan is %q, the error %v; want an error that says %q", modulestest.Summaries(plan), err, c.want)
			}
		})
	}
}

// The disk of an OSD that came from another node of the cluster does not count as one of an unknown cluster.
func TestWipeNeverOfAnotherNode(t *testing.T) {
	h := node(observe.Disks.Expect("", used()), ceph.OSDs.Expect("pve2", []ceph.OSD{{ID: 2, UUID: "ffff"}}))
	_, err := (&Module{OSD: &OSD{Device: "/dev/sdd", Wipe: []string{"FOREIGN"}, MaxWiped: 1}}).Plan(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "osd.2 of pve2 is on it") {
		t.Errorf("the error is %v, want that osd.2 of pve2 is on the disk", err)
	}
}

// If a playbook kept naming the disk, it would be wiped once the OSD is gone.
func TestWipeUnused(t *testing.T) {
	plan, err := (&Module{OSD: &OSD{Device: "/dev/sdc", Wipe: []string{"OURS"}, MaxWiped: 1}}).Plan(t.Context(), node(observe.Disks.Expect("", used())))
	if err != nil || len(plan.Steps) != 0 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "wipe names the disk of an OSD, OURS") {
		t.Errorf("the plan is %q with notes %q (%v), want the note that wipe has no use", modulestest.Summaries(plan), plan.Notes, err)
	}
}
