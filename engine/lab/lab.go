// Package lab runs simulated nodes for an inventory: a machine per host, reached over real SSH on loopback, on which
// Proxmox VE and Ceph can be installed.
package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"hlplay/engine/inventory"
	"hlplay/engine/lab/machine"
	"hlplay/engine/lab/proxmox"
)

// Options configure a lab.
type Options struct {
	// Dir receives the private key, known_hosts and the inventory of the nodes. It is created if necessary and not
	// removed. If empty, the lab uses a temporary directory, which Close removes.
	Dir string
	// Speed is how many times faster than the wall clock the lab's clock runs. If zero, the clock moves only when it is
	// advanced; a run in the same process advances it whenever it waits.
	Speed float64
}

// Lab is a set of running nodes.
type Lab struct {
	clock    *machine.VirtualClock
	archive  *machine.Archive
	network  *machine.Network
	machines map[string]*machine.Machine
	names    []string
	inv      *inventory.Inventory
	world    *proxmox.World
	private  string // the directory to remove
	cancel   context.CancelFunc
}

// Start starts a machine for each host of the inventory, including one with connection "local", which stands for the
// controller. The machines run until Close is called or ctx ends.
func Start(ctx context.Context, inv *inventory.Inventory, o Options) (l *Lab, err error) {
	l = &Lab{archive: machine.NewArchive(), network: machine.NewNetwork(), machines: map[string]*machine.Machine{}}
	if o.Speed > 0 {
		l.clock = machine.NewRunningClock(o.Speed)
	} else {
		l.clock = machine.NewVirtualClock(time.Now())
	}
	ctx, l.cancel = context.WithCancel(ctx)
	begun := l // on error l is set to nil
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("lab: %w", err), begun.Close())
		}
	}()
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "hlplay-lab-"); err != nil {
			return nil, err
		}
		l.private = dir
	} else if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	key := filepath.Join(dir, "key")
	public, err := writeKey(key)
	if err != nil {
		return nil, err
	}
	for i, h := range inv.Hosts {
		l.names = append(l.names, h.Name)
		l.machines[h.Name] = machine.New(l.config(h, i, public))
	}
	if err := l.declare(inv); err != nil {
		return nil, err
	}
	if err := l.proxmox(inv); err != nil {
		return nil, err
	}
	if err := l.listen(ctx, inv, dir, key); err != nil {
		return nil, err
	}
	return l, nil
}

// declare adds the packages that the inventory declares. All nodes of a lab share one archive.
func (l *Lab) declare(inv *inventory.Inventory) error {
	type declared struct {
		inventory.Package
		by string
	}
	seen := map[string]declared{}
	for _, h := range inv.Hosts {
		for _, dl := range h.Rehearsal.Downloads {
			content, err := machine.Downloadable(dl.Content, dl.SHA256, dl.Files)
			if err != nil {
				return fmt.Errorf("the download %s that %s declares: %w", dl.URL, h.Name, err)
			}
			l.archive.Publish(dl.URL, content)
		}
		for _, p := range h.Rehearsal.Packages {
			if before, again := seen[p.Name]; again {
				if !reflect.DeepEqual(before.Package, p) {
					return fmt.Errorf("the hosts %s and %s declare package %s differently; all simulated nodes have one archive", before.by, h.Name, p.Name)
				}
				continue
			}
			seen[p.Name] = declared{p, h.Name}
			offer := machine.Package{Name: p.Name, Version: p.Version, Depends: p.Depends, Files: map[string]string{}, Conffiles: map[string]string{}}
			if offer.Version == "" {
				offer.Version = "1.0-1"
			}
			for _, unit := range p.Units {
				offer.Units = append(offer.Units, machine.Unit{Name: unit, Enabled: true, Active: true})
			}
			for name, content := range p.Files {
				if strings.HasPrefix(name, "/etc/") {
					offer.Conffiles[name] = content
				} else {
					offer.Files[name] = content
				}
			}
			l.archive.Declare(offer)
		}
	}
	return nil
}

