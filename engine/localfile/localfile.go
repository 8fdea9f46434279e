// Package localfile reads files of the controller that people name. Nobody has to wait for a file: what may
// keep its reader waiting for ever, or never ends, is refused at once.
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

// patience bounds the reading of a file of the kernel that has nothing to say for now (/proc/kmsg).
const patience = 5 * time.Second

// Open opens a regular file, /dev/null, or a pipe that this process was started with, which is what <(command)
// of a shell is: /dev/fd/63. Errors are of type *fs.PathError.
func Open(path string) (*os.File, error) {
	// Some devices do something when they are opened: they are not.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := refuse(path, info); err != nil {
		return nil, err
	}
	// Without O_NONBLOCK, what has become a FIFO since would be waited for.
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
		_ = f.SetReadDeadline(time.Now().Add(patience)) // most files have none, and no need of one
	}
	return f, nil
}

// Read reads a file of at most so many bytes.
func Read(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, most+1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, refusal(path, fmt.Sprintf("it has had nothing to read for %s; name a file with content", patience))
	}
	if err != nil {
		return nil, err
	}
	if int64(len(src)) > most {
		return nil, refusal(path, "it has more than "+size(most)+", more than any such file needs; check the path")
	}
	return src, nil
}

// ReadAll reads a file of any size.
func ReadAll(path string) ([]byte, error) { return Read(path, math.MaxInt64-1) }

// refuse says why a file is not read; nil if it is.
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
		what = "no regular file"
	}
	return refusal(path, "it is "+what+", which could be waited for without end; name a regular file")
}

// inherited says that a path is a descriptor, beside the three standard ones, that this process was started with.
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
