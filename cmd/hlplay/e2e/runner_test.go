//go:build linux && (e2e || machines)

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var program = flag.String("hlplay", "../../../bin/hlplay", "the program to be tested, as `make build` makes it")

// runLimit limits one run of the program, so that a node that hangs does not hang the test. A busy machine may be
// twenty times slower than an idle one.
const runLimit = time.Hour

// Exit codes of hlplay.
const (
	exitOK          = 0
	exitFailed      = 2
	exitUnreachable = 3
)

// node is a machine that tests access independently of hlplay.
type node interface {
	// Exec runs a program as root and returns its standard output. If the program fails, the error has its message.
	Exec(ctx context.Context, argv ...string) (string, error)
	// String returns the node's name.
	String() string
}

// on runs a program on a node independently of hlplay.
func on(t *testing.T, node node, argv ...string) string {
	t.Helper()
	out, err := node.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(out, "\n")
}

// shell runs a shell command on a node.
func shell(t *testing.T, node node, script string) string {
	t.Helper()
	return on(t, node, "sh", "-euc", script)
}

// wantOn compares the output of a shell command on a node.
func wantOn(t *testing.T, node node, script, want string) {
	t.Helper()
	got, err := node.Exec(t.Context(), "sh", "-c", script)
	got = strings.TrimRight(got, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s (-want +got, %v):\n%s", node, script, err, diff)
	}
}

// runner runs hlplay as one account of the nodes.
type runner struct {
	network   interface{ Start(cmd *exec.Cmd) error } // the network in which the program runs
	inventory string
	dir       string // the home directory
	vars      []string
	env       []string // variables of the program's environment besides the usual ones
	// password is the answer to the program's password prompts.
	password string
	// choice is the answer to the question what to do with long commands.
	choice string
	// started, if not nil, is called with the program's process.
	started func(*os.Process)
}

// outcome is the result of a run.
type outcome struct {
	code   int
	status map[string]string // by "host: task", the worst of a task's runs
	text   string            // standard output and error, for messages
	tasks  []taskLine
	costs  map[string]cost
	took   time.Duration
	busy   time.Duration // processor time that the program used
}

type taskLine struct {
	Type, Task, Host, Status, Message, Output, Hint string
	Steps, Notes                                    []string
	Handler                                         bool
	DurationMS                                      int64 `json:"duration_ms"`
}

type cost struct {
	RoundTrips int `json:"round_trips"`
	Flights    int `json:"flights"`
	Sent       int `json:"sent"` // bytes
}

// run runs a playbook in testdata/e2e.
func (r *runner) run(t *testing.T, playbook string, flags ...string) outcome {
	t.Helper()
	args := []string{"run", playbook, "-i", r.inventory, "--output", "json", "--allow", "all", "--journal", filepath.Join(r.dir, "journal")}
	for _, v := range r.vars {
		args = append(args, "-e", v)
	}
	if r.password != "" {
		args = append(args, "--ask-become-pass")
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, absolute(t, *program), append(args, flags...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Dir = playbooks
	cmd.Env = append([]string{"HOME=" + r.dir, "PATH=" + os.Getenv("PATH"), "USER=nobody"}, r.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	terminal, err := openTerminal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := r.network.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if r.started != nil {
		go r.started(cmd.Process)
	}
	terminal.answer(map[string]string{"assword: ": r.password, "leaves them: ": r.choice})
	err = cmd.Wait()
	terminal.close()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	ended := cmd.ProcessState
	o := outcome{
		code: ended.ExitCode(), status: map[string]string{}, text: stdout.String() + stderr.String(), took: time.Since(began),
		busy: ended.UserTime() + ended.SystemTime(),
	}
	if err := o.parse(stdout.Bytes()); err != nil && o.code >= 0 { // a killed program may leave half a line
		t.Fatalf("%v in the output:\n%s", err, o.text)
	}
	return o
}

// playbooks is the directory of the playbooks, and the program's working directory.
const playbooks = "../../../testdata/e2e"

func (o *outcome) parse(text []byte) error {
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		var line struct {
			taskLine
			Costs map[string]cost
		}
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			return err
		}
		switch line.Type {
		case "task":
			o.tasks = append(o.tasks, line.taskLine)
			o.status[line.Host+": "+line.Task] = line.Status
		case "recap":
			o.costs = line.Costs
		}
	}
	return scan.Err()
}

// summary returns the cost of a run, for the log.
func (o outcome) summary() string {
	s := fmt.Sprintf("%d results in %s", len(o.tasks), o.took.Round(time.Millisecond))
	for host, c := range o.costs {
		s += fmt.Sprintf("; %s: %d round trips, %d flights", host, c.RoundTrips, c.Flights)
	}
	return s
}

// wantCode fails the test if a run ended with another exit code.
func (o outcome) wantCode(t *testing.T, what string, code int) {
	t.Helper()
	if o.code != code {
		t.Fatalf("%s ended with exit code %d, expected %d:\n%s", what, o.code, code, o.failures())
	}
}

// failures returns the failed tasks with their messages, or the whole output if no task failed.
func (o outcome) failures() string {
	var out strings.Builder
	for _, task := range o.tasks {
		if task.Status == "failed" || task.Status == "unreachable" {
			fmt.Fprintf(&out, "%s: %s: %s\n  %s\n  %s\n", task.Host, task.Task, task.Message, task.Hint, task.Output)
		}
	}
	if out.Len() == 0 {
		return o.text
	}
	return out.String()
}

// wantUnchanged fails the test if a run found something to do.
func (o outcome) wantUnchanged(t *testing.T, what string) {
	t.Helper()
	o.wantCode(t, what, exitOK)
	for _, task := range o.tasks {
		if task.Status != "ok" && task.Status != "skipped" {
			t.Errorf("%s: %s on %s is %s: %q %s", what, task.Task, task.Host, task.Status, task.Steps, task.Message)
		}
	}
}

// terminal is a pseudo-terminal that is a program's controlling terminal, on which it asks for passwords.
type terminal struct{ master, slave *os.File }

func openTerminal(cmd *exec.Cmd) (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock a pseudo terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("number of a pseudo terminal: %w", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	return &terminal{master, slave}, nil
}

// answer types an answer whenever the program's output ends with a question. An empty answer is not typed.
func (x *terminal) answer(answers map[string]string) {
	x.slave.Close()
	go func() {
		var said []byte
		buffer := make([]byte, 1024)
		for {
			count, err := x.master.Read(buffer)
			if err != nil { // the program has ended
				return
			}
			said = append(said, buffer[:count]...)
			for question, answer := range answers {
				if answer != "" && bytes.HasSuffix(said, []byte(question)) {
					said = nil
					x.master.WriteString(answer + "\n")
				}
			}
		}
	}()
}

func (x *terminal) close() { x.master.Close() }

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
