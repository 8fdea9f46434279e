package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// conn implements Conn over any transport.
type conn struct {
	*session  // the login user's
	name      string
	address   string
	login     string
	transport transport
	ask       *prompter
	// askSudo is set if sudo may ask for a password. The user is then asked for it.
	askSudo bool
	flights atomic.Int64
	// acting limits the number of acting shells.
	acting chan struct{}
	// hand is the program of the acting shells' hands; without one, the shells do everything themselves.
	hand  string
	waits waits
	// perl and gzip are set once a reading shell has said that the host has these programs.
	perl, gzip atomic.Bool
	// packFrom is the constant distant.
	packFrom time.Duration
	// startLimit and silenceLimit are the constants of those names and Options.Slack.
	startLimit, silenceLimit time.Duration

	mu    sync.Mutex
	users map[string]*session
	// prepared is a process for the first acting shell, or nil. acted is set once there was one, or an acting shell was started without.
	prepared *prepared
	acted    bool
}

func newConn(t transport, name, address, login string) *conn {
	c := &conn{name: name, address: address, login: login, transport: t, users: map[string]*session{}, acting: make(chan struct{}, maxActing), hand: handProgram(), packFrom: distant, waits: usualWaits}
	c.session = newSession(c, "")
	if t, ok := t.(*sshTransport); ok {
		t.idle = c.dropIdle
	}
	return c
}

// sessions returns the sessions of all users.
func (c *conn) sessions() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Collect(maps.Values(c.users)), c.session)
}

// dropIdle closes the shells that are not in use, and reports whether there were any.
func (c *conn) dropIdle() (found bool) {
	for _, s := range c.sessions() {
		for _, l := range []*lane{s.read, s.act, s.watch} {
			if l.tryEnter() {
				found = found || l.shell != nil
				l.drop()
				l.leave()
			}
		}
	}
	if p := c.removePrepared(); p != nil {
		found = true
		go p.discard()
	}
	return found
}

// use applies the options about sudo.
func (c *conn) use(o Options) {
	c.ask, c.askSudo = &prompter{Secrets: o.Secrets, question: o.Ask, answers: o.answers()}, o.AskSudoPassword
	if o.Secrets == nil {
		c.ask.Secrets = &Secrets{}
	}
	c.startLimit, c.silenceLimit = startLimit+o.Slack, silenceLimit+o.Slack
}

// As returns the session of another user.
func (c *conn) As(user string) Session {
	if user == "" || user == c.login {
		return c
	}
	return c.as(user)
}

func (c *conn) as(user string) *session {
	if user == "" || user == c.login {
		return c.session
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.users[user]
	if !ok {
		s = newSession(c, user)
		c.users[user] = s
	}
	return s
}

// User returns the login user.
func (c *conn) User() string { return c.login }

// Done returns a channel that is closed when the connection is lost or closed.
func (c *conn) Done() <-chan struct{} { return c.transport.done() }

// Close ends the connection and everything that waits for it.
func (c *conn) Close() error {
	if c.transport.lost() == nil {
		for _, s := range c.sessions() {
			if s.act.tryEnter() {
				if s.act.stands() {
					s.act.shell.bye()
				}
				s.act.leave()
			}
		}
	}
	return c.transport.close()
}

// Stats returns the costs of the connection so far.
func (c *conn) Stats() Stats {
	s := c.transport.stats()
	s.Flights = int(c.flights.Load())
	s.Hand = c.hand != "" && c.perl.Load()
	return s
}

// gone returns the error of a lost connection, or nil if the connection is up. It probes the host, because an operation
// may fail just before the loss of its connection is noticed.
func (c *conn) gone() error {
	c.transport.probe()
	if err := c.transport.lost(); err != nil {
		return c.unreachable(err)
	}
	return nil
}

func (c *conn) unreachable(err error) error {
	var known *UnreachableError
	if errors.As(err, &known) {
		return known
	}
	return &UnreachableError{
		Host: c.name, Address: c.address, Err: err,
		Reason: "the connection was lost: " + err.Error(),
		Hint:   "check that the host is up and reachable, then run again",
	}
}

// session implements Session for one user.
type session struct {
	conn *conn
	user string // empty for the login user
	// The lanes have shells that read, act, and watch for changes.
	read, act, watch *lane
}

func newSession(c *conn, user string) *session {
	return &session{conn: c, user: user, read: newLane(), act: newLane(), watch: newLane()}
}

// who returns the user's name.
func (s *session) who() string {
	if s.user == "" {
		return s.conn.login
	}
	return s.user
}

// shell starts a long-lived shell and returns the beginning of its first script, up to and including the first word.
// before runs ahead of that word. script and brief are as in spawn.
func (s *session) shell(ctx context.Context, script string, brief bool, before string) (*shell, string, error) {
	p, err := s.spawn(ctx, script, brief)
	if err != nil {
		return nil, "", err
	}
	words := marks
	if script == sourced {
		words = firstWords
	}
	return newShell(p), opening(p.nonce, before, words), nil
}

func newShell(p *spawned) *shell {
	return &shell{spawned: p, outFrames: newUnframer(p.nonce), errFrames: newUnframer(p.nonce)}
}

// opening returns the beginning of a shell's first script: see session.shell.
func opening(nonce, before, words string) string {
	return environment + "_hl_n=" + nonce + "\n" + sweep + before + words
}

// explain turns an error of a shell or command into one for the user: the connection was lost, becoming the user
// failed, or the shell failed.
func (s *session) explain(p *spawned, err error) error {
	if lost := s.conn.gone(); lost != nil {
		return lost
	}
	switch {
	case p.overdue():
		return fmt.Errorf("%s: the shell of user %s did not answer within %s; does something in its .profile or .bashrc wait, or sudo?",
			s.conn.name, s.who(), s.conn.startLimit)
	case errors.Is(err, errSilent):
		return fmt.Errorf("%s: the shell of user %s has stopped answering; look on the host for what it waits for, such as a file system that hangs",
			s.conn.name, s.who())
	case errors.Is(err, errNoMark):
		if s.user != "" {
			return s.refused(p.complaint())
		}
		return fmt.Errorf("%s: the shell of user %s did not start: %s", s.conn.name, s.who(), orNothing(p.complaint()))
	case errors.Is(err, errShellEnded):
		return fmt.Errorf("%s: the shell of user %s ended while it answered; the next query starts another", s.conn.name, s.who())
	}
	return fmt.Errorf("%s: %w", s.conn.name, err)
}

func orNothing(s string) string {
	if s == "" {
		return "it printed nothing"
	}
	return s
}
