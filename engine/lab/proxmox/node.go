package proxmox

import (
	"net/netip"
	"os"
)

// Node is all that the programs see of the machine they run on.
type Node interface {
	// Name is the node name: the host name up to the first dot.
	Name() string
	// Debian is the release's code name: "bookworm" or "trixie".
	Debian() string
	// Kernel is the release of the running kernel, as uname -r prints it.
	Kernel() string
	// Up says whether the machine runs and its network is reachable.
	Up() bool
	// Addresses are those of the interfaces that are up, with their prefixes.
	Addresses() []netip.Prefix
	// Resolve looks a name up as getent ahosts does; an error means that the name is not known.
	Resolve(name string) ([]netip.Addr, error)

	ReadFile(name string) ([]byte, error)
	// WriteFile replaces a file and makes the directories above it.
	WriteFile(name string, data []byte, mode os.FileMode) error
	MkdirAll(name string, mode os.FileMode) error
	// Remove drops a file, or a directory with what is in it. Absent is no error.
	Remove(name string) error
	// Symlink makes or replaces a symbolic link.
	Symlink(target, name string) error
	// Readlink fails unless name is a symbolic link.
	Readlink(name string) (string, error)
	// Exists does not follow a link.
	Exists(name string) bool

	// Version is the installed version of a package, empty if it is not installed.
	Version(pkg string) string
	// UnitActive says whether a unit runs.
	UnitActive(unit string) bool
	// StartUnit starts a unit, first defining it where it is an instance of a template.
	StartUnit(unit string) error
	StopUnit(unit string)
	// EnableUnit makes it start at boot, or not.
	EnableUnit(unit string, on bool)

	// MountConfig mounts pmxcfs at /etc/pve, in place of one that is mounted; UnmountConfig undoes it.
	MountConfig()
	UnmountConfig()

	Disks() []Disk
	// SetDiskUse records what is on a disk or partition: a signature as lsblk's FSTYPE names it, empty for
	// nothing, and the logical volumes by their device-mapper names.
	SetDiskUse(disk, use string, volumes ...string)
}

// Disk is one disk or partition of a node.
type Disk struct {
	Name, Serial, Model, WWN string // Name is the kernel's: "sdb"
	Size                     int64  // bytes
	Rotational               bool
	// Use is empty for a blank disk; Mountpoint where it is mounted.
	Use, Mountpoint string
	Partitions      []string // kernel names
	Parent          string   // of a partition: the disk's kernel name
	BIOSBoot        bool     // the partition of a boot loader
}
