// Package machine simulates a Debian host: a file system in memory, a shell, the programs that modules and people use,
// packages, units, disks and addresses, reached over real SSH.
//
// A Machine has a tree of nodes (its files), Units, Packages, disks and a process table. A view is the files, including
// mounted ones, as one user sees them. A shell interprets scripts with mvdan.cc/sh and starts programs. A Program is a
// function of a Call, which stands for one process with its view, arguments and streams. Each file has the programs for
// one topic, and programs.go lists them all.
package machine

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
)

// Machine is a simulated host. Its methods are safe for concurrent use.
type Machine struct {
	domain    string
	clock     Clock
	archive   *Archive
	network   *Network
	cpus      int
	memory    int64
	bootTime  time.Duration
	addresses []netip.Prefix
	users     []User
	loader    BootLoader
	iommu     bool
	pci       []PCIDevice
	usb       map[string]string
	renames   []Rename
	filters   []func(from netip.Addr, port int) bool

	tree      *tree
	mounts    mounts
	units     *Units
	packages  *Packages
	processes processes
	starts    starts
	hostKey   ssh.Signer
	server    server
	faults    faults
	// databases is held by a program while it rewrites the users, groups or passwords, like the lock on /etc/.pwd.lock.
	databases sync.Mutex

	mu       sync.Mutex
	name     string
	debian   string
	on       bool
	leaving  bool // told to go down
	bootID   string
	bootedAt time.Time
	kernel   string
	cmdline  string // of the running kernel
	// cards are the names of the network cards, in the order of addresses.
	cards []string
	// espCmdline is the command line that proxmox-boot-tool has written for systemd-boot.
	espCmdline   string
	installed    map[string]Program // by path
	disks        []*Disk
	raids        []*raid
	stopped      []*raid // arrays whose members are present but that are not running
	volumeGroups []*volumeGroup
	groupDirs    []string          // directories of volume groups below /dev
	mapped       map[string]string // device numbers of logical volumes, by name
	writes       []Write
	modules      map[string]bool
	debconf      map[string]string
	values       map[any]any
	reach        atomic.Pointer[reach] // nil until the network was changed
}

// New returns a running machine with a minimal Debian. It accepts SSH connections after Listen.
func New(c Config) *Machine {
	m := &Machine{
		name: c.Name, domain: c.Domain, debian: c.Debian, clock: c.Clock, archive: c.Archive, network: c.Network,
		cpus: c.CPUs, memory: c.Memory, bootTime: c.BootTime, users: c.Users, loader: c.BootLoader, iommu: c.IOMMU, pci: c.PCI, usb: c.USB, renames: c.Renames, on: true,
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
	m.units = &Units{m: m, states: map[string]*unitState{}, templates: map[string]func(string) Unit{}}
	m.packages = newPackages(m)
	m.furnish(c)
	m.network.add(m)
	m.bootedAt = m.clock.Now()
	m.bootID = newUUID()
	m.kernel = m.newestKernel()
	m.cmdline = m.commandLine(m.kernel)
	m.bindPCI()
	return m
}

// Name returns the host name without the domain; hostname(1) changes it.
func (m *Machine) Name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.name
}

// FQDN returns the host name with the domain that the installer was given.
func (m *Machine) FQDN() string { return m.Name() + "." + m.domain }

// Debian returns the code name of the Debian release. It changes when base-files is upgraded to another release.
func (m *Machine) Debian() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.debian
}

// Clock returns the lab's clock.
func (m *Machine) Clock() Clock { return m.clock }

// Archive returns the archive that the machine downloads from.
func (m *Machine) Archive() *Archive { return m.archive }

// Addresses returns the addresses of the machine's interfaces without the loopback interface, the primary one first.
func (m *Machine) Addresses() []netip.Prefix { return m.addresses }

// Units returns the machine's systemd units.
func (m *Machine) Units() *Units { return m.units }

// Packages returns the machine's Debian packages.
func (m *Machine) Packages() *Packages { return m.packages }

// FS returns all files, including mounted ones, with root's permissions. Changes made through it are not recorded: it
// is for setting up the lab. Programs use Call.FS.
func (m *Machine) FS() afero.Fs { return view{m: m} }

// Value returns what SetValue stored under key, or nil. Programs in other packages use it for their state.
func (m *Machine) Value(key any) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// SetValue stores value under key, which should be of an unexported type.
func (m *Machine) SetValue(key, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
}

func (m *Machine) setName(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.name = name
}

func (m *Machine) setDebian(codename string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.debian = codename
}
