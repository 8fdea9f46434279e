package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fakeSudo behaves like sudo(8) as far as hlplay depends on it. FAKE_SUDO says how it is configured: "free",
// "password", "denied". It logs each call in FAKE_SUDO_LOG.
const fakeSudo = `#!/bin/sh
echo "$*" >>"$FAKE_SUDO_LOG"
ask=no stdin=no
while [ $# -gt 0 ]; do
	case $1 in
	-n) ask=never ;;
	-S) stdin=yes ;;
	-H) ;;
	-p) prompt=$2; shift ;;
	-u) user=$2; shift ;;
	--) shift; break ;;
	esac
	shift
done
case $FAKE_SUDO in
denied)
	echo "alice is not in the sudoers file." >&2
	exit 1 ;;
password)
	if [ $ask = never ]; then echo "sudo: a password is required" >&2; exit 1; fi
	echo "We trust you have received the usual lecture from the local System Administrator." >&2
	tries=0
	while :; do
		printf %s "$prompt" >&2
		read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
		[ "$given" != "secret word" ] || break
		tries=$((tries+1))
		[ $tries -lt 3 ] || { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
		echo "Sorry, try again." >&2
	done ;;
esac
SUDO_TO=$user exec "$@"
`

// sudoServer is a host where alice may use the fake sudo.
func sudoServer(t *testing.T, mode string) (s *server, target Target, calls func() []string) {
	t.Helper()
	key := newKey(t, "id", "")
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	path := bin + ":/usr/bin:/bin"
	if mode == "missing" {
		path = withoutSudo(t)
	} else if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o755); err != nil {
		t.Fatal(err)
	}
	s = newServer(t, key, func(s *server) {
		s.env = []string{"PATH=" + path, "FAKE_SUDO=" + mode, "FAKE_SUDO_LOG=" + log, "HOME=" + t.TempDir()}
	})
	return s, s.target("alice", key), func() []string {
		text, _ := os.ReadFile(log)
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
}

