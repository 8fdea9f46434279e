package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// unreachable asserts that a dial fails, and that the error holds some texts.
func unreachable(t *testing.T, target Target, o Options, texts ...string) {
	t.Helper()
	c, err := Dial(bounded(t), target, o)
	if err == nil {
		c.Close()
		t.Fatal("the dial succeeded")
	}
	var u *UnreachableError
	if !errors.As(err, &u) || u.Host != "node" || u.Hint == "" {
		t.Errorf("error %v (%T), want an UnreachableError of node with a hint", err, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

// Of several keys that a host has it is asked for the one that people compare, and the hint names the file of the key
// that was shown.
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

// typed is a public key of which only the type is asked for.
type typed string

func (k typed) Type() string                        { return string(k) }
func (k typed) Marshal() []byte                     { return nil }
func (k typed) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// A private key that others may read is used, and remarked on.
func TestOpenPrivateKeyIsRemarkedOn(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	var remarks []string
	o := plain()
	o.Remark = func(text string) { remarks = append(remarks, text) }
	mustDial(t, s.target("root", key), o)
	if len(remarks) > 0 {
		t.Errorf("a key of mode 0600 is remarked on: %q", remarks)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o601} {
		remarks = nil
		if err := os.Chmod(key.path, mode); err != nil {
			t.Fatal(err)
		}
		mustDial(t, s.target("root", key), o)
		if len(remarks) != 1 || !strings.Contains(remarks[0], key.path) || !strings.Contains(remarks[0], "chmod 600") {
			t.Errorf("mode %o: remarks %q", mode, remarks)
		}
	}
}

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
	// Known from now on.
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

func TestDialWrongKey(t *testing.T) {
	right, wrong := newKey(t, "id", ""), newKey(t, "other", "")
	s := newServer(t, right)
	target := s.target("alice", wrong)
	target.Keys = append(target.Keys, "/nonesuch/key")
	unreachable(t, target, plain(), "no key was accepted for user alice", wrong.path, "/nonesuch/key: no such file")

	// The right one after a wrong one.
	target.Keys = []string{wrong.path, right.path}
	mustDial(t, target, plain())
}

func TestDialDeadAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	unreachable(t, Target{Name: "node", Address: "127.0.0.1", Port: port, KnownHosts: "/nonesuch"}, plain(), "connection refused")
	unreachable(t, Target{Name: "node", Address: "nonesuch.invalid", KnownHosts: "/nonesuch"}, plain(), "nonesuch.invalid")
}

// Only a host at which nothing takes the connection, or says a word over it, may be taken for one that is off.
func TestNoAnswer(t *testing.T) {
	key, other := newKey(t, "id", ""), newKey(t, "other", "")
	refusing := newServer(t, key).target("root", other)
	stranger := newServer(t, key).target("root", key)
	stranger.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	mute := Target{Name: "node", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, KnownHosts: "/nonesuch"}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	off := Target{Name: "node", Address: "127.0.0.1", Port: dead.Addr().(*net.TCPAddr).Port, KnownHosts: "/nonesuch"}
	jump := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(jump, fmt.Appendf(nil, "Host behind\n  ProxyJump 127.0.0.1:%d\n", off.Port), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		target Target
		want   bool
	}{
		{"nothing listens", off, true}, {"closed without a word", mute, true},
		{"a refused key", refusing, false}, {"an unknown host key", stranger, false},
		{"a name that does not resolve", Target{Name: "node", Address: "nonesuch.invalid", KnownHosts: "/nonesuch"}, false},
		{"behind a jump host that is off", Target{Name: "node", Address: "behind", KnownHosts: "/nonesuch"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := plain()
			o.SSHConfig = jump
			_, err := Dial(bounded(t), test.target, o)
			var u *UnreachableError
			if !errors.As(err, &u) || u.NoAnswer != test.want {
				t.Errorf("NoAnswer of %+v is not %t", err, test.want)
			}
		})
	}
}

// Something accepts the connection and says nothing.
func TestDialSilentHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := Target{Name: "node", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, KnownHosts: "/nonesuch"}
	o := plain()
	o.DialTimeout = 50 * time.Millisecond
	unreachable(t, target, o, "no answer within 50ms")

	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	if _, err := Dial(ctx, target, plain()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

func TestDialNotSSH(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	}()
	unreachable(t, Target{Name: "node", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, KnownHosts: "/nonesuch"}, plain(), "handshake failed")
}

func TestDialEncryptedKeyAsksOnce(t *testing.T) {
	for name, key := range map[string]credentials{
		"ed25519": newKey(t, "id_ed25519", "correct horse"),
		"rsa":     newRSAKey(t, "id_rsa", "correct horse"),
	} {
		servers := []*server{newServer(t, key), newServer(t, key), newServer(t, key)}
		var asked atomic.Int64
		o := plain()
		o.Secrets = &Secrets{}
		o.DialTimeout = time.Minute
		o.Ask = func(_ context.Context, prompt string) (string, error) {
			if !strings.Contains(prompt, key.path) {
				t.Errorf("%s: the prompt %q does not name the key", name, prompt)
			}
			if asked.Add(1) == 1 {
				return "wrong", nil
			}
			return "correct horse", nil
		}
		var all sync.WaitGroup
		for _, s := range servers {
			all.Go(func() {
				c, err := Dial(bounded(t), s.target("root", key), o)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				c.Close()
			})
		}
		all.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("%s: asked %d times, want 2: a wrong answer and a right one, for three hosts", name, n)
		}
	}
}

// Where nobody can be asked for a passphrase, the key is what is wrong, and not the host's SSH server.
func TestDialEncryptedKeyWithoutAnAnswer(t *testing.T) {
	key := newKey(t, "id", "secret")
	o := plain()
	o.Ask = func(context.Context, string) (string, error) { return "", errors.New("there is no terminal to ask on") }
	unreachable(t, newServer(t, key).target("root", key), o, "key "+key.path+" is encrypted: there is no terminal to ask on", "ssh-add")
}

func TestDialEncryptedKeyIsNotAskedForInVain(t *testing.T) {
	right, locked := newKey(t, "id", ""), newKey(t, "locked", "secret")
	s := newServer(t, right)
	target := s.target("root", locked)
	target.Keys = []string{locked.path, right.path}
	o := plain()
	o.Ask = func(context.Context, string) (string, error) {
		t.Error("a passphrase was asked for, for a key that the host does not accept")
		return "", errors.New("no")
	}
	mustDial(t, target, o)

	onlyLocked := newServer(t, locked)
	o.Ask = nil
	unreachable(t, onlyLocked.target("root", locked), o, locked.path+" is encrypted", "nobody to ask")
}

// The time in which a person types does not count.
func TestDialTimeoutDoesNotCountTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, ctx, stop := newClock(t.Context(), 2*time.Second)
		defer stop()
		ask := clock.prompter(Options{Secrets: &Secrets{}, Ask: func(ctx context.Context, _ string) (string, error) {
			time.Sleep(time.Hour)
			return "secret", context.Cause(ctx)
		}})
		time.Sleep(time.Second)
		if answer, err := ask.ask(ctx, "key", "Passphrase: "); answer != "secret" || err != nil {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		time.Sleep(999 * time.Millisecond)
		if ctx.Err() != nil {
			t.Errorf("ended before its time: %v", context.Cause(ctx))
		}
		time.Sleep(2 * time.Millisecond)
		if err := context.Cause(ctx); err != errDialTimeout {
			t.Errorf("two seconds without the typing: %v, want that the dial is over", err)
		}
	})
}

