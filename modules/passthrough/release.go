package passthrough

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/pve"
	"hlplay/modules/modprobe"
)

// release plans to give devices back to the host. The patterns are matched against the IDs in the files, so that the IDs
// of a card that has been taken out of the host are removed as well.
func (m *Module) release(ctx context.Context, h modules.Host) (modules.Plan, error) {
	text, _, err := observe.Text(ctx, h, modprobe.OptionsFile)
	if err != nil {
		return modules.Plan{}, err
	}
	devices, err := observe.PCIDevices.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	matched := m.matching(devices)
	var kept, gone []string
	for _, id := range union(modprobe.OptionsIn(text, vfio), nil) {
		if m.names(observe.PCIDevice{ID: id}) || slices.Contains(ids(matched), id) {
			gone = append(gone, id)
		} else {
			kept = append(kept, id)
		}
	}
	result := Result{IDs: ids(matched), Addresses: addresses(matched)}
	surplus, err := m.surplus(ctx, h, matched, kept, len(gone) > 0)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{}
	if surplus != nil {
		removed, err := surplus.Plan(ctx, h)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = removed.Steps
	}
	switch {
	case len(gone) == 0 || len(kept) == 0:
	case len(plan.Steps) > 0:
		plan.Partial = true // the same file is written again for the remaining ids
	default:
		options := &modprobe.Module{State: "present", Options: map[string]string{vfio: withOption(modprobe.OptionsIn(text, vfio), "ids="+strings.Join(kept, ","))}}
		written, err := options.Plan(ctx, h)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = written.Steps
	}
	uses, err := observe.PCIUses.Observe(ctx, h, "")
	if err != nil {
		if !observe.IsUnknown(err) || len(plan.Steps) == 0 {
			return modules.Plan{}, err
		}
		plan.Doubt = err
	}
	var held []string
	for _, d := range matched {
		if uses[d.Address].Driver == vfio {
			held = append(held, describe(d))
		}
	}
	demand, err := observe.RebootDemands.Observe(ctx, h, "")
	if err != nil && !observe.IsUnknown(err) {
		return modules.Plan{}, err
	}
	switch waiting := slices.Contains(demand.Packages, demander); {
	case len(held) == 0:
	case len(plan.Steps) == 0 && !waiting:
		plan.Notes = append(plan.Notes, strings.Join(held, ", ")+": bound to vfio-pci, although nothing in "+modprobe.OptionsFile+" reserves it: a guest uses it, or another file of modprobe.d reserves it")
	default:
		result.Reboot = true
		plan.Notes = append(plan.Notes, strings.Join(held, ", ")+": the host's own drivers take over at the next boot")
		demanded, err := conffile.DemandReboot(ctx, h, demander)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = append(demanded, plan.Steps...)
	}
	if len(plan.Steps)+len(held) > 0 {
		notes, err := assigned(ctx, h, matched)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Notes = append(plan.Notes, notes...)
	}
	plan.Data = modules.Data(result)
	return plan, nil
}

// assigned returns notes about guests of the host that still have one of the devices: when such a guest starts, Proxmox VE
// unbinds the device from the host's driver.
func assigned(ctx context.Context, h modules.Host, devices []observe.PCIDevice) ([]string, error) {
	node, configs, err := pve.GuestsOn(ctx, h)
	if err != nil || len(configs) == 0 {
		return nil, err
	}
	mappings, err := pve.Mappings.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, id := range slices.Sorted(maps.Keys(configs)) {
		options := configs[id].Options
		for _, key := range slices.Sorted(maps.Keys(options)) {
			if !strings.HasPrefix(key, "hostpci") {
				continue
			}
			has := pve.HostPCI(options[key], node, mappings)
			theirs := slices.DeleteFunc(slices.Clone(devices), func(d observe.PCIDevice) bool {
				return !slices.ContainsFunc(has, func(address string) bool { return covers(address, d.Address) })
			})
			if len(theirs) > 0 {
				notes = append(notes, fmt.Sprintf("guest %s (%s) still has %s of %s, and takes it from the host when it starts: remove it from the guest, too (qm set %s --delete %s)", id, configs[id].Title(), key, list(theirs), id, key))
			}
		}
	}
	return notes, nil
}

// covers reports whether an address is that of a device or, without a function number, that of the card that the device is
// on.
func covers(address, device string) bool {
	return device == address || strings.HasPrefix(device, address+".")
}

// matching returns the devices that a pattern matches, which may be none.
func (m *Module) matching(devices []observe.PCIDevice) []observe.PCIDevice {
	return slices.DeleteFunc(slices.Clone(devices), func(d observe.PCIDevice) bool { return !m.names(d) })
}

// names reports whether a pattern matches a device.
func (m *Module) names(d observe.PCIDevice) bool {
	return slices.ContainsFunc(m.patterns(), func(pattern string) bool { return matches(pattern, d) })
}

// surplus returns what only the released devices needed in the files of modprobe; nil for nothing. The lines of a driver
// are kept while a device that stays reserved can have the same driver. The vfio modules are removed together with the
// last ID, and not later, because another task may list them.
func (m *Module) surplus(ctx context.Context, h modules.Host, gone []observe.PCIDevice, kept []string, reserved bool) (*modprobe.Module, error) {
	set := &modprobe.Module{State: "absent", Softdep: map[string]string{}, Options: map[string]string{}}
	byDevice, err := drivers.Observe(ctx, h, strings.Join(m.patterns(), " "))
	if err != nil {
		return nil, err
	}
	var needed map[string][]string
	switch {
	case len(kept) > 0:
		if needed, err = drivers.Observe(ctx, h, strings.Join(kept, " ")); err != nil {
			return nil, fmt.Errorf("the drivers of the devices that stay reserved: %w", err)
		}
	case reserved:
		set.Modules = vfioModules
		set.Options[vfio], set.Options["vfio_iommu_type1"] = "", ""
	}
	stay := slices.Concat(slices.Collect(maps.Values(needed))...)
	for _, d := range gone {
		for _, driver := range byDevice[d.Address] {
			if slices.Contains(stay, driver) {
				continue
			}
			set.Softdep[driver] = ""
			if isDisplay(d) && !slices.Contains(set.Blacklist, driver) {
				set.Blacklist = append(set.Blacklist, driver)
			}
		}
	}
	if len(set.Modules)+len(set.Softdep) == 0 {
		return nil, nil
	}
	return set, nil
}
