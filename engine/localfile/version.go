package localfile

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Version tells one content of a file from another without reading it, by what the file system keeps: which file it is, its size,
// and when it was last changed. Versions are compared with ==. The zero value is the version of no file.
type Version struct {
	device, inode     uint64
	size              int64
	modified, changed unix.Timespec
}

// VersionOf returns the version of an open file.
func VersionOf(f *os.File) (Version, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Version{}, err
	}
	var stat unix.Stat_t
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &stat) }); err != nil {
		return Version{}, err
	}
	if failed != nil {
		return Version{}, &os.PathError{Op: "stat", Path: f.Name(), Err: failed}
	}
	return Version{uint64(stat.Dev), stat.Ino, stat.Size, stat.Mtim, stat.Ctim}, nil
}

// Size returns the size in bytes.
func (v Version) Size() int64 { return v.size }

// Settled reports whether every later change of the file will show as another version. A change right after another does not if both
// have the same time: Linux's clock for files ticks every 1 to 10 ms, and some file systems count in steps of two seconds. Others,
// in user space, keep no time of change, which then is 0, or do not know the size before the file is read, as in /proc.
func (v Version) Settled() bool {
	return v.size > 0 && v.changed != unix.Timespec{} && time.Since(time.Unix(v.changed.Unix())) > 2*time.Second
}
