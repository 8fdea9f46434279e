package machine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

func mountProgram(_ context.Context, c *Call) int {
	if len(c.Argv) > 1 {
		return c.mountListed()
	}
	for line := range strings.Lines(c.Machine.mountTable()) {
		f := strings.Fields(line)
		c.printf("%s on %s type %s (%s)\n", f[0], f[1], f[2], f[3])
	}
	return 0
}

// mountListed mounts what fstab lists for a directory. The mounted file system contains the directory's files.
func (c *Call) mountListed() int {
	o, ok := c.options("o:", "options=")
	if !ok {
		return 1
	}
	remount := strings.HasPrefix(o.value("o", "options"), "remount,")
	if len(o.rest) != 1 && !(remount && len(o.rest) == 2) || !remount && o.has("o", "options") {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	dir := c.Path(o.rest[len(o.rest)-1])
	if c.User != "root" {
		return c.Errorf("%s: must be superuser to use mount.", dir)
	}
	if remount {
		for _, d := range c.Machine.mountedDisks() {
			if named, found := c.Machine.Disk(c.Path(o.rest[0])); d.Mountpoint != dir || len(o.rest) == 2 && (!found || named.Name != d.Name) {
				continue
			}
			if err := c.Machine.ChangeDisk(c.Machine.devicePath(d), func(d *Disk) {
				d.ReadOnly, d.mountFlags = readOnly(o.value("o", "options"), d.ReadOnly), mountFlags(o.value("o", "options"), d.mountFlags)
			}); err != nil {
				return c.Errorf("%v", err)
			}
			return 0
		}
		c.Errorf("%s: mount point not mounted or bad option.\n       dmesg(1) may have more information after failed mount system call.", dir)
		return 32
	}
	for _, f := range c.Machine.listed() {
		if f[1] != dir {
			continue
		}
		device, found := c.Machine.source(f[0])
		_, info, err := c.view().resolve(dir, true)
		d, _ := c.Machine.Disk(device)
		switch {
		case !found && !strings.HasPrefix(f[0], "/dev/") && !strings.Contains(f[0], "="):
			return notSimulated(c, "mounting "+f[0]+" ("+f[2]+")")
		case !found:
			return c.Errorf("%s: can't find %s.", dir, f[0])
		case err != nil || info == nil:
			c.Errorf("%s: mount point does not exist.\n       dmesg(1) may have more information after failed mount system call.", dir)
			return 32
		case d.Use != f[2] && f[2] != "auto":
			c.Errorf("%s: wrong fs type, bad option, bad superblock on %s, missing codepage or helper program, or other error.\n       dmesg(1) may have more information after failed mount system call.", dir, c.Machine.devicePath(d))
			return 32
		case d.Mountpoint == dir:
			c.Errorf("%s: %s already mounted on %s.\n       dmesg(1) may have more information after failed mount system call.", dir, c.Machine.devicePath(d), dir)
			return 32
		}
		if err := c.Machine.ChangeDisk(device, func(d *Disk) {
			d.Mountpoint, d.ReadOnly, d.mountFlags = dir, readOnly(f[3], false), mountFlags(f[3], "")
		}); err != nil {
			return c.Errorf("%v", err)
		}
		c.Machine.Record("mount", "mount "+c.Machine.devicePath(d)+" at "+dir)
		return 0
	}
	return c.Errorf("%s: can't find in /etc/fstab.", dir)
}

func umountProgram(_ context.Context, c *Call) int {
	if len(c.Argv) != 2 {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	dir := c.Path(c.Argv[1])
	for _, d := range c.Machine.mountedDisks() {
		if d.Mountpoint != dir {
			continue
		}
		if c.User != "root" {
			c.Errorf("%s: must be superuser to unmount.", dir)
			return 32
		}
		if err := c.Machine.ChangeDisk(c.Machine.devicePath(d), func(d *Disk) { d.Mountpoint = "" }); err != nil {
			return c.Errorf("%v", err)
		}
		c.Machine.Record("umount", "unmount "+dir)
		return 0
	}
	c.Errorf("%s: not mounted.", dir)
	return 32
}

func findmnt(_ context.Context, c *Call) int {
	o, ok := c.options("no:T:rM:S:", "noheadings", "output=", "target=", "mountpoint=", "source=", "raw")
	if !ok {
		return 2
	}
	target := cmp.Or(o.value("T", "target"), o.value("M", "mountpoint"))
	if len(o.rest) > 0 {
		target = o.rest[0]
	}
	columns := strings.Split(strings.ToUpper(cmp.Or(o.value("o", "output"), "TARGET,SOURCE,FSTYPE,OPTIONS")), ",")
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

func mountpoint(_ context.Context, c *Call) int {
	o, ok := c.options("qd", "quiet")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("bad usage\nTry 'mountpoint --help' for more information.")
	}
	name := o.rest[0]
	resolved, info, err := c.view().resolve(c.Path(name), true)
	if err != nil || info == nil {
		if !o.has("q", "quiet") {
			return c.Errorf("%s: No such file or directory", name)
		}
		return 1
	}
	is := false
	for line := range strings.Lines(c.Machine.mountTable()) {
		is = is || strings.Fields(line)[1] == resolved
	}
	if !o.has("q", "quiet") {
		c.printf("%s %s\n", name, map[bool]string{true: "is a mountpoint", false: "is not a mountpoint"}[is])
	}
	if is {
		return 0
	}
	if debian := c.Machine.Debian(); debian == "bookworm" || debian == "trixie" {
		return 32 // util-linux since 2.37
	}
	return 1
}

func df(_ context.Context, c *Call) int {
	o, ok := c.options("hPkTBm:i", "human-readable", "portability", "output?", "block-size=")
	if !ok {
		return 2
	}
	m := c.Machine
	total, free := int64(rootSize), m.Free()
	used := total - free
	show := func(n int64) string {
		switch {
		case o.has("h", "human-readable"):
			return human(n)
		case o.value("block-size") == "1":
			return fmt.Sprint(n)
		}
		return fmt.Sprint(n / 1024)
	}
	if o.has("output") && o.value("output") != "" {
		var head, row []string
		for _, field := range strings.Split(o.value("output"), ",") {
			values := map[string][2]string{"source": {"Filesystem", "/dev/sda2"}, "fstype": {"Type", "ext4"}, "size": {"1K-blocks", show(total)}, "used": {"Used", show(used)}, "avail": {"Avail", show(free)},
				"pcent": {"Use%", fmt.Sprintf("%d%%", used*100/total)}, "target": {"Mounted on", "/"}}
			v, known := values[field]
			if !known {
				return c.Errorf("option --output: field ‘%s’ unknown", field)
			}
			head, row = append(head, v[0]), append(row, v[1])
		}
		c.printf("%s\n%s\n", strings.Join(head, " "), strings.Join(row, " "))
		return 0
	}
	c.printf("Filesystem     1K-blocks     Used Available Use%% Mounted on\n/dev/sda2 %s %s %s %d%% /\n", show(total), show(used), show(free), used*100/total)
	return 0
}
