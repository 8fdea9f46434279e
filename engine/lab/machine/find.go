package machine

import (
	"context"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/afero"
)

// find implements -name, -type, -maxdepth, -mindepth, -mmin, -newer, -print, -print0 and -delete; all tests must
// match.
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
