package passthrough

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

func isDisplay(d observe.PCIDevice) bool { return strings.HasPrefix(d.Class, "03") }

// isBridge reports whether a device is a bridge. Bridges may share an IOMMU group with the devices of guests.
func isBridge(d observe.PCIDevice) bool { return d.Class == "0604" || d.Class == "0600" }

// keepDisplay returns an error if the task would take all displays of a host.
func (m *Module) keepDisplay(devices, chosen []observe.PCIDevice) error {
	var taken, left []observe.PCIDevice
	for _, d := range devices {
		switch {
		case !isDisplay(d):
		case slices.Contains(chosen, d):
			taken = append(taken, d)
		default:
			left = append(left, d)
		}
	}
	if len(taken) == 0 || len(left) > 0 || m.OnlyDisplay {
		return nil
	}
	is := "is the only display"
	if len(taken) > 1 {
		is = "are the only displays"
	}
	return fmt.Errorf("%s %s for this host's console: expected another display to remain; set only_display = true if the host is managed only over the network or a serial console", list(taken), is)
}

// check returns an error if passthrough would not work, or would take something that the host needs.
func (m *Module) check(ctx context.Context, h modules.Host, devices, chosen []observe.PCIDevice, uses map[string]observe.PCIUse) error {
	for _, d := range chosen {
		if uses[d.Address].Group == "" {
			return noIOMMU(ctx, h, d)
		}
		for _, other := range devices {
			use := uses[other.Address]
			if use.Group != uses[d.Address].Group || isBridge(other) || slices.Contains(chosen, other) || use.Driver == "" || use.Driver == "pci-stub" || use.Driver == vfio {
				continue
			}
			return fmt.Errorf("%s shares IOMMU group %s with %s, which the host uses (driver %s), and a group can only be passed to a guest as a whole: add %q to devices, or move the card to another slot",
				describe(d), use.Group, describe(other), use.Driver, other.ID)
		}
		if err := unused(ctx, h, d, uses[d.Address]); err != nil {
			return err
		}
	}
	return m.checkRemapping(ctx, h)
}

// remapping observes whether the IOMMU remaps interrupts. Its only name is "". Remapped interrupts have "IR-" before the
// controller's name in /proc/interrupts, which lasts longer than the kernel's messages in the ring buffer.
var remapping = &observe.Kind[bool]{
	Name: "interrupt-remapping", What: "whether interrupts are remapped",
	Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `grep -q ' IR-' /proc/interrupts`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, bool, error)) {
		var err error
		if a := answers[0]; a.Exit > 1 {
			err = fmt.Errorf("/proc/interrupts: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
		}
		for _, name := range names {
			tell(name, answers[0].Exit == 0, err)
		}
	},
}

// checkRemapping returns an error for hardware on which vfio refuses to give a device to a guest.
func (m *Module) checkRemapping(ctx context.Context, h modules.Host) error {
	if m.AllowUnsafeInterrupts {
		return nil
	}
	on, err := remapping.Observe(ctx, h, "")
	if err == nil && !on {
		err = errors.New("the IOMMU does not remap interrupts (no \"IR-\" in /proc/interrupts), which vfio requires for passthrough: enable interrupt remapping or x2APIC in the firmware, and check that the kernel was not started with intremap=off; allow_unsafe_interrupts = true works without it, but lets a guest disturb the host")
	}
	return err
}

// noIOMMU returns the error for a device without an IOMMU group.
func noIOMMU(ctx context.Context, h modules.Host, d observe.PCIDevice) error {
	kernel, err := observe.Kernels.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	line, err := observe.CommandLines.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	firmware := "enable VT-d (Intel) or AMD-Vi (AMD), which may be called IOMMU, in the firmware of the host"
	for parameter := range strings.FieldsSeq(line) {
		switch parameter {
		case "intel_iommu=off", "amd_iommu=off", "iommu=off":
			return fmt.Errorf("%s is in no IOMMU group, because the kernel was started with %s: remove that with the module boot, and reboot", describe(d), parameter)
		case "intel_iommu=on":
			return fmt.Errorf("%s is in no IOMMU group, although the kernel was started with intel_iommu=on: %s", describe(d), firmware)
		}
	}
	return fmt.Errorf("%s is in no IOMMU group (/sys/kernel/iommu_groups): %s; kernel %s on Intel may also need boot { cmdline = [\"intel_iommu=on\"] } and a reboot", describe(d), firmware, kernel.Release)
}

// unused returns an error for a device that the host uses.
func unused(ctx context.Context, h modules.Host, d observe.PCIDevice, use observe.PCIUse) error {
	for _, name := range use.Interfaces {
		state, _, err := observe.Text(ctx, h, "/sys/class/net/"+name+"/operstate")
		if err != nil {
			return err
		}
		if strings.TrimSpace(state) == "up" {
			return fmt.Errorf("%s is network interface %s, which is up: remove it from the host's network configuration first", describe(d), name)
		}
	}
	if len(use.Disks) == 0 {
		return nil
	}
	disks, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	for _, disk := range disks {
		if slices.Contains(use.Disks, disk.Name) && disk.Use() != "" {
			return fmt.Errorf("%s has disk %s, which contains data of the host (%s): a guest that gets the device can overwrite it; move the data off the disk first", describe(d), disk.Path, disk.Use())
		}
	}
	return nil
}
