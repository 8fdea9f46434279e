package remote

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hlplay/engine/sshconfig"
)

// proxyCommand is a ProxyCommand: its standard streams are the connection to a host.
type proxyCommand struct {
	sshconfig.Place
	line string
}

// newProxyCommand expands the tokens in a command. Their values must be plain names, because the user's shell will
// parse them.
func newProxyCommand(s sshconfig.Setting, e *endpoint, tokens map[byte]string) (*proxyCommand, error) {
	known := map[byte]string{}
	for _, token := range []byte("hknpr") {
		known[token] = tokens[token]
		// ssh rejects such hosts and users as well.
		if text := tokens[token]; strings.HasPrefix(text, "-") || strings.ContainsAny(text, "'`\"$\\;&<>|(){}\n\r\t ") {
			return nil, s.Errorf("ProxyCommand: %q has a character that a shell would obey; correct the name of %s", text, e.name)
		}
	}
	line, err := s.Expand(s.Text, known)
	if err != nil {
		return nil, err
	}
	return &proxyCommand{s.Place, line}, nil
}

// proxied is a connection through the streams of a process.
type proxied struct {
	in, out *os.File
	cmd     *exec.Cmd
	said    *tail
	address string
	once    sync.Once
	ended   chan struct{}
	endErr  error // valid once ended is closed
	// patient is set while the process may still print something after its streams were closed.
	patient atomic.Bool
}

// start runs the command with the user's shell, as ssh does.
func (p *proxyCommand) start(address string) (*proxied, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, err
	}
	c := &proxied{in: in, out: out, said: &tail{}, address: address, ended: make(chan struct{})}
	c.patient.Store(true)
	c.cmd = exec.Command(shell, "-c", "exec "+p.line)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, c.said
	c.cmd.WaitDelay = proxyGrace // in case another process keeps its standard error open
	err = c.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go func() {
		c.endErr = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// proxyGrace is the time that a proxy has to exit after its streams have ended, and again before it is killed.
const proxyGrace = time.Second

func (c *proxied) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *proxied) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close closes the streams and ends the process, without waiting for it.
func (c *proxied) Close() error {
	c.once.Do(func() {
		c.in.Close()
		c.out.Close()
		if !c.patient.Load() {
			c.hangUp()
		}
		go func() {
			for _, end := range []os.Signal{syscall.SIGHUP, syscall.SIGKILL} {
				select {
				case <-c.ended:
					return
				case <-time.After(proxyGrace):
					_ = c.cmd.Process.Signal(end)
				}
			}
		}()
	})
	return nil
}

// hangUp sends SIGHUP to the process, as ssh does. The process may have ended.
func (c *proxied) hangUp() { _ = c.cmd.Process.Signal(syscall.SIGHUP) }

// complaint says how the process ended and what it printed. It is empty while the process is running.
func (c *proxied) complaint() string {
	select {
	case <-c.ended:
	case <-time.After(proxyGrace): // its end follows that of its streams
		return lastLines(c.said.bytes(), 3)
	}
	text := "it ended"
	if c.endErr != nil {
		text += " with " + c.endErr.Error()
	}
	if said := lastLines(c.said.bytes(), 3); said != "" {
		text += ": " + said
	}
	return text
}

func (c *proxied) LocalAddr() net.Addr  { return proxyAddress("proxy") }
func (c *proxied) RemoteAddr() net.Addr { return proxyAddress(c.address) }
func (c *proxied) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetDeadline(t), c.out.SetDeadline(t))
}
func (c *proxied) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *proxied) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// proxyAddress is an address that only a proxy can reach.
type proxyAddress string

func (a proxyAddress) Network() string { return "proxy" }
func (a proxyAddress) String() string  { return string(a) }

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const longestTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - longestTail; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.kept)
}

// proxyFailed reports that a proxy did not connect.
func (e *endpoint) proxyFailed(err error, complaint string) error {
	if complaint == "" {
		complaint = err.Error()
	}
	return e.unreachable(fmt.Sprintf("its ProxyCommand at %s brought no connection: %s", e.proxy.Place, complaint),
		"try it by hand: "+e.proxy.line, err)
}
