package lvm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/blank"
)

// state is the observed state of the host. Planned steps are applied to it.
type state struct {
	*lvm
	host    modules.Host
	devices []observe.BlockDevice
	groups  []group
}

// carriers are the types of devices, in lsblk's words, that can be physical volumes.
var carriers = []string{"disk", "part", "crypt", "mpath", "raid0", "raid1", "raid4", "raid5", "raid6", "raid10"}

// plan returns what is to be done.
func (s *state) plan() (modules.Plan, error) {
	targets, missing, err := blank.Find(s.host, s.devices, s.Disks, carriers...)
	if err != nil {
		return modules.Plan{}, err
	}
	g, err := s.group()
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case g == nil && len(s.Pools) == 0 && !slices.ContainsFunc(s.Volumes, func(v volume) bool { return v.State != "absent" }) && len(s.Disks) == 0:
		return modules.Plan{}, nil // there is nothing to remove
	case g == nil && len(s.Disks) == 0:
		return modules.Plan{}, fmt.Errorf("%s has no volume group %s, and disks names none to create it on; it has: %s", s.host.Name(), s.Group, s.others())
	case len(missing) > 0:
		return modules.Plan{}, fmt.Errorf("%s has no disk %s; it has: %s", s.host.Name(), strings.Join(missing, ", "), blank.List(s.devices))
	case g == nil:
		steps, err := s.claim(targets, nil)
		if err != nil {
			return modules.Plan{}, err
		}
		return s.first(steps)
	}
	fresh, err := s.fresh(g, targets)
	if err != nil {
		return modules.Plan{}, err
	}
	if len(fresh) > 0 {
		steps, err := s.claim(fresh, g)
		if err != nil {
			return modules.Plan{}, err
		}
		return s.first(steps)
	}
	plan, err := s.volumes(g)
	if err != nil {
		return modules.Plan{}, err
	}
	plan.Notes = append(plan.Notes, s.notes(g, targets)...)
	return plan, nil
}

// first returns a plan whose steps give the group its disks. Only afterwards is it certain how many extents they have, so
// the volumes are planned then. If the volumes cannot be created at all, nothing is done.
func (s *state) first(steps []modules.Step) (modules.Plan, error) {
	g, err := s.group()
	if err != nil {
		return modules.Plan{}, err
	}
	if _, err := s.volumes(g); err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: steps, Partial: true}, nil
}

// group returns the group with the name, or nil, unless it is one that cannot be changed.
func (s *state) group() (*group, error) {
	var found *group
	for i := range s.groups {
		g := &s.groups[i]
		switch {
		case g.Name != s.Group:
		case found != nil:
			return nil, fmt.Errorf("%s has two volume groups named %s (%s and %s): rename one, with vgrename and its UUID", s.host.Name(), g.Name, found.UUID, g.UUID)
		default:
			found = g
		}
	}
	if found == nil {
		return nil, nil
	}
	refuse := func(what string) (*group, error) {
		return nil, fmt.Errorf("the volume group %s of %s %s", s.Group, s.host.Name(), what)
	}
	switch {
	case found.Partial:
		return refuse("lacks a disk: see pvs; connect it again or, if it is lost for good, see vgreduce --removemissing in vgreduce(8)")
	case found.Exported:
		return refuse("is exported, for another host to import: see vgimport(8)")
	case found.Shared:
		return refuse("is shared between hosts by a lock manager, and is therefore not changed")
	case found.Fixed:
		return refuse("cannot be changed, because it is read-only or not resizeable: see vgs, and vgchange(8)")
	}
	return found, nil
}

// fresh returns the targets that are not yet disks of the group.
func (s *state) fresh(g *group, targets []blank.Target) ([]blank.Target, error) {
	var fresh []blank.Target
	for _, t := range targets {
		if s.groupOf(t.Device) != g.Name {
			fresh = append(fresh, t)
		}
	}
	if len(targets) > 0 && len(fresh) == len(targets) {
		return nil, fmt.Errorf("%s already has a volume group %s, on %s, of which disks names none: name them too to extend it, or choose another name for a new group", s.host.Name(), g.Name, s.disksOf(*g))
	}
	return fresh, nil
}

// groupOf returns the name of the group that a device is a physical volume of, or "".
func (s *state) groupOf(d observe.BlockDevice) string {
	for _, g := range s.groups {
		for _, p := range g.Disks {
			if at, ok := observe.FindDevice(s.devices, p.Device); ok && at.Name == d.Name {
				return g.Name
			}
		}
	}
	return ""
}