// config returns the configuration of the machine for the host at index.
func (l *Lab) config(h *inventory.Host, index int, public string) machine.Config {
	name, domain, _ := strings.Cut(h.Name, ".")
	if _, err := netip.ParseAddr(h.Name); err == nil {
		name, domain = fmt.Sprintf("node%d", index+1), ""
	}
	address := h.Address
	if _, err := netip.ParseAddr(address); err != nil {
		// Names do not resolve in a lab, so such a node gets an address from the range for benchmarks (RFC 2544).
		address = fmt.Sprintf("198.18.%d.%d/15", index/250, index%250+1)
	}
	c := machine.Config{
		Name: name, Domain: domain, Address: address, Addresses: h.Rehearsal.Addresses, Debian: h.Rehearsal.Debian,
		BootLoader: machine.BootLoader(h.Rehearsal.BootLoader), Clock: l.clock, Archive: l.archive, Network: l.network, AuthorizedKeys: []string{public},
	}
	c.IOMMU, c.USB = h.Rehearsal.IOMMU, h.Rehearsal.USB
	for _, d := range h.Rehearsal.PCI {
		c.PCI = append(c.PCI, machine.PCIDevice{Address: d.Address, ID: d.ID, Class: d.Class, Drivers: d.Drivers, Group: d.Group})
	}
	for _, r := range h.Rehearsal.Renames {
		c.Renames = append(c.Renames, machine.Rename(r))
	}
	if h.User != "" && h.User != "root" {
		c.Users = []machine.User{{Name: h.User}}
	}
	disks := h.Rehearsal.Disks
	if len(disks) == 0 {
		disks = []inventory.Disk{{Name: "sdb"}, {Name: "sdc"}}
	}
	for _, d := range disks {
		disk := machine.Disk{Name: d.Name, Size: d.Size, Serial: d.Serial, Model: d.Model, Rotational: d.Rotational, Use: d.Use}
		for _, size := range d.Partitions {
			disk.Partitions = append(disk.Partitions, machine.Disk{Size: size})
		}
		if disk.Size == 0 {
			disk.Size = 1e12
		}
		if disk.Serial == "" {
			disk.Serial = h.Name + d.Name
		}
		if disk.Model == "" {
			disk.Model = "LABDISK"
		}
		c.Disks = append(c.Disks, disk)
	}
	return c
}

// listen opens a port for each machine and writes the files that clients need to reach them.
func (l *Lab) listen(ctx context.Context, inv *inventory.Inventory, dir, key string) error {
	known := filepath.Join(dir, "known_hosts")
	reached := *inv
	file := filepath.Join(dir, "inventory")
	if l.private == "" {
		reached.Path = file // users have no use for a path in a private directory
	}
	reached.Hosts = make([]*inventory.Host, len(inv.Hosts))
	moved := map[*inventory.Host]*inventory.Host{}
	var lines []string
	for i, h := range inv.Hosts {
		at := *h
		reached.Hosts[i] = &at
		moved[h] = &at
		m := l.machines[h.Name]
		at.Connection = "ssh" // simulate the controller too: a rehearsal must not change it
		address, err := m.Listen(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		at.SSHAddress, at.Port = "127.0.0.1", address.(*net.TCPAddr).Port
		web, err := m.Publish(ctx, proxmox.WebPort, l.world.Web(m))
		if err != nil {
			return err
		}
		site, err := m.Publish(ctx, 80, m.ServeHTTP)
		if err != nil {
			return err
		}
		at.Forwards = map[int]string{proxmox.WebPort: web.String(), 80: site.String()}
		at.Keys, at.KnownHosts = []string{key}, known
		if at.User == "" {
			at.User = "root"
		}
		lines = append(lines, knownhosts.Line([]string{knownhosts.Normalize(address.String())}, m.HostKey()))
	}
	reached.Groups = make([]*inventory.Group, len(inv.Groups))
	for i, g := range inv.Groups {
		of := *g
		of.Hosts = make([]*inventory.Host, len(g.Hosts))
		for j, h := range g.Hosts {
			of.Hosts[j] = moved[h]
		}
		reached.Groups[i] = &of
	}
	l.inv = &reached
	if err := os.WriteFile(known, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	// The inventory is written last, and atomically: a process that waits for it finds the nodes running.
	draft := file + ".new"
	f, err := os.Create(draft)
	if err != nil {
		return err
	}
	if err := errors.Join(inventory.Write(f, &reached), f.Close()); err != nil {
		return err
	}
	return os.Rename(draft, file)
}

// writeKey generates the key that the nodes accept and returns its authorized_keys line.
func writeKey(path string) (string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "hlplay lab")
	if err != nil {
		return "", err
	}
	sshKey, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshKey))) + " hlplay-lab", nil
}

// Inventory returns the inventory that the lab was started with, with the addresses of the lab's nodes.
func (l *Lab) Inventory() *inventory.Inventory { return l.inv }

// Machine returns the node with a name, or nil.
func (l *Lab) Machine(name string) *machine.Machine { return l.machines[name] }

// Clock returns the lab's clock.
func (l *Lab) Clock() *machine.VirtualClock { return l.clock }

// Close stops the nodes and removes a private directory.
func (l *Lab) Close() error {
	l.cancel()
	for _, m := range l.machines {
		m.PowerOff()
	}
	if l.private == "" {
		return nil
	}
	return os.RemoveAll(l.private)
}
