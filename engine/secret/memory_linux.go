package secret

import "golang.org/x/sys/unix"

// isMemory reports whether a directory is on an in-memory file system.
func isMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC)
}
