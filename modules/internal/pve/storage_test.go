package pve

import "testing"

// The types are @SHARED_STORAGE of PVE::Storage::Plugin; any other type is shared only if storage.cfg says so.
func TestSharedStorages(t *testing.T) {
	for _, c := range []struct {
		storage Storage
		shared  bool
	}{
		{Storage{Type: "rbd"}, true},
		{Storage{Type: "cephfs"}, true},
		{Storage{Type: "nfs"}, true},
		{Storage{Type: "cifs"}, true},
		{Storage{Type: "glusterfs"}, true},
		{Storage{Type: "iscsi"}, true},
		{Storage{Type: "iscsidirect"}, true},
		{Storage{Type: "zfs"}, true}, // over iSCSI
		{Storage{Type: "drbd"}, true},
		{Storage{Type: "pbs"}, true},
		{Storage{Type: "esxi"}, true},
		{Storage{Type: "zfspool"}, false},
		{Storage{Type: "dir"}, false},
		{Storage{Type: "lvm"}, false},
		{Storage{Type: "lvmthin"}, false},
		{Storage{Type: "btrfs"}, false},
		{Storage{Type: "lvm", Options: map[string]string{"shared": "1"}}, true},
		{Storage{Type: "dir", Options: map[string]string{"shared": "yes"}}, true},
		{Storage{Type: "dir", Options: map[string]string{"shared": "0"}}, false},
		{Storage{}, false}, // one that storage.cfg does not have
	} {
		if got := c.storage.Shared(); got != c.shared {
			t.Errorf("%+v is shared: %v", c.storage, got)
		}
	}
}
