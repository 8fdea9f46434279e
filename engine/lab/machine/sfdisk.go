package machine

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// sfdisk implements sfdisk --json, and sfdisk --append for one partition described on standard input.
func sfdisk(_ context.Context, c *Call) int {
	o, ok := c.options("Jaq", "json", "append", "no-reread", "no-tell-kernel", "lock=", "wipe=", "wipe-partitions=", "quiet")
	if !ok {
		return 1
	}
	if len(o.rest) != 1 {
		return c.Errorf("bad usage\nTry 'sfdisk --help' for more information.")
	}
	name := o.rest[0]
	d, found := c.Machine.Disk(c.Path(name))
	switch {
	case !found:
		return c.Errorf("cannot open %s: No such file or directory", name)
	case c.User != "root":
		return c.Errorf("cannot open %s: Permission denied", name)
	case len(d.Partitions) == 0:
		return c.Errorf("%s: does not contain a recognized partition table", name)
	case o.has("J", "json"):
		c.printf("%s", d.tableJSON(name))
		return 0
	case !o.has("a", "append"):
		notSimulated(c, "without --json and --append")
		return 1
	}
	p, err := d.parsePartition(c.Stdin)
	if err != nil {
		return c.Errorf("%v", err)
	}
	n := len(d.table()) + 1
	p.Name = partition(d.Name, n)
	if refusal := d.refuses(p); refusal != "" {
		fmt.Fprint(c.Stderr, strings.ReplaceAll(refusal, "#", fmt.Sprintf("#%d", n)))
		return 1
	}
	if p.PartUUID == "" {
		p.PartUUID = newUUID()
	}
	busy := c.Machine.inUse(d)
	if err := c.Machine.ChangeDisk(c.Path(name), func(d *Disk) {
		d.unread = append(d.unread, p)
		if !busy && !o.has("no-tell-kernel") {
			d.read()
		}
	}); err != nil {
		return c.Errorf("%v", err)
	}
	c.Machine.Record("sfdisk", fmt.Sprintf("add partition /dev/%s (%s)", p.Name, p.PartLabel))
	if !o.has("q", "quiet") {
		c.printf("\nThe partition table has been altered.\n")
		if !o.has("no-tell-kernel") {
			c.printf("Calling ioctl() to re-read partition table.\n")
		}
	}
	if busy && !o.has("no-tell-kernel") {
		fmt.Fprint(c.Stderr, "Re-reading the partition table failed.: Device or resource busy\n")
	}
	if !o.has("q", "quiet") {
		c.printf("Syncing disks.\n")
	}
	return 0
}

// partx implements partx --update.
func partx(_ context.Context, c *Call) int {
	o, ok := c.options("un:", "update", "nr=")
	if !ok || len(o.rest) != 1 || !o.has("u", "update") {
		notSimulated(c, "without --update and a disk")
		return 1
	}
	name := o.rest[0]
	d, found := c.Machine.Disk(c.Path(name))
	switch {
	case !found:
		return c.Errorf("stat of %s failed: No such file or directory", name)
	case c.User != "root":
		return c.Errorf("cannot open %s: Permission denied", name)
	}
	n, err := strconv.Atoi(o.value("n", "nr"))
	if err != nil || n < 1 || n > len(d.Partitions)+1 || n > len(d.table()) {
		notSimulated(c, "for a partition other than the next one")
		return 1
	}
	if n <= len(d.Partitions) {
		return 0
	}
	if err := c.Machine.ChangeDisk(c.Path(name), func(d *Disk) { d.Partitions, d.unread = append(slices.Clone(d.Partitions), d.unread[0]), d.unread[1:] }); err != nil {
		return c.Errorf("%v", err)
	}
	return 0
}

// parsePartition reads a line of named fields, as sfdisk(8) describes them.
func (d *Disk) parsePartition(in io.Reader) (Disk, error) {
	var p Disk
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return p, err
	}
	for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch key = strings.TrimSpace(key); key {
		case "start", "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n <= 0 {
				return p, errors.New("line 1: unsupported command")
			}
			if key == "start" {
				p.Start = n
			} else {
				p.Size = n * sectorSize
			}
		case "type":
			p.PartType = strings.ToLower(value)
		case "uuid":
			p.PartUUID = strings.ToLower(value)
		case "name":
			p.PartLabel = value
		default:
			return p, errors.New("line 1: unsupported command")
		}
	}
	if p.Start == 0 || p.Size == 0 {
		return p, errors.New("line 1: unsupported command")
	}
	return p, nil
}

// tableJSON returns the partition table of a disk as sfdisk --json prints it.
func (d *Disk) tableJSON(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n   \"partitiontable\": {\n      \"label\": \"gpt\",\n      \"id\": %q,\n      \"device\": %q,\n      \"unit\": \"sectors\",\n      \"firstlba\": %d,\n      \"lastlba\": %d,\n      \"sectorsize\": %d,\n      \"partitions\": [\n",
		strings.ToUpper(uuidOf(uint64(d.Size))), name, gptFirst, d.Size/sectorSize-gptReserved, sectorSize)
	for i, p := range d.table() {
		if i > 0 {
			b.WriteString(",")
		} else {
			b.WriteString("         ")
		}
		fmt.Fprintf(&b, "{\n            \"node\": %q,\n            \"start\": %d,\n            \"size\": %d,\n            \"type\": %q,\n            \"uuid\": %q",
			partition(name, i+1), p.Start, p.Size/sectorSize, strings.ToUpper(cmp.Or(p.PartType, linuxFilesystem)), strings.ToUpper(p.PartUUID))
		if p.PartLabel != "" {
			text, err := json.Marshal(p.PartLabel)
			if err != nil {
				text = []byte(`""`)
			}
			fmt.Fprintf(&b, ",\n            \"name\": %s", text)
		}
		b.WriteString("\n         }")
	}
	b.WriteString("\n      ]\n   }\n}\n")
	return b.String()
}
