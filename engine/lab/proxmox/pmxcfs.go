package proxmox

import (
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"
)

// Pmxcfs is /etc/pve of one node: a file system whose files lie in the cluster's database. It fails as
// pmxcfs does: EACCES for every change without quorum, ENOTCONN while pve-cluster is starting or stopped
// in the middle of a join, EPERM for modes and owners of one's own.
type Pmxcfs struct {
	world *World
	node  string
}

// Filesystem is the node's /etc/pve.
func (w *World) Filesystem(node string) *Pmxcfs { return &Pmxcfs{world: w, node: node} }

var (
	_ afero.Fs         = (*Pmxcfs)(nil)
	_ afero.Lstater    = (*Pmxcfs)(nil)
	_ afero.LinkReader = (*Pmxcfs)(nil)
)

// mountDelay is how long the mount point is not connected while pmxcfs starts.
const mountDelay = time.Second

// WWWDataGID is the group of all files in /etc/pve.
const WWWDataGID = 33

// Name implements afero.Fs.
func (p *Pmxcfs) Name() string { return "pmxcfs" }

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// links are the symbolic links that pmxcfs makes up.
func (p *Pmxcfs) links() map[string]string {
	return map[string]string{
		"local":       "nodes/" + p.node,
		"qemu-server": "nodes/" + p.node + "/qemu-server",
		"lxc":         "nodes/" + p.node + "/lxc",
		"openvz":      "nodes/" + p.node + "/openvz",
	}
}

// generated are the files whose content pmxcfs makes up.
func (v *view) generated(node, name string) (string, bool) {
	switch name {
	case ".members":
		return v.membersFile(node), true
	case ".vmlist":
		return v.database(node).vmlistFile(), true
	case ".version":
		return v.versionFile(node), true
	case ".clusterlog":
		return "{\n\"data\": [\n]\n}\n", true
	case ".rrd", ".debug":
		return "0\n", true
	}
	return v.writtenByHA(node, name)
}

// writtenByHA are the files that the HA managers keep up to date: the CRM's as long as it has a
// master, a node's LRM's from its first loop on.
func (v *view) writtenByHA(node, name string) (string, bool) {
	dir, base := path.Split(name)
	if base != "manager_status" && base != "lrm_status" {
		return "", false
	}
	status := v.managerStatus(node)
	var content any
	switch {
	case name == "ha/manager_status" && v.database(node).HA.Master != "":
		content = status["manager_status"]
	case base == "lrm_status":
		lrms, _ := status["lrm_status"].(map[string]any)
		content = lrms[strings.TrimSuffix(strings.TrimPrefix(dir, "nodes/"), "/")]
	}
	if content == nil {
		return "", false
	}
	text, err := json.Marshal(content)
	return string(text), err == nil
}

