package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sys/unix"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/lab/machine"
)

// The scripts in testdata/scripts are whole runs: each calls hlplay as a user would and checks its output and the state
// of the nodes. In addition to testscript's own commands there are
//
//	exits CODE hlplay ARGS…   run hlplay; it must end with that exit code
//	lab INVENTORY             start simulated nodes; lab/inventory then reaches them
//	clock SPEED               let the lab's clock run that many times as fast as the wall clock; at 0 only what sleeps or boots moves it
//	fault NODE KIND           make the node fail in that way from now on
//	node NODE COMMAND…        run a command on a node, without hlplay; its output can be checked; it must end within patience
//	signal NAME               send a signal to the background commands
//	await NODE PROGRAM        wait until the node has started a program of that name
//	writes NODE               output what was written on a node so far, and forget it
//	plant FILE                declare secrets, a JSON object of texts, that must not show from now on
//	hidden PATH…              check that no file there, except in FILE's directory, and no process on this machine shows a planted secret
//	hidden-on NODE [PATH…]    check the same for files on the node, except those named, and for everything started or written there
//
// If the expectation of a step is not met after a run, hlplay exits with exitDefect: see holdExpectations. A script in
// which somebody else modifies what a run has just changed sets HOLD=off.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bounded := context.Background()
	if deadline, ok := t.Deadline(); ok {
		ctx, cancel := context.WithDeadline(bounded, deadline.Add(-10*time.Second)) // leaves time to report what has not ended
		t.Cleanup(cancel)
		bounded = ctx
	}
	testscript.Run(t, scriptParams(bounded, root, filepath.Join(root, "testdata", "scripts")))
}

// scriptParams returns what runs the scripts in a directory. What a script waits for itself ends with ctx.
func scriptParams(ctx context.Context, root, dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SSH_AUTH_SOCK", "")
			env.Setenv("GORACE", soonGone+os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": scriptExits, "lab": scriptLab, "clock": scriptClock, "fault": scriptFault, "await": scriptAwait, "signal": scriptSignal,
			"plant": scriptPlant, "hidden": scriptHidden, "hidden-on": scriptHiddenOn,
			"node":   func(ts *testscript.TestScript, neg bool, args []string) { scriptNode(ctx, ts, neg, args) },
			"writes": func(ts *testscript.TestScript, neg bool, args []string) { scriptWrites(ctx, ts, neg, args) },
		},
		RequireUniqueNames: true,
	}
}

// soonGone goes before what else GORACE says. A program with the race detector sleeps for a second when it exits, so that
// goroutines that are still at work can be caught. The scripts start hlplay some two thousand times.
const soonGone = "atexit_sleep_ms=10 "

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "hlplay" {
		// The tests may run under nohup(1), or in the background of a script, where SIGHUP and SIGINT are ignored.
		// Child processes would inherit that. For a signal that this process handles, they get the default action
		// instead.
		for _, ignored := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
			if signal.Ignored(ignored) {
				signal.Notify(make(chan os.Signal, 1), ignored)
			}
		}
	}
	testscript.Main(m, map[string]func(){"hlplay": func() {
		holdExpectations = os.Getenv("HOLD") != "off"
		main()
	}})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		if want != 0 {
			ts.Fatalf("exit code 0, want %d", want)
		}
	case errors.As(err, &exit):
		if exit.ExitCode() != want {
			ts.Fatalf("exit code %d, want %d", exit.ExitCode(), want)
		}
	default:
		ts.Fatalf("%v", err)
	}
}

// labs are the running labs, by the script's work directory.
var labs sync.Map

// labSpeed is how much faster than the wall clock the lab's clock runs: what takes a minute on real nodes is settled in
// half a second.
const labSpeed = 120

func scriptLab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lab INVENTORY")
	}
	inv, diags := inventory.Load(ts.MkAbs(args[0]))
	if diags.HasErrors() {
		ts.Fatalf("%v", diags)
	}
	for _, h := range inv.Hosts { // of two nodes that are asked one after the other, the second seems to be ahead
		if _, given := h.Vars["preflight_accept"]; !given {
			h.Vars["preflight_accept"] = cty.ListVal([]cty.Value{cty.StringVal("clock")})
		}
	}
	l, err := lab.Start(context.Background(), inv, lab.Options{Dir: ts.MkAbs("lab"), Speed: labSpeed})
	ts.Check(err)
	labs.Store(ts.Getenv("WORK"), l)
	ts.Defer(func() {
		labs.Delete(ts.Getenv("WORK"))
		if err := l.Close(); err != nil {
			ts.Logf("closing the lab: %v", err)
		}
	})
}

// scriptClock changes the speed of the lab's clock. While it stands still, no timer of a node overtakes a run, however busy
// the machine is; a program that sleeps on a node still moves it.
func scriptClock(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: clock SPEED")
	}
	speed, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	l, ok := labs.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("there is no lab yet: start one with `lab INVENTORY`")
	}
	l.(*lab.Lab).Clock().SetSpeed(speed)
}

// scriptMachine returns a node of the script's lab.
func scriptMachine(ts *testscript.TestScript, name string) *machine.Machine {
	l, ok := labs.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("there is no lab yet: start one with `lab INVENTORY`")
	}
	m := l.(*lab.Lab).Machine(name)
	if m == nil {
		ts.Fatalf("the lab has no node %q", name)
	}
	return m
}

