package proxmox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The long responses about OSDs: the whole map, and what each daemon reports about its host.

func (v *view) osdAddress(c *Ceph, o *OSD, port int) (object, string) {
	ip := ""
	if n := v.Nodes[o.Host]; n != nil {
		ip = n.IP
	}
	port += 6800 + 8*(o.ID%16)
	return addrvec(ip, port, port+1), fmt.Sprintf("%s:%d/%d", ip, port+1, 10000+o.ID)
}

func osdDump(v *view, c *Ceph, _ []string) reply {
	flags := append(c.warnedFlags(), baseFlags...)
	set := slices.Sorted(slices.Values(flags))
	var pools, osds []object
	for _, p := range c.Pools {
		pools = append(pools, c.poolDetail(p, "pool", v.now))
	}
	maxOSD := 0
	for _, o := range c.OSDs {
		maxOSD = max(maxOSD, o.ID+1)
		value := obj("osd", o.ID, "uuid", o.UUID, "up", number(o.Up), "in", number(o.In), "weight", o.reweight(), "primary_affinity", 1, "last_clean_begin", 0, "last_clean_end", 0,
			"up_from", o.UpFrom, "up_thru", 0, "down_at", 0, "lost_at", 0)
		var plain object
		for i, kind := range []string{"public_addr", "cluster_addr", "heartbeat_back_addr", "heartbeat_front_addr"} {
			vec, text := v.osdAddress(c, o, 2*i)
			value = append(value, member{kind + "s", vec})
			plain = append(plain, member{kind, text})
		}
		state := []string{"exists"}
		if o.Up {
			state = append(state, "up")
		}
		state = append(state, o.Flags...)
		slices.Sort(state)
		osds = append(osds, append(append(value, plain...), member{"state", state}))
	}
	var lastUp, lastIn time.Time
	for _, o := range c.OSDs {
		if o.Changed.After(lastUp) {
			lastUp = o.Changed
		}
		if o.InSince.After(lastIn) {
			lastIn = o.InSince
		}
	}
	value := obj("epoch", c.OSDEpoch, "fsid", c.FSID, "created", stamp(c.Created), "modified", stamp(c.OSDModified), "last_up_change", stamp(lastUp), "last_in_change", stamp(lastIn),
		"flags", strings.Join(flags, ","), "flags_num", c.flagsNumber(), "flags_set", set, "crush_version", c.CrushVersion, "full_ratio", 0.95, "backfillfull_ratio", 0.9, "nearfull_ratio", 0.85,
		"cluster_snapshot", "", "pool_max", c.NextPool-1, "max_osd", maxOSD, "require_min_compat_client", "luminous", "min_compat_client", "jewel", "require_osd_release", c.releaseName(),
		"pools", list(pools), "osds", list(osds), "osd_xinfo", []any{}, "pg_upmap", []any{}, "pg_upmap_items", []any{}, "pg_temp", []any{}, "primary_temp", []any{}, "blocklist", object{}, "range_blocklist", object{},
		"erasure_code_profiles", obj("default", obj("k", "2", "m", "2", "plugin", "jerasure", "technique", "reed_sol_van")), "removed_snaps_queue", []any{}, "new_removed_snaps", []any{}, "new_purged_snaps", []any{},
		"crush_node_flags", flagsByName(c.NodeFlags), "device_class_flags", flagsByName(c.ClassFlags), "stretch_mode", obj("stretch_mode_enabled", false, "stretch_bucket_count", 0, "degraded_stretch_mode", 0, "recovering_stretch_mode", 0, "stretch_mode_bucket", 0))
	text := fmt.Sprintf("epoch %d\nfsid %s\ncreated %s\nmodified %s\nflags %s\ncrush_version %d\nfull_ratio 0.95\nbackfillfull_ratio 0.9\nnearfull_ratio 0.85\nrequire_min_compat_client luminous\nmin_compat_client jewel\nrequire_osd_release %s\nstretch_mode_enabled false\n",
		c.OSDEpoch, c.FSID, stamp(c.Created), stamp(c.OSDModified), strings.Join(flags, ","), c.CrushVersion, c.releaseName())
	for _, p := range c.Pools {
		text += c.poolLine(p, v.now)
	}
	text += fmt.Sprintf("max_osd %d\n", maxOSD)
	for _, o := range c.OSDs {
		text += fmt.Sprintf("osd.%d %s %s weight %g up_from %d\n", o.ID, o.status(), map[bool]string{true: "in ", false: "out"}[o.In], o.reweight(), o.UpFrom)
	}
	return reply{value: value, text: text}
}

