// Package lvm implements the module that creates and grows LVM's volume groups and logical volumes.
package lvm

import (
	"context"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "lvm",
	Aliases: []string{"lvg", "lvol"},
	Summary: "A volume group and its logical volumes",
	Doc: `Creates an LVM volume group on disks, partitions or arrays, and logical volumes in it. Later changes are applied too: a disk added to
` + "`disks`" + ` is added to the group, and a volume or thin pool with a larger ` + "`size`" + ` is grown, along with its file system if
that is ext4 or xfs. The path of a volume is /dev/GROUP/VOLUME, which ` + "`filesystem` and `mount`" + ` accept.

Every new disk must be blank, which is checked again right before it is used. A disk that is not blank is refused, and the error says what is
on it, unless its serial is in ` + "`wipe`" + `. A device that is mounted or in use is never wiped, nor one that the host boots or
runs from, nor a disk of another volume group.

A group that exists already, such as Proxmox's own ` + "`pve`" + `, can be named without ` + "`disks`" + `. With ` + "`disks`" + `, at least one of its
present disks must be among them, so that a group which merely has the same name is not changed. A volume that exists must be of the kind that the
task describes.

Nothing is ever shrunk: a size below the present one is refused. What the task does not name is left alone, and a note says what that
is. A volume is only removed if it has ` + "`state = \"absent\"`" + `, and only while nothing has it open; thin pools, disks of a group
and groups are never removed.

Sizes are rounded up to extents, which are 4 MiB unless the group was created otherwise. Thin volumes may add up to more than their pool: keep an eye on
how full the pool is, because writes fail when it is full. The result has ` + "`path`, `size` and `free`" + `.`,
	Example: `task "a volume group for data" {
  lvm {
    group = "data"
    disks = ["ata-WDC_WD80EFZX_VK0EXAMPLE1", "ata-WDC_WD80EFZX_VK0EXAMPLE2"]
    volume {
      name = "backup"
      size = "2TiB"
    }
    thin_pool {
      name = "guests"
      size = "100%FREE"
    }
    volume {
      name = "scratch"
      size = "200GiB"
      pool = "guests"
    }
  }
}`,
	Packages: []modules.Package{{Name: "lvm2", Files: []string{program}, Installed: installed}},
	Result:   Result{},
	New:      func() modules.Module { return &lvm{} },
}

const program = "/usr/sbin/lvm"

// installed returns the expectations of an installation of lvm2: its program, and, if no disk carries anything of LVM,
// that there are no volume groups.
func installed(ctx context.Context, h modules.Host) ([]observe.Expectation, error) {
	expect := []observe.Expectation{observe.Paths.Expect(program, true)}
	devices, err := observe.Disks.Observe(ctx, h, "")
	if observe.IsUnknown(err) {
		return append(expect, volumeGroups.Unknown("", "lvm2 is about to be installed")), nil
	}
	if err != nil {
		return nil, err
	}
	if hasMembers(devices) {
		return append(expect, volumeGroups.Unknown("", "lvm2 is about to be installed")), nil
	}
	return append(expect, volumeGroups.Expect("", nil)), nil
}

// member is lsblk's name for a physical volume.
const member = "LVM2_member"

func hasMembers(devices []observe.BlockDevice) (has bool) {
	for _, top := range devices {
		top.Walk(func(d observe.BlockDevice) { has = has || d.Filesystem == member })
	}
	return has
}

// Result is what the module registers.
type Result struct {
	Path string `cty:"path" doc:"The directory with the group's volumes: /dev/GROUP."`
	Size int    `cty:"size" doc:"Size of the group in bytes."`
	Free int    `cty:"free" doc:"How many bytes of the group no volume uses."`
}

type lvm struct {
	Group   string     `hcl:"group" doc:"Name of the volume group."`
	Disks   []string   `hcl:"disks,optional" doc:"Its disks, partitions or arrays: serials, names in /dev/disk/by-id, or paths. Other names may change between boots. By default those that it has."`
	Wipe    []string   `hcl:"wipe,optional" doc:"Serials of disks that may be wiped."`
	Pools   []poolArgs `hcl:"thin_pool,block" doc:"A thin pool: space that thin volumes take as they are written to."`
	Volumes []volume   `hcl:"volume,block" doc:"A logical volume."`
}

// poolArgs are the arguments of a thin pool.
type poolArgs struct {
	Name     string `hcl:"name" doc:"Its name."`
	Size     string `hcl:"size" doc:"At least this large: 500GiB, 50%VG (of the group), or 100%FREE (all that is free)."`
	Metadata string `hcl:"metadata,optional" doc:"Space for the pool's metadata when it is created, up to 15GiB. By default a thousandth of the size. The same again is reserved for repairs."`
}

