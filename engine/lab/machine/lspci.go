package machine

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// pciClasses and pciVendors are names from pci.ids, one per line. The lab has no names of devices, so lspci prints
// their numbers.
const (
	pciClasses = `
0100 SCSI storage controller
0104 RAID bus controller
0106 SATA controller
0107 Serial Attached SCSI controller
0108 Non-Volatile memory controller
0200 Ethernet controller
0300 VGA compatible controller
0302 3D controller
0380 Display controller
0403 Audio device
0600 Host bridge
0601 ISA bridge
0604 PCI bridge
0c03 USB controller
0c04 Fibre Channel
0c05 SMBus
1200 Processing accelerators
`
	pciVendors = `
1000 Broadcom / LSI
1002 Advanced Micro Devices, Inc. [AMD/ATI]
1022 Advanced Micro Devices, Inc. [AMD]
10de NVIDIA Corporation
10ec Realtek Semiconductor Co., Ltd.
144d Samsung Electronics Co Ltd
14e4 Broadcom Inc. and subsidiaries
15b3 Mellanox Technologies
1af4 Red Hat, Inc.
1b36 Red Hat, Inc.
8086 Intel Corporation
`
)

// pciName returns the name of a class or a vendor.
func pciName(list, number string) (string, bool) {
	_, rest, known := strings.Cut(list, "\n"+number+" ")
	name, _, _ := strings.Cut(rest, "\n")
	return name, known
}

// lspci lists the PCI devices as pciutils 3.9.0 does.
func lspci(_ context.Context, c *Call) int {
	o, ok := c.options("nkDs:d:")
	if !ok {
		return 1
	}
	if len(o.rest) > 0 {
		fmt.Fprintf(c.Stderr, "Usage: lspci [<switches>]\n")
		return 1
	}
	numbers := 0
	for _, g := range o.given {
		if g.name == "n" {
			numbers++
		}
	}
	slot, err := pciSlot(o.value("s"))
	if err != nil {
		fmt.Fprintf(c.Stderr, "lspci: -s: %v\n", err)
		return 1
	}
	devices := slices.SortedFunc(slices.Values(c.Machine.pci), func(a, b PCIDevice) int { return strings.Compare(a.Address, b.Address) })
	domains := o.has("D") || slices.ContainsFunc(devices, func(d PCIDevice) bool { return !strings.HasPrefix(d.Address, "0000:") })
	for _, d := range devices {
		if !slot.matches(d.Address) || !matchesID(d, o.value("d")) {
			continue
		}
		at := d.Address
		if !domains {
			at = strings.TrimPrefix(at, "0000:")
		}
		c.printf("%s %s\n", at, d.describe(numbers))
		if o.has("k") {
			c.printf("%s", c.Machine.pciKernel(d))
		}
	}
	return 0
}

// pciKernel returns what -k adds: the driver in use, and the modules that could drive the device.
func (m *Machine) pciKernel(d PCIDevice) string {
	text := ""
	if link, ok := m.FS().(afero.LinkReader); ok {
		if driver, err := link.ReadlinkIfPossible(pciDevices + d.Address + "/driver"); err == nil {
			text += "\tKernel driver in use: " + path.Base(driver) + "\n"
		}
	}
	if modules := m.aliased(d.modalias()); len(modules) > 0 {
		text += "\tKernel modules: " + strings.Join(modules, ", ") + "\n"
	}
	return text
}

// slotFilter is an address given with -s: domain, bus, device and function; -1 matches all.
type slotFilter [4]int64

// pciSlot parses [[[[domain]:]bus]:][device][.[function]].
func pciSlot(text string) (slotFilter, error) {
	f := slotFilter{-1, -1, -1, -1}
	number := func(at int, digits string, most int64) error {
		if digits == "" || digits == "*" {
			return nil
		}
		n, err := strconv.ParseInt(digits, 16, 64)
		if err != nil || n < 0 || n > most {
			return plainError("Invalid " + []string{"domain", "bus", "slot", "function"}[at] + " number")
		}
		f[at] = n
		return nil
	}
	rest := strings.Split(text, ":")
	if len(rest) > 3 {
		return f, plainError("Invalid slot number")
	}
	device, function, _ := strings.Cut(rest[len(rest)-1], ".")
	buses := append([]string{"", ""}, rest[:len(rest)-1]...)
	buses = buses[len(buses)-2:]
	for at, part := range []string{buses[0], buses[1], device, function} {
		if err := number(at, part, []int64{0x7fffffff, 0xff, 0x1f, 7}[at]); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f slotFilter) matches(address string) bool {
	for at, part := range strings.FieldsFunc(address, func(r rune) bool { return r == ':' || r == '.' }) {
		if n, err := strconv.ParseInt(part, 16, 64); f[at] >= 0 && (err != nil || n != f[at]) {
			return false
		}
	}
	return true
}

// matchesID reports whether -d [vendor]:[device][:class] selects a device.
func matchesID(d PCIDevice, filter string) bool {
	vendor, device, _ := strings.Cut(d.ID, ":")
	for at, part := range strings.Split(strings.ToLower(filter), ":") {
		if is := []string{vendor, device, d.Class}; part != "" && part != "*" && (at >= len(is) || strings.TrimLeft(part, "0") != strings.TrimLeft(is[at], "0")) {
			return false
		}
	}
	return true
}

// describe returns the class and the name of a device: as text, as numbers (-n), or as both (-nn).
func (d PCIDevice) describe(numbers int) string {
	vendor, device, _ := strings.Cut(d.ID, ":")
	class, known := pciName(pciClasses, d.Class)
	name, ours := pciName(pciVendors, vendor)
	switch numbers {
	case 0:
		if !known {
			class = "Class " + d.Class
		}
		if !ours {
			return class + ": Device " + d.ID
		}
		return class + ": " + name + " Device " + device
	case 1:
		return d.Class + ": " + d.ID
	}
	if !known {
		class = "Class"
	}
	if ours {
		name += " "
	}
	return fmt.Sprintf("%s [%s]: %sDevice [%s]", class, d.Class, name, d.ID)
}
