package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func run(t *testing.T, s Session, c Command) Result {
	t.Helper()
	r, err := s.Run(bounded(t), c)
	if err != nil {
		t.Fatalf("run %q: %v", c.Argv, err)
	}
	return r
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	cases := []struct {
		name    string
		command Command
		want    text
	}{
		{"both streams and the code", Command{Argv: []string{"sh", "-c", `printf out; printf err >&2; exit 42`}}, text{"out", "err", 42}},
		{"hostile arguments", Command{Argv: []string{"printf", "%s|", "it's", `"$(id)"`, "`id`", "a b", "*", "\t\n\\", "", "-n", "é"}},
			text{"it's|\"$(id)\"|`id`|a b|*|\t\n\\||-n|é|", "", 0}},
		{"no input is an empty one", Command{Argv: []string{"cat"}}, text{"", "", 0}},
		{"binary input", Command{Argv: []string{"cat"}, Stdin: all}, text{string(all), "", 0}},
		{"large input", Command{Argv: []string{"cat"}, Stdin: []byte(big)}, text{big, "", 0}},
		{"input that nobody reads", Command{Argv: []string{"true"}, Stdin: []byte(big)}, text{"", "", 0}},
		{"environment", Command{Argv: []string{"sh", "-c", `printf '%s' "$SECRET"`}, Env: map[string]string{"SECRET": "it's a $secret\n", "OTHER": ""}},
			text{"it's a $secret\n", "", 0}},
		{"messages are in English", Command{Argv: []string{"sh", "-c", `printf '%s' "$LC_ALL"`}}, text{"C", "", 0}},
		{"unless asked otherwise", Command{Argv: []string{"sh", "-c", `printf '%s' "$LC_ALL"`}, Env: map[string]string{"LC_ALL": "C.UTF-8"}}, text{"C.UTF-8", "", 0}},
		{"directory", Command{Argv: []string{"pwd"}, Dir: dir}, text{dir + "\n", "", 0}},
	}
	everywhere(t, func(t *testing.T, c *conn) {
		for _, tc := range cases {
			r := run(t, c, tc.command)
			if diff := cmp.Diff(tc.want, text{string(r.Stdout), string(r.Stderr), r.Exit}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.name, diff)
			}
			if r.Duration <= 0 {
				t.Errorf("%s: no duration", tc.name)
			}
		}
	})
}

func TestRunBigOutput(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		r := run(t, c, Command{Argv: []string{"sh", "-c", "head -c 4194304 /dev/zero >&2; head -c 4194304 /dev/zero"}})
		if len(r.Stdout) != 4<<20 || len(r.Stderr) != 4<<20 { // twice the window
			t.Errorf("%d and %d bytes, want 4 MiB of each", len(r.Stdout), len(r.Stderr))
		}
	})
}

func TestRunThatCannotStart(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		_, err := c.Run(bounded(t), Command{Argv: []string{"true"}, Dir: "/nonesuch"})
		if err == nil || !strings.Contains(err.Error(), "/nonesuch cannot be entered") {
			t.Errorf("a missing directory: error %v", err)
		}
		for name, command := range map[string]Command{
			"no program":               {},
			"a NUL":                    {Argv: []string{"echo", "\x00"}},
			"a bad variable":           {Argv: []string{"true"}, Env: map[string]string{"A B": "x"}},
			"a NUL in the environment": {Argv: []string{"true"}, Env: map[string]string{"A": "\x00"}},
		} {
			if _, err := c.Run(bounded(t), command); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if strings.Contains(t.Name(), "interpreter") {
			return // its timeout differs
		}
		if r := run(t, c, Command{Argv: []string{"nonesuch-program"}}); r.Exit != 127 {
			t.Errorf("a missing program: exit code %d, want 127", r.Exit)
		}
	})
}

