package machine

import (
	"cmp"
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
				current |= info.Mode() & fs.ModeSetgid // inherited from its directory
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
	dir := cmp.Or(c.Env("TMPDIR"), "/tmp")
	if len(o.rest) > 0 {
		template = o.rest[0]
		if !o.has("t", "p", "tmpdir") {
			dir = c.Dir
		}
	}
	dir = cmp.Or(o.value("p", "tmpdir"), dir)
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
