package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/afero"
)

// parseMode reads an octal or symbolic mode as chmod does.
func parseMode(text string, current fs.FileMode, dir bool) (fs.FileMode, bool) {
	if n, err := strconv.ParseUint(text, 8, 32); err == nil {
		mode := fileMode(uint32(n))
		if dir && len(text) < 5 { // only five digits take these from a directory
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
	code := 0
	v := c.view()
	change := func(file string, info fs.FileInfo) error {
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil
		}
		m, valid := parseMode(mode, info.Mode(), info.IsDir())
		if !valid {
			return errMode
		}
		if m == info.Mode()&permBits {
			return nil
		}
		return v.Chmod(file, m)
	}
	for _, name := range o.rest {
		info, err := v.Stat(c.Path(name))
		switch {
		case err != nil:
			code = c.Errorf("cannot access '%s': %s", name, errText(err))
			continue
		case o.has("R", "recursive"):
			err = c.walk(c.Path(name), change)
		default:
			err = change(c.Path(name), info)
		}
		switch {
		case errors.Is(err, errMode):
			return c.Errorf("invalid mode: ‘%s’\nTry 'chmod --help' for more information.", mode)
		case err != nil:
			code = c.Errorf("changing permissions of '%s': %s", name, errText(err))
		}
	}
	return code
}

var errMode = errors.New("invalid mode")

// ownership resolves "user:group"; -1 keeps one.
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
	v := c.view()
	code := 0
	change := func(file string, info fs.FileInfo) error {
		u, g := owner(info)
		if (uid < 0 || uid == u) && (gid < 0 || gid == g) {
			return nil
		}
		return v.chown(file, uid, gid, !o.has("h", "no-dereference", "R", "recursive"))
	}
	for _, name := range o.rest[1:] {
		info, err := v.stat("chown", c.Path(name), !o.has("h", "no-dereference"))
		switch {
		case err != nil:
			code = c.Errorf("cannot access '%s': %s", name, errText(err))
			continue
		case o.has("R", "recursive"):
			err = c.walk(c.Path(name), change)
		default:
			err = change(c.Path(name), info)
		}
		if err != nil {
			code = c.Errorf("changing ownership of '%s': %s", name, errText(err))
		}
	}
	return code
}

func installProgram(_ context.Context, c *Call) int {
	o, ok := c.options("dm:o:g:DTt:vp", "directory", "mode=", "owner=", "group=", "no-target-directory")
	if !ok {
		return 2
	}
	mode, valid := parseMode(cmpOr(o.value("m", "mode"), "0755"), 0, false)
	if !valid {
		return c.Errorf("invalid mode ‘%s’", o.value("m", "mode"))
	}
	uid, gid, err := c.ownership(o.value("o", "owner") + ":" + o.value("g", "group"))
	if err != nil {
		return c.Errorf("%v", err)
	}
	v := c.view()
	finish := func(file string) error {
		given := mode
		if info, err := v.Stat(file); err == nil && info.IsDir() {
			given |= info.Mode() & fs.ModeSetgid // as its directory has given it
		}
		if err := v.Chmod(file, given); err != nil {
			return err
		}
		if uid >= 0 || gid >= 0 {
			return v.Chown(file, uid, gid)
		}
		return nil
	}
	if o.has("d", "directory") {
		for _, name := range o.rest {
			if err := errors.Join(v.MkdirAll(c.Path(name), 0o755), finish(c.Path(name))); err != nil {
				return c.Errorf("cannot create directory '%s': %s", name, errText(err))
			}
		}
		return 0
	}
	sources, target, ok := c.operands(o)
	if !ok {
		return 1
	}
	for _, source := range sources {
		to := c.destination(source, target, o.has("T", "no-target-directory"))
		if o.has("D") {
			if err := v.MkdirAll(path.Dir(to), 0o755); err != nil {
				return c.Errorf("cannot create directory '%s': %s", path.Dir(to), errText(err))
			}
		}
		f, err := c.input(strings.Replace(source, "/dev/stdin", "-", 1))
		if err != nil {
			return c.Errorf("cannot stat '%s': %s", source, errText(err))
		}
		err = afero.WriteReader(v, to, f)
		_ = f.Close() // only read
		if err == nil {
			err = finish(to)
		}
		if err != nil {
			return c.Errorf("cannot create regular file '%s': %s", target, errText(err))
		}
	}
	return 0
}
