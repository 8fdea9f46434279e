//go:build linux

// Package qemu boots Debian machines with their own kernel and boot loader, for what containers lack: md,
// device-mapper, bonding, VLANs, loadable modules, kernel command lines and reboots. QEMU emulates them without KVM,
// about ten times slower than the host: tests that do not need their own kernel use package nspawn.
//
// As with nspawn, nothing is visible outside: the machines are killed with the thread that started them, and their
// network is in a namespace. Writes to their system disks go to an unnamed file. A test that is killed leaves a
// temporary directory with keys and blank disks behind.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"hlplay/engine/lab/login"
	"hlplay/engine/lab/namespace"
	"hlplay/engine/lab/rootfs"
)

// Options configure machines.
type Options struct {
	// Names are the host names of the machines; empty means m1.
	Names []string
	// Disks are the blank disks of each machine.
	Disks []Disk
	// Cables are cables between two machines. Each adds an interface at both ends, named eth1, eth2, … in the order in
	// which the machine occurs here. eth0 leads to the test.
	Cables []Cable
	// PCI are additional PCI devices of each machine, as QEMU names them: "qemu-xhci". If there are any, the machines
	// also get an Intel IOMMU.
	PCI []string
	// Packages are additional Debian packages. Each set of packages has an image of its own.
	Packages []string
	// Memory is the memory of each machine in MiB; 0 means 1024.
	Memory int
	// UEFI makes the machines boot with systemd-boot, from UEFI firmware (Debian's package ovmf), instead of GRUB and a BIOS.
	UEFI bool
	// Log is called when something takes time: building an image, booting. It may be nil.
	Log func(format string, args ...any)
}

// Disk is a blank disk.
type Disk struct {
	// Serial appears in /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_SERIAL. It has at most 20 letters and digits.
	Serial string
	Bytes  int64
}

// Cable connects two machines, by name.
type Cable struct{ From, To string }

const (
	// Controller is the address of the test in the machines' network.
	Controller = "10.78.0.1"
	subnet     = "10.78.0.0/24"
	firstHost  = 11
	bridge     = "machines"
)

// bootLimit limits how long a machine may take until its sshd answers, even on a busy host.
const bootLimit = 20 * time.Minute

// Machines are the booted machines.
type Machines struct {
	*namespace.Inside // the machines' network, for programs that talk to them

	// Dir holds keys, known_hosts files, disks and console logs; Close removes it.
	Dir  string
	List []*Machine

	key    string // path of the private key for logging in as root
	cables []Cable
}

// needed maps the programs that this package runs to the Debian packages that contain them.
var needed = map[string]string{
	"mmdebstrap":         "mmdebstrap",
	"qemu-system-x86_64": "qemu-system-x86",
	"mke2fs":             "e2fsprogs",
	"sfdisk":             "fdisk",
	"tar":                "tar",
	"ip":                 "iproute2",
	"ssh":                "openssh-client",
}

// Check reports whether machines can run here. Its error says what is missing and how to install it.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("machines need root (namespaces, tap devices, mmdebstrap): run the tests as root")
	}
	if err := rootfs.Missing(needed); err != nil {
		return err
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("machines need tap devices: %w (modprobe tun)", err)
	}
	return nil
}

// Start boots the machines and waits until each has booted and its sshd answers. The first call builds the base image
// from the host's own apt sources, which takes some minutes. Close ends the machines, and so does the end of ctx while
// Start is running.
func Start(ctx context.Context, o Options) (_ *Machines, err error) {
	if err := Check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if len(o.Names) == 0 {
		o.Names = []string{"m1"}
	}
	if o.UEFI {
		if _, err := os.Stat(ovmf + "CODE_4M.fd"); err != nil {
			return nil, fmt.Errorf("UEFI firmware: %w; on Debian: apt-get install --no-install-recommends ovmf", err)
		}
	}
	base, err := image(ctx, o)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	ms := &Machines{cables: o.Cables}
	if ms.Dir, err = os.MkdirTemp("", "hlplay-machines-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ms.Close())
		}
	}()
	ms.key = filepath.Join(ms.Dir, "key")
	if err := login.MakeKey(ctx, ms.key); err != nil {
		return nil, err
	}
	if ms.Inside, err = namespace.Enter(); err != nil {
		return nil, err
	}
	if err := ms.Bridge(ctx, bridge, "02:00:00:00:00:02", Controller+"/24"); err != nil {
		return nil, err
	}
	address := netip.MustParsePrefix(subnet).Addr().As4()
	for i, name := range o.Names {
		address[3] = byte(firstHost + i)
		m := &Machine{Name: name, Address: netip.AddrFrom4(address), all: ms, number: i}
		ms.List = append(ms.List, m)
		if err := m.start(ctx, base, o); err != nil {
			return nil, fmt.Errorf("machine %s: %w", name, err)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for _, m := range ms.List {
		if err := m.WaitUp(bounded); err != nil {
			return nil, err
		}
	}
	o.Log("%d machines are up after %s", len(ms.List), time.Since(began).Round(time.Second))
	return ms, nil
}

// Close kills the machines, like pulling the plug, and removes everything that was made for them except the base image.
// It must be called once only.
func (ms *Machines) Close() error {
	for _, m := range ms.List {
		m.kill()
	}
	if ms.Inside != nil {
		ms.Leave()
	}
	return os.RemoveAll(ms.Dir)
}

// Machine returns the machine with a name.
func (ms *Machines) Machine(name string) *Machine {
	for _, m := range ms.List {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Cut unplugs one of the Options' cables: both ends lose their carrier. Plug plugs it in again.
func (ms *Machines) Cut(cable int) error { return ms.setLink(cable, "off") }

// Plug plugs in a cable that Cut has unplugged.
func (ms *Machines) Plug(cable int) error { return ms.setLink(cable, "on") }

func (ms *Machines) setLink(cable int, state string) error {
	for _, name := range []string{ms.cables[cable].From, ms.cables[cable].To} {
		if err := ms.Machine(name).monitor("set_link " + cableID(cable) + " " + state); err != nil {
			return err
		}
	}
	return nil
}

// Inventory writes an inventory of the machines, for logging in as root, and returns its path. All are in group "nodes".
func (ms *Machines) Inventory() (string, error) {
	var hosts []login.Host
	for _, m := range ms.List {
		hosts = append(hosts, login.Host{Name: m.Name, Address: m.Address, HostKey: m.hostKey})
	}
	return login.Inventory(ms.Dir, ms.key, "root", hosts)
}
