package nodestate

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// change is a set of file changes to undo: one file is replaced, one removed, one created, one changed through a symbolic
// link.
type change struct {
	*node
	dir string
	Undo
}

func newChange(t *testing.T, within time.Duration) *change {
	c := &change{node: newNode(t), dir: t.TempDir()}
	for name, content := range map[string]string{"replaced it's": "old\n", "removed": "kept\n", "target": "behind\n"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("target", filepath.Join(c.dir, "link")); err != nil {
		t.Fatal(err)
	}
	c.Undo = Undo{
		ID: rand.Text(), Task: "the ☃ network", File: "play.hcl", Line: 3, Run: "r1", By: "ada@desk", Within: within,
		Since:    time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC),
		Commands: [][]string{{"sh", "-c", `echo "$1" >"$2"`, "sh", "it's done", filepath.Join(c.dir, "applied")}},
	}
	for _, name := range []string{"replaced it's", "removed", "new", "link"} {
		c.Files = append(c.Files, filepath.Join(c.dir, name))
	}
	return c
}

func (c *change) arm() {
	c.t.Helper()
	q, err := c.Arm()
	if err != nil {
		c.t.Fatal(err)
	}
	if a := c.ask(q); a.Exit != 0 {
		c.t.Fatalf("arming: exit code %d", a.Exit)
	}
}

// waits returns the process that waits for the time to elapse.
func (c *change) waits() string {
	for { // limited by the test's deadline
		if b, err := os.ReadFile(filepath.Join(c.node.dir, "undo", c.ID, "pid")); err == nil && len(b) > 0 {
			return strings.TrimSpace(string(b))
		}
		time.Sleep(time.Millisecond)
	}
}

