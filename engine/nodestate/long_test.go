package nodestate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/remote"
)

var upgrade = Long{
	ID: "abc123", What: "upgrade it's \"all\"", Task: "packages", File: "play.hcl", Line: 7, Playbook: "play.hcl",
	Run: "r1", By: "ada@desk", Since: time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC), Limit: 60,
}

// long returns a shell script as a long command.
func (n *node) long(l Long, script string, args ...string) remote.Command {
	return remote.Command{
		Argv: append([]string{"sh", "-c", script, "sh"}, args...), Env: map[string]string{"SECRET": "it's one"}, Stdin: []byte("in\n"),
		Via: n.here(l.Start()),
	}
}

func (n *node) attach(l Long) remote.Result {
	n.t.Helper()
	r, err := n.Run(context.Background(), remote.Command{Argv: []string{"sh"}, Via: n.here(l.Attach())})
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// await waits until a file exists, up to the test's deadline.
func await(t *testing.T, path string) {
	t.Helper()
	for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
		time.Sleep(time.Millisecond)
	}
}

// A long command has input, output and exit code like any other. Its directory is removed by the shell that has read its
// end.
func TestLongIsACommand(t *testing.T) {
	n := newNode(t)
	r, err := n.Run(context.Background(), n.long(upgrade, `cat; echo "$SECRET $LC_ALL"; pwd; umask; echo err >&2; exit 3`))
	if err != nil {
		t.Fatal(err)
	}
	kept := upgrade
	kept.Fate, kept.Exit = Ended, 3
	if diff := cmp.Diff([]Long{kept}, n.state().Running, cmpopts.IgnoreFields(Long{}, "Process")); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	n.holdsNothing("it's one")
	plain := n.long(upgrade, `cat; echo "$SECRET $LC_ALL"; pwd; umask; echo err >&2; exit 3`)
	plain.Via = remote.Query{}
	want, err := n.Run(context.Background(), plain)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(remote.Result{}, "Duration")); diff != "" || r.Exit != 3 {
		t.Errorf("(-plain +long):\n%s", diff)
	}
	if running := n.state().Running; len(running) > 0 { // the shell was sent another command
		t.Errorf("kept after the next command: %+v", running)
	}
	if r, err = n.Run(context.Background(), n.long(upgrade, "exit 3")); err != nil {
		t.Fatal(err)
	}
	n.Conn.Close()
	for _, err := os.Stat(filepath.Join(n.dir, "running", upgrade.ID)); err == nil; _, err = os.Stat(filepath.Join(n.dir, "running", upgrade.ID)) {
		time.Sleep(time.Millisecond) // limited by the test's deadline
	}
	for _, args := range []string{"no such program", "sleep"} {
		n.Conn = remote.Local("node")
		c := n.long(upgrade, "", "")
		c.Argv, c.Limit = []string{args, "100"}, time.Second
		r, err := n.Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"sleep": 124, "no such program": 127}[args]; r.Exit != want || (r.Limit > 0) != (want == 124) {
			t.Errorf("%s ended with %d (limit %s), want %d", args, r.Exit, r.Limit, want)
		}
		n.again()
	}
}

