// Package passthrough implements the module that reserves PCI devices for guests.
package passthrough

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/modprobe"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "passthrough",
	Summary: "PCI devices reserved for guests",
	Doc: `Reserves PCI devices for guests: vfio-pci takes them when the host boots, before their own drivers can.

Devices are named by vendor and device, as in ` + "`10de:2204`, or by class, as in `class:0300`" + ` (a VGA controller); * stands for any digits.
A pattern is expanded on each host to the exact ids of the devices found there, because neither modprobe nor the kernel knows
patterns. Two cards with the same id are reserved together.

The module writes, in the files of the module modprobe, the ids for vfio-pci, soft dependencies that load vfio-pci before each driver
that could take one of the devices, and the vfio modules that the running kernel has (vfio_virqfd only before 6.2). Ids and
options that other tasks put there stay. It then builds the initramfs images of all kernels. A device that another driver holds is
taken over at the next boot; the task registers that a reboot is required, for a later task with ` + "`reboot { when_required = true }`" + `.
After that boot the task fails if vfio-pci does not have the device.

Nothing is changed, and the error says what to do:

- if no IOMMU is enabled: VT-d or AMD-Vi in the firmware, and for Intel intel_iommu=on before kernel 6.8 (see boot);
- if interrupts are not remapped, unless allow_unsafe_interrupts is set;
- if a device shares its IOMMU group with one that the host uses;
- if the host would lose its only display, unless only_display is set;
- if the host uses the device: a network interface that is up, a disk that is not blank.

With state = "absent", the host gets the devices back at the next boot: their ids are removed, with the soft dependencies and the
blacklist of drivers that no reserved device has. Once no id is left, the vfio modules and their options are removed as well. The option of kvm
(ignore_msrs) is kept; see the module modprobe. A note names guests of the host that still have one of the devices.

Addresses of PCI devices change when cards are added; ids do not.`,
	Example: `task "graphics cards for guests" {
  passthrough {
    devices = ["10de:*"]
  }
}

task "reboot if a task asks for it" {
  reboot {
    when_required = true
  }
}`,
	Result: Result{},
	New:    func() modules.Module { return &Module{} },
}

// Module lists the devices for guests.
type Module struct {
	Devices               []string `hcl:"devices" doc:"Vendor and device, or class, of the devices: [\"10de:2204\", \"10de:*\", \"class:0300\"]."`
	IgnoreMSRs            bool     `hcl:"ignore_msrs,optional" default:"false" doc:"Let guests access model-specific registers that KVM does not know (macOS guests need it). It affects all guests of the host."`
	AllowUnsafeInterrupts bool     `hcl:"allow_unsafe_interrupts,optional" default:"false" doc:"Allow passthrough on hardware without interrupt remapping. A guest can then disturb the host."`
	Blacklist             bool     `hcl:"blacklist,optional" default:"false" doc:"Also blacklist the drivers of the display devices, by their exact names. Other cards lose these drivers too."`
	DisableVGA            bool     `hcl:"disable_vga,optional" default:"false" doc:"Keep vfio-pci from claiming legacy VGA resources."`
	State                 string   `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent returns the devices to the host."`
	OnlyDisplay           bool     `hcl:"only_display,optional" default:"false" doc:"Take the only display of the host as well, which then has no local console."`
}

// Result is what the module registers.
type Result struct {
	IDs       []string `cty:"ids" doc:"The IDs of the devices, each once: [\"10de:2204\", \"10de:1aef\"]."`
	Addresses []string `cty:"addresses" doc:"The addresses of the devices: [\"0000:01:00.0\", \"0000:01:00.1\"]."`
	Reboot    bool     `cty:"reboot" doc:"Whether another driver has one of the devices, so that the host must be rebooted."`
}

var devicePattern = pattern.New(`^([0-9a-fA-F*]{1,4}:[0-9a-fA-F*]{1,4}|class:[0-9a-fA-F*]{1,4})$`)

// demander is the module's entry in the list of packages that require a reboot.
const demander = "pci-passthrough"

// vfio is the driver that holds devices for guests.
const vfio = "vfio-pci"

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if len(m.Devices) == 0 {
		return &modules.ArgumentError{Argument: "devices", Problem: "the task names no device", Want: `expected vendor and device, such as "10de:2204"; lspci -nn lists them`}
	}
	for _, pattern := range m.Devices {
		switch {
		case !devicePattern.MatchString(pattern):
			return &modules.ArgumentError{Argument: "devices", Problem: fmt.Sprintf("%q is neither vendor and device nor a class", pattern), Want: `expected hexadecimal digits as printed by lspci -nn, such as "10de:2204", "10de:*" or "class:0300"`}
		case strings.Trim(pattern, "*:") == "" || strings.Trim(pattern, "*") == "class:":
			return &modules.ArgumentError{Argument: "devices", Problem: fmt.Sprintf("%q matches every device of the host", pattern), Want: `expected a vendor or a class, such as "10de:*"`}
		}
	}
	given := map[string]bool{"ignore_msrs": m.IgnoreMSRs, "allow_unsafe_interrupts": m.AllowUnsafeInterrupts, "blacklist": m.Blacklist, "disable_vga": m.DisableVGA, "only_display": m.OnlyDisplay}
	for _, argument := range slices.Sorted(maps.Keys(given)) {
		if given[argument] && m.State == absent {
			return &modules.ArgumentError{Argument: argument, Problem: "it applies only to devices that are being reserved", Want: "leave it out"}
		}
	}
	return nil
}

// absent is the state in which the host has the devices.
const absent = "absent"