func (v *view) osdMeta(c *Ceph, o *OSD) object {
	rotational, kind := "0", "ssd"
	if o.Class == "hdd" {
		rotational, kind = "1", "hdd"
	}
	var d Disk
	if n := v.world.node(o.Host); n != nil {
		for _, disk := range n.Disks() {
			if disk.Name == o.Device {
				d = disk
			}
		}
	}
	ip := v.Nodes[o.Host].IP
	addr := func(port int) string {
		return fmt.Sprintf("[v2:%s:%d/%d,v1:%s:%d/%d]", ip, 6800+8*o.ID+port, 10000+o.ID, ip, 6801+8*o.ID+port, 10000+o.ID)
	}
	// A daemon reports the whole disk even if its data is on a partition.
	device := or(d.Parent, o.Device)
	id := fmt.Sprintf("%s=%s_%s", device, strings.ReplaceAll(d.Model, " ", "_"), d.Serial)
	distro, description := debianOf(v.world.node(o.Host))
	all, dedicated := []string{device}, map[string]string{"db": "0", "wal": "0"}
	for _, kind := range sharedDevices {
		if shared, ok := o.Shared[kind]; ok {
			dedicated[kind] = "1"
			all = append(all, shared.Device)
		}
	}
	slices.Sort(all)
	return obj("id", o.ID, "arch", "x86_64", "back_addr", addr(2), "back_iface", "", "bluefs", "1", "bluefs_dedicated_db", dedicated["db"], "bluefs_dedicated_wal", dedicated["wal"], "bluefs_single_shared_device", map[bool]string{true: "1", false: "0"}[len(all) == 1],
		"bluestore_bdev_access_mode", "blk", "bluestore_bdev_block_size", "4096", "bluestore_bdev_dev_node", "/dev/dm-"+fmt.Sprint(o.ID), "bluestore_bdev_devices", device, "bluestore_bdev_driver", "KernelDevice",
		"bluestore_bdev_path", fmt.Sprintf("/var/lib/ceph/osd/ceph-%d/block", o.ID), "bluestore_bdev_rotational", rotational, "bluestore_bdev_size", fmt.Sprint(o.Size), "bluestore_bdev_support_discard", "1", "bluestore_bdev_type", kind,
		"bluestore_min_alloc_size", "4096", "ceph_release", c.releaseName(), "ceph_version", versionLine(c.Version), "ceph_version_short", c.Version, "ceph_version_when_created", versionLine(c.Version), "cpu", "Intel(R) Xeon(R) Processor",
		"created_at", o.Created.UTC().Format("2006-01-02T15:04:05.000000Z"), "default_device_class", kind, "device_ids", id, "device_paths", device+"=/dev/disk/by-path/pci-0000:00:05.0-"+device, "devices", strings.Join(all, ","),
		"distro", "debian", "distro_description", description, "distro_version", distro, "front_addr", addr(0), "front_iface", "", "hb_back_addr", addr(6), "hb_front_addr", addr(4), "hostname", o.Host,
		"journal_rotational", rotational, "kernel_description", "#1 SMP PREEMPT_DYNAMIC", "kernel_version", v.world.node(o.Host).Kernel(), "mem_swap_kb", "0", "mem_total_kb", fmt.Sprint(labMemory/1024),
		"network_numa_unknown_ifaces", "back_iface,front_iface", "objectstore_numa_unknown_devices", device, "os", "Linux", "osd_data", fmt.Sprintf("/var/lib/ceph/osd/ceph-%d", o.ID), "osd_objectstore", "bluestore", "osdspec_affinity", "", "rotational", rotational)
}

func osdMetadata(v *view, c *Ceph, args []string) reply {
	if len(args) > 0 {
		id, ok := parseOSD(args[0])
		o := c.osd(id)
		if !ok || o == nil || !o.Booted {
			return refuse(eNOENT, "osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
		}
		return reply{value: v.osdMeta(c, o)}
	}
	all := []object{}
	for _, o := range c.OSDs {
		if o.Booted {
			all = append(all, v.osdMeta(c, o))
		}
	}
	return reply{value: all}
}