// withoutSudo returns a directory with all programs of this machine except sudo.
func withoutSudo(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	programs, err := os.ReadDir("/usr/bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if program.Name() == "sudo" {
			continue
		}
		if err := os.Symlink(filepath.Join("/usr/bin", program.Name()), filepath.Join(bin, program.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// exercise uses most of a session's features as another user.
func exercise(t *testing.T, root Session) {
	t.Helper()
	dir := t.TempDir()
	for range 2 {
		got := ask(t, root, Query{Script: `printf '%s' "$SUDO_TO"`}, Query{Script: `printf '\000' >&2; exit 4`})
		if string(got[0].Stdout) != "root" || got[1].Exit != 4 || string(got[1].Stderr) != "\x00" {
			t.Errorf("ask: %+v", readable(got))
		}
		r := run(t, root, Command{Argv: []string{"sh", "-c", `cat; printf '%s' "$SUDO_TO $TOKEN $1"; printf err >&2; exit 5`, "sh", "it's"},
			Env: map[string]string{"TOKEN": "t'ok"}, Stdin: []byte("a\x00b\n")})
		if string(r.Stdout) != "a\x00b\nroot t'ok it's" || string(r.Stderr) != "err" || r.Exit != 5 {
			t.Errorf("run: %q %q %d", r.Stdout, r.Stderr, r.Exit)
		}
		r = run(t, root, Command{Argv: []string{"sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"}})
		if len(r.Stdout) != 3000000 || len(r.Stderr) != 3000000 {
			t.Errorf("run: %d and %d bytes", len(r.Stdout), len(r.Stderr))
		}
		for _, content := range [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 1<<16)} {
			path := filepath.Join(dir, "file")
			write(t, root, File{Path: path, Content: content, Mode: 0o640})
			expectFile(t, path, content, 0o640)
		}
		if _, err := root.Run(bounded(t), Command{Argv: []string{"true"}, Dir: "/nonesuch"}); err == nil || !strings.Contains(err.Error(), "cannot be entered") {
			t.Errorf("run in a missing directory: error %v", err)
		}
		if r := run(t, root, Command{Argv: []string{"sleep", "50"}, Limit: time.Second}); r.Exit != 124 {
			t.Errorf("a command over its limit: exit code %d, want 124", r.Exit)
		}
	}
	// Files of the previous command are gone when the next one has been read.
	r := run(t, root, Command{Argv: []string{"sh", "-c", `cd "$1" && for f in *; do [ ! -s "$f" ] || echo "$f"; done`, "sh", "/dev/shm/" + root.(*session).act.shell.dir}})
	const want = "pid\nshell\n"
	if got := string(r.Stdout); got != want {
		t.Errorf("in the directory of the acting shell: %q, want only what is of the shell and of the running command, %q", got, want)
	}
}

func TestBecomeWithoutPassword(t *testing.T) {
	t.Parallel()
	_, target, calls := sudoServer(t, "free")
	c := mustDial(t, target, plain())
	exercise(t, c.As("root"))
	if c.As("") != Session(c) || c.As("alice") != Session(c) {
		t.Error("As the login user is not the connection itself")
	}
	for _, call := range calls() {
		if !strings.HasPrefix(call, "-n -H -u root -- sh -c ") || strings.Contains(call, "t'ok") {
			t.Errorf("sudo was called with %q", call)
		}
	}
	// A query may name a user, and queries of both users are sent in the same flight.
	got := ask(t, c, Query{Script: `printf '%s' "$SUDO_TO"`, User: "root"}, Query{Script: `printf '%s' "[$SUDO_TO]"`})
	if string(got[0].Stdout) != "root" || string(got[1].Stdout) != "[]" {
		t.Errorf("answers of two users: %+v", readable(got))
	}
}

func TestBecomeThatMayAskAndDoesNot(t *testing.T) {
	t.Parallel()
	_, target, calls := sudoServer(t, "free")
	o := plain()
	o.AskSudoPassword = true
	o.Ask = func(context.Context, string) (string, error) {
		t.Error("a password was asked for that sudo does not want")
		return "", errors.New("no")
	}
	c := mustDial(t, target, o)
	exercise(t, c.As("root"))
	for _, call := range calls() {
		if strings.HasPrefix(call, "-S") && strings.Contains(call, "hlplay-") {
			return
		}
	}
	t.Errorf("sudo was never allowed to ask: %q", calls())
}

// A password that is known from elsewhere is not asked for, and is read once a run.
func TestBecomeWithKnownPassword(t *testing.T) {
	t.Parallel()
	_, target, _ := sudoServer(t, "password")
	var read atomic.Int64
	o := plain()
	o.AskSudoPassword, o.Secrets = true, &Secrets{}
	o.Ask = func(_ context.Context, prompt string) (string, error) {
		t.Errorf("it is asked for: %s", prompt)
		return "", errors.New("nobody is there")
	}
	o.SudoPassword = func() (string, error) {
		read.Add(1)
		return "secret word", nil
	}
	for range 2 {
		c := mustDial(t, target, o)
		exercise(t, c.As("root"))
		c.Close()
	}
	if n := read.Load(); n != 1 {
		t.Errorf("it was read %d times, want once a run", n)
	}
}

func TestBecomeWithPassword(t *testing.T) {
	t.Parallel()
	s, target, calls := sudoServer(t, "password")
	var asked atomic.Int64
	o := plain()
	o.AskSudoPassword = true
	o.Secrets = &Secrets{}
	o.Ask = func(context.Context, string) (string, error) {
		asked.Add(1)
		return "secret word", nil
	}
	for range 2 {
		c := mustDial(t, target, o)
		exercise(t, c.As("root"))
		c.Close()
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once a run", n)
	}
	// A reading and an acting shell for each of two connections, however many commands, and a session for each of the
	// two large files.
	if n := len(calls()); n != 8 {
		t.Errorf("sudo was called %d times, want 8:\n%s", n, strings.Join(calls(), "\n"))
	}
	for _, line := range append(calls(), s.seen()...) {
		if strings.Contains(line, "secret word") || strings.Contains(line, "t'ok") {
			t.Errorf("a secret is in a command line: %s", line)
		}
	}
}

// Output of a command's background process does not end up in another command's output.
func TestBecomeBackgroundChild(t *testing.T) {
	t.Parallel()
	_, target, _ := sudoServer(t, "password")
	o := plain()
	o.AskSudoPassword = true
	o.Ask = func(context.Context, string) (string, error) { return "secret word", nil }
	c := mustDial(t, target, o)
	root := c.As("root")
	dir := t.TempDir()
	run(t, root, Command{Argv: []string{"sh", "-c", `(trap '' PIPE; while [ -d "$1" ] && [ ! -e "$1/stop" ]; do echo noise; echo noise >&2; sleep 0.01; done; echo >"$1/stopped" x) &`, "sh", dir}})
	for range 20 {
		if r := run(t, root, Command{Argv: []string{"sh", "-c", "sleep 0.02; echo mine"}}); string(r.Stdout) != "mine\n" || len(r.Stderr) > 0 {
			t.Errorf("a command printed %q %q", r.Stdout, r.Stderr)
		}
	}
	run(t, root, Command{Argv: []string{"touch", dir + "/stop"}})
	waitFor(t, dir+"/stopped")
}

func TestBecomePasswordCancelled(t *testing.T) {
	t.Parallel()
	_, target, _ := sudoServer(t, "password")
	o := plain()
	o.AskSudoPassword = true
	o.Secrets = &Secrets{}
	o.Ask = func(context.Context, string) (string, error) { return "secret word", nil }
	c := mustDial(t, target, o)
	root := c.As("root")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error)
	go func() {
		_, err := root.Run(ctx, Command{Argv: []string{"sh", "-c",
			`trap 'echo yes >"$1/ended"; exit' TERM; echo yes >"$1/started"; while :; do sleep 0.05; done`, "sh", dir}})
		done <- err
	}()
	waitFor(t, dir+"/started")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has ended since") {
		t.Errorf("error %v", err)
	}
	waitFor(t, dir+"/ended")
	if r := run(t, root, Command{Argv: []string{"echo", "on"}}); string(r.Stdout) != "on\n" {
		t.Errorf("the next command printed %q", r.Stdout)
	}
}

