package run_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

func check(o *run.Options) { o.Check = true }

func TestRunChangesThenFindsNothing(t *testing.T) {
	s := newStage("a", "b")
	const playbook = `
play "p" {
  hosts = "all"
  task "one" {
    setting {
      name  = "x"
      value = "1"
    }
  }
  task "two" {
    setting {
      name  = "y"
      value = host.name
    }
  }
}`
	want := []string{"a one: changed", "a two: changed", "b one: changed", "b two: changed"}
	if diff := cmp.Diff(want, outcomes(s.play(t, playbook, check))); diff != "" {
		t.Errorf("check mode (-want +got):\n%s", diff)
	}
	if len(s.acts) > 0 {
		t.Errorf("check mode acted: %v", s.acts)
	}
	if diff := cmp.Diff(want, outcomes(s.play(t, playbook))); diff != "" {
		t.Errorf("first run (-want +got):\n%s", diff)
	}
	s.asks = map[string]int{}
	for _, line := range outcomes(s.play(t, playbook)) {
		if !strings.HasSuffix(line, ": ok") {
			t.Errorf("second run: %s", line)
		}
	}
	if s.asks["a"] != 1 {
		t.Errorf("a converged rerun took %d flights, want 1", s.asks["a"])
	}
}

// Each case is a playbook on hosts a, b and c, with the expected results. A note about a change is reported even though
// the plan that verifies the change no longer has it, in a run and in check mode.
func TestNotesOfAChange(t *testing.T) {
	for _, check := range []bool{true, false} {
		s := newStage("a")
		s.hosts["a"].settings["x"] = "0"
		r := s.play(t, `play "p" {
  hosts = "all"
  task "t" {
    setting {
      name    = "x"
      value   = "1"
      remarks = true
    }
  }
}`, func(o *run.Options) { o.Check = check })
		if diff := cmp.Diff([]string{"x is odd", "the old x was 0"}, r.Results()[0].Notes); diff != "" {
			t.Errorf("check %t (-want +got):\n%s", check, diff)
		}
	}
}

