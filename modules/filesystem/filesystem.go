// Package filesystem makes file systems on blank devices.
package filesystem

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/uuid"
)

// Spec is the module as the registry knows it.
var Spec = modules.Spec{
	Name:    "filesystem",
	Aliases: []string{"mkfs"},
	Summary: "A file system on a blank device",
	Doc: `Makes a file system of type ext4, xfs or btrfs on a disk, a partition, a logical volume or an array. A device that has one of
that type is left as it is. ` + "`mount`" + ` mounts it.

A device is blank if lsblk finds neither a signature nor partitions on it and nothing uses it, and right before the file system is made
the host looks again. On one that is not blank the task fails, unless ` + "`wipe`" + ` repeats the serial of the disk: then its
signatures are wiped first, those of its partitions too. Nothing is wiped that is mounted or held by something else, and nothing ever from
which the host boots or runs. Take ` + "`wipe`" + ` out again once the file system is made.

The UUID of the file system follows from the host, the device and the type, so that check mode knows it.`,
	Example: `task "a file system for bulk data" {
  filesystem {
    device = "/dev/disk/by-id/ata-WDC_WD80EFZX_VK0EXAMPLE"
    type   = "ext4"
    label  = "bulk"
  }
}`,
	Packages: []modules.Package{tools("xfs"), tools("btrfs")},
	New:      func() modules.Module { return &filesystem{} },
}

// tools is the package of a program that makes file systems.
func tools(kind string) modules.Package {
	program := kinds[kind].program
	return modules.Package{Name: kinds[kind].pkg, Files: []string{program}, Installed: func(context.Context, modules.Host) ([]observe.Expectation, error) {
		return []observe.Expectation{observe.Paths.Expect(program, true)}, nil
	}}
}

// filesystem is the module's arguments.
type filesystem struct {
	Device string `hcl:"device" doc:"The device: a path below /dev/disk/by-id if there is one, because other names change."`
	Type   string `hcl:"type" enum:"ext4,xfs,btrfs" doc:"The type of the file system."`
	Label  string `hcl:"label,optional" doc:"Its label. It is given when the file system is made, and not changed later."`
	Wipe   string `hcl:"wipe,optional" doc:"The serial of the disk, if what is on it is to be destroyed."`
}

