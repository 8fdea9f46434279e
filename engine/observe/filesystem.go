package observe

import (
	"slices"
	"strings"
)

// FileSystem describes a file system whose files behave differently from ordinary ones.
type FileSystem struct {
	// Root is the absolute path of the mount point, with a trailing slash.
	Root string
	// Shared is set if several hosts see the same files: what one of them writes changes what the others read.
	Shared bool
	// Copied are files elsewhere that its daemon writes on every host when a file of a shared file system changes. Each host has its
	// own, but what another host does may change it.
	Copied []string
	// Unsized reports whether the size returned by stat(2) says nothing about what reading the file yields, or changes
	// from one call to the next. Nil means that sizes are reliable.
	Unsized func(name string) bool
}

func (f FileSystem) has(name string) bool { return strings.HasPrefix(name, f.Root) }

func always(string) bool { return true }

// fileSystems holds the file systems of any Linux host and those added by AddFileSystems.
var fileSystems = []FileSystem{{Root: "/proc/", Unsized: always}, {Root: "/sys/", Unsized: always}}

// AddFileSystems adds file systems of products. The registry of modules calls it during initialization.
func AddFileSystems(more ...FileSystem) { fileSystems = append(fileSystems, more...) }

// OnSharedFileSystem reports whether name is on a file system that hosts share.
func OnSharedFileSystem(name string) bool {
	return slices.ContainsFunc(fileSystems, func(f FileSystem) bool { return f.Shared && f.has(name) })
}

// changesElsewhere reports whether what another host does may change a file: it is on a file system that hosts share, or is copied
// from there.
func changesElsewhere(name string) bool {
	return OnSharedFileSystem(name) || slices.ContainsFunc(fileSystems, func(f FileSystem) bool { return slices.Contains(f.Copied, name) })
}

// unsized reports whether the size that stat returns for a file is meaningless.
func unsized(name string) bool {
	return slices.ContainsFunc(fileSystems, func(f FileSystem) bool { return f.Unsized != nil && f.has(name) && f.Unsized(name) })
}
