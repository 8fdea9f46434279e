// Package blank guards what is created on devices: only if there is nothing on them, or if the playbook repeats the
// serial number of the disk.
package blank

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Target is a device on which something is to be created.
type Target struct {
	// Name is the device's name in the playbook.
	Name   string
	Device observe.BlockDevice
	// Serial is the serial number of the disk; empty if it reports none.
	Serial string
}

// Find returns the devices that names stand for: serial numbers of disks, paths, or names in /dev/disk/by-id. missing are the
// names that match none. It is an error if two names stand for the same device, if a serial number is that of several disks,
// or if a device is not of one of the types, which are those of lsblk(8).
func Find(h modules.Host, devices []observe.BlockDevice, names []string, types ...string) (found []Target, missing []string, err error) {
	named := map[string]string{}
	for _, name := range names {
		d, ok := observe.FindDevice(devices, name)
		for _, top := range devices {
			if !ok && top.Serial == name {
				d, ok = top, true
			} else if ok && top.Serial == name && top.Name != d.Name {
				return nil, nil, fmt.Errorf("%s on %s is the serial number of both %s and %s: use its name in /dev/disk/by-id", name, h.Name(), d.Path, top.Path)
			}
		}
		if !ok {
			missing = append(missing, name)
			continue
		}
		if other := named[d.Name]; other != "" {
			return nil, nil, fmt.Errorf("%s and %s are the same disk of %s, %s", other, name, h.Name(), d.Path)
		}
		if !slices.Contains(types, d.Type) {
			return nil, nil, fmt.Errorf("%s on %s is a %s: expected a disk or a partition", name, h.Name(), d.Type)
		}
		named[d.Name] = name
		found = append(found, Target{Name: name, Device: d, Serial: observe.Above(devices, d).Serial})
	}
	return found, missing, nil
}

