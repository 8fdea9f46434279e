package blank

import (
	"slices"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// A device is passed to programs by a name of its own: a link derived from what is written on it disappears when it is
// wiped, and leads to whichever device has a copy.
func TestWipeNames(t *testing.T) {
	target := Target{Name: "S1", Serial: "S1", Device: observe.BlockDevice{
		Name: "nvme0n1", Path: "/dev/nvme0n1", Filesystem: "LVM2_member",
		Links: []string{"/dev/disk/by-id/lvm-pv-uuid-3a", "/dev/disk/by-id/nvme-S1", "/dev/disk/by-path/pci-1"},
		Children: []observe.BlockDevice{
			{Name: "nvme0n1p1", Path: "/dev/nvme0n1p1", Links: []string{"/dev/disk/by-id/nvme-S1-part1", "/dev/disk/by-partlabel/a"}},
			{Name: "nvme0n1p2", Path: "/dev/nvme0n1p2"},
		},
	}}
	step, _ := target.Wipe([]observe.BlockDevice{target.Device})
	want := []string{"wipefs", "--all", "/dev/disk/by-id/nvme-S1-part1", "/dev/nvme0n1p2", "/dev/disk/by-id/nvme-S1"}
	if run := step.Action.(modules.Run); !slices.Equal(run.Argv, want) {
		t.Errorf("it runs %q, want %q", run.Argv, want)
	}
}
