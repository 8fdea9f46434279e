package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// A private key that others may read is used, with a remark.
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

func TestDialWrongKey(t *testing.T) {
	right, wrong := newKey(t, "id", ""), newKey(t, "other", "")
	s := newServer(t, right)
	target := s.target("alice", wrong)
	target.Keys = append(target.Keys, "/nonesuch/key")
	unreachable(t, target, plain(), "no key was accepted for user alice", wrong.path, "/nonesuch/key: no such file")

	// The right key after a wrong one.
	target.Keys = []string{wrong.path, right.path}
	mustDial(t, target, plain())
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

// If nobody can be asked for the passphrase, the error is about the key and not about the host's SSH server.
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

// The time that the user spends typing does not count.
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
	target := s.target("root", key) // the key file is encrypted, but the agent holds the decrypted key
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
