package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// blockColumns are the columns of lsblk -O, in order.
var blockColumns = []string{"NAME", "KNAME", "PATH", "MAJ:MIN", "TYPE", "SIZE", "RO", "RM", "ROTA", "MODEL", "SERIAL", "WWN", "VENDOR", "TRAN", "FSTYPE", "FSVER", "LABEL", "UUID", "PTTYPE", "PARTTYPE", "PARTLABEL", "PARTUUID", "PKNAME", "MOUNTPOINT", "MOUNTPOINTS", "HOTPLUG", "STATE", "DISC-GRAN"}

func lsblk(_ context.Context, c *Call) int {
	o, ok := c.options("JbOo:npdare:iPl", "json", "bytes", "output-all", "output=", "noheadings", "paths", "nodeps", "all", "raw", "exclude=", "list", "pairs")
	if !ok {
		return 2
	}
	columns := []string{"NAME", "MAJ:MIN", "RM", "SIZE", "RO", "TYPE", "MOUNTPOINTS"}
	switch list := o.value("o", "output"); {
	case o.has("O", "output-all"):
		columns = blockColumns
	case strings.HasPrefix(list, "+"):
		columns = append(columns, strings.Split(strings.ToUpper(list[1:]), ",")...)
	case list != "":
		columns = strings.Split(strings.ToUpper(list), ",")
	}
	for _, column := range columns {
		if !slices.Contains(blockColumns, column) {
			return c.Errorf("unknown column: %s", strings.ToLower(column))
		}
	}
	bytes := o.has("b", "bytes")
	m := c.Machine
	m.mu.Lock()
	defer m.mu.Unlock()
	var roots []block
	for i, d := range m.disks {
		roots = append(roots, block{disk: d, number: fmt.Sprintf("8:%d", i*16)})
	}
	mapped := m.mappedNumbers()
	children := func(b block) []block {
		var all []block
		if o.has("d", "nodeps") {
			return nil
		}
		for _, d := range m.above(b.self().Name) {
			all = append(all, block{disk: b.disk, part: b.part, volume: d, number: mapped[d.Name]})
		}
		if b.volume != nil || b.array != nil {
			return all
		}
		if b.part == nil {
			for i := range b.disk.Partitions {
				all = append(all, block{disk: b.disk, part: &b.disk.Partitions[i], number: fmt.Sprintf("%s%d", strings.TrimSuffix(b.number, "0"), i+1)})
			}
		}
		volumes := b.self().Volumes
		for i := range volumes {
			all = append(all, block{disk: b.disk, part: b.part, volume: &volumes[i], number: mapped[volumes[i].Name]})
		}
		if r := m.raidOf(b.self().Name); r != nil {
			all = append(all, block{disk: &r.disk, array: r, number: "9:" + strings.TrimPrefix(r.disk.Name, "md")})
		}
		return all
	}
	if len(o.rest) > 0 {
		var chosen []block
		for _, name := range o.rest {
			resolved, info, err := view{m: m}.resolve(c.Path(name), true)
			found := false
			var look func(b block)
			look = func(b block) {
				if kernel, _ := b.value("KNAME", bytes); !found && fmt.Sprint("/dev/", kernel) == resolved {
					chosen, found = append(chosen, b), true
				}
				for _, child := range children(b) {
					look(child)
				}
			}
			for _, root := range roots {
				if err == nil && info != nil {
					look(root)
				}
			}
			if !found {
				c.Errorf("%s: not a block device", name)
				return 32
			}
		}
		roots = chosen
	}
	value := func(b block, column string) any {
		v, _ := b.value(column, bytes)
		if o.has("p", "paths") && (column == "NAME" || column == "KNAME" || column == "PKNAME") && v != nil {
			return "/dev/" + v.(string)
		}
		return v
	}
	if o.has("J", "json") {
		var object func(b block) string
		object = func(b block) string {
			var fields []string
			for _, column := range columns {
				text, err := json.Marshal(value(b, column))
				if err != nil {
					text = []byte("null")
				}
				fields = append(fields, fmt.Sprintf("%q:%s", strings.ToLower(column), text))
			}
			if below := children(b); len(below) > 0 {
				var parts []string
				for _, child := range below {
					parts = append(parts, object(child))
				}
				fields = append(fields, `"children":[`+strings.Join(parts, ",")+"]")
			}
			return "{" + strings.Join(fields, ",") + "}"
		}
		var all []string
		for _, b := range roots {
			all = append(all, object(b))
		}
		c.printf("{\"blockdevices\":[%s]}\n", strings.Join(all, ","))
		return 0
	}
	plain := func(v any) string {
		switch v := v.(type) {
		case nil:
			return ""
		case bool:
			return map[bool]string{true: "1", false: "0"}[v]
		case int64:
			return strconv.FormatInt(v, 10)
		case []any:
			if v[0] == nil {
				return ""
			}
			return fmt.Sprint(v[0])
		}
		return fmt.Sprint(v)
	}
	var rows [][]string
	if !o.has("n", "noheadings") {
		rows = append(rows, columns)
	}
	add := func(b block, prefix string) {
		var row []string
		for _, column := range columns {
			text := plain(value(b, column))
			if column == "NAME" {
				text = prefix + text
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	flat := o.has("l", "list", "r", "raw") || columns[0] != "NAME"
	var below func(b block, indent string)
	below = func(b block, indent string) {
		all := children(b)
		for i, child := range all {
			branch, deeper := "├─", "│ "
			if i == len(all)-1 {
				branch, deeper = "└─", "  "
			}
			if flat {
				branch, deeper = "", ""
			}
			add(child, indent+branch)
			below(child, indent+deeper)
		}
	}
	for _, b := range roots {
		add(b, "")
		below(b, "")
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var cells []string
		for i, cell := range row {
			if o.has("r", "raw") {
				cells = append(cells, strings.ReplaceAll(cell, " ", "\\x20"))
				continue
			}
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if columns[i] == "SIZE" {
				cells = append(cells, pad+cell)
			} else {
				cells = append(cells, cell+pad)
			}
		}
		line := strings.Join(cells, " ")
		if !o.has("r", "raw") {
			line = strings.TrimRight(line, " ")
		}
		c.printf("%s\n", line)
	}
	return 0
}
