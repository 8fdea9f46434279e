package machine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

// destination returns the path to which mv, cp and ln write a source: target or, if that is a directory, a path in it.
func (c *Call) destination(source, target string, noDir bool) string {
	if info, err := c.view().Stat(c.Path(target)); err == nil && info.IsDir() && !noDir {
		return path.Join(c.Path(target), path.Base(source))
	}
	return c.Path(target)
}

// operands separates the sources from the target.
func (c *Call) operands(o options) (sources []string, target string, ok bool) {
	if t := o.value("t", "target-directory"); t != "" {
		return o.rest, t, len(o.rest) > 0
	}
	if len(o.rest) == 0 {
		c.Errorf("missing file operand\nTry '%s --help' for more information.", c.Argv[0])
		return nil, "", false
	}
	if len(o.rest) == 1 {
		c.Errorf("missing destination file operand after '%s'\nTry '%s --help' for more information.", o.rest[0], c.Argv[0])
		return nil, "", false
	}
	return o.rest[:len(o.rest)-1], o.rest[len(o.rest)-1], true
}

func mv(_ context.Context, c *Call) int {
	o, ok := c.options("fTntv", "force", "no-target-directory", "no-clobber", "verbose")
	if !ok {
		return 2
	}
	sources, target, ok := c.operands(o)
	if !ok {
		return 1
	}
	v := c.view()
	code := 0
	for _, source := range sources {
		to := c.destination(source, target, o.has("T", "no-target-directory"))
		if _, _, err := v.LstatIfPossible(c.Path(source)); err != nil {
			code = c.Errorf("cannot stat '%s': %s", source, errText(err))
			continue
		}
		if _, _, err := v.LstatIfPossible(to); err == nil && o.has("n", "no-clobber") {
			continue
		}
		err := v.Rename(c.Path(source), to)
		if errors.Is(err, syscall.EXDEV) {
			if err = c.copyFile(c.Path(source), to, true, true); err == nil {
				err = v.RemoveAll(c.Path(source))
			}
		}
		if err != nil {
			code = c.Errorf("cannot move '%s' to '%s': %s", source, target, errText(err))
		}
	}
	return code
}

