package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// connection connects to a host when it is first needed, and again after a reboot or when the connection was lost
// during a long command.
type connection struct {
	host    *inventory.Host
	connect func(context.Context, *inventory.Host) (remote.Conn, error)
	// reader is the user who reads; empty means the login user.
	reader string
	// busy is called with a description of what the run waits for, and with an empty text afterwards. It may be nil.
	busy func(what string)
	// acts is set if the run may change the host.
	acts bool

	mu     sync.Mutex
	conn   remote.Conn
	moved  string       // the current address; empty means the inventory's
	failed error        // why there is no connection; final
	spent  remote.Stats // by closed connections
}

func newConnection(h *inventory.Host, connect func(context.Context, *inventory.Host) (remote.Conn, error), reader string) *connection {
	return &connection{host: h, connect: connect, reader: reader}
}

// open returns the connection. The first failure is final: the host has left the run, and later callers get the same
// error at once.
func (c *connection) open(ctx context.Context) (remote.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return nil, c.failed
	}
	if c.conn != nil {
		select {
		case <-c.conn.Done():
			c.failed = &remote.UnreachableError{
				Host: c.host.Name, Address: c.host.Address,
				Reason: "the connection was lost",
				Hint:   "check that the host is up, then run again: steps that are done are not repeated",
			}
			return nil, c.failed
		default:
			return c.conn, nil
		}
	}
	if c.busy != nil {
		c.busy("connect to " + c.whereLocked())
		defer c.busy("")
	}
	conn, err := c.connect(ctx, c.targetLocked())
	if err != nil {
		if ctx.Err() == nil {
			c.failed = err
		}
		return nil, err
	}
	if c.acts {
		conn.Spare()
	}
	c.conn = conn
	return conn, nil
}

// move sets the address for later connections; empty means the inventory's.
func (c *connection) move(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = address
}

// hasMoved reports whether such an address is set.
func (c *connection) hasMoved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved != ""
}

// targetLocked returns the host with its current address.
func (c *connection) targetLocked() *inventory.Host {
	if c.moved == "" {
		return c.host
	}
	target := *c.host
	target.MovedTo = c.moved
	return &target
}

// where returns the address to show to the user.
func (c *connection) where() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whereLocked()
}

func (c *connection) whereLocked() string {
	if c.moved != "" {
		return c.moved
	}
	if c.host.SSHAddress != "" {
		return c.host.SSHAddress
	}
	return c.host.Address
}

// reopen replaces the connection after a reboot or a loss. A failure is not final.
func (c *connection) reopen(ctx context.Context) (remote.Conn, error) {
	c.drop()
	c.mu.Lock()
	target := c.targetLocked()
	c.mu.Unlock()
	conn, err := c.connect(ctx, target)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acts {
		conn.Spare()
	}
	c.conn, c.failed = conn, nil
	return conn, nil
}

// fail makes the failure to reconnect final.
func (c *connection) fail(err error) {
	c.drop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

func (c *connection) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.spent = add(c.spent, c.conn.Stats())
		c.conn.Close()
		c.conn = nil
	}
}

// loginUser stands for the login user where an empty name means the reader.
const loginUser = "(login user)"

// readsAs returns the user who reads; empty means the login user. If root logs in, it is root, whatever users the
// playbook becomes.
func (c *connection) readsAs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readsAsLocked()
}

func (c *connection) readsAsLocked() string {
	if c.reader != "" && c.conn != nil && c.conn.User() == "root" {
		return "root"
	}
	return c.reader
}

// session returns a session of the given user; empty means the login user.
func (c *connection) session(ctx context.Context, user string) (remote.Session, error) {
	conn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if user == loginUser {
		user = ""
	}
	return conn.As(user), nil
}

// prepare gets ready for a user's first command: see remote.Session.Prepare.
func (c *connection) prepare(user string) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil || !c.acts {
		return
	}
	if user == loginUser {
		user = ""
	}
	conn.As(user).Prepare()
}

// dial connects for observe.NewHost.
func (c *connection) dial(ctx context.Context) (observe.Asker, error) {
	if _, err := c.open(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// asReader returns a function that reports which queries are the reader's, if user is the user who reads, so that these
// can travel along with actions. Otherwise it returns nil.
func (c *connection) asReader(user string) func(remote.Query) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	login := c.conn.User()
	name := func(user string) string {
		if user == "" || user == loginUser {
			return login
		}
		return user
	}
	reader := name(c.readsAsLocked())
	if name(user) != reader {
		return nil
	}
	return func(q remote.Query) bool { return q.User == "" || name(q.User) == reader }
}

// asRoot returns a session of root, or nil if the run does not become root on the host.
func (c *connection) asRoot() remote.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn == nil:
		return nil
	case c.conn.User() == "root":
		return c.conn
	case c.reader == "root":
		return c.conn.As("root")
	}
	return nil
}

