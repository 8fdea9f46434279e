package machine

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

func dpkg(_ context.Context, c *Call) int {
	o, ok := c.options("lsLSirPaEG", "list", "status", "listfiles", "search", "configure", "print-architecture", "print-foreign-architectures", "compare-versions", "audit", "install", "remove", "purge", "pending",
		"get-selections", "set-selections", "force-confold", "force-confdef", "force-confnew", "verify", "C")
	if !ok {
		return 2
	}
	switch {
	case o.has("print-architecture"):
		c.printf("%s\n", architecture)
		return 0
	case o.has("print-foreign-architectures"), o.has("audit"), o.has("verify"):
		return 0
	case o.has("compare-versions"):
		if len(o.rest) != 3 {
			fmt.Fprintln(c.Stderr, "dpkg: error: --compare-versions takes three arguments: <version> <relation> <version>")
			return 2
		}
		if compareBy(o.rest[0], o.rest[1], o.rest[2]) {
			return 0
		}
		return 1
	case o.has("l", "list"):
		return c.dpkgList(o.rest)
	case o.has("s", "status"):
		return c.dpkgStatus(o.rest)
	case o.has("L", "listfiles"):
		return c.dpkgFiles(o.rest)
	case o.has("S", "search"):
		return c.dpkgSearch(o.rest)
	case o.has("get-selections"):
		for _, i := range c.Machine.packages.all() {
			want, _, _ := i.words()
			c.printf("%-40s\t%s\n", i.pkg.Name, want)
		}
		return 0
	}
	if c.User != "root" {
		fmt.Fprintln(c.Stderr, "dpkg: error: requested operation requires superuser privilege")
		return 2
	}
	if by, left := c.Machine.aptLock(); left > 0 {
		fmt.Fprintf(c.Stderr, "dpkg: error: dpkg frontend lock was locked by another process with pid %d\nNote: removing the lock file is always wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n", lockPID(by))
		return 2
	}
	switch {
	case o.has("configure"):
		for _, i := range c.Machine.packages.all() {
			if i.status != statusHalfConfigured || !o.has("a", "pending") && !slices.Contains(o.rest, i.pkg.Name) {
				continue
			}
			if err := c.Machine.packages.configure(i.pkg.Name, c.Stdout, applyOptions{by: "dpkg", conffiles: forcedConffiles(o)}); err != nil {
				fmt.Fprintf(c.Stderr, "%v\nErrors were encountered while processing:\n %s\n", err, i.pkg.Name)
				return 1
			}
			c.Machine.Record("dpkg", "configure "+i.pkg.Name)
		}
		return 0
	case o.has("r", "P", "remove", "purge"):
		for _, name := range o.rest {
			if err := c.Machine.packages.remove(name, o.has("P", "purge"), c.Stdout, applyOptions{by: "dpkg"}); err != nil {
				fmt.Fprintf(c.Stderr, "%v\nErrors were encountered while processing:\n %s\n", err, name)
				return 1
			}
		}
		return 0
	case o.has("set-selections"):
		content, err := io.ReadAll(c.Stdin)
		if err != nil {
			return c.Errorf("%s", errText(err))
		}
		for line := range strings.Lines(string(content)) {
			if f := strings.Fields(line); len(f) == 2 {
				c.Machine.packages.hold(f[0], f[1] == "hold")
				c.Machine.Record("dpkg", "select "+f[0]+" "+f[1])
			}
		}
		return 0
	}
	return notSimulated(c, strings.Join(c.Argv[1:], " "))
}

func forcedConffiles(o options) conffilePolicy {
	switch {
	case o.has("force-confnew"):
		return conffileReplace
	case o.has("force-confold", "force-confdef"):
		return conffileKeep
	}
	return conffileAsk
}

func lockPID(by string) int { return 1000 + len(by)*37 }
