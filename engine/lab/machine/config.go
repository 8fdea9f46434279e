package machine

import (
	"net/netip"
	"time"
)

// Config describes a machine. Only Name is required.
type Config struct {
	// Name is the host name. Domain is the domain that the installer was given; empty means "example.com".
	Name, Domain string
	// Address is the machine's primary address in CIDR form; without a prefix length, /24 is assumed. Empty means
	// that the machine has only the loopback interface.
	Address string
	// Addresses are the addresses of further interfaces, in CIDR form.
	Addresses []string
	// Renames are the names of network cards under some kernels. The first entry that matches a card and the kernel
	// counts.
	Renames []Rename
	// Debian is "bookworm" or "trixie"; empty means trixie.
	Debian string
	// BootLoader is the boot loader that the installer set up.
	BootLoader BootLoader
	// PCI are the PCI devices. IOMMU reports whether the firmware enables the IOMMU.
	PCI []PCIDevice
	// USB maps ports ("1-2.3") to vendor and product of the devices, "0781:5567".
	USB   map[string]string
	IOMMU bool
	// Disks are the disks in addition to the system disk sda, which every machine has.
	Disks []Disk
	// Memory is in bytes; zero means 16 GiB. Zero CPUs means 4.
	Memory int64
	CPUs   int
	// Clock is shared by the machines of a lab. If nil, the machine gets its own VirtualClock.
	Clock Clock
	// Archive and Network are shared too. If nil, the machine gets new ones.
	Archive *Archive
	Network *Network
	// AuthorizedKeys are the lines of authorized_keys for root and each of Users.
	AuthorizedKeys []string
	// Users are unprivileged users who may use sudo.
	Users []User
	// BootTime is how long a reboot takes; zero means 25 s.
	BootTime time.Duration
}

// User is an unprivileged user who may use sudo.
type User struct {
	Name string
	// Password is the password that sudo asks for; empty means that the user has NOPASSWD.
	Password string
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
