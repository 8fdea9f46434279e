package remote

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"
)

// spare is a session that an SSH connection opens before there is anything to run in it: see Conn.Spare.
type spare struct {
	mu sync.Mutex
	// open opens the session, the first time that it is called. It is nil if none is wanted.
	open func()
	// opened is nil if there is no session. Otherwise it receives it, or is closed if the host has refused it.
	opened <-chan *sshProcess
}

// Spare asks for a spare session. On the controller, where a process costs no round trip, it does nothing.
func (c *conn) Spare() {
	if t, ok := c.transport.(*sshTransport); ok {
		t.spare.mu.Lock()
		defer t.spare.mu.Unlock()
		t.spare.open = sync.OnceFunc(t.openSpare)
	}
}

// wanted returns the function that opens the session, or nil if none is wanted.
func (s *spare) wanted() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// openSpare opens the spare session, without waiting for it. A host that refuses it is not asked again.
func (t *sshTransport) openSpare() {
	opened := make(chan *sshProcess, 1)
	t.spare.mu.Lock()
	t.spare.opened = opened
	t.spare.mu.Unlock()
	go func() {
		defer close(opened)
		if ch, requests, err := t.openChannel(context.Background()); err == nil {
			opened <- newSSHProcess(ch, requests, t.count)
		}
	}()
}

// take returns the spare session, or nil if there is none, or none any more.
func (s *spare) take(ctx context.Context) *sshProcess {
	opened := s.remove()
	if opened == nil {
		return nil
	}
	select {
	case p := <-opened:
		if p == nil || p.ended() {
			return nil
		}
		return p
	case <-ctx.Done():
		go discard(opened)
		return nil
	}
}

// drop closes the spare session, which makes room for another one.
func (s *spare) drop() {
	if opened := s.remove(); opened != nil {
		go discard(opened)
	}
}

func (s *spare) remove() <-chan *sshProcess {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened := s.opened
	s.opened = nil
	return opened
}

func discard(opened <-chan *sshProcess) {
	if p := <-opened; p != nil {
		_ = p.ch.Close()
	}
}

// ended reports whether the process has ended, or the host has closed its session.
func (p *sshProcess) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// errNoSpare reports that there is no spare session, or no place for what would run in it.
var errNoSpare = errors.New("there is no spare session")

// startInSpare starts a command line in the spare session and returns when the host has started it. It occupies a place, as what start
// starts if that is brief.
func (t *sshTransport) startInSpare(line string) (*sshProcess, error) {
	select {
	case t.places <- struct{}{}:
	default:
		return nil, errNoSpare
	}
	release := sync.OnceFunc(func() { <-t.places })
	p := t.spare.take(context.Background())
	if p == nil {
		release()
		return nil, errNoSpare
	}
	t.occupy(p, release)
	// Nobody waits for the reply yet: see takePrepared.
	if started, err := p.ch.SendRequest("exec", true, execRequest(line)); err != nil || !started {
		p.Close()
		return nil, errNoSpare
	}
	return p, nil
}

// occupy counts a session as open until it is released.
func (t *sshTransport) occupy(p *sshProcess, release func()) {
	t.open.Add(1)
	p.release = sync.OnceFunc(func() {
		t.open.Add(-1)
		release()
	})
}

// exec has the login shell run a line. It does not wait for the reply: the first words of the started process say more.
func (p *sshProcess) exec(line string) error {
	defer p.count.asks()()
	_, err := p.ch.SendRequest("exec", false, execRequest(line))
	if err != nil {
		p.Close()
	}
	return err
}

func execRequest(line string) []byte { return ssh.Marshal(struct{ Line string }{line}) }

// prepared is a process for the first acting shell of a connection, started before there was anything for it to do.
type prepared struct {
	of *session
	// started receives the process, or is closed if it was not started.
	started chan *sshProcess
}

// Prepare starts the process of an acting shell in the spare session.
func (s *session) Prepare() {
	c := s.conn
	t, ok := c.transport.(*sshTransport)
	if !ok {
		return
	}
	line, prompt, _, err := s.line(boot)
	if err != nil || prompt != "" { // the first command learns why, or asks
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acted {
		return
	}
	p := &prepared{of: s, started: make(chan *sshProcess, 1)}
	c.acted, c.prepared = true, p
	go func() {
		defer close(p.started)
		if process, err := t.startInSpare(line); err == nil {
			p.started <- process
		}
	}()
}

// takePrepared returns the process that was prepared for the session, or nil if there is none. If another session is the
// first to act, the process is ended: it would not have what the other one changes, such as the groups of its user.
func (s *session) takePrepared(ctx context.Context) process {
	p := s.conn.removePrepared()
	if p == nil {
		return nil
	}
	if p.of == s {
		process, ok := p.wait(ctx, s.conn.transport.(*sshTransport).count)
		switch {
		case !ok:
		case process == nil:
			return nil
		case process.ended():
			process.Close()
			return nil
		default:
			return process
		}
	}
	go p.discard()
	return nil
}

// removePrepared returns what was prepared, or nil. Nothing is prepared afterwards.
func (c *conn) removePrepared() *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.prepared
	c.acted, c.prepared = true, nil
	return p
}

// wait returns the process once the host has started it, or nil if it has not. ok is false if ctx ended before. It counts as a round trip
// only if the host has not started it yet.
func (p *prepared) wait(ctx context.Context, count *countingConn) (process *sshProcess, ok bool) {
	select {
	case process = <-p.started:
		return process, true
	default:
	}
	defer count.awaits()()
	select {
	case process = <-p.started:
		return process, true
	case <-ctx.Done():
		return nil, false
	}
}

func (p *prepared) discard() {
	if process := <-p.started; process != nil {
		process.Close()
	}
}
