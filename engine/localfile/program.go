package localfile

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Entrusted returns a reason not to run a program: another user may have written it, or may replace it because of the
// directory that it is in or one above that. It is empty if only this user and root could. Links are followed.
func Entrusted(path string) (why string, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		why := Foreign(info)
		switch {
		case info.IsDir() && info.Mode()&fs.ModeSticky != 0: // as in /tmp: only owners replace their files
			why = ""
		case why == "" && info.Mode().Perm()&0o020 != 0:
			why = "its group can write to it (run chmod g-w)"
		}
		if why != "" && at != real {
			why = "it is below " + at + ", and of that: " + why
		}
		if why != "" || at == filepath.Dir(at) {
			return why, nil
		}
	}
}
