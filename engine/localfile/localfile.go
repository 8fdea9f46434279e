// Package localfile reads files on the controller whose paths are given by users. Reading never blocks: whatever could
// make the reader wait forever, such as a FIFO or a device, is rejected at once.
package localfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience limits the time for reading a kernel file that currently has no data (/proc/kmsg).
const patience = 5 * time.Second

// Open opens a regular file, /dev/null, or a pipe that this process inherited, such as the /dev/fd/63 of a shell's
// <(command). Errors are of type *fs.PathError.
func Open(path string) (*os.File, error) {
	// Opening a device can have side effects.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := refuse(path, info); err != nil {
		return nil, err
	}
	// The file may have become a FIFO since; O_NONBLOCK keeps the open from blocking.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = refuse(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.Mode().IsRegular() {
		_ = f.SetReadDeadline(time.Now().Add(patience)) // most files do not support deadlines and do not need one
	}
	return f, nil
}

// Read returns the content of a file, which must not be longer than most bytes.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, most+1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, refusal(path, fmt.Sprintf("it had no data for %s; name a file with content", patience))
	}
	if err != nil {
		return nil, err
	}
	if int64(len(src)) > most {
		return nil, refusal(path, "it is larger than "+size(most)+", the limit for such a file; check the path")
	}
	return src, nil
}

// ReadAll returns the content of a file of any size.
func ReadAll(path string) ([]byte, error) { return Read(path, math.MaxInt64-1) }

// refuse returns an error if the file is rejected.
func refuse(path string, info fs.FileInfo) error {
	what := ""
	switch mode := info.Mode(); {
	case mode.IsRegular(), os.SameFile(info, devNull()):
		return nil
	case mode.IsDir():
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case mode&fs.ModeNamedPipe != 0:
		if inherited(path) {
			return nil
		}
		what = "a FIFO"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	default:
		what = "not a regular file"
	}
	return refusal(path, "it is "+what+", and reading it could block forever; name a regular file")
}

// inherited reports whether path is a file descriptor with which this process was started, other than the three
// standard ones.
func inherited(path string) bool {
	for _, dir := range []string{"/dev/fd", "/proc/self/fd"} {
		if rest, ok := strings.CutPrefix(filepath.Clean(path), dir+"/"); ok {
			n, err := strconv.Atoi(rest)
			return err == nil && n > 2
		}
	}
	return false
}

func devNull() fs.FileInfo {
	info, err := os.Stat(os.DevNull)
	if err != nil {
		return nil
	}
	return info
}

func refusal(path, why string) error {
	return &fs.PathError{Op: "read", Path: path, Err: errors.New(why)}
}

func size(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
