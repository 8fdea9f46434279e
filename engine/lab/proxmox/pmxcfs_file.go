package proxmox

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

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

// Uid and Gid return the owner, root:www-data.
func (i *pmxcfsInfo) Uid() uint32 { return 0 }

// Gid returns the group of all files in /etc/pve.
func (i *pmxcfsInfo) Gid() uint32 { return WWWDataGID }

// pmxcfsFile is an open file or directory.
type pmxcfsFile struct {
	fs       *Pmxcfs
	name     string
	flag     int
	dir      bool
	snapshot []byte
	// before is the state of the file when it was opened for writing, or nil if it did not exist.
	before *Entry
	offset int64
	listed int
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
		f.undo()
		return 0, err
	}
	return len(b), nil
}

// undo restores the state that a file had when it was opened, after a failed write.
func (f *pmxcfsFile) undo() {
	f.fs.world.at(func(v *view) {
		db := v.database(f.fs.node)
		switch {
		case db == nil:
		case f.before == nil:
			delete(db.Files, f.name)
		default:
			db.Files[f.name] = f.before
		}
	})
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
		for _, child := range []string{"lrm_status", "manager_status"} {
			if _, written := v.writtenByHA(f.fs.node, clean(name+"/"+child)); written && !slices.Contains(names, child) {
				names = append(names, child)
			}
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
