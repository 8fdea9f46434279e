package machine

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

func dpkgQuery(_ context.Context, c *Call) int {
	o, ok := c.options("Wf:lLsS", "show", "showformat=", "list", "listfiles", "status", "search", "no-pager", "load-avail")
	if !ok {
		return 2
	}
	switch {
	case o.has("l", "list"):
		return c.dpkgList(o.rest)
	case o.has("L", "listfiles"):
		return c.dpkgFiles(o.rest)
	case o.has("s", "status"):
		return c.dpkgStatus(o.rest)
	case o.has("S", "search"):
		return c.dpkgSearch(o.rest)
	case !o.has("W", "show"):
		fmt.Fprintln(c.Stderr, "dpkg-query: error: need an action option\n\nUse --help for help about querying packages.")
		return 2
	}
	format := "${binary:Package}\t${Version}\n"
	if o.has("f", "showformat") {
		format = o.value("f", "showformat")
	}
	show := func(i installation) int {
		text, err := dpkgFormat(format, i.field)
		if err != nil {
			fmt.Fprintf(c.Stderr, "dpkg-query: error: error in show format: %v\n", err)
			return 2
		}
		c.printf("%s", text)
		return 0
	}
	all := c.Machine.packages.all()
	if len(o.rest) == 0 {
		for _, i := range all {
			if code := show(i); code != 0 {
				return code
			}
		}
		return 0
	}
	code := 0
	var missing []string
	var matched []installation
	for _, pattern := range o.rest {
		bare, _, _ := strings.Cut(pattern, ":")
		found := false
		for _, i := range all {
			if ok, err := path.Match(bare, i.pkg.Name); err == nil && ok {
				found = true
				if !slices.ContainsFunc(matched, func(m installation) bool { return m.pkg.Name == i.pkg.Name }) {
					matched = append(matched, i)
				}
			}
		}
		if !found {
			missing = append(missing, pattern)
		}
	}
	slices.SortFunc(matched, func(a, b installation) int { return strings.Compare(a.pkg.Name, b.pkg.Name) })
	for _, i := range matched {
		if code := show(i); code != 0 {
			return code
		}
	}
	for _, pattern := range missing {
		fmt.Fprintf(c.Stderr, "dpkg-query: no packages found matching %s\n", pattern)
		code = 1
	}
	return code
}

func (c *Call) dpkgList(patterns []string) int {
	header := "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ Name           Version      Architecture Description\n+++-==============-============-============-=================================\n"
	var lines []string
	for _, i := range c.Machine.packages.all() {
		matched := len(patterns) == 0
		for _, p := range patterns {
			ok, err := path.Match(p, i.pkg.Name)
			matched = matched || ok && err == nil
		}
		if matched {
			_, _, abbrev := i.words()
			lines = append(lines, fmt.Sprintf("%s %-14s %-12s %-12s %s", abbrev, i.pkg.Name, i.pkg.Version, architecture, i.pkg.Name))
		}
	}
	if len(lines) == 0 {
		for _, p := range patterns {
			fmt.Fprintf(c.Stderr, "dpkg-query: no packages found matching %s\n", p)
		}
		return 1
	}
	c.printf("%s%s\n", header, strings.Join(lines, "\n"))
	return 0
}

func (c *Call) notInstalled(name string) int {
	fmt.Fprintf(c.Stderr, "dpkg-query: package '%s' is not installed\nUse dpkg --contents (= dpkg-deb --contents) to list archive files contents.\n", name)
	return 1
}

func (c *Call) dpkgFiles(names []string) int {
	for _, name := range names {
		i, ok := c.Machine.packages.get(name)
		if !ok {
			return c.notInstalled(name)
		}
		c.printf("/.\n")
		for _, file := range i.pkg.paths() {
			c.printf("%s\n", file)
		}
	}
	return 0
}

func (c *Call) dpkgSearch(files []string) int {
	code := 0
	for _, file := range files {
		found := false
		for _, i := range c.Machine.packages.all() {
			if slices.Contains(i.pkg.paths(), file) {
				c.printf("%s: %s\n", i.pkg.Name, file)
				found = true
			}
		}
		if !found {
			fmt.Fprintf(c.Stderr, "dpkg-query: no path found matching pattern %s\n", file)
			code = 1
		}
	}
	return code
}

func (c *Call) dpkgStatus(names []string) int {
	code := 0
	for _, name := range names {
		i, ok := c.Machine.packages.get(name)
		if !ok {
			fmt.Fprintf(c.Stderr, "dpkg-query: package '%s' is not installed and no information is available\nUse dpkg --info (= dpkg-deb --info) to examine archive files.\n", name)
			code = 1
			continue
		}
		c.printf("%s\n", i.stanza())
	}
	return code
}