// gone returns once a process has ended.
func (c *change) gone(pid string) {
	for { // limited by the test's deadline
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// asker sends queries about the node's own directory.
func (c *change) asker() observe.Asker { return here{c.node} }

type here struct{ *node }

func (h here) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	for i := range queries {
		queries[i] = h.node.here(queries[i])
	}
	return h.Conn.Ask(ctx, queries)
}

// elapse lets the time elapse that the node waits, by ending the sleep of the process that waits.
func (c *change) elapse() {
	c.t.Helper()
	want := fmt.Sprintf("sleep\x00%d\x00", c.Within/time.Second)
	for pid := c.waits(); ; time.Sleep(time.Millisecond) { // limited by the test's deadline
		children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
		if err != nil {
			c.t.Fatal(err)
		}
		for _, child := range strings.Fields(string(children)) {
			if argv, err := os.ReadFile(filepath.Join("/proc", child, "cmdline")); err != nil || string(argv) != want { // not yet
				continue
			}
			number, err := strconv.Atoi(child)
			if err == nil {
				err = syscall.Kill(number, syscall.SIGTERM)
			}
			if err != nil {
				c.t.Fatal(err)
			}
			return
		}
	}
}

// reap ends the process that waits, as a restart does.
func (c *change) reap() {
	c.t.Helper()
	pid, err := strconv.Atoi(c.waits())
	if err == nil {
		err = syscall.Kill(-pid, syscall.SIGKILL)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *change) make() {
	c.t.Helper()
	for _, name := range []string{"replaced it's", "new", "link"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte("changed\n"), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(c.dir, "removed")); err != nil {
		c.t.Fatal(err)
	}
}

// files returns the contents of the files in the directory.
func (c *change) files() map[string]string {
	c.t.Helper()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(c.dir, e.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

var (
	asBefore = map[string]string{"replaced it's": "old\n", "removed": "kept\n", "target": "behind\n", "link": "behind\n", "applied": "it's done\n"}
	changed  = map[string]string{"replaced it's": "changed\n", "new": "changed\n", "target": "changed\n", "link": "changed\n"}
)

// A node undoes what was not disarmed, and tells the next run.
func TestUndoneByItself(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	want := c.Undo
	c.make()
	c.again() // the controller is gone
	c.elapse()
	for len(c.state().Undo) != 1 || !c.state().Undo[0].Ended { // limited by the test's deadline
		time.Sleep(10 * time.Millisecond)
	}
	if diff := cmp.Diff(asBefore, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(c.dir, "replaced it's")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v (%v), want it as before", info.Mode(), err)
	}
	want.Undone, want.Ended = true, true
	if diff := cmp.Diff([]Undo{want}, c.state().Undo); diff != "" {
		t.Errorf("it tells (-want +got):\n%s", diff)
	}
	if err := Disarmed(c.ask(c.Disarm())); err != ErrUndone {
		t.Errorf("disarming what is undone: %v, want %v", err, ErrUndone)
	}
	c.ask(Forgotten(c.ID))
	if s := c.state(); len(s.Undo) > 0 {
		t.Errorf("after it was told, there is still %v", s.Undo)
	}
}

func TestDisarmedInTime(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	want := c.Undo
	if diff := cmp.Diff([]Undo{want}, c.state().Undo, cmpopts.IgnoreFields(Undo{}, "Left")); diff != "" {
		t.Errorf("armed (-want +got):\n%s", diff)
	}
	if left := c.state().Undo[0].Left; left > time.Hour || left < 50*time.Minute {
		t.Errorf("%s are left of an hour", left)
	}
	waits := c.waits()
	if err := Disarmed(c.ask(c.Disarm())); err != nil {
		t.Fatal(err)
	}
	c.gone(waits)
	if diff := cmp.Diff(changed, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(filepath.Join(c.node.dir, "undo")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// A node that is shutting down, or whose systemd does not answer, keeps the change armed.
func TestDisarmedWhileTheNodeStays(t *testing.T) {
	for state, want := range map[string]error{
		"initializing": nil, "starting": nil, "running": nil, "degraded": nil, "maintenance": nil,
		"stopping": ErrStopping, "offline": ErrStopping, "unknown": ErrStopping, "": ErrStopping,
	} {
		c := newChange(t, time.Hour)
		c.arm()
		waits := c.waits()
		systemd := filepath.Join(c.node.dir, "no-systemd") // it exists until it has been asked; nothing was started by it
		if err := os.Mkdir(systemd, 0o700); err != nil {
			t.Fatal(err)
		}
		q := c.Disarm()
		q.Script = `systemctl() { rmdir "$2"; [ "$1" = is-system-running ] && echo "$3"; }` + "\n" +
			strings.Replace(q.Script, "systemctl is-system-running", "systemctl is-system-running '"+systemd+"' '"+state+"'", 1)
		if err := Disarmed(c.ask(q)); err != want {
			t.Errorf("systemd says %q: %v, want %v", state, err, want)
		}
		if armed := len(c.state().Undo) == 1; armed != (want != nil) {
			t.Errorf("systemd says %q: the change is armed: %t, want %t", state, armed, want != nil)
		}
		c.ask(c.Now())
		c.gone(waits)
	}
}

func TestUndoneAtOnce(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	waits := c.waits()
	s := Read(c.ask(c.Now()))
	c.gone(waits)
	if os.Getuid() == 0 && (len(s.Undo) != 1 || !s.Undo[0].Ended || s.Undo[0].Failed != "") {
		t.Errorf("it tells %+v", s)
	}
	if diff := cmp.Diff(asBefore, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
}

// What was changed after the time was up is undone by Again, and a change that is still armed as by Now.
func TestUndoneAgain(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	waits := c.waits()
	c.ask(c.Again())
	c.gone(waits)
	for range 2 {
		if diff := cmp.Diff(asBefore, c.files()); diff != "" {
			t.Fatalf("the files (-want +got):\n%s", diff)
		}
		c.make()
		s := Read(c.ask(c.Again()))
		if os.Getuid() == 0 && (len(s.Undo) != 1 || !s.Undo[0].Ended || s.Undo[0].Failed != "") {
			t.Errorf("it tells %+v", s)
		}
	}
	if diff := cmp.Diff(asBefore, c.files()); diff != "" {
		t.Errorf("the files at the end (-want +got):\n%s", diff)
	}
}

// At boot, a node restores the files before its network starts, and runs no commands.
func TestUndoneAtBoot(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	c.reap()
	if _, err := c.node.Run(context.Background(), remote.Command{Argv: []string{"sh", filepath.Join(c.node.dir, "undo", c.ID, "script"), "boot"}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, content := range asBefore {
		if name != "applied" {
			want[name] = content
		}
	}
	if diff := cmp.Diff(want, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
}

// What outlives a restart is undone a while after it, also if the node was restarted halfway through: with its commands.
func TestUndoneAfterBoot(t *testing.T) {
	for _, halfway := range []bool{false, true} {
		c := newChange(t, time.Hour)
		c.Outlives = true
		c.arm()
		c.make()
		c.reap()
		dir := filepath.Join(c.node.dir, "undo", c.ID)
		if halfway {
			if err := os.Rename(dir, dir+".undone"); err != nil {
				t.Fatal(err)
			}
			dir += ".undone"
		}
		if _, err := c.node.Run(t.Context(), remote.Command{Argv: []string{"sh", filepath.Join(dir, "script"), "late"}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asBefore, c.files()); diff != "" {
			t.Errorf("halfway %v: the files (-want +got):\n%s", halfway, diff)
		}
	}
}

// A node that is restarted while it undoes a change starts over.
func TestUndoneAtBootAfterAll(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	c.reap()
	undone := filepath.Join(c.node.dir, "undo", c.ID+".undone")
	if err := os.Rename(strings.TrimSuffix(undone, ".undone"), undone); err != nil {
		t.Fatal(err)
	}
	if s := c.state(); os.Getuid() == 0 && (len(s.Undo) != 1 || !s.Undo[0].Undone || s.Undo[0].Ended) {
		t.Errorf("in the middle of it, it tells %+v", s)
	}
	for _, want := range []string{"old\n", "since then\n"} { // the second time, undoing has ended
		if _, err := c.node.Run(context.Background(), remote.Command{Argv: []string{"sh", filepath.Join(undone, "script"), "boot"}}); err != nil {
			t.Fatal(err)
		}
		if got := c.files()["replaced it's"]; got != want {
			t.Errorf("the file is %q, want %q", got, want)
		}
		if err := os.WriteFile(filepath.Join(c.dir, "replaced it's"), []byte("since then\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.state(); len(s.Undo) != 1 || !s.Undo[0].Ended {
		t.Errorf("it tells %+v", s)
	}
}

// A change whose directory cannot be renamed is undone nevertheless, and disarming it does not report it as undone.
func TestUndoneWhereNothingCanBeRenamed(t *testing.T) {
	c := newChange(t, time.Hour)
	c.arm()
	c.make()
	c.reap()
	for _, name := range []string{c.ID + ".undone", c.ID + ".kept"} { // mv -T refuses to replace it
		if err := os.MkdirAll(filepath.Join(c.node.dir, "undo", name, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	answers, err := c.node.Ask(context.Background(), []remote.Query{c.here(c.Disarm())})
	if err != nil {
		t.Fatal(err)
	}
	if err := Disarmed(answers[0]); err == nil || err == ErrUndone {
		t.Errorf("disarming: %v, want that it could not be done", err)
	}
	c.ask(c.Now())
	if diff := cmp.Diff(asBefore, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
}

// A person can keep a change, and a change that was undone is forgotten.
func TestForgetUndo(t *testing.T) {
	armed, undone := newChange(t, time.Hour), newChange(t, time.Hour)
	armed.arm()
	armed.make()
	waits := armed.waits()
	undone.arm()
	undone.ask(undone.Now())
	for _, c := range []*change{armed, undone} {
		if err := Forget(context.Background(), c.asker(), c.state(), "ada@desk", "it works"); err != nil {
			t.Fatal(err)
		}
		if s := c.state(); len(s.Undo) > 0 {
			t.Errorf("there is still %v", s.Undo)
		}
	}
	armed.gone(waits)
	if diff := cmp.Diff(changed, armed.files()); diff != "" {
		t.Errorf("the files that were to stay (-want +got):\n%s", diff)
	}
}

// Arming that was cut off has no effect, and the next one removes what is left of it.
func TestArmingIsCutOff(t *testing.T) {
	c := newChange(t, time.Hour)
	c.run(act(), "true")
	half := filepath.Join(c.node.dir, "undo", "new.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(half), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := c.state(); len(s.Undo) > 0 {
		t.Errorf("half of it is taken for %v", s.Undo)
	}
	c.arm()
	if _, err := os.Stat(half); err == nil {
		t.Error("it is left behind")
	}
	c.ask(c.Disarm())
}

// A failure to undo is reported, with the place to look.
func TestUndoingFails(t *testing.T) {
	c := newChange(t, time.Hour)
	c.Commands = append([][]string{{"sh", "-c", "echo no such device; exit 3"}}, c.Commands...)
	c.arm()
	c.make()
	c.ask(c.Now())
	if diff := cmp.Diff(asBefore, c.files()); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
	u := c.state().Undo
	if len(u) != 1 || !strings.Contains(u[0].String(), c.ID+".undone/log") {
		t.Fatalf("it tells %v", u)
	}
	log, err := os.ReadFile(filepath.Join(c.node.dir, "undo", c.ID+".undone", "log"))
	if err != nil || string(log) != "no such device\nexit code 3\n" {
		t.Errorf("the log says %q (%v)", log, err)
	}
}

// If arming fails, nothing is left of it, and it returns an error.
func TestUndoRefused(t *testing.T) {
	c := newChange(t, time.Hour)
	c.Files = append(c.Files, filepath.Join(c.dir, "target", "below a file"))
	q, err := c.Arm()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := c.node.Ask(context.Background(), []remote.Query{c.here(q)})
	if err != nil || answers[0].Exit == 0 {
		t.Fatalf("exit code %d (%v): a file that cannot be kept was passed over", answers[0].Exit, err)
	}
	if left, _ := os.ReadDir(filepath.Join(c.node.dir, "undo")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	c.Files = []string{"/etc/two\nlines"}
	if _, err := c.Arm(); err == nil {
		t.Error("a path with a line break is accepted")
	}
}
