//go:build linux

package qemu

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hlplay/engine/lab/login"
	"hlplay/engine/lab/rootfs"
)

// Machine is a booted Debian machine.
type Machine struct {
	Name    string
	Address netip.Addr

	all     *Machines
	number  int
	hostKey string // the public key of its sshd, as in a line of authorized_keys
	qemu    *exec.Cmd
	ended   chan struct{}
}

// String returns the machine's name.
func (m *Machine) String() string { return m.Name }

// path returns the path of one of the machine's files.
func (m *Machine) path(suffix string) string { return filepath.Join(m.all.Dir, m.Name+"."+suffix) }

// start starts QEMU.
func (m *Machine) start(ctx context.Context, base string, o Options) error {
	if err := m.identify(ctx); err != nil {
		return err
	}
	tap := "tap-" + m.Name
	for _, args := range [][]string{
		{"tuntap", "add", "dev", tap, "mode", "tap"},
		{"link", "set", tap, "master", bridge, "up"},
	} {
		if err := m.all.IP(ctx, args...); err != nil {
			return err
		}
	}
	args := append(emulation(cmp.Or(o.Memory, memory)), o.firmware().args...)
	if len(o.PCI) > 0 { // must come first: only devices after the IOMMU are behind it
		args = append(args, "-device", "intel-iommu,intremap=on")
	}
	args = append(args,
		"-serial", "file:"+m.path("console"), "-monitor", "unix:"+m.path("monitor")+",server=on,wait=off",
		"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
		// Writes to the system disk go to a temporary file, which disappears with the process.
		"-drive", "file="+base+",format=raw,if=none,id=system,snapshot=on,cache=unsafe", "-device", "virtio-blk-pci,drive=system,bootindex=0",
		"-drive", "file="+m.path("identity")+",format=raw,if=none,id=identity,readonly=on", "-device", "virtio-blk-pci,drive=identity,serial=identity",
		"-netdev", "tap,id=test,ifname="+tap+",script=no,downscript=no", "-device", "virtio-net-pci,netdev=test,mac="+m.mac(0),
	)
	for i, cable := range o.Cables {
		here, there := "a", "b"
		switch m.Name {
		case cable.From:
		case cable.To:
			here, there = there, here
		default:
			continue
		}
		end := func(which string) string { return filepath.Join(m.all.Dir, fmt.Sprintf("cable%d.%s", i, which)) }
		id := cableID(i)
		args = append(args,
			"-netdev", "dgram,id="+id+"-wire,local.type=unix,local.path="+end(here)+",remote.type=unix,remote.path="+end(there),
			"-device", "virtio-net-pci,id="+id+",netdev="+id+"-wire,mac="+m.mac(i+1))
	}
	if len(o.Disks) > 0 { // a bus that supports hot-unplugging
		args = append(args, "-device", "virtio-scsi-pci")
	}
	for i, disk := range o.Disks {
		path := m.path(disk.Serial)
		if err := makeBlank(path, disk.Bytes); err != nil {
			return err
		}
		args = append(args, "-drive", fmt.Sprintf("file=%s,format=raw,if=none,id=disk%d,cache=unsafe,discard=unmap", path, i),
			"-device", fmt.Sprintf("scsi-hd,id=disk%d-device,drive=disk%d,serial=%s", i, i, disk.Serial))
	}
	for _, device := range o.PCI {
		args = append(args, "-device", device)
	}
	m.qemu = exec.Command("qemu-system-x86_64", args...)
	m.qemu.Env = append(os.Environ(), "TMPDIR="+m.all.Dir)
	m.qemu.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the test handles Ctrl-C
	said, err := os.Create(m.path("qemu"))
	if err != nil {
		return err
	}
	defer said.Close()
	m.qemu.Stdout, m.qemu.Stderr = said, said
	if err := m.all.Inside.Start(m.qemu); err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func() {
		defer close(m.ended)
		m.qemu.Wait() // the exit code says all
	}()
	return nil
}

func cableID(i int) string { return fmt.Sprintf("cable%d", i) }

// mac returns the Ethernet address of the machine's interface i, from QEMU's range.
func (m *Machine) mac(i int) string { return fmt.Sprintf("52:54:00:00:%02x:%02x", m.number, i) }

func makeBlank(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}