// What others on the host can see: the command lines of processes.
func TestRunSecretsAreNotInArguments(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := mustDial(t, s.target("root", key), plain())
	// A process sees its own ancestors' command lines in /proc.
	script := `p=$$; while [ "$p" -gt 1 ]; do tr '\0' ' ' </proc/$p/cmdline; echo; p=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$p/status); done`
	r := run(t, c, Command{Argv: []string{"sh", "-c", script}, Env: map[string]string{"TOKEN": "s3cret"}, Stdin: []byte("s3cret")})
	if !strings.Contains(string(r.Stdout), "timeout") {
		t.Fatalf("the process list is not as expected:\n%s", r.Stdout)
	}
	if strings.Contains(string(r.Stdout), "s3cret") {
		t.Errorf("the secret is seen in the process list:\n%s", r.Stdout)
	}
	for _, line := range s.seen() {
		if strings.Contains(line, "s3cret") {
			t.Errorf("the secret is in the command line given to sshd: %s", line)
		}
	}
}

// TestRunLimit distinguishes a command that its limit has ended from one that was killed otherwise, and from one that
// uses the exit code of timeout(1) itself.
func TestRunLimit(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		for _, command := range []struct {
			script  string
			want    int
			overran bool
		}{
			{"printf said >&2; sleep 50", 124, true}, {"trap '' TERM; printf said >&2; while :; do sleep 1; done", 124, true},
			{"printf said >&2; kill -9 $$", 137, false}, {"printf said >&2; kill -TERM $$", 143, false}, {"printf said >&2; exit 124", 124, false},
		} {
			t.Run(name+" "+command.script, func(t *testing.T) {
				t.Parallel()
				limit := time.Minute
				if command.overran {
					limit = time.Second
				}
				r := run(t, c, Command{Argv: []string{"sh", "-c", command.script}, Limit: limit})
				if r.Exit != command.want || r.Limit > 0 != command.overran || r.Limit > 0 && r.Limit != limit {
					t.Errorf("exit code %d, limit %v; want %d, and %v for whether the limit ended it", r.Exit, r.Limit, command.want, command.overran)
				}
				if got := string(r.Stderr); got != "said" && got != "saidKilled\n" && got != "saidTerminated\n" { // a shell may report how its child has ended
					t.Errorf("standard error %q has more than the command's own", got)
				}
			})
		}
	}
}

func sshConn(t *testing.T) *conn {
	key := newKey(t, "id", "")
	return mustDial(t, newOpenSSH(t, key).target(t, key), plain())
}

// waitFor waits until a file exists.
func waitFor(t *testing.T, path string) string {
	t.Helper()
	ctx := bounded(t)
	for {
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b))
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has not appeared", path)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestRunCancelledIsEndedOnTheHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		dir := t.TempDir()
		started, ended := filepath.Join(dir, "started"), filepath.Join(dir, "ended")
		ctx, cancel := context.WithCancel(bounded(t))
		done := make(chan error)
		go func() {
			_, err := c.Run(ctx, Command{Argv: []string{"sh", "-c",
				`trap 'echo yes >"$2"; exit' TERM; echo yes >"$1"; while :; do sleep 0.05; done`, "sh", started, ended}})
			done <- err
		}()
		waitFor(t, started)
		cancel()
		err := <-done
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has ended since") {
			t.Errorf("%s: error %v, want context.Canceled and that it has ended", name, err)
		}
		waitFor(t, ended)
		if got := ask(t, c, Query{Script: "printf on"}); string(got[0].Stdout) != "on" {
			t.Errorf("%s: the connection is of no use afterwards", name)
		}
	}
}

// A background process keeps the output open. The command has ended all the same, and what the process prints is
// ignored.
func TestRunBackgroundChild(t *testing.T) {
	for name, c := range map[string]*conn{"local": local(), "ssh": sshConn(t)} {
		r := run(t, c, Command{Argv: []string{"setsid", "-f", "sh", "-c", "sleep 5; echo late"}})
		if r.Exit != 0 || len(r.Stdout) > 0 {
			t.Errorf("%s: exit %d, output %q", name, r.Exit, r.Stdout)
		}
		if r = run(t, c, Command{Argv: []string{"echo", "next"}}); string(r.Stdout) != "next\n" {
			t.Errorf("%s: the next command printed %q", name, r.Stdout)
		}
	}
}

