package ha

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/modules/internal/pve"
)

// warn notes what would prevent the guest from being recovered on another node, each time: an ISO may have been put into the drive since.
func (r *Resource) warn(ctx context.Context, s *state) error {
	if r.State == "disabled" || r.State == "ignored" {
		return nil // it is not recovered
	}
	votes := s.cluster.DeviceVotes
	for _, member := range s.cluster.Members {
		votes += member.Votes
	}
	if votes < 3 {
		s.note("cluster %s has %d votes: high availability needs at least three to survive the loss of a node", s.cluster.Name, votes)
	}
	_, id := pve.SplitServiceID(r.SID)
	config, err := pve.GuestConfigs.Observe(ctx, s.host, strconv.Itoa(id))
	if err != nil {
		return err
	}
	storages, err := pve.Storages.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(config.Options)) {
		if what := rawDevice(key, config.Options[key]); what != "" {
			s.note("%s has %s (%s) of its node: it cannot be recovered on another node%s", r.SID, what, key, mapInstead(key))
			continue
		}
		if !volume(key) {
			continue
		}
		name, _, ok := strings.Cut(config.Options[key], ":")
		storage, known := storages[name]
		if ok && known && !storage.Shared() {
			s.note("%s has %s on storage %s, which is available on one node only: it cannot be recovered on another node", r.SID, key, name)
		}
		if mount := pve.PropertiesOf(config.Options[key], ""); strings.HasPrefix(key, "mp") && strings.HasPrefix(config.Options[key], "/") && !shared(mount["shared"]) {
			s.note("%s mounts %s of its node (%s): it cannot be recovered on another node", r.SID, mount[""], key)
		}
	}
	return nil
}

// shared reports whether a mount point of a container is marked as one that all nodes have.
func shared(mark string) bool {
	on, _ := pve.Truth(mark)
	return on
}

// volume reports whether an option of a guest's configuration is a disk.
func volume(key string) bool {
	for _, prefix := range []string{"scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "rootfs", "mp"} {
		if rest, ok := strings.CutPrefix(key, prefix); ok && strings.Trim(rest, "0123456789") == "" {
			return true
		}
	}
	return false
}

// rawDevice describes the device of its node that an option of a guest's configuration passes to the guest, or returns "".
// A mapped device is none: its nodes are known, and obstacle looks at them.
func rawDevice(key, value string) string {
	first, _, _ := strings.Cut(value, ",")
	first = strings.TrimPrefix(first, "file=")
	switch kind := strings.TrimRight(key, "0123456789"); {
	case kind == key: // such devices are numbered
		return ""
	case kind == "hostpci" || kind == "usb":
		device := pve.PropertiesOf(value, "host")
		if device["mapping"] != "" || device["host"] == "spice" {
			return ""
		}
		return "the device " + device["host"]
	case kind == "dev" || kind == "serial" || kind == "parallel":
		if path := pve.PropertiesOf(value, "path")["path"]; strings.HasPrefix(path, "/dev/") {
			return "the device " + path
		}
	case kind != "mp" && volume(key) && strings.HasPrefix(first, "/"):
		return "the disk " + first
	case kind != "mp" && volume(key) && first == "cdrom":
		return "the CD drive"
	}
	return ""
}

// mapInstead says how a device can be given to a guest on every node, or returns "" if there is no way.
func mapInstead(key string) string {
	if strings.HasPrefix(key, "hostpci") || strings.HasPrefix(key, "usb") {
		return "; map devices of all nodes (mapping), and use the mapping"
	}
	return ""
}
