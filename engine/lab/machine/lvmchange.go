package machine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lvmFailed prints a message as LVM does and returns the exit code for failure.
func lvmFailed(c *Call, format string, args ...any) int {
	fmt.Fprintf(c.Stderr, "  "+format+"\n", args...)
	return 5
}

// lvmRoot reports whether root runs the command, and prints an error otherwise.
func lvmRoot(c *Call) bool {
	if c.User == "root" {
		return true
	}
	fmt.Fprint(c.Stderr, "  WARNING: Running as a non-root user. Functionality may be unavailable.\n  /run/lock/lvm/P_global:aux: open failed: Permission denied\n")
	return false
}

// members turns devices into physical volumes. It changes none of them if one cannot be used.
func (c *Call) members(paths []string) ([]physicalVolume, int) {
	var all []Disk
	for _, path := range paths {
		d, found := c.Machine.Disk(c.Path(path))
		if !found {
			return nil, lvmFailed(c, "No device found for %s.", path)
		}
		c.Machine.mu.Lock()
		other := c.Machine.groupOf(d.Name)
		c.Machine.mu.Unlock()
		signature := d.Use
		if len(d.Partitions) > 0 {
			signature = "gpt"
		}
		switch {
		case other != nil:
			return nil, lvmFailed(c, "Physical volume '/dev/%s' is already in volume group '%s'\n  Unable to add physical volume '/dev/%[1]s' to volume group '%[2]s'\n  /dev/%[1]s: physical volume not initialized.", d.Name, other.name)
		case c.Machine.inUse(d):
			return nil, lvmFailed(c, "Can't open %s exclusively.  Mounted filesystem?", path)
		case signature != "" && signature != lvmMember:
			fmt.Fprintf(c.Stderr, "WARNING: %s signature detected on %s at offset 1080. Wipe it? [y/n]: [n]\n", signature, path)
			return nil, lvmFailed(c, "Aborted wiping of %s.\n  1 existing signature left on the device.", signature)
		}
		all = append(all, d)
	}
	var members []physicalVolume
	for i, d := range all {
		p := physicalVolume{device: d.Name, uuid: d.UUID, extents: (d.Size - lvmReserved) / extentSize}
		if d.Use != lvmMember {
			p.uuid = lvmUUID()
			if err := c.Machine.ChangeDisk("/dev/"+d.Name, func(d *Disk) { d.Use, d.UUID = lvmMember, p.uuid }); err != nil {
				return nil, c.Errorf("%v", err)
			}
			c.printf("  Physical volume \"%s\" successfully created.\n", paths[i])
		}
		members = append(members, p)
	}
	return members, 0
}

// vgcreate implements vgcreate(8).
func vgcreate(_ context.Context, c *Call) int {
	o, ok := c.options("")
	if !ok || len(o.rest) < 2 {
		return 3
	}
	if !lvmRoot(c) {
		return 5
	}
	name := o.rest[0]
	if _, info, err := c.view().resolve("/dev/"+name, true); err == nil && info != nil {
		fmt.Fprintf(c.Stderr, "  /dev/%s: already exists in filesystem\n  Run `vgcreate --help' for more information.\n", name)
		return 3
	}
	c.Machine.mu.Lock()
	other := c.Machine.groupNamed(name)
	c.Machine.mu.Unlock()
	if other != nil {
		return lvmFailed(c, "A volume group called %s already exists.", name)
	}
	members, code := c.members(o.rest[1:])
	if code != 0 {
		return code
	}
	c.Machine.changeGroups(func() {
		c.Machine.volumeGroups = append(c.Machine.volumeGroups, &volumeGroup{name: name, uuid: lvmUUID(), members: members})
	})
	c.Machine.Record("vgcreate", "make the volume group "+name)
	c.printf("  Volume group \"%s\" successfully created\n", name)
	return 0
}

// vgextend implements vgextend(8).
func vgextend(_ context.Context, c *Call) int {
	o, ok := c.options("")
	if !ok || len(o.rest) < 2 {
		return 3
	}
	if !lvmRoot(c) {
		return 5
	}
	members, code := c.members(o.rest[1:])
	if code != 0 {
		return code
	}
	g, code := c.group(o.rest[0])
	if code != 0 {
		return code
	}
	c.Machine.changeGroups(func() { g.members = append(g.members, members...) })
	c.Machine.Record("vgextend", "extend the volume group "+g.name)
	c.printf("  Volume group \"%s\" successfully extended\n", g.name)
	return 0
}

