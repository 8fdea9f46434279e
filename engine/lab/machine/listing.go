package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/afero"
)

func ls(_ context.Context, c *Call) int {
	o, ok := c.options("laA1dhRnLrtFp", "all", "almost-all", "directory", "human-readable", "color?")
	if !ok {
		return 2
	}
	if o.has("R") {
		return notSimulated(c, "-R")
	}
	if len(o.rest) == 0 {
		o.rest = []string{"."}
	}
	v := c.view()
	code := 0
	type entry struct {
		name string
		path string
		info fs.FileInfo
	}
	show := func(entries []entry) {
		if o.has("t") {
			slices.SortStableFunc(entries, func(a, b entry) int { return b.info.ModTime().Compare(a.info.ModTime()) })
		}
		if o.has("r") {
			for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
				entries[i], entries[j] = entries[j], entries[i]
			}
		}
		var rows [][]string
		for _, e := range entries {
			suffix := ""
			if o.has("F", "p") && e.info.IsDir() {
				suffix = "/"
			}
			if !o.has("l", "n") {
				c.printf("%s%s\n", e.name, suffix)
				continue
			}
			d := details(e.info)
			user, group := c.Machine.userName(d.uid), c.Machine.groupName(d.gid)
			if o.has("n") {
				user, group = strconv.Itoa(d.uid), strconv.Itoa(d.gid)
			}
			size := strconv.FormatInt(d.size, 10)
			if o.has("h", "human-readable") {
				size = human(d.size)
			}
			arrow := ""
			if d.mode&fs.ModeSymlink != 0 {
				target, _ := v.ReadlinkIfPossible(e.path) // a link that went away meanwhile has no target
				arrow = " -> " + target
			}
			mode := modeText(d.mode)
			if d.acl != "" {
				mode += "+"
			}
			rows = append(rows, []string{mode, strconv.Itoa(d.links), user, group, size, d.mtime.UTC().Format("Jan _2 15:04"), e.name + suffix + arrow})
		}
		c.printLong(rows)
	}
	var files []entry
	var dirs []string
	for _, name := range o.rest {
		follow := !o.has("l", "d") || o.has("L")
		info, err := v.stat("ls", c.Path(name), follow)
		if errors.Is(err, fs.ErrNotExist) && follow {
			info, err = v.stat("ls", c.Path(name), false)
		}
		switch {
		case err != nil:
			c.Errorf("cannot access '%s': %s", name, errText(err))
			code = 2
		case info.IsDir() && !o.has("d", "directory"):
			dirs = append(dirs, name)
		default:
			files = append(files, entry{name, c.Path(name), info})
		}
	}
	slices.SortStableFunc(files, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	slices.Sort(dirs)
	show(files)
	for i, dir := range dirs {
		if len(o.rest) > 1 {
			if i > 0 || len(files) > 0 {
				c.printf("\n")
			}
			c.printf("%s:\n", dir)
		}
		children, err := afero.ReadDir(v, c.Path(dir))
		if err != nil {
			c.Errorf("cannot open directory '%s': %s", dir, errText(err))
			code = 2
			continue
		}
		if o.has("l", "n") {
			c.printf("total %d\n", len(children)*4)
		}
		var entries []entry
		if o.has("a", "all") {
			for name, at := range map[string]string{".": c.Path(dir), "..": path.Dir(path.Clean(c.Path(dir)))} {
				if info, err := v.Stat(at); err == nil {
					entries = append(entries, entry{name, at, info})
				}
			}
			slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		}
		for _, child := range children {
			if strings.HasPrefix(child.Name(), ".") && !o.has("a", "A", "all", "almost-all") {
				continue
			}
			entries = append(entries, entry{child.Name(), path.Join(c.Path(dir), child.Name()), child})
		}
		show(entries)
	}
	return code
}

// printLong prints the lines of ls -l, each column as wide as its widest value.
func (c *Call) printLong(rows [][]string) {
	widths := make([]int, 6)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	for _, row := range rows {
		c.printf("%s %*s %-*s %-*s %*s %s %s\n", row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3], widths[4], row[4], row[5], row[6])
	}
}

