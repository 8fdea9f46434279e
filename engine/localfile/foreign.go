package localfile

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Foreign returns why another user may have written a file, such as one in /tmp; empty if only this user and root can. Behind sudo, a file of
// the user who called it is this user's.
func Foreign(info fs.FileInfo) string {
	if info.Mode().Perm()&0o002 != 0 {
		return "every user can write to it (run chmod o-w)"
	}
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