// changeGroups changes the volume groups and then updates what udev maintains.
func (m *Machine) changeGroups(change func()) {
	m.mu.Lock()
	change()
	m.mu.Unlock()
	m.linkDisks()
}

// group returns the group that the command names.
func (c *Call) group(name string) (*volumeGroup, int) {
	c.Machine.mu.Lock()
	defer c.Machine.mu.Unlock()
	g := c.Machine.groupNamed(name)
	if g == nil {
		return nil, lvmFailed(c, "Volume group \"%s\" not found\n  Cannot process volume group %[1]s", name)
	}
	if slices.ContainsFunc(g.members, c.Machine.missing) {
		return nil, lvmFailed(c, "Cannot change VG %s while PVs are missing.", name)
	}
	return g, 0
}

// lvcreate implements lvcreate(8) for ordinary volumes, thin pools and thin volumes.
func lvcreate(_ context.Context, c *Call) int {
	o, ok := c.options("n:l:V:y", "yes", "name=", "extents=", "type=", "poolmetadatasize=", "virtualsize=", "thinpool=")
	if !ok || len(o.rest) != 1 {
		return 3
	}
	if !lvmRoot(c) {
		return 5
	}
	g, code := c.group(o.rest[0])
	if code != 0 {
		return code
	}
	name, kind := o.value("n", "name"), o.value("type")
	extents, _ := strconv.ParseInt(o.value("l", "extents"), 10, 64)
	bytes := func(option string) int64 {
		n, err := strconv.ParseInt(strings.TrimSuffix(o.value(option), "b"), 10, 64)
		if err != nil {
			return 0
		}
		return (n + extentSize - 1) / extentSize
	}
	v := &logicalVolume{name: name, kind: linearLayout, uuid: lvmUUID(), extents: map[string]int64{}, metadata: map[string]int64{}}
	need := extents
	c.Machine.mu.Lock()
	free, taken := g.free(), g.volume(name) != nil
	pool := g.volume(o.value("thinpool"))
	spare := max(bytes("poolmetadatasize")-g.spare, 0)
	c.Machine.mu.Unlock()
	switch kind {
	case "":
	case "thin-pool":
		v.kind = thinPoolLayout
		need = extents + bytes("poolmetadatasize") + spare
	case "thin":
		v.kind, v.pool, extents, need = thinLayout, o.value("thinpool"), bytes("virtualsize"), 0
		if pool == nil || pool.kind != thinPoolLayout {
			return lvmFailed(c, "Pool %s not found in Volume group %s.", v.pool, g.name)
		}
	default:
		return notSimulated(c, "--type "+kind)
	}
	switch {
	case name == "" || extents == 0:
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	case taken:
		return lvmFailed(c, "Logical Volume \"%s\" already exists in volume group \"%s\"", name, g.name)
	case need > free:
		return lvmFailed(c, "Volume group \"%s\" has insufficient free space (%d extents): %d required.", g.name, free, need)
	}
	c.Machine.changeGroups(func() {
		v.disk = Disk{Name: mapperName(g.name, name), Size: extents * extentSize}
		if v.kind == thinPoolLayout {
			g.spare += spare
			g.volumes = append(g.volumes, v)
			g.allocate(v.metadata, bytes("poolmetadatasize"), g.apart())
			g.allocate(v.extents, extents, g.members)
			return
		}
		g.volumes = append(g.volumes, v)
		g.allocate(v.extents, need, g.members)
	})
	c.Machine.Record("lvcreate", "make the volume "+g.name+"/"+name)
	if v.kind == thinPoolLayout {
		c.printf("  Thin pool volume with chunk size 64.00 KiB can address at most <15.88 TiB of data.\n")
	}
	c.printf("  Logical volume \"%s\" created.\n", name)
	return 0
}

// volume returns the volume that the command names as GROUP/VOLUME.
func (c *Call) volume(title string) (*volumeGroup, *logicalVolume, int) {
	group, name, _ := strings.Cut(strings.TrimPrefix(title, "/dev/"), "/")
	g, code := c.group(group)
	if code != 0 {
		return nil, nil, code
	}
	c.Machine.mu.Lock()
	defer c.Machine.mu.Unlock()
	v := g.volume(name)
	if v == nil && c.Argv[0] == "lvremove" {
		return nil, nil, lvmFailed(c, "Failed to find logical volume \"%s/%s\"", group, name)
	}
	if v == nil {
		return nil, nil, lvmFailed(c, "Logical volume %s not found in volume group %s.", name, group)
	}
	return g, v, 0
}

