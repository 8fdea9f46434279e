package proxmox

import (
	"fmt"
	"math"
)

// Command: ceph osd df, the usage of the OSDs as a list or in the CRUSH tree.

// dataPerOSD is the part of the usage of an empty OSD that counts as data, in KiB.
const dataPerOSD = 344

// osdUse is the size and usage of an OSD, or of all OSDs below a bucket, in KiB.
type osdUse struct{ kb, used, data int64 }

func (o *OSD) use() osdUse {
	if !o.Booted {
		return osdUse{}
	}
	return osdUse{o.Size / 1024, o.used() / 1024, dataPerOSD}
}

func (u osdUse) plus(other osdUse) osdUse {
	return osdUse{u.kb + other.kb, u.used + other.used, u.data + other.data}
}

func (u osdUse) percent() float64 {
	if u.kb == 0 {
		return 0
	}
	return 100 * float64(u.used) / float64(u.kb)
}

// variance returns a usage relative to the average.
func (u osdUse) variance(average float64) float64 {
	if average == 0 {
		return 1
	}
	return u.percent() / average
}

// cells returns the columns that are sizes.
func (u osdUse) cells() []string {
	return []string{size(u.kb * 1024), size(u.used * 1024), size(u.data * 1024), "0 B", size((u.used - u.data) * 1024), size((u.kb - u.used) * 1024), fmt.Sprintf("%.2f", u.percent())}
}

func osdDF(v *view, c *Ceph, args []string) reply {
	nodes, stray := []object{}, []object{}
	used, raw := v.usage(c)
	all := osdUse{kb: raw / 1024, used: used / 1024}
	average := all.percent()
	least, most, spread := math.Inf(1), 0.0, 0.0
	for _, o := range c.OSDs {
		u := o.use()
		value := obj("id", o.ID)
		if o.Booted {
			all.data += u.data
			least, most = min(least, u.variance(average)), max(most, u.variance(average))
			spread += (u.percent() - average) * (u.percent() - average)
			value = append(value, member{"device_class", o.Class})
		}
		value = append(value, obj("name", fmt.Sprintf("osd.%d", o.ID), "type", "osd", "type_id", 0, "crush_weight", o.weight(), "depth", 2, "pool_weights", object{}, "reweight", o.reweight(), "kb", u.kb, "kb_used", u.used,
			"kb_used_data", u.data, "kb_used_omap", 0, "kb_used_meta", u.used-u.data, "kb_avail", u.kb-u.used, "utilization", u.percent(), "var", u.variance(average), "pgs", v.pgsOf(c, o), "status", o.status())...)
		if o.Booted {
			nodes = append(nodes, value)
		} else {
			stray = append(stray, value)
		}
	}
	if len(nodes) == 0 {
		least = 0
	}
	deviation := math.Sqrt(spread / float64(max(1, len(nodes))))
	columns := []column{{"ID", true}, {"CLASS", true}, {"WEIGHT", true}, {"REWEIGHT", true}, {"SIZE", true}, {"RAW USE", true}, {"DATA", true}, {"OMAP", true}, {"META", true}, {"AVAIL", true}, {"%USE", true}, {"VAR", true}, {"PGS", true}, {"STATUS", true}}
	tree := len(args) > 0 && args[0] == "tree"
	rows := v.dfRows(c, average, tree)
	last := append(append([]string{"", "", "", "TOTAL"}, all.cells()...), "", "", "")
	if tree {
		columns = append(columns, column{"TYPE NAME", false})
		last = append(last, "")
	}
	text := cephTable(columns, append(rows, last)) + fmt.Sprintf("MIN/MAX VAR: %.2f/%.2f  STDDEV: %.2f\n", least, most, deviation)
	return reply{text: text, value: obj("nodes", nodes, "stray", stray, "summary", obj("total_kb", all.kb, "total_kb_used", all.used, "total_kb_used_data", all.data, "total_kb_used_omap", 0, "total_kb_used_meta", all.used-all.data,
		"total_kb_avail", all.kb-all.used, "average_utilization", average, "min_var", least, "max_var", most, "dev", deviation))}
}

// dfRows returns the rows of the table, including hosts and the root if tree is set.
func (v *view) dfRows(c *Ceph, average float64, tree bool) [][]string {
	leaf := func(o *OSD) []string {
		u := o.use()
		row := append([]string{fmt.Sprint(o.ID), o.Class, weightText(o.weight()), fmt.Sprintf("%.5f", o.reweight())}, u.cells()...)
		return append(row, fmt.Sprintf("%.2f", u.variance(average)), fmt.Sprint(v.pgsOf(c, o)), o.status())
	}
	bucket := func(id int, weight float64, u osdUse, name string) []string {
		row := append([]string{fmt.Sprint(id), "", weightText(weight), "-"}, u.cells()...)
		return append(row, fmt.Sprintf("%.2f", u.variance(average)), "-", "", name)
	}
	var rows [][]string
	if !tree {
		for _, o := range c.OSDs {
			rows = append(rows, leaf(o))
		}
		return rows
	}
	names, osds := c.buckets()
	var whole osdUse
	weight := 0.0
	for _, name := range names {
		var u osdUse
		var leaves [][]string
		for _, o := range inTree(osds[name]) {
			u = u.plus(o.use())
			leaves = append(leaves, append(leaf(o), fmt.Sprintf("        osd.%d", o.ID)))
		}
		whole, weight = whole.plus(u), weight+total(osds[name])
		rows = append(append(rows, bucket(c.Hosts[name], total(osds[name]), u, "    host "+name)), leaves...)
	}
	return append([][]string{bucket(-1, weight, whole, "root default")}, rows...)
}