func TestBecomeRefused(t *testing.T) {
	t.Parallel()
	answer := func(s string, err error) func(context.Context, string) (string, error) {
		return func(context.Context, string) (string, error) { return s, err }
	}
	for _, tc := range []struct {
		name, mode string
		may        bool
		ask        func(context.Context, string) (string, error)
		want       string
	}{
		{"not in sudoers", "denied", false, nil, "add alice to the sudoers"},
		{"not in sudoers, with a password", "denied", true, answer("secret word", nil), "add alice to the sudoers"},
		{"password wanted", "password", false, nil, "let hlplay ask for the sudo password"},
		{"wrong password", "password", true, answer("guess", nil), "does not accept the password"},
		{"nobody to ask", "password", true, nil, "nobody to ask"},
		{"no answer", "password", true, answer("", errors.New("the terminal is gone")), "the terminal is gone"},
		{"no sudo", "missing", false, nil, "sudo is not installed"},
		{"no sudo, with a password", "missing", true, answer("x", nil), "sudo is not installed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, target, _ := sudoServer(t, tc.mode)
			o := plain()
			o.AskSudoPassword, o.Ask, o.Secrets = tc.may, tc.ask, &Secrets{}
			c := mustDial(t, target, o)
			root := c.As("root")
			_, askErr := root.Ask(bounded(t), []Query{{Script: ":"}})
			_, runErr := root.Run(bounded(t), Command{Argv: []string{"true"}})
			_, writeErr := root.WriteFile(bounded(t), File{Path: t.TempDir() + "/x", Content: make([]byte, small+1)})
			for what, err := range map[string]error{"ask": askErr, "run": runErr, "write": writeErr} {
				var refused *BecomeError
				if !errors.As(err, &refused) || refused.Host != "node" || refused.User != "root" || refused.Login != "alice" {
					t.Errorf("%s: error %v (%T), want a BecomeError", what, err, err)
				}
				if err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: error %v does not say %q", what, err, tc.want)
				}
			}
			if got := ask(t, c, Query{Script: "printf on"}); string(got[0].Stdout) != "on" {
				t.Error("the login user's own shell is of no use any more")
			}
		})
	}
}

func TestBecomeInvalidUser(t *testing.T) {
	_, target, _ := sudoServer(t, "free")
	c := mustDial(t, target, plain())
	for _, name := range []string{"-x", "a\x00b"} {
		if _, err := c.As(name).Ask(bounded(t), []Query{{Script: ":"}}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not the name of a user", name)) {
			t.Errorf("user %q: error %v", name, err)
		}
	}
}

// If root logs in there may be no sudo; runuser(1), which is called instead, has different arguments.
func TestBecomeFromRoot(t *testing.T) {
	const fake = `#!/bin/sh
[ "$#" = 5 ] && [ "$1 $2 $3" = "-s /bin/sh -c" ] || { echo "runuser: bad usage: $*" >&2; exit 1; }
[ "$5" = www-data ] || { echo "runuser: user $5 does not exist or the user entry does not contain all the required fields" >&2; exit 1; }
RUN_AS=$5 exec /bin/sh -c "$4"
`
	key := newKey(t, "id", "")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "runuser"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "head", "timeout", "cat"} { // the only programs: there is no sudo
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, key, func(s *server) { s.env[0] = "PATH=" + bin })
	c := mustDial(t, s.target("root", key), plain())
	www := c.As("www-data")
	if got := ask(t, www, Query{Script: `printf '%s' "$RUN_AS"`}); string(got[0].Stdout) != "www-data" {
		t.Errorf("ask: %+v", readable(got))
	}
	if r := run(t, www, Command{Argv: []string{"sh", "-c", `cat; printf '%s' "$RUN_AS"`}, Stdin: []byte("in ")}); string(r.Stdout) != "in www-data" {
		t.Errorf("run: %q %q", r.Stdout, r.Stderr)
	}
	if _, err := c.As("no-such-user").Run(bounded(t), Command{Argv: []string{"id"}}); err == nil || !strings.Contains(err.Error(), "there is no such user") {
		t.Errorf("a user who does not exist: error %v", err)
	}
}
