package machine

import (
	"cmp"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// mounts are the file systems mounted over a machine's tree.
type mounts struct {
	mu   sync.RWMutex
	list []mount // the latest mount is the last
}

type mount struct {
	path string
	fs   afero.Fs
}

// at returns the file system that contains a resolved path and the path relative to its mount point, or nil for the
// machine's own tree.
func (s *mounts) at(p string) (afero.Fs, string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := -1
	for i, m := range s.list {
		if (p == m.path || strings.HasPrefix(p, m.path+"/")) && (best < 0 || len(m.path) >= len(s.list[best].path)) {
			best = i
		}
	}
	if best < 0 {
		return nil, ""
	}
	rel := strings.TrimPrefix(p, s.list[best].path)
	if rel == "" {
		rel = "/"
	}
	return s.list[best].fs, rel
}

// busy reports whether a path is a mount point.
func (s *mounts) busy(p string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.list {
		if m.path == p {
			return true
		}
	}
	return false
}

// Mount mounts a file system on a directory, which is created if it is missing. Paths passed to fs start with "/".
// Links are followed if fs implements afero.LinkReader and afero.Lstater.
func (m *Machine) Mount(path string, fs afero.Fs) {
	m.tree.mu.Lock()
	m.tree.mkdirAll(path, 0o755)
	m.tree.mu.Unlock()
	m.mounts.mu.Lock()
	defer m.mounts.mu.Unlock()
	m.mounts.list = append(m.mounts.list, mount{strings.TrimSuffix(path, "/"), fs})
}

// Unmount undoes the last Mount at path. The files below become visible again.
func (m *Machine) Unmount(path string) {
	m.mounts.mu.Lock()
	defer m.mounts.mu.Unlock()
	for i := len(m.mounts.list) - 1; i >= 0; i-- {
		if m.mounts.list[i].path == strings.TrimSuffix(path, "/") {
			m.mounts.list = append(m.mounts.list[:i], m.mounts.list[i+1:]...)
			return
		}
	}
}

func (m *Machine) mountTable() string {
	var b strings.Builder
	b.WriteString("sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\nudev /dev devtmpfs rw,nosuid,relatime 0 0\n/dev/sda2 / ext4 rw,relatime,errors=remount-ro 0 0\ntmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n")
	for _, d := range m.mountedDisks() {
		access := "rw"
		if d.ReadOnly {
			access = "ro"
		}
		fmt.Fprintf(&b, "%s %s %s %s%s 0 0\n", m.devicePath(d), fstabEscapes.Replace(d.Mountpoint), d.Use, access, cmp.Or(d.mountFlags, ",relatime"))
	}
	m.mounts.mu.RLock()
	defer m.mounts.mu.RUnlock()
	for _, mounted := range m.mounts.list {
		fmt.Fprintf(&b, "/dev/fuse %s fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n", mounted.path)
	}
	return b.String()
}

// rootSize is the size of the root file system in bytes.
const rootSize = 62 << 30

// Free returns how many bytes are free on the root file system.
func (m *Machine) Free() int64 {
	m.tree.mu.RLock()
	defer m.tree.mu.RUnlock()
	if m.tree.free < 0 {
		return rootSize * 9 / 10
	}
	return m.tree.free
}