// A long command outlives its connection. Another connection finds it, waits for it and reads its end, and the command was
// started once.
func TestLongOutlivesItsConnection(t *testing.T) {
	n := newNode(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := make(chan error, 1)
	go func() {
		_, err := n.Run(ctx, n.long(upgrade, `echo begun >>"$1/begun"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; echo done; exit 4`, dir))
		left <- err
	}()
	await(t, filepath.Join(dir, "begun"))
	cancel()
	if err := <-left; err == nil || !strings.Contains(err.Error(), "sh was left running on the host") {
		t.Errorf("who is interrupted is told %v", err)
	}
	n.Conn.Close()
	n.Conn = remote.Local("node")
	kept := upgrade
	kept.Fate = Alive
	running := n.state().Running
	if diff := cmp.Diff([]Long{kept}, running, cmpopts.IgnoreFields(Long{}, "Process")); diff != "" || running[0].Process < 2 {
		t.Fatalf("while it runs (-want +got):\n%s", diff)
	}
	n.ask(Discard(upgrade)) // of a run that read the state before the command was started
	n.ask(upgrade.Await(time.Second))
	if running := n.state().Running; running[0].Fate != Alive {
		t.Errorf("after a wait that was too short it is %s", running[0].Fate)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.ask(upgrade.Await(time.Minute))
	if running := n.state().Running; running[0].Fate != Ended || running[0].Exit != 4 {
		t.Errorf("when it has ended it is %+v", running)
	}
	if r := n.attach(upgrade); string(r.Stdout) != "done\n" || r.Exit != 4 {
		t.Errorf("who waits reads %q and %d", r.Stdout, r.Exit)
	}
	n.ask(Discard(upgrade))
	if running := n.state().Running; len(running) > 0 {
		t.Errorf("after it is discarded: %+v", running)
	}
	if r := n.attach(upgrade); r.Exit != 137 || !strings.Contains(string(r.Stderr), "no record of the command") {
		t.Errorf("who waits for nothing reads %q and %d", r.Stderr, r.Exit)
	}
	if begun, err := os.ReadFile(filepath.Join(dir, "begun")); err != nil || string(begun) != "begun\n" {
		t.Errorf("it was begun %q (%v)", begun, err)
	}
}

// A connection may be lost without its shell knowing, which goes on waiting for the command that it has started. Whoever began to
// read last has the command's end, and its shell alone removes the directory.
func TestLongThatTwoShellsAwait(t *testing.T) {
	n := newNode(t)
	dir, reader := t.TempDir(), filepath.Join(n.dir, "running", upgrade.ID, "reader")
	first := n.Conn
	results := make(chan error, 2)
	want := func(r remote.Result, err error) {
		if err == nil && (r.Exit != 4 || string(r.Stdout) != "done\n") {
			err = fmt.Errorf("who waits reads %q and %d", r.Stdout, r.Exit)
		}
		results <- err
	}
	command := n.long(upgrade, `echo begun >"$1/begun"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; echo done; exit 4`, dir)
	go func() { want(first.Run(context.Background(), command)) }()
	await(t, filepath.Join(dir, "begun"))
	before, _ := os.ReadFile(reader)
	n.Conn = remote.Local("node")
	defer first.Close()
	go func() {
		want(n.Run(context.Background(), remote.Command{Argv: []string{"sh"}, Via: n.here(upgrade.Attach())}))
	}()
	for now := before; len(now) == 0 || string(now) == string(before); now, _ = os.ReadFile(reader) { // limited by the test's deadline
		time.Sleep(time.Millisecond)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	for _, shell := range []struct {
		what string
		conn remote.Conn
		kept int
	}{{"first", first, 1}, {"last", n.Conn, 0}} {
		if _, err := shell.conn.Run(context.Background(), remote.Command{Argv: []string{"true"}}); err != nil { // tells it that the end was read
			t.Fatal(err)
		}
		if running := n.state().Running; len(running) != shell.kept {
			t.Errorf("once the shell that began to read %s knows that the end was read, %d commands are kept, want %d", shell.what, len(running), shell.kept)
		}
	}
}

// While a long command runs, only its user can read what the node keeps of it. The command itself has the modes of the
// connection's umask.
func TestLongIsPrivate(t *testing.T) {
	n := newNode(t)
	dir := filepath.Join(n.dir, "running", upgrade.ID)
	r, err := n.Run(context.Background(), n.long(upgrade, `cd "$1" && ls && find . -type f ! -name pid -perm /077 && cat >/dev/null`, dir))
	if err != nil {
		t.Fatal(err)
	}
	if out := string(r.Stdout); !strings.Contains(out, "script\n") || !strings.Contains(out, "in\n") || strings.Contains(out, "./") {
		t.Errorf("%s holds, and others can read those with ./:\n%s", dir, out)
	}
}

// holdsNothing checks that none of the command's files except its output contains a text.
func (n *node) holdsNothing(text string) {
	n.t.Helper()
	dir := filepath.Join(n.dir, "running", upgrade.ID)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		n.t.Errorf("%s holds %d files (%v)", dir, len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err == nil && f.Name() != "out" && strings.Contains(string(b), text) {
			n.t.Errorf("when the command has ended, %s holds %q", f.Name(), text)
		}
	}
}

// A command whose start was cut off is not waited for and blocks nothing.
func TestLongThatWasNeverBegun(t *testing.T) {
	n := newNode(t)
	dir := filepath.Join(n.dir, "running", upgrade.ID)
	for name, of := range map[string]string{"nobody": "", "of another boot": "1 1 another starting\n", "of a process that is gone": "4194304 1 " + bootID(t) + " starting\n"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(n.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "of"), []byte(of), 0o600); err != nil {
			t.Fatal(err)
		}
		if running := n.state().Running; len(running) != 1 || running[0].Fate != Lost {
			t.Errorf("what a starter %s has left is %+v, want that it is lost", name, running)
		}
		n.ask(Discard(upgrade))
		if running := n.state().Running; len(running) > 0 {
			t.Errorf("what a starter %s has left stays: %+v", name, running)
		}
	}
}

func bootID(t *testing.T) string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// A command whose process cannot be recorded is not started, because another run would start it again.
func TestLongWithoutRoom(t *testing.T) {
	mv, err := exec.LookPath("mv")
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	full := "#!/bin/sh\ncase $2 in */of.new) echo 'No space left on device' >&2; exit 1 ;; esac\nexec " + mv + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(programs, "mv"), []byte(full), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	n := newNode(t)
	begun := filepath.Join(t.TempDir(), "begun")
	r, err := n.Run(context.Background(), n.long(upgrade, `: >"$1"`, begun))
	if err != nil || r.Exit != 126 || !strings.Contains(string(r.Stderr), "the command was not started") {
		t.Errorf("it ended with %d, %q (%v); want that it was not started", r.Exit, r.Stderr, err)
	}
	if _, err := os.Stat(begun); err == nil {
		t.Error("it was begun")
	}
	if running := n.state().Running; len(running) > 0 {
		t.Errorf("kept: %+v", running)
	}
}

// SIGTERM ends the command but not the script that runs it. If that script is killed, the command counts as running as long
// as it is.
func TestLongThatIsEnded(t *testing.T) {
	n := newNode(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		ended := make(chan remote.Result, 1)
		pid := filepath.Join(n.dir, "running", upgrade.ID, "pid")
		go func() {
			r, _ := n.Run(context.Background(), n.long(upgrade, "exec sleep 1000"))
			ended <- r
		}()
		await(t, pid)
		other := n.other()
		var process int
		for process == 0 {
			for _, l := range other.state().Running {
				process = l.Process
			}
		}
		if err := syscall.Kill(process, signal); err != nil {
			t.Fatal(err)
		}
		if signal == syscall.SIGKILL {
			var b []byte
			for len(b) == 0 { // the file exists a moment before its content
				var err error
				if b, err = os.ReadFile(pid); err != nil {
					t.Fatal(err)
				}
			}
			number, _, _ := strings.Cut(string(b), " ")
			left, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			// Until its parent has seen that it has ended, the watch still counts.
			for syscall.Kill(process, 0) == nil { // limited by the test's deadline
				time.Sleep(time.Millisecond)
			}
			n.ask(Discard(upgrade))
			if running := other.state().Running; len(running) != 1 || running[0].Fate != Alive || running[0].Process != left {
				t.Errorf("a command without its watch is %+v, want that it is alive as process %d", running, left)
			}
			if err := syscall.Kill(left, syscall.SIGTERM); err != nil {
				t.Errorf("it has not survived its watch: %v", err)
			}
		}
		r := <-ended
		if want := map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGKILL: 137}[signal]; r.Exit != want || r.Limit > 0 {
			t.Errorf("%s: it ended with %d, want %d: %s", signal, r.Exit, want, r.Stderr)
		}
		if signal == syscall.SIGTERM {
			n.ask(Discard(upgrade))
			continue
		}
		if running := other.state().Running; len(running) != 1 || running[0].Fate != Lost {
			t.Errorf("what was killed is %+v, want that it is lost", running)
		}
	}
}

// What was sent behind a long command is begun by the shell that has started the command, or withheld from it, even if it does not know
// that its connection was lost. Whoever withholds it learns which.
func TestWithholdWhatIsBehind(t *testing.T) {
	for name, test := range map[string]struct {
		lost     bool // the shell's side of the connection, too
		withheld bool // before the command ends
		begun    bool // what is behind it
	}{
		"a connection that nobody knows to be lost": {withheld: true},
		"a connection that is known to be lost":     {lost: true, withheld: true},
		"a connection that is lost too late":        {begun: true},
	} {
		check := func(t *testing.T, actions func(n *node, long, behind remote.Command) remote.Actions) {
			n := newNode(t)
			dir := t.TempDir()
			a := actions(n, n.long(upgrade, `echo begun >>"$1/begun"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; exit 0`, dir),
				remote.Command{Argv: []string{"touch", filepath.Join(dir, "behind")}, Brief: true})
			starter := n.Conn
			ended := make(chan error, 1)
			go func() {
				_, _, err := starter.RunAll(t.Context(), a)
				ended <- err
			}()
			await(t, filepath.Join(dir, "begun"))
			if test.lost {
				n.Conn.Close()
			}
			n.Conn = remote.Local("node")
			if test.lost {
				n.t.Cleanup(func() { starter.Close() })
			}
			withhold := func() int { return n.ask(upgrade.Withhold()).Exit }
			for range 2 { // a run may ask twice
				if test.withheld && withhold() != 0 {
					t.Error("it cannot be withheld")
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil && !test.lost && !errors.As(err, new(*remote.PreventedError)) {
				t.Fatal(err)
			}
			if r := n.attach(upgrade); r.Exit != 0 && !test.begun {
				t.Errorf("whoever waits anew learns %d: %s", r.Exit, r.Stderr)
			}
			if test.begun == (withhold() == 0) {
				t.Errorf("withheld: %v", !test.begun)
			}
			starter.Close()
			if _, err := os.Stat(filepath.Join(dir, "behind")); (err == nil) != test.begun {
				t.Errorf("begun: %v, want %v", err == nil, test.begun)
			}
			if !test.lost && len(a.Ahead) > 0 && a.Ahead[0].Begun != test.begun {
				t.Errorf("its own connection hears that it was begun: %v", a.Ahead[0].Begun)
			}
		}
		t.Run(name+", sent ahead", func(t *testing.T) { check(t, sentAhead) })
		t.Run(name+", the next command", func(t *testing.T) { check(t, sentNext) })
	}
}

// sentAhead and sentNext send a command behind a long one: on that condition, or as the next.
func sentAhead(n *node, long, behind remote.Command) remote.Actions {
	return remote.Actions{Commands: []remote.Command{long}, Ahead: []*remote.Ahead{{If: []remote.Query{n.here(upgrade.Behind())}, Commands: []remote.Command{behind}}}}
}

func sentNext(n *node, long, behind remote.Command) remote.Actions {
	behind.Before = n.here(upgrade.Behind())
	return remote.Actions{Commands: []remote.Command{long, behind}}
}

// If a shell cannot record a long command, it runs the command itself, and what is behind it, too.
func TestBehindWithoutRecord(t *testing.T) {
	for name, actions := range map[string]func(n *node, long, behind remote.Command) remote.Actions{"sent ahead": sentAhead, "the next command": sentNext} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			if err := os.Mkdir(n.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(n.dir, "running"), nil, 0o600); err != nil { // in place of the directory
				t.Fatal(err)
			}
			mark := filepath.Join(t.TempDir(), "behind")
			results, _, err := n.RunAll(t.Context(), actions(n, n.long(upgrade, "exit 0"), remote.Command{Argv: []string{"touch", mark}, Brief: true}))
			if err != nil || len(results[0].Stderr) > 0 {
				t.Errorf("%+v (%v)", results, err)
			}
			if _, err := os.Stat(mark); err != nil {
				t.Error(err)
			}
		})
	}
}

