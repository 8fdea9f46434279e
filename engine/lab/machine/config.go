package machine

import (
	"net/netip"
	"time"
)

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
