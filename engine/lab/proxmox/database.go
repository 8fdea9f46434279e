package proxmox

import (
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Database is the content of a pmxcfs and the runtime state of the cluster that shares it. Paths are relative to
// /etc/pve, without a leading slash.
type Database struct {
	ID    string
	Files map[string]*Entry
	// Version counts changes, as pmxcfs does.
	Version int
	Ring    Ring
	HA      HA
	// Accepted is the last valid corosync.conf, which corosync keeps using while the file is damaged.
	Accepted string
	// Guests is the power state of guests by ID.
	Guests map[string]*GuestState
	// Witness is the host whose corosync-qnetd has signed the cluster's certificate; empty without a QDevice.
	Witness string
	// Backups are the paths of the archives that vzdump has written, by node.
	Backups map[string][]string
	// LockedUntil is when the cluster-wide lock of corosync.conf is released.
	LockedUntil time.Time
	// parsed is what corosync has parsed last: every access to /etc/pve looks at the members.
	parsed struct {
		text string
		conf *Corosync // nil if text is not usable
	}
}

// Entry is a file or directory in a pmxcfs.
type Entry struct {
	Dir     bool
	Data    []byte
	Version int
	ModTime time.Time
}

// maxFile is the size limit of pmxcfs for a file (1 MiB).
const maxFile = 1 << 20

func newDatabase(id string) *Database {
	return &Database{ID: id, Files: map[string]*Entry{}, Guests: map[string]*GuestState{}, HA: HA{}}
}

// Read returns the content of a file; ok is false if it does not exist or is a directory.
func (d *Database) Read(name string) (data []byte, ok bool) {
	e := d.Files[name]
	if e == nil || e.Dir {
		return nil, false
	}
	return e.Data, true
}

// Text is like Read, but returns "" for a missing file.
func (d *Database) Text(name string) string {
	data, _ := d.Read(name)
	return string(data)
}

// Has reports whether a file or directory exists.
func (d *Database) Has(name string) bool { return d.Files[name] != nil }

// Write writes a file, creating missing parent directories.
func (d *Database) Write(name string, data []byte, now time.Time) {
	d.MakeDir(path.Dir(name), now)
	d.Version++
	d.Files[name] = &Entry{Data: append([]byte(nil), data...), Version: d.Version, ModTime: now}
	d.accept(name)
}

// MakeDir creates a directory and its missing parents.
func (d *Database) MakeDir(name string, now time.Time) {
	if name == "." || name == "" || d.Files[name] != nil {
		return
	}
	d.MakeDir(path.Dir(name), now)
	d.Version++
	d.Files[name] = &Entry{Dir: true, Version: d.Version, ModTime: now}
}

// Remove removes a file, or a directory with its content.
func (d *Database) Remove(name string) {
	for p := range d.Files {
		if p == name || strings.HasPrefix(p, name+"/") {
			delete(d.Files, p)
		}
	}
	d.Version++
}

// Rename renames a file, or a directory with its content.
func (d *Database) Rename(from, to string, now time.Time) {
	d.MakeDir(path.Dir(to), now)
	moved := map[string]*Entry{}
	for p, e := range d.Files {
		if p == from || strings.HasPrefix(p, from+"/") {
			moved[to+strings.TrimPrefix(p, from)] = e
			delete(d.Files, p)
		}
	}
	d.Version++
	for p, e := range moved {
		e.Version = d.Version
		d.Files[p] = e
	}
	d.accept(to)
}

// List returns the names in a directory, sorted.
func (d *Database) List(dir string) []string {
	var names []string
	for p := range d.Files {
		parent := path.Dir(p)
		if parent == "." {
			parent = ""
		}
		if parent == dir {
			names = append(names, path.Base(p))
		}
	}
	slices.Sort(names)
	return names
}

// mode returns the mode that pmxcfs assigns to a path.
func (d *Database) mode(name string, e *Entry) os.FileMode {
	private := name == "priv" || strings.HasPrefix(name, "priv/") || strings.Contains(name, "/priv/") || strings.HasSuffix(name, "/priv")
	switch {
	case e.Dir && private:
		return os.ModeDir | 0o700
	case e.Dir:
		return os.ModeDir | 0o755
	case private:
		return 0o600
	}
	return 0o640
}

// clone copies the files, for a node that leaves its cluster and keeps them.
func (d *Database) clone(id string) *Database {
	c := newDatabase(id)
	c.Version = d.Version
	c.Ring = d.Ring.clone()
	c.Accepted = d.Accepted
	for p, e := range d.Files {
		copied := *e
		copied.Data = append([]byte(nil), e.Data...)
		c.Files[p] = &copied
	}
	for id, g := range d.Guests {
		copied := *g
		c.Guests[id] = &copied
	}
	return c
}
