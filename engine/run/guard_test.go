package run_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// guarded returns a playbook whose task can cut the connection. Its hosts run one after another.
func guarded(settings string) string {
	return `play "network" {
  hosts = "all"
  task "address" {
    setting {
      guard = "90s"
      scope = "one_by_one"
` + settings + `
    }
    notify = ["restart"]
  }
  handler "restart" {
    setting {
      name    = "restarted"
      value   = "yes"
      repeats = true
    }
  }
}`
}

// onHosts returns a stage whose gateway answers.
func onHosts(names ...string) *stage {
	s := newStage(names...)
	for _, h := range s.hosts {
		h.settings["gateway"] = "up"
		h.settings["link"] = "up"
	}
	return s
}

func TestGuardProven(t *testing.T) {
	s := onHosts("a", "b")
	r := s.play(t, guarded(`name = "mtu"
value = "9000"`))
	want := []string{"a address: changed", "a restart: changed", "b address: changed", "b restart: changed"}
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for name, h := range s.hosts {
		if h.undo != nil || h.settings["mtu"] != "9000" {
			t.Errorf("%s: still to be undone: %+v; mtu %q", name, h.undo, h.settings["mtu"])
		}
	}
}

// A change that cuts the connection, breaks what the proof tests or fails half-way is undone. It does not count as a
// change, and the remaining hosts do not start.
func TestGuardUndone(t *testing.T) {
	for name, test := range map[string]struct {
		settings string
		message  string
		// within is the maximum time that passes: a host that can be reached undoes the change at once.
		within time.Duration
	}{
		"the connection is cut": {`name = "link"
value = "cut"`, "the host has undone the change", 3 * time.Minute},
		"a proof fails": {`name = "gateway"
value = "down"`, "the gateway answers: prove gateway up: exit code 1", 89 * time.Second},
		"a command fails": {`name = "mtu"
value = "9000"
then_fails = true`, "exit code 1; the host has undone", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := onHosts("a", "b")
			before, begun := s.state(), s.now
			r := s.play(t, guarded(test.settings))
			if diff := cmp.Diff([]string{"a address: failed", "b address: failed"}, outcomes(r)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, s.state()); diff != "" {
				t.Errorf("the hosts are not as before (-before +after):\n%s", diff)
			}
			results := r.Results()
			if a := results[0]; !strings.Contains(a.Message, test.message) || len(a.Steps)+len(a.Unfinished) > 0 {
				t.Errorf("a: %q, done %q, not known to be done %q; want it to say %q", a.Message, a.Steps, a.Unfinished, test.message)
			}
			if b := results[1]; b.Message != "not started: it failed on a, the previous host" {
				t.Errorf("b: %q", b.Message)
			}
			if passed := s.now.Sub(begun); passed > test.within {
				t.Errorf("it took %s, want at most %s", passed, test.within)
			}
			if s.hosts["a"].undo != nil {
				t.Error("a still remembers what it has undone")
			}
		})
	}
}

// A login that the SSH server accepts before it has read its configuration proves nothing, whether or not the connection
// over which it was changed still works. A server that never reads it proves nothing either.
func TestGuardBeforeReload(t *testing.T) {
	for name, test := range map[string]struct {
		unread  int
		gone    bool
		message string
	}{
		"soon":                       {3, false, "the host has undone the change"},
		"soon, and with another one": {3, true, "the host has undone the change"},
		"never":                      {1000, false, "sshd has not yet taken SIGHUP; the host has undone the change"},
	} {
		t.Run(name, func(t *testing.T) {
			s := onHosts("a")
			s.hosts["a"].unread, s.hosts["a"].gone = test.unread, test.gone
			before := s.state()
			result := s.play(t, guarded(`name = "link"
value = "cut"`)).Results()[0]
			if result.Status != report.Failed || !strings.Contains(result.Message, test.message) {
				t.Errorf("%s: %q, want it to say %q", result.Status, result.Message, test.message)
			}
			if diff := cmp.Diff(before, s.state()); diff != "" {
				t.Errorf("the host is not as before (-before +after):\n%s", diff)
			}
		})
	}
}

