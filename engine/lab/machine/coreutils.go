package machine

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

func coreutils() map[string]Program {
	return map[string]Program{
		"cat": cat, "head": head, "tail": tail, "stat": statProgram, "readlink": readlink, "realpath": readlink, "ls": ls,
		"mkdir": mkdir, "rmdir": rmdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln, "chmod": chmod, "chown": chown, "chgrp": chown,
		"install": installProgram, "touch": touch, "mktemp": mktemp, "sync": sync_, "dd": dd, "base64": base64Program,
		"md5sum": checksum(md5.New), "sha1sum": checksum(sha1.New), "sha256sum": checksum(sha256.New), "sha512sum": checksum(sha512.New),
		"tee": tee, "yes": yes, "true": func(context.Context, *Call) int { return 0 }, "false": func(context.Context, *Call) int { return 1 },
		"basename": basename, "dirname": dirname, "pwd": pwd, "echo": echoProgram, "which": which, "test": testProgram, "[": testProgram,
		"printf": printfProgram, "truncate": truncate, "cmp": cmpProgram, "find": find, "du": du,
	}
}

// viaShell runs the shell's builtin of a program's name.
func viaShell(ctx context.Context, c *Call) int {
	s := &shell{c: c, name: "bash"}
	return s.runText(ctx, `"$@"`, "bash", c.Argv)
}

func testProgram(ctx context.Context, c *Call) int {
	c.Argv[0] = path.Base(c.Argv[0])
	return viaShell(ctx, c)
}
func printfProgram(ctx context.Context, c *Call) int { c.Argv[0] = "printf"; return viaShell(ctx, c) }
func echoProgram(ctx context.Context, c *Call) int   { c.Argv[0] = "echo"; return viaShell(ctx, c) }

// input opens an operand for reading, "-" being the standard input.
func (c *Call) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.Stdin), nil
	}
	f, err := c.view().Open(c.Path(name))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // a directory holds nothing open
		return nil, syscall.EISDIR
	}
	return f, nil
}

// ended turns errors of the standard streams into exit codes.
func (c *Call) ended(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return 141
	}
	return c.Errorf("write error: %s", errText(err))
}

func cat(_ context.Context, c *Call) int {
	o, ok := c.options("unAevE", "show-all", "number")
	if !ok {
		return 2
	}
	if o.has("A", "e", "v", "E", "show-all") {
		return notSimulated(c, "-A, -e, -v and -E")
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	code, line := 0, 0
	for _, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		if !o.has("n", "number") {
			_, err = io.Copy(c.Stdout, f)
		} else {
			var content []byte
			content, err = io.ReadAll(f)
			for text := range strings.Lines(string(content)) {
				line++
				c.printf("%6d\t%s", line, text)
			}
		}
		_ = f.Close() // only read
		if err != nil {
			return c.ended(err)
		}
	}
	return code
}

