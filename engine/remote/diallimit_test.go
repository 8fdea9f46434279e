package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestManyHostsBehindOneJumpHost connects to more hosts concurrently than sshd allows to log in at a time.
func TestManyHostsBehindOneJumpHost(t *testing.T) {
	key := newKey(t, "id", "")
	node, bastion := newServer(t, key), newServer(t, key)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o := Options{Agent: None, Dials: &DialLimiter{}}
	o.SSHConfig = write("config", fmt.Sprintf("Host bastion\n  HostName 127.0.0.1\n  Port %d\nHost node\n  HostName 127.0.0.1\n  ProxyJump bastion\nHost *\n  IdentityFile %s\n", bastion.port(), key.path))
	known := write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s[127.0.0.1]:%d %s",
		node.port(), ssh.MarshalAuthorizedKey(node.hostKey.PublicKey()), bastion.port(), ssh.MarshalAuthorizedKey(bastion.hostKey.PublicKey())))
	target := func(i int) Target {
		return Target{Name: fmt.Sprint("node", i), Address: "node", Port: node.port(), User: "root", KnownHosts: known}
	}

	// When the maximum number of dials is in progress, the next one waits before it connects.
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bastion.port()))
	var leave []func(error)
	for range dialsPerTarget {
		out, err := o.Dials.acquire(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	ctx, giveUp := context.WithCancel(bounded(t))
	refused := make(chan error, 1)
	go func() {
		_, err := Dial(ctx, target(0), o)
		refused <- err
	}()
	waits := func() bool {
		o.Dials.mu.Lock()
		defer o.Dials.mu.Unlock()
		return o.Dials.targets[address].users > dialsPerTarget
	}
	for !waits() && ctx.Err() == nil && len(refused) == 0 {
		runtime.Gosched()
	}
	giveUp()
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("with %d logging in, the next dial ended with %v, expected that it was given up", dialsPerTarget, err)
	}
	bastion.mu.Lock()
	if n := len(bastion.conns); n > 0 {
		t.Errorf("%d connected to the jump host meanwhile, expected nobody", n)
	}
	bastion.mu.Unlock()
	for _, out := range leave {
		out(nil)
	}

	const hosts = 3 * dialsPerTarget
	failed := make([]error, hosts)
	var dials sync.WaitGroup
	for i := range hosts {
		dials.Go(func() {
			c, err := Dial(bounded(t), target(i), o)
			if failed[i] = err; err == nil {
				c.Close()
			}
		})
	}
	dials.Wait()
	for i, err := range failed {
		if err != nil {
			t.Errorf("node%d: %v", i, err)
		}
	}
	if len(o.Dials.targets) > 0 {
		t.Errorf("the limiter remembers %d addresses at the end", len(o.Dials.targets))
	}
}

// TestDialLimiterAtUnresponsiveHost checks that a dial without an answer fails all waiting ones as well.
func TestDialLimiterAtUnresponsiveHost(t *testing.T) {
	var c DialLimiter
	const address = "192.0.2.1:22"
	var leave []func(error)
	for range dialsPerTarget {
		out, err := c.acquire(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	told := make(chan error, 20)
	for range cap(told) {
		go func() {
			out, err := c.acquire(bounded(t), address)
			if err == nil {
				out(nil)
			}
			told <- err
		}()
	}
	why := fmt.Errorf("%w: nobody there", errDialTimeout)
	for c.targetUsers(address) < dialsPerTarget+cap(told) {
		runtime.Gosched()
	}
	for _, out := range leave[1:] { // still dialling
		defer out(nil)
	}
	leave[0](why)
	for range cap(told) {
		if err := <-told; err != why {
			t.Errorf("one who waited was told %v, expected %v", err, why)
		}
	}
}

func (l *DialLimiter) targetUsers(address string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets[address].users
}
