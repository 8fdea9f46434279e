package lvm

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

// growable lists the file systems that lvextend(8) grows together with their volume.
var growable = []string{"ext2", "ext3", "ext4", "xfs"}

// volumes plans the changes of the group's volumes in this order: removals, which free space; whatever takes space, ending
// with what takes all the rest; and thin volumes.
func (s *state) volumes(g *group) (modules.Plan, error) {
	own := g.clone()
	w := &work{state: s, g: &own}
	for _, v := range s.Volumes {
		if v.State == "absent" {
			if err := w.remove(v); err != nil {
				return modules.Plan{}, err
			}
		}
	}
	for _, last := range []bool{false, true} {
		for _, p := range s.Pools {
			if (p.Size == allFree) == last {
				if err := w.pool(p); err != nil {
					return modules.Plan{}, err
				}
			}
		}
		for _, v := range s.Volumes {
			if v.State != "absent" && v.Pool == "" && (v.Size == allFree) == last {
				if err := w.linear(v); err != nil {
					return modules.Plan{}, err
				}
			}
		}
	}
	for _, v := range s.Volumes {
		if v.State != "absent" && v.Pool != "" {
			if err := w.thin(v); err != nil {
				return modules.Plan{}, err
			}
		}
	}
	return modules.Plan{Steps: w.steps, Notes: w.notes}, nil
}

// work is the state while the volumes of a group are planned.
type work struct {
	*state
	g     *group
	steps []modules.Step
	notes []string
}

// kinds describes the layouts of volumes.
var kinds = map[string]string{linear: "a volume with space of its own", thinPool: "a thin pool", thinVolume: "a thin volume"}

func kind(layout string) string {
	if words := kinds[layout]; words != "" {
		return words
	}
	return "a volume of the kind " + layout
}

// present returns the volume of that name if it exists. A volume of another kind is an error. A volume with space of its
// own may have another layout, such as striped, as long as it is not changed.
func (w *work) present(name, layout string) (*logical, error) {
	v, ok := w.g.volume(name)
	if !ok {
		return nil, nil
	}
	thin := func(layout string) bool { return layout == thinPool || strings.HasPrefix(layout, "thin,") }
	if v.Layout != layout && (thin(v.Layout) || thin(layout)) {
		return nil, fmt.Errorf("%s on %s is %s, expected %s: choose another name", w.title(name), w.host.Name(), kind(v.Layout), kind(layout))
	}
	if !v.Active {
		w.notes = append(w.notes, fmt.Sprintf("%s is not active, so it has no device: lvchange -ay %s", w.title(name), w.title(name)))
	}
	return v, nil
}

// title returns the name of a volume in LVM's commands.
func (w *work) title(name string) string { return w.Group + "/" + name }

// enough returns an error if the group has fewer free extents.
func (w *work) enough(name string, extents int64) error {
	if extents <= w.g.Free {
		return nil
	}
	return fmt.Errorf("%s on %s needs %s, but %s has only %s free: add a disk to disks, or choose a smaller size", w.title(name), w.host.Name(), w.g.format(extents), w.Group, w.g.format(w.g.Free))
}

// shrinking returns an error if a volume is larger than wanted.
func (w *work) shrinking(v *logical, size string, extents int64) error {
	if v.Extents <= extents {
		return nil
	}
	return fmt.Errorf("%s on %s has %s, and size is %s: nothing is ever shrunk; set size to what it has, or shrink its contents and then the volume by hand (lvreduce)",
		w.title(v.Name), w.host.Name(), w.g.format(v.Extents), size)
}

