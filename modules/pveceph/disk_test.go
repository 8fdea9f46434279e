package pveceph

import (
	"slices"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

// The second guide gives Ceph a part of each disk. A daemon reports only the whole disk, so only the name of a volume
// shows which partition belongs to which OSD.
func TestPartitionsOfOneDisk(t *testing.T) {
	part := func(name, link, kind string, children ...observe.BlockDevice) observe.BlockDevice {
		d := observe.BlockDevice{Name: name, Path: "/dev/" + name, Type: "part", PartitionTable: "gpt", PartitionType: kind, Children: children}
		if len(children) > 0 {
			d.Filesystem = "LVM2_member"
		}
		if link != "" {
			d.Links = []string{link}
		}
		return d
	}
	const linux = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	h := node(
		observe.Disks.Expect("", []observe.BlockDevice{{Name: "sda", Path: "/dev/sda", Type: "disk", PartitionTable: "gpt", Children: []observe.BlockDevice{
			part("sda1", "", "21686148-6449-6e6f-744e-656564454649"),
			part("sda2", "/dev/disk/by-partuuid/6f1c-02", linux, observe.BlockDevice{Name: "dm-0", Type: "lvm", Path: "/dev/mapper/ceph--1111-osd--block--aaaa--pve1", Filesystem: "ceph_bluestore"}),
			part("sda3", "/dev/disk/by-partuuid/6f1c-03", linux),
		}}}),
		ceph.OSDs.Expect("pve1", []ceph.OSD{{ID: 0, Up: true, In: true, Class: "hdd", UUID: "aaaa-pve1", Devices: []string{"sda"}}}),
	)
	for device, want := range map[string]string{
		"/dev/disk/by-partuuid/6f1c-02": "", // an OSD of ours already
		"/dev/disk/by-partuuid/6f1c-03": "create an OSD on /dev/disk/by-partuuid/6f1c-03 (/dev/sda3",
	} {
		plan, err := (&Module{OSD: &OSD{Device: device}}).Plan(t.Context(), h)
		if err != nil || !strings.Contains(modulestest.Summaries(plan), want) || (want == "") != (len(plan.Steps) == 0) {
			t.Errorf("%s: the plan is %q (%v), want %q", device, modulestest.Summaries(plan), err, want)
		}
		for _, step := range plan.Steps {
			if step.Until != nil && !slices.Equal(step.Until.Args, ceph.OSDServes("pve1", observe.BlockDevice{Name: "sda"}).Args) {
				t.Errorf("%s: it waits for an OSD on %q, want sda", device, step.Until.Args)
			}
		}
	}
	for device, want := range map[string]string{"/dev/sda1": "BIOS boot", "/dev/sda": "gpt partition table; part /dev/sda1 BIOS boot; part /dev/sda2 osd.0 LVM2_member"} {
		_, err := (&Module{OSD: &OSD{Device: device}}).Plan(t.Context(), h)
		if err == nil || !strings.Contains(err.Error(), "is not blank: "+want) {
			t.Errorf("%s: the error is %v, want that it is not blank: %s", device, err, want)
		}
	}
	modulestest.Converges(t, &Module{OSD: &OSD{Device: "/dev/sda3"}}, h)
}

func TestDiskByKernelName(t *testing.T) {
	h := node(observe.Disks.Expect("", []observe.BlockDevice{
		{Name: "sdb", Path: "/dev/sdb", Type: "disk", Links: []string{"/dev/disk/by-id/ata-A"}},
		{Name: "sdc", Path: "/dev/sdc", Type: "disk", Links: []string{"/dev/disk/by-id/ata-B"}},
	}))
	plan, err := (&Module{Disks: &Disks{Devices: []string{"/dev/sdb", "/dev/disk/by-id/ata-B"}}}).Plan(t.Context(), h)
	const want = "/dev/sdb may refer to another disk after the next boot; /dev/disk/by-id/ata-A always refers to this one"
	if err != nil || len(plan.Notes) != 1 || plan.Notes[0] != want {
		t.Errorf("the notes are %q (%v), want %q", plan.Notes, err, want)
	}
}

// TestDiskAdviceNeverWipes plans on every disk that is not blank: no error names a command that wipes, or
// suggests wiping a disk that is in use.
func TestDiskAdviceNeverWipes(t *testing.T) {
	h := node(observe.Disks.Expect("", append(disks(),
		observe.BlockDevice{Name: "sdf", Path: "/dev/sdf", Type: "disk", Filesystem: "xfs"},
		observe.BlockDevice{Name: "sdg", Path: "/dev/sdg", Type: "disk", Filesystem: "LVM2_member"},
		observe.BlockDevice{Name: "sdh", Path: "/dev/sdh", Type: "disk", Filesystem: "crypto_LUKS", Children: []observe.BlockDevice{
			{Name: "dm-3", Path: "/dev/mapper/root", Type: "crypt", Filesystem: "ext4", Mountpoints: []string{"/srv"}}}},
		observe.BlockDevice{Name: "sdi", Path: "/dev/sdi", Type: "disk", Filesystem: "linux_raid_member", Children: []observe.BlockDevice{
			{Name: "md0", Path: "/dev/md0", Type: "raid1"}}},
		observe.BlockDevice{Name: "sdj", Path: "/dev/sdj", Type: "disk", Filesystem: "swap", Mountpoints: []string{"[SWAP]"}},
		observe.BlockDevice{Name: "sdk", Path: "/dev/sdk", Type: "disk", Filesystem: "ceph_bluestore"},
	)))
	for device, want := range map[string]string{
		"/dev/sda": "it contains the system", "/dev/sdd": "find out whose data this is", "/dev/sde": "wipe it by hand", "/dev/sdf": "wipe it by hand",
		"/dev/sdg": "find out whose data this is", "/dev/sdh": "it is in use (/srv)", "/dev/sdi": "it is in use by raid1 /dev/md0", "/dev/sdj": "it contains the system",
		"/dev/sdk": "find out whose data this is", "/dev/nvme0n1": "databases or logs of OSDs",
	} {
		for _, m := range []*Module{{Disks: &Disks{Devices: []string{device}}}, {OSD: &OSD{Device: device}}} {
			_, err := m.Plan(t.Context(), h)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one that says %q", device, err, want)
				continue
			}
			if text := err.Error(); strings.Contains(text, "zap") || strings.Contains(text, "wipefs") || strings.HasPrefix(want, "it ") && strings.Contains(text, "wipe") {
				t.Errorf("%s: the text advises to wipe: %s", device, text)
			}
		}
	}
}
