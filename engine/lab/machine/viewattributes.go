package machine

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// change changes the attributes of an existing file.
func (v view) change(op, name string, follow bool, what string, own bool, tree func(n *node), mount func(fs afero.Fs, rel string) error) error {
	resolved, info, err := v.existing(name, follow)
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

// Chmod sets the permission bits.
func (v view) Chmod(name string, mode fs.FileMode) error {
	return v.change("chmod", name, true, fmt.Sprintf("to %04o", unixPerm(mode)), true,
		func(n *node) { n.mode = n.mode&^permBits | mode&permBits },
		func(fs afero.Fs, rel string) error { return fs.Chmod(rel, mode) })
}

// Chown sets the owner and the group; -1 leaves one unchanged. It follows links.
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
			if n.mode.IsRegular() { // as chown(2) does, also for root
				n.mode &^= fs.ModeSetuid
				if n.mode&0o010 != 0 {
					n.mode &^= fs.ModeSetgid
				}
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

// xattr returns the extended attributes of a file in the machine's tree.
func (v view) xattr(name string) (map[string]string, error) {
	resolved, _, err := v.existing(name, true)
	if err != nil {
		return nil, fail("getxattr", name, err)
	}
	if mounted, _ := v.m.mounts.at(resolved); mounted != nil {
		return nil, nil
	}
	t := v.m.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n := t.lookup(resolved); n != nil {
		return maps.Clone(n.xattrs), nil
	}
	return nil, nil
}

// setXattr sets an extended attribute, or removes it if value is empty.
func (v view) setXattr(name, key, value string) error {
	return v.change("setfattr", name, true, key, true, func(n *node) { n.setXattr(key, value) },
		func(afero.Fs, string) error { return syscall.EOPNOTSUPP })
}

// setACL sets the access control list of a file. Its mask becomes the group bits of the mode.
func (v view) setACL(name string, a acl, mask uint32) error {
	return v.change("setfacl", name, true, a.String(), true, func(n *node) {
		n.setXattr(aclName, a.String())
		n.mode = n.mode&^0o070 | fs.FileMode(mask&7)<<3
	}, func(afero.Fs, string) error { return syscall.EOPNOTSUPP })
}

// copyXattrs copies extended attributes from one file to another: all of them, or only the access control list.
func (v view) copyXattrs(from, to string, all bool) error {
	attributes, err := v.xattr(from)
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if err == nil && (all || key == aclName) {
			err = v.setXattr(to, key, attributes[key])
		}
	}
	return err
}