// pool plans a thin pool.
func (w *work) pool(p poolArgs) error {
	there, err := w.present(p.Name, thinPool)
	if err != nil {
		return err
	}
	if there != nil {
		extents, err := w.g.wanted(p.Size, there.Extents, w.g.Free)
		if err != nil {
			return err
		}
		return w.grow(there, p.Size, extents, nil)
	}
	extents, err := w.g.wanted(p.Size, 0, w.g.Free)
	if err != nil {
		return err
	}
	metadata, spare, err := w.g.metadata(p, extents)
	if err != nil {
		return err
	}
	if p.Size == allFree {
		extents -= metadata + spare
	}
	if extents <= 0 {
		return w.enough(p.Name, w.g.Free+1)
	}
	if err := w.enough(p.Name, extents+metadata+spare); err != nil {
		return err
	}
	w.allot(metadata + spare)
	w.g.Spare += spare
	w.add(logical{Name: p.Name, Layout: thinPool, Extents: extents, Metadata: metadata, Active: true},
		fmt.Sprintf("create the thin pool %s (%s, and %s for metadata)", w.title(p.Name), w.g.format(extents), w.g.format(metadata)),
		"--type", "thin-pool", "--name", p.Name, "--extents", strconv.FormatInt(extents, 10), "--poolmetadatasize", strconv.FormatInt(metadata*w.g.Extent, 10)+"b", w.Group)
	return nil
}

// linear plans a volume with space of its own.
func (w *work) linear(v volume) error {
	there, err := w.present(v.Name, linear)
	if err != nil {
		return err
	}
	if there != nil {
		extents, err := w.g.wanted(v.Size, there.Extents, w.g.Free)
		if err != nil {
			return err
		}
		return w.grow(there, v.Size, extents, &v)
	}
	extents, err := w.g.wanted(v.Size, 0, w.g.Free)
	if err != nil {
		return err
	}
	if extents <= 0 {
		return w.enough(v.Name, w.g.Free+1)
	}
	if err := w.enough(v.Name, extents); err != nil {
		return err
	}
	w.add(logical{Name: v.Name, Layout: linear, Extents: extents, Active: true},
		fmt.Sprintf("create the volume %s (%s)", w.title(v.Name), w.g.format(extents)),
		"--name", v.Name, "--extents", strconv.FormatInt(extents, 10), w.Group)
	return nil
}

// thin plans a volume in a thin pool.
func (w *work) thin(v volume) error {
	extents, err := w.g.wanted(v.Size, 0, 0)
	if err != nil {
		return err
	}
	pool, ok := w.g.volume(v.Pool)
	if !ok || pool.Layout != thinPool {
		return fmt.Errorf("%s has no thin pool %s on %s: declare it with a thin_pool block", w.Group, v.Pool, w.host.Name())
	}
	there, err := w.present(v.Name, thinVolume)
	switch {
	case err != nil:
		return err
	case there != nil && there.Pool != v.Pool:
		return fmt.Errorf("%s on %s is in the thin pool %s, expected %s: a volume is not moved to another pool", w.title(v.Name), w.host.Name(), there.Pool, v.Pool)
	case there != nil:
		return w.grow(there, v.Size, extents, &v)
	}
	w.add(logical{Name: v.Name, Layout: thinVolume, Pool: v.Pool, Extents: extents, Active: true},
		fmt.Sprintf("create the thin volume %s (%s) in %s", w.title(v.Name), w.g.format(extents), v.Pool),
		"--type", "thin", "--name", v.Name, "--virtualsize", strconv.FormatInt(extents*w.g.Extent, 10)+"b", "--thinpool", v.Pool, w.Group)
	return nil
}

// add plans to create a volume. --yes makes lvcreate(8) wipe old signatures in the space of the volume, which was free.
func (w *work) add(v logical, summary string, args ...string) {
	path := observe.VolumePath(w.Group, v.Name)
	device := observe.BlockDevice{Name: w.mapped(), Path: path, Type: "lvm", Size: v.Extents * w.g.Extent}
	if v.Layout != thinPool { // only LVM itself may use the device of a pool
		device.Links = []string{"/dev/disk/by-id/dm-name-" + strings.TrimPrefix(path, "/dev/mapper/")}
	}
	var on []string
	if v.Layout == thinVolume {
		on = []string{w.g.Disks[0].Device}
	} else {
		on = w.allot(v.Extents)
	}
	w.devices = observe.ChangeDevices(w.devices, w.any(on), func(d *observe.BlockDevice) {
		device.Rotational = d.Rotational
		d.Children = append(slices.Clone(d.Children), device)
	})
	w.g.Volumes = append(w.g.Volumes, v)
	slices.SortFunc(w.g.Volumes, func(a, b logical) int { return strings.Compare(a.Name, b.Name) })
	w.put(w.g.clone())
	w.steps = append(w.steps, modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: append([]string{"lvcreate", "--yes"}, args...), Limit: 5 * time.Minute},
		Expect:  w.expect(),
		Settle:  blank.Settle,
		Exact:   true,
	})
}

