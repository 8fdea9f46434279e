package remote

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// server is an SSH server in this process that really runs what it is told to.
type server struct {
	t        *testing.T
	listener net.Listener
	hostKey  ssh.Signer
	config   *ssh.ServerConfig
	// env is the environment of sessions.
	env []string
	// run runs a command line with a session's streams and returns its exit code.
	run func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int
	// refuse is how many sessions are still to be refused.
	refuse atomic.Int64
	// breaks says that the connection breaks when a session is asked for.
	breaks bool

	sessions, open, mostOpen atomic.Int64

	mu      sync.Mutex
	conns   []net.Conn
	lines   []string
	forward []string // what direct-tcpip was asked for
}

// credentials are a client's key, as a file and as the line that admits it.
type credentials struct {
	path   string
	public ssh.PublicKey
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newKey writes a private key, encrypted if passphrase is not empty.
func newKey(t *testing.T, name, passphrase string) credentials {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return writeKey(t, name, passphrase, private)
}

func newRSAKey(t *testing.T, name, passphrase string) credentials {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return writeKey(t, name, passphrase, private)
}

func writeKey(t *testing.T, name, passphrase string, private any) credentials {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if passphrase != "" { // by OpenSSH itself, with one round of key derivation instead of 24: opening it is cheap
		if out, err := exec.Command("ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	return credentials{path, signer.PublicKey()}
}

// newServer starts a server that admits a key, on a free port of the loopback.
func newServer(t *testing.T, key credentials, configure ...func(*server)) *server {
	t.Helper()
	s := &server{t: t, hostKey: newSigner(t), run: runSh, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
	s.config = &ssh.ServerConfig{
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

// target is how the server is reached by a user with a key.
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
	started := false
	for {
		select {
		case <-ran:
			return
		case r, ok := <-requests:
			if !ok {
				return
			}
			var m struct{ What string }
			switch {
			case r.Type == "exec" && !started && ssh.Unmarshal(r.Payload, &m) == nil:
				started = true
				s.mu.Lock()
				s.lines = append(s.lines, m.What)
				s.mu.Unlock()
				go func() {
					defer close(ran)
					exit := s.run(m.What, s.env, ch, ch, ch.Stderr())
					_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{uint32(exit)}))
				}()
				_ = r.Reply(true, nil)
			default:
				_ = r.Reply(false, nil)
			}
		}
	}
}

// seen are the command lines that the server was given.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// runSh runs a line as sshd does, with sh for the login shell.
func runSh(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 255
	}
	if err := cmd.Start(); err != nil {
		return 255
	}
	go func() {
		_, _ = io.Copy(in, stdin)
		in.Close()
	}()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 255
}

// runInterp runs a line with the shell interpreter that simulated hosts have, which starts itself
// for sh and real programs for the rest.
func runInterp(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	r, w, err := os.Pipe() // a file, so that programs do not read further than they need
	if err != nil {
		return 255
	}
	defer r.Close()
	go func() {
		_, _ = io.Copy(w, stdin)
		w.Close()
	}()
	return interpret(context.Background(), line, nil, expand.ListEnviron(env...), "/", r, stdout, stderr)
}

// interpret runs a script, or what comes on the standard input if there is none.
func interpret(ctx context.Context, script string, params []string, env expand.Environ, dir string, stdin io.Reader, stdout, stderr io.Writer) int {
	sh := func(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			for args[0] == "timeout" && len(args) > 4 { // timeout [-v] -k 2 N program
				if args[1] == "-v" {
					args = args[1:]
				}
				args = args[4:]
			}
			if args[0] != "sh" || len(args) == 2 || len(args) > 2 && args[1] != "-c" {
				return next(ctx, args)
			}
			h := interp.HandlerCtx(ctx)
			args = append(args, "", "")
			if exit := interpret(ctx, args[2], args[min(4, len(args)-2):len(args)-2], h.Env, h.Dir, h.Stdin, h.Stdout, h.Stderr); exit != 0 {
				return interp.ExitStatus(exit)
			}
			return nil
		}
	}
	call := func(_ context.Context, args []string) ([]string, error) {
		if args[0] == "cd" && len(args) == 4 { // cd -P -- DIR, whose options the interpreter does not know
			return []string{"cd", args[3]}, nil
		}
		return args, nil
	}
	runner, err := interp.New(interp.Env(env), interp.Dir(dir), interp.StdIO(stdin, stdout, stderr),
		interp.CallHandler(call), interp.ExecHandlers(sh), interp.Params(append([]string{"--"}, params...)...))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 255
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	input := stdin
	if script != "" {
		input = strings.NewReader(script + "\n")
	}
	for commands, bad := range parser.InteractiveSeq(input) {
		if bad != nil {
			fmt.Fprintln(stderr, bad)
			return 2
		}
		if parser.Incomplete() {
			continue
		}
		for _, command := range commands {
			if err = runner.Run(ctx, command); runner.Exited() {
				break
			}
		}
		if runner.Exited() {
			break
		}
	}
	if err == nil {
		return 0
	}
	if status, ok := err.(interp.ExitStatus); ok {
		return int(status)
	}
	fmt.Fprintln(stderr, err)
	return 255
}

// plain are options that depend on nothing of who runs the tests.
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

// local is a connection to this machine.
func local() *conn { return patient(Local("controller")) }

// patient gives a connection the time that a busy machine may need to end a command.
func patient(c Conn) *conn {
	c.(*conn).waits = waits{interrupt: time.Hour, end: time.Hour}
	return c.(*conn)
}

// bounded is a context that outlives the test's other cleanups. Of a test that hangs, the limit of go test
// shows where.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

// openSSH serves each connection with a real sshd, started as inetd would.
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
		// What the unit's RuntimeDirectory= makes where sshd runs as a service.
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

// everywhere runs a test over every kind of connection.
func everywhere(t *testing.T, test func(t *testing.T, c *conn)) {
	t.Run("sh", func(t *testing.T) {
		key := newKey(t, "id", "")
		test(t, mustDial(t, newServer(t, key).target("root", key), plain()))
	})
	t.Run("bash", func(t *testing.T) { // as sh, which administrators and other distributions have
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
		test(t, mustDial(t, newOpenSSH(t, key).target(t, key), plain()))
	})
	t.Run("local", func(t *testing.T) {
		c := local()
		t.Cleanup(func() { c.Close() })
		test(t, c)
	})
}
