package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const osdFlagList = "full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|noscrub|nodeep-scrub|notieragent|nosnaptrim|pglog_hardlimit"

// baseFlags are set in every OSD map of these releases.
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
		read("osd tree", osdTree), read("osd dump", osdDump), read("osd metadata", osdMetadata),
		read("osd stat", func(v *view, c *Ceph, _ []string) reply {
			return reply{value: append(obj("epoch", c.OSDEpoch), c.osdStat()[1:]...), text: fmt.Sprintf("%s; epoch: e%d\n", v.osdLine(c), c.OSDEpoch)}
		}),
		read("osd set", osdFlag(true)), read("osd unset", osdFlag(false)),
		read("osd reweight", osdReweight),
		read("osd out", osdInOut(false)), read("osd in", osdInOut(true)),
		read("osd purge", osdPurge),
		{words: "osd ok-to-stop", mgr: true, run: osdOKToStop},
		{words: "osd safe-to-destroy", mgr: true, run: osdSafeToDestroy},
		read("osd ls-tree", osdLsTree),
	}
}

// parseOSD parses "3" or "osd.3".
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

// buckets returns the hosts with their OSDs, sorted by name, as trees show them.
func (c *Ceph) buckets() (names []string, osds map[string][]*OSD) {
	osds = map[string][]*OSD{}
	for _, o := range c.OSDs {
		if o.Booted {
			osds[o.Host] = append(osds[o.Host], o)
		}
	}
	return sortedKeys(c.Hosts), osds
}

// hostsByID returns the hosts in the order of their creation.
func (c *Ceph) hostsByID() []string {
	names := sortedKeys(c.Hosts)
	slices.SortFunc(names, func(a, b string) int { return c.Hosts[b] - c.Hosts[a] })
	return names
}

// inTree sorts the OSDs of a host as trees do: by class, then by number.
func inTree(osds []*OSD) []*OSD {
	return slices.SortedStableFunc(slices.Values(osds), func(a, b *OSD) int { return strings.Compare(a.Class, b.Class) })
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

// weightText formats a weight with five decimals, and zero as 0.
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
		shown := slices.DeleteFunc(inTree(osds[name]), func(o *OSD) bool { return !want(o) })
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

// cephTable prints columns separated by two spaces.
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

func osdLsTree(_ *view, c *Ceph, args []string) reply {
	if len(args) == 0 {
		return invalid("Invalid command: missing required parameter name(<string>)", "osd ls-tree [<epoch:int>] <name> :  show OSD ids under bucket <name> in the CRUSH map")
	}
	ids, text := []int{}, ""
	_, host := c.Hosts[args[0]]
	if !host && args[0] != "default" {
		return refuse(eNOENT, "\"%s\" does not exist", args[0])
	}
	for _, o := range c.OSDs {
		if o.Booted && (o.Host == args[0] || !host) {
			ids = append(ids, o.ID)
			text += fmt.Sprintf("%d\n", o.ID)
		}
	}
	return reply{value: ids, text: text}
}

// pgsOf returns how many PGs an OSD holds.
func (v *view) pgsOf(c *Ceph, o *OSD) int { return v.pgsIn(c, o, nil) }

// pgsIn returns how many PGs an OSD holds, of the given pools or, without any, of all pools.
func (v *view) pgsIn(c *Ceph, o *OSD, pools []string) int {
	n := 0
	for _, p := range c.Pools {
		if len(pools) > 0 && !slices.Contains(pools, p.Name) {
			continue
		}
		for pg := range p.PGs {
			if state, _ := c.pgState(p, pg, v.now); state != "unknown" && slices.Contains(c.acting(p, pg), o.ID) {
				n++
			}
		}
	}
	return n
}
