package machine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/pkg/sftp"
	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
)

// maxSessions is OpenSSH's MaxSessions: sessions open at a time on one connection.
const maxSessions = 10

// server is a machine's sshd.
type server struct {
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	logins   int
}

func newHostKey() ssh.Signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		var signer ssh.Signer
		if signer, err = ssh.NewSignerFromKey(private); err == nil {
			return signer
		}
	}
	panic(fmt.Sprintf("an ed25519 key cannot be made: %v", err)) // crypto/rand never fails, by its documentation
}

// HostKey is the public key that the machine identifies itself by over SSH.
func (m *Machine) HostKey() ssh.PublicKey { return m.signer().PublicKey() }

func (m *Machine) signer() ssh.Signer {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.hostKey
}

// Listen starts to accept SSH connections on address, usually "127.0.0.1:0", until ctx ends.
func (m *Machine) Listen(ctx context.Context, address string) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("machine %s cannot listen for SSH: %w", m.name, err)
	}
	m.server.mu.Lock()
	m.server.listener, m.server.conns = listener, map[net.Conn]struct{}{}
	m.server.mu.Unlock()
	context.AfterFunc(ctx, func() {
		_ = listener.Close() // nothing is lost with a listener
		m.processes.killAll()
		m.server.drop()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.serve(ctx, conn)
		}
	}()
	return listener.Addr(), nil
}

// Logins counts the SSH logins so far.
func (m *Machine) Logins() int {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.server.logins
}

// drop closes all connections.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close() // it is to be lost
	}
}

func (m *Machine) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	if !m.On() || !m.units.Active("ssh") {
		return
	}
	m.server.mu.Lock()
	m.server.conns[conn] = struct{}{}
	m.server.mu.Unlock()
	defer func() {
		m.server.mu.Lock()
		delete(m.server.conns, conn)
		m.server.mu.Unlock()
	}()
	if !m.On() { // it went down before the connection was counted
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
	m.server.mu.Lock()
	m.server.logins++
	m.server.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for r := range requests {
			if r.WantReply {
				_ = r.Reply(false, nil) // keepalive@openssh.com wants any answer
			}
		}
	}()
	var open sync.WaitGroup
	slots := make(chan struct{}, maxSessions)
	for nc := range channels {
		if nc.ChannelType() != "session" {
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
		s := &session{m: m, user: client.User(), channel: channel, conn: conn}
		open.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, requests)
		})
	}
	cancel()
	open.Wait()
}

// errDenied is deliberately as silent as sshd.
var errDenied = errors.New("permission denied")

// authorize looks the key up where sshd does, at the moment of the login.
func (m *Machine) authorize(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if m.faults.refuses() || !m.authorized(meta.User(), key) {
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

// session is one session channel.
type session struct {
	m       *Machine
	user    string
	channel ssh.Channel
	conn    net.Conn
	pty     bool
	environ []string

	mu      sync.Mutex
	process *process
}

func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	started := false
	for r := range requests {
		ok := false
		var run func() // what the request starts, once it is answered: an answer behind the channel's end would be lost
		switch r.Type {
		case "pty-req":
			s.pty, ok = true, true
		case "env":
			var kv struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &kv) == nil && (kv.Name == "LANG" || strings.HasPrefix(kv.Name, "LC_")) {
				s.environ = append(s.environ, kv.Name+"="+kv.Value)
				ok = true
			}
		case "exec", "shell", "subsystem":
			var payload struct{ Value string }
			if r.Type != "shell" && ssh.Unmarshal(r.Payload, &payload) != nil || started {
				break
			}
			if r.Type == "subsystem" && payload.Value != "sftp" {
				break
			}
			started, ok = true, true
			kind := r.Type
			run = func() { s.run(ctx, kind, payload.Value) }
		case "signal":
			var payload struct{ Name string }
			if ssh.Unmarshal(r.Payload, &payload) == nil {
				s.signal(payload.Name)
			}
		case "window-change":
			ok = true
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // a lost connection ends the loop
		}
		if run != nil {
			running.Go(run)
		}
	}
	cancel()
	running.Wait()
}

func (s *session) signal(name string) {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if number, ok := signalNames[name]; ok && p != nil {
		s.m.processes.group(p.pid, number)
	}
}

// run runs what the session was opened for and reports how it ended.
func (s *session) run(ctx context.Context, kind, command string) {
	defer s.channel.Close()
	if s.m.faults.command() {
		_ = s.conn.Close() // the fault that was asked for
		return
	}
	code := s.guarded(ctx, kind, command)
	if !s.m.On() {
		_ = s.conn.Close() // the machine went down under the session
		return
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)})) // a lost client needs no status
}

// guarded is start, whose panic ends the session and nothing else.
func (s *session) guarded(ctx context.Context, kind, command string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			Defect(s.m.Name(), "a session of "+s.user, p)
			code = 255
		}
	}()
	return s.start(ctx, kind, command)
}

