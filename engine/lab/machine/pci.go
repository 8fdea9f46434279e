package machine

import (
	"fmt"
	"slices"
	"strings"
)

// PCIDevice is a function of a PCI device.
type PCIDevice struct {
	// Address is "0000:01:00.0"; ID is vendor and device, "10de:2204"; Class is "0300".
	Address, ID, Class string
	// Drivers are the kernel modules that can drive the device, in order of preference. There may be none.
	Drivers []string
	// Group is the number of its IOMMU group.
	Group int
}

const (
	pciDevices = "/sys/devices/pci0000:00/"
	pciLinks   = "/sys/bus/pci/devices/"
)

// modalias returns the alias by which modprobe finds drivers for a device.
func (d PCIDevice) modalias() string {
	vendor, device, _ := strings.Cut(strings.ToUpper(d.ID), ":")
	return fmt.Sprintf("pci:v0000%sd0000%ssv00000000sd00000000bc%ssc%si00", vendor, device, d.Class[:2], d.Class[2:])
}

// furnishPCI adds the files of the PCI devices, except those that change with a boot.
func (m *Machine) furnishPCI() {
	console := "1"
	for _, d := range m.pci {
		dir := pciDevices + d.Address
		m.tree.mkdirAll(pciLinks, 0o755)
		m.tree.link(pciLinks+d.Address, "../../.."+strings.TrimPrefix(dir, "/sys"))
		vendor, device, _ := strings.Cut(d.ID, ":")
		files := map[string]string{"vendor": "0x" + vendor, "device": "0x" + device, "class": "0x" + d.Class + "00", "modalias": d.modalias()}
		if strings.HasPrefix(d.Class, "03") {
			files["boot_vga"], console = console, "0"
		}
		for name, content := range files {
			m.tree.file(dir+"/"+name, 0o444, content+"\n")
		}
	}
}

// furnishUSB adds the USB devices.
func (m *Machine) furnishUSB() {
	for port, id := range m.usb {
		vendor, product, _ := strings.Cut(id, ":")
		m.tree.mkdirAll("/sys/bus/usb/devices/"+port, 0o755)
		m.tree.file("/sys/bus/usb/devices/"+port+"/idVendor", 0o444, vendor+"\n")
		m.tree.file("/sys/bus/usb/devices/"+port+"/idProduct", 0o444, product+"\n")
	}
}

// bindPCI binds the PCI devices to drivers, as the kernel does when it boots.
func (m *Machine) bindPCI() {
	config := m.initramfsConfig()
	ids := strings.Split(config["options"][moduleName("vfio-pci")]["ids"], ",")
	t := m.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lookup("/sys/kernel/iommu_groups") != nil {
		_ = t.drop("/sys/kernel/iommu_groups") // it was just there
	}
	t.mkdirAll("/sys/kernel/iommu_groups", 0o755)
	for _, d := range m.pci {
		dir := pciDevices + d.Address
		for _, link := range []string{dir + "/driver", dir + "/iommu_group"} {
			if t.lookup(link) != nil {
				_ = t.drop(link) // it was just there
			}
		}
		if m.iommuOn() {
			t.mkdirAll(fmt.Sprintf("/sys/kernel/iommu_groups/%d/devices/%s", d.Group, d.Address), 0o755)
			t.link(dir+"/iommu_group", fmt.Sprintf("../../../kernel/iommu_groups/%d", d.Group))
		}
		if driver := m.driverOf(d, config, slices.Contains(ids, d.ID)); driver != "" {
			t.mkdirAll("/sys/bus/pci/drivers/"+driver, 0o755)
			t.link(dir+"/driver", "../../../bus/pci/drivers/"+driver)
		}
	}
}

// driverOf returns the driver that claims a device first. For vfio-pci to win, it must be loaded before the others, or
// they must not be loaded at all.
func (m *Machine) driverOf(d PCIDevice, config map[string]map[string]map[string]string, reserved bool) string {
	for _, driver := range d.Drivers {
		name := moduleName(driver)
		if config["blacklist"][name] != nil {
			continue
		}
		if reserved && m.iommuOn() && config["softdep"][name]["vfio-pci"] != "" {
			return "vfio-pci"
		}
		return driver
	}
	if reserved && m.iommuOn() {
		return "vfio-pci"
	}
	return ""
}

// iommuOn reports whether the kernel enables the IOMMU. On Intel machines, kernels before 6.8 need a kernel parameter
// for that.
func (m *Machine) iommuOn() bool {
	return m.iommu && (slices.Contains(strings.Fields(m.cmdline), "intel_iommu=on") || CompareVersions(m.kernel, "6.8") >= 0)
}