// lvextend implements lvextend(8).
func lvextend(_ context.Context, c *Call) int {
	o, ok := c.options("l:ry", "extents=", "resizefs", "yes")
	if !ok || len(o.rest) != 1 {
		return 3
	}
	if !lvmRoot(c) {
		return 5
	}
	g, v, code := c.volume(o.rest[0])
	if code != 0 {
		return code
	}
	extents, err := strconv.ParseInt(o.value("l", "extents"), 10, 64)
	if err != nil {
		return notSimulated(c, "--extents "+o.value("l", "extents"))
	}
	c.Machine.mu.Lock()
	before, free, use := v.size(), g.free(), v.disk.Use
	c.Machine.mu.Unlock()
	switch {
	case extents == before:
		return lvmFailed(c, "New size (%d extents) matches existing size (%d extents).", extents, before)
	case extents < before:
		return lvmFailed(c, "New size given (%d extents) not larger than existing size (%d extents)", extents, before)
	case v.kind != thinLayout && extents-before > free:
		return lvmFailed(c, "Insufficient free space: %d extents needed, but only %d available", extents-before, free)
	case o.has("r", "resizefs") && use != "ext4" && use != "xfs":
		return notSimulated(c, "--resizefs with "+cmp.Or(use, "no file system"))
	}
	c.Machine.changeGroups(func() {
		if v.kind != thinLayout {
			g.allocate(v.extents, extents-before, g.members)
		}
		v.disk.Size = extents * extentSize
	})
	c.Machine.Record("lvextend", "grow the volume "+g.name+"/"+v.name)
	suffix := map[bool]string{true: "_tdata"}[v.kind == thinPoolLayout]
	c.printf("  Size of logical volume %s/%s%s changed from %s (%d extents) to %s (%d extents).\n  Logical volume %s/%s successfully resized.\n",
		g.name, v.name, suffix, lvmSize(before*extentSize), before, lvmSize(extents*extentSize), extents, g.name, v.name)
	if o.has("r", "resizefs") && use == "ext4" {
		c.printf("resize2fs 1.47.0 (5-Feb-2023)\nThe filesystem on /dev/mapper/%s is now %d (4k) blocks long.\n\n", v.disk.Name, extents*extentSize/4096)
	}
	return 0
}

// lvmSize formats a size as LVM does.
func lvmSize(bytes int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}} {
		if bytes >= unit.size {
			return fmt.Sprintf("%.2f %s", float64(bytes)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%.2f MiB", float64(bytes)/(1<<20))
}

// lvremove implements lvremove(8) for one volume, with --yes.
func lvremove(_ context.Context, c *Call) int {
	o, ok := c.options("y", "yes")
	if !ok || len(o.rest) != 1 || !o.has("y", "yes") {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	if !lvmRoot(c) {
		return 5
	}
	g, v, code := c.volume(o.rest[0])
	if code != 0 {
		return code
	}
	c.Machine.mu.Lock()
	mounted, holds := v.disk.Mountpoint != "", v.kind == thinPoolLayout && g.inPool(v.name)
	c.Machine.mu.Unlock()
	switch {
	case mounted:
		return lvmFailed(c, "Logical volume %s/%s contains a filesystem in use.", g.name, v.name)
	case holds:
		return notSimulated(c, "the removal of a thin pool with volumes in it")
	}
	c.Machine.changeGroups(func() {
		g.volumes = slices.DeleteFunc(g.volumes, func(other *logicalVolume) bool { return other == v })
	})
	c.Machine.Record("lvremove", "remove the volume "+g.name+"/"+v.name)
	c.printf("  Logical volume \"%s\" successfully removed.\n", v.name)
	return 0
}

// lvmPackage returns LVM's package, which has one program under many names.
func lvmPackage(version string) Package {
	return Package{Name: "lvm2", Version: version, Programs: map[string]Program{
		"/usr/sbin/lvm": unsupported, "/usr/sbin/vgs": lvmReport("vg"), "/usr/sbin/pvs": lvmReport("pv"), "/usr/sbin/lvs": lvmReport("lv"),
		"/usr/sbin/pvcreate": unsupported, "/usr/sbin/vgcreate": vgcreate, "/usr/sbin/vgextend": vgextend, "/usr/sbin/lvcreate": lvcreate,
		"/usr/sbin/lvextend": lvextend, "/usr/sbin/lvremove": lvremove,
	}, Units: []Unit{{Name: "lvm2-monitor", Enabled: true, Active: true}}}
}
