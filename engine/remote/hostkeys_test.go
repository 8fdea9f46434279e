package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Of an unknown host's keys, hlplay asks for the one that people usually compare, and the hint names the file of the
// key that is shown.
func TestUnknownHostShowsTheKeyToCompare(t *testing.T) {
	key := newKey(t, "id", "")
	signer := func(c credentials) ssh.Signer {
		t.Helper()
		pem, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rsaKey := signer(newRSAKey(t, "rsa", ""))
	both := newServer(t, key, func(s *server) { s.config.AddHostKey(rsaKey) })
	target := both.target("root", key)
	target.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
	unreachable(t, target, plain(), ssh.FingerprintSHA256(both.hostKey.PublicKey()), "ssh_host_ed25519_key.pub", "--accept-new-host-keys")

	for kind, public := range map[string]string{"ssh-rsa": "rsa", "ecdsa-sha2-nistp256": "ecdsa", "sk-ssh-ed25519@openssh.com": "*"} {
		if got := hostKeyFile(typed(kind)); got != "/etc/ssh/ssh_host_"+public+"_key.pub" {
			t.Errorf("a key of type %s is looked for in %s", kind, got)
		}
	}
}

// typed is a public key of which only the type is used.
type typed string

func (k typed) Type() string { return string(k) }

func (k typed) Marshal() []byte { return nil }

func (k typed) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

func TestDialUnknownHostKey(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	target := s.target("root", key)
	target.KnownHosts = filepath.Join(t.TempDir(), "ssh", "known_hosts")
	unreachable(t, target, plain(), "not known", target.KnownHosts, ssh.FingerprintSHA256(s.hostKey.PublicKey()))
	if _, err := os.Stat(target.KnownHosts); err == nil {
		t.Error("the key of a refused host was written")
	}

	o := plain()
	o.HostKeys = AcceptNew
	mustDial(t, target, o)
	// It is known from now on.
	mustDial(t, target, plain())
	text, err := os.ReadFile(target.KnownHosts)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("known_hosts is %q (%v), want one line", text, err)
	}
	if info, err := os.Stat(target.KnownHosts); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("known_hosts: mode %v (%v)", info.Mode(), err)
	}
}

func TestDialAcceptNewKeepsWhatIsThere(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	target := s.target("root", key)
	other := strings.TrimSpace("other.example " + string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey())))
	if err := os.WriteFile(target.KnownHosts, []byte(other), 0o600); err != nil { // no final newline
		t.Fatal(err)
	}
	o := plain()
	o.HostKeys = AcceptNew
	mustDial(t, target, o)
	text, _ := os.ReadFile(target.KnownHosts)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) != 2 || lines[0] != other {
		t.Errorf("known_hosts is now:\n%s", text)
	}
}

func TestDialChangedHostKey(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	target := s.target("root", key)
	old := newSigner(t).PublicKey()
	target.KnownHosts = writeKnownHosts(t, s.port(), old)
	for _, policy := range []HostKeyPolicy{Verify, AcceptNew} {
		o := plain()
		o.HostKeys = policy
		unreachable(t, target, o, "host key has changed", target.KnownHosts+":1", ssh.FingerprintSHA256(old),
			ssh.FingerprintSHA256(s.hostKey.PublicKey()), "ssh-keygen -f "+target.KnownHosts+" -R")
	}
}

func TestDialRevokedHostKey(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	target := s.target("root", key)
	line := "@revoked * " + string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey()))
	if err := os.WriteFile(target.KnownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	o := plain()
	o.HostKeys = AcceptNew
	unreachable(t, target, o, "revoked", target.KnownHosts+":1")
}
