package remote

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// small is the size up to which a file's content travels with the command that puts it in place, among others in the
// acting shell. A larger one is streamed to a session of its own.
const small = 64 << 10

// WriteFile replaces a file atomically: the content goes to a file of mode 0600 beside it, named
// .NAME.hlplay-RANDOM.PROCESS, which is given its mode and owner, brought to the disk, and renamed. Where others than root and
// the user who acts may change names, that file lies in a directory of that name. If Path
// is a symbolic link that nobody else could have made, the file that it points to is replaced, and the link stays;
// any other is an error. On an error
// nothing of it is left behind, unless it is killed or the host itself is lost at that moment: that goes when the path is next
// written.
func (s *session) WriteFile(ctx context.Context, f File) error {
	if !f.writable() {
		return fmt.Errorf("%s: write %q: want an absolute path of a file", s.conn.name, f.Path)
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
		return fmt.Errorf("write %s: %w", f.Path, err)
	case r.Exit != 0:
		return f.Failure(s.conn.name, r)
	}
	return nil
}

// slowest is how many bytes a second a connection carries at least, or a command that reads them is given up.
const slowest = 1 << 18

// stream runs the command that writes a file in a session of its own, while the content is read.
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
	if broken := content.broken(); broken != nil && (err != nil || r.Exit != 0) {
		return r, fmt.Errorf("%s: %w; the file is as it was", s.conn.name, broken)
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

// Small says whether one command can write the file, whose content then travels with it.
func (f File) Small() bool { return f.writable() && f.Source == nil && len(f.Content) <= small }

// Command is the command by which WriteFile writes a small file, for those who have more to do in the
// same flight; Failure says what it means that it did not end with 0.
func (f File) Command() Command {
	c := placing("_hl_write", f.Path, word(), strconv.FormatInt(f.size(), 10), octal(f.Mode), f.Owner, f.Group, f.Over.word())
	c.Stdin, c.Before = f.Content, f.Before
	return c
}

// errnos are the failures that callers ask for with errors.Is, by their text in the C locale.
var errnos = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM}

// errnoIn is the failure that a message tells; nil if it tells none of them.
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
