package machine

import (
	"fmt"
	"slices"
	"strings"
)

// volumeGroup is a volume group of LVM.
type volumeGroup struct {
	name, uuid string
	// members are its physical volumes: kernel names and numbers of extents.
	members []physicalVolume
	volumes []*logicalVolume
	// spare is how many extents LVM reserves to repair the metadata of thin pools.
	spare int64
}

type physicalVolume struct {
	device  string
	uuid    string
	extents int64
}

// logicalVolume is a logical volume or a thin pool. Its disk has the device mapper's name: "data-my--lv".
type logicalVolume struct {
	disk Disk
	name string
	kind string // as lvs(8) prints in lv_layout
	uuid string
	pool string // the pool that contains a thin volume
	// extents maps physical volumes to the number of extents on each, metadata likewise for a thin pool's metadata.
	extents, metadata map[string]int64
}

// The layouts of volumes.
const (
	linearLayout   = "linear"
	thinPoolLayout = "thin,pool"
	thinLayout     = "thin,sparse"
)

const (
	lvmMember = "LVM2_member"
	// extentSize is LVM's default, lvmReserved what LVM reserves on each physical volume.
	extentSize  = 4 << 20
	lvmReserved = 1 << 20
)

// mapperName returns the device mapper's name of a logical volume.
func mapperName(group, volume string) string {
	hyphens := strings.NewReplacer("-", "--")
	return hyphens.Replace(group) + "-" + hyphens.Replace(volume)
}

// lvmUUID returns a new UUID in LVM's notation.
func lvmUUID() string {
	digits := strings.ReplaceAll(newUUID(), "-", "")
	return digits[:6] + "-" + digits[6:10] + "-" + digits[10:14] + "-" + digits[14:18] + "-" + digits[18:22] + "-" + digits[22:26] + "-" + digits[26:]
}

// groupNamed returns the volume group with a name, or nil. The caller holds m.mu.
func (m *Machine) groupNamed(name string) *volumeGroup {
	for _, g := range m.volumeGroups {
		if g.name == name {
			return g
		}
	}
	return nil
}

// groupOf returns the group that contains a physical volume, or nil. The caller holds m.mu.
func (m *Machine) groupOf(device string) *volumeGroup {
	for _, g := range m.volumeGroups {
		if slices.ContainsFunc(g.members, func(p physicalVolume) bool { return p.device == device }) {
			return g
		}
	}
	return nil
}

func (g *volumeGroup) volume(name string) *logicalVolume {
	for _, v := range g.volumes {
		if v.name == name {
			return v
		}
	}
	return nil
}

// missing reports whether a physical volume of the group is gone. The caller holds m.mu.
func (m *Machine) missing(p physicalVolume) bool {
	d := m.diskNamed(p.device)
	return d == nil || d.Use != lvmMember || d.UUID != p.uuid
}

// used returns how many extents of a physical volume are allocated.
func (g *volumeGroup) used(device string) (n int64) {
	for _, v := range g.volumes {
		n += v.extents[device] + v.metadata[device]
	}
	if len(g.members) > 0 && device == g.members[0].device {
		n += g.spare
	}
	return n
}

// free returns the number of unallocated extents in the group.
func (g *volumeGroup) free() (n int64) {
	for _, p := range g.members {
		n += p.extents - g.used(p.device)
	}
	return n
}

// allocate adds extents to on: all from the first physical volume with enough space, or else from several.
func (g *volumeGroup) allocate(on map[string]int64, n int64, members []physicalVolume) {
	for _, p := range members {
		if p.extents-g.used(p.device) >= n {
			on[p.device] += n
			return
		}
	}
	for _, p := range members {
		part := min(p.extents-g.used(p.device), n)
		on[p.device] += part
		n -= part
	}
}

// apart returns the physical volumes in the order in which a thin pool's metadata uses them: away from the data.
func (g *volumeGroup) apart() []physicalVolume {
	members := slices.Clone(g.members)
	slices.Reverse(members)
	return members
}

// size returns the number of extents of a volume.
func (v *logicalVolume) size() int64 { return v.disk.Size / extentSize }

func total(extents map[string]int64) (n int64) {
	for _, count := range extents {
		n += count
	}
	return n
}

// mappedVolume returns the volume with a kernel name ("dm-0") or a device mapper name, or nil. The caller holds m.mu.
func (m *Machine) mappedVolume(name string) *logicalVolume {
	if number, ok := strings.CutPrefix(name, "dm-"); ok {
		for mapped, is := range m.mapped {
			if is == "252:"+number {
				name = mapped
			}
		}
	}
	for _, g := range m.volumeGroups {
		for _, v := range g.volumes {
			if v.disk.Name == name {
				return v
			}
		}
	}
	return nil
}