// A file that another process writes to while it is read is read again, but not forever.
func TestChangingFileIsReadAgain(t *testing.T) {
	for _, test := range []struct {
		restless int
		want     report.Status
		notes    int
	}{{0, report.OK, 0}, {2, report.OK, 1}, {100, report.Failed, 0}} {
		s := newStage("a")
		s.restless = test.restless
		r := s.play(t, `play "p" {
  hosts = "all"
  task "t" {
    still {}
  }
}`).Results()[0]
		if r.Status != test.want || len(r.Notes) != test.notes {
			t.Errorf("%d writes: %s (%s), notes %q, want %s with %d", test.restless, r.Status, r.Message, r.Notes, test.want, test.notes)
		}
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name     string
		tasks    string
		play     string // additional attributes of the play
		options  func(*run.Options)
		prepare  func(*stage)
		want     []string // for host a, "task: status"
		all      bool     // whether want is "host task: status" for all hosts
		acts     []string // for host a; nil: not checked
		message  string   // part of the message of a failure or skip on a
		notes    string   // part of a note about the run
		maxAtOne int      // the maximum number of concurrent commands
	}{
		{
			name:  "a condition that is false skips",
			tasks: `task "t" { when = host.name == "b"; ` + set("x", "1") + ` }`,
			want:  []string{"t: skipped"},
		},
		{
			name:    "an exit code proves nothing",
			tasks:   `task "t" { ` + set("x", "1", "lies = true") + ` }`,
			want:    []string{"t: failed"},
			message: "still to do: set x to 1",
		},
		{
			name:    "a command that fails stops its host",
			tasks:   `task "t" { ` + set("x", "1", "fails = true") + ` } task "later" { ` + set("y", "1") + ` }`,
			want:    []string{"t: failed"},
			message: "exit code 1",
		},
		{
			name:  "a change may take its time to show",
			tasks: `task "t" { ` + set("x", "1", "settles = 20") + ` }`,
			want:  []string{"t: changed"},
		},
		{
			name:  "for_each goes round by round",
			tasks: `task "t" { for_each = toset(["x", "y"]); setting { name = each.key; value = "1" } }`,
			want:  []string{"t: changed"},
			acts:  []string{"a: set x 1", "a: set y 1"},
		},
		{
			name:  "a condition on each chooses rounds",
			tasks: `task "t" { for_each = toset(["x", "y"]); when = each.key == "y"; setting { name = each.key; value = "1" } }`,
			want:  []string{"t: changed"},
			acts:  []string{"a: set y 1"},
		},
		{
			name: "a result decides a later task",
			tasks: `task "t" { ` + set("x", "1") + ` register = "r" }
			  task "if changed" { when = result.r.changed; ` + set("y", "1") + ` }
			  task "if not" { when = !result.r.changed; ` + set("z", "1") + ` }`,
			want: []string{"if changed: changed", "if not: skipped", "t: changed"},
		},
		{
			name: "a handler runs once, at the end",
			tasks: `task "t" { ` + set("x", "1") + ` notify = ["h"] } task "u" { ` + set("y", "1") + ` notify = ["h"] }
			  handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			want: []string{"h: changed", "t: changed", "u: changed"},
			acts: []string{"a: set x 1", "a: set y 1", "a: set h 1"},
		},
		{
			name: "a flush runs handlers in the middle",
			tasks: `task "t" { ` + set("x", "1") + ` notify = ["h"] } flush_handlers {} task "u" { ` + set("y", "1") + ` }
			  handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			want: []string{"h: changed", "t: changed", "u: changed"},
			acts: []string{"a: set x 1", "a: set h 1", "a: set y 1"},
		},
		{
			name: "a handler runs although its host failed later",
			tasks: `task "t" { ` + set("x", "1") + ` notify = ["h"] } task "u" { ` + set("y", "1", "fails = true") + ` }
			  handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			want: []string{"h: changed", "t: changed", "u: failed"},
		},
		{
			name: "a handler without a change does not run",
			tasks: `task "t" { ` + set("x", "1") + ` notify = ["h"] }
			  handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			prepare: func(s *stage) { s.hosts["a"].settings["x"] = "1" },
			want:    []string{"t: ok"},
		},
		{
			name: "rescue takes over, always comes last",
			tasks: `group "g" {
			    task "t" { ` + set("x", "1", "fails = true") + ` }
			    task "not reached" { ` + set("y", "1") + ` }
			    rescue { task "rescue" { ` + set("z", "1") + ` } }
			    always { task "always" { ` + set("w", "1") + ` } }
			  }
			  task "after" { ` + set("v", "1") + ` }`,
			want: []string{"after: changed", "always: changed", "rescue: changed", "t: failed"},
		},
		{
			name: "always comes although nothing rescues",
			tasks: `group "g" {
			    task "t" { ` + set("x", "1", "fails = true") + ` }
			    always { task "always" { ` + set("w", "1") + ` } }
			  }
			  task "after" { ` + set("v", "1") + ` }`,
			want: []string{"always: changed", "t: failed"},
		},
		{
			name:  "an ignored failure goes on",
			tasks: `task "t" { ` + set("x", "1", "fails = true") + ` ignore_errors = true } task "u" { ` + set("y", "1") + ` }`,
			want:  []string{"t: failed", "u: changed"},
		},
		{
			name:  "run_once runs on one host, and all see its result",
			tasks: `task "t" { ` + set("x", "1") + ` run_once = true; register = "r" } task "u" { when = result.r.changed; ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a t: changed", "a u: changed", "b u: changed", "c u: changed"},
		},
		{
			name:  "a cluster-wide change is made once",
			tasks: `task "t" { ` + set("x", "1", `scope = "cluster"`) + ` }`,
			all:   true,
			want:  []string{"a t: changed"},
		},
		{
			name:     "what must not run on two hosts at once does not",
			tasks:    `task "t" { ` + set("x", "1", `scope = "one_by_one"`) + ` }`,
			all:      true,
			want:     []string{"a t: changed", "b t: changed", "c t: changed"},
			maxAtOne: 1,
		},
		{
			name:     "forks bound how many act at a time",
			tasks:    `task "t" { ` + set("x", "1", "settles = 2") + ` } task "u" { ` + set("y", "1") + ` }`,
			options:  func(o *run.Options) { o.Forks = 1 },
			all:      true,
			want:     []string{"a t: changed", "a u: changed", "b t: changed", "b u: changed", "c t: changed", "c u: changed"},
			maxAtOne: 1,
		},
		{
			name:     "throttle bounds how many act at a time",
			tasks:    `task "t" { ` + set("x", "1") + ` throttle = 1 }`,
			want:     []string{"t: changed"},
			maxAtOne: 1,
		},
		{
			name:    "limit leaves other hosts alone, and still reads them",
			tasks:   `task "t" { setting { name = "x"; value = "from "; also_from = "b" } }`,
			options: func(o *run.Options) { o.Limit = "a" },
			prepare: func(s *stage) { s.hosts["b"].settings["x"] = "b" },
			all:     true,
			want:    []string{"a t: changed"},
			acts:    []string{"a: set x from b"},
		},
		{
			name:    "tags choose",
			tasks:   `task "t" { ` + set("x", "1") + ` tags = ["one"] } task "u" { ` + set("y", "1") + ` tags = ["two"] }`,
			options: func(o *run.Options) { o.Tags = []string{"two"} },
			want:    []string{"u: changed"},
		},
		{
			name:    "start at a task",
			tasks:   `task "t" { ` + set("x", "1") + ` } task "u" { ` + set("y", "1") + ` }`,
			options: func(o *run.Options) { o.StartAt = "u" },
			want:    []string{"u: changed"},
		},
		{
			name:    "a defect of a module fails its task only",
			tasks:   `task "t" { ` + set("x", "1", "panics = true") + ` }`,
			want:    []string{"t: failed"},
			message: "this is a defect of hlplay: please report it with these lines\n  hlplay/engine/run_test.(*setting).Plan (",
		},
		{
			name:    "any_errors_fatal ends the run for all",
			play:    `any_errors_fatal = true`,
			tasks:   `task "t" { setting { name = "x"; value = "1"; fails = host.name == "b" } } task "u" { ` + set("y", "1") + ` }`,
			all:     true,
			want:    []string{"a t: changed", "b t: failed", "c t: changed"},
			notes:   "any_errors_fatal",
			options: nil,
		},
		{
			name:  "without it the others go on",
			tasks: `task "t" { setting { name = "x"; value = "1"; fails = host.name == "b" } } task "u" { ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a t: changed", "a u: changed", "b t: failed", "c t: changed", "c u: changed"},
		},
		{
			name:  "max_fail_percentage ends the run beyond it",
			play:  `max_fail_percentage = 30`,
			tasks: `task "t" { setting { name = "x"; value = "1"; fails = host.name == "b" } } task "u" { ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a t: changed", "b t: failed", "c t: changed"},
			notes: "max_fail_percentage",
		},
		{
			name:  "a batch that fails whole spares the next",
			play:  `serial = 1`,
			tasks: `task "t" { ` + set("x", "1", "fails = true") + ` }`,
			all:   true,
			want:  []string{"a t: failed"},
			notes: "the next batch is not started",
		},
		{
			name:    "a dead host does not hold the others",
			tasks:   `task "t" { ` + set("x", "1") + ` } task "u" { ` + set("y", "1") + ` }`,
			prepare: func(s *stage) { s.hosts["b"].dead = true },
			all:     true,
			want:    []string{"a t: changed", "a u: changed", "b t: unreachable", "c t: changed", "c u: changed"},
		},
		{
			name:    "what a change makes unknowable is uncertain, not guessed",
			tasks:   `task "t" { ` + set("x", "1", `obscures = "y"`) + ` } task "u" { ` + set("y", "1") + ` notify = ["h"] } handler "h" { ` + set("h", "1") + ` }`,
			options: check,
			want:    []string{"h: uncertain", "t: changed", "u: uncertain"},
		},
		{
			name:    "retries try again",
			tasks:   `task "t" { ` + set("x", "1", "fails = true") + ` retries = 2 }`,
			want:    []string{"t: failed"},
			acts:    []string{"a: fail x 1", "a: fail x 1", "a: fail x 1"},
			message: "exit code 1",
		},
		{
			name:    "until waits for a condition and gives up",
			tasks:   `task "t" { ` + set("x", "1", "repeats = true") + ` register = "r"; until = result.r.was == "2"; retries = 2 }`,
			want:    []string{"t: failed"},
			message: "until condition is still false after 3 tries",
		},
		{
			name: "every task of an always part comes, and the host stays failed",
			tasks: `group "g" {
			    task "t" { ` + set("x", "1", "fails = true") + ` }
			    always {
			      task "first" { ` + set("v", "1", "fails = true") + ` ignore_errors = true }
			      task "second" { ` + set("w", "1") + ` }
			    }
			  }
			  task "after" { ` + set("y", "1") + ` }`,
			want: []string{"first: failed", "second: changed", "t: failed"},
		},
		{
			name: "an always part comes although the play has ended",
			play: `any_errors_fatal = true`,
			tasks: `group "g" {
			    task "t" { setting { name = "x"; value = "1"; fails = host.name == "b" } }
			    always { task "always" { ` + set("w", "1") + ` } }
			  }
			  task "after" { ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a always: changed", "a t: changed", "b always: changed", "b t: failed", "c always: changed", "c t: changed"},
			notes: "any_errors_fatal",
		},
		{
			name: "nothing rescues a lost host, so it counts at once",
			play: `any_errors_fatal = true`,
			tasks: `group "g" {
			    task "t" { ` + set("x", "1") + ` }
			    rescue { task "rescue" { ` + set("z", "1") + ` } }
			  }
			  task "after" { ` + set("y", "1") + ` }`,
			prepare: func(s *stage) { s.hosts["b"].dead = true },
			all:     true,
			want:    []string{"a t: changed", "b t: unreachable", "c t: changed"},
			notes:   "any_errors_fatal",
		},
		{
			name: "a failure beside a lost host that ends the play is rescued",
			play: `any_errors_fatal = true`,
			tasks: `group "g" {
			    task "t" { setting { name = "x"; value = "1"; fails = host.name == "c" } }
			    rescue { task "rescue" { ` + set("z", "1") + ` } }
			  }
			  task "after" { ` + set("y", "1") + ` }`,
			prepare: func(s *stage) { s.hosts["b"].dead = true },
			all:     true,
			want:    []string{"a t: changed", "b t: unreachable", "c rescue: changed", "c t: failed"},
			notes:   "any_errors_fatal",
		},
		{
			name: "and one beside more failures than max_fail_percentage, in the group around its own",
			play: `max_fail_percentage = 30`,
			tasks: `group "outer" {
			    group "inner" {
			      task "t" { setting { name = "x"; value = "1"; fails = host.name == "c" } }
			      always { task "always" { ` + set("w", "1") + ` } }
			    }
			    rescue { task "rescue" { ` + set("z", "1") + ` } }
			  }
			  task "after" { ` + set("y", "1") + ` }`,
			prepare: func(s *stage) { s.hosts["b"].dead = true },
			all:     true,
			want:    []string{"a always: changed", "a t: changed", "b t: unreachable", "c always: changed", "c rescue: changed", "c t: failed"},
			notes:   "max_fail_percentage",
		},
		{
			name:    "a handler whose task was selected runs whatever its own tags",
			tasks:   `task "t" { ` + set("x", "1") + ` tags = ["one"]; notify = ["h"] } handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			options: func(o *run.Options) { o.Tags = []string{"one"} },
			want:    []string{"h: changed", "t: changed"},
		},
		{
			name:    "a lost leader makes room for the next",
			tasks:   `task "t" { ` + set("x", "1", `scope = "cluster"`) + ` register = "r" } task "u" { when = result.r.changed; ` + set("y", "1") + ` run_once = true }`,
			prepare: func(s *stage) { s.hosts["a"].dead = true },
			all:     true,
			want:    []string{"a t: unreachable", "b t: changed", "b u: changed"},
		},
		{
			name:  "a cluster-wide change is made by a host on which its condition holds",
			tasks: `task "t" { when = host.name != "a"; ` + set("x", "1", `scope = "cluster"`) + ` register = "r" } task "u" { when = result.r.changed; ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a t: skipped", "a u: skipped", "b t: changed", "b u: changed", "c u: changed"},
		},
		{
			name:  "where the one fails that runs for all, nobody goes on",
			tasks: `task "t" { ` + set("x", "1", "fails = true") + ` run_once = true } task "u" { ` + set("y", "1") + ` }`,
			all:   true,
			want:  []string{"a t: failed"},
			notes: `task "t" failed on a, which runs it for all hosts: b, c cannot continue either`,
		},
		{
			name: "who failed for all can be rescued for all",
			tasks: `group "g" {
			    task "t" { ` + set("x", "1", "fails = true") + ` run_once = true }
			    rescue { task "rescue" { ` + set("z", "1") + ` } }
			  }`,
			all:  true,
			want: []string{"a rescue: changed", "a t: failed", "b rescue: changed", "c rescue: changed"},
		},
		{
			name:  "a change counts although a later try found it done",
			tasks: `task "t" { ` + set("x", "1", "settles = 1", "impatient = true") + ` retries = 2; notify = ["h"] } handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			want:  []string{"h: changed", "t: changed"},
			acts:  []string{"a: settle-1 x 1", "a: set h 1"},
		},
		{
			name: "until may wait for what happens on a peer",
			tasks: `task "pre" { when = host.name == "b"; ` + set("x", "1", "settles = 8", "repeats = true") + ` }
			  task "t" { when = host.name == "a"; setting { name = "x"; value = ""; also_from = "b" } register = "r"; until = result.r.was == "1"; retries = 5 }`,
			want: []string{"pre: skipped", "t: changed"},
		},
		{
			name:    "check mode cannot tell what until will come to",
			tasks:   `task "t" { ` + set("x", "1", "repeats = true") + ` register = "r"; until = result.r.was == "2" } task "u" { ` + set("y", "1") + ` }`,
			options: check,
			want:    []string{"t: uncertain", "u: changed"},
		},
		{
			name:    "a change is sure although what it leads to is not",
			tasks:   `task "t" { ` + set("x", "1", `obscures = "x"`) + ` register = "r" } task "u" { when = result.r.was == "1"; ` + set("y", "1") + ` }`,
			options: check,
			want:    []string{"t: changed", "u: uncertain"},
		},
		{
			name:  "what failed and may yet have changed something is not forgotten",
			tasks: `task "t" { ` + set("x", "1", "settles = 100", "impatient = true") + ` notify = ["h"] } handler "h" { ` + set("h", "1", "repeats = true") + ` }`,
			want:  []string{"t: failed"},
			notes: `notified but not run: "h" on a, b, c`,
		},
		{
			name:  "a result read by a computed name is waited for",
			tasks: `task "t" { ` + set("x", "1") + ` register = "r" } task "u" { when = result[host.name == "a" ? "r" : "r"].changed; ` + set("y", "1") + ` }`,
			want:  []string{"t: changed", "u: changed"},
		},
		{
			name:    "a task's own time runs out",
			tasks:   `task "t" { ` + set("x", "1", "settles = 100") + ` timeout = "20s"; retries = 3 }`,
			want:    []string{"t: failed"},
			message: "the task timed out after 20s",
		},
		{
			name:     "a result says how many act at a time",
			tasks:    `task "pre" { ` + set("w", "1") + ` register = "r" } task "t" { ` + set("x", "1") + ` throttle = result.r.changed ? 1 : null }`,
			options:  func(o *run.Options) { o.Limit = "b,c" },
			prepare:  func(s *stage) { s.hosts["b"].settings["w"] = "1" }, // only c changes it
			all:      true,
			want:     []string{"b pre: ok", "b t: changed", "c pre: changed", "c t: changed"},
			maxAtOne: 2,
		},
		{
			name:    "a host says how often it is tried again, and whether its failure counts",
			tasks:   `task "t" { ` + set("x", "1", "fails = true") + ` retries = host.name == "a" ? 1 : null; ignore_errors = host.name != "b" } task "u" { ` + set("y", "1") + ` }`,
			all:     true,
			want:    []string{"a t: failed", "a u: changed", "b t: failed", "c t: failed", "c u: changed"},
			acts:    []string{"a: fail x 1", "a: fail x 1", "a: set y 1"},
			message: "exit code 1",
		},
		{
			name:    "where the one fails that runs for all and its failure does not count, all go on",
			tasks:   `task "pre" { ` + set("w", "1") + ` register = "r" } task "t" { ` + set("x", "1", "fails = true") + ` run_once = length(play.hosts) > 1; ignore_errors = result.r.changed } task "u" { ` + set("y", "1") + ` }`,
			all:     true,
			want:    []string{"a pre: changed", "a t: failed", "a u: changed", "b pre: changed", "b u: changed", "c pre: changed", "c u: changed"},
			message: "exit code 1",
		},
		{
			name:    "a result says how long a task may take, from its beginning on",
			tasks:   `task "pre" { ` + set("w", "20") + ` register = "r" } task "t" { ` + set("x", "1", "settles = 100") + ` timeout = result.r.changed ? "15s" : "1s" }`,
			want:    []string{"pre: changed", "t: failed"},
			message: "the task timed out after 15s",
		},
		{
			name:    "a setting that a host gets wrong fails the task there, at its line, before anything is done",
			tasks:   `task "pre" { ` + set("w", "1") + ` register = "r" } task "t" { ` + set("x", "1") + ` throttle = host.name == "a" && result.r.changed ? 0 : 2 } task "u" { ` + set("y", "1") + ` }`,
			all:     true,
			want:    []string{"a pre: changed", "a t: failed", "b pre: changed", "b t: changed", "b u: changed", "c pre: changed", "c t: changed", "c u: changed"},
			acts:    []string{"a: set w 1"},
			message: "throttle is out of range; Found 0, expected a whole number of at least 1; null for none.",
		},
		{
			name:  "a setting is nothing to a host that skips the task",
			tasks: `task "pre" { ` + set("w", "1") + ` register = "r" } task "t" { when = !result.r.changed; ` + set("x", "1") + ` retries = result.r.changed ? -1 : 1 }`,
			want:  []string{"pre: changed", "t: skipped"},
		},
		{
			name:  "the inventory says how large a batch is, and whether a failure ends the play",
			play:  "serial = length(play.hosts) - 1\nany_errors_fatal = length(hosts) > 2",
			tasks: `task "t" { when = host.name != "a"; ` + set("x", "1", "fails = true") + ` }`,
			all:   true,
			want:  []string{"a t: skipped", "b t: failed"},
			notes: "any_errors_fatal is set",
		},
	}
	for _, test := range tests {
		// In a synctest bubble, a goroutine that outlives its run fails the test.
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage("a", "b", "c")
				if test.prepare != nil {
					test.prepare(s)
				}
				var options []func(*run.Options)
				if test.options != nil {
					options = append(options, test.options)
				}
				r := s.play(t, "play \"p\" {\n hosts = \"all\"\n "+test.play+"\n "+lines(test.tasks)+"\n}", options...)
				var got []string
				for _, line := range outcomes(r) {
					if test.all {
						got = append(got, line)
					} else if rest, ok := strings.CutPrefix(line, "a "); ok {
						got = append(got, rest)
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				if test.acts != nil {
					var acts []string
					for _, act := range s.acts {
						if strings.HasPrefix(act, "a: ") {
							acts = append(acts, act)
						}
					}
					if diff := cmp.Diff(test.acts, acts); diff != "" {
						t.Errorf("commands on a (-want +got):\n%s", diff)
					}
				}
				if test.message != "" && !slices.ContainsFunc(r.Results(), func(x report.TaskResult) bool { return x.Host == "a" && strings.Contains(x.Message, test.message) }) {
					t.Errorf("no result on a says %q: %+v", test.message, r.Results())
				}
				if test.notes != "" && !slices.ContainsFunc(r.Notes(), func(n report.Note) bool { return strings.Contains(n.Text, test.notes) }) {
					t.Errorf("no note says %q: %v", test.notes, r.Notes())
				}
				if test.maxAtOne > 0 && s.most > test.maxAtOne {
					t.Errorf("%d commands ran at a time, want at most %d", s.most, test.maxAtOne)
				}
			})
		})
	}
}

// set returns a setting block in the notation of lines.
func set(name, value string, more ...string) string {
	all := append([]string{`name = "` + name + `"`, `value = "` + value + `"`}, more...)
	return "setting { " + strings.Join(all, "; ") + " }"
}

// What comes after handlers that are due is read with the handlers' flight, and not before: they change the host first.
func TestNothingIsReadAheadOfDueHandlers(t *testing.T) {
	s := newStage("a")
	for _, name := range []string{"y", "z"} {
		s.hosts["a"].settings[name] = "1"
	}
	s.play(t, lines(`play "p" {
	  hosts = "all"
	  task "t" { setting { name = "x"; value = "1" }; notify = ["h"] }
	  task "u" { setting { name = "y"; value = "1" } }
	  task "v" { setting { name = "y"; value = "1" } }
	  handler "h" { setting { name = "h"; value = "1"; repeats = true } }
	}
	play "q" {
	  hosts = "all"
	  task "w" { setting { name = "z"; value = "1" } }
	}`))
	if got := s.asks["a"]; got != 1 {
		t.Errorf("%d flights of reads alone, want 1", got)
	}
}

// lines converts a notation with blocks on one line to HCL: a semicolon ends an attribute.
func lines(s string) string {
	return strings.NewReplacer("{", "{\n", "}", "\n}\n", ";", "\n").Replace(s)
}
