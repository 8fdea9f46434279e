package observe

import (
	"slices"
	"strings"
)

// reservedEndings are the suffixes of the names of LVM's internal logical volumes, such as the data of a thin pool. A
// number may follow. lvm(8) reserves them.
var reservedEndings = []string{"_cdata", "_cmeta", "_corig", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta",
	"_vdata", "_vorigin", "_wcorig"}

// IsReservedVolume reports whether LVM reserves a name of a logical volume for itself.
func IsReservedVolume(name string) bool {
	name = strings.TrimRight(name, "0123456789_")
	return slices.ContainsFunc(reservedEndings, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// LogicalVolume returns the names of a logical volume and of its volume group. ok is false for all other devices,
// including the parts of which LVM builds a volume.
func (d BlockDevice) LogicalVolume() (group, volume string, ok bool) {
	mapped, found := strings.CutPrefix(d.Path, "/dev/mapper/")
	if d.Type != "lvm" || !found {
		return "", "", false
	}
	// The device mapper's name is both names joined with a hyphen. Hyphens in the names are doubled. A third part names
	// a layer.
	parts := strings.Split(strings.ReplaceAll(mapped, "--", "\x00"), "-")
	if len(parts) != 2 || IsReservedVolume(parts[1]) {
		return "", "", false
	}
	return strings.ReplaceAll(parts[0], "\x00", "-"), strings.ReplaceAll(parts[1], "\x00", "-"), true
}

// VolumePath returns the path of a logical volume as lsblk(8) reports it.
func VolumePath(group, volume string) string {
	hyphens := strings.NewReplacer("-", "--")
	return "/dev/mapper/" + hyphens.Replace(group) + "-" + hyphens.Replace(volume)
}

// called reports whether the device is the logical volume whose usual path, /dev/GROUP/VOLUME, is name.
func (d BlockDevice) called(name string) bool {
	if d.Type != "lvm" || !strings.HasPrefix(name, "/dev/") {
		return false
	}
	group, volume, ok := d.LogicalVolume()
	return ok && name == "/dev/"+group+"/"+volume
}

// logicalVolumes returns the logical volumes on devices, by path.
func logicalVolumes(devices []BlockDevice) map[string]BlockDevice {
	all := map[string]BlockDevice{}
	for _, top := range devices {
		top.Walk(func(d BlockDevice) {
			if _, _, ok := d.LogicalVolume(); ok {
				all[d.Path] = d
			}
		})
	}
	return all
}

// sameVolumes reports whether the two maps have the same logical volumes. LVM decides which physical volumes each one
// uses, and the kernel what it is called. A thin volume is on the parts of its pool, whose own device is read-only
// while it has volumes.
func sameVolumes(expected, found map[string]BlockDevice) bool {
	if len(expected) == 0 || len(expected) != len(found) {
		return false
	}
	for path, e := range expected {
		f, there := found[path]
		if !there || e.Size != f.Size || e.Filesystem != f.Filesystem || e.UUID != f.UUID ||
			!slices.Equal(e.Mountpoints, f.Mountpoints) || slices.ContainsFunc(e.Links, func(link string) bool { return !slices.Contains(f.Links, link) }) {
			return false
		}
	}
	return true
}
