package remote

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// small is the maximum size of a file's content that travels with the command that writes it, which can run in the
// acting shell. Larger content is streamed to its own session.
const small = 64 << 10

// WriteFile replaces a file atomically. The content is written to a file of mode 0600 in the same directory, named
// .NAME.hlplay-RANDOM.PROCESS, which gets its mode and owner, is synced to disk, and renamed. If others than root and the
// acting user can rename files there, the temporary file is in a directory of that name. If Path is a symbolic link that
// nobody else could have made, the file that it points to is replaced; any other link is an error. With OverLink the link itself is
// replaced.
//
// After an error nothing is left behind, unless the command is killed or the host fails at that moment. Leftovers are
// removed when the path is next written.
func (s *session) WriteFile(ctx context.Context, f File) (Written, error) {
	if !f.writable() {
		return Written{}, fmt.Errorf("%s: write %q: want an absolute path of a file", s.conn.name, f.Path)
	}
	c := f.Command()
	var r Result
	var err error
	if f.Small() {
		r, err = s.Run(ctx, c)
	} else {
		r, err = s.stream(ctx, c, f)
	}
	switch {
	case err != nil:
		return Written{}, fmt.Errorf("write %s: %w", f.Path, err)
	case r.Exit != 0:
		return Written{}, f.Failure(s.conn.name, r)
	case f.Small():
		return Written{}, nil
	}
	stamp := strings.TrimSpace(string(r.Stdout))
	if stamp == "" || strings.HasSuffix(stamp, ".000000000") { // as in same.sh, whole seconds prove nothing
		return Written{}, nil
	}
	sum, err := f.sum()
	if err != nil { // the source has changed right after it was read
		return Written{}, nil
	}
	return Written{Stamp: stamp, Sum: fmt.Sprintf("%x", sum)}, nil
}

// slowest is the lowest acceptable speed of a transfer in bytes per second. It determines the limit of the command that
// reads it.
const slowest = 1 << 18

// stream runs the command that writes a file in its own session, reading the content meanwhile.
func (s *session) stream(ctx context.Context, c Command, f File) (Result, error) {
	c.Limit = DefaultLimit + time.Duration(f.size()/slowest)*time.Second
	if f.Source == nil {
		return s.runWithoutShell(ctx, c)
	}
	content, err := f.Source.open()
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	defer content.Close()
	c.input = content
	r, err := s.runWithoutShell(ctx, c)
	switch broken := content.broken(); {
	case broken != nil && (err != nil || r.Exit != 0):
		return r, fmt.Errorf("%s: %w; the file is as it was", s.conn.name, broken)
	case err == nil && r.Exit == 0:
		content.remember()
	}
	return r, err
}

func (f File) writable() bool { return path.IsAbs(f.Path) && !strings.HasSuffix(f.Path, "/") }

func (f File) size() int64 {
	if f.Source != nil {
		return f.Source.Size
	}
	return int64(len(f.Content))
}

// sum returns the SHA-256 sum of the content.
func (f File) sum() ([sha256.Size]byte, error) {
	if f.Source != nil {
		return f.Source.Sum()
	}
	return sha256.Sum256(f.Content), nil
}

// Small reports whether the content is small enough to travel with the command that writes the file.
func (f File) Small() bool { return f.writable() && f.Source == nil && len(f.Content) <= small }

// Command returns the command that WriteFile uses for a small file, so that it can share a flight with others. If the
// command exits with a non-zero code, Failure explains it.
func (f File) Command() Command {
	last := "file"
	if f.OverLink {
		last = "name"
	}
	c := placing("_hl_write", f.Path, word(), strconv.FormatInt(f.size(), 10), octal(f.Mode), f.Owner, f.Group, f.Over.word(), last)
	c.Stdin, c.Before, c.own.summed = f.Content, f.Before, true
	return c
}

// errnos are the errors that callers look for with errors.Is. They are recognized by their text in the C locale.
var errnos = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM}

// errnoIn returns the error that a message is about, or nil.
func errnoIn(text string) error {
	text = strings.ToLower(text)
	for _, errno := range errnos {
		if strings.Contains(text, errno.Error()) {
			return errno
		}
	}
	return nil
}

// Failure explains why the command did not write the file.
func (f File) Failure(host string, r Result) error {
	if err := Stale(f.Path, r); err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	text := lastLines(r.Stderr, 2)
	if errno := errnoIn(text); errno != nil {
		return fmt.Errorf("%s: write %s: %w (%s); the file is as it was", host, f.Path, errno, text)
	}
	if text == "" {
		text = fmt.Sprintf("exit code %d", r.Exit)
	}
	return fmt.Errorf("%s: write %s: %s; the file is as it was", host, f.Path, text)
}
