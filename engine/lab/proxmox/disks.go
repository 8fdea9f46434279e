package proxmox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

var (
	diskKey    = pattern.New(`^(scsi|virtio|sata|ide|efidisk|tpmstate)\d+$`)
	allocation = pattern.New(`^([a-zA-Z][a-zA-Z0-9\-_.]*):(\d+)((?:,.*)?)$`)
)

// importFrom begins the option of a new disk that is made from an image.
const importFrom = "import-from="

// images returns the sizes, in bytes, of the images that new disks of a guest are made from, by the name that the options give. An image
// is as large as its file.
func (c *Command) images(options map[string]string) (map[string]int, error) {
	sizes := map[string]int{}
	for _, key := range sortedKeys(options) {
		if !diskKey.MatchString(key) {
			continue
		}
		for _, option := range strings.Split(options[key], ",") {
			source, is := strings.CutPrefix(option, importFrom)
			if !is {
				continue
			}
			content, err := c.Node.ReadFile(strings.Replace(source, "local:", "/var/lib/vz/", 1))
			if err != nil || len(content) == 0 {
				return nil, fmt.Errorf("cannot import from '%s' - volume_size_info on '%s' failed", source, source)
			}
			sizes[source] = len(content)
		}
	}
	return sizes, nil
}

// diskSize writes a size as disks have it in a guest's configuration (PVE::JSONSchema, format_size).
func diskSize(size int) string {
	unit := ""
	for _, next := range []string{"K", "M", "G", "T"} {
		if size%1024 != 0 {
			break
		}
		size, unit = size/1024, next
	}
	return strconv.Itoa(size) + unit
}

// allocate replaces "STORAGE:GIGABYTES" in a guest's options with new volumes, as qm create and qm set do. images are the sizes of the
// images to import.
func (v *view) allocate(db *Database, id string, keys map[string]string, images map[string]int, out io.Writer) error {
	for _, key := range sortedKeys(keys) {
		if storage, is := strings.CutSuffix(keys[key], ":cloudinit"); is && diskKey.MatchString(key) {
			target, err := v.imageStorage(db, storage)
			if err != nil {
				return err
			}
			keys[key] = cloudInitDrive(target, id)
			fmt.Fprintf(out, "%s: successfully created disk '%s'\n", key, keys[key])
			continue
		}
		m := allocation.FindStringSubmatch(keys[key])
		if m == nil || !diskKey.MatchString(key) {
			continue
		}
		target, err := v.imageStorage(db, m[1])
		if err != nil {
			return err
		}
		volume := newVolume(keys, target, id)
		size := m[2] + "G"
		if strings.HasPrefix(key, "efidisk") {
			size = "528K" // an EFI disk has the size of its template, whatever is requested
		}
		options := strings.Split(strings.TrimPrefix(m[3], ","), ",")
		if i := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, importFrom) }); i >= 0 {
			if m[2] != "0" {
				return fmt.Errorf("%s: only a disk of size 0 with import-from is simulated", key)
			}
			size = diskSize(images[strings.TrimPrefix(options[i], importFrom)])
			options = slices.Delete(options, i, i+1)
		}
		options = slices.DeleteFunc(append(options, "size="+size), func(o string) bool { return o == "" || strings.HasPrefix(o, "format=") })
		slices.Sort(options)
		keys[key] = m[1] + ":" + volume + "," + strings.Join(options, ",")
		fmt.Fprintf(out, "%s: successfully created disk '%s'\n", key, keys[key])
	}
	return nil
}

// cloudInitDrive returns a new drive for a guest's cloud-init data (PVE::API2::Qemu).
func cloudInitDrive(on Section, id string) string {
	volume := "vm-" + id + "-cloudinit"
	if on.Type == "dir" {
		volume = id + "/" + volume + ".qcow2"
	}
	return on.ID + ":" + volume + ",media=cdrom"
}

// diskUse returns the use of a disk in the words of PVE's disk list, or "" if it is free.
func diskUse(d Disk) string {
	switch {
	case d.Mountpoint != "":
		return "mounted"
	case d.Use == "LVM2_member":
		return "LVM"
	case d.Use == "zfs_member":
		return "ZFS"
	case len(d.Partitions) > 0:
		return "partitions"
	case d.BIOSBoot:
		return "BIOS boot"
	}
	return d.Use
}