// identify writes the tar archive that sets this machine apart from its image: see recipe.sh.
func (m *Machine) identify(ctx context.Context) error {
	key := m.path("host-key")
	if err := login.MakeKey(ctx, key); err != nil {
		return err
	}
	private, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return err
	}
	authorized, err := os.ReadFile(m.all.key + ".pub")
	if err != nil {
		return err
	}
	m.hostKey = strings.TrimSpace(string(public))
	if err := os.WriteFile(m.path("known_hosts"), []byte(m.Address.String()+" "+m.hostKey+"\n"), 0o600); err != nil {
		return err
	}
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	for _, f := range []struct {
		name, content string
		mode          int64
	}{
		{"etc/hostname", m.Name + "\n", 0o644},
		{"etc/hosts", "127.0.0.1\tlocalhost\n" + m.Address.String() + "\t" + m.Name + "\n", 0o644},
		{"etc/network/interfaces", "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n\taddress " + m.Address.String() + "/24\n", 0o644},
		{"etc/ssh/ssh_host_ed25519_key", string(private), 0o600},
		{"etc/ssh/ssh_host_ed25519_key.pub", string(public), 0o644},
		{"root/.ssh/authorized_keys", string(authorized), 0o600},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, f.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	b.Write(make([]byte, 1<<20-b.Len()%(1<<20))) // pad to a whole MiB
	return os.WriteFile(m.path("identity"), b.Bytes(), 0o600)
}

// kill kills the machine and waits until it has ended.
func (m *Machine) kill() {
	if m.ended == nil {
		return
	}
	m.qemu.Process.Kill() // an error means that it has just exited
	<-m.ended
}

// Exec runs a program as root and returns its standard output. It uses OpenSSH, not hlplay's own connection. If the
// program fails, the error contains its message.
func (m *Machine) Exec(ctx context.Context, argv ...string) (string, error) {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", m.all.key, "-o", "UserKnownHostsFile="+m.path("known_hosts"), "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "root@"+m.Address.String(), strings.Join(words, " "))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := m.all.Run(cmd); err != nil {
		return stdout.String(), fmt.Errorf("on machine %s, %q: %w: %s", m.Name, argv, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// BootID returns the kernel's ID of the current boot; it changes when the machine boots.
func (m *Machine) BootID(ctx context.Context) (string, error) {
	id, err := m.Exec(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(id), err
}

// Reboot reboots the machine and waits until it has booted again.
func (m *Machine) Reboot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	before, err := m.BootID(ctx)
	if err != nil {
		return err
	}
	_, _ = m.Exec(ctx, "systemctl", "reboot") // the connection may break before the command returns
	for {
		if after, err := m.BootID(ctx); err == nil && after != before {
			return m.WaitUp(ctx)
		}
		select {
		case <-m.ended:
			return fmt.Errorf("machine %s ended instead of booting:\n%s", m.Name, m.said())
		case <-ctx.Done():
			return fmt.Errorf("machine %s has not booted again: %w:\n%s", m.Name, ctx.Err(), m.said())
		case <-time.After(time.Second):
		}
	}
}

// WaitUp waits until systemd reports that the machine has booted and its sshd accepts logins.
func (m *Machine) WaitUp(ctx context.Context) error {
	for {
		_, err := m.Exec(ctx, "systemctl", "is-active", "--quiet", "multi-user.target")
		if err == nil {
			return nil
		}
		select {
		case <-m.ended:
			return fmt.Errorf("machine %s ended while it booted:\n%s", m.Name, m.said())
		case <-ctx.Done():
			return fmt.Errorf("machine %s is not up: %w (%w):\n%s", m.Name, ctx.Err(), err, m.said())
		case <-time.After(time.Second):
		}
	}
}

// said returns the last output of QEMU and of the machine's console.
func (m *Machine) said() string {
	var all strings.Builder
	for _, suffix := range []string{"qemu", "console"} {
		text, err := os.ReadFile(m.path(suffix))
		if err != nil {
			text = []byte(err.Error())
		}
		all.WriteString(rootfs.LastLines(string(text), 25) + "\n")
	}
	return all.String()
}

// Remove unplugs one of the Options' disks while the machine is running.
func (m *Machine) Remove(disk int) error {
	return m.monitor(fmt.Sprintf("device_del disk%d-device", disk))
}

// monitor runs a command in QEMU's monitor. The command must print nothing on success.
func (m *Machine) monitor(command string) error {
	conn, err := m.all.Dial("unix", m.path("monitor"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	const prompt = "(qemu) "
	read := func() (string, error) {
		var said []byte
		chunk := make([]byte, 4096)
		for !bytes.HasSuffix(said, []byte(prompt)) {
			n, err := conn.Read(chunk)
			if said = append(said, chunk[:n]...); err != nil {
				return "", fmt.Errorf("QEMU's monitor: %w after %q", err, said)
			}
		}
		return string(said), nil
	}
	if _, err := read(); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return err
	}
	said, err := read()
	if err != nil {
		return err
	}
	if _, problem, failed := strings.Cut(said, "Error: "); failed {
		return fmt.Errorf("QEMU's monitor: %s: %s", command, strings.TrimSpace(strings.TrimSuffix(problem, prompt)))
	}
	return nil
}
