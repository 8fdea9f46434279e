// Package machine is a simulated Debian host: a file system in memory, a shell, the programs that
// modules and people use, packages, units, disks and addresses, reached over real SSH and SFTP.
package machine

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
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

	ctx     context.Context
	process *process
	environ []string
}

// Package is a package of the simulated archive.
type Package struct {
	Name, Version string
	Depends       []string
	// Component is the repository component that offers it: "main", "pve-no-subscription",
	// "ceph-squid/no-subscription". Not installable unless a source entry names it.
	Component string
	// Debian is the code name of the only release that has it; empty for every release.
	Debian    string
	Conffiles map[string]string
	Files     map[string]string
	Units     []Unit
	Programs  map[string]Program
	// Conflicts are removed when this package is installed.
	Conflicts []string
	// Provides are virtual packages that it satisfies.
	Provides []string
	// Essential packages are only removed when apt is told to, as Debian's are.
	Essential bool
	// Installed runs as the maintainer script does; its output is apt's. An error leaves the package
	// half-configured.
	Installed func(m *Machine, out io.Writer) error
	// Removed runs when the package is removed, before its files go. An error, such as that of a
	// preremoval script that refuses, leaves the package installed.
	Removed func(m *Machine, out io.Writer) error
}

// Unit is a systemd unit.
type Unit struct {
	Name            string
	Enabled, Active bool
	// Static units have no [Install] section: they cannot be enabled, others pull them in.
	Static bool
	// Exits is a oneshot unit that stays active when its program has ended.
	Exits bool
	// Start and Stop run when the unit is started and stopped; Start's error leaves it failed.
	Start func(m *Machine) error
	Stop  func(m *Machine)
}

// Disk is a block device.
type Disk struct {
	// Name is the kernel's: "sdb", "nvme0n1". An empty Serial becomes the machine's name and the disk's.
	Name, Serial, Model, WWN string
	// Size is in bytes; zero means 1 TB.
	Size       int64
	Rotational bool
	// Use is empty for a blank disk, or a signature as lsblk's FSTYPE names it.
	Use        string
	Partitions []Disk
	// Volumes are the logical volumes on it; of these only Name (as device-mapper writes it), Size and Use count.
	Volumes    []Disk
	Mountpoint string
	// UUID is that of the signature, PartUUID that of a partition; PartType says what a partition is for,
	// empty means Linux.
	UUID, PartUUID, PartType string
}

// Config is what distinguishes a machine from the next. Only Name is needed.
type Config struct {
	// Name is the host name, Domain what the installer was given beside it; empty means "example.com".
	Name, Domain string
	// Address is the machine's own address in CIDR form, or alone, which means /24. Empty means none
	// but the loopback's.
	Address string
	// Addresses are those of further interfaces, in CIDR form.
	Addresses []string
	// Debian is "bookworm" or "trixie"; empty means trixie.
	Debian string
	// Disks are beside the system disk sda, which every machine has.
	Disks []Disk
	// Memory is in bytes, zero means 16 GiB. CPUs zero means 4.
	Memory int64
	CPUs   int
	// Clock is shared by the machines of a lab; nil means a VirtualClock of its own.
	Clock Clock
	// Archive and Network are shared too; nil means ones of its own.
	Archive *Archive
	Network *Network
	// AuthorizedKeys are lines of root's authorized_keys and of that of every one of Users.
	AuthorizedKeys []string
	// Users are unprivileged users with sudo.
	Users []User
	// BootTime is how long a reboot takes; zero means 25 s.
	BootTime time.Duration
}

// User is an unprivileged user with sudo.
type User struct {
	Name string
	// Password is what sudo asks for; empty means that the user has NOPASSWD.
	Password string
}

