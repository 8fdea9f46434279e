package proxmox

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path"
	"strings"

	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
)

// machineNode adapts a simulated machine to Node.
type machineNode struct {
	m  *machine.Machine
	w  *World
	fs afero.Fs
}

var _ Node = (*machineNode)(nil)

type nodeKey struct{}

// Attach adds a machine to this lab. It becomes a Proxmox VE node when the packages of Packages are installed on it.
func (w *World) Attach(m *machine.Machine, opts Options) {
	n := &machineNode{m: m, w: w, fs: m.FS()}
	m.SetValue(nodeKey{}, n)
	w.Add(n, opts)
	if len(opts.Guests) > 0 { // they belong to the database of an earlier installation
		if err := keepDatabase(n.fs); err != nil {
			panic(err) // a new machine has room for a file
		}
	}
	m.Filter(func(from netip.Addr, port int) bool { return w.admits(n, from, port) })
	m.Serve(WebPort, func() bool { return m.Units().Active("pveproxy.service") })
}

// keepDatabase creates the file in which pmxcfs stores /etc/pve. The content itself is in the World.
func keepDatabase(fs afero.Fs) error {
	const dir = "/var/lib/pve-cluster"
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return afero.WriteFile(fs, path.Join(dir, "config.db"), []byte("SQLite format 3\x00"), 0o600)
}

// attached returns the node that Attach created for a machine.
func attached(m *machine.Machine) (*machineNode, bool) {
	n, ok := m.Value(nodeKey{}).(*machineNode)
	return n, ok
}

// machineProgram makes a simulated program available on machines.
func (w *World) machineProgram(name string, p Program) machine.Program {
	return func(ctx context.Context, call *machine.Call) int {
		n, ok := attached(call.Machine)
		if !ok {
			return call.Errorf("this machine is not part of the lab")
		}
		as := *n
		as.fs = call.FS() // record changes under the program's name
		c := &Command{World: w, Node: &as, Argv: append([]string{name}, call.Argv[1:]...), Dir: call.Dir, User: call.User, Stdin: call.Stdin, Stdout: call.Stdout, Stderr: call.Stderr,
			Exec: call.Run, Spend: call.Spend, ctx: ctx}
		code := p(c)
		if c.changed {
			call.Machine.Record(name, "run "+strings.Join(c.Argv, " "))
		}
		return code
	}
}

func (n *machineNode) Name() string {
	name, _, _ := strings.Cut(n.m.Name(), ".")
	return name
}
func (n *machineNode) Debian() string              { return n.m.Debian() }
func (n *machineNode) Kernel() string              { return n.m.KernelRelease() }
func (n *machineNode) Up() bool                    { return n.m.On() }
func (n *machineNode) Heard() []netip.Addr         { return n.m.Heard() }
func (n *machineNode) Addresses() []netip.Prefix   { return n.m.Addresses() }
func (n *machineNode) Version(pkg string) string   { v, _ := n.m.Packages().Installed(pkg); return v }
func (n *machineNode) UnitActive(unit string) bool { return n.m.Units().Active(unit) }

func (n *machineNode) Resolve(name string) ([]netip.Addr, error) {
	found := n.m.Resolve(name)
	if len(found) == 0 {
		return nil, errors.New("Name or service not known")
	}
	return found, nil
}

func (n *machineNode) ReadFile(name string) ([]byte, error) { return afero.ReadFile(n.fs, name) }

