package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
)

const guides = `
defaults {
  user = "root"
}
host "pve1" {
  address = "192.0.2.11"
  rehearsal {
    debian = "bookworm"
    disk "nvme0n1" {
      size = "2TB"
    }
  }
}
host "pve2" {
  address = "192.0.2.12"
  user    = "admin"
  become  = true
}
host "here" {
  connection = "local"
}
group "pve" {
  hosts = ["pve1", "pve2"]
}
`

func load(t *testing.T, text string) *inventory.Inventory {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hosts.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, diags := inventory.Load(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return inv
}

func start(t *testing.T, text string, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), load(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// dial connects to a host with what the lab's inventory says.
func dial(t *testing.T, l *lab.Lab, host string) (*ssh.Client, error) {
	t.Helper()
	for _, h := range l.Inventory().Hosts {
		if h.Name != host {
			continue
		}
		pem, err := os.ReadFile(h.Keys[0])
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			t.Fatal(err)
		}
		verify, err := knownhosts.New(h.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		return ssh.Dial("tcp", fmt.Sprintf("%s:%d", h.SSHAddress, h.Port), &ssh.ClientConfig{
			User: h.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: verify,
		})
	}
	t.Fatalf("no host %q", host)
	return nil, nil
}

func mustDial(t *testing.T, l *lab.Lab, host string) *ssh.Client {
	t.Helper()
	client, err := dial(t, l, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// output runs a command in its own session.
func output(t *testing.T, client *ssh.Client, command string) (string, error) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output(command)
	return string(out), err
}

func TestInventory(t *testing.T) {
	dir := t.TempDir()
	l := start(t, guides, lab.Options{Dir: dir})
	var got []string
	for _, h := range l.Inventory().Hosts {
		got = append(got, fmt.Sprintf("%s %s %s %s %v", h.Name, h.Address, h.SSHAddress, h.User, h.Become))
	}
	want := []string{"pve1 192.0.2.11 127.0.0.1 root false", "pve2 192.0.2.12 127.0.0.1 admin true", "here here 127.0.0.1 root false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if here := l.Inventory().Host("here"); here.Connection != "ssh" || l.Machine("here") == nil {
		t.Errorf("the controller is reached by %q: what is rehearsed would change it", here.Connection)
	}
	again, diags := inventory.Load(filepath.Join(dir, "inventory"))
	if diags.HasErrors() {
		t.Fatalf("the inventory that the lab wrote: %v", diags)
	}
	for i, h := range again.Hosts {
		if ours := l.Inventory().Hosts[i]; h.Port != ours.Port || h.KnownHosts != ours.KnownHosts || h.SSHAddress != ours.SSHAddress {
			t.Errorf("%s reads back as %+v, expected %+v", h.Name, h, ours)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v (%v), expected 0600", info.Mode(), err)
	}
}

func TestSSH(t *testing.T) {
	l := start(t, guides, lab.Options{})
	root, admin := mustDial(t, l, "pve1"), mustDial(t, l, "pve2")
	for _, tc := range []struct {
		client        *ssh.Client
		command, want string
	}{
		{root, "id -un; hostname", "root\npve1\n"},
		{root, ". /etc/os-release; echo $VERSION_CODENAME", "bookworm\n"},
		{root, "lsblk -dno NAME,SIZE -b", "sda       68719476736\nnvme0n1 2000000000000\n"},
		{admin, "id -un; sudo -n id -un; cat /etc/shadow || echo refused", "admin\nroot\nrefused\n"},
		{root, "ping -c1 192.0.2.12 >/dev/null && echo reached", "reached\n"},
		{root, "ping -c1 192.0.2.99 >/dev/null || echo lost", "lost\n"},
	} {
		if got, err := output(t, tc.client, tc.command); err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v; expected %q", tc.command, got, err, tc.want)
		}
	}
	_, err := output(t, root, "exit 42")
	if exit, ok := err.(*ssh.ExitError); !ok || exit.ExitStatus() != 42 {
		t.Errorf("exit 42 ended as %v", err)
	}
	if writes := append(l.Machine("pve1").Writes(), l.Machine("pve2").Writes()...); len(writes) != 0 {
		t.Errorf("reading was recorded as writing: %v", writes)
	}
}

// sshd reads authorized_keys at each login and follows symlinks: removing the file locks the user out.
func TestAuthorizedKeysFollowLinks(t *testing.T) {
	l := start(t, guides, lab.Options{})
	client := mustDial(t, l, "pve1")
	if _, err := output(t, client, "mkdir -p /etc/pve/priv && mv /root/.ssh/authorized_keys /etc/pve/priv/ && ln -s /etc/pve/priv/authorized_keys /root/.ssh/authorized_keys"); err != nil {
		t.Fatal(err)
	}
	mustDial(t, l, "pve1")
	if _, err := output(t, client, "mv /etc/pve/priv/authorized_keys /etc/pve/priv/gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, l, "pve1"); err == nil {
		t.Error("a login succeeded without authorized_keys")
	}
}

func TestReboot(t *testing.T) {
	l := start(t, guides, lab.Options{})
	m := l.Machine("pve1")
	client := mustDial(t, l, "pve1")
	before := m.BootID()
	if _, err := output(t, client, "touch /tmp/scratch; sysctl -q -w vm.swappiness=1; systemctl reboot"); err != nil {
		t.Fatal(err)
	}
	l.Clock().Advance(5 * time.Second)
	if m.On() {
		t.Fatal("the node did not go down")
	}
	if err := client.Wait(); err == nil {
		t.Error("the connection ended cleanly, expected that it is lost")
	}
	if _, err := dial(t, l, "pve1"); err == nil {
		t.Error("a node that is down let in")
	}
	l.Clock().Advance(time.Minute)
	got, err := output(t, mustDial(t, l, "pve1"), "cat /proc/sys/kernel/random/boot_id; ls /tmp; sysctl -n vm.swappiness; systemctl is-active ssh")
	if err != nil || strings.HasPrefix(got, before) || !strings.HasSuffix(got, "\n60\nactive\n") {
		t.Errorf("after the reboot: %q, %v (boot id before: %s)", got, err, before)
	}
}

func TestFaults(t *testing.T) {
	l := start(t, guides, lab.Options{})
	m := l.Machine("pve1")
	client := mustDial(t, l, "pve1")
	if _, err := output(t, client, "true"); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	m.CutConnections()
	if err := client.Wait(); err == nil {
		t.Error("the connection ended cleanly, expected that it is lost")
	}
	m.RefuseLogins(true)
	if _, err := dial(t, l, "pve1"); err == nil {
		t.Error("a login was not refused")
	}
	m.RefuseLogins(false)
	m.FillDisk(10)
	client = mustDial(t, l, "pve1")
	if got, err := output(t, client, "printf 0123456789abc >/etc/full 2>/dev/null; cp /etc/passwd /etc/copy 2>&1"); err == nil || !strings.Contains(got, "No space left on device") {
		t.Errorf("a full disk: %q, %v", got, err)
	}
}

// OpenSSH's own client reaches a node with nothing but the lab's files.
func TestOpenSSH(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatalf("this test needs OpenSSH's client: install the package openssh-client (%v)", err)
	}
	dir := t.TempDir()
	l := start(t, guides, lab.Options{Dir: dir})
	h := l.Inventory().Hosts[0]
	base := []string{"-F", "none", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + h.KnownHosts, "-i", h.Keys[0], "-p", fmt.Sprint(h.Port), "root@127.0.0.1"}
	out, err := exec.CommandContext(t.Context(), program, append(base, "printf 'a\\0b'; exit 3")...).Output()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 || string(out) != "a\x00b" {
		t.Errorf("got %q, %v", out, err)
	}
	shell := exec.CommandContext(t.Context(), program, base...)
	shell.Stdin = strings.NewReader("x=5\nif true; then\n  echo $((x+1))\nfi\nexit 4\n")
	out, err = shell.Output()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 4 || string(out) != "6\n" {
		t.Errorf("an interactive shell: %q, %v", out, err)
	}
}

// Many nodes are cheap: they share the files of their release.
func TestManyNodes(t *testing.T) {
	var text strings.Builder
	const count = 300
	for i := range count {
		fmt.Fprintf(&text, "host \"n%d\" {\n  user = \"root\"\n  address = \"10.0.%d.%d\"\n}\n", i, i/250, i%250+1)
	}
	start(t, `host "warm" {}`, lab.Options{})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l := start(t, text.String(), lab.Options{})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count; each > 256<<10 {
		t.Errorf("a node costs %d KiB, expected at most 256", each>>10)
	} else {
		t.Logf("a node costs %d KiB", each>>10)
	}
	if got, err := output(t, mustDial(t, l, "n299"), "hostname"); err != nil || got != "n299\n" {
		t.Errorf("the last node: %q, %v", got, err)
	}
}

// A directory that is missing or not writable is an error that names it.
func TestNoPlaceForItsFiles(t *testing.T) {
	inv := load(t, `host "a" { address = "192.0.2.1" }`)
	for _, dir := range []string{"/nonexistent/tmp", "/proc"} {
		t.Setenv("TMPDIR", dir)
		_, err := lab.Start(t.Context(), inv, lab.Options{})
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("with TMPDIR=%s: %v, expected an error that names it", dir, err)
		}
	}
}
