package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// Owned is what the FileInfo of a mounted file system implements to say whom a file belongs to.
// Without it a file belongs to root. (pkg/sftp knows the same interface.)
type Owned interface {
	Uid() uint32
	Gid() uint32
}

// credentials are who looks at the files.
type credentials struct {
	uid, gid int
	groups   []int
}

// view is a machine's files, mounts included, as one user sees them. What it changes is recorded
// under the name by; an empty name records nothing.
type view struct {
	m    *Machine
	cred credentials
	by   string
}

var (
	_ afero.Fs         = view{}
	_ afero.Symlinker  = view{}
	_ afero.Lstater    = view{}
	_ afero.LinkReader = view{}
)

const maxLinks = 40

func (v view) Name() string { return "machine " + v.m.name }

func fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: errno(err)}
}

// errno turns the errors of any file system into those of the kernel.
func errno(err error) error {
	var number syscall.Errno
	switch {
	case errors.As(err, &number):
		return number
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, afero.ErrFileNotFound):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist), errors.Is(err, afero.ErrDestinationExists):
		return syscall.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	}
	return err
}

func (v view) may(info fs.FileInfo, want fs.FileMode) bool {
	if v.cred.uid == 0 {
		return true
	}
	mode := info.Mode().Perm()
	uid, gid := owner(info)
	if uid == v.cred.uid {
		return mode>>6&want == want
	}
	in := gid == v.cred.gid
	for _, g := range v.cred.groups {
		in = in || g == gid
	}
	if in {
		return mode>>3&want == want
	}
	return mode&want == want
}

func owner(info fs.FileInfo) (uid, gid int) {
	if o, ok := info.(Owned); ok {
		return int(o.Uid()), int(o.Gid())
	}
	return 0, 0
}

// lstat looks at a resolved path.
func (v view) lstat(p string) (fs.FileInfo, error) {
	if mounted, rel := v.m.mounts.at(p); mounted != nil {
		if l, ok := mounted.(afero.Lstater); ok {
			info, _, err := l.LstatIfPossible(rel)
			return info, err
		}
		return mounted.Stat(rel)
	}
	t := v.m.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.lookup(p)
	if n == nil {
		return nil, syscall.ENOENT
	}
	return n.info(path.Base(p)), nil
}

func (v view) readlink(p string) (string, error) {
	if mounted, rel := v.m.mounts.at(p); mounted != nil {
		if l, ok := mounted.(afero.LinkReader); ok {
			return l.ReadlinkIfPossible(rel)
		}
		return "", syscall.EINVAL
	}
	t := v.m.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.lookup(p)
	switch {
	case n == nil:
		return "", syscall.ENOENT
	case n.mode&fs.ModeSymlink == 0:
		return "", syscall.EINVAL
	}
	return n.target, nil
}

// resolve follows links, the last part's only if follow is set. A path whose last part does not
// exist resolves too; then info is nil.
func (v view) resolve(name string, follow bool) (resolved string, info fs.FileInfo, err error) {
	if !path.IsAbs(name) {
		name = "/" + name
	}
	parts := split(name)
	at, links := "/", 0
	info, err = v.lstat("/")
	if err != nil {
		return "", nil, err
	}
	for i := 0; i < len(parts); i++ {
		part := parts[i]
		if info == nil {
			return "", nil, syscall.ENOENT
		}
		if !info.IsDir() {
			return "", nil, syscall.ENOTDIR
		}
		if !v.may(info, 1) {
			return "", nil, syscall.EACCES
		}
		switch part {
		case ".":
			continue
		case "..":
			at = path.Dir(at)
			if info, err = v.lstat(at); err != nil {
				return "", nil, err
			}
			continue
		}
		next := path.Join(at, part)
		found, err := v.lstat(next)
		switch {
		case errors.Is(errno(err), syscall.ENOENT):
			info, at = nil, next
			continue
		case err != nil:
			return "", nil, err
		}
		last := i == len(parts)-1
		if found.Mode()&fs.ModeSymlink != 0 && (!last || follow || strings.HasSuffix(name, "/")) {
			if links++; links > maxLinks {
				return "", nil, syscall.ELOOP
			}
			target, err := v.readlink(next)
			if err != nil {
				return "", nil, err
			}
			parts = append(split(target), parts[i+1:]...)
			i = -1
			if path.IsAbs(target) {
				at = "/"
				if info, err = v.lstat("/"); err != nil {
					return "", nil, err
				}
			}
			continue
		}
		at, info = next, found
	}
	return at, info, nil
}

