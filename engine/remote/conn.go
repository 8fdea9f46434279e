package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// conn is a Conn over any transport.
type conn struct {
	*session  // the login user's
	name      string
	address   string
	login     string
	transport transport
	ask       *prompter
	// askSudo says that sudo may ask for a password, which the user is then asked for.
	askSudo bool
	flights atomic.Int64
	// acting has a place for each acting shell.
	acting chan struct{}

	mu    sync.Mutex
	users map[string]*session
}

func newConn(t transport, name, address, login string) *conn {
	c := &conn{name: name, address: address, login: login, transport: t, users: map[string]*session{}, acting: make(chan struct{}, maxActing)}
	c.session = newSession(c, "")
	return c
}

// use takes what the options say of sudo.
func (c *conn) use(o Options) {
	c.ask, c.askSudo = &prompter{Secrets: o.Secrets, question: o.Ask}, o.AskSudoPassword
	if o.Secrets == nil {
		c.ask.Secrets = &Secrets{}
	}
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

// User is the login user.
func (c *conn) User() string { return c.login }

// Done is closed when the connection is lost or closed.
func (c *conn) Done() <-chan struct{} { return c.transport.done() }

// Close ends the connection and everything that waits for it.
func (c *conn) Close() error { return c.transport.close() }

// Stats counts what the connection has cost so far.
func (c *conn) Stats() Stats {
	s := c.transport.stats()
	s.Flights = int(c.flights.Load())
	return s
}

// gone is the error of a lost connection, nil if it stands. What failed on a connection may have failed a moment
// before that is known to be lost: the host is asked.
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

// session acts and asks as one user.
type session struct {
	conn *conn
	user string // empty for the login user
	read *lane
	act  *lane

	mu sync.Mutex
	// withPassword says that sudo asked for one.
	withPassword bool
}

func newSession(c *conn, user string) *session {
	return &session{conn: c, user: user, read: newLane(), act: newLane()}
}

// who is the user's name.
func (s *session) who() string {
	if s.user == "" {
		return s.conn.login
	}
	return s.user
}

// Ask sends all queries in one flight; those of other users fly at the same time.
func (s *session) Ask(ctx context.Context, queries []Query) ([]Answer, error) {
	type share struct {
		session *session
		queries []Query
		places  []int
		answers []Answer
		err     error
	}
	byUser := map[*session]*share{}
	var shares []*share
	for i, q := range queries {
		of := s
		if q.User != "" && q.User != s.who() {
			of = s.conn.as(q.User)
		}
		sh := byUser[of]
		if sh == nil {
			sh = &share{session: of}
			byUser[of] = sh
			shares = append(shares, sh)
		}
		sh.queries = append(sh.queries, q)
		sh.places = append(sh.places, i)
	}
	if len(shares) == 0 {
		return nil, nil
	}
	s.conn.flights.Add(1)
	var all sync.WaitGroup
	for _, sh := range shares {
		all.Go(func() { sh.answers, sh.err = sh.session.ask(ctx, sh.queries) })
	}
	all.Wait()
	answers := make([]Answer, len(queries))
	for _, sh := range shares {
		if sh.err != nil {
			return nil, sh.err
		}
		for i, place := range sh.places {
			answers[place] = sh.answers[i]
		}
	}
	return answers, nil
}

// ask sends the user's own queries.
func (s *session) ask(ctx context.Context, queries []Query) ([]Answer, error) {
	text, err := asked(queries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	return s.exchange(ctx, s.read, readingLoop, text, len(queries))
}

// exchange sends a frame to the lane's shell, which is started if there is none, and reads n
// answers. After an error the next exchange has a new shell.
func (s *session) exchange(ctx context.Context, l *lane, loop string, text []byte, n int) ([]Answer, error) {
	if err := l.enter(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	defer l.leave()
	if err := s.conn.transport.lost(); err != nil {
		return nil, s.conn.unreachable(err)
	}
	if !l.stands() {
		sh, prelude, err := s.shell(ctx, false, "", loop)
		if err != nil {
			return nil, err
		}
		l.shell = sh
		text = append(prelude, text...) // no waiting for the shell to say that it is there
	}
	answers, err := l.shell.exchange(ctx, text, n, nil)
	if err == nil {
		return answers, nil
	}
	sh := l.shell
	l.drop()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: the queries were given up: %w", s.conn.name, err)
	}
	return nil, s.explain(sh.spawned, err)
}

// shell starts a long-lived shell, and returns the frame that is to be its first: what it does before
// it says its first word, and the loop that it then runs. brief is as in transport.start.
func (s *session) shell(ctx context.Context, brief bool, before, loop string) (*shell, []byte, error) {
	p, err := s.spawn(ctx, brief)
	if err != nil {
		return nil, nil, err
	}
	sh := &shell{spawned: p, outFrames: newUnframer(p.nonce), errFrames: newUnframer(p.nonce)}
	return sh, frame([]byte(environment + "_hl_n=" + p.nonce + "\n" + before + marks + loop)), nil
}

// explain turns the error of a shell or command into what is to be told: that the connection is
// lost, that the user could not be become, or that the shell failed.
func (s *session) explain(p *spawned, err error) error {
	if lost := s.conn.gone(); lost != nil {
		return lost
	}
	switch {
	case p.overdue.Load():
		return fmt.Errorf("%s: the shell of user %s did not answer within %s", s.conn.name, s.who(), startLimit)
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
