//go:build linux

package onnode

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hlplay/engine/lab/machine"
	"hlplay/engine/lab/proxmox"
)

// local is the machine that this process runs on.
type local struct {
	name    string
	world   *proxmox.World
	mounted bool // whether this process has mounted /etc/pve
}

var _ proxmox.Node = (*local)(nil)

func newLocal() (*local, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(host, ".")
	return &local{name: name}, nil
}

func (l *local) Name() string { return l.name }

// Up returns true, as this process is running.
func (l *local) Up() bool { return true }

// Heard returns nil: corosync on a real node whose network is cut is not simulated.
func (l *local) Heard() []netip.Addr { return nil }

func (l *local) Debian() string {
	text, _ := os.ReadFile("/etc/os-release") // without it, this is not Debian
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return ""
}

func (l *local) Kernel() string {
	release, _ := os.ReadFile(osRelease) // it always exists
	return strings.TrimSpace(string(release))
}

func (l *local) Addresses() []netip.Prefix {
	var found []netip.Prefix
	interfaces, _ := net.Interfaces() // without interfaces, there are no addresses
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				found = append(found, prefix)
			}
		}
	}
	return found
}

// Resolve runs getent, which asks the C library as programs do on a real node.
func (l *local) Resolve(name string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{address}, nil
	}
	out, _ := exec.Command("getent", "ahosts", name).Output() // getent fails for an unknown name
	var found []netip.Addr
	seen := map[netip.Addr]bool{}
	for line := range strings.Lines(string(out)) {
		text, _, _ := strings.Cut(line, " ")
		if address, err := netip.ParseAddr(text); err == nil && !seen[address] {
			seen[address] = true
			found = append(found, address)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("Name or service not known")
	}
	return found, nil
}

func (l *local) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (l *local) WriteFile(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, mode)
}

func (l *local) MkdirAll(name string, mode os.FileMode) error { return os.MkdirAll(name, mode) }
func (l *local) Remove(name string) error                     { return os.RemoveAll(name) }
func (l *local) Readlink(name string) (string, error)         { return os.Readlink(name) }

func (l *local) Symlink(target, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, name)
}

func (l *local) Exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (l *local) Version(pkg string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", pkg).Output()
	version, installed := strings.CutPrefix(string(out), "installed ")
	if err != nil || !installed {
		return ""
	}
	return version
}

func (l *local) UnitActive(unit string) bool {
	return exec.Command("systemctl", "is-active", "--quiet", unit).Run() == nil
}

func systemctl(args ...string) error {
	cmd := exec.Command("systemctl", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

func (l *local) StartUnit(unit string) error { return systemctl("start", unit) }

// StopUnit also resets systemd's start limit, which is for crashes and not for deliberate restarts.
func (l *local) StopUnit(unit string) {
	_ = systemctl("stop", unit) // an unknown unit is not running
	_ = systemctl("reset-failed", unit)
}

// EnableUnit enables an OSD only until the next boot: ceph-volume's own unit starts it after that.
func (l *local) EnableUnit(unit string, on bool) {
	args := []string{"disable", "--quiet", unit}
	if on {
		args[0] = "enable"
	}
	if strings.HasPrefix(unit, "ceph-osd@") {
		args = append(args, "--runtime")
	}
	_ = systemctl(args...) // the next start fails
}

// config is where pmxcfs is mounted.
const config = "/etc/pve"

func (l *local) MountConfig() {
	l.UnmountConfig()
	if err := mountConfig(l.world, l.name); err != nil {
		fmt.Fprintf(os.Stderr, "fuse_mount error: %v\n", err)
		return
	}
	l.mounted = true
}

func (l *local) UnmountConfig() {
	unmountConfig()
	l.mounted = false
}

func (l *local) Disks() []proxmox.Disk {
	disks, _ := readDisks() // a machine without that file has no disks
	var all []proxmox.Disk
	for _, d := range disks {
		all = append(all, proxmox.Disk{Name: d.Name, Serial: d.Serial, Model: d.Model, WWN: d.WWN, Size: d.Size, Rotational: d.Rotational, Use: d.Use, Mountpoint: d.Mountpoint})
	}
	return all
}

func (l *local) SetDiskUse(name, use string, volumes ...string) {
	disks, _ := readDisks()
	for i := range disks {
		d := &disks[i]
		if d.Name != name {
			continue
		}
		d.Use, d.Volumes = use, nil
		for _, volume := range volumes {
			d.Volumes = append(d.Volumes, machine.Disk{Name: volume, Size: d.Size / int64(len(volumes)), Use: "ceph_bluestore"})
		}
	}
	_ = writeDisks(disks) // a failure will show when the disks are next read
}