// human is a size as -h prints it.
func human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f := float64(n)
	for _, unit := range "KMGTPE" {
		f /= 1024
		if f < 1024 {
			if f < 10 {
				return fmt.Sprintf("%.1f%c", f, unit)
			}
			return fmt.Sprintf("%.0f%c", f, unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

func du(_ context.Context, c *Call) int {
	o, ok := c.options("shkb", "summarize", "human-readable", "bytes")
	if !ok {
		return 2
	}
	for _, name := range o.rest {
		var total int64
		if err := c.walk(c.Path(name), func(_ string, info fs.FileInfo) error { total += info.Size(); return nil }); err != nil {
			return c.Errorf("cannot access '%s': %s", name, errText(err))
		}
		text := strconv.FormatInt((total+1023)/1024, 10)
		switch {
		case o.has("h", "human-readable"):
			text = human(total)
		case o.has("b", "bytes"):
			text = strconv.FormatInt(total, 10)
		}
		c.printf("%s\t%s\n", text, name)
	}
	return 0
}

// find knows -name, -type, -maxdepth, -mindepth, -mmin, -newer, -print, -print0 and -delete, all of which must hold.
func find(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	var roots []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots, args = append(roots, args[0]), args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	maxDepth, minDepth, end := -1, 0, "\n"
	remove, quiet := false, false
	var tests []func(info fs.FileInfo) bool
	for len(args) > 0 {
		name := args[0]
		args = args[1:]
		value := ""
		switch name {
		case "-print":
			continue
		case "-print0":
			end = "\x00"
			continue
		case "-delete":
			remove, quiet = true, true
			continue
		case "-name", "-type", "-maxdepth", "-mindepth", "-mmin", "-newer":
			if len(args) == 0 {
				return c.Errorf("missing argument to `%s'", name)
			}
			value, args = args[0], args[1:]
		default:
			return notSimulated(c, name)
		}
		n, err := strconv.Atoi(strings.TrimLeft(value, "+-"))
		switch name {
		case "-name":
			tests = append(tests, func(info fs.FileInfo) bool { ok, err := path.Match(value, info.Name()); return ok && err == nil })
		case "-type":
			tests = append(tests, func(info fs.FileInfo) bool {
				return strings.Replace(modeText(info.Mode())[:1], "-", "f", 1) == value
			})
		case "-newer":
			reference, err := c.view().Stat(c.Path(value))
			if err != nil {
				return c.Errorf("‘%s’: %s", value, errText(err))
			}
			tests = append(tests, func(info fs.FileInfo) bool { return info.ModTime().After(reference.ModTime()) })
		case "-mmin":
			now := c.Machine.clock.Now()
			tests = append(tests, func(info fs.FileInfo) bool {
				age := int(now.Sub(info.ModTime()) / time.Minute)
				switch value[0] {
				case '+':
					return age > n
				case '-':
					return age < n
				}
				return age == n
			})
		case "-maxdepth":
			maxDepth = n
		case "-mindepth":
			minDepth = n
		}
		if err != nil && name != "-name" && name != "-type" && name != "-newer" {
			return c.Errorf("Expected a positive decimal integer argument to %s, but got ‘%s’", name, value)
		}
	}
	code := 0
	v := c.view()
	var visit func(shown string, depth int)
	visit = func(shown string, depth int) {
		info, err := v.stat("find", c.Path(shown), false)
		if err != nil {
			code = c.Errorf("‘%s’: %s", shown, errText(err))
			return
		}
		matches := depth >= minDepth
		for _, test := range tests {
			matches = matches && test(info)
		}
		if matches && !quiet {
			c.printf("%s%s", shown, end)
		}
		if info.IsDir() && depth != maxDepth {
			entries, err := afero.ReadDir(v, c.Path(shown))
			if err != nil {
				code = c.Errorf("‘%s’: %s", shown, errText(err))
			}
			for _, e := range entries {
				visit(strings.TrimSuffix(shown, "/")+"/"+e.Name(), depth+1)
			}
		}
		if matches && remove {
			if err := v.Remove(c.Path(shown)); err != nil {
				code = c.Errorf("cannot delete ‘%s’: %s", shown, errText(err))
			}
		}
	}
	for _, root := range roots {
		visit(root, 0)
	}
	return code
}
