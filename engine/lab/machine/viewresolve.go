package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

const maxLinks = 40

// mayAt is like may, for the file at a resolved path. Below /proc/sys the mode applies to root as well.
func (v view) mayAt(resolved string, info fs.FileInfo, want fs.FileMode) bool {
	if v.cred.uid == 0 && strings.HasPrefix(resolved, "/proc/sys/") && !info.IsDir() {
		return info.Mode().Perm()>>6&want == want
	}
	return v.may(info, want)
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
	if list, listed := parseACL(details(info).acl); listed {
		return list.grants(v.cred, mode, gid, want)
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

// lstat returns the FileInfo at a resolved path.
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

// resolve resolves the links in a path. A link at the end is followed only if follow is set. If the last element does
// not exist, info is nil.
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

// existing is like resolve, for a path that must exist.
func (v view) existing(name string, follow bool) (resolved string, info fs.FileInfo, err error) {
	resolved, info, err = v.resolve(name, follow)
	if err == nil && info == nil {
		err = syscall.ENOENT
	}
	return resolved, info, err
}

// vacant is like resolve, for a path that must not exist, in a directory that the user may change.
func (v view) vacant(name string) (resolved string, err error) {
	resolved, info, err := v.resolve(name, false)
	if err == nil && info != nil {
		err = syscall.EEXIST
	}
	if err == nil {
		err = v.parent(resolved)
	}
	return resolved, err
}

// parent checks that the directory of a resolved path exists and that the user may change it.
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

// sticky protects the files of other users in a directory with the sticky bit.
func (v view) sticky(resolved string, info fs.FileInfo) error {
	dir, err := v.lstat(path.Dir(resolved))
	if err != nil || v.cred.uid == 0 || info == nil || dir.Mode()&fs.ModeSticky == 0 {
		return err
	}
	above, _ := owner(dir)
	if uid, _ := owner(info); uid != v.cred.uid && above != v.cred.uid {
		return syscall.EPERM
	}
	return nil
}

func (v view) record(format string, args ...any) {
	if v.by != "" {
		v.m.recordPath(v.by, fmt.Sprintf(format, args...), args)
	}
}

const permBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
