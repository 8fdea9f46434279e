package raid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
)

// roll groups the disks that the playbook names and the members that the array has.
type roll struct {
	// fresh lists disks that are not members yet, and failed the failed members that the playbook names.
	fresh, failed []blank.Target
	// strangers lists the members that the playbook does not name, and dead those of them that have failed.
	strangers, dead []member
}

// existing brings an existing array to the desired members.
func (s *state) existing(md observe.BlockDevice, disks []blank.Target, missing []string) (modules.Plan, error) {
	s.node = node(s.Name, md)
	a, known := s.array(md.Name)
	switch {
	case !known:
		return modules.Plan{}, fmt.Errorf("%s lists the array %s, but /sys/block/%s/md is missing: check it by hand", s.host.Name(), device(s.Name), md.Name)
	case a.State == "inactive" || a.Level == "":
		return modules.Plan{}, fmt.Errorf("%s (%s) on %s is inactive: see cat /proc/mdstat, and mdadm --examine for its members; mdadm --run starts it without the missing ones", device(s.Name), md.Path, s.host.Name())
	case a.Disks == 0:
		return modules.Plan{}, fmt.Errorf("/sys/block/%s/md on %s does not report the number of disks of %s: see mdadm --detail %s", md.Name, s.host.Name(), device(s.Name), md.Path)
	case a.Level != "raid"+s.Level:
		return modules.Plan{}, fmt.Errorf("%s (%s) on %s is %s, expected RAID %s: the level of an array is not changed", device(s.Name), md.Path, s.host.Name(), a.Level, s.Level)
	}
	told := false
	for _, top := range s.devices {
		top.Walk(func(d observe.BlockDevice) {
			if d.Filesystem == signature && d.UUID != "" && slices.ContainsFunc(d.Children, func(c observe.BlockDevice) bool { return c.Name == md.Name }) {
				s.uuid, told = d.UUID, true
			}
		})
	}
	if !told {
		return modules.Plan{}, fmt.Errorf("%s on %s: lsblk reports no UUID for the members of %s; compare mdadm --detail %s, and trigger udev: udevadm trigger --settle",
			device(s.Name), s.host.Name(), md.Path, md.Path)
	}
	r := s.callRoll(a, disks)
	var lost []string
	for _, t := range r.failed {
		lost = append(lost, fmt.Sprintf("%s (%s) has failed", t.Name, t.Device.Path))
	}
	for _, name := range missing {
		lost = append(lost, name+" is not there")
	}
	switch {
	case len(lost) > 0:
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s of %s: %s; install a new disk, and name it in disks in place of the old one", device(s.Name), s.host.Name(), strings.Join(lost, ", "))}
	case len(disks) < a.Disks:
		return modules.Plan{}, fmt.Errorf("%s of %s has %d disks, and disks names %d: arrays are never shrunk; it has: %s", device(s.Name), s.host.Name(), a.Disks, len(disks), s.members(a))
	}
	steps, err := s.guard(s.foreign(r.fresh))
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Steps: steps}
	if len(r.dead) > 0 {
		a = s.drop(&plan, md, a, r.dead)
	}
	switch vacant := a.vacant(); {
	case len(r.fresh) == 0:
	case len(disks) > a.Disks && (vacant > 0 || len(r.strangers) > len(r.dead)):
		return modules.Plan{}, fmt.Errorf("%s of %s cannot be grown to %d disks while its disks are replaced: name %d disks first, and the others when these are rebuilt; it has: %s",
			device(s.Name), s.host.Name(), len(disks), a.Disks, s.members(a))
	case len(disks) > a.Disks:
		if a.Sync != "idle" {
			return modules.Plan{}, fmt.Errorf("%s of %s is busy (%s): run again when that has finished to grow it to %d disks", device(s.Name), s.host.Name(), a.Sync, len(disks))
		}
		s.grow(&plan, md, a, r.fresh)
	case vacant >= len(r.fresh):
		s.add(&plan, md, a, r.fresh)
	default:
		s.exchange(&plan, md, a, r)
	}
	plan.Notes = append(plan.Notes, s.notes(a, r)...)
	return plan, nil
}

func (s *state) callRoll(a array, disks []blank.Target) roll {
	var r roll
	named := map[string]bool{}
	for _, t := range disks {
		named[t.Device.Name] = true
		switch at := slices.IndexFunc(a.Members, func(m member) bool { return m.Device == t.Device.Name }); {
		case at < 0:
			r.fresh = append(r.fresh, t)
		case a.Members[at].Failed:
			r.failed = append(r.failed, t)
		}
	}
	for _, m := range a.Members {
		if !named[m.Device] {
			r.strangers = append(r.strangers, m)
			if m.Failed {
				r.dead = append(r.dead, m)
			}
		}
	}
	return r
}

// foreign returns the disks that hold nothing of this array. A former member can be added again without being wiped.
func (s *state) foreign(disks []blank.Target) []blank.Target {
	return slices.DeleteFunc(slices.Clone(disks), func(t blank.Target) bool {
		return t.Device.Filesystem == signature && t.Device.UUID == s.uuid && len(t.Device.Children) == 0
	})
}

