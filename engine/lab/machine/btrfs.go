package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// btrfs implements the commands of btrfs(8) that create subvolumes. A subvolume is a directory here.
func btrfs(_ context.Context, c *Call) int {
	say := func(format string, args ...any) int {
		fmt.Fprintf(c.Stderr, format+"\n", args...)
		return 1
	}
	args := c.Argv[1:]
	if len(args) < 2 || args[0] != "subvolume" || args[1] != "create" {
		return notSimulated(c, strings.Join(args, " "))
	}
	if args = args[2:]; len(args) != 1 {
		return say("btrfs subvolume create: exactly 1 argument expected, %d given", len(args))
	}
	to := c.Path(args[0])
	parent := path.Dir(args[0])
	if _, err := c.view().Stat(to); err == nil {
		return say("ERROR: target path already exists: %s", args[0])
	}
	if _, err := c.view().Stat(c.Path(parent)); err != nil {
		return say("ERROR: cannot access '%s': No such file or directory", parent)
	}
	if c.Machine.fileSystemAt(path.Dir(to)) != "btrfs" {
		return say("ERROR: not a btrfs filesystem: %s", parent)
	}
	if err := c.view().Mkdir(to, 0o755); err != nil {
		return say("ERROR: cannot create subvolume: %v", err.(*fs.PathError).Err)
	}
	c.printf("Create subvolume '%s'\n", args[0])
	return 0
}

// fileSystemAt returns the type of the mounted disk that contains a path, or "" for the root file system.
func (m *Machine) fileSystemAt(p string) string {
	best := Disk{}
	for _, d := range m.mountedDisks() {
		if (p == d.Mountpoint || strings.HasPrefix(p, d.Mountpoint+"/")) && len(d.Mountpoint) > len(best.Mountpoint) {
			best = d
		}
	}
	return best.Use
}
