package localfile

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Foreign returns a reason if another user may have written the file, for example because it is in /tmp. It is empty if
// only this user and root could have. Under sudo, a file of the calling user counts as this user's.
func Foreign(info fs.FileInfo) string {
	if info.Mode().Perm()&0o002 != 0 {
		return "every user can write to it (run chmod o-w)"
	}
	return foreign(info)
}

// foreign returns a reason if another user owns the file.
func foreign(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "its owner is not known"
	}
	switch owner := int(stat.Uid); {
	case owner == 0, owner == os.Geteuid(), os.Geteuid() == 0 && os.Getenv("SUDO_UID") == strconv.Itoa(owner):
		return ""
	}
	return "it belongs to another user"
}