// mapperNames returns the names of all devices of volume groups, in the order in which LVM creates them. The caller
// holds m.mu.
func (m *Machine) mapperNames() []string {
	var all []string
	for _, g := range m.volumeGroups {
		for _, v := range g.volumes {
			if v.kind == thinPoolLayout {
				all = append(all, v.disk.Name+"_tmeta", v.disk.Name+"_tdata")
				if g.inPool(v.name) {
					all = append(all, v.disk.Name+"-tpool")
				}
			}
			all = append(all, v.disk.Name)
		}
	}
	return all
}

// inPool reports whether a thin pool contains a volume.
func (g *volumeGroup) inPool(pool string) bool {
	return slices.ContainsFunc(g.volumes, func(v *logicalVolume) bool { return v.pool == pool && v.kind == thinLayout })
}

// above returns what is on top of a device, given its kernel name or device mapper name: the volumes on a physical
// volume, or the layers of a thin pool. The caller holds m.mu.
func (m *Machine) above(name string) []*Disk {
	var all []*Disk
	for _, g := range m.volumeGroups {
		for _, v := range g.volumes {
			pool := v.disk.Name
			top := &v.disk
			if g.inPool(v.name) {
				top = &Disk{Name: pool + "-tpool", Size: v.disk.Size}
			}
			switch {
			case v.kind == thinLayout:
			case v.kind != thinPoolLayout:
				if v.extents[name] > 0 {
					all = append(all, &v.disk)
				}
			case name == pool+"_tmeta", name == pool+"_tdata":
				all = append(all, top)
			case name == pool+"-tpool":
				all = append(all, &v.disk)
				for _, thin := range g.volumes {
					if thin.pool == v.name {
						all = append(all, &thin.disk)
					}
				}
			default:
				if v.metadata[name] > 0 {
					all = append(all, &Disk{Name: pool + "_tmeta", Size: total(v.metadata) * extentSize})
				}
				if v.extents[name] > 0 {
					all = append(all, &Disk{Name: pool + "_tdata", Size: v.disk.Size})
				}
			}
		}
	}
	return all
}

// devicePath returns the path by which programs show a disk.
func (m *Machine) devicePath(d Disk) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mappedVolume(d.Name) != nil {
		return "/dev/mapper/" + d.Name
	}
	return "/dev/" + d.Name
}

// linkVolumes creates the entries of logical volumes in /dev, as udev does. The caller holds the locks of the tree and
// of the machine.
func (m *Machine) linkVolumes() {
	t := m.tree
	for name := range t.lookup("/dev").children {
		if strings.HasPrefix(name, "dm-") {
			_ = t.drop("/dev/" + name)
		}
	}
	for _, dir := range m.groupDirs {
		_ = t.drop("/dev/" + dir) // may be gone along with its last volume
	}
	_ = t.drop("/dev/mapper")
	m.groupDirs = nil
	t.mkdirAll("/dev/mapper", 0o755)
	mapped := m.mappedNumbers()
	for _, name := range m.mapperNames() {
		var minor int
		fmt.Sscanf(mapped[name], "252:%d", &minor)
		t.block(fmt.Sprintf("dm-%d", minor), 252, minor)
		t.link("/dev/mapper/"+name, fmt.Sprintf("../dm-%d", minor))
	}
	for _, g := range m.volumeGroups {
		for _, p := range g.members {
			t.link("/dev/disk/by-id/lvm-pv-uuid-"+p.uuid, "../../"+p.device)
		}
		for _, v := range g.volumes {
			if v.kind == thinPoolLayout {
				continue
			}
			node := "dm-" + strings.TrimPrefix(mapped[v.disk.Name], "252:")
			t.mkdirAll("/dev/"+g.name, 0o755)
			m.groupDirs = append(m.groupDirs, g.name)
			t.link("/dev/"+g.name+"/"+v.name, "../"+node)
			t.link("/dev/disk/by-id/dm-name-"+v.disk.Name, "../../"+node)
			t.link("/dev/disk/by-id/dm-uuid-LVM-"+strings.ReplaceAll(g.uuid+v.uuid, "-", ""), "../../"+node)
			if v.disk.UUID != "" {
				t.link("/dev/disk/by-uuid/"+v.disk.UUID, "../../"+node)
			}
		}
	}
}