// grow plans to grow a volume to a number of extents. args are the arguments of a volume, or nil for a thin pool.
func (w *work) grow(v *logical, size string, extents int64, args *volume) error {
	if err := w.shrinking(v, size, extents); err != nil {
		return err
	}
	more := extents - v.Extents
	if more == 0 {
		return nil
	}
	if v.Layout != linear && v.Layout != thinPool && v.Layout != thinVolume {
		return fmt.Errorf("%s on %s is %s, which is not grown here: see lvextend(8)", w.title(v.Name), w.host.Name(), kind(v.Layout))
	}
	if !v.Active {
		return fmt.Errorf("%s on %s is not active, and therefore cannot be grown: lvchange -ay %s", w.title(v.Name), w.host.Name(), w.title(v.Name))
	}
	path := observe.VolumePath(w.Group, v.Name)
	d, _ := observe.FindDevice(w.devices, path)
	argv := []string{"lvextend", "--extents", strconv.FormatInt(extents, 10)}
	summary := fmt.Sprintf("grow %s from %s to %s", w.title(v.Name), w.g.format(v.Extents), w.g.format(extents))
	switch {
	case args == nil || d.Filesystem == "":
	case args.ResizeFilesystem && slices.Contains(growable, d.Filesystem):
		argv = append(argv, "--resizefs", "--yes")
		summary += ", with its " + d.Filesystem
	default:
		w.notes = append(w.notes, fmt.Sprintf("%s holds %s, which is not grown with it", w.title(v.Name), d.Filesystem))
	}
	var on []string
	if v.Layout != thinVolume {
		if err := w.enough(v.Name, more); err != nil {
			return err
		}
		on = w.allot(more)
	}
	v.Extents = extents
	d.Size = extents * w.g.Extent
	w.devices = observe.ChangeDevices(w.devices, func(o observe.BlockDevice) bool { return o.Path == path }, func(o *observe.BlockDevice) { o.Size = d.Size })
	w.devices = observe.ChangeDevices(w.devices, w.any(on), func(disk *observe.BlockDevice) {
		if !slices.ContainsFunc(disk.Children, func(c observe.BlockDevice) bool { return c.Path == path }) {
			disk.Children = append(slices.Clone(disk.Children), d)
		}
	})
	w.put(w.g.clone())
	w.steps = append(w.steps, modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: append(argv, w.title(v.Name)), Limit: 30 * time.Minute},
		Expect:  w.expect(),
		Settle:  blank.Settle,
		Exact:   true,
	})
	return nil
}

