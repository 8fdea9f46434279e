package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

func TestPCIDevices(t *testing.T) {
	got, err := parsePCIDevices(remote.Answer{Stdout: []byte("0000:01:00.0/vendor:0x10de\n0000:00:02.0/vendor:0x8086\n0000:01:00.0/device:0x2204\n0000:00:02.0/device:0x4680\n" +
		"0000:01:00.0/class:0x030000\n0000:00:02.0/class:0x030000\n0000:01:00.0/boot_vga:0\n0000:00:02.0/boot_vga:1\n")})
	want := []PCIDevice{{"0000:00:02.0", "8086:4680", "0300", true}, {"0000:01:00.0", "10de:2204", "0300", false}}
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
}

func TestPCIUses(t *testing.T) {
	// As stat printed it on two machines.
	const out = `'/sys/bus/pci/devices/0000:00:02.0/driver' -> '../../../bus/pci/drivers/virtio-pci'
'/sys/bus/pci/devices/0000:01:00.0/driver' -> '../../../../bus/pci/drivers/vfio-pci'
'/sys/bus/pci/devices/0000:01:00.0/iommu_group' -> '../../../../kernel/iommu_groups/14'
'/sys/class/net/eth0' -> '../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0'
'/sys/class/net/lo' -> '../../devices/virtual/net/lo'
'/sys/block/sda' -> '../devices/pci0000:00/0000:00:1d.0/0000:04:00.0/ata1/host0/target0:0:0/0:0:0:0/block/sda'
/sys/class/net/bonding_masters
`
	want := map[string]PCIUse{
		"0000:00:02.0": {Driver: "virtio-pci"}, "0000:01:00.0": {Driver: "vfio-pci", Group: "14"},
		"0000:00:03.0": {Interfaces: []string{"eth0"}}, "0000:04:00.0": {Disks: []string{"sda"}},
	}
	if diff := cmp.Diff(want, parsePCIUses([]byte(out))); diff != "" {
		t.Errorf("the uses differ (-want +got):\n%s", diff)
	}
}
