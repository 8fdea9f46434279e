package remote

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a connection to OpenSSH costs, so that an increase is noticed. Of the ten round trips before the first answers,
// seven are the handshake of x/crypto/ssh: versions, KEXINIT, key exchange, the service, "none", whether the key is
// acceptable, and the signature. Then come the session, the exec request (sshd takes no input before it) and the
// flight.
func TestRoundTripsOverOpenSSH(t *testing.T) {
	key := newKey(t, "id", "")
	c := mustDial(t, newOpenSSH(t, key).target(t, key), plain())
	spent := 0
	costs := func(what string, most int) {
		t.Helper()
		now := c.Stats().RoundTrips
		if now-spent > most {
			t.Errorf("%s: %d round trips, want at most %d", what, now-spent, most)
		}
		spent = now
	}
	file := File{Path: filepath.Join(t.TempDir(), "file"), Content: []byte("content\n")}
	question := Query{Script: `printf '%s' "$1"`, Args: []string{"x"}}

	ask(t, c, question)
	costs("connecting and the first flight", 10)
	ask(t, c, question, question)
	costs("another flight", 1)
	write(t, c, file)
	costs("the first action, which starts the acting shell", 3)
	for range 10 {
		write(t, c, file)
		ask(t, c, question)
	}
	costs("ten actions and their verification", 20)
	for range 10 {
		run(t, c, Command{Argv: []string{"echo", "x"}, Stdin: []byte("unread")})
	}
	costs("ten commands", 10)
}

// A connection that only reads uses one session.
func TestReadingOpensNoActingShell(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := mustDial(t, s.target("root", key), plain())
	for range 5 {
		ask(t, c, Query{Script: ":"})
	}
	if n := s.sessions.Load(); n != 1 {
		t.Errorf("%d sessions for reading, want 1", n)
	}
	for range 5 {
		run(t, c, Command{Argv: []string{"true"}})
	}
	if n := s.sessions.Load(); n != 2 {
		t.Errorf("%d sessions for reading and acting, want 2", n)
	}
}

// A host whose sshd allows only one or two concurrent sessions can be read and changed.
func TestActingWithFewSessions(t *testing.T) {
	for _, allowed := range []string{"MaxSessions 2", "MaxSessions 1"} {
		t.Run(allowed, func(t *testing.T) {
			key := newKey(t, "id", "")
			actWithFewSessions(t, mustDial(t, newOpenSSH(t, key, allowed).target(t, key), plain()))
		})
		t.Run(allowed+", one of them spare", func(t *testing.T) {
			key := newKey(t, "id", "")
			c := mustDial(t, newOpenSSH(t, key, allowed).target(t, key), plain())
			c.Spare()
			ask(t, c, Query{Script: ":"})
			c.Prepare()
			actWithFewSessions(t, c)
		})
	}
}

func actWithFewSessions(t *testing.T, c *conn) {
	path := filepath.Join(t.TempDir(), "file")
	for i := range 3 {
		ask(t, c, Query{Script: ":"})
		content := []byte(fmt.Sprint(i))
		write(t, c, File{Path: path, Content: content})
		expectFile(t, path, content, 0o644)
		run(t, c, Command{Argv: []string{"true"}})
	}

	// A large file is streamed there as well, without being held in memory.
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	from := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(from, content, 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := ReadSource(from)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	write(t, c, File{Path: path, Source: &source})
	runtime.ReadMemStats(&after)
	expectFile(t, path, content, 0o644)
	if made := after.TotalAlloc - before.TotalAlloc; made > uint64(len(content)) {
		t.Errorf("%d bytes were allocated for a file of %d", made, len(content))
	}
	run(t, c, Command{Argv: []string{"true"}})

	// Concurrent commands run one after another.
	dir := t.TempDir()
	all := make(chan error)
	for i := range 3 {
		go func() {
			_, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c", `echo >>"$1/ran" x; sleep 0.3`, "sh", dir}})
			all <- err
		}()
		go func() {
			_, err := c.WriteFile(bounded(t), File{Path: filepath.Join(dir, fmt.Sprint(i)), Content: content[:2*small]})
			all <- err
		}()
		go func() {
			_, err := c.Ask(bounded(t), []Query{{Script: "echo x"}})
			all <- err
		}()
	}
	for range 9 {
		if err := <-all; err != nil {
			t.Error(err)
		}
	}
	if ran := waitFor(t, filepath.Join(dir, "ran")); ran != "x\nx\nx" {
		t.Errorf("the commands ran as %q, want each once", ran)
	}
	expectFile(t, filepath.Join(dir, "2"), content[:2*small], 0o644)
}

// Programs write their output to pipes, as in a session of their own, and not to a file, which opening /dev/stderr
// again would truncate.
func TestActingStreamsArePipes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		r := run(t, c, Command{Argv: []string{"/bin/sh", "-c",
			`echo one >&2; echo two >/dev/stderr; echo a; echo b >/dev/stdout; [ -p /dev/stdout ] && [ -p /dev/stderr ]`}})
		got := text{string(r.Stdout), string(r.Stderr), r.Exit}
		if diff := cmp.Diff(text{"a\nb\n", "one\ntwo\n", 0}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Files that a command creates get their modes from the login user's umask, in the acting shell too.
func TestActingKeepsTheUmask(t *testing.T) {
	c := sshConn(t)
	alone, err := c.runAlone(bounded(t), Command{Argv: []string{"sh", "-c", "umask"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, c, Command{Argv: []string{"sh", "-c", "umask"}}); string(r.Stdout) != string(alone.Stdout) {
		t.Errorf("umask %q, want that of a session of its own, %q", r.Stdout, alone.Stdout)
	}
}

// A long command does not delay another one.
func TestActingShellThatIsBusy(t *testing.T) {
	c := sshConn(t)
	dir := t.TempDir()
	first := make(chan error)
	go func() {
		_, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c",
			`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done`, "sh", dir}})
		first <- err
	}()
	waitFor(t, filepath.Join(dir, "started"))
	run(t, c, Command{Argv: []string{"touch", filepath.Join(dir, "go")}})
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// If the acting shell finds no place for its files, each command runs in its own session.
func TestActingShellWithoutRoom(t *testing.T) {
	key := newKey(t, "id", "")
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'mkdir: no room' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "mkdir"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin + ":" + os.Getenv("PATH") })
	c := mustDial(t, s.target("root", key), plain())
	ahead := &Ahead{Commands: []Command{{Argv: []string{"touch", filepath.Join(bin, "ahead")}, Brief: true}}}
	results, _, err := c.RunAll(bounded(t), Actions{Commands: []Command{{Argv: []string{"echo", "x"}, Brief: true}}, Ahead: []*Ahead{ahead}})
	if err != nil || len(results) != 1 || ahead.Begun || ahead.Err != nil {
		t.Errorf("%d results, %v; begun ahead: %t, %v; want one result, and nothing begun", len(results), err, ahead.Begun, ahead.Err)
	}
	if _, err := os.Stat(filepath.Join(bin, "ahead")); err == nil {
		t.Error("what was sent ahead was carried out")
	}
	for range 2 {
		if r := run(t, c, Command{Argv: []string{"echo", "x"}}); string(r.Stdout) != "x\n" {
			t.Errorf("the command printed %q %q", r.Stdout, r.Stderr)
		}
	}
	if n := s.sessions.Load(); n != 4 {
		t.Errorf("%d sessions, want 4: one try, and one a command", n)
	}
}

