package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// link is the way to one host: a connection, made when first needed, and made anew after a reboot.
type link struct {
	host    *inventory.Host
	connect func(context.Context, *inventory.Host) (remote.Conn, error)
	// reader is the user that observes; empty means the login user.
	reader string
	// busy is told what is waited for, and an empty text when that is over; nil tells nobody.
	busy func(what string)

	mu     sync.Mutex
	conn   remote.Conn
	failed error        // why there is no connection and none will be tried
	spent  remote.Stats // by connections that are gone
}

func newLink(h *inventory.Host, connect func(context.Context, *inventory.Host) (remote.Conn, error), reader string) *link {
	return &link{host: h, connect: connect, reader: reader}
}

// open returns the connection. The first failure is final: the host has left the run, and everybody
// who asks again is told the same at once.
func (l *link) open(ctx context.Context) (remote.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, l.failed
	}
	if l.conn != nil {
		select {
		case <-l.conn.Done():
			l.failed = &remote.UnreachableError{
				Host: l.host.Name, Address: l.host.Address,
				Reason: "the connection was lost",
				Hint:   "see whether the host is up, then run again: what was done is found done",
			}
			return nil, l.failed
		default:
			return l.conn, nil
		}
	}
	if l.busy != nil {
		l.busy("connect to " + l.where())
		defer l.busy("")
	}
	conn, err := l.connect(ctx, l.host)
	if err != nil {
		if ctx.Err() == nil {
			l.failed = err
		}
		return nil, err
	}
	l.conn = conn
	return conn, nil
}

// where is the address that people know the way by.
func (l *link) where() string {
	if l.host.SSHAddress != "" {
		return l.host.SSHAddress
	}
	return l.host.Address
}

// reopen replaces the connection after a reboot; a failure is not final.
func (l *link) reopen(ctx context.Context) (remote.Conn, error) {
	l.drop()
	conn, err := l.connect(ctx, l.host)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.failed = conn, nil
	return conn, nil
}

func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.spent = add(l.spent, l.conn.Stats())
		l.conn.Close()
		l.conn = nil
	}
}

// loginUser stands for the login user where the empty name means the reader.
const loginUser = "(login user)"

// readsAs is the user that observes; empty means the login user. It is root where root logs in, whomever the
// playbook becomes.
func (l *link) readsAs() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readsAsLocked()
}

func (l *link) readsAsLocked() string {
	if l.reader != "" && l.conn != nil && l.conn.User() == "root" {
		return "root"
	}
	return l.reader
}

// session is the host as the given user; empty means the login user.
func (l *link) session(ctx context.Context, user string) (remote.Session, error) {
	conn, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	if user == loginUser {
		user = ""
	}
	return conn.As(user), nil
}

// dial makes the link the asker of an observed host.
func (l *link) dial(ctx context.Context) (observe.Asker, error) {
	if _, err := l.open(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// asReader says whether a user who acts is the one who reads, so that queries can travel with what is done;
// nil if not. It tells which queries are the reader's.
func (l *link) asReader(user string) func(remote.Query) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	login := l.conn.User()
	name := func(user string) string {
		if user == "" || user == loginUser {
			return login
		}
		return user
	}
	reader := name(l.readsAsLocked())
	if name(user) != reader {
		return nil
	}
	return func(q remote.Query) bool { return q.User == "" || name(q.User) == reader }
}

// Ask sends the queries in one flight for each user that they name: all but a few name none. What several
// observations ask alike is asked once. That a user cannot be become concerns those alone that name him.
func (l *link) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	type flight struct {
		queries []remote.Query
		places  []int
	}
	if _, err := l.open(ctx); err != nil {
		return nil, err
	}
	reader := l.readsAs()
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
		session, err := l.session(ctx, user)
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
			return nil, fmt.Errorf("%s answered %d of %d queries", l.host.Name, len(answered), len(once))
		}
		for i, at := range where {
			answers[f.places[i]] = answered[at]
		}
	}
	return answers, nil
}

// distinct are queries without repetition, and where each of them stands there.
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

func (l *link) stats() remote.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return l.spent
	}
	return add(l.spent, l.conn.Stats())
}

func (l *link) close() { l.drop() }

func add(a, b remote.Stats) remote.Stats {
	return remote.Stats{
		RoundTrips: a.RoundTrips + b.RoundTrips, Flights: a.Flights + b.Flights,
		Sent: a.Sent + b.Sent, Received: a.Received + b.Received,
	}
}

// unreachable reports whether err says that this very host cannot be reached.
func unreachable(h *host, err error) bool {
	var u *remote.UnreachableError
	return errors.As(err, &u) && u.Host == h.Name
}
