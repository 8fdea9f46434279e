package passthrough

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/modprobe"
)

// vfioModules are the kernel modules that passthrough needs. vfio_virqfd became part of vfio with kernel 6.2.
var vfioModules = []string{"vfio", "vfio_iommu_type1", "vfio_pci", "vfio_virqfd"}

// drivers observes which kernel modules can drive the devices that patterns match, by device address. Its names are
// blank-separated patterns.
var drivers = &observe.Kind[map[string][]string]{
	Name: "pci-drivers", What: "the drivers for the PCI devices %s",
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			queries = append(queries, remote.Query{Script: driversScript, Args: strings.Fields(name)})
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string][]string, error)) {
		for i, name := range names {
			byDevice, err := parseDrivers(answers[i])
			tell(name, byDevice, err)
		}
	},
}

// driversScript asks modprobe for the modules of each device, because only modprobe can match the patterns of aliases.
// modprobe exits with 1 for a device without a module.
const driversScript = `PATH=$PATH:/usr/sbin:/sbin
_r=/lib/modules/$(uname -r)/modules.dep
[ -r "$_r" ] || { echo "$_r cannot be read" >&2; exit 2; }
for _p in /sys/bus/pci/devices/*; do
[ -e "$_p" ] || continue
read -r _v <"$_p/vendor" && read -r _d <"$_p/device" && read -r _c <"$_p/class" || exit 2
_c=${_c#0x}
_f=no
for _g; do
case ${_v#0x}:${_d#0x} in $_g) _f=yes ;; esac
case class:${_c%??} in $_g) _f=yes ;; esac
done
[ $_f = yes ] || continue
read -r _m <"$_p/modalias" || exit 2
printf '=%s\n' "${_p##*/}"
modprobe -q -R "$_m" || [ $? = 1 ] || exit 2
done`

func parseDrivers(a remote.Answer) (map[string][]string, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("modprobe --resolve-alias: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	all := map[string][]string{}
	device := ""
	for line := range strings.Lines(string(a.Stdout)) {
		line = strings.TrimSpace(line)
		if address, ok := strings.CutPrefix(line, "="); ok {
			device = address
		} else if line != "" && !slices.Contains(all[device], line) {
			all[device] = append(all[device], line)
		}
	}
	return all, nil
}

// configure plans the configuration of the kernel's modules.
func (m *Module) configure(ctx context.Context, h modules.Host, chosen []observe.PCIDevice) (modules.Plan, error) {
	text, _, err := observe.Text(ctx, h, modprobe.OptionsFile)
	if err != nil {
		return modules.Plan{}, err
	}
	byDevice, err := drivers.Observe(ctx, h, strings.Join(m.patterns(), " "))
	if err != nil {
		return modules.Plan{}, err
	}
	set := &modprobe.Module{State: "present", Modules: vfioModules[:3], Softdep: map[string]string{}, Options: map[string]string{}}
	last := vfioModules[3]
	if there, err := available(ctx, h, last); err != nil {
		return modules.Plan{}, err
	} else if there {
		set.Modules = vfioModules
	}
	for _, d := range chosen {
		for _, driver := range byDevice[d.Address] {
			if observe.ModuleName(driver) == observe.ModuleName(vfio) {
				continue
			}
			set.Softdep[driver] = "pre: " + vfio
			if m.Blacklist && isDisplay(d) && !slices.Contains(set.Blacklist, driver) {
				set.Blacklist = append(set.Blacklist, driver)
			}
		}
	}
	slices.Sort(set.Blacklist)
	option := func(module, assignment string) {
		before, ok := set.Options[module]
		if !ok {
			before = modprobe.OptionsIn(text, module)
		}
		set.Options[module] = withOption(before, assignment)
	}
	option(vfio, "ids="+strings.Join(union(modprobe.OptionsIn(text, vfio), ids(chosen)), ","))
	if m.DisableVGA {
		option(vfio, "disable_vga=1")
	}
	if m.IgnoreMSRs {
		option("kvm", "ignore_msrs=1")
	}
	if m.AllowUnsafeInterrupts {
		option("vfio_iommu_type1", "allow_unsafe_interrupts=1")
	}
	return set.Plan(ctx, h)
}

// available reports whether the running kernel has a module, as far as it can be known yet.
func available(ctx context.Context, h modules.Host, module string) (bool, error) {
	state, err := observe.KernelModules.Observe(ctx, h, module)
	if observe.IsUnknown(err) {
		return false, nil
	}
	return state.Available, err
}

// union returns the IDs that options give to vfio-pci, followed by those of more that are not among them.
func union(options string, more []string) []string {
	var all []string
	for option := range strings.FieldsSeq(options) {
		if list, ok := strings.CutPrefix(option, "ids="); ok && list != "" {
			all = strings.Split(list, ",")
		}
	}
	for _, id := range more {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// withOption returns the options with one of them set, in their present order.
func withOption(options, assignment string) string {
	name, _, _ := strings.Cut(assignment, "=")
	all := strings.Fields(options)
	is := func(option string) bool { return strings.HasPrefix(option, name+"=") }
	if at := slices.IndexFunc(all, is); at >= 0 {
		all[at] = assignment
	} else {
		all = append(all, assignment)
	}
	return strings.Join(all, " ")
}
