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
				target, _ := v.ReadlinkIfPossible(e.path) // a link that was just removed has no target
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

// printLong prints the lines of ls -l, with each column as wide as its widest value.
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

// human formats a size as -h does.
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
