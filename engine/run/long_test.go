package run_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// noted returns the notes of a run, one per line.
func noted(r *report.Recorder) string {
	var all []string
	for _, e := range r.Events() {
		if n, ok := e.(report.Note); ok {
			all = append(all, n.Text)
		}
	}
	return strings.Join(all, "\n")
}

const longPlay = `play "p" {
  hosts = "all"
  task "takes its time" {
    setting {
      name  = "x"
      value = "1"
      long  = true
    }
  }
  task "then" {
    setting {
      name  = "y"
      value = "2"
    }
  }
}
`

// A long command whose connection is lost continues, however often that happens. The run reconnects, gets the command's
// result and continues. The command is started once.
func TestLongCommandOutlivesTheConnection(t *testing.T) {
	for _, cuts := range []int{0, 1, 3} {
		s := newStage("a", "b")
		s.hosts["a"].cuts = cuts
		r := s.play(t, longPlay)
		want := []string{"a: set x 1", "a: set y 2", "b: set x 1", "b: set y 2"}
		if acts := slices.Sorted(slices.Values(s.acts)); !slices.Equal(acts, want) {
			t.Errorf("%d cuts: %q, want %q", cuts, acts, want)
		}
		for _, line := range outcomes(r) {
			if !strings.HasSuffix(line, ": changed") {
				t.Errorf("%d cuts: %s", cuts, line)
			}
		}
		if n := strings.Count(noted(r), `a: the connection was lost while "set x to 1" was running there; hlplay waits for it`); n != cuts {
			t.Errorf("%d cuts: %d of them are told:\n%s", cuts, n, noted(r))
		}
		if left := slices.Collect(maps.Keys(s.hosts["a"].long)); len(left) > 0 {
			t.Errorf("%d cuts: left behind: %q", cuts, left)
		}
	}
}

// The result of a long command is judged like any other, whoever has read it.
func TestLongCommandThatFails(t *testing.T) {
	for _, cuts := range []int{0, 1} {
		s := newStage("a")
		s.hosts["a"].cuts = cuts
		r := s.play(t, strings.Replace(longPlay, "long  = true", "long  = true\n      fails = true", 1))
		if got := outcomes(r); !slices.Equal(got, []string{"a takes its time: failed"}) {
			t.Errorf("%d cuts: %q", cuts, got)
		}
		s = newStage("a")
		s.hosts["a"].cuts = cuts
		r = s.play(t, strings.Replace(longPlay, "long  = true", "long  = true\n      busy = 20", 1))
		if got := outcomes(r); !slices.Equal(got, []string{"a takes its time: changed", "a then: changed"}) {
			t.Errorf("%d cuts, while it is locked: %q", cuts, got)
		}
	}
}

// A host that does not come back is lost, and the user is told that the command is still running there.
func TestLongCommandOnALostHost(t *testing.T) {
	s := newStage("a", "b")
	s.hosts["a"].cuts = 1
	connected := map[string]int{}
	s.onConnect = func(host string) error {
		if connected[host]++; host == "a" && connected[host] > 1 {
			return fmt.Errorf("nobody answers")
		}
		return nil
	}
	r := s.play(t, longPlay)
	var unreachable []report.TaskResult
	for _, e := range r.Events() {
		if result, ok := e.(report.TaskResult); ok && result.Status == report.Unreachable {
			unreachable = append(unreachable, result)
		}
	}
	if len(unreachable) != 1 || unreachable[0].Host != "a" || !strings.Contains(unreachable[0].Message, "was not restored within 2m0s") ||
		!strings.Contains(unreachable[0].Hint, "hlplay status a shows it") {
		t.Errorf("unreachable: %+v", unreachable)
	}
	if s.hosts["b"].settings["y"] != "2" {
		t.Error("the other host did not go on")
	}
	// The next run finds that it has ended.
	s.onConnect = nil
	r = s.play(t, longPlay)
	if notes := noted(r); !strings.Contains(notes, `a: "set x to 1" has ended with exit code 0, started`) || !strings.Contains(notes, "no run has read its result") {
		t.Errorf("the next run says:\n%s", notes)
	}
	if len(s.hosts["a"].long) > 0 {
		t.Error("the next run has left what was kept of it")
	}
	if n := len(slices.DeleteFunc(slices.Clone(s.acts), func(act string) bool { return act != "a: set x 1" })); n != 1 {
		t.Errorf("it was begun %d times", n)
	}
}

