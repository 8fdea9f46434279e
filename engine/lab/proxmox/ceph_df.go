package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

func (v *view) df(c *Ceph) reply {
	used, raw := v.usage(c)
	ratio := 0.0
	if raw > 0 {
		ratio = float64(used) / float64(raw)
	}
	byClass := object{}
	var text strings.Builder
	fmt.Fprintf(&text, "--- RAW STORAGE ---\n%-6s%9s%9s%9s%10s%11s\n", "CLASS", "SIZE", "AVAIL", "USED", "RAW USED", "%RAW USED")
	line := func(name string, used, raw int64) {
		percent := 0.0
		if raw > 0 {
			percent = 100 * float64(used) / float64(raw)
		}
		fmt.Fprintf(&text, "%-6s%9s%9s%9s%10s%11.2f\n", name, size(raw), size(raw-used), size(used), size(used), percent)
	}
	for _, class := range c.Classes {
		var classUsed, classRaw int64
		for _, o := range c.OSDs {
			if o.Booted && o.Class == class {
				classUsed, classRaw = classUsed+o.used(), classRaw+o.Size
			}
		}
		if classRaw == 0 {
			continue
		}
		line(class, classUsed, classRaw)
		byClass = append(byClass, member{class, obj("total_bytes", classRaw, "total_avail_bytes", classRaw-classUsed, "total_used_bytes", classUsed, "total_used_raw_bytes", classUsed, "total_used_raw_ratio", float64(classUsed)/float64(classRaw))})
	}
	line("TOTAL", used, raw)
	fmt.Fprintf(&text, " \n--- POOLS ---\n%-22s%4s%5s%8s%9s%6s%7s%11s\n", "POOL", "ID", "PGS", "STORED", "OBJECTS", "USED", "%USED", "MAX AVAIL")
	pools := []object{}
	for _, p := range c.Pools {
		free := int64(float64(raw-used) * 0.95 / float64(max(p.Size, 1)))
		pools = append(pools, obj("name", p.Name, "id", p.ID, "stats", obj("stored", 0, "objects", 0, "kb_used", 0, "bytes_used", 0, "percent_used", 0, "max_avail", free)))
		fmt.Fprintf(&text, "%-22s%4d%5d%8s%9d%6s%7d%11s\n", p.Name, p.ID, p.PGs, "0 B", 0, "0 B", 0, size(free))
	}
	return reply{text: text.String(), value: obj("stats", obj("total_bytes", raw, "total_avail_bytes", raw-used, "total_used_bytes", used, "total_used_raw_bytes", used, "total_used_raw_ratio", ratio,
		"num_osds", len(c.OSDs), "num_per_pool_osds", len(c.OSDs), "num_per_pool_omap_osds", len(c.OSDs)), "stats_by_class", byClass, "pools", pools)}
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
