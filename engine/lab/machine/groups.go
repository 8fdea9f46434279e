package machine

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
)

func groupadd(_ context.Context, c *Call) int {
	o, ok := c.options("g:rf", "gid=", "system", "force")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		fmt.Fprintln(c.Stderr, "Usage: groupadd [options] GROUP")
		return 2
	}
	name := o.rest[0]
	if _, exists := c.Machine.group(name); exists {
		if o.has("f", "force") {
			return 0
		}
		c.Errorf("group '%s' already exists", name)
		return 9
	}
	if c.User != "root" {
		return c.locked("/etc/group")
	}
	gid := cmp.Or(o.value("g", "gid"), strconv.Itoa(c.freeID(o.has("r", "system"), func(n int) bool { _, taken := c.Machine.group(strconv.Itoa(n)); return taken })))
	if err := c.edit("/etc/group", nil, name+":x:"+gid+":"); err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("groupadd", "add group "+name)
	return 0
}

func groupdel(_ context.Context, c *Call) int {
	if len(c.Argv) != 2 {
		return notSimulated(c, strings.Join(c.Argv[1:], " "))
	}
	name := c.Argv[1]
	if _, exists := c.Machine.group(name); !exists {
		c.Errorf("group '%s' does not exist", name)
		return 6
	}
	if c.User != "root" {
		return c.locked("/etc/group")
	}
	if user := c.Machine.primaryUser(name); user != "" {
		c.Errorf("cannot remove the primary group of user '%s'", user)
		return 8
	}
	if err := c.edit("/etc/group", func(f []string) ([]string, bool) { return f, f[0] != name }); err != nil {
		return c.Errorf("%s", errText(err))
	}
	c.Machine.Record("groupdel", "delete group "+name)
	return 0
}
