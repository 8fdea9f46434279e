package remote

import (
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// openSSH serves each connection with a real sshd, started as by inetd.
type openSSH struct {
	listener net.Listener
	hostKey  credentials
	login    string
}

func newOpenSSH(t *testing.T, key credentials, more ...string) *openSSH {
	t.Helper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Fatalf("these tests need a real sshd: install the package openssh-server (%v)", err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		// The unit's RuntimeDirectory= creates it where sshd runs as a service.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	s := &openSSH{hostKey: newKey(t, "ssh_host_ed25519_key", ""), login: me.Username}
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := write("authorized_keys", string(ssh.MarshalAuthorizedKey(key.public)))
	config := write("sshd_config", strings.Join(append([]string{
		"HostKey " + s.hostKey.path, "AuthorizedKeysFile " + keys, "StrictModes no", "UsePAM no", "PidFile none",
		"PermitRootLogin yes", "PasswordAuthentication no", "Subsystem sftp internal-sftp",
	}, more...), "\n")+"\n")
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				return
			}
			cmd := exec.Command(sshd, "-i", "-f", config, "-E", log)
			cmd.Stdin, cmd.Stdout = f, f
			if err := cmd.Start(); err == nil {
				go func() { _ = cmd.Wait() }()
			}
			f.Close()
		}
	}()
	t.Cleanup(func() {
		s.listener.Close()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("sshd said:\n%s", text)
		}
	})
	return s
}

func (s *openSSH) target(t *testing.T, key credentials) Target {
	port := s.listener.Addr().(*net.TCPAddr).Port
	return Target{
		Name: "node", Address: "127.0.0.1", Port: port, User: s.login, Keys: []string{key.path},
		KnownHosts: writeKnownHosts(t, port, s.hostKey.public),
	}
}

// everywhere runs a test with every kind of connection, with the hand and without it.
func everywhere(t *testing.T, test func(t *testing.T, c *conn)) {
	t.Run("sh", func(t *testing.T) {
		key := newKey(t, "id", "")
		test(t, mustDial(t, newServer(t, key).target("root", key), plain()))
	})
	t.Run("sh without a hand", func(t *testing.T) {
		key := newKey(t, "id", "")
		c := mustDial(t, newServer(t, key).target("root", key), plain())
		c.hand = ""
		test(t, c)
	})
	t.Run("sh without variables", func(t *testing.T) {
		key := newKey(t, "id", "")
		test(t, mustDial(t, newServer(t, key, func(s *server) { s.acceptsNone = true }).target("root", key), plain()))
	})
	t.Run("bash", func(t *testing.T) { // as sh, which some administrators and distributions use
		bin, key := t.TempDir(), newKey(t, "id", "")
		if err := os.Symlink("/bin/bash", filepath.Join(bin, "sh")); err != nil {
			t.Fatal(err)
		}
		s := newServer(t, key, func(s *server) {
			s.run = func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
				return runSh(line, append(env, "PATH="+bin+":"+os.Getenv("PATH")), stdin, stdout, stderr)
			}
		})
		test(t, mustDial(t, s.target("root", key), plain()))
	})
	t.Run("interpreter", func(t *testing.T) {
		key := newKey(t, "id", "")
		s := newServer(t, key, func(s *server) { s.run = runInterp })
		test(t, mustDial(t, s.target("root", key), plain()))
	})
	t.Run("openssh", func(t *testing.T) {
		key := newKey(t, "id", "")
		test(t, mustDial(t, newOpenSSH(t, key, "AcceptEnv LANG LC_*").target(t, key), plain()))
	})
	t.Run("local", func(t *testing.T) {
		c := local()
		t.Cleanup(func() { c.Close() })
		test(t, c)
	})
}
