package machine

import "testing"

// TestPassthrough boots a machine whose initramfs reserves a device for guests.
func TestPassthrough(t *testing.T) {
	m := bare(t, func(c *Config) {
		c.Debian, c.IOMMU = "bookworm", true
		c.PCI = []PCIDevice{{Address: "0000:01:00.0", ID: "10de:2204", Class: "0300", Drivers: []string{"nouveau"}, Group: 14}}
	})
	const driver, group = "/sys/bus/pci/devices/0000:01:00.0/driver", "/sys/bus/pci/devices/0000:01:00.0/iommu_group"
	expect(t, m, "cat /sys/bus/pci/devices/0000:01:00.0/vendor; ls /sys/kernel/iommu_groups", 0, `^0x10de\n$`)
	expect(t, m, "modprobe -R $(cat /sys/bus/pci/devices/0000:01:00.0/modalias)", 0, `^nouveau\n$`)
	expect(t, m, "modprobe -R pci:none", 1, `not found`)
	reboot := func() {
		m.PowerOff()
		m.PowerOn()
	}
	expect(t, m, "grep ' IR-' /proc/interrupts", 1, `^$`)
	expect(t, m, "sed -i 's/quiet/intel_iommu=on/' /etc/default/grub; update-grub", 0, `done`)
	reboot()
	expect(t, m, "grep -c ' IR-' /proc/interrupts", 0, `^2\n$`)
	expect(t, m, "stat -c %N "+driver+" "+group, 0, `^'`+driver+`' -> '../../../bus/pci/drivers/nouveau'\n'`+group+`' -> '../../../kernel/iommu_groups/14'\n$`)
	expect(t, m, "printf 'options vfio-pci ids=10de:2204\nsoftdep nouveau pre: vfio-pci\n' >/etc/modprobe.d/x.conf", 0, `^$`)
	reboot()
	expect(t, m, "readlink "+driver, 0, `nouveau`) // the initramfs has not changed
	expect(t, m, "update-initramfs -u -k all", 0, `Generating`)
	reboot()
	expect(t, m, "readlink "+driver+"; ls /sys/kernel/iommu_groups/14/devices", 0, `vfio-pci\n0000:01:00.0\n$`)
}
