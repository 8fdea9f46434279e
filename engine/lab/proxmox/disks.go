package proxmox

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

var (
	diskKey    = regexp.MustCompile(`^(scsi|virtio|sata|ide|efidisk|tpmstate)\d+$`)
	allocation = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9\-_.]*):(\d+)((?:,.*)?)$`)
)

// allocate turns "STORAGE:GIGABYTES" among a guest's options into volumes, as qm create and qm set do.
func (v *view) allocate(db *Database, id string, keys map[string]string, out io.Writer) error {
	used := 0
	for _, value := range keys {
		used += strings.Count(value, "vm-"+id+"-disk-")
	}
	for _, key := range sortedKeys(keys) {
		m := allocation.FindStringSubmatch(keys[key])
		if m == nil || !diskKey.MatchString(key) {
			continue
		}
		all := db.storages()
		i := section(all, m[1])
		switch {
		case i < 0:
			return fmt.Errorf("storage '%s' does not exist", m[1])
		case !slices.Contains(splitList(all[i].Keys["content"]), "images"):
			return fmt.Errorf("storage '%s' does not support content-type 'images'", m[1])
		}
		if _, _, _, status, _ := v.storageState(db, "", all[i]); status != "active" {
			return failed(exitDie, "rbd error: rbd: couldn't connect to the cluster!")
		}
		volume := fmt.Sprintf("vm-%s-disk-%d", id, used)
		if all[i].Type == "dir" {
			volume = id + "/" + volume + ".raw"
		}
		used++
		size := m[2] + "G"
		if strings.HasPrefix(key, "efidisk") {
			size = "528K" // whatever was asked for, an EFI disk has the size of its template
		}
		options := strings.Split(strings.TrimPrefix(m[3], ","), ",")
		options = slices.DeleteFunc(append(options, "size="+size), func(o string) bool { return o == "" || strings.HasPrefix(o, "format=") })
		slices.Sort(options)
		keys[key] = m[1] + ":" + volume + "," + strings.Join(options, ",")
		fmt.Fprintf(out, "%s: successfully created disk '%s'\n", key, keys[key])
	}
	return nil
}
