package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

func mkdir(_ context.Context, c *Call) int {
	o, ok := c.options("pm:v", "parents", "mode=", "verbose")
	if !ok {
		return 2
	}
	mode := fs.FileMode(0o777) &^ c.process.umaskNow()
	code := 0
	v := c.view()
	for _, name := range o.rest {
		file := c.Path(name)
		_, err := v.Stat(file)
		existed := err == nil
		switch {
		case o.has("p", "parents"):
			err = v.MkdirAll(file, mode)
		case existed:
			err = syscall.EEXIST
		default:
			err = v.Mkdir(file, mode)
		}
		if err == nil && o.has("m", "mode") && !(existed && o.has("p", "parents")) {
			current := fs.FileMode(0o777)
			if info, err := v.Stat(file); err == nil {
				current |= info.Mode() & fs.ModeSetgid // as its directory has given it
			}
			m, valid := parseMode(o.value("m", "mode"), current, true)
			if !valid {
				return c.Errorf("invalid mode ‘%s’", o.value("m", "mode"))
			}
			err = v.Chmod(file, m)
		}
		if err != nil {
			code = c.Errorf("cannot create directory ‘%s’: %s", name, errText(err))
		}
	}
	return code
}

func rmdir(_ context.Context, c *Call) int {
	o, ok := c.options("", "ignore-fail-on-non-empty")
	if !ok {
		return 2
	}
	code := 0
	for _, name := range o.rest {
		info, _, err := c.view().LstatIfPossible(c.Path(name))
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		if err == nil {
			err = c.view().Remove(c.Path(name))
		}
		if err != nil && !(errors.Is(err, syscall.ENOTEMPTY) && o.has("ignore-fail-on-non-empty")) {
			code = c.Errorf("failed to remove '%s': %s", name, errText(err))
		}
	}
	return code
}

func rm(_ context.Context, c *Call) int {
	o, ok := c.options("rRfdv", "recursive", "force", "one-file-system", "preserve-root")
	if !ok {
		return 2
	}
	recursive, force := o.has("r", "R", "recursive"), o.has("f", "force")
	if len(o.rest) == 0 && !force {
		return c.Errorf("missing operand\nTry 'rm --help' for more information.")
	}
	code := 0
	v := c.view()
	for _, name := range o.rest {
		file := c.Path(name)
		info, _, err := v.LstatIfPossible(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && force, errors.Is(err, syscall.ENOTDIR) && force:
			continue
		case err == nil && path.Clean(file) == "/":
			code = c.Errorf("it is dangerous to operate recursively on '/'\nrm: use --no-preserve-root to override this failsafe")
			continue
		case err == nil && info.IsDir() && !recursive && !o.has("d"):
			err = syscall.EISDIR
		case err == nil && recursive:
			err = v.RemoveAll(file)
		case err == nil:
			err = v.Remove(file)
		}
		if err != nil {
			code = c.Errorf("cannot remove '%s': %s", name, errText(err))
		}
	}
	return code
}

// destination is where mv, cp and ln put a source: in target if that is a directory.
func (c *Call) destination(source, target string, noDir bool) string {
	if info, err := c.view().Stat(c.Path(target)); err == nil && info.IsDir() && !noDir {
		return path.Join(c.Path(target), path.Base(source))
	}
	return c.Path(target)
}

// operands splits the sources from the target.
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

// copyAttributes gives a file mode and owner of another, which may be no link.
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

// link makes a hard link.
func (v view) link(from, to string) error {
	src, info, err := v.resolve(from, false)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return fail("link", from, err)
	}
	dst, there, err := v.resolve(to, false)
	if err == nil && there != nil {
		err = syscall.EEXIST
	}
	if err == nil {
		err = v.parent(dst)
	}
	if a, _ := v.m.mounts.at(src); err == nil && a != nil {
		err = syscall.EPERM
	}
	if b, _ := v.m.mounts.at(dst); err == nil && b != nil {
		err = syscall.EXDEV
	}
	if err == nil && info.IsDir() {
		err = syscall.EPERM
	}
	// fs.protected_hardlinks, which Debian sets: only of one's own, or of what one may read and write.
	if uid, _ := owner(details(info)); err == nil && v.cred.uid != 0 && uid != v.cred.uid && !(info.Mode().IsRegular() && v.may(info, 6)) {
		err = syscall.EPERM
	}
	if err != nil {
		return fail("link", to, err)
	}
	t := v.m.tree
	t.mu.Lock()
	err = t.put(dst, t.own(src))
	t.mu.Unlock()
	if err == nil {
		v.record("link %s to %s", dst, src)
	}
	return fail("link", to, err)
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

func touch(_ context.Context, c *Call) int {
	o, ok := c.options("cam", "no-create")
	if !ok {
		return 2
	}
	v := c.view()
	code := 0
	for _, name := range o.rest {
		file := c.Path(name)
		_, err := v.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && o.has("c", "no-create"):
			continue
		case errors.Is(err, fs.ErrNotExist):
			var f afero.File
			if f, err = v.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o666&^c.process.umaskNow()); err == nil {
				err = f.Close()
			}
		case err == nil:
			now := c.Machine.clock.Now()
			err = v.Chtimes(file, now, now)
		}
		if err != nil {
			code = c.Errorf("cannot touch '%s': %s", name, errText(err))
		}
	}
	return code
}

func mktemp(_ context.Context, c *Call) int {
	o, ok := c.options("dup:tq", "directory", "tmpdir?", "suffix=", "dry-run")
	if !ok {
		return 2
	}
	template := "tmp.XXXXXXXXXX"
	dir := cmpOr(c.Env("TMPDIR"), "/tmp")
	if len(o.rest) > 0 {
		template = o.rest[0]
		if !o.has("t", "p", "tmpdir") {
			dir = c.Dir
		}
	}
	dir = cmpOr(o.value("p", "tmpdir"), dir)
	body := strings.TrimRight(template, "X")
	if len(template)-len(body) < 3 {
		return c.Errorf("too few X's in template ‘%s’", template)
	}
	name := body + rand.Text()[:min(len(template)-len(body), 26)] + o.value("suffix")
	file := name
	if !path.IsAbs(name) {
		file = path.Join(dir, name)
	}
	shown := file
	if len(o.rest) > 0 && !o.has("t", "p", "tmpdir") {
		shown = name
	}
	v := c.view()
	var err error
	switch {
	case o.has("u", "dry-run"):
	case o.has("d", "directory"):
		err = v.Mkdir(file, 0o700)
	default:
		var f afero.File
		if f, err = v.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		kind := "file"
		if o.has("d", "directory") {
			kind = "directory"
		}
		return c.Errorf("failed to create %s via template ‘%s’: %s", kind, path.Join(path.Dir(file), path.Base(template)), errText(err))
	}
	c.printf("%s\n", shown)
	return 0
}

func truncate(_ context.Context, c *Call) int {
	o, ok := c.options("s:c", "size=")
	if !ok {
		return 2
	}
	n, valid := size(o.value("s", "size"))
	if !valid {
		return c.Errorf("Invalid number: ‘%s’", o.value("s", "size"))
	}
	for _, name := range o.rest {
		f, err := c.view().OpenFile(c.Path(name), os.O_WRONLY|os.O_CREATE, 0o666&^c.process.umaskNow())
		if err == nil {
			err = errors.Join(f.Truncate(n), f.Close())
		}
		if err != nil {
			return c.Errorf("cannot open '%s' for writing: %s", name, errText(err))
		}
	}
	return 0
}
