package proxmox

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"hlplay/engine/pattern"
)

var (
	diskKey    = pattern.New(`^(scsi|virtio|sata|ide|efidisk|tpmstate)\d+$`)
	allocation = pattern.New(`^([a-zA-Z][a-zA-Z0-9\-_.]*):(\d+)((?:,.*)?)$`)
)

// allocate replaces "STORAGE:GIGABYTES" in a guest's options with new volumes, as qm create and qm set do.
func (v *view) allocate(db *Database, id string, keys map[string]string, out io.Writer) error {
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
