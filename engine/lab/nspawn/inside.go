//go:build linux

package nspawn

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside is a thread of this process in separate network and mount namespaces. The programs that it starts and the
// sockets that it opens are in them as well.
type inside struct {
	work chan func()
	done chan struct{}
}

// enter creates the namespaces. They disappear with the thread and everything that it started.
func enter() (*inside, error) {
	in := &inside{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go in.live(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("namespaces of the nodes' own: %w", err)
	}
	return in, nil
}

// live is the thread. It is never unlocked, so that it ends with the goroutine and no other goroutine runs on it.
func (in *inside) live(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// /proc/self describes the first thread of a process, so leave that alone. It stays locked until another
		// goroutine has another thread.
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
		// systemd-nspawn has its own directories in /run and would find the host's there.
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

// do runs f on the thread.
func (in *inside) do(f func() error) error {
	result := make(chan error, 1)
	in.work <- func() { result <- f() }
	return <-result
}

// leave ends the thread and thereby everything that it started: see Nodes.Start.
func (in *inside) leave() {
	close(in.work)
	<-in.done
}

// Start starts a program in the nodes' network, with an empty /run. The program is killed when the nodes are closed
// or this process ends, however that happens.
func (n *Nodes) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.inside.do(cmd.Start)
}

// Run is like Start, and waits for the end of the program.
func (n *Nodes) Run(cmd *exec.Cmd) error {
	if err := n.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Listen opens a TCP listener in the nodes' network at Controller's address; port 0 means any.
func (n *Nodes) Listen(port int) (listener net.Listener, err error) {
	err = n.inside.do(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(Controller, fmt.Sprint(port)))
		return err
	})
	return listener, err
}

// Dial connects to a TCP address in the nodes' network within a second.
func (n *Nodes) Dial(address string) (conn net.Conn, err error) {
	err = n.inside.do(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, dialLimit)
		return err
	})
	return conn, err
}

// dial checks whether somebody listens at an address in the nodes' network.
func (n *Nodes) dial(address string) error {
	conn, err := n.Dial(address)
	if err != nil {
		return err
	}
	return conn.Close()
}
