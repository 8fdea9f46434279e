package ha

import (
	"strings"
	"testing"

	"hlplay/modules/internal/pve"
)

// What keeps a guest from being recovered on another node is said, and nothing else.
func TestTiedGuestsAreWarned(t *testing.T) {
	for name, test := range map[string]struct {
		sid, key, value string
		note            string // "" if the guest can be recovered
	}{
		"an ISO on a local storage":   {"vm:101", "ide2", "local:iso/debian-13.iso,media=cdrom", "vm:101 has ide2 on storage local, which is available on one node only"},
		"an ISO on a shared storage":  {"vm:101", "ide2", "cephfs:iso/debian-13.iso,media=cdrom", ""},
		"a disk by ZFS over iSCSI":    {"vm:101", "scsi1", "san:vm-101-disk-1,size=8G", ""},
		"a disk by DRBD":              {"vm:101", "scsi1", "twins:vm-101-disk-1,size=8G", ""},
		"a directory marked shared":   {"vm:101", "scsi1", "cluster:101/vm-101-disk-1.qcow2,size=8G", ""},
		"a mount marked shared":       {"ct:200", "mp0", "/srv/all,mp=/all,shared=yes", ""},
		"a mount of the node":         {"ct:200", "mp0", "/srv/all,mp=/all,shared=no", "ct:200 mounts /srv/all of its node (mp0): it cannot be recovered"},
		"an empty drive":              {"vm:101", "ide2", "none,media=cdrom", ""},
		"the node's drive":            {"vm:101", "ide2", "cdrom,media=cdrom", "vm:101 has the CD drive (ide2) of its node"},
		"a cloud-init drive":          {"vm:101", "ide2", "vm-disks:vm-101-cloudinit,media=cdrom", ""},
		"a local disk":                {"vm:101", "scsi1", "local:101/vm-101-disk-1.qcow2,size=8G", "vm:101 has scsi1 on storage local"},
		"a raw disk":                  {"vm:101", "scsi1", "/dev/disk/by-id/ata-ST4000-1,size=4T", "vm:101 has the disk /dev/disk/by-id/ata-ST4000-1 (scsi1) of its node: it cannot be recovered on another node"},
		"a raw disk, written in full": {"vm:101", "virtio0", "file=/dev/sdb", "vm:101 has the disk /dev/sdb (virtio0) of its node"},
		"a PCI device":                {"vm:101", "hostpci0", "0000:01:00.0,pcie=1", "vm:101 has the device 0000:01:00.0 (hostpci0) of its node: it cannot be recovered on another node; map devices of all nodes"},
		"a PCI device, in full":       {"vm:101", "hostpci0", "pcie=1,host=01:00", "vm:101 has the device 01:00 (hostpci0)"},
		"a mapped PCI device":         {"vm:101", "hostpci0", "mapping=gpu,pcie=1", ""},
		"a USB device":                {"vm:101", "usb0", "host=0781:5567,usb3=1", "vm:101 has the device 0781:5567 (usb0)"},
		"a mapped USB device":         {"vm:101", "usb1", "mapping=stick", ""},
		"a USB port for SPICE":        {"vm:101", "usb0", "spice,usb3=1", ""},
		"a serial port":               {"vm:101", "serial0", "/dev/ttyS0", "vm:101 has the device /dev/ttyS0 (serial0)"},
		"a serial console":            {"vm:101", "serial0", "socket", ""},
		"a container's device":        {"ct:200", "dev0", "/dev/dri/renderD128,gid=104", "ct:200 has the device /dev/dri/renderD128 (dev0)"},
	} {
		t.Run(name, func(t *testing.T) {
			id := test.sid[3:]
			config := pve.GuestConfigs.Expect(id, pve.GuestConfig{Exists: true, Options: map[string]string{"name": "x", "scsihw": "virtio-scsi-pci", test.key: test.value}})
			storages := pve.Storages.Expect("", map[string]pve.Storage{"local": {Type: "dir"}, "vm-disks": {Type: "rbd"}, "cephfs": {Type: "cephfs"},
				"san": {Type: "zfs"}, "twins": {Type: "drbd"}, "cluster": {Type: "dir", Options: map[string]string{"shared": "yes"}}})
			mappings := pve.Mappings.Expect("", map[string]pve.Mapping{})
			plan, err := resource(func(r *Resource) { r.SID, r.State = test.sid, "stopped" }).Plan(t.Context(), host(9, scenery(), config, storages, mappings))
			if err != nil {
				t.Fatal(err)
			}
			notes := strings.Join(plan.Notes, "\n")
			if test.note == "" && strings.Contains(notes, "recovered") || !strings.Contains(notes, test.note) {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

// A resource that is there already is warned of as well, because an ISO may have been put into its drive since.
func TestResourcesThatAreThereAreWarned(t *testing.T) {
	tied := pve.GuestConfigs.Expect("100", pve.GuestConfig{Exists: true, Options: map[string]string{"name": "sso", "ide2": "local:iso/debian-13.iso,media=cdrom"}})
	for state, want := range map[string]string{"started": "vm:100 has ide2 on storage local", "disabled": "", "ignored": ""} {
		plan, err := resource(func(r *Resource) { r.State = state }).Plan(t.Context(), host(9, scenery(), tied))
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, want) || want == "" && notes != "" {
			t.Errorf("state %s: notes %q, want %q", state, notes, want)
		}
	}
}

// Two nodes and a QDevice have three votes.
func TestVotesOfAQDeviceCount(t *testing.T) {
	for votes, warned := range map[int]bool{0: true, 1: false} {
		cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, DeviceVotes: votes, Members: map[string]pve.Member{"pve1": {ID: 1, Votes: 1, Online: true}, "pve2": {ID: 2, Votes: 1, Online: true}}}
		plan, err := resource(func(r *Resource) { r.SID = "vm:101" }).Plan(t.Context(), host(9, scenery(), pve.Clusters.Expect("", cluster)))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(plan.Notes, "\n"), "needs at least three"); got != warned {
			t.Errorf("a QDevice of %d votes: notes %q, want a warning: %v", votes, plan.Notes, warned)
		}
	}
}
