package machine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strings"
	"sync"

	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
)

// maxSessions is OpenSSH's MaxSessions: the limit of open sessions on a connection.
const maxSessions = 10

// server is the sshd of a machine.
type server struct {
	mu       sync.Mutex
	listener net.Listener
	// conns are the connections that have not ended. The value is false for those that were cut.
	conns  map[net.Conn]bool
	left   sync.Cond // signals the end of a connection; its lock is mu
	config sshdConfig
}

func newHostKey() ssh.Signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		var signer ssh.Signer
		if signer, err = ssh.NewSignerFromKey(private); err == nil {
			return signer
		}
	}
	panic(fmt.Sprintf("an ed25519 key cannot be made: %v", err)) // crypto/rand is documented never to fail
}

// HostKey returns the public key that identifies the machine over SSH.
func (m *Machine) HostKey() ssh.PublicKey { return m.signer().PublicKey() }

func (m *Machine) signer() ssh.Signer {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.hostKey
}

// Listen accepts SSH connections on address, usually "127.0.0.1:0", until ctx ends.
func (m *Machine) Listen(ctx context.Context, address string) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("machine %s cannot listen for SSH: %w", m.name, err)
	}
	m.server.mu.Lock()
	m.server.listener, m.server.conns = listener, map[net.Conn]bool{}
	m.server.left.L = &m.server.mu
	m.server.mu.Unlock()
	context.AfterFunc(ctx, func() {
		_ = listener.Close() // the listener is not used any more
		m.processes.killAll()
		m.server.drop()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if !m.connected() {
					_ = conn.Close() // nothing was sent
					return
				}
				m.serve(ctx, conn, m.controller(), m.addresses[0].Addr())
			}()
		}
	}()
	return listener.Addr(), nil
}

// AwaitClients waits until every SSH connection has ended, along with all processes in its sessions: a shell ends some
// time after its client is gone. If ctx ends first, the error lists what is still running on the machine.
func (m *Machine) AwaitClients(ctx context.Context) error {
	s := &m.server
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left.Broadcast()
	})
	defer stop()
	for len(s.conns) > 0 {
		if ctx.Err() != nil {
			var running []string
			for _, p := range m.processes.list() {
				running = append(running, fmt.Sprintf("%d %s", p.pid, strings.Join(p.argv, " ")))
			}
			return fmt.Errorf("%d SSH connections of %s have not ended; running: %s", len(s.conns), m.name, strings.Join(running, "; "))
		}
		s.left.Wait()
	}
	return nil
}

// drop closes all connections and ends the processes in their sessions.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		s.conns[conn] = false
		_ = conn.Close() // it is to be closed, whatever happens
	}
}

// serve is sshd's side of a connection that a client at address from has opened to one of the machine's addresses.
func (m *Machine) serve(ctx context.Context, accepted net.Conn, from, to netip.Addr) {
	conn := m.wire(accepted, to)
	defer conn.Close()
	if !m.Open(22) || !m.admits(from, 22) {
		return
	}
	m.server.mu.Lock()
	m.server.conns[conn] = true
	m.server.mu.Unlock()
	defer func() {
		m.server.mu.Lock()
		delete(m.server.conns, conn)
		m.server.left.Broadcast()
		m.server.mu.Unlock()
	}()
	if !m.On() { // the machine went down before the connection was registered
		return
	}
	config := &ssh.ServerConfig{
		ServerVersion:     "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7",
		MaxAuthTries:      6,
		PublicKeyCallback: m.authorize,
	}
	config.AddHostKey(m.signer())
	client, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	inSessions, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for r := range requests {
			if r.WantReply {
				_ = r.Reply(false, nil) // keepalive@openssh.com accepts any reply
			}
		}
	}()
	var open sync.WaitGroup
	slots, forwards := make(chan struct{}, maxSessions), make(chan struct{}, maxForwards)
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
		case "direct-tcpip":
			select {
			case forwards <- struct{}{}:
				open.Go(func() {
					defer func() { <-forwards }()
					m.forward(ctx, nc)
				})
			default:
				_ = nc.Reject(ssh.ResourceShortage, "open failed")
			}
			continue
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "unsupported channel type")
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = nc.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		channel, requests, err := nc.Accept()
		if err != nil {
			<-slots
			continue
		}
		s := &session{m: m, user: client.User(), channel: channel, conn: conn, from: from, to: to}
		open.Go(func() {
			defer func() { <-slots }()
			s.serve(inSessions, requests)
		})
	}
	m.server.mu.Lock()
	cut := !m.server.conns[conn]
	m.server.mu.Unlock()
	if cut {
		cancel()
	}
	open.Wait()
}

// errDenied says no more than sshd does.
var errDenied = errors.New("permission denied")

// authorize looks up the key where sshd does, at the time of the login.
func (m *Machine) authorize(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	m.server.mu.Lock()
	config := m.server.config
	m.server.mu.Unlock()
	if m.faults.refuses() || !config.admits(meta.User()) || !m.authorized(meta.User(), key) {
		return nil, errDenied
	}
	return nil, nil
}

func (m *Machine) authorized(user string, key ssh.PublicKey) bool {
	u, ok := m.account(user)
	if !ok || strings.HasSuffix(u.shell, "/nologin") || strings.HasSuffix(u.shell, "/false") {
		return false
	}
	root := view{m: m}
	for _, name := range []string{"authorized_keys", "authorized_keys2"} {
		file := path.Join(u.home, ".ssh", name)
		info, err := root.Stat(file)
		if err != nil || info.Mode().Perm()&0o022 != 0 { // StrictModes
			continue
		}
		content, err := afero.ReadFile(root, file)
		if err != nil {
			continue
		}
		for len(content) > 0 {
			authorized, _, _, rest, err := ssh.ParseAuthorizedKey(content)
			if err != nil {
				break
			}
			if bytes.Equal(authorized.Marshal(), key.Marshal()) {
				return true
			}
			content = rest
		}
	}
	return false
}

// ChangeHostKey gives the machine a new host key, as a reinstallation does.
func (m *Machine) ChangeHostKey() {
	key := newHostKey()
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	m.hostKey = key
}
