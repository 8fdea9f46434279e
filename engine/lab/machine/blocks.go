package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func diskPrograms() map[string]Program {
	return map[string]Program{"lsblk": lsblk, "/usr/sbin/blkid": blkid, "/usr/sbin/wipefs": wipefs, "/usr/sbin/blockdev": blockdev, "udevadm": accept("", ""), "/usr/sbin/partprobe": accept("", ""),
		"/usr/sbin/sgdisk": sgdisk, "findmnt": findmnt}
}

// blockColumns are lsblk's columns in the order of its -O.
var blockColumns = []string{"NAME", "KNAME", "PATH", "MAJ:MIN", "TYPE", "SIZE", "RO", "RM", "ROTA", "MODEL", "SERIAL", "WWN", "VENDOR", "TRAN", "FSTYPE", "FSVER", "LABEL", "UUID", "PTTYPE", "PARTTYPE", "PARTUUID", "PKNAME", "MOUNTPOINT", "MOUNTPOINTS", "HOTPLUG", "STATE", "DISC-GRAN"}

// BIOSBoot is the type of the partition in which GRUB lies; it has no signature.
const BIOSBoot = "21686148-6449-6e6f-744e-656564454649"

// block is a disk, a partition or a logical volume as lsblk sees it.
type block struct {
	disk, part, volume *Disk
	number             string
}

func (b block) self() *Disk {
	if b.volume != nil {
		return b.volume
	}
	if b.part != nil {
		return b.part
	}
	return b.disk
}

