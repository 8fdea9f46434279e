package proxmox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func statusCommands() []cephCommand {
	read := func(words string, fn func(v *view, c *Ceph, args []string) reply) cephCommand {
		return cephCommand{words: words, run: fn}
	}
	return []cephCommand{
		read("status", func(v *view, c *Ceph, _ []string) reply {
			return reply{value: v.statusValue(c), text: v.statusText(c)}
		}),
		read("health", func(v *view, c *Ceph, args []string) reply {
			checks, detail := v.health(c), len(args) > 0 && args[0] == "detail"
			return reply{value: healthValue(checks, detail), text: healthText(checks, detail)}
		}),
		read("fsid", func(_ *view, c *Ceph, _ []string) reply {
			return reply{value: obj("fsid", c.FSID), text: c.FSID + "\n"}
		}),
		read("quorum_status", func(v *view, c *Ceph, _ []string) reply {
			value := v.quorumValue(c)
			return reply{value: value, text: canonical(value)}
		}),
		read("mon dump", func(v *view, c *Ceph, _ []string) reply {
			return reply{value: append(c.monmap(), member{"quorum", c.ranks()}), text: c.monmapText(c.MonEpoch), note: fmt.Sprintf("dumped monmap epoch %d", c.MonEpoch)}
		}),
		read("mon ok-to-stop", monOKToStop),
		read("versions", func(v *view, c *Ceph, _ []string) reply { return reply{value: v.versions(c)} }),
		{words: "pg stat", mgr: true, run: func(v *view, c *Ceph, _ []string) reply { return v.pgStat(c) }},
	}
}

