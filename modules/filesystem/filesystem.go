// Package filesystem implements the module that creates file systems on blank devices.
package filesystem

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
	"hlplay/modules/internal/uuid"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "filesystem",
	Aliases: []string{"mkfs"},
	Summary: "A file system on a blank device",
	Doc: `Creates an ext4, xfs or btrfs file system on a disk, a partition, a logical volume or an array. A device that already has a file system of
that type is left as it is. Mount it with ` + "`mount`" + `.

A device is blank if lsblk finds neither a signature nor partitions on it and nothing uses it. This is checked again right before the file
system is created. The task fails if the device is not blank, unless ` + "`wipe`" + ` repeats the serial of the disk: then its
signatures and those of its partitions are wiped first. A device that is mounted or in use is never wiped, nor one
that the host boots or runs from. Remove ` + "`wipe`" + ` once the file system has been created.

The UUID is derived from the host, the device and the type, so that check mode can predict it.`,
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

// tools returns the package that provides a mkfs program.
func tools(kind string) modules.Package {
	program := kinds[kind].program
	return modules.Package{Name: kinds[kind].pkg, Files: []string{program}, Installed: func(context.Context, modules.Host) ([]observe.Expectation, error) {
		return []observe.Expectation{observe.Paths.Expect(program, true)}, nil
	}}
}

type filesystem struct {
	Device string `hcl:"device" doc:"The device: a path below /dev/disk/by-id if there is one, because other names may change."`
	Type   string `hcl:"type" enum:"ext4,xfs,btrfs" doc:"The type of the file system."`
	Label  string `hcl:"label,optional" doc:"Label. It is set when the file system is created, and not changed later."`
	Wipe   string `hcl:"wipe,optional" doc:"The serial of the disk, if it may be wiped."`
}

// kinds describes how each type of file system is created: the program, its package, and the longest label in bytes.
var kinds = map[string]struct {
	program, pkg string
	label        int
	uuid         []string // the options that precede the UUID
}{
	"ext4":  {"/usr/sbin/mkfs.ext4", "e2fsprogs", 16, []string{"-q", "-U"}},
	"xfs":   {"/usr/sbin/mkfs.xfs", "xfsprogs", 12, []string{"-q", "-m"}},
	"btrfs": {"/usr/sbin/mkfs.btrfs", "btrfs-progs", 255, []string{"-q", "-U"}},
}

var labelForm = pattern.New(`^[A-Za-z0-9_.][A-Za-z0-9_.-]*$`)

func (m *filesystem) Validate() error {
	if err := blank.CheckDevice("device", m.Device); err != nil {
		return err
	}
	if most := kinds[m.Type].label; m.Label != "" && (!labelForm.MatchString(m.Label) || len(m.Label) > most) {
		return &modules.ArgumentError{Argument: "label", Problem: fmt.Sprintf("%q cannot be the label of %s", m.Label, m.Type),
			Want: fmt.Sprintf("expected at most %d letters, digits, underscores, dots and hyphens", most)}
	}
	return nil
}

// Want implements modules.Announcer.
func (m *filesystem) Want(h modules.Host) { observe.Disks.Want(h, "") }

// Plan implements modules.Module.
func (m *filesystem) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	kind := kinds[m.Type]
	observe.Files.Want(h, kind.program)
	devices, err := observe.Disks.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	d, ok := observe.FindDevice(devices, m.Device)
	if !ok {
		return modules.Plan{}, fmt.Errorf("%s has no device %s; it has: %s", h.Name(), m.Device, blank.List(devices))
	}
	if d.Filesystem == m.Type && !d.HoldsSystem() {
		var notes []string
		if m.Wipe != "" {
			notes = append(notes, fmt.Sprintf("%s is %s, so wipe is no longer needed: remove it from the task, so that later data on the disk is never destroyed", m.Device, m.Type))
		}
		return modules.Plan{Notes: notes}, nil
	}
	target := blank.Target{Name: m.Device, Device: d, Serial: observe.Above(devices, d).Serial}
	if err := target.Eligible(h, m.Wipe); err != nil {
		return modules.Plan{}, err
	}
	if there, err := observe.Exists(ctx, h, kind.program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package %s first", h.Name(), kind.program, kind.pkg)
	}
	var steps []modules.Step
	if !d.Blank() {
		var wiped modules.Step
		wiped, devices = target.Wipe(devices)
		steps = append(steps, wiped)
	}
	return modules.Plan{Steps: append(steps, m.make(h, target, devices))}, nil
}

// make returns the step that creates the file system.
func (m *filesystem) make(h modules.Host, target blank.Target, devices []observe.BlockDevice) modules.Step {
	kind, d := kinds[m.Type], target.Device
	id := uuid.Derived("filesystem", h.Name(), target.Serial, lasting(d), m.Type)
	argv := append([]string{kind.program}, kind.uuid...)
	if m.Type == "xfs" {
		argv = append(argv, "uuid="+id)
	} else {
		argv = append(argv, id)
	}
	if m.Label != "" {
		argv = append(argv, "-L", m.Label)
	}
	argv = append(argv, target.Path())
	return modules.Step{
		Summary: fmt.Sprintf("make %s on %s (%s, %d GB)", m.Type, m.Device, d.Path, d.Size/1e9),
		Action:  modules.Run{Argv: blank.Guarded([]blank.Target{target}, argv...), Limit: time.Hour},
		Expect: []observe.Expectation{observe.Disks.Expect("", observe.ChangeDevices(devices, blank.Named(d.Name), func(d *observe.BlockDevice) {
			d.Filesystem, d.UUID = m.Type, id
		}))},
		Settle: blank.Settle,
		Exact:  true,
	}
}

// lasting returns a name of the device by which no other device goes later. The kernel numbers volumes and arrays in the order
// in which they are started, so that two of them may have had the same name when a file system was made on each.
func lasting(d observe.BlockDevice) string {
	if d.Type == "lvm" {
		return d.Path
	}
	for _, link := range d.Links {
		if strings.HasPrefix(link, "/dev/md/") {
			return link
		}
	}
	return d.Name
}
