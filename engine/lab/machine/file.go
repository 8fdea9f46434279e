package machine

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/spf13/afero"
)

// named is a FileInfo with the name that the caller asked for.
type named struct {
	fs.FileInfo
	name string
}

func (n named) Name() string { return n.name }
func (n named) Uid() uint32  { uid, _ := owner(n.FileInfo); return uint32(uid) }
func (n named) Gid() uint32  { _, gid := owner(n.FileInfo); return uint32(gid) }

// file is an open file in a machine's tree.
type file struct {
	v       view
	n       *node
	name    string
	path    string
	flag    int
	off     int64
	noted   bool
	content []byte // content of a computed file
	listed  []fs.FileInfo
	at      int
}

func (f *file) noteWrite() {
	if !f.noted {
		f.noted = true
		f.v.record("write %s", f.path)
	}
}

func (f *file) Name() string { return f.name }

func (f *file) Close() error {
	if f.noted && f.n.written != nil {
		f.v.m.tree.mu.RLock()
		content := f.n.data
		f.v.m.tree.mu.RUnlock()
		return fail("close", f.name, f.n.written(f.v.m, content))
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.n.mode.IsDir() {
		return 0, fail("read", f.name, syscall.EISDIR)
	}
	t := f.v.m.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	data := f.n.data
	if f.content != nil {
		data = f.content
	}
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, fail("write", f.name, syscall.EBADF)
	}
	t := f.v.m.tree
	t.mu.Lock()
	if f.flag&os.O_APPEND != 0 {
		off = int64(len(f.n.data))
	}
	n, err := t.writeAt(f.n, p, off)
	t.mu.Unlock()
	if err == nil {
		f.noteWrite()
	}
	return n, fail("write", f.name, err)
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.off)
	f.off += int64(n)
	return n, err
}

func (f *file) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		f.v.m.tree.mu.RLock()
		offset += int64(len(f.n.data))
		f.v.m.tree.mu.RUnlock()
	}
	if offset < 0 {
		return 0, fail("seek", f.name, syscall.EINVAL)
	}
	f.off = offset
	return offset, nil
}

func (f *file) Truncate(size int64) error {
	t := f.v.m.tree
	t.mu.Lock()
	err := t.truncate(f.n, size)
	t.mu.Unlock()
	if err == nil {
		f.noteWrite()
	}
	return fail("truncate", f.name, err)
}

func (f *file) Sync() error { return nil }

func (f *file) Stat() (fs.FileInfo, error) {
	f.v.m.tree.mu.RLock()
	defer f.v.m.tree.mu.RUnlock()
	return f.n.info(path.Base(f.name)), nil
}

func (f *file) Readdir(count int) ([]fs.FileInfo, error) {
	if !f.n.mode.IsDir() {
		return nil, fail("readdir", f.name, syscall.ENOTDIR)
	}
	if f.listed == nil {
		infos, err := f.v.children(f.path)
		if err != nil {
			return nil, fail("readdir", f.name, err)
		}
		f.listed = infos
	}
	rest := f.listed[f.at:]
	if count > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(count, len(rest))]
	}
	f.at += len(rest)
	return rest, nil
}

func (f *file) Readdirnames(n int) ([]string, error) {
	infos, err := f.Readdir(n)
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name()
	}
	return names, err
}

// recordedFile is an open file in a mounted file system; its first write is recorded.
type recordedFile struct {
	afero.File
	v     view
	path  string
	noted bool
}

func (f *recordedFile) note(err error) {
	if err == nil && !f.noted {
		f.noted = true
		f.v.record("write %s", f.path)
	}
}

func (f *recordedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.note(err)
	return n, err
}

func (f *recordedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.note(err)
	return n, err
}

func (f *recordedFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *recordedFile) Truncate(size int64) error {
	err := f.File.Truncate(size)
	f.note(err)
	return err
}

// deviceFile is an open character device.
type deviceFile struct {
	file
	read  func(p []byte) (int, error)
	write func(p []byte) (int, error)
}

func (d *deviceFile) Read(p []byte) (int, error)             { return d.read(p) }
func (d *deviceFile) ReadAt(p []byte, _ int64) (int, error)  { return d.read(p) }
func (d *deviceFile) Write(p []byte) (int, error)            { return d.write(p) }
func (d *deviceFile) WriteAt(p []byte, _ int64) (int, error) { return d.write(p) }
func (d *deviceFile) WriteString(s string) (int, error)      { return d.write([]byte(s)) }
func (d *deviceFile) Close() error                           { return nil }
func (d *deviceFile) Truncate(int64) error                   { return nil }
func (d *deviceFile) Seek(int64, int) (int64, error)         { return 0, nil }
func (d *deviceFile) Readdir(int) ([]fs.FileInfo, error)     { return nil, syscall.ENOTDIR }
func (d *deviceFile) Readdirnames(int) ([]string, error)     { return nil, syscall.ENOTDIR }
func (d *deviceFile) Stat() (fs.FileInfo, error) {
	return &fileInfo{name: path.Base(d.name), mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}, nil
}

func discard(p []byte) (int, error) { return len(p), nil }

func zeros(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func empty([]byte) (int, error) { return 0, io.EOF }

// devices are the character devices that programs open by name.
var devices = map[string]func(name string) afero.File{
	"/dev/null":    charDevice(empty, discard),
	"/dev/zero":    charDevice(zeros, discard),
	"/dev/urandom": charDevice(rand.Read, discard),
	"/dev/random":  charDevice(rand.Read, discard),
	"/dev/full": charDevice(zeros, func([]byte) (int, error) {
		return 0, &fs.PathError{Op: "write", Path: "/dev/full", Err: syscall.ENOSPC}
	}),
}

func charDevice(read, write func(p []byte) (int, error)) func(name string) afero.File {
	return func(name string) afero.File {
		return &deviceFile{file: file{name: name}, read: read, write: write}
	}
}
