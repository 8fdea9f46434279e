package machine

import (
	"context"
	"fmt"
	"slices"
)

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
		if !o.has("f", "force") && c.Machine.inUse(d) {
			return c.Errorf("error: %s: probing initialization failed: Device or resource busy", device)
		}
		if err := c.Machine.ChangeDisk(c.Path(device), func(d *Disk) { d.Use, d.UUID, d.Partitions, d.unread, d.Volumes = "", "", nil, nil, nil }); err != nil {
			return c.Errorf("error: %v", err)
		}
		c.Machine.Record("wipefs", "wipe /dev/"+d.Name)
		if !o.has("q", "quiet") {
			c.printf("%s: 8 bytes were erased at offset 0x00000000 (%s)\n", device, signature)
		}
	}
	return 0
}
