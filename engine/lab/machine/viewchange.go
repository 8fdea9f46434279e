package machine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

// Remove unlinks a file or an empty directory.
func (v view) Remove(name string) error {
	resolved, info, err := v.existing(name, false)
	if err == nil {
		err = v.parent(resolved)
	}
	if err == nil {
		err = v.sticky(resolved, info)
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

// RemoveAll removes a file, or a directory with everything in it. It is not an error if the file does not exist.
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

// Rename renames a file, replacing any file at the new name. It fails with EXDEV across file systems.
func (v view) Rename(from, to string) error {
	err := v.rename(from, to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: errno(err)}
	}
	return nil
}

func (v view) rename(from, to string) error {
	src, info, err := v.existing(from, false)
	if err != nil {
		return err
	}
	dst, over, err := v.resolve(to, false)
	if err != nil {
		return err
	}
	if err := errors.Join(v.parent(src), v.parent(dst)); err != nil {
		return err
	}
	if err := errors.Join(v.sticky(src, info), v.sticky(dst, over)); err != nil {
		return err
	}
	mountedA, relA := v.m.mounts.at(src)
	mountedB, relB := v.m.mounts.at(dst)
	// Do nothing for two names of the same file. Files in mounted file systems have no hard links, and all have the
	// same number.
	if src == dst || mountedA == nil && mountedB == nil && over != nil && details(over).ino == details(info).ino && !info.IsDir() {
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

// link creates a hard link.
func (v view) link(from, to string) error {
	src, info, err := v.existing(from, false)
	if err != nil {
		return fail("link", from, err)
	}
	dst, err := v.vacant(to)
	if a, _ := v.m.mounts.at(src); err == nil && a != nil {
		err = syscall.EPERM
	}
	if b, _ := v.m.mounts.at(dst); err == nil && b != nil {
		err = syscall.EXDEV
	}
	if err == nil && info.IsDir() {
		err = syscall.EPERM
	}
	// fs.protected_hardlinks, which Debian sets, allows only links to files that the user owns or may read and write
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

// SymlinkIfPossible creates a symbolic link.
func (v view) SymlinkIfPossible(target, name string) error {
	resolved, err := v.vacant(name)
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
		n.target = target
		t.inherit(resolved, n, v.cred)
		err = t.put(resolved, n)
		t.mu.Unlock()
	}
	if err == nil {
		v.record("link %s to %s", resolved, target)
	}
	return fail("symlink", name, err)
}

// Mkdir creates a directory.
func (v view) Mkdir(name string, perm fs.FileMode) error {
	resolved, err := v.vacant(name)
	if err != nil {
		return fail("mkdir", name, err)
	}
	if mounted, rel := v.m.mounts.at(resolved); mounted != nil {
		err = mounted.Mkdir(rel, perm)
	} else {
		t := v.m.tree
		t.mu.Lock()
		n := t.newNode(fs.ModeDir | perm)
		t.inherit(resolved, n, v.cred)
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

// MkdirAll creates a directory and its missing parents.
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
