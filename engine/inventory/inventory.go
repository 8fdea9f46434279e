// Package inventory reads inventories: hosts, groups and variables. It resolves what hosts inherit from groups, and
// matches patterns of names.
package inventory

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Inventory holds the hosts and groups of one or more files.
type Inventory struct {
	// Path is the path from the command line: a file, or a directory whose .hcl files are read. Several paths are
	// joined by ", ".
	Path string
	// Hosts are in the order of the source.
	Hosts []*Host
	// Groups are "all", then the declared groups in the order of the source, then "ungrouped".
	Groups []*Group
	// Files are the parsed files by name, for hcl.NewDiagnosticTextWriter.
	Files map[string]*hcl.File
	// Answers is the output of inventory programs, by their names and arguments. It may contain passwords.
	Answers map[string][]byte
	// Partial is set if hosts are missing because LoadStatic did not run a program.
	Partial bool

	declared []*declared
}

// Host is a host with the settings that it inherits. See Load for the precedence.
type Host struct {
	Name string
	// Address is the host's own address on the LAN, a name or an IP address. If the inventory sets none, it is the
	// host's name. Expressions see it as host.address.
	Address string
	// SSHAddress is the address for SSH connections if it differs from Address, as behind NAT or in a rehearsal.
	SSHAddress string
	// MovedTo is the host's new address if the run has changed it. The host keeps its old address as its identity,
	// under which its host key is known.
	MovedTo string
	// Forwards maps TCP ports of the host that the controller cannot reach directly, as behind NAT or in a rehearsal,
	// to the ADDRESS:PORT at which it reaches them. SSH does not use them.
	Forwards map[int]string
	// Port is 0 to use the port in ~/.ssh/config or else 22.
	Port int
	// User is empty to use the user in ~/.ssh/config or else the user on the controller.
	User string
	// Keys are the absolute paths of private keys to try before the agent's and the default ones.
	Keys []string
	// KnownHosts is the path of a known_hosts file to use instead of the user's.
	KnownHosts string
	// Connection is "ssh" or "local".
	Connection string
	// Become makes commands run through sudo, as BecomeUser or, if that is empty, as root.
	Become     bool
	BecomeUser string
	// BecomeGiven is set if the inventory says whether to become another user, also if it says no.
	BecomeGiven bool
	// Vars are the variables of the host and its groups. Expressions see them as host.vars.
	Vars map[string]cty.Value
	// Groups are the names of the host's groups, including parent groups: "all", then the others in order of
	// precedence, or "ungrouped" if there are none.
	Groups []string
	// Rehearsal describes the simulated node that represents this host.
	Rehearsal Rehearsal
	Range     hcl.Range

	varsAt    map[string]hcl.Range
	sensitive map[string]bool
}

// Group is a named set of hosts.
type Group struct {
	Name string
	// Hosts are the members, including those of child groups, in the inventory's order.
	Hosts []*Host
	// Children are the names of the direct child groups.
	Children []string
	// Vars are the variables set in the group itself; those of "all" include the `defaults` block. Host.Vars includes them
	// unless a setting of higher precedence overrides them.
	Vars  map[string]cty.Value
	Range hcl.Range
	// varsAt is the position at which each of Vars is set.
	varsAt map[string]hcl.Range
}

// implicit reports whether the group exists without being declared.
func (g *Group) implicit() bool { return g.Name == groupAll || g.Name == groupUngrouped }

// Rehearsal is a `rehearsal` block, which describes a simulated node. Real runs ignore it.
type Rehearsal struct {
	// Debian is the release's code name; empty means trixie.
	Debian string
	// Disks are the disks in addition to the system disk. The default is two blank disks of 1 TB, sdb and sdc.
	Disks []Disk
	// Packages are available to all simulated nodes, in addition to those that hlplay knows.
	Packages []Package
	// Downloads are the files that all simulated nodes can download.
	Downloads []Download
	// Addresses are additional interface addresses in CIDR notation.
	Addresses []string
	// Renames are the names that kernels give to network cards.
	Renames []Rename
	// Guests are the virtual machines ("vm") and containers ("ct") that exist on the node from the start, by ID.
	Guests map[string]string
	// BootLoader is "systemd-boot" or "boot-tool-grub" if a tool manages it on each boot partition, and
	// "kernel-install" for systemd-boot from Debian's package. The default is Debian's GRUB.
	BootLoader string
	// IOMMU reports whether the firmware enables the IOMMU.
	IOMMU bool
	PCI   []PCIDevice
	// USB maps ports ("1-2.3") to vendor and product of USB devices, "0781:5567".
	USB map[string]string
}

// Rename is another name that a network card of a simulated node gets under certain kernels, unless a .link file names
// the card.
type Rename struct {
	Card   string // its name as installed: "ens18"
	Kernel string // a pattern of releases: "6.14.*", "*-amd64"
	To     string // "enp6s18"
}

// PCIDevice is a PCI device of a simulated node.
type PCIDevice struct {
	Address string // "0000:01:00.0"
	ID      string // vendor and device: "10de:2204"
	Class   string // "0300"
	// Drivers are the kernel modules that can drive the device. The first one is used.
	Drivers []string
	Group   int // IOMMU group
}

// Download is what simulated nodes get from a URL.
type Download struct {
	URL string
	// SHA256 is the checksum that simulated nodes report for it, so that it can stand in for the real file. If empty,
	// it is that of Content.
	SHA256  string
	Content string
	// Files are the contents of the files of an archive, by their paths in it; nil if it is not an archive.
	Files map[string]string
}

// Package is a package of the simulated archive.
type Package struct {
	Name    string
	Version string // empty means 1.0-1
	Depends []string
	// Units are the full names of the units that the package installs, enables and starts.
	Units []string
	// Files are the contents of its other files by absolute path. Files below /etc are configuration files.
	Files map[string]string
}

// Disk is one disk of a simulated node.
type Disk struct {
	Name       string // kernel name: "sdb", "nvme0n1"
	Size       int64  // bytes; zero means 1 TB
	Serial     string // empty: derived from host and name
	Model      string
	Rotational bool
	// Use is what the disk contains, such as "ext4", "LVM2_member" or "partitions". A blank disk has "".
	Use string
	// Partitions are the sizes of blank partitions on it, in bytes.
	Partitions []int64
}
