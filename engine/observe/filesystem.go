package observe

import (
	"slices"
	"strings"
)

// FileSystem is one whose files are not like others.
type FileSystem struct {
	// Root is the absolute path that it is mounted at, with a slash at its end.
	Root string
	// Shared says that several hosts see the same files: what one writes changes what the others read.
	Shared bool
	// Unsized reports whether the size that stat(2) tells of a file says nothing about what reading it yields, or changes from one
	// call to the next. Nil is never.
	Unsized func(name string) bool
}

func (f FileSystem) has(name string) bool { return strings.HasPrefix(name, f.Root) }

func always(string) bool { return true }

// fileSystems are those of any Linux host, and those that AddFileSystems has added.
var fileSystems = []FileSystem{{Root: "/proc/", Unsized: always}, {Root: "/sys/", Unsized: always}}

// AddFileSystems adds those of products. The registry of modules calls it while the program starts.
func AddFileSystems(more ...FileSystem) { fileSystems = append(fileSystems, more...) }

// OnSharedFileSystem reports whether a path is below the root of a file system that hosts share.
func OnSharedFileSystem(name string) bool {
	return slices.ContainsFunc(fileSystems, func(f FileSystem) bool { return f.Shared && f.has(name) })
}

// unsized reports whether stat's size of a file is of no use.
func unsized(name string) bool {
	return slices.ContainsFunc(fileSystems, func(f FileSystem) bool { return f.Unsized != nil && f.has(name) && f.Unsized(name) })
}
