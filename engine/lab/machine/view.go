package machine

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

// Owned is implemented by the FileInfo of mounted file systems whose files have owners. Otherwise files belong to root.
type Owned interface {
	Uid() uint32
	Gid() uint32
}

// credentials identify the process that accesses files.
type credentials struct {
	uid, gid int
	groups   []int
}

// view is a machine's files, including mounted ones, as one user sees them. Changes are recorded under the name by,
// unless that is empty.
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

func (v view) Name() string { return "machine " + v.m.name }

// Stat follows links.
func (v view) Stat(name string) (fs.FileInfo, error) { return v.stat("stat", name, true) }

// LstatIfPossible does not follow a link at the end of the path.
func (v view) LstatIfPossible(name string) (fs.FileInfo, bool, error) {
	info, err := v.stat("lstat", name, false)
	return info, true, err
}

func (v view) stat(op, name string, follow bool) (fs.FileInfo, error) {
	if name == "" {
		return nil, fail(op, name, syscall.ENOENT)
	}
	_, info, err := v.existing(name, follow)
	if err != nil {
		return nil, fail(op, name, err)
	}
	if strings.HasSuffix(name, "/") && !info.IsDir() {
		return nil, fail(op, name, syscall.ENOTDIR)
	}
	return named{info, path.Base(name)}, nil
}

// ReadlinkIfPossible returns the target of a link.
func (v view) ReadlinkIfPossible(name string) (string, error) {
	resolved, _, err := v.existing(name, false)
	if err != nil {
		return "", fail("readlink", name, err)
	}
	target, err := v.readlink(resolved)
	return target, fail("readlink", name, err)
}

// Create opens a file for writing, creating or truncating it.
func (v view) Create(name string) (afero.File, error) {
	return v.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// Open opens a file for reading.
func (v view) Open(name string) (afero.File, error) { return v.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile opens a file as open(2) does.
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
		case !v.mayAt(resolved, info, want):
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
		t.inherit(resolved, n, v.cred)
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
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return infos, nil
}