// patterns returns the patterns in lower case, as they are matched.
func (m *Module) patterns() []string {
	var all []string
	for _, p := range m.Devices {
		all = append(all, strings.ToLower(p))
	}
	return all
}

// matches reports whether a pattern, in lower case, matches a device.
func matches(pattern string, d observe.PCIDevice) bool {
	subject := d.ID
	if strings.HasPrefix(pattern, "class:") {
		subject = "class:" + d.Class
	}
	ok, err := path.Match(pattern, subject)
	return ok && err == nil
}

// chosen returns the devices that a pattern matches.
func (m *Module) chosen(devices []observe.PCIDevice) ([]observe.PCIDevice, error) {
	var all []observe.PCIDevice
	for _, pattern := range m.patterns() {
		found := false
		for _, d := range devices {
			if !matches(pattern, d) {
				continue
			}
			found = true
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
		if !found {
			return nil, fmt.Errorf("no PCI device matches %q: the host has %s", pattern, list(devices))
		}
	}
	slices.SortFunc(all, func(a, b observe.PCIDevice) int { return strings.Compare(a.Address, b.Address) })
	return all, nil
}

// list names devices for people, at most a dozen.
func list(devices []observe.PCIDevice) string {
	var all []string
	for _, d := range devices {
		all = append(all, describe(d))
	}
	const enough = 12
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > enough:
		return strings.Join(all[:enough], ", ") + fmt.Sprintf(" and %d more", len(all)-enough)
	}
	return strings.Join(all, ", ")
}

func describe(d observe.PCIDevice) string {
	return d.Address + " (" + d.ID + ", class " + d.Class + ")"
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	observe.PCIUses.Want(h, "")
	observe.RebootDemands.Want(h, "")
	observe.Files.Want(h, modprobe.LoadFile, modprobe.OptionsFile)
	observe.StaleInitramfs.Want(h, modprobe.OptionsFile)
	drivers.Want(h, strings.Join(m.patterns(), " "))
	if m.State == absent {
		return m.release(ctx, h)
	}
	observe.CommandLines.Want(h, "")
	observe.Kernels.Want(h, "")
	if !m.AllowUnsafeInterrupts {
		remapping.Want(h, "")
	}
	observe.KernelModules.Want(h, vfioModules...)
	devices, err := observe.PCIDevices.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	chosen, err := m.chosen(devices)
	if err != nil {
		return modules.Plan{}, fmt.Errorf("%s: %w", h.Name(), err)
	}
	uses, unknown := observe.PCIUses.Observe(ctx, h, "")
	if unknown != nil && !observe.IsUnknown(unknown) {
		return modules.Plan{}, unknown
	}
	if err := m.keepDisplay(devices, chosen); err != nil {
		return modules.Plan{}, fmt.Errorf("%s: %w", h.Name(), err)
	}
	if unknown == nil {
		if err := m.check(ctx, h, devices, chosen, uses); err != nil {
			return modules.Plan{}, fmt.Errorf("%s: %w", h.Name(), err)
		}
	}
	configured, err := m.configure(ctx, h, chosen)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Steps: configured.Steps, Notes: configured.Notes}
	switch {
	case unknown != nil && len(plan.Steps) == 0:
		return modules.Plan{}, unknown
	case unknown != nil:
		plan.Doubt = unknown
		last := &plan.Steps[len(plan.Steps)-1]
		last.Expect = append(slices.Clone(last.Expect), observe.RebootDemands.Unknown("", "it depends on which drivers have the devices after the earlier reboot"))
	}
	held := heldByOthers(chosen, uses)
	if len(held) > 0 {
		demanded, err := m.demand(ctx, h, held, len(plan.Steps) > 0)
		if err != nil {
			return modules.Plan{}, err
		}
		plan.Steps = append(demanded, plan.Steps...)
		plan.Notes = append(plan.Notes, strings.Join(held, ", ")+": vfio-pci takes over at the next boot")
	}
	plan.Data = modules.Data(Result{Reboot: len(held) > 0, IDs: ids(chosen), Addresses: addresses(chosen)})
	return plan, nil
}

// demand plans to register that a reboot is required. It comes before all other steps: if everything is configured and no
// reboot is pending, the host has rebooted already, and another driver was faster.
func (m *Module) demand(ctx context.Context, h modules.Host, held []string, changes bool) ([]modules.Step, error) {
	steps, err := conffile.DemandReboot(ctx, h, demander)
	if err != nil || changes || len(steps) == 0 {
		return steps, err
	}
	return nil, &modules.FinalError{Err: fmt.Errorf("%s: %s although the host was rebooted since %s was written: expected %s; check the kernel's messages (dmesg), and rebuild the initramfs (update-initramfs -u -k all) before another reboot",
		h.Name(), strings.Join(held, ", "), modprobe.OptionsFile, vfio)}
}

// heldByOthers describes the devices that a driver other than vfio-pci holds. A device without a driver is free for guests.
func heldByOthers(chosen []observe.PCIDevice, uses map[string]observe.PCIUse) []string {
	var held []string
	for _, d := range chosen {
		if driver := uses[d.Address].Driver; driver != "" && driver != vfio {
			held = append(held, fmt.Sprintf("%s is bound to driver %s", describe(d), driver))
		}
	}
	return held
}

func addresses(devices []observe.PCIDevice) []string {
	var all []string
	for _, d := range devices {
		all = append(all, d.Address)
	}
	return all
}

// ids returns the IDs of devices without duplicates.
func ids(devices []observe.PCIDevice) []string {
	var all []string
	for _, d := range devices {
		if !slices.Contains(all, d.ID) {
			all = append(all, d.ID)
		}
	}
	return all
}