var (
	enabledModules = []string{"iostat", "nfs", "restful"}
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-0700") }

func addrvec(address string, v2, v1 int) object {
	return obj("addrvec", []object{obj("type", "v2", "addr", fmt.Sprintf("%s:%d", bracketed(address), v2), "nonce", 0), obj("type", "v1", "addr", fmt.Sprintf("%s:%d", bracketed(address), v1), "nonce", 0)})
}

func addrvecText(address string) string {
	return fmt.Sprintf("[v2:%[1]s:3300/0,v1:%[1]s:6789/0]", bracketed(address))
}

// bracketed returns an address as it is written before a port: in brackets if it is IPv6.
func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

// ranks returns the ranks of the monitors in the quorum.
func (c *Ceph) ranks() []int {
	ranks := []int{}
	for i, m := range c.Mons {
		if slices.Contains(c.InQuorum, m.Name) {
			ranks = append(ranks, i)
		}
	}
	return ranks
}

var monFeatures = []string{"kraken", "luminous", "mimic", "osdmap-prune", "nautilus", "octopus", "pacific", "elector-pinging", "quincy", "reef", "squid", "tentacle"}

func (c *Ceph) features() []string {
	return monFeatures[:min(len(monFeatures), 8+max(0, c.major()-16))]
}

func (c *Ceph) monmap() object {
	mons := []object{}
	for i, m := range c.Mons {
		mons = append(mons, obj("rank", i, "name", m.Name, "public_addrs", addrvec(m.Address, 3300, 6789), "addr", bracketed(m.Address)+":6789/0",
			"public_addr", bracketed(m.Address)+":6789/0", "priority", 0, "weight", 0, "crush_location", "{}"))
	}
	z := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	return obj("epoch", c.MonEpoch, "fsid", c.FSID, "modified", z(c.MonModified), "created", z(c.Created), "min_mon_release", c.major(), "min_mon_release_name", c.releaseName(),
		"election_strategy", 1, "disallowed_leaders: ", "", "stretch_mode", false, "tiebreaker_mon", "", "removed_ranks: ", "",
		"features", obj("persistent", c.features(), "optional", []any{}), "mons", mons)
}

func (c *Ceph) monmapText(epoch int) string {
	text := fmt.Sprintf("epoch %d\nfsid %s\nlast_changed %s\ncreated %s\nmin_mon_release %d (%s)\nelection_strategy: 1\n", epoch, c.FSID, stamp(c.MonModified), stamp(c.Created), c.major(), c.releaseName())
	for i, m := range c.Mons {
		text += fmt.Sprintf("%d: %s mon.%s\n", i, addrvecText(m.Address), m.Name)
	}
	return text
}

// monOKToStop reports whether the monitors keep their quorum without some of them.
func (v *view) quorumValue(c *Ceph) object {
	return obj("election_epoch", c.ElectionEpoch, "quorum", c.ranks(), "quorum_names", list(c.InQuorum), "quorum_leader_name", c.InQuorum[0],
		"quorum_age", int(v.now.Sub(c.QuorumSince).Seconds()), "features", obj("quorum_con", "4540138314316775423", "quorum_mon", c.features()), "monmap", c.monmap())
}

func monOKToStop(_ *view, c *Ceph, args []string) reply {
	var rest []string
	for _, name := range c.InQuorum {
		if !slices.Contains(args, name) {
			rest = append(rest, name)
		}
	}
	if len(rest)*2 > len(c.Mons) {
		return note("quorum should be preserved (%s) after stopping [%s]", strings.Join(rest, ","), strings.Join(args, ","))
	}
	return refuse(eBUSY, "not enough monitors would be available (%s) after stopping mons [%s]", strings.Join(rest, ","), strings.Join(args, ","))
}

func (v *view) versions(c *Ceph) object {
	counts := map[string]int{"mon": len(c.InQuorum), "mgr": len(v.standbyMgrs(c)), "osd": len(c.upOSDs(v))}
	if c.ActiveMgr != "" {
		counts["mgr"]++
	}
	for _, d := range c.MDSs {
		if v.mdsState(c, d) != "" {
			counts["mds"]++
		}
	}
	value, total := object{}, 0
	for _, kind := range []string{"mon", "mgr", "osd", "mds"} {
		of := object{}
		if counts[kind] > 0 {
			of = obj(versionLine(c.Version), counts[kind])
		}
		if kind == "mds" && counts[kind] == 0 && c.major() >= 18 {
			continue
		}
		value, total = append(value, member{kind, of}), total+counts[kind]
	}
	return append(value, member{"overall", obj(versionLine(c.Version), total)})
}

// pgSummary counts PGs by state, the most frequent first.
func (v *view) pgSummary(c *Ceph) (states []string, counts map[string]int, total int) {
	counts = map[string]int{}
	for _, p := range c.Pools {
		for pg := range p.PGs {
			state, _ := c.pgState(p, pg, v.now)
			counts[state]++
		}
		total += p.PGs
	}
	states = sortedKeys(counts)
	slices.SortStableFunc(states, func(a, b string) int { return counts[b] - counts[a] })
	return states, counts, total
}

// usedPerOSD is what an empty OSD uses. Small OSDs use less.
const usedPerOSD = 297440 << 10

func (o *OSD) used() int64 { return min(usedPerOSD, o.Size/256) }

func (v *view) usage(c *Ceph) (used, total int64) {
	for _, o := range c.OSDs {
		if o.Booted {
			used += o.used()
			total += o.Size
		}
	}
	return used, total
}

func (v *view) statusValue(c *Ceph) object {
	states, counts, total := v.pgSummary(c)
	byState := []object{}
	for _, state := range states {
		byState = append(byState, obj("state_name", state, "count", counts[state]))
	}
	used, raw := v.usage(c)
	pgmap := obj("pgs_by_state", byState, "num_pgs", total, "num_pools", len(c.Pools), "num_objects", 0, "data_bytes", 0, "bytes_used", used, "bytes_avail", raw-used, "bytes_total", raw)
	for _, state := range []string{"unknown"} {
		if counts[state] > 0 {
			pgmap = append(pgmap, member{state + "_pgs_ratio", float64(counts[state]) / float64(total)})
		}
	}
	inactive := 0
	for state, n := range counts {
		if !strings.Contains(state, "active") && state != "unknown" {
			inactive += n
		}
	}
	if inactive > 0 {
		pgmap = append(pgmap, member{"inactive_pgs_ratio", float64(inactive) / float64(total)})
	}
	stat := c.osdStat()
	return obj("fsid", c.FSID, "health", healthValue(v.health(c), false), "election_epoch", c.ElectionEpoch, "quorum", c.ranks(), "quorum_names", list(c.InQuorum),
		"quorum_age", int(v.now.Sub(c.QuorumSince).Seconds()), "monmap", obj("epoch", c.MonEpoch, "min_mon_release_name", c.releaseName(), "num_mons", len(c.Mons)),
		"osdmap", stat, "pgmap", pgmap, "fsmap", v.fsSummary(c),
		"mgrmap", obj("available", c.ActiveMgr != "", "num_standbys", len(v.standbyMgrs(c)), "modules", enabledModules, "services", object{}),
		"servicemap", obj("epoch", 1, "modified", stamp(c.Created), "services", object{}), "progress_events", object{})
}

func (v *view) fsSummary(c *Ceph) object {
	ranks := []object{}
	for _, f := range c.FileSystems {
		if f.Active != "" {
			ranks = append(ranks, obj("filesystem_id", f.ID, "rank", 0, "name", f.Active, "status", v.mdsState(c, Daemon{Name: f.Active}), "gid", 4700+f.ID))
		}
	}
	value := obj("epoch", c.FSEpoch)
	if len(c.FileSystems) > 0 {
		f := c.FileSystems[0]
		value = append(value, member{"id", f.ID}, member{"up", len(ranks)}, member{"in", 1}, member{"max", 1})
	}
	return append(value, member{"by_rank", ranks}, member{"up:standby", len(v.standbyMDSs(c))})
}

// since formats a duration as ceph -s does: with a fraction if it is less than a second.
func since(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.6gs", d.Seconds())
	}
	return ageText(d)
}

