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
	// udev gives a partition the table that it stands in; that alone does not make it used.
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

func TestNoDisksAreNoError(t *testing.T) {
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
