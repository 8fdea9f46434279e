package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session is a session channel of an SSH connection.
type session struct {
	m       *Machine
	user    string
	channel ssh.Channel
	conn    net.Conn
	from    netip.Addr // the client's address
	to      netip.Addr // the machine's, to which the client has connected
	pty     bool
	environ []string

	mu      sync.Mutex
	process *process
}

func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	var running sync.WaitGroup
	started := false
	for r := range requests {
		ok := false
		var run func() // run after the reply, which would be lost if the channel had already ended
		switch r.Type {
		case "pty-req":
			s.pty, ok = true, true
		case "env":
			var kv struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &kv) == nil && (kv.Name == "LANG" || strings.HasPrefix(kv.Name, "LC_")) {
				s.environ = append(s.environ, kv.Name+"="+kv.Value)
				ok = true
			}
		case "exec", "shell":
			var payload struct{ Command string }
			if r.Type == "exec" && ssh.Unmarshal(r.Payload, &payload) != nil || started {
				break
			}
			started, ok = true, true
			kind := r.Type
			run = func() { s.run(ctx, kind, payload.Command) }
		case "signal":
			var payload struct{ Name string }
			if ssh.Unmarshal(r.Payload, &payload) == nil {
				s.signal(payload.Name)
			}
		case "window-change":
			ok = true
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // if the connection is lost, the loop ends
		}
		if run != nil {
			running.Go(run)
		}
	}
	// The client is gone. As under sshd, running programs continue until they end or until the machine or its link goes
	// down.
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

// run runs what the session was opened for and reports its exit status.
func (s *session) run(ctx context.Context, kind, command string) {
	defer s.channel.Close()
	code := s.guarded(ctx, kind, command)
	if !s.m.On() {
		_ = s.conn.Close() // the machine went down during the session
		return
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)})) // the client may be gone
}

// guarded calls start. If that panics, only this session ends.
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
		_, _ = io.Copy(feed, s.channel) // ends with the channel, or when nobody reads from it any more
		_ = feed.Close()
	}()
	environ := append([]string{
		"USER=" + s.user, "LOGNAME=" + s.user, "HOME=" + u.home, "SHELL=" + u.shell, "PATH=" + sshPath(u),
		fmt.Sprintf("SSH_CONNECTION=%s 50000 %s 22", s.from, s.to), fmt.Sprintf("SSH_CLIENT=%s 50000 22", s.from),
	}, s.environ...)
	c := &Call{Machine: s.m, Dir: dir, User: s.user, Env: lookup(environ), environ: environ,
		Stdin: stdin, Stdout: s.channel, Stderr: s.channel.Stderr()}
	if kind == "shell" {
		return s.interactive(ctx, c)
	}
	c.Argv = []string{u.shell, "-c", command}
	return s.launch(ctx, c, nil)
}

// launch runs the call in a process that receives the session's signals.
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

// interactive runs a shell for a user: line by line and, on a terminal, with a prompt.
func (s *session) interactive(ctx context.Context, c *Call) int {
	prompt := ""
	if s.pty {
		motd := fmt.Sprintf("Linux %s %s x86_64\n\nThis node is simulated: everything on it is in memory only.\n", s.m.Name(), s.m.KernelRelease())
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

func sshPath(u account) string {
	if u.uid == 0 {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return "/usr/local/bin:/usr/bin:/bin:/usr/games"
}