// size parses "10", "1K", "2M", "1kB".
func size(text string) (int64, bool) {
	unit := int64(1)
	for suffix, factor := range map[string]int64{"kB": 1000, "K": 1 << 10, "KiB": 1 << 10, "k": 1 << 10, "M": 1 << 20, "MB": 1e6, "MiB": 1 << 20, "G": 1 << 30, "b": 512} {
		if number, ok := strings.CutSuffix(text, suffix); ok && number != "" && digit(number[len(number)-1]) {
			text, unit = number, factor
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n * unit, err == nil
}

// legacyCount turns head -20 into head -n 20.
func legacyCount(args []string) []string {
	if len(args) > 1 && len(args[1]) > 1 && args[1][0] == '-' && digit(args[1][1]) {
		return append([]string{args[0], "-n", args[1][1:]}, args[2:]...)
	}
	return args
}

func head(_ context.Context, c *Call) int {
	c.Argv = legacyCount(c.Argv)
	o, ok := c.options("c:n:vqz", "bytes=", "lines=", "verbose", "quiet", "silent")
	if !ok {
		return 2
	}
	byBytes := o.has("c", "bytes")
	text := cmpOr(o.value("c", "bytes"), o.value("n", "lines"), "10")
	count, valid := size(text)
	if !valid {
		kind := "lines"
		if byBytes {
			kind = "bytes"
		}
		return c.Errorf("invalid number of %s: ‘%s’", kind, text)
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	headers := (len(o.rest) > 1 || o.has("v", "verbose")) && !o.has("q", "quiet", "silent")
	code, printed := 0, false
	for _, name := range o.rest {
		f, err := c.input(name)
		if errors.Is(err, syscall.EISDIR) {
			if headers {
				c.header(name, &printed)
			}
			code = c.Errorf("error reading '%s': Is a directory", name)
			continue
		}
		if err != nil {
			code = c.Errorf("cannot open '%s' for reading: %s", name, errText(err))
			continue
		}
		if headers {
			c.header(name, &printed)
		}
		switch {
		case byBytes && count >= 0:
			// Exactly count bytes are read: what follows belongs to the next reader of a pipe.
			_, err = io.CopyBuffer(struct{ io.Writer }{c.Stdout}, struct{ io.Reader }{io.LimitReader(f, count)}, make([]byte, min(count+1, 64<<10)))
		case byBytes || count < 0:
			var content []byte
			content, err = io.ReadAll(f)
			if byBytes {
				content = content[:max(0, int64(len(content))+count)]
			} else {
				lines := strings.SplitAfter(string(content), "\n")
				if lines[len(lines)-1] == "" {
					lines = lines[:len(lines)-1]
				}
				content = []byte(strings.Join(lines[:max(0, len(lines)+int(count))], ""))
			}
			if err == nil {
				_, err = c.Stdout.Write(content)
			}
		default:
			err = copyLines(c.Stdout, f, count)
		}
		_ = f.Close() // only read
		if err != nil {
			return c.ended(err)
		}
	}
	return code
}

func (c *Call) header(name string, printed *bool) {
	if name == "-" {
		name = "standard input"
	}
	if *printed {
		c.printf("\n")
	}
	*printed = true
	c.printf("==> %s <==\n", name)
}

func copyLines(w io.Writer, r io.Reader, count int64) error {
	buf := make([]byte, 4096)
	for count > 0 {
		n, err := r.Read(buf)
		out := buf[:n]
		for i, b := range out {
			if b == '\n' {
				if count--; count == 0 {
					out = out[:i+1]
					break
				}
			}
		}
		if _, werr := w.Write(out); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func tail(_ context.Context, c *Call) int {
	c.Argv = legacyCount(c.Argv)
	o, ok := c.options("c:n:vq", "bytes=", "lines=", "quiet", "verbose")
	if !ok {
		return 2
	}
	text := cmpOr(o.value("c", "bytes"), o.value("n", "lines"), "10")
	fromStart := strings.HasPrefix(text, "+")
	count, valid := size(strings.TrimLeft(text, "+-"))
	if !valid {
		return c.Errorf("invalid number of lines: ‘%s’", text)
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	code, printed := 0, false
	for _, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			code = c.Errorf("cannot open '%s' for reading: %s", name, errText(err))
			continue
		}
		content, err := io.ReadAll(f)
		_ = f.Close() // only read
		if err != nil {
			return c.ended(err)
		}
		if (len(o.rest) > 1 || o.has("v", "verbose")) && !o.has("q", "quiet") {
			c.header(name, &printed)
		}
		var parts []string
		if o.has("c", "bytes") {
			for i := range content {
				parts = append(parts, string(content[i:i+1]))
			}
		} else if parts = strings.SplitAfter(string(content), "\n"); parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		from := max(0, len(parts)-int(count))
		if fromStart {
			from = min(max(int(count)-1, 0), len(parts))
		}
		if _, err := io.WriteString(c.Stdout, strings.Join(parts[from:], "")); err != nil {
			return c.ended(err)
		}
	}
	return code
}

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
			m, valid := parseMode(o.value("m", "mode"), 0o777, true)
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
	o, ok := c.options("aprRfdTnt:uvL", "archive", "recursive", "force", "no-target-directory", "no-clobber", "preserve?", "target-directory=", "remove-destination")
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
		if err := c.copyFile(c.Path(source), to, o.has("a", "archive", "p", "preserve"), recursive); err != nil {
			code = c.Errorf("cannot copy '%s' to '%s': %s", source, target, errText(err))
		}
	}
	return code
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
	o, ok := c.options("sfnTvr", "symbolic", "force", "no-dereference", "no-target-directory")
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

func sync_(_ context.Context, c *Call) int {
	o, ok := c.options("df", "data", "file-system")
	if !ok {
		return 2
	}
	code := 0
	for _, name := range o.rest {
		if _, err := c.view().Stat(c.Path(name)); err != nil {
			code = c.Errorf("error opening '%s': %s", name, errText(err))
		}
	}
	return code
}

func checksum(algorithm func() hash.Hash) Program {
	return func(_ context.Context, c *Call) int {
		o, ok := c.options("bctwz", "check", "binary", "status", "quiet", "strict")
		if !ok {
			return 2
		}
		if len(o.rest) == 0 {
			o.rest = []string{"-"}
		}
		code := 0
		digest := func(name string) (string, bool) {
			f, err := c.input(name)
			if err == nil {
				defer f.Close()
				var content []byte
				if content, err = io.ReadAll(f); err == nil {
					return digestOf(algorithm(), content), true
				}
			}
			code = c.Errorf("%s: %s", name, errText(err))
			return "", false
		}
		for _, name := range o.rest {
			if !o.has("c", "check") {
				if sum, ok := digest(name); ok {
					c.printf("%s  %s\n", sum, name)
				}
				continue
			}
			f, err := c.input(name)
			if err != nil {
				return c.Errorf("%s: %s", name, errText(err))
			}
			list, _ := io.ReadAll(f) // what cannot be read cannot be checked: no line matches then
			_ = f.Close()            // only read
			bad := 0
			for line := range strings.Lines(string(list)) {
				want, file, ok := strings.Cut(strings.TrimSpace(line), " ")
				file = strings.TrimLeft(file, " *")
				if !ok {
					continue
				}
				got, ok := digest(file)
				verdict := "OK"
				if !ok || got != strings.ToLower(want) {
					verdict = "FAILED"
					bad++
				}
				if !o.has("status") && !(o.has("quiet") && verdict == "OK") {
					c.printf("%s: %s\n", file, verdict)
				}
			}
			if bad > 0 {
				code = 1
				if !o.has("status") {
					c.Errorf("WARNING: %d computed checksum did NOT match", bad)
				}
			}
		}
		return code
	}
}

func base64Program(_ context.Context, c *Call) int {
	o, ok := c.options("dw:i", "decode", "wrap=", "ignore-garbage")
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		o.rest = []string{"-"}
	}
	f, err := c.input(o.rest[0])
	if err != nil {
		return c.Errorf("%s: %s", o.rest[0], errText(err))
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return c.Errorf("read error: %s", errText(err))
	}
	if o.has("d", "decode") {
		decoded, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(content), "\n", ""))
		if err != nil {
			return c.Errorf("invalid input")
		}
		_, err = c.Stdout.Write(decoded)
		return c.ended(err)
	}
	encoded := base64.StdEncoding.EncodeToString(content)
	width, err := strconv.Atoi(cmpOr(o.value("w", "wrap"), "76"))
	if err != nil {
		return c.Errorf("invalid wrap size: ‘%s’", o.value("w", "wrap"))
	}
	for width > 0 && len(encoded) > 0 {
		n := min(width, len(encoded))
		c.printf("%s\n", encoded[:n])
		encoded = encoded[n:]
	}
	c.printf("%s", encoded)
	return 0
}

