package observe

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

const deviceLinks = "/dev/disk/by-id/ata-BLANK_S1\x00../../sdb\x00/dev/disk/by-id/wwn-0x5000c500a\x00../../sdb\x00/dev/disk/by-id/ata-SYS-part1\x00../../sda1\x00/dev/disk/by-partuuid/6f1c-03\x00../../sda3\x00/dev/disk/by-path/pci-0000:00:1f.2-ata-2\x00../../sdb\x00"

func lsblkFixture(t testing.TB) []byte {
	out, err := os.ReadFile("testdata/lsblk.json")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDisksAndWhatIsOnThem(t *testing.T) {
	values, errs := told(t, Disks, []string{""}, []remote.Answer{{Stdout: lsblkFixture(t)}, {Stdout: []byte(deviceLinks)}})
	if errs[""] != nil {
		t.Fatal(errs[""])
	}
	uses := map[string]string{}
	for _, d := range values[""] {
		uses[d.Name] = d.Use()
	}
	want := map[string]string{
		"sda": "partitions", "sdb": "", "sdc": "ceph_bluestore", "sdd": "LVM2_member", "sde": "mpath", "sdf": "mounted", "sdg": "partitions",
	}
	if diff := cmp.Diff(want, uses); diff != "" {
		t.Errorf("the uses are wrong (-want +got):\n%s", diff)
	}
	blank, ok := FindDevice(values[""], "/dev/disk/by-id/ata-BLANK_S1")
	wantBlank := BlockDevice{
		Name: "sdb", Path: "/dev/sdb", Type: "disk", Size: 1000204886016, Model: "BLANK", Serial: "S1", WWN: "0x5000c500a", Rotational: true,
		Links: []string{"/dev/disk/by-id/ata-BLANK_S1", "/dev/disk/by-id/wwn-0x5000c500a", "/dev/disk/by-path/pci-0000:00:1f.2-ata-2"},
	}
	if diff := cmp.Diff(wantBlank, blank); !ok || diff != "" {
		t.Errorf("the blank disk was found by its id: %v (-want +got):\n%s", ok, diff)
	}
	for _, name := range []string{"sdb", "/dev/sdb", "wwn-0x5000c500a"} {
		if d, ok := FindDevice(values[""], name); !ok || d.Name != "sdb" {
			t.Errorf("%s leads to %q, expected sdb", name, d.Name)
		}
	}
	if part, ok := FindDevice(values[""], "ata-SYS-part1"); !ok || part.Filesystem != "ext4" {
		t.Errorf("the partition was found as %+v", part)
	}
	// udev sets the type of the table on each partition as well; that alone does not mean that the partition is used.
	if part, ok := FindDevice(values[""], "/dev/disk/by-partuuid/6f1c-03"); !ok || part.Name != "sda3" || !part.Blank() {
		t.Errorf("the blank partition was found as %+v (use %q)", part, part.Use())
	}
	if part, ok := FindDevice(values[""], "/dev/sda2"); !ok || part.Use() != "BIOS boot" {
		t.Errorf("the boot loader's partition, which has no signature, counts as %q", part.Use())
	}
	if d, ok := FindDevice(values[""], "/dev/sdz"); ok {
		t.Errorf("a device that is not there was found as %q", d.Name)
	}
}

// TestDisksKinds checks for each kind of block device whether it is in facts.disks, and with which use. A disk without
// a use is free.
func TestDisksKinds(t *testing.T) {
	for _, c := range []struct {
		name, kind, extra string // more properties in lsblk's JSON
		listed            bool
		use               string
	}{
		{"sda", "disk", ``, true, ""},
		{"vdb", "disk", ``, true, ""},
		{"xvdc", "disk", ``, true, ""},
		{"nvme0n1", "disk", ``, true, ""},
		{"pmem0", "disk", ``, true, ""},
		{"mmcblk0", "disk", ``, true, ""},
		{"sdb", "disk", `,"ro":true`, true, "read-only"},
		{"sdc", "disk", `,"fstype":"linux_raid_member"`, true, "linux_raid_member"},
		{"sdd", "disk", `,"fstype":"mpath_member"`, true, "mpath_member"},
		{"sde", "disk", `,"children":[{"name":"mpatha","kname":"dm-0","type":"mpath","size":1}]`, true, "mpath"},
		{"sdf", "disk", `,"children":[{"name":"md0","kname":"md0","type":"raid1","size":1}]`, true, "raid1"},
		{"sdg", "disk", `,"children":[{"name":"bcache0","kname":"bcache0","type":"disk","size":1}]`, true, "disk"},
		{"mmcblk0boot0", "disk", ``, false, "firmware partition"},
		{"mmcblk0boot1", "disk", `,"ro":true`, false, "firmware partition"},
		{"mtdblock0", "disk", ``, false, "flash of the firmware"},
		{"zd0", "disk", ``, false, "ZFS volume"},
		{"zd16", "disk", `,"pttype":"gpt"`, false, "ZFS volume"},
		{"rbd0", "disk", ``, false, "RBD image"},
		{"drbd1000", "disk", ``, false, "DRBD device"},
		{"nbd0", "disk", ``, false, "network block device"},
		{"ublkb0", "disk", ``, false, "ublk device"},
		{"nullb0", "disk", ``, false, "RAM disk"},
		{"zd0p1", "part", ``, false, "ZFS volume"},
		{"nbd0p1", "part", ``, false, "network block device"},
		{"sda1", "part", ``, false, ""},
		{"md127", "md", ``, false, ""},
		{"dm-3", "dm", ``, false, ""},
	} {
		out := `{"blockdevices":[{"name":"` + c.name + `","kname":"` + c.name + `","path":"/dev/` + c.name + `","type":"` + c.kind + `","size":1000` + c.extra + `}]}`
		devices, err := parseDisks([]byte(out), nil)
		if err != nil || len(devices) != 1 {
			t.Fatalf("%s: %v (%v)", c.name, devices, err)
		}
		if got := devices[0].Use(); got != c.use {
			t.Errorf("%s counts as %q, expected %q", c.name, got, c.use)
		}
		h := NewRecorded("n1", Disks.Expect("", devices))
		facts, err := readDisks(t.Context(), h)
		if err != nil || (facts.LengthInt() == 1) != c.listed {
			t.Errorf("%s is among facts.disks: %d (%v), expected it: %v", c.name, facts.LengthInt(), err, c.listed)
		}
	}
	for _, left := range []string{"loop0", "ram0", "zram0", "sr0", "fd0"} {
		kind := map[string]string{"loop0": "loop", "sr0": "rom"}[left]
		if kind == "" {
			kind = "disk"
		}
		if devices, err := parseDisks([]byte(`{"blockdevices":[{"name":"`+left+`","kname":"`+left+`","type":"`+kind+`","size":1000}]}`), nil); err != nil || len(devices) > 0 {
			t.Errorf("%s is told as %v (%v), expected nothing", left, devices, err)
		}
	}
	for _, name := range []string{"sdz", "nbd0"} { // a card reader without a card, an nbd device without a server
		if devices, err := parseDisks([]byte(`{"blockdevices":[{"name":"`+name+`","kname":"`+name+`","type":"disk","size":0}]}`), nil); err != nil || len(devices) > 0 {
			t.Errorf("%s without a medium is told as %v (%v), expected nothing", name, devices, err)
		}
	}
}

func TestDisksNone(t *testing.T) {
	values, errs := told(t, Disks, []string{""}, []remote.Answer{{}, {}})
	if errs[""] != nil || len(values[""]) > 0 {
		t.Errorf("a host without disks has %v (error %v)", values[""], errs[""])
	}
	_, errs = told(t, Disks, []string{""}, []remote.Answer{{Exit: 127, Stderr: []byte("sh: lsblk: not found\n")}, {}})
	if errs[""] == nil {
		t.Error("a missing lsblk passes for a host without disks")
	}
}

func FuzzLsblk(f *testing.F) {
	f.Add(lsblkFixture(f), []byte(deviceLinks))
	f.Add([]byte(`{"blockdevices":[{"name":"sda","size":"12","rota":"1","mountpoint":"/"}]}`), []byte("\x00"))
	f.Fuzz(func(t *testing.T, out, links []byte) {
		values, _ := told(t, Disks, []string{""}, []remote.Answer{{Stdout: out}, {Stdout: links}})
		FindDevice(values[""], "sda")
	})
}
