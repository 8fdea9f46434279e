package machine

import (
	"io/fs"
	"maps"
	"sync/atomic"
	"time"
)

// node is a file, a directory or a link. Only the tree that created a node changes it; another tree that shares it (all
// machines share the initial tree of their release) changes a copy. So a thousand machines need little more memory than
// what they write.
type node struct {
	owner    *tree
	ino      uint64
	mode     fs.FileMode // type and permission bits
	uid, gid int
	mtime    time.Time
	ctime    time.Time
	data     []byte
	borrowed bool // a node in another tree shares data
	target   string
	xattrs   map[string]string // extended attributes; the map is never changed in place
	names    int               // the number of directory entries that refer to it
	children map[string]*node
	dirs     int // the number of children that are directories
	// read computes the content of files such as those in /proc.
	read func(m *Machine) []byte
	// written is called with the new content when a file that was open for writing is closed.
	written func(m *Machine, content []byte) error
	dev     *device
}

func (n *node) info(name string) *fileInfo {
	i := &fileInfo{name: name, size: int64(len(n.data)), mode: n.mode, mtime: n.mtime, ctime: n.ctime,
		uid: n.uid, gid: n.gid, ino: n.ino, links: max(1, n.names), dev: n.dev, acl: n.xattrs[aclName]}
	switch {
	case n.mode.IsDir():
		i.size, i.links = 4096, 2+n.dirs
	case n.mode&fs.ModeSymlink != 0:
		i.size = int64(len(n.target))
	}
	return i
}

func (n *node) clone(t *tree) *node {
	c := *n
	c.owner = t
	c.children = maps.Clone(n.children)
	c.borrowed = true
	return &c
}

// forget updates the link counts when name is removed from directory n.
func (n *node) forget(name string) {
	child := n.children[name]
	if child == nil {
		return
	}
	if child.mode.IsDir() {
		n.dirs--
	}
	if child.owner == n.owner {
		child.names--
	}
}

func (n *node) setXattr(key, value string) {
	n.xattrs = maps.Clone(n.xattrs) // shared with other trees
	if n.xattrs == nil {
		n.xattrs = map[string]string{}
	}
	if n.xattrs[key] = value; value == "" {
		delete(n.xattrs, key)
	}
}

// device identifies the device behind a device node.
type device struct{ major, minor int }

var inodes atomic.Uint64

// fileInfo describes a node at one point in time.
type fileInfo struct {
	name     string
	size     int64
	mode     fs.FileMode
	mtime    time.Time
	ctime    time.Time
	uid, gid int
	ino      uint64
	links    int
	dev      *device
	acl      string // the access control list, if any
}

func (i *fileInfo) Name() string { return i.name }

func (i *fileInfo) Size() int64 { return i.size }

func (i *fileInfo) Mode() fs.FileMode { return i.mode }

func (i *fileInfo) ModTime() time.Time { return i.mtime }

func (i *fileInfo) IsDir() bool { return i.mode.IsDir() }

func (i *fileInfo) Sys() any { return i }

func (i *fileInfo) Uid() uint32 { return uint32(i.uid) }

func (i *fileInfo) Gid() uint32 { return uint32(i.gid) }

// details returns what is known of a file in addition to FileInfo's methods.
func details(info fs.FileInfo) *fileInfo {
	if n, ok := info.(named); ok {
		info = n.FileInfo
	}
	if i, ok := info.(*fileInfo); ok {
		return i
	}
	uid, gid := owner(info)
	return &fileInfo{name: info.Name(), size: info.Size(), mode: info.Mode(), mtime: info.ModTime(), ctime: info.ModTime(), uid: uid, gid: gid, ino: 1, links: 1}
}
