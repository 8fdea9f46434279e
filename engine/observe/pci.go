package observe

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// PCIDevice is one function of a PCI device.
type PCIDevice struct {
	// Address consists of domain, bus, device and function: "0000:01:00.0".
	Address string
	// ID consists of vendor and device, as printed by lspci -n: "10de:2204".
	ID string
	// Class consists of class and subclass: "0300" is a VGA controller.
	Class string
}

// PCIDevices observes the PCI devices, sorted by address, under the empty name.
var PCIDevices = &Kind[[]PCIDevice]{
	Name: "pci-devices", What: "the PCI devices",
	Lasting: true,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{
			Script: `[ -e /sys/bus/pci/devices ] || exit 0
cd /sys/bus/pci/devices && [ -r . ] || exit 1
set -- */vendor
[ -e "$1" ] || exit 0
exec grep -H '' */vendor */device */class /dev/null`,
		}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, []PCIDevice, error)) {
		devices, err := parsePCIDevices(answers[0])
		for _, name := range names {
			tell(name, devices, err)
		}
	},
}

func parsePCIDevices(a remote.Answer) ([]PCIDevice, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("/sys/bus/pci/devices cannot be read: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	attributes := map[string]map[string]string{}
	for line := range strings.Lines(string(a.Stdout)) {
		// An address contains colons, but the name of an attribute does not.
		address, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "/")
		attribute, value, both := strings.Cut(rest, ":")
		if !ok || !both {
			return nil, fmt.Errorf("grep printed %q for a PCI device, expected ADDRESS/ATTRIBUTE:VALUE", line)
		}
		if attributes[address] == nil {
			attributes[address] = map[string]string{}
		}
		attributes[address][attribute] = strings.TrimPrefix(value, "0x")
	}
	devices := []PCIDevice{}
	for address, is := range attributes {
		if len(is["vendor"]) != 4 || len(is["device"]) != 4 || len(is["class"]) != 6 {
			return nil, fmt.Errorf("PCI device %s has vendor %q, device %q and class %q, expected 4, 4 and 6 hexadecimal digits", address, is["vendor"], is["device"], is["class"])
		}
		devices = append(devices, PCIDevice{Address: address, ID: is["vendor"] + ":" + is["device"], Class: is["class"][:4]})
	}
	slices.SortFunc(devices, func(a, b PCIDevice) int { return cmp.Compare(a.Address, b.Address) })
	return devices, nil
}

// PCIUse describes how the kernel uses a PCI device.
type PCIUse struct {
	// Driver is the name of the bound driver; empty if there is none.
	Driver string
	// Group is the number of the IOMMU group; empty if there is none because no IOMMU is enabled.
	Group string
	// Interfaces and Disks are the kernel's names of the network interfaces and disks that the device provides.
	Interfaces, Disks []string
}

// PCIUses observes how the kernel uses each PCI device, by address. Its one observation has the empty name.
var PCIUses = &Kind[map[string]PCIUse]{
	Name: "pci-uses", What: "the drivers and IOMMU groups of the PCI devices",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{
			Script: `set --
for f in /sys/bus/pci/devices /sys/class/net /sys/block; do [ ! -e "$f" ] || [ -r "$f" ] || { echo "$f cannot be read" >&2; exit 1; }; done
for f in /sys/bus/pci/devices/*/driver /sys/bus/pci/devices/*/iommu_group /sys/class/net/* /sys/class/nvme-subsystem/*/nvme* /sys/block/*; do
[ ! -L "$f" ] || set -- "$@" "$f"
done
[ $# = 0 ] || exec stat -c %N -- "$@"`,
		}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]PCIUse, error)) {
		uses, err := parsePCIUses(answers[0])
		for _, name := range names {
			tell(name, uses, err)
		}
	},
}

// providers returns the PCI devices that provide whatever a path below /sys/devices leads to. The innermost address on
// the path is the device itself, because bridges come before it. An address followed by another root is a controller
// with its own bus (Intel VMD, whose NVMe disks are in a separate domain): passing through the controller takes the
// disks along.
func providers(target string) []string {
	var all []string
	last := ""
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case pciAddress.MatchString(part):
			last = part
		case last != "" && pciRoot.MatchString(part):
			all = append(all, last)
		}
	}
	if last != "" {
		all = append(all, last)
	}
	return all
}

// pciRoot matches the root of a tree of PCI buses.
var pciRoot = pattern.New(`^pci[0-9a-f]{4,}:[0-9a-f]{2}$`)

var pciAddress = pattern.New(`^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// parsePCIUses parses lines of the form 'LINK' -> 'TARGET'. If anything about a device could not be read, that is an
// error, so that the device is not mistaken for an unused one.
func parsePCIUses(a remote.Answer) (map[string]PCIUse, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("what uses the PCI devices cannot be read: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	uses := map[string]PCIUse{}
	// NVMe disks with several paths belong to a subsystem, which lists the controllers.
	subsystems := map[string][]string{}
	lines := bufio.NewScanner(bytes.NewReader(a.Stdout))
	for lines.Scan() {
		link, target, ok := strings.Cut(strings.Trim(lines.Text(), "'"), "' -> '")
		if !ok {
			return nil, fmt.Errorf("stat printed %q, expected 'LINK' -> 'TARGET'", lines.Text())
		}
		through := providers(target)
		name := path.Base(link)
		if device, isPCI := strings.CutPrefix(path.Dir(link), "/sys/bus/pci/devices/"); isPCI {
			use := uses[device]
			if name == "driver" {
				use.Driver = path.Base(target)
			} else {
				use.Group = path.Base(target)
			}
			uses[device] = use
			continue
		}
		if subsystem, ok := strings.CutPrefix(path.Dir(link), "/sys/class/nvme-subsystem/"); ok {
			subsystems[subsystem] = append(subsystems[subsystem], through...) // a namespace has no address
			continue
		}
		holders := subsystems[path.Base(path.Dir(target))]
		if len(through) > 0 {
			holders = through
		}
		for _, holder := range holders {
			use := uses[holder]
			if path.Dir(link) == "/sys/block" {
				use.Disks = append(use.Disks, name)
			} else {
				use.Interfaces = append(use.Interfaces, name)
			}
			uses[holder] = use
		}
	}
	return uses, lines.Err()
}
