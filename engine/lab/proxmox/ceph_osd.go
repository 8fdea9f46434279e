package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const osdFlagList = "full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|noscrub|nodeep-scrub|notieragent|nosnaptrim|pglog_hardlimit"

// baseFlags are those that every OSD map of these releases has.
var baseFlags = []string{"sortbitwise", "recovery_deletes", "purged_snapdirs", "pglog_hardlimit"}

// flagOrder is the order in which Ceph prints flags.
var flagOrder = []string{"pauserd", "pausewr", "noup", "nodown", "noout", "noin", "nobackfill", "norebalance", "norecover", "noscrub", "nodeep-scrub", "notieragent", "nosnaptrim"}

func (c *Ceph) warnedFlags() []string {
	var set []string
	for _, flag := range flagOrder {
		if slices.Contains(c.Flags, flag) {
			set = append(set, flag)
		}
	}
	return set
}

func osdCommands() []cephCommand {
	read := func(words string, fn func(v *view, c *Ceph, args []string) reply) cephCommand {
		return cephCommand{words: words, run: fn}
	}
	return []cephCommand{
		read("osd tree", osdTree), read("osd dump", osdDump), read("osd ls", osdLs), read("osd metadata", osdMetadata),
		read("osd stat", func(v *view, c *Ceph, _ []string) reply {
			return reply{value: append(obj("epoch", c.OSDEpoch), c.osdStat()[1:]...), text: fmt.Sprintf("%s; epoch: e%d\n", v.osdLine(c), c.OSDEpoch)}
		}),
		read("osd find", osdFind),
		{words: "osd df", mgr: true, run: osdDF},
		read("osd set", osdFlag(true)), read("osd unset", osdFlag(false)),
		read("osd reweight", osdReweight),
		read("osd out", osdInOut(false)), read("osd in", osdInOut(true)), read("osd down", osdDown),
		read("osd rm", osdRm), read("osd purge", osdPurge), read("osd destroy", osdDestroy),
		{words: "osd ok-to-stop", mgr: true, run: osdOKToStop},
		{words: "osd safe-to-destroy", mgr: true, run: osdSafeToDestroy},
	}
}

// parseOSD reads "3" or "osd.3".
func parseOSD(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(text, "osd."))
	return n, err == nil && n >= 0
}

func (c *Ceph) osdStat() object {
	up, in := 0, 0
	var upSince, inSince time.Time
	for _, o := range c.OSDs {
		up, in = up+number(o.Up), in+number(o.In)
		if o.Changed.After(upSince) {
			upSince = o.Changed
		}
		if o.InSince.After(inSince) {
			inSince = o.InSince
		}
	}
	unix := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	return obj("epoch", c.OSDEpoch, "num_osds", len(c.OSDs), "num_up_osds", up, "osd_up_since", unix(upSince), "num_in_osds", in, "osd_in_since", unix(inSince), "num_remapped_pgs", 0)
}

func (o *OSD) status() string {
	switch {
	case o.Destroyed:
		return "destroyed"
	case o.Up:
		return "up"
	}
	return "down"
}

// hostsByID are the host buckets in the order of their ids, with their OSDs.
func (c *Ceph) buckets() (names []string, osds map[string][]*OSD) {
	osds = map[string][]*OSD{}
	for _, o := range c.OSDs {
		if o.Booted {
			osds[o.Host] = append(osds[o.Host], o)
		}
	}
	names = sortedKeys(c.Hosts)
	slices.SortFunc(names, func(a, b string) int { return c.Hosts[b] - c.Hosts[a] })
	return names, osds
}

func total(osds []*OSD) float64 {
	sum := 0
	for _, o := range osds {
		sum += o.Weight
	}
	return float64(sum) / 65536
}