// An acting shell that has died is replaced before anything is sent to it.
func TestActingShellThatDied(t *testing.T) {
	c := sshConn(t)
	run(t, c, Command{Argv: []string{"true"}})
	sh := c.act.shell
	t.Cleanup(func() { os.RemoveAll("/dev/shm/" + sh.dir) }) // SIGKILL leaves it behind
	ask(t, c, Query{Script: `kill -9 "$1"`, Args: []string{sh.out.said}})
	<-sh.Exited()
	if r := run(t, c, Command{Argv: []string{"echo", "x"}}); string(r.Stdout) != "x\n" {
		t.Errorf("the next command printed %q", r.Stdout)
	}
}

// What a command does once its answer has arrived is not done if the connection is lost, because the answer may be lost
// too.
func TestActingAfterALostAnswer(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	for _, test := range []struct {
		what  string
		after func(*conn)
		want  bool
	}{
		{"the connection is cut", func(*conn) { s.cut() }, false},
		{"it is closed", func(c *conn) { c.Close() }, true},
		{"a command follows", func(c *conn) { run(t, c, Command{Argv: []string{"true"}}) }, true},
	} {
		c := mustDial(t, s.target("root", key), plain())
		heard := filepath.Join(t.TempDir(), "heard")
		r, err := c.Run(bounded(t), Command{Argv: []string{"echo", "x"}, Via: Query{
			Script: `echo ": >'$1'" >>"${_hl_at%/*}/heard"; eval "$_hl_command"`, Args: []string{heard},
		}})
		if err != nil || string(r.Stdout) != "x\n" {
			t.Fatalf("it printed %q (%v)", r.Stdout, err)
		}
		dir := ""
		for _, place := range strings.Fields(actingPlaces) {
			if _, err := os.Stat(filepath.Join(place, c.act.shell.dir)); err == nil {
				dir = filepath.Join(place, c.act.shell.dir)
			}
		}
		test.after(c)
		if test.what != "a command follows" {
			for _, err := os.Stat(dir); err == nil; _, err = os.Stat(dir) { // the shell removes it when it ends
				time.Sleep(time.Millisecond)
			}
		}
		if _, err := os.Stat(heard); (err == nil) != test.want {
			t.Errorf("%s: done is %t (%v), want %t", test.what, err == nil, err, test.want)
		}
	}
}

// If the connection is lost while a command runs, the command's next line of output does not kill it.
func TestActingSurvivesALostConnection(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := mustDial(t, s.target("root", key), plain())
	dir := t.TempDir()
	ran := make(chan error)
	go func() {
		_, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c",
			`echo yes >"$1/started"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; echo line; echo line >&2; echo yes >"$1/ended"`, "sh", dir}})
		ran <- err
	}()
	waitFor(t, filepath.Join(dir, "started"))
	s.cut()
	if err := <-ran; !errors.As(err, new(*UnreachableError)) || !strings.Contains(err.Error(), "whether it ended is not known") {
		t.Errorf("error %v, want an UnreachableError that says that the end is not known", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, "ended"))
}
