package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogicalVolumesAreNamed(t *testing.T) {
	for path, want := range map[string][2]string{
		"/dev/mapper/data-lv": {"data", "lv"}, "/dev/mapper/data-my--lv": {"data", "my-lv"}, "/dev/mapper/my--vg-a--b--": {"my-vg", "a-b-"},
		"/dev/mapper/data-pool_tdata": {}, "/dev/mapper/data-pool-tpool": {}, "/dev/mapper/data-a_rimage_0": {}, "/dev/mapper/data-lvol0_pmspare": {},
		"/dev/mapper/luks": {}, "/dev/dm-0": {},
	} {
		group, volume, ok := BlockDevice{Type: "lvm", Path: path}.LogicalVolume()
		if got := [2]string{group, volume}; got != want || ok != (want[0] != "") {
			t.Errorf("%s is %q (%v), want %q", path, got, ok, want)
		}
		if ok && VolumePath(group, volume) != path {
			t.Errorf("the path of %s in %s is %s, want %s", volume, group, VolumePath(group, volume), path)
		}
	}
	if _, _, ok := (BlockDevice{Type: "crypt", Path: "/dev/mapper/a-b"}).LogicalVolume(); ok {
		t.Error("an encrypted device is a logical volume")
	}
	for name, want := range map[string]bool{"lvol0_pmspare": true, "a_tdata": true, "a_rimage_12": true, "tdata": false, "data_1": false, "_tmetax": false} {
		if IsReservedVolume(name) != want {
			t.Errorf("LVM keeps %s for itself: %v, want %v", name, !want, want)
		}
	}
}

// onGroup returns two disks of a volume group. If first is true, they are as a plan expects them: the volumes directly
// on the first disk. Otherwise they are as lsblk reports them, with a thin pool of two layers whose parts are on both
// disks.
func onGroup(first bool, change func(d *BlockDevice)) []BlockDevice {
	volume := func(kernel, path string) BlockDevice {
		d := BlockDevice{Name: kernel, Path: path, Type: "lvm", Size: 100, Links: []string{"/dev/disk/by-id/dm-name-x"}}
		if !first {
			d.Links = append(d.Links, "/dev/disk/by-id/dm-uuid-LVM-x")
		}
		change(&d)
		return d
	}
	disk := func(name string, children ...BlockDevice) BlockDevice {
		return BlockDevice{Name: name, Path: "/dev/" + name, Type: "disk", Size: 1000, Filesystem: "LVM2_member", UUID: "of " + name, Children: children}
	}
	if first {
		return []BlockDevice{disk("sda", volume("dm-0", "/dev/mapper/data-lv"), volume("dm-1", "/dev/mapper/data-thin"), volume("dm-2", "/dev/mapper/data-pool")), disk("sdb")}
	}
	layer := func(part string) BlockDevice {
		return BlockDevice{Name: "dm-9" + part, Path: "/dev/mapper/data-pool_" + part, Type: "lvm", Size: 4, Children: []BlockDevice{
			{Name: "dm-8", Path: "/dev/mapper/data-pool-tpool", Type: "lvm", Size: 100, Children: []BlockDevice{volume("dm-7", "/dev/mapper/data-pool"), volume("dm-6", "/dev/mapper/data-thin")}}}}
	}
	return []BlockDevice{disk("sda", layer("tdata")), disk("sdb", volume("dm-4", "/dev/mapper/data-lv"), layer("tmeta"))}
}

// LVM decides where a volume is, and the kernel what it is called. Only its content is claimed.
func TestVolumesAreWhereLVMPutsThem(t *testing.T) {
	same := func(*BlockDevice) {}
	real := onGroup(false, same)
	if diff := cmp.Diff(real, completeDevices(onGroup(true, same), real)); diff != "" {
		t.Errorf("(-found +completed):\n%s", diff)
	}
	for name, change := range map[string]func(*BlockDevice){
		"the size":       func(d *BlockDevice) { d.Size++ },
		"a file system":  func(d *BlockDevice) { d.Filesystem = "ext4" },
		"its UUID":       func(d *BlockDevice) { d.UUID = "1" },
		"a mount":        func(d *BlockDevice) { d.Mountpoints = []string{"/srv"} },
		"another volume": func(d *BlockDevice) { d.Path += "2" },
		"another by-id":  func(d *BlockDevice) { d.Links = []string{"/dev/disk/by-id/other"} },
	} {
		if cmp.Equal(real, completeDevices(onGroup(true, change), real)) {
			t.Errorf("%s is not claimed", name)
		}
	}
	if d, ok := FindDevice(real, "/dev/data/thin"); !ok || d.Name != "dm-6" {
		t.Errorf("/dev/data/thin is %+v", d)
	}
	if _, ok := FindDevice(real, "/dev/data/pool_tdata"); ok {
		t.Error("a part of a thin pool is found by a path that it does not have")
	}
}

// A new physical volume gets a link named after its UUID, which is not known beforehand.
func TestPhysicalVolumesGetALink(t *testing.T) {
	expected := []BlockDevice{{Name: "sda", Filesystem: "LVM2_member", Links: []string{"/dev/disk/by-id/ata-A"}}}
	found := []BlockDevice{{Name: "sda", Filesystem: "LVM2_member", UUID: "abc", Links: []string{"/dev/disk/by-id/ata-A", "/dev/disk/by-id/lvm-pv-uuid-abc"}}}
	if diff := cmp.Diff(found, completeDevices(expected, found)); diff != "" {
		t.Errorf("(-found +completed):\n%s", diff)
	}
	if expected[0].Links = nil; cmp.Equal(found, completeDevices(expected, found)) {
		t.Error("other links are not claimed")
	}
}
