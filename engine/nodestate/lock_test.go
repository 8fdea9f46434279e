package nodestate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/remote"
)

// other returns the node over another connection.
func (n *node) other() *node {
	o := &node{t: n.t, dir: n.dir, Conn: remote.Local("node")}
	n.t.Cleanup(func() { o.Conn.Close() })
	return o
}

// take tries to take the lock and returns the run that holds it instead, or nil.
func (n *node) take(h Holder, broken *Holder) *Holder {
	n.t.Helper()
	r, err := n.Run(context.Background(), remote.Command{Argv: []string{"true"}, Before: n.here(h.Act(broken))})
	var prevented *remote.PreventedError
	switch {
	case err == nil && r.Exit == 0:
		return nil
	case !errors.As(err, &prevented):
		n.t.Fatalf("exit code %d: %v", r.Exit, err)
	}
	held := HeldBy(prevented)
	if held == nil {
		n.t.Fatalf("it was prevented by nobody: %q", prevented.Said)
	}
	return held
}

// A run holds the lock as long as its connection stands. Another run learns who holds it, and takes it once the first run
// has ended for whatever reason.
func TestLockOneRun(t *testing.T) {
	n := newNode(t)
	ada := Holder{Run: "ada's", By: "ada@desk", Playbook: "it's a play.hcl", Since: time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC), Seat: Seat{Boot: "elsewhere", Process: 7}}
	bob := Holder{Run: "bob's", By: "bob@desk"}
	if held := n.take(ada, nil); held != nil {
		t.Fatalf("a node that nobody has locked is locked by %+v", held)
	}
	if held := n.take(ada, nil); held != nil {
		t.Fatalf("its own lock is held by %+v", held)
	}
	second := n.other()
	held := second.take(bob, nil)
	if held == nil {
		t.Fatal("two runs hold the lock")
	}
	want := ada
	want.Alive = true
	if diff := cmp.Diff(want, *held, cmpopts.IgnoreUnexported(Holder{}), cmpopts.IgnoreFields(Holder{}, "Process")); diff != "" || held.Process < 2 {
		t.Errorf("held by process %d (-want +got):\n%s", held.Process, diff)
	}
	if diff := cmp.Diff(held, second.state().Lock, cmp.AllowUnexported(Holder{})); diff != "" {
		t.Errorf("what is read is something else (-told +read):\n%s", diff)
	}
	n.again()
	if held := second.take(bob, nil); held != nil {
		t.Errorf("the lock of a run that is over is held by %+v", held)
	}
	second.again()
	if left, err := filepath.Glob(filepath.Join(n.dir, "[^d]*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// A lock is stale if the process that it names has ended or its process ID was reused.
func TestStaleLocks(t *testing.T) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Skip(err)
	}
	me := fmt.Sprintf("%d %s %s abc old", os.Getpid(), started(os.Getpid()), strings.TrimSpace(string(boot)))
	for name, test := range map[string]struct {
		mark  string
		alive bool
	}{
		"it lives":             {me, true},
		"of another boot":      {fmt.Sprintf("%d %s 11111111-2222-3333-4444-555555555555 abc old", os.Getpid(), started(os.Getpid())), false},
		"its number was given": {fmt.Sprintf("%d 1 %s abc old", os.Getpid(), strings.TrimSpace(string(boot))), false},
		"it is no more":        {fmt.Sprintf("%d 1 %s abc old", 1<<22+1, strings.TrimSpace(string(boot))), false},
		"nothing was written":  {"", false},
		"half was written":     {"17 12", false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.run(act(), "true")
			n.again()
			for _, file := range []string{"lock", "hold.abc"} {
				if err := os.WriteFile(filepath.Join(n.dir, file), []byte(test.mark+"\n{\"run\":\"old\",\"by\":\"eve@desk\"}\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			read := n.state().Lock
			if read == nil || read.Alive != test.alive {
				t.Errorf("it is read as %+v, want alive: %v", read, test.alive)
			}
			held := n.take(Holder{Run: "new"}, nil)
			if (held != nil) != test.alive {
				t.Errorf("held by %+v, want that it is held: %v", held, test.alive)
			}
			if test.alive {
				if held.By != "eve@desk" {
					t.Errorf("held by %+v", held)
				}
				if held := n.take(Holder{Run: "new"}, held); held != nil { // its controller is known to have ended
					t.Errorf("the lock was to be broken and is held by %+v", held)
				}
			}
			if s := n.state(); s.Lock == nil || s.Lock.Run != "new" {
				t.Errorf("the lock is %+v", s.Lock)
			}
			if left, _ := filepath.Glob(filepath.Join(n.dir, "hold.*")); len(left) != 1 {
				t.Errorf("there lie %q, want the own one", left)
			}
		})
	}
}

// If many runs take a stale lock at once, exactly one gets it.
func TestLockRace(t *testing.T) {
	for range 3 {
		n := newNode(t)
		n.run(act(), "true")
		n.again()
		for _, file := range []string{"lock", "hold.abc"} {
			if err := os.WriteFile(filepath.Join(n.dir, file), []byte("1 1 1 abc old\n{}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		winners := make([]bool, 4)
		for i := range winners {
			o := n.other()
			wg.Add(1)
			go func() {
				defer wg.Done()
				winners[i] = o.take(Holder{Run: fmt.Sprint("run ", i)[4:] + "x"}, nil) == nil
			}()
		}
		wg.Wait()
		won := 0
		for _, is := range winners {
			if is {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d runs hold the lock", won, len(winners))
		}
	}
}

// Whether a run is over can only be known for runs of this machine.
func TestGone(t *testing.T) {
	h := Begin("mine", "play.hcl", time.Now())
	if h.Alive = true; h.Seat.Boot == "" {
		t.Skip("this system does not tell which process is which")
	}
	is := func(what string, h Holder, want bool) {
		t.Helper()
		if got := h.Gone(); got != want {
			t.Errorf("%s: gone: %v, want %v", what, got, want)
		}
	}
	is("a run of this process", h, false)
	elsewhere := h
	elsewhere.Seat.Boot, elsewhere.Seat.Process = "another", 1<<22+1
	is("a run of another machine", elsewhere, false)
	dead := h
	dead.Seat.Process = 1<<22 + 1
	is("a process that is no more", dead, true)
	dead.Busy = true
	is("a process that is no more, with a command that goes on", dead, false)
	dead.Alive = false
	is("a shell that is no more", dead, true)
	unknown := h
	unknown.Seat = Seat{}
	is("who knows where", unknown, false)
	h.End()
	is("a run of this process that is over", h, true)
}
