//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"hlplay/engine/lab/rootfs"
)

// Node is a booted Debian machine.
type Node struct {
	Name    string
	Address netip.Addr

	nodes   *Nodes
	root    string // its root file system, visible only in the nodes' mount namespace
	shared  string // path of the directory that all nodes share, if any
	disks   []*os.File
	hostKey string // the public key of its sshd at the start, as in a line of authorized_keys

	mu      sync.Mutex
	nspawn  *exec.Cmd     // the running process
	closing bool          // do not start it again
	ended   chan struct{} // closed when the node has finally ended
}

// String returns the node's name.
func (node *Node) String() string { return node.Name }

// validName leaves room for "vb-" within the fifteen characters of an interface name.
var validName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$`)

// boot starts systemd-nspawn, and starts it again when the node reboots. Each node is in its own cgroup: two systemds
// in one cgroup would stop each other's units.
func (node *Node) boot() error {
	groups, err := node.nodes.reaper.cgroups(node.Name)
	if err != nil {
		return err
	}
	log, err := os.Create(node.console())
	if err != nil {
		return err
	}
	if err := node.start(groups, log); err != nil {
		return errors.Join(err, log.Close())
	}
	node.ended = make(chan struct{})
	go func() {
		defer close(node.ended)
		defer log.Close()
		for {
			node.nspawn.Wait() // the exit code says all
			if node.nspawn.ProcessState.ExitCode() != exitRebooted || node.start(groups, log) != nil {
				return
			}
		}
	}()
	return nil
}

// exitRebooted is the exit code of systemd-nspawn --keep-unit when the container has rebooted and wants to be started
// again (RestartForceExitStatus=133 of systemd-nspawn@.service).
const exitRebooted = 133

func (node *Node) start(groups []string, log *os.File) error {
	args := []string{"-c", `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`, "sh"}
	args = append(args, groups...)
	args = append(args, "--",
		"systemd-nspawn", "--machine="+node.Name, "--directory="+node.root, "--boot", "--console=pipe",
		"--register=no", "--keep-unit", "--private-network", "--network-bridge="+bridge,
		"--link-journal=no", "--resolv-conf=off", "--timezone=off")
	if node.shared != "" {
		args = append(args, "--bind="+filepath.Join(filepath.Dir(node.root), sharedDir)+":"+node.shared)
	}
	for _, disk := range node.disks {
		args = append(args, "--bind="+node.device(disk)+":"+disk.Name())
	}
	for _, device := range node.nodes.devices {
		args = append(args, "--bind="+device)
	}
	if len(node.nodes.calls) > 0 {
		args = append(args, "--system-call-filter="+strings.Join(node.nodes.calls, " "))
	}
	cmd := exec.Command("sh", args...)
	// With cgroups v1, systemd in a container is not notified when the last process of a session is gone, and a reboot
	// waits 90 seconds for it.
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is handled by the test
	node.mu.Lock()
	defer node.mu.Unlock()
	if node.closing {
		return errors.New("the nodes are closed")
	}
	if err := node.nodes.Start(cmd); err != nil {
		return err
	}
	node.nspawn = cmd
	return nil
}

// Dir returns the directory of all nodes, Nodes.Dir. Files in it are removed with the nodes.
func (node *Node) Dir() string { return node.nodes.Dir }

// console returns the file that the node's console is written to.
func (node *Node) console() string { return filepath.Join(node.nodes.Dir, node.Name+".console") }

// kill kills the node's process 1, and so all of its processes, and waits for systemd-nspawn to clean up.
func (node *Node) kill() error {
	node.mu.Lock()
	node.closing = true
	cmd := node.nspawn
	node.mu.Unlock()
	if node.ended == nil {
		return nil
	}
	const patience = 10 * time.Second
	if pid, err := node.leader(); err == nil {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("end node %s: %w", node.Name, err)
		}
	}
	select {
	case <-node.ended:
		return nil
	case <-time.After(patience):
	}
	cmd.Process.Kill() // an error means that it has just exited
	<-node.ended
	return nil
}

// leader returns the process ID, on the host, of the node's process 1. It changes with a reboot.
func (node *Node) leader() (int, error) {
	node.mu.Lock()
	pid := node.nspawn.Process.Pid
	node.mu.Unlock()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, fmt.Errorf("node %s is not running: %w", node.Name, err)
	}
	for _, field := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			continue
		}
		// systemd-nspawn has helper processes too; the one we want is process 1 inside the container.
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "NSpid:" && f[len(f)-1] == "1" {
				return child, nil
			}
		}
	}
	return 0, fmt.Errorf("node %s has no process 1: it is starting or has ended", node.Name)
}

// Exec runs a program on the node as root and returns its output. It does not use SSH, so it works even if SSH is
// broken. If the program fails, the error contains its message.
func (node *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	return node.ExecInput(ctx, "", argv...)
}

// ExecInput is like Exec, and passes input to the program's standard input.
func (node *Node) ExecInput(ctx context.Context, input string, argv ...string) (string, error) {
	pid, err := node.leader()
	if err != nil {
		return "", err
	}
	// nsenter stays outside of the node's PID namespace (--no-fork) and leaves the waiting to a shell inside. If
	// nsenter waited, it would stop together with its program, for example when systemd stops all processes before a
	// shutdown. Nothing would then continue nsenter or reap the program, and the kernel would not end the node before
	// that. The trailing exit keeps the shell from replacing itself with the program, which would then be outside as
	// well.
	enter := []string{
		"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--no-fork", "--",
		"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"/bin/sh", "-c", `"$@"; exit $?`, "sh",
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("on node %s, %q: %w: %s", node.Name, argv, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// BootID returns the kernel's ID of the current boot; it changes when the node boots.
func (node *Node) BootID(ctx context.Context) (string, error) {
	id, err := node.Exec(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(id), err
}

// WaitBoot waits until the node has booted anew: its boot ID differs from before, and it is up (WaitUp).
func (node *Node) WaitBoot(ctx context.Context, before string) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for {
		// An error is expected while the node is between two boots.
		if id, err := node.BootID(ctx); err == nil && id != before {
			return node.WaitUp(ctx)
		}
		select {
		case <-node.ended:
			return fmt.Errorf("node %s ended instead of booting; the end of its console:\n%s", node.Name, node.consoleEnd())
		case <-ctx.Done():
			return fmt.Errorf("node %s has not booted again: %w; the end of its console:\n%s", node.Name, ctx.Err(), node.consoleEnd())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// WaitUp waits until systemd reports that the node has booted and its sshd accepts connections.
func (node *Node) WaitUp(ctx context.Context) error {
	for {
		_, err := node.Exec(ctx, "systemctl", "is-active", "--quiet", "multi-user.target")
		if err == nil {
			if err = node.nodes.Probe(netip.AddrPortFrom(node.Address, 22).String()); err == nil {
				return nil
			}
		}
		select {
		case <-node.ended:
			return fmt.Errorf("node %s ended while it booted; the end of its console:\n%s", node.Name, node.consoleEnd())
		case <-ctx.Done():
			return fmt.Errorf("node %s is not up: %w (%w); the end of its console:\n%s", node.Name, ctx.Err(), err, node.consoleEnd())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (node *Node) consoleEnd() string {
	text, err := os.ReadFile(node.console())
	if err != nil {
		return err.Error()
	}
	return rootfs.LastLines(string(text), 15)
}
