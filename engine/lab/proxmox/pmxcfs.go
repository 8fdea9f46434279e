package proxmox

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
)

// Pmxcfs is a node's /etc/pve, a file system on top of the cluster's database. It returns the errors of the real
// pmxcfs: EACCES for changes without quorum, ENOTCONN while pve-cluster is starting or is stopped during a join, and
// EPERM for attempts to change modes or owners.
type Pmxcfs struct {
	world *World
	node  string
}

// Filesystem returns a node's /etc/pve.
func (w *World) Filesystem(node string) *Pmxcfs { return &Pmxcfs{world: w, node: node} }

var (
	_ afero.Fs         = (*Pmxcfs)(nil)
	_ afero.Lstater    = (*Pmxcfs)(nil)
	_ afero.LinkReader = (*Pmxcfs)(nil)
)

// mountDelay is how long the mount point is disconnected while pmxcfs starts.
const mountDelay = time.Second

// WWWDataGID is the group of all files in /etc/pve.
const WWWDataGID = 33

// Name implements afero.Fs.
func (p *Pmxcfs) Name() string { return "pmxcfs" }

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// links returns the symbolic links that pmxcfs generates.
func (p *Pmxcfs) links() map[string]string {
	return map[string]string{
		"local":       "nodes/" + p.node,
		"qemu-server": "nodes/" + p.node + "/qemu-server",
		"lxc":         "nodes/" + p.node + "/lxc",
		"openvz":      "nodes/" + p.node + "/openvz",
	}
}

// generated returns the files whose content pmxcfs generates.
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

// writtenByHA returns the files that the HA managers keep up to date: the CRM's while there is a master, an LRM's from
// its first loop on.
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

// with calls fn if the file system is connected. A panic becomes an I/O error on this node.
func (p *Pmxcfs) with(op, name string, change bool, fn func(v *view, db *Database, name string) error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			machine.Defect(p.node, op+" in /etc/pve", panicked)
			err = &fs.PathError{Op: op, Path: name, Err: syscall.EIO}
		}
	}()
	err = syscall.ENOTCONN
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

// parent checks that the directory of name exists.
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

// OpenFile implements afero.Fs. Each Write goes to the database.
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
		f.before = e
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
	return p.with("remove", name, true, func(v *view, db *Database, name string) error {
		e := db.Files[name]
		_, made := v.generated(p.node, name)
		switch {
		case e == nil && made && path.Base(name) == "lrm_status":
			return nil // the real pmxcfs removes the file, but the node's LRM writes it again at once
		case e == nil:
			return syscall.ENOENT
		case e.Dir && len(db.List(name)) > 0:
			return syscall.ENOTEMPTY
		}
		db.Remove(name)
		db.forsake(name)
		return nil
	})
}

// RemoveAll implements afero.Fs.
func (p *Pmxcfs) RemoveAll(name string) error {
	return p.with("remove", name, true, func(_ *view, db *Database, name string) error {
		db.Remove(name)
		db.forsake(name)
		return nil
	})
}

// Rename implements afero.Fs.
func (p *Pmxcfs) Rename(from, to string) error {
	err := p.with("rename", from, true, func(v *view, db *Database, name string) error {
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
		if target == corosyncFile {
			v.reload(db)
		}
		return nil
	})
	if err == nil && clean(to) == corosyncFile {
		p.world.distribute(p.node)
	}
	return err
}

// Stat implements afero.Fs. It follows the links that pmxcfs generates.
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

// info describes a file. Without quorum, no file has write permissions; scripts use that to detect the quorum.
func (p *Pmxcfs) info(v *view, db *Database, name string) (*pmxcfsInfo, error) {
	info := &pmxcfsInfo{name: path.Base("/" + name)}
	if target, ok := p.links()[name]; ok {
		info.mode, info.size = os.ModeSymlink|0o755, int64(len(target))
	} else if text, ok := v.generated(p.node, name); ok {
		info.mode, info.size = 0o640, int64(len(text))
		if strings.HasPrefix(name, ".") && name != ".debug" {
			info.mode = 0o440
		}
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

// Chmod implements afero.Fs. It accepts only the mode that the path already has.
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

// Chown implements afero.Fs. Everything belongs to root:www-data.
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
