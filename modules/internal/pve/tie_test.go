package pve

import (
	"slices"
	"testing"
)

func TestTied(t *testing.T) {
	storages := map[string]Storage{
		"local": {Type: "dir"}, "shared-dir": {Type: "dir", Options: map[string]string{"shared": "1"}},
		"ceph": {Type: "rbd"}, "nfs": {Type: "nfs", Options: map[string]string{"nodes": "pve1,pve2"}},
	}
	mappings := map[string]Mapping{"pci/gpu": {Devices: []map[string]string{{"node": "pve1"}, {"node": "pve3"}}}, "usb/key": {Devices: []map[string]string{{"node": "pve2"}}}}
	for _, test := range []struct {
		name    string
		options map[string]string
		bound   string
		only    []string
	}{
		{"nothing", map[string]string{"memory": "2048", "net0": "virtio=AA:BB,bridge=vmbr0"}, "", nil},
		{"a disk on Ceph", map[string]string{"scsi0": "ceph:vm-100-disk-0,size=32G"}, "", nil},
		{"a disk on a shared directory", map[string]string{"scsi0": "shared-dir:100/disk.qcow2"}, "", nil},
		{"a local disk", map[string]string{"virtio3": "file=local:100/disk.raw,size=1G"}, "virtio3 is on local of pve1, which other nodes cannot reach", nil},
		{"a container's local root", map[string]string{"rootfs": "local:100/root.raw"}, "rootfs is on local of pve1, which other nodes cannot reach", nil},
		{"an unused local disk", map[string]string{"unused0": "local:100/old.raw"}, "", nil},
		{"an ISO in the drive", map[string]string{"ide2": "local:iso/debian.iso,media=cdrom"}, "ide2 is on local of pve1, which other nodes cannot reach", nil},
		{"an empty drive", map[string]string{"ide2": "none,media=cdrom"}, "", nil},
		{"cloud-init is made anew", map[string]string{"ide2": "local:vm-100-cloudinit,media=cdrom"}, "", nil},
		{"a raw disk", map[string]string{"scsi1": "/dev/disk/by-id/x,size=1T"}, "scsi1 is /dev/disk/by-id/x of pve1", nil},
		{"a directory of the host", map[string]string{"mp0": "/srv/data,mp=/data"}, "mp0 is /srv/data of pve1", nil},
		{"a directory that all hosts have", map[string]string{"mp0": "/srv/data,mp=/data,shared=1"}, "", nil},
		{"a storage of some nodes", map[string]string{"scsi0": "nfs:100/d.qcow2"}, "", []string{"pve1", "pve2"}},
		{"a raw device", map[string]string{"hostpci0": "0000:01:00,pcie=1"}, "hostpci0 is a device of pve1", nil},
		{"a mapped device", map[string]string{"hostpci0": "mapping=gpu,pcie=1"}, "", []string{"pve1", "pve3"}},
		{"two mapped devices", map[string]string{"hostpci0": "mapping=gpu", "usb0": "mapping=key"}, "", []string{}},
		{"a mapping that is not there", map[string]string{"hostpci0": "mapping=other"}, "", []string{}},
		{"a device of the viewer", map[string]string{"usb0": "spice"}, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			tie := TieOf(GuestConfig{Guest: Guest{Node: "pve1"}, Options: test.options}, storages, mappings)
			bound, only := tie.Bound, tie.Only
			if bound != test.bound || !slices.Equal(only, test.only) || (only == nil) != (test.only == nil) {
				t.Errorf("got %q and %#v, want %q and %#v", bound, only, test.bound, test.only)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	for text, want := range map[string]uint64{"": 512 << 20, "2048": 2 << 30, "current=4096": 4 << 30, "current=1024,x=y": 1 << 30} {
		if got := (GuestConfig{Options: map[string]string{"memory": text}}).Memory(); got != want {
			t.Errorf("%q: %d bytes, want %d", text, got, want)
		}
	}
}