// parent checks that the directory of a resolved path exists and may be changed.
func (v view) parent(resolved string) error {
	info, err := v.lstat(path.Dir(resolved))
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return syscall.ENOTDIR
	case !v.may(info, 3):
		return syscall.EACCES
	case v.by != "" && v.m.kernelOwned(resolved):
		return syscall.EACCES
	}
	return nil
}

func (v view) record(format string, args ...any) {
	if v.by != "" {
		v.m.recordPath(v.by, fmt.Sprintf(format, args...), args)
	}
}

// Stat follows links.
func (v view) Stat(name string) (fs.FileInfo, error) { return v.stat("stat", name, true) }

// LstatIfPossible does not follow the last link.
func (v view) LstatIfPossible(name string) (fs.FileInfo, bool, error) {
	info, err := v.stat("lstat", name, false)
	return info, true, err
}

func (v view) stat(op, name string, follow bool) (fs.FileInfo, error) {
	if name == "" {
		return nil, fail(op, name, syscall.ENOENT)
	}
	_, info, err := v.resolve(name, follow)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, fail(op, name, err)
	}
	if strings.HasSuffix(name, "/") && !info.IsDir() {
		return nil, fail(op, name, syscall.ENOTDIR)
	}
	return named{info, path.Base(name)}, nil
}

// ReadlinkIfPossible returns where a link points.
func (v view) ReadlinkIfPossible(name string) (string, error) {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		return "", fail("readlink", name, err)
	}
	target, err := v.readlink(resolved)
	return target, fail("readlink", name, err)
}

// SymlinkIfPossible makes a link.
func (v view) SymlinkIfPossible(target, name string) error {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info != nil {
		err = syscall.EEXIST
	}
	if err == nil {
		err = v.parent(resolved)
	}
	if err != nil {
		return fail("symlink", name, err)
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		l, ok := mounted.(afero.Linker)
		if !ok {
			return fail("symlink", name, syscall.EPERM)
		}
		err = l.SymlinkIfPossible(target, rel)
	} else {
		t := v.m.tree
		t.mu.Lock()
		n := t.newNode(fs.ModeSymlink | 0o777)
		n.target, n.uid, n.gid = target, v.cred.uid, v.cred.gid
		err = t.put(resolved, n)
		t.mu.Unlock()
	}
	if err == nil {
		v.record("link %s to %s", resolved, target)
	}
	return fail("symlink", name, err)
}

