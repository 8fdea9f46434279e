package pve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// Memory returns the guest's memory limit in bytes. Without a setting, Proxmox VE uses 512 MiB.
func (g GuestConfig) Memory() uint64 {
	text := strings.TrimPrefix(g.Options["memory"], "current=")
	text, _, _ = strings.Cut(text, ",")
	if mib, err := strconv.ParseUint(text, 10, 32); err == nil {
		return mib << 20
	}
	return 512 << 20
}

// Tie describes what ties a guest to its node.
type Tie struct {
	// Bound says what keeps the guest from being started on any other node; empty if nothing does.
	Bound string
	// Local is set if only disks on storages of the node do, which can be copied.
	Local bool
	// Only lists the nodes that have what the guest needs; nil means all of them.
	Only []string
	// Devices lists its mapped devices that Proxmox VE does not migrate while the guest runs.
	Devices []string
}

var (
	guestVolume = pattern.New(`^(scsi|virtio|ide|sata|efidisk|tpmstate|mp|unused)\d+$|^rootfs$`)
	guestDevice = pattern.New(`^(hostpci|usb|dev)\d+$`)
)

// TieOf returns what ties a guest to its node, given the cluster's storages and mapped devices.
func TieOf(config GuestConfig, storages map[string]Storage, mappings map[string]Mapping) Tie {
	var tie Tie
	narrow := func(nodes []string) {
		if tie.Only == nil {
			tie.Only = append([]string{}, nodes...) // empty but not nil if there is none
			slices.Sort(tie.Only)
			return
		}
		tie.Only = slices.DeleteFunc(tie.Only, func(node string) bool { return !slices.Contains(nodes, node) })
	}
	bind := func(local bool, format string, args ...any) {
		if tie.Bound == "" || tie.Local && !local {
			tie.Bound, tie.Local = fmt.Sprintf(format, args...), local
		}
	}
	for _, key := range slices.Sorted(maps.Keys(config.Options)) {
		first, rest, _ := strings.Cut(config.Options[key], ",")
		first = strings.TrimPrefix(first, "file=")
		switch {
		case guestDevice.MatchString(key):
			kind := strings.TrimPrefix(strings.TrimRight(key, "0123456789"), "host")
			if id, ok := mapped(config.Options[key]); ok {
				mapping := mappings[kind+"/"+id]
				narrow(mapping.Nodes())
				if live, _ := Truth(mapping.Options["live-migration-capable"]); !live {
					tie.Devices = append(tie.Devices, key)
				}
			} else if first != "spice" && first != "host=spice" {
				bind(false, "%s is a device of %s", key, config.Node)
			}
		case !guestVolume.MatchString(key), strings.HasPrefix(key, "unused"), first == "none", strings.Contains(first, "cloudinit"):
		case strings.HasPrefix(first, "/") && truth(PropertiesOf(rest, "")["shared"]): // a shared mount point of a container: the administrator vouches that all nodes have it
		case strings.HasPrefix(first, "/"), first == "cdrom":
			bind(false, "%s is %s of %s", key, first, config.Node)
		default:
			id, _, _ := strings.Cut(first, ":")
			storage := storages[id]
			if !storage.Shared() {
				bind(!strings.Contains(rest, "media=cdrom"), "%s is on %s of %s, which other nodes cannot reach", key, id, config.Node)
			}
			if nodes := List(storage.Options["nodes"]); len(nodes) > 0 {
				narrow(slices.Collect(maps.Keys(nodes)))
			}
		}
	}
	return tie
}

// mapped returns the id of the mapping that a device refers to.
func mapped(value string) (id string, ok bool) {
	for part := range strings.SplitSeq(value, ",") {
		if id, ok = strings.CutPrefix(part, "mapping="); ok {
			return id, true
		}
	}
	return "", false
}
