package machine

import (
	"strings"
	"sync"

	"github.com/spf13/afero"
)

// mounts is what is mounted over a machine's own tree.
type mounts struct {
	mu   sync.RWMutex
	list []mount // the latest last
}

type mount struct {
	path string
	fs   afero.Fs
}

// at returns the file system that a resolved path lies in and the path there; nil for the tree.
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

// Mount lays a file system over the directory path, which is made if it is missing. Paths given to
// it begin with "/". Links in it are followed if it implements afero.LinkReader and afero.Lstater.
func (m *Machine) Mount(path string, fs afero.Fs) {
	m.tree.mu.Lock()
	m.tree.mkdirAll(path, 0o755)
	m.tree.mu.Unlock()
	m.mounts.mu.Lock()
	defer m.mounts.mu.Unlock()
	m.mounts.list = append(m.mounts.list, mount{strings.TrimSuffix(path, "/"), fs})
}

// Unmount undoes the last Mount of path; the files below become visible again.
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
