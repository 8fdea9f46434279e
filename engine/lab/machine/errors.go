package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/afero"
)

func fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: errno(err)}
}

// errno returns the kernel's error for an error of any file system.
func errno(err error) error {
	var number syscall.Errno
	switch {
	case errors.As(err, &number):
		return number
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, afero.ErrFileNotFound):
		return syscall.ENOENT
	case errors.Is(err, fs.ErrExist), errors.Is(err, afero.ErrDestinationExists):
		return syscall.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return syscall.EACCES
	}
	return err
}

// errText returns the C library's text for an error.
func errText(err error) string {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	if number, ok := errno(err).(syscall.Errno); ok {
		text := number.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return err.Error()
}

// plainError is an error whose text is printed unchanged.
type plainError string

func (e plainError) Error() string { return string(e) }

// saying returns an error with exactly the text that a program prints.
func saying(format string, args ...any) error { return plainError(fmt.Sprintf(format, args...)) }