// Names lists targets by their paths, with the serials of the disks.
func Names(targets []Target) string {
	var all []string
	for _, t := range targets {
		name := t.Device.Path
		if t.Serial != "" {
			name += " (" + t.Serial + ")"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// Paths returns the names of targets to pass to programs.
func Paths(targets []Target) []string {
	var all []string
	for _, t := range targets {
		all = append(all, t.Path())
	}
	return all
}

// CheckNames returns an error unless each name can be one of those that Find takes, and none is there twice.
func CheckNames(argument string, names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if strings.HasPrefix(name, "/") {
			if err := CheckDevice(argument, name); err != nil {
				return err
			}
		}
		if seen[name] || name == "" {
			return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is empty or given twice", name), Want: "expected each disk once"}
		}
		seen[name] = true
	}
	return nil
}

// Settle bounds the time until udev notices what is on a device.
const Settle = 15 * time.Second

// Eligible returns nil if something may be created on the target: it must be blank, or its serial number must be in
// wipe. A device that is in use, or that holds the system, is refused in any case.
func (t Target) Eligible(h modules.Host, wipe ...string) error {
	d := t.Device
	var mounted, held []string
	d.Walk(func(below observe.BlockDevice) {
		mounted = append(mounted, below.Mountpoints...)
		if below.Name != d.Name && below.Type != "part" {
			held = append(held, below.Type+" "+below.Path)
		}
	})
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s on %s %s", t.Name, h.Name(), fmt.Sprintf(format, args...))
	}
	wipe = slices.DeleteFunc(slices.Clone(wipe), func(serial string) bool { return serial == "" })
	switch {
	case d.HoldsSystem():
		return refuse("holds the system that the host boots and runs from, which is never touched: name another device")
	case d.Volume() != "":
		return refuse("is not a disk of the host (%s): expected a disk, a partition, a logical volume or an array; name another device", d.Volume())
	case d.ReadOnly:
		return refuse("is read-only; name another device")
	case len(mounted) > 0:
		return refuse("is in use, mounted at %s; unmount it first, or name another device", strings.Join(mounted, ", "))
	case len(held) > 0:
		return refuse("is held by %s; take that down first, or name another device", strings.Join(held, ", "))
	case d.Blank():
		return nil
	case t.Serial == "":
		return refuse("is not blank (%s), and has no serial number to confirm with wipe: wipe it by hand, or name another device", d.Use())
	case len(wipe) == 0:
		return refuse("is not blank (%s): name another device or, to destroy what is on it, set wipe to the serial number of the disk, %s", d.Use(), t.Serial)
	case len(wipe) == 1 && wipe[0] != t.Serial:
		return refuse("is not blank (%s), and wipe = %q is not the serial number of the disk, which is %q: nothing was wiped", d.Use(), wipe[0], t.Serial)
	case !slices.Contains(wipe, t.Serial):
		return refuse("is not blank (%s), and wipe (%s) does not contain the serial number of the disk, %q: nothing was wiped", d.Use(), strings.Join(wipe, ", "), t.Serial)
	}
	return nil
}

// Wipe returns the step that wipes the target, and the devices as they are afterwards.
func (t Target) Wipe(devices []observe.BlockDevice) (modules.Step, []observe.BlockDevice) {
	argv := []string{"wipefs", "--all"}
	for _, child := range t.Device.Children {
		argv = append(argv, Target{Device: child}.Path())
	}
	devices = observe.ChangeDevices(devices, Named(t.Device.Name), func(d *observe.BlockDevice) {
		d.Links = slices.DeleteFunc(slices.Clone(d.Links), func(link string) bool { return link == "/dev/disk/by-id/lvm-pv-uuid-"+d.UUID })
		d.Filesystem, d.UUID, d.Children = "", "", nil
		if d.Type != "part" {
			d.PartitionTable = ""
		}
	})
	return modules.Step{
		Risk:    modules.Destroys,
		Summary: fmt.Sprintf("wipe %s (%s, serial %s): %s", t.Name, t.Device.Path, t.Serial, t.Device.Use()),
		Action:  modules.Run{Argv: append(argv, t.Path()), Limit: 2 * time.Minute},
		Expect:  []observe.Expectation{observe.Disks.Expect("", devices)},
		Settle:  Settle,
		Exact:   true,
	}, devices
}

// Path returns the name of the target to pass to programs: one that does not change between boots, if there is one.
func (t Target) Path() string {
	if ids := t.Device.ByID(); len(ids) > 0 {
		return ids[0]
	}
	return t.Device.Path
}

// check fails if any of the devices "$1" to "$n" is not blank. blkid(8) exits with status 2 if it finds nothing, but
// also, silently, if it cannot read the device, so the beginning and the end, where signatures are, are read first.
const check = `n=$1; shift
while [ "$n" -gt 0 ]; do
d=$1; shift; n=$((n-1))
head -c 2097152 -- "$d" >/dev/null && tail -c 1048576 -- "$d" >/dev/null || { echo "cannot read $d to check that it is blank" >&2; exit 1; }
found=$(blkid -p -- "$d"); rc=$?
if [ "$rc" != 2 ]; then echo "$d is not blank any more: $found" >&2; exit 1; fi
done
exec "$@"`

// Guarded returns the command line that runs argv if the targets are still blank right before.
func Guarded(targets []Target, argv ...string) []string {
	guarded := []string{"sh", "-c", check, "sh", fmt.Sprint(len(targets))}
	for _, t := range targets {
		guarded = append(guarded, t.Path())
	}
	return append(guarded, argv...)
}

// Named matches the device with a kernel name.
func Named(name string) func(observe.BlockDevice) bool {
	return func(d observe.BlockDevice) bool { return d.Name == name }
}

// List describes devices, by stable names, and what is on them.
func List(devices []observe.BlockDevice) string {
	var all []string
	for _, d := range devices {
		d.Walk(func(d observe.BlockDevice) {
			name, use := d.Path, d.Use()
			if len(d.Links) > 0 {
				name = d.Links[0]
			}
			if use == "" {
				use = "blank"
			}
			if text := fmt.Sprintf("%s (%s)", name, use); !slices.Contains(all, text) { // an array is below each of its members
				all = append(all, text)
			}
		})
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// CheckDevice returns an error if an argument is not the path of a device.
func CheckDevice(argument, device string) error {
	if !strings.HasPrefix(device, "/dev/") || strings.ContainsAny(device, " \t\n") || strings.Contains(device, "/../") {
		return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q is not the path of a device", device), Want: "/dev/disk/by-id/…, or /dev/sdb"}
	}
	return nil
}