// Create opens a file for writing, new or emptied.
func (v view) Create(name string) (afero.File, error) {
	return v.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// Open opens for reading.
func (v view) Open(name string) (afero.File, error) { return v.OpenFile(name, os.O_RDONLY, 0) }

// Mkdir makes one directory.
func (v view) Mkdir(name string, perm fs.FileMode) error {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info != nil {
		err = syscall.EEXIST
	}
	if err == nil {
		err = v.parent(resolved)
	}
	if err != nil {
		return fail("mkdir", name, err)
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		err = mounted.Mkdir(rel, perm)
	} else {
		t := v.m.tree
		t.mu.Lock()
		n := t.newNode(fs.ModeDir | perm)
		n.uid, n.gid = v.cred.uid, v.cred.gid
		if err = t.spend(0); err == nil {
			err = t.put(resolved, n)
		}
		t.mu.Unlock()
	}
	if err == nil {
		v.record("mkdir %s", resolved)
	}
	return fail("mkdir", name, err)
}

// MkdirAll makes a directory and its parents.
func (v view) MkdirAll(name string, perm fs.FileMode) error {
	at := ""
	for _, part := range split(name) {
		at += "/" + part
		info, err := v.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return fail("mkdir", name, syscall.ENOTDIR)
		case err == nil:
			continue
		}
		if err := v.Mkdir(at, perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Remove unlinks a file or an empty directory.
func (v view) Remove(name string) error {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	if err == nil {
		err = v.parent(resolved)
	}
	if err == nil && v.m.mounts.busy(resolved) {
		err = syscall.EBUSY
	}
	if err != nil {
		return fail("remove", name, err)
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		err = mounted.Remove(rel)
	} else {
		t := v.m.tree
		t.mu.Lock()
		if n := t.lookup(resolved); n != nil && len(n.children) > 0 {
			err = syscall.ENOTEMPTY
		} else {
			err = t.drop(resolved)
		}
		t.mu.Unlock()
	}
	if err == nil {
		v.record("remove %s", resolved)
	}
	return fail("remove", name, err)
}

// RemoveAll removes a file, or a directory with all that is in it. What is not there is no error.
func (v view) RemoveAll(name string) error {
	info, err := v.stat("remove", name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := afero.ReadDir(v, name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := v.RemoveAll(path.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	return v.Remove(name)
}

// Rename moves a file, replacing what is at its new name. Moving between file systems is EXDEV.
func (v view) Rename(from, to string) error {
	err := v.rename(from, to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: errno(err)}
	}
	return nil
}

func (v view) rename(from, to string) error {
	src, info, err := v.resolve(from, false)
	if err != nil {
		return err
	}
	if info == nil {
		return syscall.ENOENT
	}
	dst, over, err := v.resolve(to, false)
	if err != nil {
		return err
	}
	if err := errors.Join(v.parent(src), v.parent(dst)); err != nil {
		return err
	}
	if src == dst {
		return nil
	}
	if strings.HasPrefix(dst, src+"/") {
		return syscall.EINVAL
	}
	if over != nil && over.IsDir() != info.IsDir() {
		if over.IsDir() {
			return syscall.EISDIR
		}
		return syscall.ENOTDIR
	}
	mountedA, relA := v.m.mounts.at(src)
	mountedB, relB := v.m.mounts.at(dst)
	if mountedA != mountedB {
		return syscall.EXDEV
	}
	if mountedA != nil {
		err = mountedA.Rename(relA, relB)
	} else {
		err = v.m.tree.rename(src, dst)
	}
	if err == nil {
		v.record("rename %s to %s", src, dst)
	}
	return err
}

func (t *tree) rename(src, dst string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.own(src)
	if n == nil {
		return syscall.ENOENT
	}
	if over := t.lookup(dst); over != nil && len(over.children) > 0 {
		return syscall.ENOTEMPTY
	}
	if err := t.put(dst, n); err != nil {
		return err
	}
	n.ctime = t.now()
	return t.drop(src)
}

// change changes the attributes of an existing file.
func (v view) change(op, name string, follow bool, what string, own bool, tree func(n *node), mount func(fs afero.Fs, rel string) error) error {
	resolved, info, err := v.resolve(name, follow)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	if err == nil && v.cred.uid != 0 {
		if uid, _ := owner(info); uid != v.cred.uid || !own {
			err = syscall.EPERM
		}
	}
	if err != nil {
		return fail(op, name, err)
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		err = mount(mounted, rel)
	} else {
		t := v.m.tree
		t.mu.Lock()
		if n := t.own(resolved); n == nil {
			err = syscall.ENOENT
		} else {
			tree(n)
			n.ctime = t.now()
		}
		t.mu.Unlock()
	}
	if err == nil {
		v.record(op+" %s %s", resolved, what)
	}
	return fail(op, name, err)
}

const permBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Chmod sets the permission bits.
func (v view) Chmod(name string, mode fs.FileMode) error {
	return v.change("chmod", name, true, fmt.Sprintf("to %04o", unixPerm(mode)), true,
		func(n *node) { n.mode = n.mode&^permBits | mode&permBits },
		func(fs afero.Fs, rel string) error { return fs.Chmod(rel, mode) })
}

// Chown sets owner and group; -1 keeps one. It follows links.
func (v view) Chown(name string, uid, gid int) error { return v.chown(name, uid, gid, true) }

func (v view) chown(name string, uid, gid int, follow bool) error {
	return v.change("chown", name, follow, fmt.Sprintf("to %d:%d", uid, gid), uid == -1,
		func(n *node) {
			if uid >= 0 {
				n.uid = uid
			}
			if gid >= 0 {
				n.gid = gid
			}
		},
		func(fs afero.Fs, rel string) error { return fs.Chown(rel, uid, gid) })
}

// Chtimes sets the modification time.
func (v view) Chtimes(name string, atime, mtime time.Time) error {
	return v.change("touch", name, true, "", true,
		func(n *node) { n.mtime = mtime },
		func(fs afero.Fs, rel string) error { return fs.Chtimes(rel, atime, mtime) })
}

// OpenFile opens as open(2) does.
func (v view) OpenFile(name string, flag int, perm fs.FileMode) (afero.File, error) {
	if name == "" {
		return nil, fail("open", name, syscall.ENOENT)
	}
	resolved, info, err := v.resolve(name, true)
	if err == nil && info == nil && flag&os.O_CREATE == 0 {
		err = syscall.ENOENT
	}
	if err == nil && info != nil && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0 {
		err = syscall.EEXIST
	}
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	if err == nil && info == nil {
		err = v.parent(resolved)
	}
	if err == nil && info != nil {
		var want fs.FileMode
		if writing {
			want |= 2
		}
		if flag&os.O_WRONLY == 0 {
			want |= 4
		}
		switch {
		case writing && info.IsDir():
			err = syscall.EISDIR
		case !v.may(info, want):
			err = syscall.EACCES
		}
	}
	if err != nil {
		return nil, fail("open", name, err)
	}
	if special, ok := devices[resolved]; ok {
		return special(resolved), nil
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		f, err := mounted.OpenFile(rel, flag, perm)
		if err != nil {
			return nil, fail("open", name, err)
		}
		if writing {
			if flag&(os.O_TRUNC) != 0 || info == nil {
				v.record("write %s", resolved)
				return f, nil
			}
			return &recordedFile{File: f, v: v, path: resolved}, nil
		}
		return f, nil
	}
	f, err := v.openTree(name, resolved, flag, perm)
	if err != nil {
		return nil, fail("open", name, err)
	}
	return f, nil
}

func (v view) openTree(name, resolved string, flag int, perm fs.FileMode) (*file, error) {
	t := v.m.tree
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	t.mu.Lock()
	n := t.lookup(resolved)
	created := n == nil
	var err error
	switch {
	case created:
		n = t.newNode(perm & permBits)
		n.uid, n.gid = v.cred.uid, v.cred.gid
		err = t.put(resolved, n)
	case writing:
		n = t.own(resolved)
		if flag&os.O_TRUNC != 0 && n.read == nil {
			err = t.truncate(n, 0)
		}
	}
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f := &file{v: v, n: n, name: name, path: resolved, flag: flag}
	if writing && (created || flag&os.O_TRUNC != 0) {
		f.noteWrite()
	}
	if !writing && n.read != nil {
		f.content = n.read(v.m)
	}
	return f, nil
}

func (v view) children(resolved string) ([]fs.FileInfo, error) {
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		return afero.ReadDir(mounted, rel)
	}
	t := v.m.tree
	t.mu.RLock()
	n := t.lookup(resolved)
	if n == nil {
		t.mu.RUnlock()
		return nil, syscall.ENOENT
	}
	infos := make([]fs.FileInfo, 0, len(n.children))
	for name, child := range n.children {
		infos = append(infos, child.info(name))
	}
	t.mu.RUnlock()
	sort.Slice(infos, func(i, j int) bool { return infos[i].Name() < infos[j].Name() })
	return infos, nil
}
