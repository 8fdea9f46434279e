package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// lvmReport implements vgs(8), pvs(8) or lvs(8) with output in JSON and sizes in bytes. kind is "vg", "pv" or "lv".
func lvmReport(kind string) Program {
	return func(_ context.Context, c *Call) int {
		o, ok := c.options("ao:", "all", "options=", "reportformat=", "units=", "nosuffix")
		if !ok {
			return 3
		}
		columns := strings.Split(o.value("o", "options"), ",")
		if o.value("reportformat") != "json" || o.value("units") != "b" || !o.has("nosuffix") || columns[0] == "" || len(o.rest) > 0 {
			return notSimulated(c, "a report but in JSON, with sizes in bytes without a suffix and the columns that -o lists")
		}
		if c.User != "root" {
			fmt.Fprint(c.Stderr, "  WARNING: Running as a non-root user. Functionality may be unavailable.\n  /run/lock/lvm/P_global:aux: open failed: Permission denied\n")
			return 5
		}
		c.Machine.mu.Lock()
		defer c.Machine.mu.Unlock()
		var lines []string
		for _, row := range c.Machine.lvmRows(kind, o.has("a", "all")) {
			var fields []string
			for _, column := range columns {
				value, known := row[column]
				if !known {
					return notSimulated(c, "the column "+column)
				}
				text, err := json.Marshal(value)
				if err != nil {
					return c.Errorf("%v", err)
				}
				fields = append(fields, fmt.Sprintf("%q:%s", column, text))
			}
			lines = append(lines, "                  {"+strings.Join(fields, ", ")+"}")
		}
		text := strings.Join(lines, ",\n")
		if text != "" {
			text += "\n"
		}
		c.printf("  {\n      \"report\": [\n          {\n              %q: [\n%s              ]\n          }\n      ]\n  }\n", kind, text)
		return 0
	}
}

// lvmRows returns LVM's report on groups, physical volumes or logical volumes, sorted by name. If all is set, it
// includes LVM's internal volumes. The caller holds m.mu.
func (m *Machine) lvmRows(kind string, all bool) []map[string]string {
	var rows []map[string]string
	for _, g := range m.allGroups() {
		extents, partial := int64(0), "-"
		for _, p := range g.members {
			extents += p.extents
			name, missing, size := "[unknown]", "missing", int64(0)
			if m.missing(p) {
				partial = "p"
			} else {
				d := m.diskNamed(p.device)
				name, missing, size = "/dev/"+d.Name, "", d.Size
			}
			if kind == "pv" {
				rows = append(rows, map[string]string{"pv_name": name, "pv_uuid": p.uuid, "vg_name": g.name, "vg_uuid": g.uuid, "pv_missing": missing,
					"pv_pe_count": fmt.Sprint(p.extents), "pv_pe_alloc_count": fmt.Sprint(g.used(p.device)), "dev_size": fmt.Sprint(size)})
			}
		}
		switch kind {
		case "vg":
			rows = append(rows, map[string]string{"vg_name": g.name, "vg_uuid": g.uuid, "vg_attr": "wz-" + partial + "n-", "vg_extent_size": fmt.Sprint(extentSize),
				"vg_extent_count": fmt.Sprint(extents), "vg_free_count": fmt.Sprint(g.free())})
		case "lv":
			rows = append(rows, g.lvRows(all)...)
		}
	}
	if kind == "pv" {
		for _, d := range m.disks {
			for _, each := range append([]Disk{*d}, d.Partitions...) {
				if each.Use == lvmMember && m.groupOf(each.Name) == nil && len(each.Volumes) == 0 {
					rows = append(rows, map[string]string{"pv_name": "/dev/" + each.Name, "pv_uuid": each.UUID, "vg_name": "", "vg_uuid": "", "pv_missing": "",
						"pv_pe_count": "0", "pv_pe_alloc_count": "0", "dev_size": fmt.Sprint(each.Size)})
				}
			}
		}
	}
	name := kind + "_name"
	slices.SortStableFunc(rows, func(a, b map[string]string) int {
		return strings.Compare(strings.Trim(a[name], "[]"), strings.Trim(b[name], "[]"))
	})
	return rows
}

// lvRows returns lvs(8)'s report on a group.
func (g *volumeGroup) lvRows(all bool) []map[string]string {
	row := func(name, layout, role string, size int64) map[string]string {
		return map[string]string{"vg_name": g.name, "vg_uuid": g.uuid, "lv_name": name, "lv_layout": layout, "lv_role": role, "lv_size": fmt.Sprint(size),
			"lv_metadata_size": "", "pool_lv": "", "lv_active": "active", "lv_device_open": ""}
	}
	var rows []map[string]string
	hidden := func(name, role, open string, size int64) {
		if all {
			r := row("["+name+"]", linearLayout, role, size)
			if r["lv_device_open"] = open; open == "unknown" {
				r["lv_active"] = ""
			}
			rows = append(rows, r)
		}
	}
	if g.spare > 0 {
		hidden("lvol0_pmspare", "private,pool,spare", "unknown", g.spare*extentSize)
	}
	for _, v := range g.volumes {
		r := row(v.name, v.kind, "public", v.disk.Size)
		r["pool_lv"] = v.pool
		if v.kind == thinPoolLayout {
			r["lv_role"], r["lv_device_open"], r["lv_metadata_size"] = "private", "open", fmt.Sprint(total(v.metadata)*extentSize)
			hidden(v.name+"_tdata", "private,thin,pool,data", "open", v.disk.Size)
			hidden(v.name+"_tmeta", "private,thin,pool,metadata", "open", total(v.metadata)*extentSize)
		}
		if v.disk.Mountpoint != "" {
			r["lv_device_open"] = "open"
		}
		rows = append(rows, r)
	}
	return rows
}

// allGroups returns the groups that commands created, and those that are known only from volumes declared on a disk.
// The caller holds m.mu.
func (m *Machine) allGroups() []*volumeGroup {
	all := slices.Clone(m.volumeGroups)
	for _, d := range m.disks {
		for _, each := range append([]Disk{*d}, d.Partitions...) {
			for _, v := range each.Volumes {
				parts := strings.SplitN(strings.ReplaceAll(v.Name, "--", "\x00"), "-", 2)
				if len(parts) != 2 {
					continue
				}
				group, name := strings.ReplaceAll(parts[0], "\x00", "-"), strings.ReplaceAll(parts[1], "\x00", "-")
				n := v.Size / extentSize
				all = append(all, &volumeGroup{name: group, uuid: "of-" + group, members: []physicalVolume{{each.Name, each.UUID, n}},
					volumes: []*logicalVolume{{disk: v, name: name, kind: linearLayout, extents: map[string]int64{each.Name: n}}}})
			}
		}
	}
	return all
}