func (n *machineNode) WriteFile(name string, data []byte, mode os.FileMode) error {
	if err := n.fs.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := n.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (n *machineNode) MkdirAll(name string, mode os.FileMode) error { return n.fs.MkdirAll(name, mode) }
func (n *machineNode) Remove(name string) error                     { return n.fs.RemoveAll(name) }

func (n *machineNode) Symlink(target, name string) error {
	linker, ok := n.fs.(afero.Symlinker)
	if !ok {
		return errors.New("the file system has no symbolic links")
	}
	if n.Exists(name) {
		if err := n.fs.Remove(name); err != nil {
			return err
		}
	}
	if err := n.fs.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return linker.SymlinkIfPossible(target, name)
}

func (n *machineNode) Readlink(name string) (string, error) {
	reader, ok := n.fs.(afero.LinkReader)
	if !ok {
		return "", errors.New("the file system has no symbolic links")
	}
	return reader.ReadlinkIfPossible(name)
}

func (n *machineNode) Exists(name string) bool {
	if l, ok := n.fs.(afero.Lstater); ok {
		_, _, err := l.LstatIfPossible(name)
		return err == nil
	}
	_, err := n.fs.Stat(name)
	return err == nil
}

// StartUnit starts a unit. An instance of one of Ceph's templates is added first.
func (n *machineNode) StartUnit(unit string) error {
	if _, known := n.m.Units().Get(unit); !known || strings.Contains(unit, "@") {
		if !n.defined(unit) {
			n.m.Units().Add(n.w.machineUnit(unit, false, false))
		}
	}
	return n.m.Units().Start(unit)
}

type definedKey struct{ unit string }

// defined reports whether a unit has our hooks, which a unit from a unit file alone lacks. It reports false once for
// each instance of a template: the caller then adds the hooks.
func (n *machineNode) defined(unit string) bool {
	if n.m.Value(definedKey{unit}) != nil {
		return true
	}
	n.m.SetValue(definedKey{unit}, true)
	return !strings.Contains(unit, "@")
}

func (n *machineNode) StopUnit(unit string) { _ = n.m.Units().Stop(unit) } // an unknown unit is not running

// EnableUnit also creates the link below TYPE.target.wants, as systemctl does.
func (n *machineNode) EnableUnit(unit string, on bool) {
	if !n.defined(unit) {
		n.m.Units().Add(n.w.machineUnit(unit, false, false))
	}
	set := n.m.Units().Disable
	if on {
		set = n.m.Units().Enable
	}
	_ = set(unit) // it was added above
	kind, _, instance := strings.Cut(unit, "@")
	if !instance || kind == "ceph-osd" {
		return
	}
	link := "/etc/systemd/system/" + kind + ".target.wants/" + unit
	if on {
		_ = n.Symlink("/usr/lib/systemd/system/"+kind+"@.service", link)
	} else {
		_ = n.Remove(link)
	}
}

// machineUnit returns a systemd unit that reports its starts and stops to the World.
func (w *World) machineUnit(name string, enabled, active bool) machine.Unit {
	return machine.Unit{Name: name, Enabled: enabled, Active: active,
		Start: func(m *machine.Machine) error {
			if n, ok := attached(m); ok {
				return w.unitStarted(n, machine.UnitName(name))
			}
			return nil
		},
		Stop: func(m *machine.Machine) {
			if n, ok := attached(m); ok {
				w.unitStopped(n, machine.UnitName(name))
			}
		}}
}

func (n *machineNode) MountConfig() {
	n.m.Unmount("/etc/pve")
	n.m.Mount("/etc/pve", n.w.Filesystem(n.Name()))
}

func (n *machineNode) UnmountConfig() { n.m.Unmount("/etc/pve") }

func (n *machineNode) Disks() []Disk {
	var disks []Disk
	for _, d := range n.m.Disks() {
		disk := Disk{Name: d.Name, Serial: d.Serial, Model: d.Model, WWN: d.WWN, Size: d.Size, Rotational: d.Rotational, Use: d.Use, Mountpoint: d.Mountpoint}
		var partitions []Disk
		for _, p := range d.Partitions {
			disk.Partitions = append(disk.Partitions, p.Name)
			partitions = append(partitions, Disk{Name: p.Name, Parent: d.Name, Serial: d.Serial, Model: d.Model, Size: p.Size, Rotational: d.Rotational, Use: p.Use, Mountpoint: p.Mountpoint, BIOSBoot: p.PartType == machine.BIOSBoot})
		}
		disks = append(append(disks, disk), partitions...)
	}
	return disks
}

// linuxLVM is the GPT partition type of a partition used by LVM.
const linuxLVM = "e6d6d379-f507-44c2-a23c-238f2a3df928"

func (n *machineNode) SetDiskUse(disk, use string, volumes ...string) {
	_ = n.m.ChangeDisk("/dev/"+disk, func(d *machine.Disk) { // the callers have found it in Disks
		d.Use = use
		if use == "LVM2_member" && d.PartUUID != "" {
			d.PartType = linuxLVM // change_parttype(…, '8E00') of PVE::API2::Ceph::OSD
		}
		d.Partitions, d.Volumes = nil, nil
		for _, name := range volumes {
			d.Volumes = append(d.Volumes, machine.Disk{Name: name, Size: d.Size / int64(len(volumes)), Use: "ceph_bluestore"})
		}
	})
}