// A server that takes a while to read a configuration which lets everybody in is waited for.
func TestGuardAwaitsReload(t *testing.T) {
	for _, gone := range []bool{false, true} {
		s := onHosts("a")
		s.hosts["a"].unread, s.hosts["a"].gone = 5, gone
		result := s.play(t, guarded(`name = "mtu"
value = "9000"`)).Results()[0]
		if h := s.hosts["a"]; result.Status != report.Changed || h.settings["mtu"] != "9000" || h.undo != nil {
			t.Errorf("connection lost %v: %s: %q, mtu %q, armed %t, want it changed, 9000, and disarmed", gone, result.Status, result.Message, h.settings["mtu"], h.undo != nil)
		}
	}
}

// The SSH server is asked over a connection that still works: not over the one to an address that the host no longer has.
func TestGuardAsksAboutReloadWhere(t *testing.T) {
	for setting, want := range map[string]struct {
		reloads  []int
		connects int
	}{"": {[]int{1}, 2}, "moves = true": {[]int{2}, 3}} {
		s := onHosts("a")
		result := s.play(t, guarded(`name = "mtu"
value = "9000"
`+setting)).Results()[0]
		if h := s.hosts["a"]; result.Status != report.Changed || !slices.Equal(h.reloads, want.reloads) || h.connects != want.connects {
			t.Errorf("%q: %s: %q, asked over connections %v of %d, want %v of %d", setting, result.Status, result.Message, h.reloads, h.connects, want.reloads, want.connects)
		}
	}
}

// A proof that is still running when its time is over is named, or what failed before.
func TestGuardProofOutlasts(t *testing.T) {
	for lasts, want := range map[int]string{
		1: "the gateway answers: the time for the proofs has run out; the host has undone the change",
		2: "the gateway answers: prove gateway up: exit code 1; the host has undone the change",
	} {
		s := onHosts("a")
		s.hosts["a"].settings["gateway"] = "down"
		proofs := 0
		s.onAct = func(string) {
			if s.hosts["a"].settings["mtu"] != "9000" {
				return
			}
			if proofs++; proofs == lasts {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.passLocked(80 * time.Second)
			}
		}
		r := s.play(t, guarded(`name = "mtu"
value = "9000"`))
		if got := r.Results()[0].Message; got != want {
			t.Errorf("proof %d lasts: %q, want %q", lasts, got, want)
		}
	}
}

// A step that lasts longer than the host waits ends after the host has undone the change: the host undoes that, too.
func TestGuardOverrun(t *testing.T) {
	s := onHosts("a")
	before := s.state()
	s.meddle = func(_ *fakeHost, _ string, n int, after bool) {
		if n == 0 && !after {
			s.passLocked(2 * time.Minute)
		}
	}
	r := s.play(t, guarded(`name = "mtu"
value = "9000"`))
	if diff := cmp.Diff(before, s.state()); diff != "" {
		t.Errorf("the host is not as before (-before +after):\n%s", diff)
	}
	result := r.Results()[0]
	if want := "the steps took 2m0s, and the host undoes them after 1m30s: allow more time, or find out what is slow; the host has undone the change"; result.Status != report.Failed || result.Message != want {
		t.Errorf("%s: %q, want %q", result.Status, result.Message, want)
	}
}

// A host that is shutting down may still accept logins that it would refuse after a restart: that proves nothing.
func TestGuardOnStoppingHost(t *testing.T) {
	s := onHosts("a")
	s.hosts["a"].stopping = s.hosts["a"].undoNow // it restarts, which undoes the change
	before := s.state()
	result := s.play(t, guarded(`name = "mtu"
value = "9000"`)).Results()[0]
	if want := "the change was proven, but not confirmed: the host is shutting down, or systemd there does not say that it is not; the host has undone the change"; result.Status != report.Failed || result.Message != want {
		t.Errorf("a: %s: %q, want %q", result.Status, result.Message, want)
	}
	if diff := cmp.Diff(before, s.state()); diff != "" {
		t.Errorf("the host is not as before (-before +after):\n%s", diff)
	}
}

// A host that could not say for a moment whether it was shutting down is asked again, and keeps the change.
func TestGuardAsksStoppingHostAgain(t *testing.T) {
	s := onHosts("a")
	s.hosts["a"].stopping = func() {}
	result := s.play(t, guarded(`name = "mtu"
value = "9000"`)).Results()[0]
	if h := s.hosts["a"]; result.Status != report.Changed || h.settings["mtu"] != "9000" || h.undo != nil {
		t.Errorf("a: %s: %q, mtu %q, armed %t, want it changed, 9000, and disarmed", result.Status, result.Message, h.settings["mtu"], h.undo != nil)
	}
}