// Machine is one simulated host. Its methods may be called from many goroutines.
type Machine struct {
	name, domain, debian string
	clock                Clock
	archive              *Archive
	network              *Network
	cpus                 int
	memory               int64
	bootTime             time.Duration
	addresses            []netip.Prefix
	users                []User

	tree      *tree
	mounts    mounts
	units     *Units
	packages  *Packages
	processes processes
	starts    starts
	hostKey   ssh.Signer
	server    server
	faults    faults

	mu        sync.Mutex
	on        bool
	bootID    string
	bootedAt  time.Time
	kernel    string
	boots     int
	onBoot    []func(*Machine)
	installed map[string]Program // by path
	disks     []*Disk
	mapped    map[string]string // device numbers of logical volumes, by name
	writes    []Write
	modules   map[string]bool
	debconf   map[string]string
	values    map[any]any
}

// New returns a machine that is up, a bare Debian. It listens for SSH once Listen is called.
func New(c Config) *Machine {
	m := &Machine{
		name: c.Name, domain: c.Domain, debian: c.Debian, clock: c.Clock, archive: c.Archive, network: c.Network,
		cpus: c.CPUs, memory: c.Memory, bootTime: c.BootTime, users: c.Users, on: true,
		installed: map[string]Program{}, modules: map[string]bool{}, debconf: map[string]string{}, values: map[any]any{},
	}
	if m.domain == "" {
		m.domain = "example.com"
	}
	if m.debian == "" {
		m.debian = "trixie"
	}
	if m.cpus == 0 {
		m.cpus = 4
	}
	if m.memory == 0 {
		m.memory = 16 << 30
	}
	if m.bootTime == 0 {
		m.bootTime = 25 * time.Second
	}
	if m.clock == nil {
		m.clock = NewVirtualClock(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
	}
	if m.archive == nil {
		m.archive = NewArchive()
	}
	if m.network == nil {
		m.network = NewNetwork()
	}
	m.addresses = prefixes(append([]string{c.Address}, c.Addresses...))
	m.hostKey = newHostKey()
	m.units = &Units{m: m, states: map[string]*unitState{}}
	m.packages = newPackages(m)
	m.furnish(c)
	m.network.add(m)
	m.bootedAt = m.clock.Now()
	m.bootID = newUUID()
	m.kernel = m.newestKernel()
	return m
}

func prefixes(texts []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		} else if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(a, min(24, a.BitLen())))
		}
	}
	return all
}

// Name is the host name without the domain; hostname(1) changes it.
func (m *Machine) Name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.name
}

// FQDN is the host name with the domain that the installer was given.
func (m *Machine) FQDN() string { return m.Name() + "." + m.domain }

// Debian is the release's code name.
func (m *Machine) Debian() string { return m.debian }

// Clock is the lab's time.
func (m *Machine) Clock() Clock { return m.clock }

// Network is the other machines, and this one.
func (m *Machine) Network() *Network { return m.network }

// Archive is where packages and published files come from.
func (m *Machine) Archive() *Archive { return m.archive }

// Addresses are those of the machine's interfaces, its own address first, loopback left out.
func (m *Machine) Addresses() []netip.Prefix { return m.addresses }

// Units are the machine's systemd units.
func (m *Machine) Units() *Units { return m.units }

// Packages are the machine's Debian packages.
func (m *Machine) Packages() *Packages { return m.packages }

// CPUs is the number of processors.
func (m *Machine) CPUs() int { return m.cpus }

// Memory is in bytes.
func (m *Machine) Memory() int64 { return m.memory }

// FS is the whole tree, mounts included, as root sees it. What is changed through it is not
// recorded: it is the hand of whoever sets the lab up. Programs use Call.FS.
func (m *Machine) FS() afero.Fs { return view{m: m} }

// FS is the machine's files as the caller's user may see and change them; changes are recorded
// under the program's name.
func (c *Call) FS() afero.Fs { return c.view() }

// Value returns what SetValue stored under key, or nil: state that simulated programs from
// elsewhere keep with a machine.
func (m *Machine) Value(key any) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// SetValue stores value under key, which should be of an unexported type of the caller's.
func (m *Machine) SetValue(key, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
}