// disksOf lists the disks of a group.
func (s *state) disksOf(g group) string {
	var all []string
	for _, p := range g.Disks {
		name := p.Device
		if d, ok := observe.FindDevice(s.devices, p.Device); ok {
			name = blank.Names([]blank.Target{{Device: d, Serial: observe.Above(s.devices, d).Serial}})
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// others lists the groups of the host.
func (s *state) others() string {
	var all []string
	for _, g := range s.groups {
		all = append(all, g.Name)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

const (
	// extent is the size of the extents of a new group, and reserved the space that LVM reserves on each disk. Both are the
	// defaults of lvm.conf(5).
	extent   = 4 << 20
	reserved = 1 << 20
)

// claim creates the group on the targets, or extends g by them.
func (s *state) claim(targets []blank.Target, g *group) ([]modules.Step, error) {
	var steps []modules.Step
	for _, t := range targets {
		if other := s.groupOf(t.Device); other != "" {
			return nil, fmt.Errorf("%s on %s belongs to the volume group %s: take it out of that first, with vgreduce, or name another disk", t.Name, s.host.Name(), other)
		}
		if err := t.Eligible(s.host, s.Wipe...); err != nil {
			return nil, err
		}
	}
	for _, t := range targets {
		if !t.Device.Blank() {
			var wiped modules.Step
			wiped, s.devices = t.Wipe(s.devices)
			steps = append(steps, wiped)
		}
	}
	argv, summary := []string{"vgextend", s.Group}, "extend the volume group %s by %s"
	grown := group{Name: s.Group, Extent: extent}
	if g == nil {
		argv, summary = []string{"vgcreate", s.Group}, "create the volume group %s on %s"
	} else {
		grown = g.clone()
	}
	for _, t := range targets {
		p := physical{Device: t.Device.Path, Extents: max((t.Device.Size-reserved)/grown.Extent, 0), Size: t.Device.Size}
		if p.Extents == 0 {
			return nil, fmt.Errorf("%s on %s has %d bytes, which is too small for a volume group", t.Name, s.host.Name(), t.Device.Size)
		}
		grown.Disks = append(grown.Disks, p)
		grown.Extents, grown.Free = grown.Extents+p.Extents, grown.Free+p.Extents
		s.devices = observe.ChangeDevices(s.devices, blank.Named(t.Device.Name), func(d *observe.BlockDevice) { d.Filesystem, d.UUID = member, "" })
	}
	slices.SortFunc(grown.Disks, func(a, b physical) int { return strings.Compare(a.Device, b.Device) })
	s.put(grown)
	return append(steps, modules.Step{
		Summary: fmt.Sprintf(summary, s.Group, blank.Names(targets)),
		Action:  modules.Run{Argv: blank.Guarded(targets, append(argv, blank.Paths(targets)...)...), Limit: 2 * time.Minute},
		Expect:  s.expect(),
		Settle:  blank.Settle,
		Exact:   true,
	}), nil
}

// put adds the group, or replaces the one with its name.
func (s *state) put(g group) {
	all := slices.DeleteFunc(slices.Clone(s.groups), func(other group) bool { return other.Name == g.Name })
	all = append(all, g)
	slices.SortFunc(all, func(a, b group) int { return strings.Compare(a.Name+a.UUID, b.Name+b.UUID) })
	s.groups = all
}

// expect returns the expectations of the state as it is now.
func (s *state) expect() []observe.Expectation {
	return []observe.Expectation{volumeGroups.Expect("", s.groups), observe.Disks.Expect("", s.devices)}
}

// mostNamed is the maximum number of things that a note names individually.
const mostNamed = 8

// notes returns remarks about what the group has and the task does not declare.
func (s *state) notes(g *group, targets []blank.Target) []string {
	var notes, disks, volumes []string
	for _, p := range g.Disks {
		d, ok := observe.FindDevice(s.devices, p.Device)
		if len(targets) > 0 && !(ok && slices.ContainsFunc(targets, func(t blank.Target) bool { return t.Device.Name == d.Name })) {
			disks = append(disks, p.Device)
		}
		if rest := p.Size - p.Extents*g.Extent; rest >= 2*g.Extent+reserved {
			notes = append(notes, fmt.Sprintf("%s is larger than what %s uses of it: pvresize %s makes the rest available", p.Device, s.Group, p.Device))
		}
	}
	for _, v := range g.Volumes {
		pool := slices.ContainsFunc(s.Pools, func(p poolArgs) bool { return p.Name == v.Name })
		if !pool && !slices.ContainsFunc(s.Volumes, func(d volume) bool { return d.Name == v.Name }) {
			volumes = append(volumes, v.Name)
		}
	}
	if len(disks) > 0 {
		notes = append(notes, fmt.Sprintf("%s also has %s, which the task does not name: not removed", s.Group, listed(disks)))
	}
	if len(volumes) > 0 {
		notes = append(notes, fmt.Sprintf("%s also has %s, which the task does not name: not changed", s.Group, listed(volumes)))
	}
	if len(s.Wipe) > 0 {
		notes = append(notes, "wipe is no longer needed: remove it from the task, so that later data on the disks is never destroyed")
	}
	return notes
}

// listed lists a few names, and how many more there are.
func listed(names []string) string {
	if len(names) <= mostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), len(names)-mostNamed)
}
