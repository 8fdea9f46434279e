package proxmox

import (
	"net/netip"
	"os"
)

// Node gives programs access to the machine that they run on.
type Node interface {
	// Name returns the node name: the host name up to the first dot.
	Name() string
	// Debian returns the code name of the release: "bookworm" or "trixie".
	Debian() string
	// Kernel returns the release of the running kernel, as uname -r prints it.
	Kernel() string
	// Up reports whether the machine is running and reachable over the network.
	Up() bool
	// Heard returns the addresses at which others hear the machine, because their interfaces carry packets; nil means all of
	// them.
	Heard() []netip.Addr
	// Addresses returns the addresses of the interfaces that are up, with prefix lengths.
	Addresses() []netip.Prefix
	// Resolve looks up a name as getent ahosts does. It returns an error if the name is unknown.
	Resolve(name string) ([]netip.Addr, error)

	ReadFile(name string) ([]byte, error)
	// WriteFile writes a file, creating missing parent directories.
	WriteFile(name string, data []byte, mode os.FileMode) error
	MkdirAll(name string, mode os.FileMode) error
	// Remove removes a file, or a directory with its content. It is not an error if it does not exist.
	Remove(name string) error
	// Symlink creates or replaces a symbolic link.
	Symlink(target, name string) error
	// Readlink returns an error unless name is a symbolic link.
	Readlink(name string) (string, error)
	// Exists reports whether a file exists. It does not follow a link.
	Exists(name string) bool

	// Version returns the installed version of a package, or "" if it is not installed.
	Version(pkg string) string
	// UnitActive reports whether a unit is active.
	UnitActive(unit string) bool
	// StartUnit starts a unit. An instance of a template is created first.
	StartUnit(unit string) error
	StopUnit(unit string)
	// EnableUnit sets whether a unit starts at boot.
	EnableUnit(unit string, on bool)

	// MountConfig mounts pmxcfs at /etc/pve, replacing an earlier mount; UnmountConfig undoes it.
	MountConfig()
	UnmountConfig()

	Disks() []Disk
	// SetDiskUse sets what is on a disk or partition: its signature as in lsblk's FSTYPE, or "", and its logical
	// volumes by device mapper names.
	SetDiskUse(disk, use string, volumes ...string)
}

// Disk is a disk or partition of a node.
type Disk struct {
	Name, Serial, Model, WWN string // the kernel's name: "sdb"
	Size                     int64  // in bytes
	Rotational               bool
	// Use is the signature, empty for a blank disk. Mountpoint is where it is mounted.
	Use, Mountpoint string
	Partitions      []string // kernel names
	Parent          string   // for a partition, the kernel name of its disk
	BIOSBoot        bool     // whether it is a boot loader's partition
}