func TestRunLostConnection(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := mustDial(t, s.target("root", key), plain())
	started := filepath.Join(t.TempDir(), "started")
	ran, asked := make(chan error), make(chan error)
	ask(t, c, Query{Script: ":"})
	go func() {
		_, err := c.Run(bounded(t), Command{Argv: []string{"sh", "-c", `echo yes >"$1"; sleep 5`, "sh", started}})
		ran <- err
	}()
	go func() {
		_, err := c.Ask(bounded(t), []Query{{Script: "sleep 5"}})
		asked <- err
	}()
	waitFor(t, started)
	s.cut()
	<-c.Done()
	for what, err := range map[string]error{"run": <-ran, "ask": <-asked} {
		var lost *UnreachableError
		if !errors.As(err, &lost) || lost.Host != "node" {
			t.Errorf("%s: error %v, want an UnreachableError of node", what, err)
		}
	}
	if _, err := c.Run(bounded(t), Command{Argv: []string{"true"}}); !errors.As(err, new(*UnreachableError)) {
		t.Errorf("run afterwards: error %v, want an UnreachableError", err)
	}
	if _, err := c.Ask(bounded(t), []Query{{Script: "true"}}); !errors.As(err, new(*UnreachableError)) {
		t.Errorf("ask afterwards: error %v, want an UnreachableError", err)
	}
}

func TestSessionsAreFewAndRefusalsAreRetried(t *testing.T) {
	t.Parallel()
	key := newKey(t, "id", "")
	s := newServer(t, key)
	c := mustDial(t, s.target("root", key), plain())
	s.refuse.Store(3)
	errs := make(chan error)
	for range 12 {
		go func() {
			_, err := c.Run(bounded(t), Command{Argv: []string{"true"}})
			errs <- err
		}()
	}
	for range 12 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most := s.mostOpen.Load(); most > maxSessions {
		t.Errorf("%d sessions at the same time, want at most %d", most, maxSessions)
	}
	s.refuse.Store(1000)
	if _, err := mustDial(t, s.target("root", key), plain()).Run(bounded(t), Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "refused a session") {
		t.Errorf("a host that refuses for ever: error %v", err)
	}
}

// A frame that is cut at any point runs nothing.
func TestRunCutScriptRunsNothing(t *testing.T) {
	dir := t.TempDir()
	c := Command{Argv: []string{"touch", filepath.Join(dir, "a"), filepath.Join(dir, "b")}, Env: map[string]string{"X": "y z"}}
	script, err := c.script(nonce(), "root", environment)
	if err != nil {
		t.Fatal(err)
	}
	text := frame(script)
	for _, end := range []int{1, 2, len(text) / 2, len(text) - 40, len(text) - 10, len(text) - 4, len(text) - 3} {
		runSh("exec sh -c '"+boot+"'", os.Environ(), strings.NewReader(string(text[:end])), &strings.Builder{}, &strings.Builder{})
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Fatalf("cut after %d of %d bytes, it ran", end, len(text))
		}
	}
	runSh("exec sh -c '"+boot+"'", os.Environ(), strings.NewReader(string(text)), &strings.Builder{}, &strings.Builder{})
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Fatalf("whole, it did not run")
	}
}

// A connection that breaks when a session is opened is reported as lost, not as a host that refuses sessions.
func TestConnectionLostAtASession(t *testing.T) {
	key := newKey(t, "id", "")
	for range 20 {
		s := newServer(t, key, func(s *server) { s.breaks = true })
		c := mustDial(t, s.target("root", key), plain())
		if _, err := c.Ask(bounded(t), []Query{{Script: ":"}}); !errors.As(err, new(*UnreachableError)) {
			t.Fatalf("error %v, want an UnreachableError", err)
		}
	}
}
