package nodestate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// node is a real shell with a directory in place of /var/lib/hlplay.
type node struct {
	t   *testing.T
	dir string // in place of Dir
	remote.Conn
}

func newNode(t *testing.T) *node {
	n := &node{t: t, dir: filepath.Join(t.TempDir(), "lib", "hlplay"), Conn: remote.Local("node")}
	if err := os.Mkdir(filepath.Dir(n.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Conn.Close() })
	return n
}

// here makes a query use the node's own directory.
func (n *node) here(q remote.Query) remote.Query {
	here := strings.NewReplacer(Dir, n.dir, "/var/lib", filepath.Dir(n.dir), "/run/systemd/system", n.dir+"/no-systemd")
	q.Script = here.Replace(q.Script)
	args := make([]string, len(q.Args))
	for i, arg := range q.Args {
		args[i] = here.Replace(arg)
	}
	q.Args = args
	return q
}

// again replaces the connection, and returns once the commands of the old one have ended.
func (n *node) again() {
	n.t.Helper()
	n.Conn.Close()
	n.Conn = remote.Local("node")
	for { // limited by the test's deadline
		if lock := n.state().Lock; lock == nil || !lock.Alive {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (n *node) ask(q remote.Query) remote.Answer {
	n.t.Helper()
	answers, err := n.Ask(context.Background(), []remote.Query{n.here(q)})
	if err != nil {
		n.t.Fatal(err)
	}
	if len(answers[0].Stderr) > 0 {
		n.t.Errorf("%s: %s", q.Script, answers[0].Stderr)
	}
	return answers[0]
}

func (n *node) state() State {
	n.t.Helper()
	text := string(n.ask(States.Ask([]string{""})[0]).Stdout)
	if os.Getuid() != 0 { // the test's user stands in for root
		text = strings.ReplaceAll(text, "of "+strconv.Itoa(os.Getuid()), "of 0")
	}
	return parse(text)
}

// act returns the query before a step of some run.
func act(all ...Due) remote.Query { return Holder{Run: "r1"}.Act(nil, all...) }

func (n *node) run(before remote.Query, argv ...string) remote.Result {
	n.t.Helper()
	r, err := n.Run(context.Background(), remote.Command{Argv: argv, Before: n.here(before)})
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

var chrony = Due{
	ID: Name("time", "restart chrony"), Play: "time", Handler: "restart chrony", Task: "it's \"the\" configuration\n…☃😀\\", File: "play.hcl", Line: 7,
	Playbook: "play.hcl", Run: "r1", By: "ada@desk", Since: time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC),
}

// A record that is made before a command stays after it, however the command ends, until it is cleared.
func TestDueUntilCleared(t *testing.T) {
	n := newNode(t)
	if s := n.state(); !cmp.Equal(s, State{}) {
		t.Errorf("on a node that nobody has changed: %+v", s)
	}
	if _, err := os.Stat(n.dir); err == nil {
		t.Error("reading has made the directory")
	}
	other := Due{ID: Name("time", "other"), Play: "time", Handler: "other", Since: chrony.Since.Add(-time.Hour)}
	r := n.run(act(chrony, other), "sh", "-c", "cat; echo out; echo err >&2; exit 3")
	if string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" || r.Exit != 3 {
		t.Errorf("the command printed %q and %q and ended with %d", r.Stdout, r.Stderr, r.Exit)
	}
	if s := n.state(); s.Lock == nil || s.Lock.Run != "r1" || !s.Lock.Alive {
		t.Errorf("while the connection stands, the lock is %+v", s.Lock)
	}
	if diff := cmp.Diff([]Due{other, chrony}, n.state().Due); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	n.run(act(chrony), "true")
	n.ask(Clear(other.ID))
	n.ask(Clear(other.ID))
	if diff := cmp.Diff([]Due{chrony}, n.state().Due); diff != "" {
		t.Errorf("due after one was cleared (-want +got):\n%s", diff)
	}
	n.ask(Clear(chrony.ID, other.ID))
	n.again()
	if s := n.state(); !cmp.Equal(s, State{}) {
		t.Errorf("after all is cleared: %+v", s)
	}
	for _, dir := range []string{n.dir, filepath.Join(n.dir, "due")} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s is %v (%v), want it to be root's alone", dir, info.Mode(), err)
		}
	}
}

