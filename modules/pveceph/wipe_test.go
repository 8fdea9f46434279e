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

// A disk that is not blank is refused with what is on it, whatever that is, and wiped only if its serial number is repeated. One that
// is in use, or belongs to the system, never is.
func TestWhatIsOnADisk(t *testing.T) {
	part := func(name, filesystem, mount string) observe.BlockDevice {
		d := observe.BlockDevice{Name: name, Path: "/dev/" + name, Type: "part", PartitionTable: "gpt", Filesystem: filesystem}
		if mount != "" {
			d.Mountpoints = []string{mount}
		}
		return d
	}
	open := func(kind, path, mount string) []observe.BlockDevice {
		d := observe.BlockDevice{Name: "dm-9", Path: path, Type: kind}
		if mount != "" {
			d.Mountpoints = []string{mount}
		}
		return []observe.BlockDevice{d}
	}
	efi := part("sdz1", "vfat", "")
	efi.PartitionType = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	for name, c := range map[string]struct {
		disk  observe.BlockDevice
		says  string // what is on it
		never string // why it is not wiped although its serial number is repeated; "" if it is
	}{
		"an empty GPT":                {observe.BlockDevice{PartitionTable: "gpt"}, "gpt partition table", ""},
		"an empty DOS table":          {observe.BlockDevice{PartitionTable: "dos"}, "dos partition table", ""},
		"a partition":                 {observe.BlockDevice{PartitionTable: "gpt", Children: []observe.BlockDevice{part("sdz1", "ntfs", "")}}, "gpt partition table; part /dev/sdz1 ntfs", ""},
		"ext4":                        {observe.BlockDevice{Filesystem: "ext4"}, "ext4", ""},
		"btrfs":                       {observe.BlockDevice{Filesystem: "btrfs"}, "btrfs", ""},
		"a physical volume":           {observe.BlockDevice{Filesystem: "LVM2_member"}, "LVM2_member", ""},
		"a raw OSD":                   {observe.BlockDevice{Filesystem: "ceph_bluestore"}, "ceph_bluestore; find out whose data this is", ""},
		"a member of an array":        {observe.BlockDevice{Filesystem: "linux_raid_member"}, "linux_raid_member", ""},
		"a member of a pool":          {observe.BlockDevice{Filesystem: "zfs_member"}, "zfs_member", ""},
		"swap":                        {observe.BlockDevice{Filesystem: "swap"}, "swap", ""},
		"LUKS":                        {observe.BlockDevice{Filesystem: "crypto_LUKS"}, "crypto_LUKS", ""},
		"a signature nobody knows":    {observe.BlockDevice{Filesystem: "nosuchfs"}, "nosuchfs", ""},
		"read-only":                   {observe.BlockDevice{ReadOnly: true}, "read-only", "it is read-only"},
		"a mounted file system":       {observe.BlockDevice{Filesystem: "xfs", Mountpoints: []string{"/srv"}}, "xfs mounted at /srv", "it is in use (/srv)"},
		"swap in use":                 {observe.BlockDevice{Filesystem: "swap", Mountpoints: []string{"[SWAP]"}}, "swap", "it contains the system"},
		"a mounted partition":         {observe.BlockDevice{PartitionTable: "gpt", Children: []observe.BlockDevice{part("sdz1", "xfs", "/srv")}}, "mounted at /srv", "it is in use (/srv)"},
		"an EFI partition, unmounted": {observe.BlockDevice{PartitionTable: "gpt", Children: []observe.BlockDevice{efi}}, "vfat", "it contains the system"},
		"the root on LVM":             {observe.BlockDevice{Filesystem: "LVM2_member", Children: open("lvm", "/dev/mapper/pve-root", "/")}, "LVM2_member", "it contains the system"},
		"swap on LVM":                 {observe.BlockDevice{Filesystem: "LVM2_member", Children: open("lvm", "/dev/mapper/pve-swap", "[SWAP]")}, "LVM2_member", "it contains the system"},
		"the root on an array":        {observe.BlockDevice{Filesystem: "linux_raid_member", Children: open("raid1", "/dev/md0", "/")}, "linux_raid_member", "it contains the system"},
		"the root on LUKS":            {observe.BlockDevice{Filesystem: "crypto_LUKS", Children: open("crypt", "/dev/mapper/root", "/")}, "crypto_LUKS", "it contains the system"},
		"/var on a disk of its own":   {observe.BlockDevice{Filesystem: "ext4", Mountpoints: []string{"/var"}}, "ext4", "it contains the system"},
		"an open LUKS":                {observe.BlockDevice{Filesystem: "crypto_LUKS", Children: open("crypt", "/dev/mapper/data", "")}, "crypto_LUKS", "in use by crypt /dev/mapper/data"},
		"a volume in use":             {observe.BlockDevice{Filesystem: "LVM2_member", Children: open("lvm", "/dev/mapper/vg-data", "")}, "LVM2_member", "in use by lvm /dev/mapper/vg-data"},
		"a path of a multipath disk":  {observe.BlockDevice{Filesystem: "mpath_member", Children: open("mpath", "/dev/mapper/mpatha", "")}, "mpath_member", "in use by mpath /dev/mapper/mpatha"},
	} {
		t.Run(name, func(t *testing.T) {
			c.disk.Name, c.disk.Path, c.disk.Type, c.disk.Serial, c.disk.Size = "sdz", "/dev/sdz", "disk", "S1", 1<<40
			h := node(observe.Disks.Expect("", []observe.BlockDevice{c.disk}))
			plan := func(wipe ...string) (modules.Plan, error) {
				return (&Module{OSD: &OSD{Device: "/dev/sdz", Wipe: wipe, MaxWiped: 9}}).Plan(t.Context(), h)
			}
			if _, err := plan(); err == nil || !strings.Contains(err.Error(), "/dev/sdz on pve1 is not blank: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("without wipe: %v; want %q", err, c.says)
			}
			if _, err := plan("S2"); err == nil {
				t.Error("another serial number is taken for it")
			}
			switch got, err := plan("S1"); {
			case c.never == "" && (err != nil || len(got.Steps) != 2 || got.Steps[0].Risk != modules.Destroys || !strings.Contains(got.Steps[0].Summary, "serial S1")):
				t.Errorf("with its serial number: %v, %v", modulestest.Summaries(got), err)
			case c.never == "" && (got.Tally == nil || len(got.Tally.Names) != 1 || got.Tally.Names[0] != "S1 of pve1"):
				t.Errorf("the wiped disk is not counted: %+v", got.Tally)
			case c.never != "" && (err == nil || !strings.Contains(err.Error(), c.never)):
				t.Errorf("with its serial number: %v, %v; want %q", modulestest.Summaries(got), err, c.never)
			}
		})
	}
}
