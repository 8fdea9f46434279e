// Package inventory says which hosts there are: hosts, groups, variables, and patterns over them.
package inventory

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Inventory is all hosts and groups of one or several HCL files.
type Inventory struct {
	// Path is what was given on the command line, a file or a directory whose .hcl files are read; several have
	// ", " between them.
	Path string
	// Hosts are in the order of the source.
	Hosts []*Host
	// Groups are "all", then the declared groups in the order of the source, then "ungrouped".
	Groups []*Group
	// Files are all sources by file name, as hcl.NewDiagnosticTextWriter wants them.
	Files map[string]*hcl.File

	declared []*declared
}

// Host is one host with everything its groups give it: precedence is documented at Load.
type Host struct {
	Name string
	// Address is the host's own address on the LAN, a name or an IP address; the host's name if the
	// inventory gives none. Expressions see it as host.address.
	Address string
	// SSHAddress is where SSH connects if that is not Address (a NAT, a rehearsal); empty means Address.
	SSHAddress string
	// MovedTo is where the host answers since a run gave it another address; it is known, and its key is checked, by the
	// address that it had. Empty means that it has not moved.
	MovedTo string
	// Forwards are TCP ports of the host that the controller reaches elsewhere (a NAT, a rehearsal), as ADDRESS:PORT. SSH does not
	// go by them.
	Forwards map[int]string
	// Port is zero for "as ~/.ssh/config says, or 22".
	Port int
	// User is empty for "as ~/.ssh/config says, or the controller's user".
	User string
	// Keys are paths of private keys to try before the agent's and the default ones. "~/" is already
	// expanded, and relative paths are relative to the inventory file's directory.
	Keys []string
	// KnownHosts is a path of a known_hosts file to use in place of the user's; empty for that.
	KnownHosts string
	// Connection is "ssh" or "local".
	Connection string
	// Become says that commands run as BecomeUser (root if empty) through sudo.
	Become     bool
	BecomeUser string
	// Vars are the host's variables with those of its groups; expressions see them as host.vars.
	Vars map[string]cty.Value
	// Groups are the names of all groups the host is in, directly or through child groups: "all" first,
	// then in the order of their precedence, or "ungrouped" for a host that is in no other.
	Groups []string
	// Rehearsal describes the simulated node that stands in for this host.
	Rehearsal Rehearsal
	Range     hcl.Range

	varsAt    map[string]hcl.Range
	sensitive map[string]bool
}

// Group is a named set of hosts.
type Group struct {
	Name string
	// Hosts are all members, those of child groups included, in the inventory's order.
	Hosts []*Host
	// Children are the names of the groups directly below this one.
	Children []string
	// Vars are the variables that the group itself gives its hosts; those of "all" include those of the
	// `defaults` block. A host's own Vars hold them too, unless something of higher precedence gives another value.
	Vars  map[string]cty.Value
	Range hcl.Range
	// varsAt is where each of Vars stands.
	varsAt map[string]hcl.Range
}

// implicit reports whether the group exists without being declared.
func (g *Group) implicit() bool { return g.Name == groupAll || g.Name == groupUngrouped }

// Rehearsal is what a `rehearsal` block says of the simulated node; real runs ignore it.
type Rehearsal struct {
	// Debian is the release's code name; empty means trixie.
	Debian string
	// Disks beside the system disk; none given means two blank ones of 1 TB, sdb and sdc.
	Disks []Disk
	// Packages are offered to all simulated nodes, beside those that hlplay itself knows.
	Packages []Package
	// Addresses are further interface addresses in CIDR form, beside the host's own.
	Addresses []string
	// Guests are virtual machines and containers that exist on the node already: id to "vm" or "ct".
	Guests map[string]string
	// BootLoader is "systemd-boot" or "boot-tool-grub" where a tool keeps the partitions that the node boots from; empty means Debian's
	// GRUB.
	BootLoader string
	// IOMMU says that the firmware has its IOMMU switched on, PCI are the PCI devices.
	IOMMU bool
	PCI   []PCIDevice
}

// PCIDevice is a PCI device of a simulated node.
type PCIDevice struct {
	Address string // "0000:01:00.0"
	ID      string // vendor and device: "10de:2204"
	Class   string // "0300"
	// Drivers are the kernel modules that can drive it, the one that does first.
	Drivers []string
	Group   int // of the IOMMU
}

// Package is a package of the simulated archive.
type Package struct {
	Name    string
	Version string // empty means 1.0-1
	Depends []string
	// Units are the full names of the units that it brings, which are enabled and started.
	Units []string
	// Files are what else it brings: contents by absolute path. Those below /etc are its configuration files.
	Files map[string]string
}

// Disk is one disk of a simulated node.
type Disk struct {
	Name       string // kernel name: "sdb", "nvme0n1"
	Size       int64  // bytes; zero means 1 TB
	Serial     string // empty: derived from host and name
	Model      string
	Rotational bool
	// Use is empty for a blank disk, or what is on it: "ext4", "LVM2_member", "partitions".
	Use string
	// Partitions are the sizes of blank partitions on it, in bytes.
	Partitions []int64
}