func (o *OSD) treeNode(depth int) object {
	value := obj("id", o.ID)
	if o.Class != "" && o.Booted {
		value = append(value, member{"device_class", o.Class})
	}
	value = append(value, obj("name", fmt.Sprintf("osd.%d", o.ID), "type", "osd", "type_id", 0, "crush_weight", o.weight())...)
	if !o.Booted {
		value[len(value)-1].value = 0
		return append(value, obj("depth", 0, "exists", 1, "status", o.status(), "reweight", o.reweight(), "primary_affinity", 1)...)
	}
	return append(value, obj("depth", depth, "pool_weights", object{}, "exists", 1, "status", o.status(), "reweight", o.reweight(), "primary_affinity", 1)...)
}

// weightText prints a weight with five decimals, a zero as 0.
func weightText(w float64) string {
	if w == 0 {
		return "0"
	}
	return fmt.Sprintf("%.5f", w)
}

func osdTree(v *view, c *Ceph, args []string) reply {
	want := func(o *OSD) bool { return true }
	if len(args) > 0 {
		switch args[0] {
		case "up":
			want = func(o *OSD) bool { return o.Up }
		case "down":
			want = func(o *OSD) bool { return !o.Up && !o.Destroyed }
		case "in":
			want = func(o *OSD) bool { return o.In }
		case "out":
			want = func(o *OSD) bool { return !o.In }
		case "destroyed":
			want = func(o *OSD) bool { return o.Destroyed }
		default:
			return invalid(fmt.Sprintf("Invalid command: %s not in up|down|in|out|destroyed", args[0]), "osd tree [<epoch:int>] [up|down|in|out|destroyed...] :  print OSD tree")
		}
	}
	names, osds := c.buckets()
	var nodes, stray []object
	rows := [][]string{}
	var hostIDs []int
	all := 0.0
	for _, name := range names {
		all += total(osds[name])
		shown := slices.DeleteFunc(slices.Clone(osds[name]), func(o *OSD) bool { return !want(o) })
		if len(args) > 0 && len(shown) == 0 {
			continue
		}
		hostIDs = append(hostIDs, c.Hosts[name])
		var ids []int
		for _, o := range shown {
			ids = append(ids, o.ID)
		}
		slices.Reverse(ids)
		nodes = append(nodes, obj("id", c.Hosts[name], "name", name, "type", "host", "type_id", 1, "pool_weights", object{}, "children", list(ids)))
		rows = append(rows, []string{fmt.Sprint(c.Hosts[name]), "", weightText(total(osds[name])), "    host " + name, "", "", ""})
		for _, o := range shown {
			nodes = append(nodes, o.treeNode(2))
			rows = append(rows, []string{fmt.Sprint(o.ID), o.Class, weightText(o.weight()), fmt.Sprintf("        osd.%d", o.ID), o.status(), fmt.Sprintf("%.5f", o.reweight()), "1.00000"})
		}
	}
	if len(args) == 0 || len(nodes) > 0 {
		slices.Reverse(hostIDs)
		nodes = append([]object{obj("id", -1, "name", "default", "type", "root", "type_id", 11, "children", list(hostIDs))}, nodes...)
		rows = append([][]string{{"-1", "", weightText(all), "root default", "", "", ""}}, rows...)
	}
	for _, o := range c.OSDs {
		if !o.Booted && want(o) {
			stray = append(stray, o.treeNode(0))
			rows = append(rows, []string{fmt.Sprint(o.ID), "", "0", fmt.Sprintf("osd.%d", o.ID), o.status(), fmt.Sprintf("%.5f", o.reweight()), "1.00000"})
		}
	}
	text := cephTable([]column{{"ID", true}, {"CLASS", true}, {"WEIGHT", true}, {"TYPE NAME", false}, {"STATUS", true}, {"REWEIGHT", true}, {"PRI-AFF", true}}, rows)
	return reply{value: obj("nodes", list(nodes), "stray", list(stray)), text: text}
}