func (s *session) start(ctx context.Context, kind, command string) int {
	u, ok := s.m.account(s.user)
	if !ok {
		return 255
	}
	dir := u.home
	if info, err := s.m.FS().Stat(dir); err != nil || !info.IsDir() {
		dir = "/"
	}
	stdin, feed, err := os.Pipe()
	if err != nil {
		fmt.Fprintf(s.channel.Stderr(), "the lab is out of pipes: %v\n", err)
		return 255
	}
	defer stdin.Close()
	go func() {
		_, _ = io.Copy(feed, s.channel) // ends with the channel, or when nobody reads any more
		_ = feed.Close()
	}()
	environ := append([]string{
		"USER=" + s.user, "LOGNAME=" + s.user, "HOME=" + u.home, "SHELL=" + u.shell, "PATH=" + sshPath(u),
		"SSH_CONNECTION=127.0.0.1 0 127.0.0.1 22", "SSH_CLIENT=127.0.0.1 0 22",
	}, s.environ...)
	c := &Call{Machine: s.m, Dir: dir, User: s.user, Env: lookup(environ), environ: environ,
		Stdin: stdin, Stdout: s.channel, Stderr: s.channel.Stderr()}
	switch {
	case kind == "subsystem":
		c.Argv = []string{"sftp"}
		return s.m.sftp(ctx, c, pipes{stdin, s.channel})
	case kind == "exec":
		c.Argv = []string{u.shell, "-c", command}
	default:
		return s.interactive(ctx, c)
	}
	return s.launch(ctx, c, nil)
}

// pipes are a session's streams for the SFTP server; closing them ends its reading.
type pipes struct {
	*os.File
	out io.Writer
}

func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

func sshPath(u account) string {
	if u.uid == 0 {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return "/usr/local/bin:/usr/bin:/bin:/usr/games"
}

// launch runs the call with a process that signals of the session go to.
func (s *session) launch(ctx context.Context, c *Call, run Program) int {
	ctx, p := s.m.processes.start(ctx, s.m, nil, c.User, []string{"sshd: " + c.User})
	defer s.m.processes.finish(p)
	p.traps = map[string]bool{"INT": true, "TERM": true, "HUP": true}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	c.process, c.ctx = p, ctx
	if run != nil {
		return run(ctx, c)
	}
	return s.m.exec(ctx, c)
}

// interactive is a shell for a person: line by line, with a prompt if there is a terminal.
func (s *session) interactive(ctx context.Context, c *Call) int {
	prompt := ""
	if s.pty {
		motd := fmt.Sprintf("Linux %s %s x86_64\n\nA simulated machine of the lab: what happens here happens in memory.\n", s.m.Name(), s.m.KernelRelease())
		c.Stdout, c.Stderr = newlines{c.Stdout}, newlines{c.Stderr}
		fmt.Fprint(c.Stdout, motd)
		prompt = fmt.Sprintf("%s@%s:~%s ", s.user, s.m.Name(), map[bool]string{true: "#", false: "$"}[s.user == "root"])
		echo, feed, err := os.Pipe()
		if err != nil {
			return c.Errorf("%v", err)
		}
		defer echo.Close()
		tty := &terminal{in: c.Stdin, out: c.Stdout, feed: feed}
		go tty.run()
		c.Stdin = echo
	}
	c.Argv = []string{"bash"}
	return s.launch(ctx, c, func(ctx context.Context, c *Call) int {
		sh := &shell{c: c, name: "bash"}
		return sh.runInput(ctx, nil, prompt)
	})
}

// newlines is a terminal's output processing: a line feed also returns the carriage.
type newlines struct{ w io.Writer }

func (n newlines) Write(p []byte) (int, error) {
	if _, err := n.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// terminal is a terminal's line editing: echo, erase, end of file.
type terminal struct {
	in   io.Reader
	out  io.Writer
	feed *os.File
	line []byte
}

func (t *terminal) run() {
	defer t.feed.Close()
	buf := make([]byte, 256)
	for {
		n, err := t.in.Read(buf)
		for _, b := range buf[:n] {
			switch b {
			case '\r', '\n':
				fmt.Fprint(t.out, "\n")
				if _, err := t.feed.Write(append(t.line, '\n')); err != nil {
					return
				}
				t.line = t.line[:0]
			case 0x7f, 0x08:
				if len(t.line) > 0 {
					t.line = t.line[:len(t.line)-1]
					fmt.Fprint(t.out, "\b \b")
				}
			case 0x03:
				t.line = t.line[:0]
				fmt.Fprint(t.out, "^C\n")
			case 0x04:
				if len(t.line) == 0 {
					return
				}
			default:
				t.line = append(t.line, b)
				_, _ = t.out.Write([]byte{b}) // a lost terminal ends with its input
			}
		}
		if err != nil {
			return
		}
	}
}

// sftp serves the machine's files as the user sees them.
func (m *Machine) sftp(ctx context.Context, c *Call, channel io.ReadWriteCloser) int {
	u, _ := m.account(c.User)
	files := &sftpFiles{v: view{m: m, cred: m.credentials(c.User), by: "sftp"}}
	server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: files, FilePut: files, FileCmd: files, FileList: files},
		sftp.WithStartDirectory(u.home))
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return 255
	}
	return 0
}
