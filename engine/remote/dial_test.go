package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// unreachable asserts that a dial fails with an error that contains the given texts.
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

// A host counts as off only if nothing accepts the connection or sends a byte over it.
func TestDialNoAnswer(t *testing.T) {
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

// Something accepts the connection but sends nothing.
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

	settings(t, "ConnectTimeout 1\n")
	o.SSHConfig, o.DialTimeout = "", 0
	unreachable(t, target, o, "no answer within 1s")

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
		// If the jump host is lost, so is the connection.
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

func TestKeepAliveNoticesASilentHost(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	// A relay that stops relaying without closing anything, like a host that loses power.
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
