package machine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func id(_ context.Context, c *Call) int {
	o, ok := c.options("ugnGr", "user", "group", "name", "groups", "real")
	if !ok {
		return 2
	}
	user := c.User
	if len(o.rest) > 0 {
		user = o.rest[0]
	}
	a, found := c.Machine.account(user)
	if !found {
		return c.Errorf("‘%s’: no such user", user)
	}
	name := o.has("n", "name")
	own := c.Machine.groupName(a.gid)
	groups := c.Machine.memberships(a)
	pick := func(n int, text string) string {
		if name {
			return text
		}
		return strconv.Itoa(n)
	}
	switch {
	case o.has("u", "user"):
		c.printf("%s\n", pick(a.uid, a.name))
	case o.has("g", "group"):
		c.printf("%s\n", pick(a.gid, own))
	case o.has("G", "groups"):
		var all []string
		for _, g := range groups {
			all = append(all, pick(g.gid, g.name))
		}
		c.printf("%s\n", strings.Join(all, " "))
	default:
		var all []string
		for _, g := range groups {
			all = append(all, fmt.Sprintf("%d(%s)", g.gid, g.name))
		}
		c.printf("uid=%d(%s) gid=%d(%s) groups=%s\n", a.uid, a.name, a.gid, own, strings.Join(all, ","))
	}
	return 0
}

func whoami(_ context.Context, c *Call) int {
	c.printf("%s\n", c.User)
	return 0
}

func groupsProgram(ctx context.Context, c *Call) int {
	user := c.User
	prefix := ""
	if len(c.Argv) > 1 {
		user = c.Argv[1]
		prefix = user + " : "
	}
	a, ok := c.Machine.account(user)
	if !ok {
		return c.Errorf("‘%s’: no such user", user)
	}
	var names []string
	for _, g := range c.Machine.memberships(a) {
		names = append(names, g.name)
	}
	c.printf("%s%s\n", prefix, strings.Join(names, " "))
	return 0
}

func getent(_ context.Context, c *Call) int {
	o, ok := c.options("s:")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		return c.Errorf("wrong number of arguments")
	}
	database, keys := o.rest[0], o.rest[1:]
	file := map[string]string{"passwd": "/etc/passwd", "group": "/etc/group", "shadow": "/etc/shadow"}[database]
	if file != "" {
		if database == "shadow" && c.User != "root" {
			return 2
		}
		lines := c.Machine.lines(file)
		if len(keys) == 0 {
			for _, line := range lines {
				c.printf("%s\n", line)
			}
			return 0
		}
		code := 0
		for _, key := range keys {
			found := false
			for _, line := range lines {
				f := strings.Split(line, ":")
				if f[0] == key || len(f) > 2 && database != "shadow" && f[2] == key {
					c.printf("%s\n", line)
					found = true
					break
				}
			}
			if !found {
				code = 2
			}
		}
		return code
	}
	code := 0
	switch database {
	case "hosts", "ahosts", "ahostsv4", "ahostsv6":
	default:
		fmt.Fprintf(c.Stderr, "Unknown database: %s\nTry `getent --help' or `getent --usage' for more information.\n", database)
		return 1
	}
	if len(keys) == 0 {
		for _, line := range c.Machine.hosts() {
			c.printf("%-15s %s\n", line.addr, strings.Join(line.names, " "))
		}
		return 0
	}
	for _, key := range keys {
		found := 0
		for _, a := range c.Machine.Resolve(key) {
			if database == "ahostsv4" && !a.Is4() || database == "ahostsv6" && !a.Is6() {
				continue
			}
			if database != "hosts" {
				for i, kind := range []string{"STREAM", "DGRAM", "RAW"} {
					name := ""
					if i == 0 && found == 0 {
						name = " " + key
					}
					c.printf("%-15s %s%s\n", a, kind, name)
				}
				found++
				continue
			}
			names := key
			for _, line := range c.Machine.hosts() {
				if line.addr == a && (slices.Contains(line.names, key) || key == a.String()) {
					names = strings.Join(line.names, " ")
				}
			}
			c.printf("%-15s %s\n", a, names)
			found++
			break
		}
		if found == 0 {
			code = 2
		}
	}
	return code
}