func TestDialAgent(t *testing.T) {
	key := newKey(t, "id", "secret")
	s := newServer(t, key)
	pem, err := os.ReadFile(key.path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	o := plain()
	o.Agent = socket
	target := s.target("root", key) // the key file is encrypted; the agent has it open
	mustDial(t, target, o)
	target.Keys = nil
	mustDial(t, target, o)
	o.Agent = ""
	t.Setenv("SSH_AUTH_SOCK", socket)
	mustDial(t, target, o)
}

func TestDialPassword(t *testing.T) {
	s := newServer(t, credentials{}, func(s *server) {
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) == "secret" {
				return nil, nil
			}
			return nil, errors.New("no")
		}
	})
	var asked atomic.Int64
	answer := "secret"
	o := plain()
	o.Secrets = &Secrets{}
	o.Ask = func(context.Context, string) (string, error) {
		asked.Add(1)
		return answer, nil
	}
	unreachable(t, s.target("root", credentials{}), o, "no key was accepted")
	o.AskPassword = true
	mustDial(t, s.target("root", credentials{}), o)
	mustDial(t, s.target("root", credentials{}), o)
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	o.Secrets, answer = &Secrets{}, "wrong"
	unreachable(t, s.target("root", credentials{}), o, "neither a key nor the password")
}