// value is a column's value as JSON has it: a string, a number, a bool, a list or nil.
func (b block) value(column string, bytes bool) (any, bool) {
	d := b.self()
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	whole := func(s string) any {
		if b.part != nil || b.volume != nil {
			return nil
		}
		return text(s)
	}
	transport := "sata"
	if strings.HasPrefix(b.disk.Name, "nvme") {
		transport = "nvme"
	}
	mounts := []any{nil}
	if d.Mountpoint != "" {
		mounts = []any{d.Mountpoint}
	}
	table := ""
	if len(b.disk.Partitions) > 0 {
		table = "gpt"
	}
	partOf := any(nil)
	partUUID := any(nil)
	if b.volume != nil {
		switch column {
		case "KNAME":
			return "dm-" + strings.TrimPrefix(b.number, "252:"), true
		case "PATH":
			return "/dev/mapper/" + d.Name, true
		case "TYPE":
			return "lvm", true
		case "WWN", "PTTYPE", "PARTUUID", "PARTTYPE":
			return nil, true
		case "PKNAME":
			if b.part != nil {
				return b.part.Name, true
			}
			return b.disk.Name, true
		}
	} else if b.part != nil {
		partOf, partUUID = b.disk.Name, text(b.part.PartUUID)
	}
	switch column {
	case "NAME", "KNAME":
		return d.Name, true
	case "PATH":
		return "/dev/" + d.Name, true
	case "MAJ:MIN":
		return b.number, true
	case "TYPE":
		if b.part != nil {
			return "part", true
		}
		return "disk", true
	case "SIZE":
		if bytes {
			return d.Size, true
		}
		return human(d.Size), true
	case "RO", "RM", "HOTPLUG":
		return false, true
	case "ROTA":
		return b.disk.Rotational, true
	case "MODEL":
		return whole(b.disk.Model), true
	case "SERIAL":
		return whole(b.disk.Serial), true
	case "WWN":
		return text(b.disk.WWN), true
	case "VENDOR":
		return whole("ATA     "), true
	case "TRAN":
		return whole(transport), true
	case "STATE":
		return whole("running"), true
	case "FSTYPE":
		return text(d.Use), true
	case "UUID":
		return text(d.UUID), true
	case "PTTYPE":
		return text(table), true
	case "PARTUUID":
		return partUUID, true
	case "PKNAME":
		return partOf, true
	case "MOUNTPOINT":
		return text(d.Mountpoint), true
	case "MOUNTPOINTS":
		return mounts, true
	case "FSVER", "LABEL":
		return nil, true
	case "PARTTYPE":
		if b.part == nil {
			return nil, true
		}
		return cmpOr(d.PartType, "0fc63daf-8483-4772-8e79-3d69d8477de4"), true
	case "DISC-GRAN":
		return "0", true
	}
	return nil, false
}

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
	disks := m.Disks()
	m.mu.Lock()
	defer m.mu.Unlock()
	var roots []block
	for i, d := range disks {
		roots = append(roots, block{disk: d, number: fmt.Sprintf("8:%d", i*16)})
	}
	mapped := m.mappedNumbers(disks)
	children := func(b block) []block {
		var all []block
		if b.volume != nil || o.has("d", "nodeps") {
			return nil
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
		return all
	}
	if len(o.rest) > 0 {
		var chosen []block
		for _, name := range o.rest {
			resolved, info, err := view{m: m}.resolve(c.Path(name), true)
			found := false
			for _, root := range roots {
				for _, b := range append([]block{root}, children(root)...) {
					if err == nil && info != nil && "/dev/"+b.self().Name == resolved {
						chosen, found = append(chosen, b), true
					}
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
	for _, b := range roots {
		add(b, "")
		below := children(b)
		for i, child := range below {
			prefix := "├─"
			if i == len(below)-1 {
				prefix = "└─"
			}
			if o.has("l", "list", "r", "raw") || columns[0] != "NAME" {
				prefix = ""
			}
			add(child, prefix)
		}
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

func blkid(_ context.Context, c *Call) int {
	o, ok := c.options("o:s:pL:U:", "output=", "match-tag=", "probe")
	if !ok {
		return 2
	}
	devices := o.rest
	if len(devices) == 0 {
		for _, d := range c.Machine.Disks() {
			devices = append(devices, "/dev/"+d.Name)
			for _, p := range d.Partitions {
				devices = append(devices, "/dev/"+p.Name)
			}
		}
	}
	code := 2
	for _, device := range devices {
		d, found := c.Machine.Disk(c.Path(device))
		if !found {
			continue
		}
		var tags [][2]string
		for _, tag := range [][2]string{{"UUID", d.UUID}, {"TYPE", d.Use}, {"PARTUUID", d.PartUUID}} {
			if tag[1] != "" && (o.value("s", "match-tag") == "" || slices.Contains(o.values("s", "match-tag"), tag[0])) {
				tags = append(tags, tag)
			}
		}
		if len(d.Partitions) > 0 && o.has("p", "probe") {
			tags = append(tags, [2]string{"PTTYPE", "gpt"})
		}
		if len(tags) == 0 {
			continue
		}
		code = 0
		line := device + ":"
		for _, tag := range tags {
			switch o.value("o", "output") {
			case "value":
				c.printf("%s\n", tag[1])
			case "export":
				c.printf("%s=%s\n", tag[0], tag[1])
			default:
				line += fmt.Sprintf(" %s=%q", tag[0], tag[1])
			}
		}
		if o.value("o", "output") == "" || o.value("o", "output") == "full" {
			c.printf("%s\n", line)
		}
	}
	return code
}

func wipefs(_ context.Context, c *Call) int {
	o, ok := c.options("anfqJ", "all", "no-act", "force", "quiet", "json", "noheadings")
	if !ok {
		return 2
	}
	for _, device := range o.rest {
		d, found := c.Machine.Disk(c.Path(device))
		if !found {
			return c.Errorf("error: %s: probing initialization failed: No such file or directory", device)
		}
		if c.User != "root" {
			return c.Errorf("error: %s: probing initialization failed: Permission denied", device)
		}
		signature := d.Use
		if signature == "" && len(d.Partitions) > 0 {
			signature = "gpt"
		}
		if signature == "" {
			continue
		}
		if !o.has("a", "all") || o.has("n", "no-act") {
			c.printf("DEVICE OFFSET TYPE UUID LABEL\n%-6s 0x0    %s %s\n", d.Name, signature, d.UUID)
			continue
		}
		inUse := func(d Disk) bool { return d.Mountpoint != "" || len(d.Volumes) > 0 }
		if !o.has("f", "force") && (inUse(*d) || slices.ContainsFunc(d.Partitions, inUse)) {
			return c.Errorf("error: %s: probing initialization failed: Device or resource busy", device)
		}
		if err := c.Machine.ChangeDisk(c.Path(device), func(d *Disk) { d.Use, d.UUID, d.Partitions, d.Volumes = "", "", nil, nil }); err != nil {
			return c.Errorf("error: %v", err)
		}
		c.Machine.Record("wipefs", "wipe /dev/"+d.Name)
		if !o.has("q", "quiet") {
			c.printf("%s: 8 bytes were erased at offset 0x00000000 (%s)\n", device, signature)
		}
	}
	return 0
}

func sgdisk(_ context.Context, c *Call) int {
	o, ok := c.options("Zz", "zap-all", "zap")
	if !ok {
		return 2
	}
	for _, device := range o.rest {
		if code := c.Run("wipefs", "-a", "-q", device); code != 0 {
			return code
		}
	}
	c.printf("GPT data structures destroyed! You may now partition the disk using fdisk or\nother utilities.\n")
	return 0
}

func blockdev(_ context.Context, c *Call) int {
	o, ok := c.options("", "getsize64", "getsz", "rereadpt", "flushbufs")
	if !ok {
		return 2
	}
	for _, device := range o.rest {
		d, found := c.Machine.Disk(c.Path(device))
		if !found {
			return c.Errorf("cannot open %s: No such file or directory", device)
		}
		switch {
		case o.has("getsize64"):
			c.printf("%d\n", d.Size)
		case o.has("getsz"):
			c.printf("%d\n", d.Size/512)
		}
	}
	return 0
}

func findmnt(_ context.Context, c *Call) int {
	o, ok := c.options("no:T:rM:S:", "noheadings", "output=", "target=", "mountpoint=", "source=", "raw")
	if !ok {
		return 2
	}
	target := cmpOr(o.value("T", "target"), o.value("M", "mountpoint"))
	if len(o.rest) > 0 {
		target = o.rest[0]
	}
	columns := strings.Split(strings.ToUpper(cmpOr(o.value("o", "output"), "TARGET,SOURCE,FSTYPE,OPTIONS")), ",")
	best := -1
	lines := strings.Split(strings.TrimSpace(c.Machine.mountTable()), "\n")
	for i, line := range lines {
		at := strings.Fields(line)[1]
		under := target == at || o.has("T", "target") && (at == "/" || strings.HasPrefix(target, at+"/"))
		if under && (best < 0 || len(at) >= len(strings.Fields(lines[best])[1])) {
			best = i
		}
	}
	if target != "" {
		if best < 0 {
			return 1
		}
		lines = lines[best : best+1]
	}
	if !o.has("n", "noheadings") {
		c.printf("%s\n", strings.Join(columns, " "))
	}
	for _, line := range lines {
		f := strings.Fields(line)
		var row []string
		for _, column := range columns {
			value, known := map[string]string{"TARGET": f[1], "SOURCE": f[0], "FSTYPE": f[2], "OPTIONS": f[3]}[column]
			if !known {
				return c.Errorf("unknown column: %s", column)
			}
			row = append(row, value)
		}
		c.printf("%s\n", strings.Join(row, " "))
	}
	return 0
}
