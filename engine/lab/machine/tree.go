package machine

import (
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tree is a machine's file system, without mounts. Its paths are absolute and clean, and only their last element may be
// a link.
type tree struct {
	mu   sync.RWMutex
	root *node
	now  func() time.Time
	m    *Machine
	// free is how many more bytes can be written; negative means no limit.
	free int64
}

func newTree(now func() time.Time) *tree {
	t := &tree{now: now, free: -1}
	t.root = t.newNode(fs.ModeDir | 0o755)
	return t
}

// share returns an independent tree with the same content. t must not be changed afterwards.
func (t *tree) share(m *Machine, now func() time.Time) *tree {
	return &tree{root: t.root, now: now, m: m, free: -1}
}

func (t *tree) newNode(mode fs.FileMode) *node {
	now := t.now()
	n := &node{owner: t, ino: inodes.Add(1), mode: mode, mtime: now, ctime: now}
	if mode.IsDir() {
		n.children = map[string]*node{}
	}
	return n
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// lookup returns the node at a path, or nil.
func (t *tree) lookup(p string) *node {
	n := t.root
	for _, part := range split(p) {
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

// own returns the node at a path, or nil. It first copies a shared node, so that t may change it.
func (t *tree) own(p string) *node {
	if t.root.owner != t {
		t.root = t.root.clone(t)
	}
	n := t.root
	for _, part := range split(p) {
		child := n.children[part]
		if child == nil {
			return nil
		}
		if child.owner != t {
			child = child.clone(t)
			n.children[part] = child
		}
		n = child
	}
	return n
}

// put links a node at a path, replacing an existing one. The directory must exist.
func (t *tree) put(p string, n *node) error {
	dir := t.own(path.Dir(p))
	switch {
	case dir == nil:
		return syscall.ENOENT
	case !dir.mode.IsDir():
		return syscall.ENOTDIR
	}
	dir.forget(path.Base(p))
	n.names++
	if n.mode.IsDir() {
		dir.dirs++
	}
	dir.children[path.Base(p)] = n
	dir.mtime, dir.ctime = t.now(), t.now()
	return nil
}

// inherit sets the owner and group of a new node. In a setgid directory, it inherits the directory's group, and a new
// directory becomes setgid too.
func (t *tree) inherit(p string, n *node, by credentials) {
	n.uid, n.gid = by.uid, by.gid
	dir := t.lookup(path.Dir(p))
	if dir == nil || dir.mode&fs.ModeSetgid == 0 {
		return
	}
	n.gid = dir.gid
	if n.mode.IsDir() {
		n.mode |= fs.ModeSetgid
	}
}

// drop unlinks the node at a path.
func (t *tree) drop(p string) error {
	dir := t.own(path.Dir(p))
	if dir == nil || dir.children[path.Base(p)] == nil {
		return syscall.ENOENT
	}
	dir.forget(path.Base(p))
	delete(dir.children, path.Base(p))
	dir.mtime, dir.ctime = t.now(), t.now()
	return nil
}

// spend takes n bytes from the free space.
func (t *tree) spend(n int) error {
	if t.free < 0 {
		return nil
	}
	if int64(n) > t.free {
		return syscall.ENOSPC
	}
	t.free -= int64(n)
	return nil
}

// writeAt writes to a node that t owns.
func (t *tree) writeAt(n *node, p []byte, off int64) (int, error) {
	grow := int(off) + len(p) - len(n.data)
	if grow > 0 {
		if err := t.spend(grow); err != nil {
			return 0, err
		}
	}
	if n.borrowed {
		n.data = append([]byte(nil), n.data...)
		n.borrowed = false
	}
	if grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[off:], p)
	n.mtime, n.ctime = t.now(), t.now()
	return len(p), nil
}

func (t *tree) truncate(n *node, size int64) error {
	if grow := size - int64(len(n.data)); grow > 0 {
		if err := t.spend(int(grow)); err != nil {
			return err
		}
	}
	data := make([]byte, size)
	copy(data, n.data)
	n.data, n.borrowed = data, false
	n.mtime, n.ctime = t.now(), t.now()
	return nil
}

// The methods below build a tree: they create parents as needed and replace existing nodes.

func (t *tree) mkdirAll(p string, mode fs.FileMode) *node {
	at := "/"
	for _, part := range split(p) {
		at = path.Join(at, part)
		if t.lookup(at) == nil {
			_ = t.put(at, t.newNode(fs.ModeDir|mode)) // the previous iteration created the directory
		}
	}
	return t.own(p)
}

func (t *tree) file(p string, mode fs.FileMode, content string) *node {
	t.mkdirAll(path.Dir(p), 0o755)
	n := t.newNode(mode)
	n.data = []byte(content)
	_ = t.put(p, n) // the directory was created above
	return n
}

func (t *tree) link(p, target string) {
	t.mkdirAll(path.Dir(p), 0o755)
	n := t.newNode(fs.ModeSymlink | 0o777)
	n.target = target
	_ = t.put(p, n) // the directory was created above
}

// computed adds a file whose content is computed when it is read.
func (t *tree) computed(p string, mode fs.FileMode, read func(m *Machine) []byte) *node {
	n := t.file(p, mode, "")
	n.read = read
	return n
}

func (t *tree) block(name string, major, minor int) {
	n := t.file("/dev/"+name, fs.ModeDevice|0o660, "")
	n.gid = 6
	n.dev = &device{major, minor}
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
