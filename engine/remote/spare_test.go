package remote

import (
	"io"
	"strings"
	"testing"
)

// withSpare connects with a spare session, and returns once the host has opened it.
func withSpare(t *testing.T, s *server, key credentials) *conn {
	t.Helper()
	c := mustDial(t, s.target("root", key), plain())
	c.Spare()
	ask(t, c, Query{Script: ":"})
	spare := &c.transport.(*sshTransport).spare
	spare.mu.Lock()
	opened := spare.opened
	spare.mu.Unlock()
	if opened == nil {
		t.Fatal("no spare session was asked for with the first queries")
	}
	p, ok := <-opened
	if !ok {
		t.Fatal("the host has opened no spare session")
	}
	again := make(chan *sshProcess, 1)
	again <- p
	spare.mu.Lock()
	spare.opened = again
	spare.mu.Unlock()
	return c
}

// awaitPrepared waits until the prepared process was started, and returns it.
func awaitPrepared(t *testing.T, c *conn) *sshProcess {
	t.Helper()
	if c.prepared == nil {
		t.Fatal("nothing is prepared")
	}
	p, ok := <-c.prepared.started
	if !ok {
		t.Fatal("the prepared process was not started")
	}
	again := make(chan *sshProcess, 1)
	again <- p
	c.prepared.started = again
	return p
}

// Nothing runs in the spare session until a shell is prepared, and the first command then runs in that.
func TestPreparedShellIsTheFirstActingShell(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := withSpare(t, s, key)
	if n, ran := s.sessions.Load(), len(s.seen()); n != 2 || ran != 1 {
		t.Errorf("%d sessions and %d shells for reading, want 2 and 1", n, ran)
	}
	if c.Stats().Latency == 0 {
		t.Error("the latency is not known although a second session was opened")
	}
	c.Prepare()
	awaitPrepared(t, c)
	c.Prepare()
	for range 3 {
		run(t, c, Command{Argv: []string{"true"}})
	}
	c.Prepare()
	ask(t, c, Query{Script: ":"})
	if n, ran := s.sessions.Load(), len(s.seen()); n != 2 || ran != 2 {
		t.Errorf("%d sessions and %d shells for reading and acting, want 2 and 2", n, ran)
	}
}

// The start of a process that is there when the first command comes keeps nobody waiting.
func TestPreparedShellIsNoRoundTrip(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := withSpare(t, s, key)
	before := c.Stats().RoundTrips
	c.Prepare()
	awaitPrepared(t, c)
	run(t, c, Command{Argv: []string{"true"}})
	if got := c.Stats().RoundTrips - before; got != 1 {
		t.Errorf("%d round trips for the first command, expected 1", got)
	}
}

// If the host refuses to start the prepared shell, the first command starts one.
func TestPreparedShellIsRefused(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) { s.refuses = 2 })
	c := withSpare(t, s, key)
	c.Prepare()
	if p, ok := <-c.prepared.started; ok {
		t.Errorf("%v was started", p)
	}
	run(t, c, Command{Argv: []string{"true"}})
	if n, ran := s.sessions.Load(), len(s.seen()); n != 3 || ran != 3 {
		t.Errorf("%d sessions and %d command lines, want 3 and 3", n, ran)
	}
}

// A spare session is used although nothing was prepared, and a connection without one prepares nothing.
func TestSpareSessionWithoutPreparedShell(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := withSpare(t, s, key)
	run(t, c, Command{Argv: []string{"true"}})
	if n := s.sessions.Load(); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}

	s = newServer(t, key)
	c = mustDial(t, s.target("root", key), plain())
	ask(t, c, Query{Script: ":"})
	c.Prepare()
	if p, ok := <-c.prepared.started; ok {
		t.Errorf("%v was started without a spare session", p)
	}
	run(t, c, Command{Argv: []string{"true"}})
	if n := s.sessions.Load(); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
}

// A prepared shell that has ended is replaced.
func TestPreparedShellThatHasEnded(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) {
		first := true
		s.run = func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
			if first && strings.Contains(line, "head") {
				first = false
				return 1
			}
			return runSh(line, env, stdin, stdout, stderr)
		}
	})
	c := withSpare(t, s, key)
	c.Prepare()
	<-awaitPrepared(t, c).Exited()
	run(t, c, Command{Argv: []string{"true"}})
	if n := s.sessions.Load(); n != 3 {
		t.Errorf("%d sessions, want 3", n)
	}
	if c.act.barred {
		t.Error("the connection counts as one without acting shells")
	}
}

// What another user's command changes may concern the user for whom a shell was prepared, which is therefore ended.
func TestPreparedShellIsOnlyForTheFirstCommand(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := withSpare(t, s, key)
	other := newSession(c, "")
	other.Prepare()
	p := awaitPrepared(t, c)
	run(t, c, Command{Argv: []string{"true"}})
	<-p.Exited()
	if got := other.takePrepared(t.Context()); got != nil {
		t.Error("the prepared shell was kept")
	}
}

// The places of commands are not used up by what was prepared for none.
func TestIdleShellsAreDroppedWithThePreparedOne(t *testing.T) {
	key := newKey(t, "id", "")
	c := withSpare(t, newServer(t, key), key)
	c.Prepare()
	p := awaitPrepared(t, c)
	c.read.drop()
	if !c.dropIdle() {
		t.Error("there was a prepared shell, but nothing to drop")
	}
	<-p.Exited()
	if c.dropIdle() {
		t.Error("it was dropped twice")
	}
}
