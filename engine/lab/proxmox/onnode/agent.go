//go:build linux

package onnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/proxmox"
)

// A machine's agent does on behalf of other machines what they would do over SSH and corosync. It listens on a socket
// in Dir. A lock that it holds shows that the machine is up.

func agentDir() string               { return filepath.Join(Dir, "nodes") }
func agentLock(node string) string   { return filepath.Join(agentDir(), node+".lock") }
func agentSocket(node string) string { return filepath.Join(agentDir(), node+".socket") }

// call is a request to a machine: a method of proxmox.Node and its arguments.
type call struct {
	Method string
	Name   string      `json:",omitempty"`
	Data   []byte      `json:",omitempty"`
	Mode   os.FileMode `json:",omitempty"`
}

// result is the response. Err is the text of a system error.
type result struct {
	Text      string         `json:",omitempty"`
	Data      []byte         `json:",omitempty"`
	Yes       bool           `json:",omitempty"`
	Addresses []netip.Addr   `json:",omitempty"`
	Prefixes  []netip.Prefix `json:",omitempty"`
	Disks     []proxmox.Disk `json:",omitempty"`
	Err       string         `json:",omitempty"`
	Absent    bool           `json:",omitempty"` // whether the error is fs.ErrNotExist
}

// Agent runs this machine's agent until the process is terminated. It calls ready when other machines can reach it.
func Agent(ready func() error) error {
	world, self, err := lab()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(agentDir(), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(agentLock(self.name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s has an agent already: %w", self.name, err)
	}
	if err := booted(world, self.name, lock); err != nil {
		return err
	}
	if err := os.Remove(agentSocket(self.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", agentSocket(self.name))
	if err != nil {
		return err
	}
	go func() {
		<-terminated()
		listener.Close()
	}()
	if err := ready(); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go self.serve(conn)
	}
}

// booted tells the lab about a new boot. The lock file contains the ID of the last boot that was reported.
func booted(world *proxmox.World, node string, lock *os.File) error {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	last := make([]byte, len(id))
	n, _ := lock.ReadAt(last, 0) // a new file is empty
	if string(last[:n]) == string(id) {
		return nil
	}
	world.Booted(node)
	_, err = lock.WriteAt(id, 0)
	return err
}

func (l *local) serve(conn net.Conn) {
	defer conn.Close()
	var c call
	if err := json.NewDecoder(conn).Decode(&c); err != nil {
		return // the client is gone
	}
	var r result
	var err error
	switch c.Method {
	case "Debian":
		r.Text = l.Debian()
	case "Kernel":
		r.Text = l.Kernel()
	case "Addresses":
		r.Prefixes = l.Addresses()
	case "Resolve":
		r.Addresses, err = l.Resolve(c.Name)
	case "ReadFile":
		r.Data, err = l.ReadFile(c.Name)
	case "WriteFile":
		err = l.WriteFile(c.Name, c.Data, c.Mode)
	case "Readlink":
		r.Text, err = l.Readlink(c.Name)
	case "Exists":
		r.Yes = l.Exists(c.Name)
	case "Version":
		r.Text = l.Version(c.Name)
	case "UnitActive":
		r.Yes = l.UnitActive(c.Name)
	case "Disks":
		r.Disks = l.Disks()
	default:
		err = fmt.Errorf("no agent does %q", c.Method)
	}
	if err != nil {
		r.Err, r.Absent = err.Error(), errors.Is(err, fs.ErrNotExist)
	}
	_ = json.NewEncoder(conn).Encode(r) // the client is gone
}

// neighbour is another machine of the lab. It does not support what no program does on another machine.
type neighbour string

var _ proxmox.Node = neighbour("")

// neighbours returns the other machines whose agents have ever run.
func neighbours(self string) ([]neighbour, error) {
	entries, err := os.ReadDir(agentDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []neighbour
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".lock"); ok && name != self {
			found = append(found, neighbour(name))
		}
	}
	return found, nil
}

// Heard returns nil: see local.
func (n neighbour) Heard() []netip.Addr { return nil }

// Up reports whether the machine's agent is running.
func (n neighbour) Up() bool {
	lock, err := os.Open(agentLock(string(n)))
	if err != nil {
		return false
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

func (n neighbour) ask(c call) (r result, err error) {
	conn, err := net.Dial("unix", agentSocket(string(n)))
	if err != nil {
		return r, fmt.Errorf("%s: No route to host", n)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(c); err != nil {
		return r, err
	}
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return r, fmt.Errorf("%s went away: %w", n, err)
	}
	switch {
	case r.Absent:
		return r, fmt.Errorf("%s: %w", r.Err, fs.ErrNotExist)
	case r.Err != "":
		return r, errors.New(r.Err)
	}
	return r, nil
}

// tell is like ask, but treats a machine that does not respond as one that has no such thing.
func (n neighbour) tell(method, name string) result {
	r, _ := n.ask(call{Method: method, Name: name})
	return r
}

func (n neighbour) Name() string                { return string(n) }
func (n neighbour) Debian() string              { return n.tell("Debian", "").Text }
func (n neighbour) Kernel() string              { return n.tell("Kernel", "").Text }
func (n neighbour) Addresses() []netip.Prefix   { return n.tell("Addresses", "").Prefixes }
func (n neighbour) Exists(name string) bool     { return n.tell("Exists", name).Yes }
func (n neighbour) Version(pkg string) string   { return n.tell("Version", pkg).Text }
func (n neighbour) UnitActive(unit string) bool { return n.tell("UnitActive", unit).Yes }
func (n neighbour) Disks() []proxmox.Disk       { return n.tell("Disks", "").Disks }

func (n neighbour) Resolve(name string) ([]netip.Addr, error) {
	r, err := n.ask(call{Method: "Resolve", Name: name})
	return r.Addresses, err
}

func (n neighbour) ReadFile(name string) ([]byte, error) {
	r, err := n.ask(call{Method: "ReadFile", Name: name})
	return r.Data, err
}

func (n neighbour) WriteFile(name string, data []byte, mode os.FileMode) error {
	_, err := n.ask(call{Method: "WriteFile", Name: name, Data: data, Mode: mode})
	return err
}

func (n neighbour) Readlink(name string) (string, error) {
	r, err := n.ask(call{Method: "Readlink", Name: name})
	return r.Text, err
}

func (n neighbour) refuse() error {
	return fmt.Errorf("%s is another machine: no program does that there", string(n))
}

func (n neighbour) MkdirAll(string, os.FileMode) error   { return n.refuse() }
func (n neighbour) Remove(string) error                  { return n.refuse() }
func (n neighbour) Symlink(string, string) error         { return n.refuse() }
func (n neighbour) StartUnit(string) error               { return n.refuse() }
func (n neighbour) StopUnit(string)                      {}
func (n neighbour) EnableUnit(string, bool)              {}
func (n neighbour) MountConfig()                         {}
func (n neighbour) UnmountConfig()                       {}
func (n neighbour) SetDiskUse(string, string, ...string) {}