func tee(_ context.Context, c *Call) int {
	o, ok := c.options("ai", "append")
	if !ok {
		return 2
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.has("a", "append") {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	writers := []io.Writer{c.Stdout}
	code := 0
	for _, name := range o.rest {
		f, err := c.view().OpenFile(c.Path(name), flag, 0o666&^c.process.umaskNow())
		if err != nil {
			code = c.Errorf("%s: %s", name, errText(err))
			continue
		}
		defer f.Close()
		writers = append(writers, f)
	}
	if _, err := io.Copy(io.MultiWriter(writers...), c.Stdin); err != nil {
		return c.ended(err)
	}
	return code
}

func yes(ctx context.Context, c *Call) int {
	text := "y"
	if len(c.Argv) > 1 {
		text = strings.Join(c.Argv[1:], " ")
	}
	block := []byte(strings.Repeat(text+"\n", 512))
	for ctx.Err() == nil {
		if _, err := c.Stdout.Write(block); err != nil {
			return c.ended(err)
		}
		if !c.process.deadline.IsZero() {
			c.Spend(1e6)
		}
	}
	return 0
}

func basename(_ context.Context, c *Call) int {
	o, ok := c.options("+as:", "multiple", "suffix=")
	if !ok {
		return 2
	}
	names := o.rest
	suffix := o.value("s", "suffix")
	if !o.has("a", "s", "multiple", "suffix") && len(names) == 2 {
		names, suffix = names[:1], names[1]
	}
	for _, name := range names {
		b := path.Base(name)
		if b != suffix {
			b = strings.TrimSuffix(b, suffix)
		}
		c.printf("%s\n", b)
	}
	return 0
}

func dirname(_ context.Context, c *Call) int {
	for _, name := range c.Argv[1:] {
		c.printf("%s\n", path.Dir(strings.TrimRight(name, "/")+map[bool]string{true: "/", false: ""}[strings.Trim(name, "/") == ""]))
	}
	return 0
}

func pwd(_ context.Context, c *Call) int {
	c.printf("%s\n", c.Dir)
	return 0
}

func which(_ context.Context, c *Call) int {
	code := 0
	for _, name := range c.Argv[1:] {
		file, err := c.Machine.which(c, name)
		if err != nil {
			code = 1
			continue
		}
		c.printf("%s\n", file)
	}
	return code
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

func cmpProgram(_ context.Context, c *Call) int {
	o, ok := c.options("s", "silent", "quiet")
	if !ok || len(o.rest) != 2 {
		return 2
	}
	var contents [2][]byte
	for i, name := range o.rest {
		f, err := c.input(name)
		if err != nil {
			c.Errorf("%s: %s", name, errText(err))
			return 2
		}
		contents[i], err = io.ReadAll(f)
		_ = f.Close() // only read
		if err != nil {
			c.Errorf("%s: %s", name, errText(err))
			return 2
		}
	}
	a, b := contents[0], contents[1]
	line := 1
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			if !o.has("s", "silent", "quiet") {
				c.printf("%s %s differ: char %d, line %d\n", o.rest[0], o.rest[1], i+1, line)
			}
			return 1
		}
		if a[i] == '\n' {
			line++
		}
	}
	if len(a) != len(b) {
		if !o.has("s", "silent", "quiet") {
			short := o.rest[0]
			if len(b) < len(a) {
				short = o.rest[1]
			}
			c.Errorf("EOF on %s after byte %d", short, min(len(a), len(b)))
		}
		return 1
	}
	return 0
}

func dd(_ context.Context, c *Call) int {
	operands := map[string]string{"if": "-", "bs": "512"}
	for _, arg := range c.Argv[1:] {
		key, value, ok := strings.Cut(arg, "=")
		switch key {
		case "if", "of", "bs", "count", "status", "conv", "iflag", "oflag", "seek", "skip":
		default:
			ok = false
		}
		if !ok {
			return notSimulated(c, arg)
		}
		operands[key] = value
	}
	block, valid := size(operands["bs"])
	if !valid || block <= 0 {
		return c.Errorf("invalid number: ‘%s’", operands["bs"])
	}
	count := int64(-1)
	if text := operands["count"]; text != "" {
		if count, valid = size(text); !valid {
			return c.Errorf("invalid number: ‘%s’", text)
		}
	}
	in, err := c.input(operands["if"])
	if err != nil {
		return c.Errorf("failed to open '%s': %s", operands["if"], errText(err))
	}
	defer in.Close()
	var out io.Writer = c.Stdout
	if of := operands["of"]; of != "" {
		if d, ok := c.Machine.Disk(c.Path(of)); ok {
			if c.User != "root" {
				return c.Errorf("failed to open '%s': Permission denied", of)
			}
			if err := c.Machine.ChangeDisk(c.Path(of), func(d *Disk) { d.Use, d.UUID, d.Partitions = "", "", nil }); err != nil {
				return c.Errorf("%v", err)
			}
			c.Machine.Record("dd", "wipe /dev/"+d.Name)
			out = io.Discard
			if count < 0 {
				return c.Errorf("error writing '%s': No space left on device", of)
			}
		} else {
			f, err := c.view().OpenFile(c.Path(of), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666&^c.process.umaskNow())
			if err != nil {
				return c.Errorf("failed to open '%s': %s", of, errText(err))
			}
			defer f.Close()
			out = f
		}
	}
	var r io.Reader = in
	if skip, ok := size(cmpOr(operands["skip"], "0")); ok && skip > 0 {
		if _, err := io.CopyN(io.Discard, r, skip*block); err != nil && err != io.EOF {
			return c.Errorf("error reading '%s': %s", operands["if"], errText(err))
		}
	}
	if count >= 0 {
		r = io.LimitReader(r, count*block)
	}
	n, err := io.Copy(struct{ io.Writer }{out}, r)
	if operands["status"] != "none" {
		fmt.Fprintf(c.Stderr, "%d+%d records in\n%d+%d records out\n", n/block, min(n%block, 1), n/block, min(n%block, 1))
		if operands["status"] != "noxfer" {
			fmt.Fprintf(c.Stderr, "%d bytes copied, 0.001 s, 1.0 GB/s\n", n)
		}
	}
	if err != nil {
		return c.Errorf("error writing '%s': %s", cmpOr(operands["of"], "standard output"), errText(err))
	}
	return 0
}