// A long command started by an earlier run is waited for, and the task is planned from the state afterwards. A host
// with nothing to do, and check mode, do not wait.
func TestLongCommandOfAnEarlierRun(t *testing.T) {
	about := `{"what":"set x to 1","task":"takes its time","file":"test.hcl","line":3,"playbook":"test.hcl","run":"old","by":"ada@desk","since":"2026-01-01T00:00:00Z","limit":600}`
	earlier := func(s *stage) {
		h := s.hosts["a"]
		h.long["old1"] = &fakeLong{about: about, then: func() { h.settings["x"] = "1" }}
	}
	s := newStage("a")
	earlier(s)
	r := s.play(t, longPlay)
	if got := outcomes(r); !slices.Equal(got, []string{"a takes its time: ok", "a then: changed"}) {
		t.Errorf("%q", got)
	}
	notes := noted(r)
	for _, want := range []string{
		`a: "set x to 1" is running as hlplay-old1.service, started `, `by ada@desk in a run of test.hcl (task "takes its time", test.hcl:3); this run waits for it to end`,
		`a: "set x to 1" has ended with exit code 0, started `,
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not said:\n%s", want, notes)
		}
	}
	if len(s.hosts["a"].long) > 0 {
		t.Error("what was kept of it is still there")
	}
	if s.hosts["a"].next["old1"] != "withheld" {
		t.Error("a shell of that run could go on behind it")
	}

	earlier(s)
	if r = s.play(t, longPlay); !strings.Contains(noted(r), "what was read from the host meanwhile may be out of date") || len(s.hosts["a"].long) != 1 {
		t.Errorf("who has nothing to do says:\n%s", noted(r))
	}
}

// A command that may take longer than others is a long command, whether declared so or not.
func TestLongLimit(t *testing.T) {
	for minutes, want := range map[string]bool{"10": false, "11": true} {
		s := newStage("a")
		s.hosts["a"].cuts = 1 // only during a long command
		s.play(t, strings.Replace(longPlay, "long  = true", "minutes = "+minutes, 1))
		if long := s.hosts["a"].cuts == 0; long != want {
			t.Errorf("a command that may take %s minutes is a long one: %t, want %t", minutes, long, want)
		}
	}
}

// Commands that a module declares long cost no additional flights.
func TestLongCommandsCostNoFlight(t *testing.T) {
	flights := func(source string) (n int) {
		s := newStage("a")
		s.play(t, source)
		return s.asks["a"]
	}
	if plain, long := flights(strings.Replace(longPlay, "long  = true", "", 1)), flights(longPlay); long != plain {
		t.Errorf("%d flights, and %d without it", long, plain)
	}
}