// with runs fn if the file system is connected.
func (p *Pmxcfs) with(op, name string, change bool, fn func(v *view, db *Database, name string) error) error {
	err := error(syscall.ENOTCONN)
	p.world.at(func(v *view) {
		db := v.database(p.node)
		switch {
		case db == nil || !v.runs(p.node, "pve-cluster.service", 0):
		case v.Nodes[p.node].mounting(v.now):
		case change && !v.quorate(p.node):
			err = syscall.EACCES
		default:
			err = fn(v, db, clean(name))
		}
	})
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (n *NodeState) mounting(now time.Time) bool {
	since, ok := n.Since["pve-cluster.service"]
	return ok && now.Before(since.Add(mountDelay)) && n.Restarted
}

// parent checks that the directory of name is there.
func (db *Database) parent(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	e := db.Files[dir]
	switch {
	case e == nil:
		return syscall.ENOENT
	case !e.Dir:
		return syscall.ENOTDIR
	}
	return nil
}

// Create implements afero.Fs.
func (p *Pmxcfs) Create(name string) (afero.File, error) {
	return p.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// Open implements afero.Fs.
func (p *Pmxcfs) Open(name string) (afero.File, error) { return p.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile implements afero.Fs. What is written reaches the database with each Write.
func (p *Pmxcfs) OpenFile(name string, flag int, _ os.FileMode) (afero.File, error) {
	writing := flag&(os.O_WRONLY|os.O_RDWR) != 0
	f := &pmxcfsFile{fs: p, name: clean(name), flag: flag}
	err := p.with("open", name, writing, func(v *view, db *Database, name string) error {
		if text, ok := v.generated(p.node, name); ok {
			if writing {
				return syscall.EACCES
			}
			f.snapshot = []byte(text)
			return nil
		}
		e := db.Files[name]
		switch {
		case name == "":
			f.dir = true
		case e == nil && flag&os.O_CREATE == 0:
			return syscall.ENOENT
		case e == nil:
			if err := db.parent(name); err != nil {
				return err
			}
			db.Write(name, nil, v.now)
		case flag&os.O_EXCL != 0 && flag&os.O_CREATE != 0:
			return syscall.EEXIST
		case e.Dir:
			f.dir = true
		case writing && flag&os.O_TRUNC != 0:
			db.Write(name, nil, v.now)
		}
		if f.dir && writing {
			return syscall.EISDIR
		}
		if !writing && !f.dir {
			f.snapshot, _ = db.Read(name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Mkdir implements afero.Fs.
func (p *Pmxcfs) Mkdir(name string, _ os.FileMode) error {
	return p.with("mkdir", name, true, func(v *view, db *Database, name string) error {
		if name == "" || db.Has(name) {
			return syscall.EEXIST
		}
		if err := db.parent(name); err != nil {
			return err
		}
		db.MakeDir(name, v.now)
		return nil
	})
}

// MkdirAll implements afero.Fs.
func (p *Pmxcfs) MkdirAll(name string, _ os.FileMode) error {
	if info, err := p.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	return p.with("mkdir", name, true, func(v *view, db *Database, name string) error {
		db.MakeDir(name, v.now)
		return nil
	})
}

// Remove implements afero.Fs.
func (p *Pmxcfs) Remove(name string) error {
	return p.with("remove", name, true, func(_ *view, db *Database, name string) error {
		e := db.Files[name]
		switch {
		case e == nil:
			return syscall.ENOENT
		case e.Dir && len(db.List(name)) > 0:
			return syscall.ENOTEMPTY
		}
		db.Remove(name)
		return nil
	})
}

// RemoveAll implements afero.Fs.
func (p *Pmxcfs) RemoveAll(name string) error {
	return p.with("remove", name, true, func(_ *view, db *Database, name string) error {
		db.Remove(name)
		return nil
	})
}

// Rename implements afero.Fs.
func (p *Pmxcfs) Rename(from, to string) error {
	return p.with("rename", from, true, func(v *view, db *Database, name string) error {
		if !db.Has(name) {
			return syscall.ENOENT
		}
		target := clean(to)
		if err := db.parent(target); err != nil {
			return err
		}
		if e := db.Files[target]; e != nil && !e.Dir {
			db.Remove(target)
		}
		db.Rename(name, target, v.now)
		if target == "corosync.conf" {
			v.reload(db)
		}
		return nil
	})
}

// Stat implements afero.Fs; it follows the links that pmxcfs makes up.
func (p *Pmxcfs) Stat(name string) (os.FileInfo, error) {
	if target, ok := p.links()[clean(name)]; ok {
		return p.stat(target)
	}
	return p.stat(name)
}

// LstatIfPossible implements afero.Lstater.
func (p *Pmxcfs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	info, err := p.stat(name)
	return info, true, err
}

// ReadlinkIfPossible implements afero.LinkReader.
func (p *Pmxcfs) ReadlinkIfPossible(name string) (string, error) {
	var target string
	err := p.with("readlink", name, false, func(_ *view, _ *Database, name string) error {
		found, ok := p.links()[name]
		if !ok {
			return syscall.EINVAL
		}
		target = found
		return nil
	})
	return target, err
}

func (p *Pmxcfs) stat(name string) (os.FileInfo, error) {
	var info *pmxcfsInfo
	err := p.with("stat", name, false, func(v *view, db *Database, name string) error {
		found, err := p.info(v, db, name)
		info = found
		return err
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// info describes a file. Without quorum nothing has a write bit: that is how scripts see the quorum.
func (p *Pmxcfs) info(v *view, db *Database, name string) (*pmxcfsInfo, error) {
	info := &pmxcfsInfo{name: path.Base("/" + name)}
	if target, ok := p.links()[name]; ok {
		info.mode, info.size = os.ModeSymlink|0o755, int64(len(target))
	} else if text, ok := v.generated(p.node, name); ok {
		info.mode, info.size = 0o440, int64(len(text))
	} else if name == "" {
		info.mode = os.ModeDir | 0o755
	} else {
		e := db.Files[name]
		if e == nil {
			return nil, syscall.ENOENT
		}
		info.mode, info.size, info.modified = db.mode(name, e), int64(len(e.Data)), e.ModTime
	}
	if info.modified.IsZero() {
		info.modified = v.Nodes[p.node].Since["pve-cluster.service"]
	}
	if !v.quorate(p.node) {
		info.mode &^= 0o222
	}
	return info, nil
}

// Chmod implements afero.Fs: only the mode that a path has anyway is accepted.
func (p *Pmxcfs) Chmod(name string, mode os.FileMode) error {
	info, err := p.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != mode.Perm() {
		return &fs.PathError{Op: "chmod", Path: name, Err: syscall.EPERM}
	}
	return nil
}

// Chown implements afero.Fs: everything belongs to root:www-data.
func (p *Pmxcfs) Chown(name string, uid, gid int) error {
	if _, err := p.Stat(name); err != nil {
		return err
	}
	if (uid == 0 || uid == -1) && (gid == WWWDataGID || gid == -1) {
		return nil
	}
	return &fs.PathError{Op: "chown", Path: name, Err: syscall.EPERM}
}

// Chtimes implements afero.Fs.
func (p *Pmxcfs) Chtimes(name string, _, mtime time.Time) error {
	return p.with("utimens", name, true, func(_ *view, db *Database, name string) error {
		e := db.Files[name]
		if e == nil {
			return syscall.ENOENT
		}
		e.ModTime = mtime
		return nil
	})
}

type pmxcfsInfo struct {
	name     string
	size     int64
	mode     os.FileMode
	modified time.Time
}

func (i *pmxcfsInfo) Name() string       { return i.name }
func (i *pmxcfsInfo) Size() int64        { return i.size }
func (i *pmxcfsInfo) Mode() os.FileMode  { return i.mode }
func (i *pmxcfsInfo) ModTime() time.Time { return i.modified }
func (i *pmxcfsInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *pmxcfsInfo) Sys() any           { return i }

// Uid and Gid are the owner, root:www-data.
func (i *pmxcfsInfo) Uid() uint32 { return 0 }

// Gid is the group of everything in /etc/pve.
func (i *pmxcfsInfo) Gid() uint32 { return WWWDataGID }

// pmxcfsFile is one open file or directory.
type pmxcfsFile struct {
	fs       *Pmxcfs
	name     string
	flag     int
	dir      bool
	snapshot []byte
	offset   int64
	listed   int
}

func (f *pmxcfsFile) Name() string { return "/" + f.name }
func (f *pmxcfsFile) Close() error { return nil }
func (f *pmxcfsFile) Sync() error  { return nil }

func (f *pmxcfsFile) Stat() (os.FileInfo, error) { return f.fs.stat(f.name) }

func (f *pmxcfsFile) content() []byte {
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return f.snapshot
	}
	var data []byte
	_ = f.fs.with("read", f.name, false, func(_ *view, db *Database, name string) error {
		data, _ = db.Read(name)
		return nil
	})
	return data
}

func (f *pmxcfsFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.offset)
	f.offset += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *pmxcfsFile) ReadAt(b []byte, at int64) (int, error) {
	if f.dir {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EISDIR}
	}
	data := f.content()
	if at >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *pmxcfsFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += int64(len(f.content()))
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: syscall.EINVAL}
	}
	f.offset = offset
	return offset, nil
}

func (f *pmxcfsFile) Write(b []byte) (int, error) {
	if f.flag&os.O_APPEND != 0 {
		f.offset = int64(len(f.content()))
	}
	n, err := f.WriteAt(b, f.offset)
	f.offset += int64(n)
	return n, err
}

func (f *pmxcfsFile) WriteAt(b []byte, at int64) (int, error) {
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.EBADF}
	}
	err := f.fs.with("write", f.name, true, func(v *view, db *Database, name string) error {
		old, _ := db.Read(name)
		size := max(int64(len(old)), at+int64(len(b)))
		if size > maxFile {
			return syscall.EFBIG
		}
		data := make([]byte, size)
		copy(data, old)
		copy(data[at:], b)
		db.Write(name, data, v.now)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *pmxcfsFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *pmxcfsFile) Truncate(size int64) error {
	return f.fs.with("truncate", f.name, true, func(v *view, db *Database, name string) error {
		old, _ := db.Read(name)
		data := make([]byte, size)
		copy(data, old)
		db.Write(name, data, v.now)
		return nil
	})
}

func (f *pmxcfsFile) Readdir(count int) ([]os.FileInfo, error) {
	var all []os.FileInfo
	err := f.fs.with("readdir", f.name, false, func(v *view, db *Database, name string) error {
		names := db.List(name)
		if name == "" {
			names = append(names, sortedKeys(f.fs.links())...)
			names = append(names, ".clusterlog", ".debug", ".members", ".rrd", ".version", ".vmlist")
		}
		for _, child := range names {
			info, err := f.fs.info(v, db, clean(name+"/"+child))
			if err != nil {
				return err
			}
			all = append(all, info)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rest := all[min(f.listed, len(all)):]
	if count > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(count, len(rest))]
	}
	f.listed += len(rest)
	return rest, nil
}

func (f *pmxcfsFile) Readdirnames(count int) ([]string, error) {
	infos, err := f.Readdir(count)
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name()
	}
	return names, err
}