func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fault NODE KIND")
	}
	m := scriptMachine(ts, args[0])
	switch args[1] {
	case "none":
		m.FillDisk(-1)
		m.HoldAptLock("", 0)
		m.RefuseLogins(false)
	case "full-disk":
		m.FillDisk(1024)
	case "apt-lock":
		m.HoldAptLock("unattended-upgr", 24*time.Hour)
	case "refuse-logins":
		m.RefuseLogins(true)
	case "crash":
		m.Crash()
	case "power-on":
		m.PowerOn()
	case "cut":
		m.CutConnections()
	case "host-key":
		m.ChangeHostKey()
	default:
		ts.Fatalf("no fault %q", args[1])
	}
}

// patience is how long, by the lab's clock, a command on a node may take once every command in the background has ended. What
// it then still waits for will hardly happen.
const patience = 6 * time.Hour

func scriptNode(ctx context.Context, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: node NODE COMMAND…")
	}
	m := scriptMachine(ts, args[0])
	bounded, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { losePatience(bounded, ts, end) })
	var stdout, stderr bytes.Buffer
	code := m.Console(bounded, &stdout, &stderr, args[1:]...)
	lost := context.Cause(bounded)
	end(nil)
	watch.Wait() // it reads what the script's next line may change
	fmt.Fprint(ts.Stdout(), stdout.String())
	fmt.Fprint(ts.Stderr(), stderr.String())
	if lost != nil {
		ts.Fatalf("%s has not ended on %s: %v", args[1], args[0], lost)
	}
	if (code != 0) != neg {
		ts.Fatalf("exit code %d", code)
	}
}

// losePatience ends a command on a node when it has taken too long, and returns when ctx ends.
func losePatience(ctx context.Context, ts *testscript.TestScript, end context.CancelCauseFunc) {
	for inBackground(ts) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	l, _ := labs.Load(ts.Getenv("WORK"))
	stop := l.(*lab.Lab).Clock().AfterFunc(patience, func() {
		end(fmt.Errorf("no command is running in the background, and %s have passed by the lab's clock", patience))
	})
	<-ctx.Done()
	stop()
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || unix.SignalNum("SIG"+args[0]) == 0 {
		ts.Fatalf("usage: signal NAME, as in signal HUP")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(unix.SignalNum("SIG" + args[0])))
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NODE PROGRAM")
	}
	m := scriptMachine(ts, args[0])
	for last := false; m.Starts()[args[1]] == 0; time.Sleep(time.Millisecond) {
		if last {
			ts.Fatalf("every command in the background has ended, and %s has started no %s", args[0], args[1])
		}
		last = !inBackground(ts)
	}
}

// inBackground reports whether one of the script's background commands is running.
func inBackground(ts *testscript.TestScript) bool {
	return slices.ContainsFunc(ts.BackgroundCmds(), func(cmd *exec.Cmd) bool {
		return cmd.Process.Signal(unix.Signal(0)) == nil
	})
}

func scriptWrites(ctx context.Context, ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: writes NODE")
	}
	m := scriptMachine(ts, args[0])
	if inBackground(ts) {
		ts.Fatalf("a command in the background may be writing on %s: wait for it first", args[0])
	}
	ts.Check(m.AwaitClients(ctx))
	if len(m.Writes()) == 0 {
		fmt.Fprintln(ts.Stdout(), "nothing was written")
	}
	for _, w := range m.Writes() {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", w.By, w.What)
	}
	m.ForgetWrites()
}

// attempt is a testscript.T of a script that may fail.
type attempt struct {
	log    strings.Builder
	failed bool
}

func (a *attempt) Log(args ...any) { fmt.Fprintln(&a.log, args...) }
func (a *attempt) Fatal(args ...any) {
	a.Log(args...)
	a.FailNow()
}
func (a *attempt) FailNow() {
	a.failed = true
	runtime.Goexit()
}
func (a *attempt) Skip(...any)   {}
func (a *attempt) Parallel()     {}
func (a *attempt) Verbose() bool { return false }
func (a *attempt) Run(_ string, fn func(testscript.T)) {
	var one sync.WaitGroup
	one.Go(func() { fn(a) })
	one.Wait()
}

// A script whose node waits for what a failed run does not do fails, and shows that run.
func TestScriptThatWouldNeverEnd(t *testing.T) {
	dir := t.TempDir()
	const script = `lab hosts.hcl
! hlplay run missing.hcl -i lab/inventory &missing&
node n1 sh -c 'until [ -e /srv/begun ]; do sleep 600; done'
-- hosts.hcl --
host "n1" {
  address = "192.168.1.11"
}
`
	if err := os.WriteFile(filepath.Join(dir, "never.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	var a attempt
	a.Run("", func(one testscript.T) { testscript.RunT(one, scriptParams(t.Context(), dir, dir)) })
	if got := a.log.String(); !a.failed || !strings.Contains(got, "never.txtar:3: sh has not ended on n1: no command is running in the background") || !strings.Contains(got, "missing.hcl") {
		t.Errorf("failed: %v, with\n%s", a.failed, got)
	}
}