// drop removes failed members. mdadm accepts a bare kernel name for a member even if the disk and its node in /dev are gone.
func (s *state) drop(plan *modules.Plan, md observe.BlockDevice, a array, dead []member) array {
	argv := []string{"mdadm", "--manage", s.node}
	var gone []string
	for _, m := range dead {
		argv = append(argv, "--remove", m.Device)
		gone = append(gone, m.Device)
	}
	a.Members = slices.DeleteFunc(slices.Clone(a.Members), func(m member) bool { return slices.Contains(gone, m.Device) })
	s.devices = observe.ChangeDevices(s.devices, func(d observe.BlockDevice) bool { return slices.Contains(gone, d.Name) }, func(d *observe.BlockDevice) {
		d.Children = slices.DeleteFunc(slices.Clone(d.Children), func(c observe.BlockDevice) bool { return c.Name == md.Name })
	})
	plan.Steps = append(plan.Steps, modules.Step{
		Summary: fmt.Sprintf("remove the failed disk %s from %s", strings.Join(gone, ", "), device(s.Name)),
		Action:  modules.Run{Argv: argv, Limit: time.Minute},
		Expect:  s.expect(a, s.devices),
		Settle:  blank.Settle,
		Exact:   true,
	})
	return a
}

// add plans to fill vacant slots.
func (s *state) add(plan *modules.Plan, md observe.BlockDevice, a array, disks []blank.Target) {
	a.Members = slices.Clone(a.Members)
	for _, t := range disks {
		a.Members = append(a.Members, member{Device: t.Device.Name, Slot: a.freeSlot()})
	}
	s.manage(plan, fmt.Sprintf("add %s to %s, in place of a missing disk", blank.Names(disks), device(s.Name)), md, a, disks,
		append([]string{"mdadm", "--manage", s.node, "--add"}, blank.Paths(disks)...)...)
}

// exchange plans to replace healthy members with new disks.
func (s *state) exchange(plan *modules.Plan, md observe.BlockDevice, a array, r roll) {
	a.Members = slices.Clone(a.Members)
	argv := []string{"mdadm", "--manage", s.node, "--add"}
	argv = append(argv, blank.Paths(r.fresh)...)
	var leaving []string
	fresh := r.fresh
	for i, m := range a.Members {
		if len(fresh) == 0 || m.Failed || m.Leaving || !slices.Contains(r.strangers, m) {
			continue
		}
		a.Members[i].Leaving = true
		a.Members = append(a.Members, member{Device: fresh[0].Device.Name, Slot: m.Slot})
		argv = append(argv, "--replace", "/dev/"+m.Device, "--with", fresh[0].Path())
		leaving = append(leaving, m.Device)
		fresh = fresh[1:]
	}
	s.manage(plan, fmt.Sprintf("have %s take over from %s in %s", blank.Names(r.fresh), strings.Join(leaving, ", "), device(s.Name)), md, a, r.fresh, argv...)
}

// grow plans to reshape the array over more disks.
func (s *state) grow(plan *modules.Plan, md observe.BlockDevice, a array, disks []blank.Target) {
	a.Members = slices.Clone(a.Members)
	for i, t := range disks {
		a.Members = append(a.Members, member{Device: t.Device.Name, Slot: a.Disks + i})
	}
	a.Disks += len(disks)
	s.manage(plan, fmt.Sprintf("grow %s to %d disks: %s", device(s.Name), a.Disks, blank.Names(disks)), md, a, disks,
		append([]string{"mdadm", "--grow", s.node, "--raid-devices=" + strconv.Itoa(a.Disks), "--add"}, blank.Paths(disks)...)...)
}

// manage adds a step after which disks are members of the array.
func (s *state) manage(plan *modules.Plan, summary string, md observe.BlockDevice, a array, disks []blank.Target, argv ...string) {
	plan.Steps = append(plan.Steps, modules.Step{
		Risk:    modules.MovesData,
		Summary: summary,
		Action:  modules.Run{Argv: blank.Guarded(s.foreign(disks), argv...), Limit: 5 * time.Minute},
		Expect:  s.expect(a, s.joined(s.devices, md, disks)),
		Settle:  blank.Settle,
		Exact:   true,
	})
	// A small or empty array may be copied before the next plan is made, which then removes the replaced disk.
	plan.Partial = true
}

func (a array) freeSlot() int {
	for slot := 0; ; slot++ {
		if !slices.ContainsFunc(a.Members, func(m member) bool { return m.Slot == slot && !m.Failed }) {
			return slot
		}
	}
}

// notes returns remarks about the current operation.
func (s *state) notes(a array, r roll) []string {
	var notes []string
	if s.node != device(s.Name) {
		notes = append(notes, fmt.Sprintf("%s is running as %s: it gets its name when it is next started, for example at boot", device(s.Name), s.node))
	}
	for _, m := range r.strangers {
		switch {
		case m.Failed:
		case m.Leaving:
			notes = append(notes, fmt.Sprintf("%s is being replaced in %s; the next run after that removes it", m.Device, device(s.Name)))
		case len(r.fresh) == 0:
			notes = append(notes, fmt.Sprintf("%s is also in %s, but not in disks: it was not removed", m.Device, device(s.Name)))
		}
	}
	if a.Degraded > 0 && a.Sync != "reshape" {
		notes = append(notes, fmt.Sprintf("%s is missing %d of %d disks at the moment (%s)", device(s.Name), a.Degraded, a.Disks, a.Sync))
	}
	if len(s.Wipe) > 0 && len(r.fresh) == 0 {
		notes = append(notes, "wipe is no longer needed: remove it from the task, so that later data on the disks is never destroyed")
	}
	return notes
}

// members lists the array's members in the order of their slots.
func (s *state) members(a array) string {
	var all []string
	for _, m := range a.Members {
		d, _ := observe.FindDevice(s.devices, m.Device)
		text := "/dev/" + m.Device
		if serial := observe.Above(s.devices, d).Serial; serial != "" {
			text += " (" + serial + ")"
		}
		if m.Failed {
			text += ", failed"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