// isRoot reports whether a user of a task is root.
func (c *connection) isRoot(user string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if user == "" || user == loginUser {
		return c.conn != nil && c.conn.User() == "root"
	}
	return user == "root"
}

// Ask sends the queries in one flight for each user that they name; most name none. Identical queries are sent once. If
// a user cannot be become, only the queries that name the user fail.
func (c *connection) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	type flight struct {
		queries []remote.Query
		places  []int
	}
	if _, err := c.open(ctx); err != nil {
		return nil, err
	}
	reader := c.readsAs()
	flights := map[string]*flight{}
	var users []string
	for i, q := range queries {
		if q.User == "" {
			q.User = reader
		}
		f := flights[q.User]
		if f == nil {
			f = &flight{}
			flights[q.User] = f
			users = append(users, q.User)
		}
		if q.User == loginUser { // the session's own user
			q.User = ""
		}
		f.queries = append(f.queries, q)
		f.places = append(f.places, i)
	}
	answers := make([]remote.Answer, len(queries))
	for _, user := range users {
		f := flights[user]
		session, err := c.session(ctx, user)
		if err != nil {
			return nil, err
		}
		once, where := distinct(f.queries)
		answered, err := session.Ask(ctx, once)
		if become := (*remote.BecomeError)(nil); errors.As(err, &become) && user != reader {
			for _, place := range f.places {
				answers[place].Err = err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(answered) != len(once) {
			return nil, fmt.Errorf("%s answered %d of %d queries", c.host.Name, len(answered), len(once))
		}
		for i, at := range where {
			answers[f.places[i]] = answered[at]
		}
	}
	return answers, nil
}

// Watch waits on the host until queries are answered differently than they were, or until one exits with 0: see remote.Watch.
func (c *connection) Watch(ctx context.Context, w remote.Watch) ([]remote.Answer, error) {
	session, err := c.session(ctx, loginUser)
	if err != nil {
		return nil, err
	}
	reader := c.readsAs()
	queries := slices.Clone(w.Queries)
	for i, q := range queries {
		if q.User == "" {
			queries[i].User = reader
		}
		if queries[i].User == loginUser {
			queries[i].User = ""
		}
		if queries[i].User != queries[0].User {
			return nil, remote.ErrUnwatchable
		}
	}
	var known []remote.Answer
	once, where := distinct(queries)
	for i, at := range where {
		if w.Until == nil && at == len(known) {
			known = append(known, w.Known[i])
		}
	}
	w.Queries, w.Known = once, known
	if w.Until != nil {
		until := *w.Until
		until.User = once[0].User
		w.Until = &until
	}
	answered, err := session.Watch(ctx, w)
	if err != nil {
		return nil, err
	}
	answers := make([]remote.Answer, len(where))
	for i, at := range where {
		answers[i] = answered[at]
	}
	return answers, nil
}

// distinct returns the queries without duplicates, and the index of each original one among them.
func distinct(queries []remote.Query) (once []remote.Query, where []int) {
	asked := make(map[string]int, len(queries))
	where = make([]int, len(queries))
	var key strings.Builder
	for i, q := range queries {
		key.Reset()
		key.WriteString(q.Script)
		for _, arg := range q.Args {
			key.WriteByte(0)
			key.WriteString(arg)
		}
		fmt.Fprintf(&key, "\x00%d", q.Limit)
		at, ok := asked[key.String()]
		if !ok {
			at = len(once)
			asked[key.String()] = at
			once = append(once, q)
		}
		where[i] = at
	}
	return once, where
}

func (c *connection) stats() remote.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return c.spent
	}
	return add(c.spent, c.conn.Stats())
}

func (c *connection) close() { c.drop() }

func add(a, b remote.Stats) remote.Stats {
	return remote.Stats{
		RoundTrips: a.RoundTrips + b.RoundTrips, Flights: a.Flights + b.Flights,
		Sent: a.Sent + b.Sent, Received: a.Received + b.Received, Latency: b.Latency, Hand: b.Hand,
	}
}
