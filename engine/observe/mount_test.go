package observe

import "testing"

func TestParseMounts(t *testing.T) {
	got := parseMounts("/dev/sda2 / ext4 rw,noexec,nosuid,errors=remount-ro 0 0\n/dev/sdb /srv/with\\040blank xfs noatime,ro 0 0\ntmpfs /run tmpfs rw 0 0\nnas:/a /run nfs4 rw 0 0\nshort\n")
	for path, want := range map[string]Mount{
		"/": {Source: "/dev/sda2", Type: "ext4", Flags: "nosuid,noexec"}, "/srv/with blank": {Source: "/dev/sdb", Type: "xfs", ReadOnly: true, Flags: "noatime"}, "/run": {Source: "nas:/a", Type: "nfs4"}, "/srv": {},
	} {
		if got[path] != want {
			t.Errorf("%s: %+v, want %+v", path, got[path], want)
		}
	}
	for _, path := range []string{"/a b", `/a\040b`, "/tab\there", "/#", `/\`} {
		if back := UnescapeMount(EscapeMount(path)); back != path {
			t.Errorf("%q became %q and then %q", path, EscapeMount(path), back)
		}
	}
}

// TestHoldsSystem checks disks with and without a part of the system somewhere on them.
func TestHoldsSystem(t *testing.T) {
	on := func(d BlockDevice) BlockDevice {
		return BlockDevice{Name: "sda", Type: "disk", Children: []BlockDevice{{Name: "sda1", Type: "part", Children: []BlockDevice{d}}}}
	}
	for _, test := range []struct {
		d    BlockDevice
		want bool
	}{
		{on(BlockDevice{Type: "lvm", Mountpoints: []string{"/"}}), true},
		{on(BlockDevice{Type: "raid1", Mountpoints: []string{"/srv", "/var"}}), true},
		{on(BlockDevice{Type: "lvm", Mountpoints: []string{"[SWAP]"}}), true},
		{on(BlockDevice{Type: "part", PartitionType: "0xef"}), true},
		{on(BlockDevice{Type: "lvm", Mountpoints: []string{"/srv"}}), false},
		{on(BlockDevice{Type: "lvm"}), false},
		{BlockDevice{Type: "disk"}, false},
	} {
		if got := test.d.HoldsSystem(); got != test.want {
			t.Errorf("%+v holds the system: %t", test.d, got)
		}
	}
}
