package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// server is an SSH server in this process that really runs the commands that it is given.
type server struct {
	t        *testing.T
	listener net.Listener
	hostKey  ssh.Signer
	config   *ssh.ServerConfig
	// env is the environment of sessions.
	env []string
	// run runs a command line with a session's streams and returns its exit code.
	run func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int
	// refuse is how many more sessions to refuse.
	refuse atomic.Int64
	// refuses is the number of the command line, counted from 1, that is not started.
	refuses int
	// acceptsNone makes the server accept no environment variables, as sshd does without AcceptEnv.
	acceptsNone bool
	// silent makes the server answer no request for a tunnel.
	silent bool
	// breaks makes the connection break when a session is opened.
	breaks bool

	sessions, open, mostOpen atomic.Int64

	mu      sync.Mutex
	conns   []net.Conn
	lines   []string
	forward []string // the requested direct-tcpip addresses
}

// newServer starts a server that accepts a key, on a free port on the loopback interface.
func newServer(t *testing.T, key credentials, configure ...func(*server)) *server {
	t.Helper()
	s := &server{t: t, hostKey: newSigner(t), run: runSh, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
	s.config = &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7",
		PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			if key.public != nil && string(offered.Marshal()) == string(key.public.Marshal()) {
				return nil, nil
			}
			return nil, fmt.Errorf("not this key")
		},
	}
	s.config.AddHostKey(s.hostKey)
	for _, fn := range configure {
		fn(s)
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	t.Cleanup(func() {
		s.listener.Close()
		s.cut()
	})
	return s
}

// cut breaks all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// knownHosts writes a known_hosts file with the server's key.
func (s *server) knownHosts() string {
	return writeKnownHosts(s.t, s.port(), s.hostKey.PublicKey())
}

func writeKnownHosts(t *testing.T, port int, key ssh.PublicKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	line := fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(key))
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// target returns the Target for logging in to the server with a key.
func (s *server) target(user string, key credentials) Target {
	t := Target{Name: "node", Address: "127.0.0.1", Port: s.port(), User: user, KnownHosts: s.knownHosts()}
	if key.path != "" {
		t.Keys = []string{key.path}
	}
	return t
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		switch {
		case c.ChannelType() == "direct-tcpip" && s.silent:
		case c.ChannelType() == "direct-tcpip":
			go s.relay(c)
		case c.ChannelType() != "session":
			_ = c.Reject(ssh.UnknownChannelType, "no")
		case s.breaks:
			return
		case s.refuse.Add(-1) >= 0:
			_ = c.Reject(ssh.ConnectionFailed, "open failed")
		default:
			ch, requests, err := c.Accept()
			if err != nil {
				return
			}
			s.sessions.Add(1)
			for now := s.open.Add(1); ; {
				most := s.mostOpen.Load()
				if now <= most || s.mostOpen.CompareAndSwap(most, now) {
					break
				}
			}
			go s.session(ch, requests)
		}
	}
}

func (s *server) relay(c ssh.NewChannel) {
	var m struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &m); err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	address := net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))
	s.mu.Lock()
	s.forward = append(s.forward, address)
	s.mu.Unlock()
	to, err := net.Dial("tcp", address)
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, requests, err := c.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	go func() {
		_, _ = io.Copy(to, ch)
		to.Close()
	}()
	_, _ = io.Copy(ch, to)
	ch.Close()
}

func (s *server) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer s.open.Add(-1)
	defer ch.Close()
	ran := make(chan struct{})
	started, env := false, slices.Clone(s.env)
	for {
		select {
		case <-ran:
			return
		case r, ok := <-requests:
			if !ok {
				return
			}
			var m struct{ What string }
			var variable struct{ Name, Value string }
			switch {
			case r.Type == "env" && !s.acceptsNone && ssh.Unmarshal(r.Payload, &variable) == nil:
				env = append(env, variable.Name+"="+variable.Value)
				_ = r.Reply(true, nil)
			case r.Type == "exec" && !started && ssh.Unmarshal(r.Payload, &m) == nil:
				s.mu.Lock()
				s.lines = append(s.lines, m.What)
				refused := len(s.lines) == s.refuses
				s.mu.Unlock()
				if refused {
					_ = r.Reply(false, nil)
					continue
				}
				started = true
				go func() {
					defer close(ran)
					exit := s.run(m.What, env, ch, ch, ch.Stderr())
					_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{uint32(exit)}))
				}()
				_ = r.Reply(true, nil)
			default:
				_ = r.Reply(false, nil)
			}
		}
	}
}

// seen returns the command lines that the server was given.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// plain returns options that do not depend on the user who runs the tests.
func plain() Options {
	return Options{SSHConfig: None, Agent: None}
}

// mustDial connects, and closes the connection at the end of the test.
func mustDial(t *testing.T, target Target, o Options) *conn {
	t.Helper()
	c, err := Dial(bounded(t), target, o)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return patient(c)
}

// local returns a connection to this machine.
func local() *conn { return patient(Local("controller")) }

// patient gives a connection the time that a busy machine may need to end a command.
func patient(c Conn) *conn {
	c.(*conn).waits = waits{interrupt: time.Hour, end: time.Hour}
	return c.(*conn)
}

// bounded returns a context that outlives the test's other cleanups. If a test hangs, go test's timeout shows where.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}