// Long commands travel with the tasks around them. If the connection is lost during one, it is waited for as ever, and started once. What was
// sent behind it is withheld and sent again. If the host has begun it already, nobody knows how far it got: the host leaves the run, and the
// next run does the rest.
func TestLongCommandsTravel(t *testing.T) {
	task := func(name, more string) string {
		return fmt.Sprintf(`task %q { own { name = "s%s"; value = "1"; %s } }`, name, name, more)
	}
	for _, test := range []struct {
		name, playbook string
		unaware        bool
		cuts           int
		outcomes, acts string
		flights, notes int
	}{
		{"the last", task("1", "") + task("2", "long = true"), false, 0, "changed changed", "s1 s2", 1, 0},
		{"the last, cut", task("1", "") + task("2", "long = true"), false, 2, "changed changed", "s1 s2", 3, 2},
		{"the last fails, cut", task("1", "") + task("2", "long = true; fails = true"), false, 1, "changed failed", "s1 s2", 2, 1},
		{"the first", task("1", "long = true") + task("2", ""), false, 0, "changed changed", "s1 s2", 1, 0},
		{"the first, cut", task("1", "long = true") + task("2", ""), false, 2, "changed changed", "s1 s2", 4, 2},
		{"the first, cut, and the host goes on", task("1", "long = true") + task("2", ""), true, 1, "changed unreachable", "s1 s2", 2, 1},
		{"the first fails, cut, and the host could go on", task("1", "long = true; fails = true") + task("2", ""), true, 1, "failed", "s1", 2, 1},
		{"between others", task("1", "") + task("2", "long = true") + task("3", "") + task("4", "long = true"), false, 0, "changed changed changed changed", "s1 s2 s3 s4", 1, 0},
		{"between others, cut", task("1", "") + task("2", "long = true") + task("3", "") + task("4", "long = true"), false, 1, "changed changed changed changed", "s1 s2 s3 s4", 4, 1},
		{"between others, cut twice", task("1", "") + task("2", "long = true") + task("3", "") + task("4", "long = true"), false, 3, "changed changed changed changed", "s1 s2 s3 s4", 6, 3},
		{"in one task with the next", task("1", `long = true; also = "s2"`), false, 0, "changed", "s1 s2", 1, 0},
		{"in one task with the next, cut", task("1", `long = true; also = "s2"`), false, 1, "changed", "s1 s2", 3, 1},
		{"in one task with the next, cut, and the host goes on", task("1", `long = true; also = "s2"`), true, 1, "unreachable", "s1 s2", 2, 1},
		{"in one task between others", task("1", "") + task("2", `long = true; also = "s3"`) + task("4", ""), false, 0, "changed changed changed", "s1 s2 s3 s4", 1, 0},
		{"in one task between others, cut", task("1", "") + task("2", `long = true; also = "s3"`) + task("4", ""), false, 1, "changed changed changed", "s1 s2 s3 s4", 4, 1},
		{"in one task between others, cut, and the host goes on", task("1", "") + task("2", `long = true; also = "s3"`) + task("4", ""), true, 1, "changed unreachable", "s1 s2 s3 s4", 2, 1},
		{"between others, cut, and the host goes on", task("1", "") + task("2", "long = true") + task("3", "") + task("4", "long = true"), true, 1, "changed changed unreachable", "s1 s2 s3 s4", 2, 1},
	} {
		s := newStage("a")
		s.hosts["a"].cuts, s.hosts["a"].unaware = test.cuts, test.unaware
		playbook := playOf(strings.ReplaceAll(test.playbook, "} }task", "} }\ntask"))
		r := s.play(t, lines(playbook), sendAhead)
		var got, acts []string
		for _, line := range outcomes(r) {
			got = append(got, line[strings.LastIndex(line, " ")+1:])
		}
		for _, act := range s.acts {
			acts = append(acts, strings.Fields(act)[2])
		}
		if strings.Join(got, " ") != test.outcomes || strings.Join(acts, " ") != test.acts {
			t.Errorf("%s: %q with %q, want %q with %q\n%s", test.name, got, acts, test.outcomes, test.acts, noted(r))
		}
		if n := strings.Count(noted(r), "was running there; hlplay waits for it"); s.flights["a"] != test.flights || n != test.notes {
			t.Errorf("%s: %d flights with commands, and %d notes about the connection; want %d and %d\n%s", test.name, s.flights["a"], n, test.flights, test.notes, noted(r))
		}
		if len(s.hosts["a"].long) > 0 {
			t.Errorf("%s: left behind: %v", test.name, s.hosts["a"].long)
		}
		s.play(t, lines(playbook), sendAhead)
		if !strings.Contains(test.playbook, "fails") {
			for name, value := range s.hosts["a"].settings {
				if value != "1" {
					t.Errorf("%s: after the next run %s is %q", test.name, name, value)
				}
			}
			if len(s.acts) != strings.Count(playbook, "task ")+strings.Count(playbook, "also =") {
				t.Errorf("%s: after the next run the commands are %q", test.name, s.acts)
			}
		}
	}
}

// What a host is told to be doing is what it does, although its commands were sent together: the user who interrupts a run is asked what
// becomes of a long command only as long as that is running.
func TestLongCommandsUnderWay(t *testing.T) {
	s := newStage("a")
	underway := &report.Underway{}
	var got []string
	s.onAct = func(string) {
		bound, detached := underway.Lines()
		got = append(got, fmt.Sprint(bound, " ", detached))
	}
	s.play(t, lines(playOf(`task "1" { own { name = "s1"; value = "1"; long = true } }
task "2" { own { name = "s2"; value = "1" } }
task "3" { own { name = "s3"; value = "1"; long = true } }
task "4" { own { name = "s4"; value = "1"; long = true; also = "s5" } }`)), sendAhead, func(o *run.Options) { o.Reporter = underway })
	want := []string{
		`[] [a: set s1 to 1 (task "1")]`, `[a: set s2 to 1 (task "2")] []`, `[] [a: set s3 to 1 (task "3")]`,
		`[] [a: set s4 to 1 (task "4")]`, `[a: set s5 to 1 (task "4")] []`,
	}
	if diff := cmp.Diff(want, got); diff != "" || s.flights["a"] != 1 {
		t.Errorf("%d flights, and the host was at work on (-want +got):\n%s", s.flights["a"], diff)
	}
}

// When a long command that was sent ahead has ended, the host is told to wait for what it waits for then.
func TestLongCommandSettles(t *testing.T) {
	s := newStage("a")
	r := s.play(t, lines(playOf(`task "1" { own { name = "s1"; value = "1" } }
task "2" { own { name = "s2"; value = "1"; long = true; settles = 1; tells = true } }`)), sendAhead)
	var got []string
	for _, e := range r.Events() {
		if p, ok := e.(report.Progress); ok {
			got = append(got, fmt.Sprintf("%s %s %v %v", p.Task, p.What, p.Awaits, p.Detached))
		}
	}
	want := []string{"1 set s1 to 1 false false", "2 set s2 to 1 false true", "2 s2 true false"}
	if first := slices.Index(got, want[0]); first < 0 || len(got) < first+len(want) || !slices.Equal(got[first:first+len(want)], want) {
		t.Errorf("%q, want %q", got, want)
	}
}