func TestDialConfiguration(t *testing.T) {
	key := newKey(t, "id", "")
	node, bastion := newServer(t, key), newServer(t, key)
	outer := newServer(t, key)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pem, err := os.ReadFile(key.path)
	if err != nil {
		t.Fatal(err)
	}
	write("cluster_key", string(pem))
	var known strings.Builder
	for _, s := range []*server{node, bastion, outer} {
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s", s.port(), ssh.MarshalAuthorizedKey(s.hostKey.PublicKey()))
	}
	write("known_hosts", known.String())
	write("config", fmt.Sprintf(`
Host direct jumped chained
  HostName 127.0.0.1
  Port %d
  User carol
Host jumped
  ProxyJump bastion
Host chained
  ProxyJump outer,dave@bastion
Host bastion
  HostName 127.0.0.1
  Port %d
Host outer
  HostName 127.0.0.1
  Port %d
Host loop
  ProxyJump loop
Host command
  ProxyCommand sh -c 'echo no way to %%h:%%p >&2; exit 7'
Host port
  Port many
Host *
  IdentityFile ~/.ssh/cluster_key
`, node.port(), bastion.port(), outer.port()))

	c := mustDial(t, Target{Name: "node", Address: "direct"}, Options{})
	if c.User() != "carol" {
		t.Errorf("user %s, want carol of the configuration", c.User())
	}
	c = mustDial(t, Target{Name: "node", Address: "direct", User: "erin"}, Options{})
	if c.User() != "erin" {
		t.Errorf("user %s, want erin of the inventory", c.User())
	}
	for alias, hops := range map[string][]*server{"jumped": {bastion}, "chained": {outer, bastion}} {
		for _, s := range []*server{node, bastion, outer} {
			s.mu.Lock()
			s.forward = nil
			s.mu.Unlock()
		}
		c := mustDial(t, Target{Name: "node", Address: alias}, Options{})
		if got := ask(t, c, Query{Script: "printf here"}); string(got[0].Stdout) != "here" {
			t.Errorf("%s: %q", alias, got[0].Stdout)
		}
		next := append(hops[1:], node)
		for i, hop := range hops {
			hop.mu.Lock()
			want := []string{fmt.Sprintf("127.0.0.1:%d", next[i].port())}
			if diff := cmp.Diff(want, hop.forward); diff != "" {
				t.Errorf("%s: hop %d (-want +got):\n%s", alias, i, diff)
			}
			hop.mu.Unlock()
		}
		// The connection is lost when the host on the way is.
		hops[0].cut()
		select {
		case <-c.Done():
		case <-bounded(t).Done():
			t.Errorf("%s: the loss of the first host went unnoticed", alias)
		}
	}
	for alias, want := range map[string]string{
		"loop": "does a host jump through itself", "command": "config:19 brought no connection: it ended with exit status 7: no way to command:22", "port": `"many"`,
	} {
		_, err := Dial(bounded(t), Target{Name: "node", Address: alias}, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", alias, err, want)
		}
	}
	bastion.listener.Close()
	bastion.cut()
	unreachable(t, Target{Name: "node", Address: "jumped"}, Options{}, "ProxyJump host bastion", "refused")

	if _, err := Dial(bounded(t), Target{Name: "node", Address: "direct"}, Options{SSHConfig: filepath.Join(home, "none-such")}); err == nil {
		t.Error("a configuration that was named and is not there: no error")
	}
}

func TestDefaultKey(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	pem, _ := os.ReadFile(key.path)
	if err := os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	target := s.target("root", key)
	target.Keys = nil
	mustDial(t, target, plain())
}

func TestKeepAliveNoticesASilentHost(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	// A relay that stops relaying, as a host without power does, and closes nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stop := make(chan struct{})
	go func() {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			return
		}
		pass := func(to, from net.Conn) {
			buf := make([]byte, 32<<10)
			for {
				n, err := from.Read(buf)
				if err != nil {
					return
				}
				select {
				case <-stop:
					return
				default:
				}
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		go pass(far, near)
		pass(near, far)
	}()
	port := l.Addr().(*net.TCPAddr).Port
	target := s.target("root", key)
	target.Port, target.KnownHosts = port, writeKnownHosts(t, port, s.hostKey.PublicKey())
	o := plain()
	o.KeepAlive = 50 * time.Millisecond
	c := mustDial(t, target, o)
	ask(t, c, Query{Script: ":"})
	close(stop)
	_, err = c.Ask(bounded(t), []Query{{Script: "sleep 50"}})
	var lost *UnreachableError
	if !errors.As(err, &lost) || !strings.Contains(err.Error(), "has not answered for") {
		t.Errorf("error %v, want an UnreachableError that says for how long", err)
	}
	<-c.Done()
}

func FuzzParseJump(f *testing.F) {
	for _, seed := range []string{"host", "user@host", "user@host:22", "ssh://u@h:1", "[::1]:22", "[::1]", "::1", "", "@", ":0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := parseJump(text)
		if err == nil && (target.Address == "" || target.Port < 0 || target.Port > 65535) {
			t.Fatalf("%q: %+v", text, target)
		}
	})
}
