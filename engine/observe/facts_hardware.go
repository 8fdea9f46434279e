package observe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/remote"
)

var (
	cpuType = cty.Object(map[string]cty.Type{
		"model": cty.String, "vendor": cty.String, "count": cty.Number,
	})
	memoryType = cty.Object(map[string]cty.Type{"total": cty.Number, "swap": cty.Number})
	diskType   = cty.Object(map[string]cty.Type{
		"name": cty.String, "path": cty.String, "by_id": cty.List(cty.String), "size": cty.Number,
		"serial": cty.String, "wwn": cty.String, "model": cty.String, "rotational": cty.Bool,
		"use": cty.String, "partitions": cty.List(cty.String), "mountpoints": cty.List(cty.String),
	})
	pciType = cty.Object(map[string]cty.Type{
		"address": cty.String, "id": cty.String, "class": cty.String, "driver": cty.String, "iommu_group": cty.String,
	})
	iommuType = cty.Object(map[string]cty.Type{"enabled": cty.Bool, "groups": cty.Number})
)

var hardwareFacts = []FactSpec{
	{FactDoc{"cpu", cpuType, "Processor: `model` and `vendor` (null if the kernel reports none) and `count`, the logical processors that are online. From /proc/cpuinfo."}, readCPU},
	{FactDoc{"memory", memoryType, "Memory in bytes: `total` that the kernel can use, and `swap`. From /proc/meminfo."}, readMemory},
	{FactDoc{"disks", cty.List(diskType), "Disks of the host, except devices whose data is stored elsewhere (`zd`, `rbd`, `drbd`, `nbd`, …) and drives without a medium: `name`, `path`, `by_id` (links in /dev/disk/by-id), `size` in bytes, `serial`, `wwn`, `model` (null if not reported), `rotational`, `use` (empty for a blank disk, else a signature such as `ext4` or `LVM2_member`, or `partitions`), `partitions` (paths) and `mountpoints` (of the disk and of everything on it). From lsblk."}, readDisks},
	{FactDoc{"iommu", iommuType, "Whether the kernel runs an IOMMU (`enabled`), and the number of its `groups`. From /sys/kernel/iommu_groups."}, readIOMMU},
	{FactDoc{"pci", cty.List(pciType), "PCI devices: `address` (`0000:01:00.0`), `id` (vendor and device, `10de:2204`), `class` (`0300`), `driver` (null if none has it) and `iommu_group` (null without an IOMMU). From /sys/bus/pci."}, readPCI},
	{FactDoc{"virtualization", cty.String, "What kind of guest the host is (`kvm`, `vmware`, `lxc`, …); null on bare metal. From systemd-detect-virt."}, readVirtualization},
}

func readCPU(ctx context.Context, h *Host) (cty.Value, error) {
	text, err := needText(ctx, h, "/proc/cpuinfo")
	if err != nil {
		return cty.NilVal, err
	}
	count := 0
	first := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "processor" {
			count++
		}
		if _, seen := first[key]; !seen {
			first[key] = value
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"model": optional(first["model name"]), "vendor": optional(first["vendor_id"]),
		"count": cty.NumberIntVal(int64(count)),
	}), nil
}

func readMemory(ctx context.Context, h *Host) (cty.Value, error) {
	text, err := needText(ctx, h, "/proc/meminfo")
	if err != nil {
		return cty.NilVal, err
	}
	total, totalErr := meminfo(text, "MemTotal")
	swap, swapErr := meminfo(text, "SwapTotal")
	if err := errors.Join(totalErr, swapErr); err != nil {
		return cty.NilVal, err
	}
	return cty.ObjectVal(map[string]cty.Value{"total": cty.NumberIntVal(total), "swap": cty.NumberIntVal(swap)}), nil
}

// meminfo returns the value of a line of /proc/meminfo (proc_meminfo(5)) in bytes.
func meminfo(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key+":" && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no line %s", key)
}

func readDisks(ctx context.Context, h *Host) (cty.Value, error) {
	devices, err := Disks.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	var values []cty.Value
	for _, d := range devices {
		if d.Type != "disk" || d.Volume() != "" {
			continue
		}
		var partitions, mountpoints []string
		d.Walk(func(below BlockDevice) {
			if below.Type == "part" {
				partitions = append(partitions, below.Path)
			}
			mountpoints = append(mountpoints, below.Mountpoints...)
		})
		values = append(values, cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal(d.Name), "path": cty.StringVal(d.Path), "by_id": stringList(d.ByID()),
			"size": cty.NumberIntVal(d.Size), "serial": optional(d.Serial), "wwn": optional(d.WWN),
			"model": optional(d.Model), "rotational": cty.BoolVal(d.Rotational), "use": cty.StringVal(d.Use()),
			"partitions": stringList(partitions), "mountpoints": stringList(mountpoints),
		}))
	}
	return listOf(diskType, values), nil
}

func readIOMMU(ctx context.Context, h *Host) (cty.Value, error) {
	groups, err := Dirs.Observe(ctx, h, "/sys/kernel/iommu_groups")
	if err != nil {
		return cty.NilVal, err
	}
	n := len(groups.Entries)
	return cty.ObjectVal(map[string]cty.Value{
		"enabled": cty.BoolVal(n > 0), "groups": cty.NumberIntVal(int64(n)),
	}), nil
}

func readPCI(ctx context.Context, h *Host) (cty.Value, error) {
	PCIUses.Want(h, "")
	devices, err := PCIDevices.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	uses, err := PCIUses.Observe(ctx, h, "")
	if err != nil {
		return cty.NilVal, err
	}
	var values []cty.Value
	for _, d := range devices {
		values = append(values, cty.ObjectVal(map[string]cty.Value{
			"address": cty.StringVal(d.Address), "id": cty.StringVal(d.ID), "class": cty.StringVal(d.Class),
			"driver": optional(uses[d.Address].Driver), "iommu_group": optional(uses[d.Address].Group),
		}))
	}
	return listOf(pciType, values), nil
}

func readVirtualization(ctx context.Context, h *Host) (cty.Value, error) {
	a, err := Output(ctx, h, "systemd-detect-virt")
	if err != nil {
		return cty.NilVal, err
	}
	kind := strings.TrimSpace(string(a.Stdout))
	if kind == "" {
		return cty.NilVal, fmt.Errorf("systemd-detect-virt: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	if kind == "none" { // printed with exit status 1
		kind = ""
	}
	return optional(kind), nil
}
