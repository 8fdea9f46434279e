package machine

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// parseMode parses an octal or symbolic mode, as chmod does.
func parseMode(text string, current fs.FileMode, dir bool) (fs.FileMode, bool) {
	if n, err := strconv.ParseUint(text, 8, 32); err == nil {
		mode := fileMode(uint32(n))
		if dir && len(text) < 5 { // a directory keeps these bits unless the mode has five digits
			mode |= current & (fs.ModeSetuid | fs.ModeSetgid)
		}
		return mode, n <= 0o7777
	}
	mode := unixPerm(current)
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, false
		}
		who := clause[:at]
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		rest := clause[at:]
		for rest != "" {
			op := rest[0]
			end := strings.IndexAny(rest[1:], "+-=") + 1
			if end == 0 {
				end = len(rest)
			}
			perms := rest[1:end]
			rest = rest[end:]
			var bits, mask uint32
			for _, w := range who {
				shift := map[rune]uint32{'u': 6, 'g': 3, 'o': 0}[w]
				if w != 'u' && w != 'g' && w != 'o' {
					return 0, false
				}
				mask |= 7 << shift
				for _, p := range perms {
					switch {
					case p == 'r':
						bits |= 4 << shift
					case p == 'w':
						bits |= 2 << shift
					case p == 'x', p == 'X' && (dir || mode&0o111 != 0):
						bits |= 1 << shift
					case p == 's' && w == 'u':
						bits |= 0o4000
					case p == 's' && w == 'g':
						bits |= 0o2000
					case p == 't':
						bits |= 0o1000
					case strings.ContainsRune("Xso", p):
					default:
						return 0, false
					}
				}
			}
			switch op {
			case '+':
				mode |= bits
			case '-':
				mode &^= bits
			case '=':
				mode = mode&^mask | bits
			}
		}
	}
	return fileMode(mode), true
}

func chmod(_ context.Context, c *Call) int {
	// A mode such as -x looks like an option.
	args := []string{}
	mode := ""
	for _, arg := range c.Argv[1:] {
		if mode == "" && len(arg) > 1 && (arg[0] != '-' || strings.IndexByte("rwxXst", arg[1]) >= 0) && !strings.HasPrefix(arg, "--") {
			mode = arg
			continue
		}
		args = append(args, arg)
	}
	o, ok := c.parse(args, "Rvcf", "recursive", "verbose", "quiet", "reference=")
	if !ok {
		return 2
	}
	if mode == "" || len(o.rest) == 0 {
		return c.Errorf("missing operand\nTry 'chmod --help' for more information.")
	}
	if _, valid := parseMode(mode, 0, false); !valid {
		return c.Errorf("invalid mode: ‘%s’\nTry 'chmod --help' for more information.", mode)
	}
	return c.changeFiles("changing permissions of", o.rest, true, o.has("R", "recursive"), func(file string, info fs.FileInfo) error {
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil
		}
		m, _ := parseMode(mode, info.Mode(), info.IsDir())
		if m == info.Mode()&permBits {
			return nil
		}
		return c.view().Chmod(file, m)
	})
}

// changeFiles calls change for each of the named files and, if recursive, for everything below them.
func (c *Call) changeFiles(doing string, names []string, follow, recursive bool, change func(file string, info fs.FileInfo) error) (code int) {
	for _, name := range names {
		info, err := c.view().stat(path.Base(c.Argv[0]), c.Path(name), follow)
		switch {
		case err != nil:
			code = c.Errorf("cannot access '%s': %s", name, errText(err))
			continue
		case recursive:
			err = c.walk(c.Path(name), change)
		default:
			err = change(c.Path(name), info)
		}
		if err != nil {
			code = c.Errorf("%s '%s': %s", doing, name, errText(err))
		}
	}
	return code
}

// ownership resolves "user:group" to numbers; -1 leaves one unchanged.
func (c *Call) ownership(spec string) (uid, gid int, err error) {
	uid, gid = -1, -1
	user, grp, has := strings.Cut(spec, ":")
	if user != "" {
		if a, ok := c.Machine.account(user); ok {
			uid = a.uid
			if has && grp == "" {
				gid = a.gid
			}
		} else if n, nerr := strconv.Atoi(user); nerr == nil {
			uid = n
		} else {
			return 0, 0, fmt.Errorf("invalid user: ‘%s’", spec)
		}
	}
	if grp != "" {
		if g, ok := c.Machine.group(grp); ok {
			gid = g.gid
		} else if n, nerr := strconv.Atoi(grp); nerr == nil {
			gid = n
		} else {
			return 0, 0, fmt.Errorf("invalid group: ‘%s’", spec)
		}
	}
	return uid, gid, nil
}

func chown(_ context.Context, c *Call) int {
	o, ok := c.options("hRvcf", "no-dereference", "recursive", "quiet")
	if !ok {
		return 2
	}
	if len(o.rest) < 2 {
		return c.Errorf("missing operand\nTry '%s --help' for more information.", path.Base(c.Argv[0]))
	}
	spec := o.rest[0]
	if path.Base(c.Argv[0]) == "chgrp" {
		spec = ":" + spec
	}
	uid, gid, err := c.ownership(spec)
	if err != nil {
		return c.Errorf("%v", err)
	}
	follow := !o.has("h", "no-dereference")
	recursive := o.has("R", "recursive")
	return c.changeFiles("changing ownership of", o.rest[1:], follow, recursive, func(file string, info fs.FileInfo) error {
		u, g := owner(info)
		if (uid < 0 || uid == u) && (gid < 0 || gid == g) && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 {
			return nil
		}
		return c.view().chown(file, uid, gid, follow && !recursive)
	})
}

func (c *Call) walk(name string, fn func(file string, info fs.FileInfo) error) error {
	info, err := c.view().stat("walk", name, false)
	if err != nil {
		return err
	}
	if err := fn(name, info); err != nil {
		return err
	}
	if !info.IsDir() {
		return nil
	}
	entries, err := afero.ReadDir(c.view(), name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.walk(path.Join(name, e.Name()), fn); err != nil {
			return err
		}
	}
	return nil
}