// remove plans to remove a volume with its contents.
func (w *work) remove(args volume) error {
	v, ok := w.g.volume(args.Name)
	if !ok {
		return nil
	}
	path := observe.VolumePath(w.Group, v.Name)
	d, _ := observe.FindDevice(w.devices, path)
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s on %s %s", w.title(v.Name), w.host.Name(), fmt.Sprintf(format, args...))
	}
	var mounted []string
	d.Walk(func(below observe.BlockDevice) { mounted = append(mounted, below.Mountpoints...) })
	switch {
	case v.Layout == thinPool:
		return refuse("is a thin pool, which is never removed, because all that is in it would go with it")
	case v.Layout != linear && v.Layout != thinVolume:
		return refuse("is %s, which is not removed here: see lvremove(8)", kind(v.Layout))
	case d.HoldsSystem():
		return refuse("holds the system that the host boots and runs from, which is never touched")
	case len(mounted) > 0:
		return refuse("is in use, mounted at %s; unmount it first, with the module mount and state = \"absent\"", strings.Join(mounted, ", "))
	case len(d.Children) > 0:
		return refuse("is held by %s %s; take that down first", d.Children[0].Type, d.Children[0].Path)
	case v.Open:
		return refuse("is in use: something has it open, such as a guest; see lsof or fuser %s", path)
	case v.Origin:
		return refuse("has snapshots, which would be removed with it: remove them first")
	}
	holds := d.Filesystem
	if holds == "" {
		holds = "no known contents"
	}
	summary := fmt.Sprintf("remove the volume %s (%s, %s) with all that is in it", w.title(v.Name), w.g.format(v.Extents), holds)
	if v.Layout == linear {
		w.release(path, v.Extents)
	}
	w.devices = dropped(w.devices, path)
	w.g.Volumes = slices.DeleteFunc(w.g.Volumes, func(other logical) bool { return other.Name == args.Name })
	w.put(w.g.clone())
	w.steps = append(w.steps, modules.Step{
		Risk:    modules.Destroys,
		Summary: summary,
		Action:  modules.Run{Argv: []string{"lvremove", "--yes", w.title(args.Name)}, Limit: 5 * time.Minute},
		Expect:  w.expect(),
		Settle:  blank.Settle,
		Exact:   true,
	})
	return nil
}

// dropped returns the devices without the one at a path.
func dropped(devices []observe.BlockDevice, path string) []observe.BlockDevice {
	return observe.ChangeDevices(devices, func(d observe.BlockDevice) bool {
		return slices.ContainsFunc(d.Children, func(c observe.BlockDevice) bool { return c.Path == path })
	}, func(d *observe.BlockDevice) {
		d.Children = slices.DeleteFunc(slices.Clone(d.Children), func(c observe.BlockDevice) bool { return c.Path == path })
		if len(d.Children) == 0 {
			d.Children = nil
		}
	})
}

// allot takes extents of one disk of the group if it has enough, or else of several, and returns these disks. LVM may
// decide differently: see observe.Disks.
func (w *work) allot(extents int64) (on []string) {
	w.g.Free -= extents
	take := func(p *physical, n int64) {
		p.Used += n
		on = append(on, p.Device)
	}
	for i := range w.g.Disks {
		if p := &w.g.Disks[i]; p.Extents-p.Used >= extents {
			take(p, extents)
			return on
		}
	}
	for i := range w.g.Disks {
		p := &w.g.Disks[i]
		if n := min(p.Extents-p.Used, extents); n > 0 {
			take(p, n)
			extents -= n
		}
	}
	return on
}

// release frees the extents of a removed volume on its disks.
func (w *work) release(path string, extents int64) {
	w.g.Free += extents
	for i := range w.g.Disks {
		p := &w.g.Disks[i]
		d, _ := observe.FindDevice(w.devices, p.Device)
		if slices.ContainsFunc(d.Children, func(c observe.BlockDevice) bool { return c.Path == path }) {
			n := min(p.Used, extents)
			p.Used -= n
			extents -= n
		}
	}
}

// any matches the devices with these paths.
func (w *work) any(paths []string) func(observe.BlockDevice) bool {
	var names []string
	for _, path := range paths {
		if d, ok := observe.FindDevice(w.devices, path); ok {
			names = append(names, d.Name)
		}
	}
	return func(d observe.BlockDevice) bool { return slices.Contains(names, d.Name) }
}

// mapped returns a kernel name for a new volume: the first that is free.
func (w *work) mapped() string {
	taken := map[string]bool{}
	for _, top := range w.devices {
		top.Walk(func(d observe.BlockDevice) { taken[d.Name] = true })
	}
	for n := 0; ; n++ {
		if name := fmt.Sprintf("dm-%d", n); !taken[name] {
			return name
		}
	}
}
