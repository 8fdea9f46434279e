//go:build linux

// Package namespace gives a test its own network, mounts and /run. The kernel removes them with the last process in
// them, however the test ends.
package namespace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Inside is a thread of this process in its own network and mount namespaces. Programs that it starts and sockets that
// it opens are in them too; the rest of the process is not.
type Inside struct {
	work chan func()
	done chan struct{}
}

// Enter creates the namespaces. They disappear with the thread and everything that it started.
func Enter() (*Inside, error) {
	in := &Inside{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go in.live(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("namespaces of the nodes' own: %w", err)
	}
	return in, nil
}

// live runs on the thread. It never unlocks the thread, which therefore ends with the goroutine and is not reused by
// others.
func (in *Inside) live(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// /proc/self describes the first thread of the process, so the namespaces must be those of another thread. Keep
		// this one locked until another goroutine has taken another thread.
		second := make(chan error)
		go in.live(second)
		err := <-second
		runtime.UnlockOSThread()
		ready <- err
		return
	}
	defer close(in.done)
	err := errors.Join(
		unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS|unix.CLONE_NEWNET),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		// Programs such as systemd-nspawn keep state in /run, and would find the host's there.
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
	)
	ready <- err
	if err != nil {
		return
	}
	for f := range in.work {
		f()
	}
}

// Do runs f on the thread.
func (in *Inside) Do(f func() error) error {
	result := make(chan error, 1)
	in.work <- func() { result <- f() }
	return <-result
}

// Leave ends the thread and, with it, every program that Start started.
func (in *Inside) Leave() {
	close(in.work)
	<-in.done
}

// Start starts a program in the namespaces. The program is killed when the thread or this process ends, for whatever
// reason.
func (in *Inside) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return in.Do(cmd.Start)
}

// Run is like Start, but waits for the program to end.
func (in *Inside) Run(cmd *exec.Cmd) error {
	if err := in.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// IP runs ip(8) in the network.
func (in *Inside) IP(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ip", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := in.Run(cmd); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// Bridge creates a bridge with an address, such as 10.77.0.1/24, and brings it and the loopback interface up. Without
// an explicit Ethernet address, a bridge takes the lowest of its ports', which changes when a node reboots; the other
// nodes would keep using the old one for a minute.
func (in *Inside) Bridge(ctx context.Context, name, ethernet, address string) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", name, "address", ethernet, "type", "bridge"},
		{"address", "add", address, "dev", name},
		{"link", "set", name, "up"},
	} {
		if err := in.IP(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// dialLimit limits one attempt to connect.
const dialLimit = time.Second

// Dial connects to an address of a network ("tcp", "unix") within a second.
func (in *Inside) Dial(network, address string) (conn net.Conn, err error) {
	err = in.Do(func() (err error) {
		conn, err = net.DialTimeout(network, address, dialLimit)
		return err
	})
	return conn, err
}

// Probe returns an error if nothing listens at a TCP address.
func (in *Inside) Probe(address string) error {
	conn, err := in.Dial("tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