// A change made by one member of a cluster is proven on another member, and undone where it was made.
func TestGuardProvenElsewhere(t *testing.T) {
	for gateway, want := range map[string]string{"up": "changed", "down": "failed"} {
		s := onHosts("a", "b")
		s.hosts["b"].settings["gateway"] = gateway
		r := s.play(t, strings.Replace(guarded(`name = "mtu"
value = "9000"
proven_on = "b"`), `hosts = "all"`, `hosts = "a"`, 1))
		result := r.Results()[0]
		if result.Host != "a" || string(result.Status) != want {
			t.Errorf("with the gateway of b %s: %s %s, %q, want %s", gateway, result.Host, result.Status, result.Message, want)
		}
		if mtu := s.hosts["a"].settings["mtu"]; (mtu == "9000") != (gateway == "up") {
			t.Errorf("with the gateway of b %s, the mtu of a is %q", gateway, mtu)
		}
	}
}

// A host whose clock is ahead undoes a change while the proofs are still running. The proofs then end, and the error
// says why they had failed before.
func TestGuardUndoneEarly(t *testing.T) {
	s := onHosts("a")
	s.hosts["a"].settings["gateway"] = "down"
	begun, proofs := s.now, 0
	s.onAct = func(string) {
		if h := s.hosts["a"]; h.settings["mtu"] == "9000" {
			if proofs++; proofs == 3 {
				h.undoNow()
				h.settings["gateway"] = "gone"
			}
		}
	}
	r := s.play(t, guarded(`name = "mtu"
value = "9000"`))
	result := r.Results()[0]
	if want := "the gateway answers: prove gateway up: exit code 1; the host has undone the change"; result.Message != want {
		t.Errorf("it says %q, want %q", result.Message, want)
	}
	if passed := s.now.Sub(begun); passed > 20*time.Second || proofs != 3 {
		t.Errorf("it took %s and %d proofs", passed, proofs)
	}
}

// A run that ends in the middle leaves the undoing to the host. The next run waits for that, reports it and continues.
func TestGuardOutlivesRun(t *testing.T) {
	s := onHosts("a")
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(t.Context())
	s.onAct = func(string) {
		if len(s.acts) > 0 { // the proof
			cancel()
		}
	}
	source := guarded(`name = "mtu"
value = "9000"`)
	r := s.play(t, source)
	first := r.Results()[0]
	if first.Status != report.Failed || first.Hint != "a will undo it by itself within 1m30s; run again after that" {
		t.Errorf("interrupted: %s, %q, hint %q", first.Status, first.Message, first.Hint)
	}
	if s.hosts["a"].undo == nil || s.hosts["a"].settings["mtu"] != "9000" {
		t.Fatalf("a: %+v", s.hosts["a"])
	}
	s.ctx, s.onAct = nil, nil
	begun := s.now
	r = s.play(t, source)
	if diff := cmp.Diff([]string{"a address: changed", "a restart: changed"}, outcomes(r)); diff != "" {
		t.Errorf("outcomes of the next run (-want +got):\n%s", diff)
	}
	if passed := s.now.Sub(begun); passed < 89*time.Second {
		t.Errorf("it waited for %s only", passed)
	}
	var notes []string
	for _, e := range r.Events() {
		if n, ok := e.(report.Note); ok {
			notes = append(notes, n.Text)
		}
	}
	text := strings.Join(notes, "\n")
	for _, want := range []string{`a: the change by task "address" (test.hcl:3) in a run by `, "the host will undo it in 1m30s; waiting for that", "was undone, because no run confirmed in time that the host is still reachable"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes do not say %q:\n%s", want, text)
		}
	}
	if s.hosts["a"].undo != nil {
		t.Error("a still remembers what was told")
	}
}

func TestGuardInCheckMode(t *testing.T) {
	s := onHosts("a")
	r := s.play(t, guarded(`name = "mtu"
value = "9000"`), func(o *run.Options) { o.Check = true })
	if s.hosts["a"].undo != nil || len(s.acts) > 0 {
		t.Errorf("armed: %+v, run: %q", s.hosts["a"].undo, s.acts)
	}
	if diff := cmp.Diff([]string{"a address: changed", "a restart: changed"}, outcomes(r)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}
