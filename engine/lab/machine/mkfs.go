package machine

import (
	"cmp"
	"context"
	"strings"
)

// makers are the programs that create file systems, each with its error for a device that already has one. mkfs.ext4
// asks only on a terminal.
var makers = map[string]func(c *Call, device, found string) int{
	"ext4": nil,
	"xfs": func(c *Call, device, found string) int {
		return c.Errorf("%s appears to contain an existing filesystem (%s).\nmkfs.xfs: Use the -f option to force overwrite.", device, found)
	},
	"btrfs": func(c *Call, device, found string) int {
		c.Stderr.Write([]byte("ERROR: " + device + " appears to contain an existing filesystem (" + found + ")\nERROR: use the -f option to force overwrite of " + device + "\n"))
		return 1
	},
}

// mkfs returns the program that creates file systems of a type.
func mkfs(kind string) Program {
	return func(_ context.Context, c *Call) int {
		o, ok := c.options("qfFL:U:m:", "label=", "uuid=", "quiet", "force")
		if !ok {
			return 1
		}
		if len(o.rest) != 1 {
			return c.Errorf("expected one device, found %d", len(o.rest))
		}
		device := o.rest[0]
		d, found := c.Machine.Disk(c.Path(device))
		switch {
		case !found:
			return c.Errorf("The file %s does not exist and no size was specified.", device)
		case c.User != "root":
			return c.Errorf("Permission denied while trying to determine filesystem size")
		case c.Machine.inUse(d):
			return c.Errorf("%s is apparently in use by the system; will not make a filesystem here!", device)
		}
		there := d.Use
		if there == "" && len(d.Partitions) > 0 {
			there = "gpt"
		}
		if complain := makers[kind]; complain != nil && there != "" && !o.has("f", "force") {
			return complain(c, device, there)
		}
		uuid := cmp.Or(o.value("U", "uuid"), strings.TrimPrefix(o.value("m"), "uuid="))
		if uuid == "" {
			uuid = newUUID()
		}
		if err := c.Machine.ChangeDisk(c.Path(device), func(d *Disk) { d.Use, d.UUID, d.Partitions = kind, uuid, nil }); err != nil {
			return c.Errorf("%v", err)
		}
		c.Machine.Record("mkfs", "make "+kind+" on "+c.Machine.devicePath(d))
		return 0
	}
}