// kinds say how file systems are made: the program, its package, and the longest label in bytes.
var kinds = map[string]struct {
	program, pkg string
	label        int
	uuid         []string // options in front of the UUID
}{
	"ext4":  {"/usr/sbin/mkfs.ext4", "e2fsprogs", 16, []string{"-q", "-U"}},
	"xfs":   {"/usr/sbin/mkfs.xfs", "xfsprogs", 12, []string{"-q", "-m"}},
	"btrfs": {"/usr/sbin/mkfs.btrfs", "btrfs-progs", 255, []string{"-q", "-U"}},
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]*$`)

func (m *filesystem) Validate() error {
	if !strings.HasPrefix(m.Device, "/dev/") || strings.ContainsAny(m.Device, " \t\n") || strings.Contains(m.Device, "/../") {
		return &modules.ArgumentError{Argument: "device", Problem: fmt.Sprintf("%q is not the path of a device", m.Device), Want: "/dev/disk/by-id/…, or /dev/sdb"}
	}
	if most := kinds[m.Type].label; m.Label != "" && (!labelForm.MatchString(m.Label) || len(m.Label) > most) {
		return &modules.ArgumentError{Argument: "label", Problem: fmt.Sprintf("%q cannot be the label of %s", m.Label, m.Type),
			Want: fmt.Sprintf("at most %d letters, digits, underscores, dots and hyphens", most)}
	}
	return nil
}

// Want announces the disks.
func (m *filesystem) Want(h modules.Host) { observe.Disks.Want(h, "") }

// Plan makes the file system if the device is blank, and refuses any other device.
func (m *filesystem) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	kind := kinds[m.Type]
	observe.Files.Want(h, kind.program)
	devices, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	d, ok := observe.FindDevice(devices, m.Device)
	if !ok {
		return modules.Plan{}, fmt.Errorf("%s has no device %s; it has: %s", h.Name(), m.Device, names(devices))
	}
	if d.Filesystem == m.Type && !d.HoldsSystem() {
		var notes []string
		if m.Wipe != "" {
			notes = append(notes, fmt.Sprintf("%s is %s, and wipe has no use any more: take it out of the task, so that nothing that is put on the disk later is destroyed", m.Device, m.Type))
		}
		return modules.Plan{Notes: notes}, nil
	}
	serial := observe.Above(devices, d).Serial
	if err := m.eligible(h, d, serial); err != nil {
		return modules.Plan{}, err
	}
	if there, err := observe.Exists(ctx, h, kind.program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install the package %s first", h.Name(), kind.program, kind.pkg)
	}
	var steps []modules.Step
	if !d.Blank() {
		steps, devices = m.wipe(d, devices)
	}
	return modules.Plan{Steps: append(steps, m.make(h, d, serial, devices))}, nil
}

// eligible refuses a device that a file system must not be made on.
func (m *filesystem) eligible(h modules.Host, d observe.BlockDevice, serial string) error {
	var mounted, held []string
	d.Walk(func(below observe.BlockDevice) {
		mounted = append(mounted, below.Mountpoints...)
		if below.Name != d.Name && below.Type != "part" {
			held = append(held, below.Type+" "+below.Path)
		}
	})
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s on %s %s", m.Device, h.Name(), fmt.Sprintf(format, args...))
	}
	switch {
	case d.HoldsSystem():
		return refuse("holds the system that the host boots and runs from: no file system is ever made there; name another device")
	case d.Volume() != "":
		return refuse("is a %s: expected a disk, a partition, a logical volume or an array; name another device", d.Volume())
	case d.ReadOnly:
		return refuse("is read-only; name another device")
	case len(mounted) > 0:
		return refuse("is in use, mounted at %s; unmount it first, or name another device", strings.Join(mounted, ", "))
	case len(held) > 0:
		return refuse("is held by %s; take that down first, or name another device", strings.Join(held, ", "))
	case d.Blank():
		return nil
	case serial == "":
		return refuse("is not blank (%s), and has no serial that wipe could repeat: wipe it by hand, or name another device", d.Use())
	case m.Wipe == "":
		return refuse("is not blank (%s), and nothing on it is destroyed: name another device, or repeat the serial of the disk in wipe", d.Use())
	case m.Wipe != serial:
		return refuse("is not blank (%s), and wipe = %q is not the serial of the disk, which is %q: nothing is destroyed", d.Use(), m.Wipe, serial)
	}
	return nil
}

// wipe are the steps that wipe the device, and the devices as they are then.
func (m *filesystem) wipe(d observe.BlockDevice, devices []observe.BlockDevice) ([]modules.Step, []observe.BlockDevice) {
	argv := []string{"wipefs", "--all"}
	for _, child := range d.Children {
		argv = append(argv, child.Path)
	}
	devices = observe.ChangeDevices(devices, isNamed(d.Name), func(d *observe.BlockDevice) {
		d.Filesystem, d.UUID, d.Children = "", "", nil
		if d.Type != "part" {
			d.PartitionTable = ""
		}
	})
	return []modules.Step{{
		Risk:    modules.Destroys,
		Summary: fmt.Sprintf("wipe %s (%s, serial %s): %s", m.Device, d.Path, m.Wipe, d.Use()),
		Action:  modules.Run{Argv: append(argv, m.path(d)), Limit: 2 * time.Minute},
		Expect:  []observe.Expectation{observe.Disks.Expect("", devices)},
		Settle:  settle,
		Exact:   true,
	}}, devices
}

// settle bounds how long udev takes to see what is on a device.
const settle = 15 * time.Second

// makeBlank runs a program on a device, its last argument, if the device is blank. blkid(8) ends with 2 if it finds nothing, and also,
// without a word, if it cannot read the device: signatures are at its beginning and at its end.
const makeBlank = `for d; do :; done
head -c 2097152 -- "$d" >/dev/null && tail -c 1048576 -- "$d" >/dev/null || { echo "whether $d is blank cannot be told" >&2; exit 1; }
found=$(blkid -p -- "$d"); rc=$?
if [ "$rc" != 2 ]; then echo "$d is not blank any more: $found" >&2; exit 1; fi
exec "$@"`

// make is the step that makes the file system.
func (m *filesystem) make(h modules.Host, d observe.BlockDevice, serial string, devices []observe.BlockDevice) modules.Step {
	kind := kinds[m.Type]
	id := uuid.Derived("filesystem", h.Name(), serial, d.Name, m.Type)
	argv := append([]string{kind.program}, kind.uuid...)
	if m.Type == "xfs" {
		argv = append(argv, "uuid="+id)
	} else {
		argv = append(argv, id)
	}
	if m.Label != "" {
		argv = append(argv, "-L", m.Label)
	}
	argv = append(argv, m.path(d))
	return modules.Step{
		Summary: fmt.Sprintf("make %s on %s (%s, %d GB)", m.Type, m.Device, d.Path, d.Size/1e9),
		Action:  modules.Run{Argv: append([]string{"sh", "-c", makeBlank, "sh"}, argv...), Limit: time.Hour},
		Expect: []observe.Expectation{observe.Disks.Expect("", observe.ChangeDevices(devices, isNamed(d.Name), func(d *observe.BlockDevice) {
			d.Filesystem, d.UUID = m.Type, id
		}))},
		Settle: settle,
		Exact:  true,
	}
}

// path is how the device is named to programs: by what does not change from one boot to the next, if there is such a name.
func (m *filesystem) path(d observe.BlockDevice) string {
	if ids := d.ByID(); len(ids) > 0 {
		return ids[0]
	}
	return d.Path
}

func isNamed(name string) func(observe.BlockDevice) bool {
	return func(d observe.BlockDevice) bool { return d.Name == name }
}

// names lists devices, by names that last, and what is on them.
func names(devices []observe.BlockDevice) string {
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
			all = append(all, fmt.Sprintf("%s (%s)", name, use))
		})
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
