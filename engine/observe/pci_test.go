package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

func TestPCIDevices(t *testing.T) {
	got, err := parsePCIDevices(remote.Answer{Stdout: []byte("0000:01:00.0/vendor:0x10de\n0000:00:02.0/vendor:0x8086\n0000:01:00.0/device:0x2204\n0000:00:02.0/device:0x4680\n" +
		"0000:01:00.0/class:0x030000\n0000:00:02.0/class:0x030000\n")})
	want := []PCIDevice{{"0000:00:02.0", "8086:4680", "0300"}, {"0000:01:00.0", "10de:2204", "0300"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("the devices differ (-want +got), error %v:\n%s", err, diff)
	}
	if got, err := parsePCIDevices(remote.Answer{}); err != nil || len(got) != 0 {
		t.Errorf("a host without PCI has %v (%v), expected none", got, err)
	}
	for _, out := range []string{"0000:01:00.0/vendor:0x10de\n", "nonsense\n"} {
		if _, err := parsePCIDevices(remote.Answer{Stdout: []byte(out)}); err == nil {
			t.Errorf("%q is taken for a device", out)
		}
	}
	if got, err := parsePCIDevices(remote.Answer{Stderr: []byte("grep: 0000:01:00.0/class: Permission denied\n"), Exit: 2}); err == nil {
		t.Errorf("what could not be asked is %v, expected an error", got)
	}
}

func TestPCIUses(t *testing.T) {
	// As printed by stat on two machines.
	const out = `'/sys/bus/pci/devices/0000:00:02.0/driver' -> '../../../bus/pci/drivers/virtio-pci'
'/sys/bus/pci/devices/0000:01:00.0/driver' -> '../../../../bus/pci/drivers/vfio-pci'
'/sys/bus/pci/devices/0000:01:00.0/iommu_group' -> '../../../../kernel/iommu_groups/14'
'/sys/class/net/eth0' -> '../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0'
'/sys/class/net/lo' -> '../../devices/virtual/net/lo'
'/sys/block/sda' -> '../devices/pci0000:00/0000:00:1d.0/0000:04:00.0/ata1/host0/target0:0:0/0:0:0:0/block/sda'
`
	// As the kernel names them if an NVMe disk can be reached through two controllers (drivers/nvme/host/core.c).
	const multipath = `'/sys/class/nvme-subsystem/nvme-subsys0/nvme0' -> '../../../pci0000:00/0000:00:1d.0/0000:05:00.0/nvme/nvme0'
'/sys/class/nvme-subsystem/nvme-subsys0/nvme1' -> '../../../pci0000:00/0000:00:1d.4/0000:06:00.0/nvme/nvme1'
'/sys/block/nvme0n1' -> '../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1'
`
	// Behind a VMD controller, as built by drivers/pci/controller/vmd.c: its own root below the controller, in domain
	// 10000.
	const vmd = `'/sys/block/nvme1n1' -> '../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme1/nvme1n1'
'/sys/class/nvme-subsystem/nvme-subsys2/nvme2' -> '../../../pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:1d.0/10000:e2:00.0/nvme/nvme2'
'/sys/block/nvme2n1' -> '../devices/virtual/nvme-subsystem/nvme-subsys2/nvme2n1'
`
	want := map[string]PCIUse{
		"0000:00:0e.0": {Disks: []string{"nvme1n1", "nvme2n1"}}, "10000:e1:00.0": {Disks: []string{"nvme1n1"}}, "10000:e2:00.0": {Disks: []string{"nvme2n1"}},
		"0000:00:02.0": {Driver: "virtio-pci"}, "0000:01:00.0": {Driver: "vfio-pci", Group: "14"},
		"0000:00:03.0": {Interfaces: []string{"eth0"}}, "0000:04:00.0": {Disks: []string{"sda"}},
		"0000:05:00.0": {Disks: []string{"nvme0n1"}}, "0000:06:00.0": {Disks: []string{"nvme0n1"}},
	}
	got, err := parsePCIUses(remote.Answer{Stdout: []byte(out + multipath + vmd)})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("the uses differ (-want +got), error %v:\n%s", err, diff)
	}
	for _, a := range []remote.Answer{{Stdout: []byte(out), Stderr: []byte("stat: cannot statx '/sys/block/sdb'\n"), Exit: 1}, {Stdout: []byte("nonsense\n")}} {
		if uses, err := parsePCIUses(a); err == nil {
			t.Errorf("a device of which something could not be asked has %v, expected an error", uses)
		}
	}
}