// copyFile copies a file, link or directory.
func (c *Call) copyFile(from, to string, keep, recursive bool) error {
	v := c.view()
	info, err := v.stat("cp", from, !keep)
	if err != nil {
		return err
	}
	uid, gid := owner(info)
	switch {
	case info.IsDir():
		if err := v.MkdirAll(to, info.Mode().Perm()); err != nil {
			return err
		}
		entries, err := afero.ReadDir(v, from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := c.copyFile(path.Join(from, e.Name()), path.Join(to, e.Name()), keep, recursive); err != nil {
				return err
			}
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := v.ReadlinkIfPossible(from)
		if err != nil {
			return err
		}
		if _, _, err := v.LstatIfPossible(to); err == nil {
			if err := v.Remove(to); err != nil {
				return err
			}
		}
		return v.SymlinkIfPossible(target, to)
	default:
		content, err := afero.ReadFile(v, from)
		if err != nil {
			return err
		}
		if err := afero.WriteFile(v, to, content, info.Mode().Perm()&^c.process.umaskNow()); err != nil {
			return err
		}
	}
	if !keep {
		return nil
	}
	if err := v.Chmod(to, info.Mode()&permBits); err != nil {
		return err
	}
	if c.User == "root" {
		if err := v.Chown(to, uid, gid); err != nil {
			return err
		}
	}
	return v.Chtimes(to, info.ModTime(), info.ModTime())
}

func cp(_ context.Context, c *Call) int {
	o, ok := c.options("aprRfdTnt:uvLP", "archive", "recursive", "force", "no-target-directory", "no-clobber", "preserve?", "target-directory=", "remove-destination", "attributes-only", "no-dereference")
	if !ok {
		return 2
	}
	sources, target, ok := c.operands(o)
	if !ok {
		return 1
	}
	code := 0
	recursive := o.has("a", "archive", "r", "R", "recursive")
	for _, source := range sources {
		to := c.destination(source, target, o.has("T", "no-target-directory"))
		info, err := c.view().Stat(c.Path(source))
		switch {
		case err != nil && !o.has("a", "d"):
			code = c.Errorf("cannot stat '%s': %s", source, errText(err))
			continue
		case err == nil && info.IsDir() && !recursive:
			code = c.Errorf("-r not specified; omitting directory '%s'", source)
			continue
		}
		if _, _, err := c.view().LstatIfPossible(to); err == nil && o.has("n", "no-clobber") {
			continue
		}
		everything := o.has("a", "archive") || strings.Contains(o.value("preserve"), "xattr") || o.value("preserve") == "all"
		copying := func() error {
			return c.copyFile(c.Path(source), to, o.has("a", "archive", "p", "preserve", "P", "no-dereference"), recursive)
		}
		if o.has("attributes-only") {
			copying = func() error { return c.copyAttributes(c.Path(source), to) }
		}
		err = copying()
		if err == nil && (everything || o.has("p", "preserve")) && !recursive {
			err = c.view().copyXattrs(c.Path(source), to, everything)
		}
		if err != nil {
			code = c.Errorf("cannot copy '%s' to '%s': %s", source, target, errText(err))
		}
	}
	return code
}

// copyAttributes gives a file the mode and the owner of another one, which must be a regular file.
func (c *Call) copyAttributes(from, to string) error {
	v := c.view()
	info, _, err := v.LstatIfPossible(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return syscall.EEXIST
	}
	if uid, gid := owner(info); c.User == "root" {
		err = v.chown(to, uid, gid, false)
	}
	return errors.Join(err, v.Chmod(to, info.Mode()&permBits))
}

func ln(_ context.Context, c *Call) int {
	o, ok := c.options("sfnTvrP", "physical", "symbolic", "force", "no-dereference", "no-target-directory")
	if !ok {
		return 2
	}
	if o.has("r") {
		return notSimulated(c, "-r")
	}
	if len(o.rest) == 1 {
		o.rest = append(o.rest, ".")
	}
	sources, target, ok := c.operands(o)
	if !ok {
		return 1
	}
	v := c.view()
	code := 0
	for _, source := range sources {
		to := c.Path(target)
		link, _, lerr := v.LstatIfPossible(to)
		isLink := lerr == nil && link.Mode()&fs.ModeSymlink != 0
		if !o.has("T", "no-target-directory") && !(o.has("n", "no-dereference") && isLink) {
			to = c.destination(source, target, false)
		}
		kind := "hard link"
		if o.has("s", "symbolic") {
			kind = "symbolic link"
		}
		var err error
		if info, _, there := v.LstatIfPossible(to); there == nil && o.has("f", "force") {
			if info.IsDir() {
				code = c.Errorf("%s: cannot overwrite directory", to)
				continue
			}
			err = v.Remove(to)
		}
		if err == nil && o.has("s", "symbolic") {
			err = v.SymlinkIfPossible(source, to)
		} else if err == nil {
			err = v.link(c.Path(source), to)
		}
		if err != nil {
			code = c.Errorf("failed to create %s '%s': %s", kind, strings.TrimPrefix(to, c.Dir+"/"), errText(err))
		}
	}
	return code
}

func installProgram(_ context.Context, c *Call) int {
	o, ok := c.options("dm:o:g:DTt:vp", "directory", "mode=", "owner=", "group=", "no-target-directory")
	if !ok {
		return 2
	}
	mode, valid := parseMode(cmp.Or(o.value("m", "mode"), "0755"), 0, false)
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
			given |= info.Mode() & fs.ModeSetgid // inherited from its directory
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
		_ = f.Close() // opened for reading only
		if err == nil {
			err = finish(to)
		}
		if err != nil {
			return c.Errorf("cannot create regular file '%s': %s", target, errText(err))
		}
	}
	return 0
}
