package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// Remove unlinks a file or an empty directory.
func (v view) Remove(name string) error {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
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
	if err := errors.Join(v.sticky(src, info), v.sticky(dst, over)); err != nil {
		return err
	}
	if src == dst || over != nil && details(over).ino == details(info).ino && !info.IsDir() {
		return nil // two names of one file stay
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