// volume holds the arguments of a logical volume.
type volume struct {
	Name             string `hcl:"name" doc:"Its name."`
	Size             string `hcl:"size,optional" doc:"At least this large: 500GiB, 50%VG (of the group), or 100%FREE (all that is free). Of a volume in a pool, what it appears to have: 500GiB. Required unless state is absent."`
	Pool             string `hcl:"pool,optional" doc:"The thin pool that it is in. By default it has its space to itself."`
	ResizeFilesystem bool   `hcl:"resize_filesystem,optional" default:"true" doc:"Grow an ext4 or xfs file system along with the volume."`
	State            string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"present, or absent: removed with all that is in it."`
}

// nameForm matches the names that lvm(8) accepts.
var nameForm = pattern.New(`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$`)

// mostName is the maximum length of the names of a group and a volume together.
const mostName = 120

func checkName(argument, name string) error {
	if !nameForm.MatchString(name) || name == "." || name == ".." || len(name) > mostName {
		return &modules.ArgumentError{Argument: argument, Problem: fmt.Sprintf("%q cannot be a name in LVM", name), Want: "expected letters, digits, dots, underscores, plus signs and hyphens, as in data"}
	}
	return nil
}

// checkVolume checks the name of a volume or thin pool, and that no other block has it.
func (m *lvm) checkVolume(block, name string, seen map[string]bool) error {
	if err := checkName(block+".name", name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "snapshot") || strings.HasPrefix(name, "pvmove") || observe.IsReservedVolume(name) || len(m.Group)+len(name) > mostName {
		return &modules.ArgumentError{Argument: block + ".name", Problem: fmt.Sprintf("%q is a name that LVM keeps for itself, or too long", name), Want: "choose another name"}
	}
	if seen[name] {
		return &modules.ArgumentError{Argument: block + ".name", Problem: fmt.Sprintf("there are two blocks for %q", name), Want: "give each volume its own name"}
	}
	seen[name] = true
	return nil
}

func (m *lvm) Validate() error {
	if err := checkName("group", m.Group); err != nil {
		return err
	}
	if err := blank.CheckNames("disks", m.Disks); err != nil {
		return err
	}
	if m.Disks != nil && len(m.Disks) == 0 {
		return &modules.ArgumentError{Argument: "disks", Problem: "it is empty", Want: "name the disks of the group, or leave it out for a group that exists"}
	}
	seen := map[string]bool{}
	rest := ""
	for _, p := range m.Pools {
		if err := m.checkVolume("thin_pool", p.Name, seen); err != nil {
			return err
		}
		if err := checkSize("thin_pool", p.Name, p.Size, true, &rest); err != nil {
			return err
		}
		if p.Metadata != "" {
			if err := checkMetadata(p.Name, p.Metadata); err != nil {
				return err
			}
		}
	}
	for _, v := range m.Volumes {
		if err := m.checkVolume("volume", v.Name, seen); err != nil {
			return err
		}
		switch {
		case v.State == "absent":
			if guest := guestDisk.FindStringSubmatch(v.Name); guest != nil {
				return &modules.ArgumentError{Argument: "volume.state", Problem: v.Name + " is named like a disk of guest " + guest[1] + " of Proxmox VE", Want: "remove it through the guest: qm or pct"}
			}
			continue
		case v.Size == "":
			return &modules.ArgumentError{Argument: "volume.size", Problem: "that of " + v.Name + " is missing", Want: "give a size, as in 500GiB"}
		case v.Pool == v.Name:
			return &modules.ArgumentError{Argument: "volume.pool", Problem: v.Name + " cannot be in itself", Want: "name a thin pool"}
		}
		if err := checkSize("volume", v.Name, v.Size, v.Pool == "", &rest); err != nil {
			return err
		}
	}
	return nil
}

// guestDisk matches the names that Proxmox VE gives the disks of guests.
var guestDisk = pattern.New(`^(?:vm|base|subvol|basevol)-(\d+)-`)

// Want implements modules.Announcer.
func (m *lvm) Want(h modules.Host) {
	observe.Disks.Want(h, "")
	observe.Files.Want(h, program)
	volumeGroups.Want(h, "")
}

// Plan implements modules.Module.
func (m *lvm) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	m.Want(h)
	if there, err := observe.Exists(ctx, h, program); err != nil {
		return modules.Plan{}, err
	} else if !there {
		return modules.Plan{}, fmt.Errorf("%s has no %s: install package lvm2 first", h.Name(), program)
	}
	s := &state{lvm: m, host: h}
	var err error
	if s.devices, err = observe.Disks.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	if s.groups, err = volumeGroups.Observe(ctx, h, ""); err != nil {
		return modules.Plan{}, err
	}
	plan, err := s.plan()
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Data = modules.Data(s.result())
	return plan, nil
}

func (s *state) result() Result {
	r := Result{Path: "/dev/" + s.Group}
	for _, g := range s.groups {
		if g.Name == s.Group {
			r.Size, r.Free = int(g.Extents*g.Extent), int(g.Free*g.Extent)
		}
	}
	return r
}