// The shell of a run that has ended may not know that its connection was lost. If the next run has broken its lock, the shell does not go on
// behind a long command, even once that run has ended, too, or if the host has no record of the command.
func TestLostLockWithholds(t *testing.T) {
	for name, test := range map[string]struct {
		broken, released, unrecorded bool
	}{
		"the run has its lock":                 {},
		"another run has broken it":            {broken: true},
		"another run has broken it, and ended": {broken: true, released: true},
		"no record, and it has its lock":       {unrecorded: true},
		"no record, and another has broken it": {broken: true, unrecorded: true},
	} {
		check := func(t *testing.T, actions func(n *node, long, behind remote.Command) remote.Actions) {
			n := newNode(t)
			dir := t.TempDir()
			if test.unrecorded {
				if err := os.Mkdir(n.dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(n.dir, "running"), nil, 0o600); err != nil { // in place of the directory
					t.Fatal(err)
				}
			}
			a := actions(n, n.long(upgrade, `echo begun >>"$1/begun"; while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.01; done; exit 0`, dir),
				remote.Command{Argv: []string{"touch", filepath.Join(dir, "behind")}, Brief: true})
			a.Commands[0].Before = n.here(act())
			ended := make(chan error, 1)
			go func() {
				_, _, err := n.RunAll(t.Context(), a)
				ended <- err
			}()
			await(t, filepath.Join(dir, "begun"))
			next := n.other()
			if test.broken {
				if held := next.take(Holder{Run: "next"}, next.state().Lock); held != nil {
					t.Fatalf("the lock was to be broken and is held by %+v", held)
				}
			}
			if test.released {
				next.again()
				next.Conn.Close()
			}
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil && (!test.broken || !errors.As(err, new(*remote.PreventedError))) {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "behind")); (err == nil) == test.broken {
				t.Errorf("begun: %v, want %v", err == nil, !test.broken)
			}
		}
		t.Run(name+", sent ahead", func(t *testing.T) { check(t, sentAhead) })
		t.Run(name+", the next command", func(t *testing.T) { check(t, sentNext) })
	}
}