func (v *view) statusText(c *Ceph) string {
	var b strings.Builder
	checks := v.health(c)
	fmt.Fprintf(&b, "  cluster:\n    id:     %s\n    health: %s\n", c.FSID, overall(checks))
	for _, check := range checks {
		fmt.Fprintf(&b, "            %s\n", check.message)
	}
	out := ""
	if len(c.InQuorum) < len(c.Mons) {
		var missing []string
		for _, m := range c.Mons {
			if !slices.Contains(c.InQuorum, m.Name) {
				missing = append(missing, m.Name)
			}
		}
		out = ", out of quorum: " + strings.Join(missing, ", ")
	}
	fmt.Fprintf(&b, " \n  services:\n    mon: %d daemons, quorum %s (age %s)%s\n", len(c.Mons), strings.Join(c.InQuorum, ","), since(v.now.Sub(c.QuorumSince)), out)
	switch {
	case c.ActiveMgr == "" && len(v.standbyMgrs(c)) == 0:
		b.WriteString("    mgr: no daemons active\n")
	default:
		fmt.Fprintf(&b, "    mgr: %s(active, since %s)", c.ActiveMgr, since(v.now.Sub(c.ActiveSince)))
		if standbys := v.standbyMgrs(c); len(standbys) > 0 {
			fmt.Fprintf(&b, ", standbys: %s", strings.Join(standbys, ", "))
		}
		b.WriteString("\n")
	}
	v.mdsLine(c, &b)
	fmt.Fprintf(&b, "    osd: %s\n", v.osdLine(c))
	if flags := c.warnedFlags(); len(flags) > 0 {
		fmt.Fprintf(&b, "         flags %s\n", strings.Join(flags, ","))
	}
	b.WriteString(" \n  data:\n")
	if n := len(c.FileSystems); n > 0 {
		healthy := 0
		for _, f := range c.FileSystems {
			if f.Active != "" {
				healthy++
			}
		}
		fmt.Fprintf(&b, "    volumes: %d/%d healthy\n", healthy, n)
	}
	states, counts, total := v.pgSummary(c)
	used, raw := v.usage(c)
	fmt.Fprintf(&b, "    pools:   %d pools, %d pgs\n    objects: 0 objects, 0 B\n    usage:   %s used, %s / %s avail\n", len(c.Pools), total, size(used), size(raw-used), size(raw))
	v.pgLines(&b, states, counts, total)
	b.WriteString(" \n")
	return b.String()
}

