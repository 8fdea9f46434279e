// Package machine is a simulated Debian host: a file system in memory, a shell, the programs that
// modules and people use, packages, units, disks and addresses, reached over real SSH and SFTP.
package machine

import (
	"context"
	"io"
	"time"

	"github.com/spf13/afero"
)

// Program is what runs when a node's shell starts a program of that name. It returns the exit code.
type Program func(ctx context.Context, c *Call) int

// Call is one start of a program.
type Call struct {
	Machine        *Machine
	Argv           []string // Argv[0] is the name it was called by
	Dir            string
	User           string
	Env            func(name string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Package is a package of the simulated archive.
type Package struct {
	Name, Version string
	Depends       []string
	// Section is the repository component that offers it: "main", "pve-no-subscription",
	// "ceph-squid/no-subscription". Not installable unless a source entry names it.
	Component string
	Conffiles map[string]string
	Files     map[string]string
	Units     []Unit
	Programs  map[string]Program
	// Conflicts are removed when this package is installed.
	Conflicts []string
	// Installed runs as the maintainer script does; its output is apt's. An error leaves the package
	// half-configured.
	Installed func(m *Machine, out io.Writer) error
}

// Unit is a systemd unit.
type Unit struct {
	Name            string
	Enabled, Active bool
	// Start and Stop run when the unit is started and stopped; Start's error leaves it failed.
	Start func(m *Machine) error
	Stop  func(m *Machine)
}

// Disk is a block device.
type Disk struct {
	Name, Serial, Model, WWN string
	Size                     int64
	Rotational               bool
	// Use is empty for a blank disk, or a signature as lsblk's FSTYPE names it.
	Use        string
	Partitions []Disk
	Mountpoint string
}

// Clock is the lab's time. All machines of a lab share one.
type Clock interface {
	Now() time.Time
	// After runs fn once the clock has passed d from now.
	After(d time.Duration, fn func())
}

// Write is one recorded change of a machine: what a test asks for when it says "not one write".
type Write struct {
	At   time.Time
	By   string // the program or protocol: "sftp", "apt-get", "sh"
	What string // "write /etc/hosts", "install chrony", "start ceph-mon@pve1"
}

var _ afero.Fs // machines keep their files in an afero.Fs

// Machine is one simulated host.
type Machine struct {
	// filled in by the implementation
}