// cephTable prints columns two blanks apart.
func cephTable(columns []column, rows [][]string) string {
	var b strings.Builder
	widths := make([]int, len(columns))
	for i, col := range columns {
		widths[i] = len(col.title)
		for _, row := range rows {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	line := func(cells []string, header bool) {
		for i, cell := range cells {
			if i > 0 {
				b.WriteString("  ")
			}
			if columns[i].right && !header {
				fmt.Fprintf(&b, "%*s", widths[i], cell)
			} else {
				fmt.Fprintf(&b, "%-*s", widths[i], cell)
			}
		}
		b.WriteString("\n")
	}
	titles := make([]string, len(columns))
	for i, col := range columns {
		titles[i] = col.title
	}
	line(titles, true)
	for _, row := range rows {
		line(row, false)
	}
	return b.String()
}

func osdLs(_ *view, c *Ceph, _ []string) reply {
	ids, text := []int{}, ""
	for _, o := range c.OSDs {
		ids = append(ids, o.ID)
		text += fmt.Sprintf("%d\n", o.ID)
	}
	return reply{value: ids, text: text}
}

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
		"flags", strings.Join(flags, ","), "flags_num", 5799936, "flags_set", set, "crush_version", c.CrushVersion, "full_ratio", 0.95, "backfillfull_ratio", 0.9, "nearfull_ratio", 0.85,
		"cluster_snapshot", "", "pool_max", c.NextPool-1, "max_osd", maxOSD, "require_min_compat_client", "luminous", "min_compat_client", "jewel", "require_osd_release", c.releaseName(),
		"pools", list(pools), "osds", list(osds), "osd_xinfo", []any{}, "pg_upmap", []any{}, "pg_upmap_items", []any{}, "pg_temp", []any{}, "primary_temp", []any{}, "blocklist", object{}, "range_blocklist", object{},
		"erasure_code_profiles", obj("default", obj("k", "2", "m", "2", "plugin", "jerasure", "technique", "reed_sol_van")), "removed_snaps_queue", []any{}, "new_removed_snaps", []any{}, "new_purged_snaps", []any{},
		"crush_node_flags", object{}, "device_class_flags", object{}, "stretch_mode", obj("stretch_mode_enabled", false, "stretch_bucket_count", 0, "degraded_stretch_mode", 0, "recovering_stretch_mode", 0, "stretch_mode_bucket", 0))
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
	id := fmt.Sprintf("%s=%s_%s", o.Device, strings.ReplaceAll(d.Model, " ", "_"), d.Serial)
	distro := map[string]string{"bookworm": "12", "trixie": "13"}[v.world.node(o.Host).Debian()]
	return obj("id", o.ID, "arch", "x86_64", "back_addr", addr(2), "back_iface", "", "bluefs", "1", "bluefs_dedicated_db", "0", "bluefs_dedicated_wal", "0", "bluefs_single_shared_device", "1",
		"bluestore_bdev_access_mode", "blk", "bluestore_bdev_block_size", "4096", "bluestore_bdev_dev_node", "/dev/dm-"+fmt.Sprint(o.ID), "bluestore_bdev_devices", o.Device, "bluestore_bdev_driver", "KernelDevice",
		"bluestore_bdev_path", fmt.Sprintf("/var/lib/ceph/osd/ceph-%d/block", o.ID), "bluestore_bdev_rotational", rotational, "bluestore_bdev_size", fmt.Sprint(o.Size), "bluestore_bdev_support_discard", "1", "bluestore_bdev_type", kind,
		"bluestore_min_alloc_size", "4096", "ceph_release", c.releaseName(), "ceph_version", versionLine(c.Version), "ceph_version_short", c.Version, "ceph_version_when_created", versionLine(c.Version), "cpu", "Intel(R) Xeon(R) Processor",
		"created_at", o.Created.UTC().Format("2006-01-02T15:04:05.000000Z"), "default_device_class", kind, "device_ids", id, "device_paths", o.Device+"=/dev/disk/by-path/pci-0000:00:05.0-"+o.Device, "devices", o.Device,
		"distro", "debian", "distro_description", "Debian GNU/Linux "+distro, "distro_version", distro, "front_addr", addr(0), "front_iface", "", "hb_back_addr", addr(6), "hb_front_addr", addr(4), "hostname", o.Host,
		"journal_rotational", rotational, "kernel_description", "#1 SMP PREEMPT_DYNAMIC", "kernel_version", v.world.node(o.Host).Kernel(), "mem_swap_kb", "0", "mem_total_kb", fmt.Sprint(labMemory/1024),
		"network_numa_unknown_ifaces", "back_iface,front_iface", "objectstore_numa_unknown_devices", o.Device, "os", "Linux", "osd_data", fmt.Sprintf("/var/lib/ceph/osd/ceph-%d", o.ID), "osd_objectstore", "bluestore", "osdspec_affinity", "", "rotational", rotational)
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

func osdFind(v *view, c *Ceph, args []string) reply {
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter id(<osd.id|osd_id>)", "osd find <id|osd.id> :  find osd <id> in the CRUSH map and show its location")
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	if !ok || o == nil {
		return refuse(eNOENT, "osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	}
	vec, _ := v.osdAddress(c, o, 0)
	return reply{value: obj("osd", o.ID, "addrs", vec, "osd_fsid", o.UUID, "host", o.Host, "crush_location", obj("host", o.Host, "root", "default"))}
}

// pgsOf counts the PGs that an OSD holds.
func (v *view) pgsOf(c *Ceph, o *OSD) int {
	n := 0
	for _, p := range c.Pools {
		if state, _ := c.pgState(p, v.now); state == "unknown" {
			continue
		}
		for pg := range p.PGs {
			if slices.Contains(strings.Split(strings.Trim(c.acting(p, pg), "[]"), ","), fmt.Sprint(o.ID)) {
				n++
			}
		}
	}
	return n
}

func osdDF(v *view, c *Ceph, args []string) reply {
	nodes, stray := []object{}, []object{}
	used, raw := v.usage(c)
	average := 0.0
	if raw > 0 {
		average = 100 * float64(used) / float64(raw)
	}
	rows := [][]string{}
	for _, o := range c.OSDs {
		kb, kbUsed, utilization := int64(0), int64(0), 0.0
		if o.Booted {
			kb, kbUsed = o.Size/1024, usedPerOSD/1024
			utilization = 100 * float64(kbUsed) / float64(kb)
		}
		ratio := 1.0
		if average > 0 {
			ratio = utilization / average
		}
		value := obj("id", o.ID)
		if o.Booted {
			value = append(value, member{"device_class", o.Class})
		}
		value = append(value, obj("name", fmt.Sprintf("osd.%d", o.ID), "type", "osd", "type_id", 0, "crush_weight", o.weight(), "depth", 2, "pool_weights", object{}, "reweight", o.reweight(), "kb", kb, "kb_used", kbUsed,
			"kb_used_data", 344*number(o.Booted), "kb_used_omap", 0, "kb_used_meta", max(kbUsed-344, 0), "kb_avail", kb-kbUsed, "utilization", utilization, "var", ratio, "pgs", v.pgsOf(c, o), "status", o.status())...)
		if o.Booted {
			nodes = append(nodes, value)
		} else {
			stray = append(stray, value)
		}
		rows = append(rows, []string{fmt.Sprint(o.ID), o.Class, weightText(o.weight()), fmt.Sprintf("%.5f", o.reweight()), size(kb * 1024), size(kbUsed * 1024), "344 KiB", "0 B", size((kbUsed - 344) * 1024), size((kb - kbUsed) * 1024), fmt.Sprintf("%.2f", utilization), fmt.Sprintf("%.2f", ratio), fmt.Sprint(v.pgsOf(c, o)), o.status()})
	}
	text := cephTable([]column{{"ID", true}, {"CLASS", true}, {"WEIGHT", true}, {"REWEIGHT", true}, {"SIZE", true}, {"RAW USE", true}, {"DATA", true}, {"OMAP", true}, {"META", true}, {"AVAIL", true}, {"%USE", true}, {"VAR", true}, {"PGS", true}, {"STATUS", true}}, rows)
	return reply{text: text, value: obj("nodes", nodes, "stray", stray, "summary", obj("total_kb", raw/1024, "total_kb_used", used/1024, "total_kb_used_data", 344*len(nodes), "total_kb_used_omap", 0, "total_kb_used_meta", used/1024-int64(344*len(nodes)),
		"total_kb_avail", (raw-used)/1024, "average_utilization", average, "min_var", 1, "max_var", 1, "dev", 0))}
}

func osdFlag(on bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		verb := map[bool]string{true: "set", false: "unset"}[on]
		if len(args) == 0 || !slices.Contains(strings.Split(osdFlagList, "|"), args[0]) {
			what := ""
			if len(args) > 0 {
				what = args[0]
			}
			extra := ""
			if on {
				extra = " [--yes-i-really-mean-it]"
			}
			return invalid(fmt.Sprintf("Invalid command: %s not in %s", what, osdFlagList), fmt.Sprintf("osd %s %s%s :  %s <key>", verb, osdFlagList, extra, verb))
		}
		flags := []string{args[0]}
		switch args[0] {
		case "full":
			return refuse(eINVAL, "unrecognized flag 'full'")
		case "pause":
			flags = []string{"pauserd", "pausewr"}
		}
		for _, flag := range flags {
			c.Flags = slices.DeleteFunc(c.Flags, func(f string) bool { return f == flag })
			if on {
				c.Flags = append(c.Flags, flag)
			}
		}
		c.mapChanged(v.now)
		return changed("%s is %s", strings.Join(flags, ","), verb)
	}
}

func osdReweight(v *view, c *Ceph, args []string) reply {
	const usage = "osd reweight <id|osd.id> <weight:float> :  reweight osd to 0.0 < <weight> < 1.0"
	if len(args) < 2 {
		return invalid("Invalid command: missing required parameter weight(<float[0.0-1.0]>)", usage)
	}
	weight, err := strconv.ParseFloat(args[1], 64)
	switch {
	case err != nil:
		return invalid(fmt.Sprintf("Invalid command: %s doesn't represent a float", args[1]), usage)
	case weight < 0 || weight > 1:
		return invalid(fmt.Sprintf("Invalid command: %s not in range [0.0, 1.0]", pyFloat(weight)), usage)
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	if !ok || o == nil {
		return refuse(eNOENT, "osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	}
	o.Reweight, o.In = fixed(weight), weight > 0
	c.mapChanged(v.now)
	c.peer(v.now)
	return changed("reweighted osd.%d to %g (%x)", o.ID, weight, o.Reweight)
}

// pyFloat prints a float as Python does.
func pyFloat(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func osdInOut(in bool) func(*view, *Ceph, []string) reply {
	return func(v *view, c *Ceph, args []string) reply {
		text, word, moved := "", map[bool]string{true: "in", false: "out"}[in], false
		for _, arg := range args {
			id, ok := parseOSD(arg)
			o := c.osd(id)
			switch {
			case !ok || o == nil:
				text += fmt.Sprintf("osd.%s does not exist. ", strings.TrimPrefix(arg, "osd."))
			case o.In == in:
				text += fmt.Sprintf("osd.%d is already %s. ", o.ID, word)
			default:
				o.In, o.Reweight = in, 65536*number(in)
				if in {
					o.InSince = v.now
				}
				c.mapChanged(v.now)
				c.peer(v.now)
				text, moved = text+fmt.Sprintf("marked %s osd.%d. ", word, o.ID), true
			}
		}
		return reply{note: text, changed: moved}
	}
}

func osdDown(v *view, c *Ceph, args []string) reply {
	text := ""
	for _, arg := range args {
		id, ok := parseOSD(arg)
		o := c.osd(id)
		switch {
		case !ok || o == nil:
			text += fmt.Sprintf("osd.%s does not exist. ", strings.TrimPrefix(arg, "osd."))
		case !o.Up:
			text += fmt.Sprintf("osd.%d is already down. ", o.ID)
		default:
			text += fmt.Sprintf("marked down osd.%d. ", o.ID) // a living daemon comes back by itself
			c.mapChanged(v.now)
			c.peer(v.now)
		}
	}
	return note("%s", text)
}

func (c *Ceph) dropOSD(id int) {
	c.OSDs = slices.DeleteFunc(c.OSDs, func(o *OSD) bool { return o.ID == id })
	delete(c.Auth, fmt.Sprintf("osd.%d", id))
}

func osdRm(v *view, c *Ceph, args []string) reply {
	text := ""
	for _, arg := range args {
		id, ok := parseOSD(arg)
		o := c.osd(id)
		switch {
		case !ok || o == nil:
			text += fmt.Sprintf("osd.%s does not exist. ", strings.TrimPrefix(arg, "osd."))
		case o.Up:
			return refuse(eBUSY, "osd.%d is still up; must be down before removal. ", o.ID)
		default:
			c.dropOSD(id)
			c.mapChanged(v.now)
			c.peer(v.now)
			text += fmt.Sprintf("removed osd.%d", id)
		}
	}
	return note("%s", text)
}

func osdPurge(v *view, c *Ceph, args []string) reply {
	args, _ = flagged(args)
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter id(<osd.id|osd_id>)", "osd purge <id|osd.id> [--force] [--yes-i-really-mean-it] :  purge all osd data from the monitors including the OSD id and CRUSH position")
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	switch {
	case !ok || o == nil:
		return note("osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	case o.Up:
		return refuse(eBUSY, "osd.%d is not `down`.", id)
	}
	c.dropOSD(id)
	c.mapChanged(v.now)
	c.CrushVersion++
	c.peer(v.now)
	return changed("purged osd.%d", id)
}

func osdDestroy(v *view, c *Ceph, args []string) reply {
	args, _ = flagged(args)
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter id(<osd.id|osd_id>)", "osd destroy <id|osd.id> [--force] [--yes-i-really-mean-it] :  mark osd as being destroyed")
	}
	id, ok := parseOSD(args[0])
	o := c.osd(id)
	switch {
	case !ok || o == nil:
		return refuse(eNOENT, "osd.%s does not exist", strings.TrimPrefix(args[0], "osd."))
	case o.Up:
		return refuse(eBUSY, "osd.%d is not `down`.", id)
	}
	o.Destroyed = true
	c.mapChanged(v.now)
	return changed("destroyed osd.%d", id)
}

// without says how many PGs would be inactive if some OSDs were gone. Ids that do not exist count as safe.
func (v *view) without(c *Ceph, gone []int) (ok, bad int) {
	for _, p := range c.Pools {
		for pg := range p.PGs {
			acting := strings.Split(strings.Trim(c.acting(p, pg), "[]"), ",")
			left, touched := 0, false
			for _, id := range acting {
				n, _ := strconv.Atoi(id)
				if id != "" && slices.Contains(gone, n) {
					touched = true
				} else if id != "" {
					left++
				}
			}
			switch {
			case !touched:
			case left < p.MinSize:
				bad++
			default:
				ok++
			}
		}
	}
	return ok, bad
}

func osdOKToStop(v *view, c *Ceph, args []string) reply {
	ids := []int{}
	for _, arg := range args {
		if id, ok := parseOSD(arg); ok {
			ids = append(ids, id)
		}
	}
	ok, bad := v.without(c, ids)
	value := obj("ok_to_stop", bad == 0, "osds", ids, "num_ok_pgs", ok, "num_not_ok_pgs", bad)
	if bad > 0 {
		return reply{errno: eBUSY, text: canonical(value), err: fmt.Sprintf("unsafe to stop osd(s) at this time (%d PGs are or would become offline)", bad)}
	}
	return reply{value: value, text: canonical(value)}
}

func osdSafeToDestroy(v *view, c *Ceph, args []string) reply {
	safe, active, held := []int{}, []int{}, 0
	for _, arg := range args {
		id, ok := parseOSD(arg)
		if !ok {
			continue
		}
		if o := c.osd(id); o != nil && o.Booted && v.pgsOf(c, o) > 0 {
			active, held = append(active, id), held+v.pgsOf(c, o)
		} else {
			safe = append(safe, id)
		}
	}
	if len(active) > 0 {
		return refuse(eBUSY, "OSD(s) %s have %d pgs currently mapped to them. ", joinInts(active), held)
	}
	return reply{value: obj("safe_to_destroy", safe, "active", active, "missing_stats", []int{}, "stored_pgs", []int{}), note: fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data durability.", joinInts(safe))}
}

func joinInts(ids []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}