func (v *view) mdsLine(c *Ceph, b *strings.Builder) {
	standby := len(v.standbyMDSs(c))
	if len(c.FileSystems) == 0 {
		if standby > 0 {
			fmt.Fprintf(b, "    mds: %d up:standby\n", standby)
		}
		return
	}
	up := 0
	for _, f := range c.FileSystems {
		if f.Active != "" {
			up++
		}
	}
	fmt.Fprintf(b, "    mds: %d/%d daemons up", up, up)
	if standby > 0 {
		fmt.Fprintf(b, ", %d standby", standby)
	}
	b.WriteString("\n")
}

func (v *view) pgLines(b *strings.Builder, states []string, counts map[string]int, total int) {
	b.WriteString("    pgs:     ")
	if total == 0 {
		b.WriteString("\n")
		return
	}
	width, inactive := 0, 0
	for _, state := range states {
		width = max(width, len(fmt.Sprint(counts[state])))
		if !strings.Contains(state, "active") && state != "unknown" {
			inactive += counts[state]
		}
	}
	var lines []string
	if counts["unknown"] > 0 {
		lines = append(lines, fmt.Sprintf("%.3f%% pgs unknown", 100*float64(counts["unknown"])/float64(total)))
	}
	if inactive > 0 {
		lines = append(lines, fmt.Sprintf("%.3f%% pgs not active", 100*float64(inactive)/float64(total)))
	}
	for _, state := range states {
		lines = append(lines, fmt.Sprintf("%-*d %s", width, counts[state], state))
	}
	b.WriteString(strings.Join(lines, "\n             ") + "\n")
}

func (v *view) osdLine(c *Ceph) string {
	up, in := 0, 0
	var upSince, inSince time.Time
	for _, o := range c.OSDs {
		if o.Up {
			up++
		}
		if o.In {
			in++
		}
		if o.Changed.After(upSince) {
			upSince = o.Changed
		}
		if o.InSince.After(inSince) {
			inSince = o.InSince
		}
	}
	if len(c.OSDs) == 0 {
		return "0 osds: 0 up, 0 in"
	}
	text := fmt.Sprintf("%d osds: %d up", len(c.OSDs), up)
	if !upSince.IsZero() {
		text += fmt.Sprintf(" (since %s)", since(v.now.Sub(upSince)))
	}
	return text + fmt.Sprintf(", %d in (since %s)", in, since(v.now.Sub(inSince)))
}

// size formats a number of bytes as Ceph does, in binary units with at least two digits.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	value, u := float64(n), 0
	for value >= 1024 && u < len(units)-1 {
		value /= 1024
		u++
	}
	if u > 0 && value < 9.95 {
		return fmt.Sprintf("%.1f %s", value, units[u])
	}
	return fmt.Sprintf("%.0f %s", value, units[u])
}

func (v *view) pgStat(c *Ceph) reply {
	states, counts, total := v.pgSummary(c)
	slices.SortFunc(states, func(a, b string) int { return counts[a] - counts[b] })
	var parts []string
	for _, state := range states {
		parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
	}
	used, raw := v.usage(c)
	byState := []object{}
	for _, state := range states {
		byState = append(byState, obj("name", state, "num", counts[state]))
	}
	return reply{value: obj("pg_ready", true, "pg_summary", obj("num_pg_by_state", byState, "num_pgs", total, "num_bytes", 0, "total_bytes", raw, "total_avail_bytes", raw-used, "total_used_bytes", used, "total_used_raw_bytes", used)),
		text: fmt.Sprintf("%d pgs: %s; 0 B data, %s used, %s / %s avail\n", total, strings.Join(parts, ", "), size(used), size(raw-used), size(raw))}
}