// If the directory cannot be read, Clear fails and removes nothing.
func TestClearRefused(t *testing.T) {
	n := newNode(t)
	for _, dir := range []string{n.dir, filepath.Join(n.dir, "due")} {
		if answer := n.ask(Clear(chrony.ID)); answer.Exit != 0 {
			t.Errorf("without %s: exit code %d: nothing is due there", dir, answer.Exit)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(n.dir, "due")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "due"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	forget := remote.Query{Script: forgetting, Args: []string{"", "ada has forgotten", chrony.ID}}
	for name, q := range map[string]remote.Query{"clear": Clear(chrony.ID), "forget": forget} {
		if answers, err := n.Ask(context.Background(), []remote.Query{n.here(q)}); err != nil || answers[0].Exit == 0 {
			t.Errorf("%s: it is told to be done where the directory cannot be entered (%v)", name, err)
		}
	}
}

// A file that has lost its content in a power failure still says which handler is due.
func TestContentThatIsLost(t *testing.T) {
	n := newNode(t)
	n.run(act(chrony), "true")
	for _, content := range []string{"", "{", "{\"play\":\"time\",\"handler\":\"another\"}\n", strings.Repeat("\x00", 4096)} {
		if err := os.WriteFile(filepath.Join(n.dir, "due", chrony.ID), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Due{{ID: chrony.ID}}, n.state().Due); diff != "" {
			t.Errorf("%q: due (-want +got):\n%s", content, diff)
		}
	}
	for _, name := range []string{"README", ".hidden", strings.Repeat("0", 31), "x\ndue " + chrony.ID} {
		if err := os.WriteFile(filepath.Join(n.dir, "due", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(n.dir, "due", Name("a", "link"))); err != nil {
		t.Fatal(err)
	}
	for _, d := range n.state().Due {
		if d.ID != chrony.ID && d.ID != Name("a", "link") || d.Play != "" {
			t.Errorf("%+v is due", d)
		}
	}
}

// Records that users other than root could have made are not trusted, and a directory that is not writable is reported.
func TestLookDistrusts(t *testing.T) {
	for name, spoil := range map[string]func(n *node) error{
		"its mode is 755":           func(n *node) error { return os.Chmod(n.dir, 0o755) },
		"its mode is 770":           func(n *node) error { return os.Chmod(filepath.Join(n.dir, "due"), 0o770) },
		"it is not a directory":     func(n *node) error { return elsewhere(n.dir) },
		"it contains a symbolic li": func(n *node) error { return elsewhere(filepath.Join(n.dir, "due")) },
	} {
		n := newNode(t)
		n.run(act(chrony), "true")
		if err := spoil(n); err != nil {
			t.Fatal(err)
		}
		if s := n.state(); len(s.Due) > 0 || !strings.Contains(s.Refused, name) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if got := loose("1000 700 directory"); !strings.Contains(got, "owned by UID 1000") {
		t.Errorf("the directory of a user: %q", got)
	}
	n := newNode(t)
	if err := os.Remove(filepath.Dir(n.dir)); err != nil {
		t.Fatal(err)
	}
	if s := n.state(); !strings.Contains(s.Unwritable, "cannot be written to") {
		t.Errorf("without /var/lib: %+v", s)
	}
	if r := n.run(act(chrony), "echo", "done"); string(r.Stdout) != "done\n" {
		t.Errorf("where nothing can be kept, the command printed %q", r.Stdout)
	}
}

// elsewhere replaces a directory with a symbolic link.
func elsewhere(dir string) error {
	if err := os.Rename(dir, dir+".moved"); err != nil {
		return err
	}
	return os.Symlink(dir+".moved", dir)
}

func FuzzParse(f *testing.F) {
	f.Add("unwritable x\nof 0 700 directory\ndue " + chrony.ID + " " + chrony.text() + "\n")
	f.Add("of 0 755 directory\ndue\nrefused\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := parse(text)
		for _, d := range s.Due {
			if d.Handler != "" && d.ID != Name(d.Play, d.Handler) {
				t.Errorf("%+v is not what its name says", d)
			}
		}
	})
}

// Behind a command, a handler's record is removed without another process.
func TestClearedByTheHand(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("without perl, the shell starts rm")
	}
	bin, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	rm, err := exec.LookPath("rm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "rm"), []byte("#!/bin/sh\necho \"$*\" >>"+calls+"\nexec "+rm+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	n := newNode(t)
	other := Due{ID: Name("time", "other"), Play: "time", Handler: "other", Since: chrony.Since}
	n.run(act(chrony, other), "true")
	behind := func(q remote.Query) remote.Answer {
		t.Helper()
		_, answers, err := n.RunAll(context.Background(), remote.Actions{
			Commands: []remote.Command{{Argv: []string{"true"}}}, Then: []remote.Query{n.here(q)},
		})
		if err != nil || len(answers) != 1 {
			t.Fatal(answers, err)
		}
		return answers[0]
	}
	for range 2 { // a record that is not there is no failure
		if a := behind(Clear(chrony.ID)); a.Exit != 0 || len(a.Stdout)+len(a.Stderr) > 0 {
			t.Errorf("clearing ended with %d and printed %q and %q", a.Exit, a.Stdout, a.Stderr)
		}
		if diff := cmp.Diff([]Due{other}, n.state().Due); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
	}
	started, err := os.ReadFile(calls)
	if err != nil && !os.IsNotExist(err) || strings.Contains(string(started), chrony.ID) {
		t.Errorf("rm was started: %s, %v", started, err)
	}

	// What the hand cannot remove is reported by rm.
	if err := os.Remove(filepath.Join(n.dir, "due", other.ID)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(n.dir, "due", other.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	if a := behind(Clear(other.ID)); a.Exit != 1 || !strings.Contains(string(a.Stderr), "Is a directory") {
		t.Errorf("a directory in place of a record: exit code %d, %q", a.Exit, a.Stderr)
	}
}
