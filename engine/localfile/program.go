package localfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mostLinks is how many symbolic links are followed, as in path_resolution(7).
const mostLinks = 40

// MayRun returns an error if a program is not Entrusted. path is absolute, and name is what the user calls the program.
func MayRun(path, name string) error {
	why, err := Entrusted(path)
	if err == nil && why != "" {
		err = fmt.Errorf("%s is not run, because %s: only you and root may have write access to a program", name, why)
	}
	return err
}

// Entrusted returns a reason not to run a program: another user may have written it, or can replace it through a link
// or a directory in its path. It is empty if only this user and root could. path is absolute.
func Entrusted(path string) (why string, err error) {
	at, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		at, rest = filepath.Join(at, rest[0]), rest[1:]
		info, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		if why := exchangeable(info); why != "" {
			switch mode := info.Mode(); {
			case mode.IsDir():
				why = fmt.Sprintf("the directory %s above it is not safe: %s", at, why)
			case mode&fs.ModeSymlink != 0:
				why = fmt.Sprintf("the link %s to it is not safe: %s", at, why)
			}
			return why, nil
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", err
		}
		if links++; links > mostLinks {
			return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		rest = append(strings.Split(target, "/"), rest...)
		if at = filepath.Dir(at); filepath.IsAbs(target) {
			at = "/"
		}
	}
	return "", nil
}

// exchangeable returns a reason if another user can change a file or the entries of a directory, or owns a link.
func exchangeable(info fs.FileInfo) string {
	why := foreign(info)
	switch mode := info.Mode(); {
	case why != "", mode&fs.ModeSymlink != 0:
		return why
	case mode.IsDir() && mode&fs.ModeSticky != 0: // as in /tmp: only owners can replace their files
		return ""
	case mode.Perm()&0o002 != 0:
		return Foreign(info)
	case mode.Perm()&0o020 != 0:
		return "its group can write to it (run chmod g-w)"
	}
	return ""
}
