package run_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// playOf returns a play with some tasks on all hosts, in the notation of lines.
func playOf(tasks string) string { return "play \"p\" {\n hosts = \"all\"\n " + lines(tasks) + "\n}" }

// In check mode, a plan that fails because of something that an earlier task may change is uncertain, and the host
// stays in the run. A failure that no earlier task can have caused is a failure. The cases are tasks on hosts a and b,
// with the expected results.
func TestCheckModeForetellsFailures(t *testing.T) {
	first := func(more ...string) string { return `task "first" { ` + set("x", "1", more...) + ` } ` }
	needs := func(name string, more ...string) string {
		return `task "second" { ` + set("y", "1", append(more, `needs = "`+name+`"`)...) + ` } task "third" { ` + set("z", "1") + ` }`
	}
	tests := map[string]struct {
		tasks   string
		want    []string
		message string // of task second on a
	}{
		"nothing comes before": {
			needs("unit"),
			[]string{"a second: failed", "b second: failed"}, "there is no unit",
		},
		"a step whose effects nobody can list": {
			first() + needs("unit"),
			[]string{"a first: changed", "a second: uncertain", "a third: changed", "b first: changed", "b second: uncertain", "b third: changed"},
			`there is no unit; this is the present state, which task "first" may change`,
		},
		"a step that changes only something else": {
			first("exact = true") + needs("unit"),
			[]string{"a first: changed", "a second: failed", "b first: changed", "b second: failed"}, "there is no unit",
		},
		"a step that changes what is looked at": {
			`task "first" { ` + set("unit", "", "exact = true") + ` } ` + needs("unit"),
			[]string{"a first: changed", "a second: uncertain", "a third: changed", "b first: ok", "b second: failed"}, `which task "first" may change`,
		},
		"on another host": {
			`task "first" { when = host.name == "b"; ` + set("x", "1") + ` } ` + needs("unit"),
			[]string{"a first: skipped", "a second: failed", "b first: changed", "b second: uncertain", "b third: changed"}, "there is no unit",
		},
		"on another host, where it is looked at": {
			`task "first" { when = host.name == "b"; ` + set("x", "1") + ` } ` + needs("unit", `needs_of = "b"`),
			[]string{"a first: skipped", "a second: uncertain", "a third: changed", "b first: changed", "b second: uncertain", "b third: changed"},
			`which task "first" on b may change`,
		},
		"for the whole cluster": {
			`task "first" { ` + set("x", "1", `scope = "cluster"`) + ` } ` + needs("unit"),
			[]string{"a first: changed", "a second: uncertain", "a third: changed", "b second: uncertain", "b third: changed"}, `which task "first" may change`,
		},
		"a task of which nobody knows what it will do": {
			first("exact = true", `obscures = "c"`) + `task "unknown" { ` + set("c", "1", "exact = true") + ` } ` + needs("unit"),
			[]string{"a first: changed", "a second: uncertain", "a third: changed", "a unknown: uncertain",
				"b first: changed", "b second: uncertain", "b third: changed", "b unknown: uncertain"}, `which task "unknown" may change`,
		},
		"arguments are refused whatever comes before": {
			first() + `task "second" { still { refuses = "no such thing" } } task "third" { ` + set("z", "1") + ` }`,
			[]string{"a first: changed", "a second: failed", "b first: changed", "b second: failed"}, "no such thing",
		},
		"arguments made of a result that is only foretold": {
			`task "first" { ` + set("x", "1", "exact = true") + ` register = "r" }
			 task "second" { still { refuses = result.r.changed ? "changed" : null } } task "third" { ` + set("z", "1") + ` }`,
			[]string{"a first: changed", "a second: uncertain", "a third: changed", "b first: changed", "b second: uncertain", "b third: changed"}, `which task "first" may change`,
		},
		"arguments made of a result that was read behind a change": {
			first() + `task "seen" { ` + set("y", "") + ` register = "r" }
			 task "second" { still { refuses = result.r.changed ? null : "as it was" } } task "third" { ` + set("z", "1") + ` }`,
			[]string{"a first: changed", "a second: uncertain", "a seen: ok", "a third: changed", "b first: changed", "b second: uncertain", "b seen: ok", "b third: changed"},
			`as it was; this is the present state, which task "first" may change`,
		},
		"an earlier round of the same task": {
			`task "second" { for_each = toset(["u", "v"]); setting { name = each.key; value = "1"; needs = each.key == "v" ? "unit" : null } } task "third" { ` + set("z", "1") + ` }`,
			[]string{"a second: uncertain", "a third: changed", "b second: uncertain", "b third: changed"}, "which an earlier step of this task may change",
		},
		"a defect": {
			first() + `task "second" { ` + set("y", "1", "panics = true") + ` }`,
			[]string{"a first: changed", "a second: failed", "b first: changed", "b second: failed"}, "this is a defect of hlplay",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage("a", "b")
			if strings.Contains(name, "what is looked at") {
				s.hosts["a"].settings["unit"] = "there"
			}
			r := s.play(t, playOf(test.tasks), check)
			if diff := cmp.Diff(test.want, outcomes(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := resultOf(r, "a", "second"); !strings.Contains(got.Message, test.message) {
				t.Errorf("task second says %q, want %q", got.Message, test.message)
			}
			if len(s.acts) > 0 {
				t.Errorf("check mode acted: %v", s.acts)
			}
		})
	}
}

func resultOf(r *report.Recorder, host, task string) report.TaskResult {
	for _, result := range r.Results() {
		if result.Host == host && result.Task == task {
			return result
		}
	}
	return report.TaskResult{}
}

// A dead host is unreachable in a run and in check mode, at its first task, even if no task observes it, and nothing is
// reported as done there.
func TestUnreachableForEveryReader(t *testing.T) {
	for name, tasks := range map[string]string{
		"a task that reads nothing":   `task "t" { still {} }`,
		"a task that is skipped":      `task "t" { when = host.name == "a"; still {} }`,
		"a task that another one has": `task "t" { run_once = true; still {} }`,
		"a task that reads":           `task "t" { ` + set("x", "1") + ` }`,
	} {
		for mode, option := range map[string]func(*run.Options){"run": func(*run.Options) {}, "check": check} {
			t.Run(name+", "+mode, func(t *testing.T) {
				s := newStage("a", "b")
				s.hosts["b"].dead = true
				r := s.play(t, playOf(tasks), option)
				got := resultOf(r, "b", "t")
				if got.Status != report.Unreachable || len(got.Steps)+len(got.Unfinished) > 0 {
					t.Errorf("the dead host is %s: %+v", got.Status, got)
				}
				if a := resultOf(r, "a", "t"); a.Status != report.OK && a.Status != report.Changed {
					t.Errorf("the other host is %s", a.Status)
				}
			})
		}
	}
}

// What was changed counts, notifies handlers and is reported, whatever happens later in the same task. Each case is a
// task on host a that changes x and then fails in some way.
func TestChangesBeforeFailureCount(t *testing.T) {
	rounds := `for_each = toset(["x", "y"]); setting { name = each.key; value = "1"; fails = each.key == "y" } `
	tests := map[string]struct {
		task    string
		prepare func(*stage, context.CancelFunc)
		want    report.Counts // of host a
		handled bool          // whether the handler runs; otherwise it is reported as lost
		lost    bool          // whether the handler is reported as not run
		steps   []string
		open    []string
	}{
		"a later round fails and is ignored": {
			task: rounds + `ignore_errors = true`,
			want: report.Counts{Changed: 2, Ignored: 1, Unfinished: 1}, handled: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
		"a later round fails": {
			task: rounds,
			want: report.Counts{Changed: 2, Failed: 1, Unfinished: 1}, handled: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
		"a later step fails": {
			task: set("x", "1", "then_fails = true"),
			want: report.Counts{Changed: 2, Failed: 1, Unfinished: 1}, handled: true,
			steps: []string{"set x to 1"}, open: []string{"fail x"},
		},
		"a later step fails, the first was on another host": {
			task: set("x", "1", `on = "b"`, "then_fails = true"),
			want: report.Counts{Changed: 2, Failed: 1, Unfinished: 1}, handled: true,
			steps: []string{"set x to 1"}, open: []string{"fail x"},
		},
		"a later try fails": {
			task: rounds + `retries = 1`,
			want: report.Counts{Changed: 2, Failed: 1, Unfinished: 1}, handled: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
		"only a failed step": {
			task: set("x", "1", "fails = true"),
			want: report.Counts{Failed: 1, Unfinished: 1},
			open: []string{"set x to 1"},
		},
		"a step that had no effect": {
			task: set("x", "1", "lies = true"),
			want: report.Counts{Failed: 1, Unfinished: 1}, lost: true,
			open: []string{"set x to 1"},
		},
		"time runs out": {
			task: `for_each = toset(["x", "y"]); setting { name = each.key; value = "1"; settles = each.key == "y" ? 100 : 0 } timeout = "20s"`,
			want: report.Counts{Changed: 2, Failed: 1, Unfinished: 1}, handled: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
		"the host is lost in the second round": {
			task: `for_each = toset(["x", "y"]); setting { name = each.key; value = "1" }`,
			prepare: func(s *stage, _ context.CancelFunc) {
				s.onAct = func(string) {
					if len(s.acts) > 0 {
						s.hosts["a"].dead = true
					}
				}
			},
			want: report.Counts{Changed: 1, Unreachable: 1, Unfinished: 1}, lost: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
		"the privilege is refused": {
			task:    set("x", "1"),
			prepare: func(s *stage, _ context.CancelFunc) { s.hosts["a"].refuses = true },
			want:    report.Counts{Failed: 1},
		},
		"the host is lost before it is known that a step is done": {
			task:    set("x", "1"),
			prepare: func(s *stage, _ context.CancelFunc) { s.onAct = func(string) { s.hosts["a"].dead = true } },
			want:    report.Counts{Unreachable: 1, Unfinished: 1}, lost: true,
			open: []string{"set x to 1"},
		},
		"an interruption in the second round": {
			task: `for_each = toset(["x", "y"]); setting { name = each.key; value = "1"; settles = each.key == "y" ? 9 : 0 }`,
			prepare: func(s *stage, interrupt context.CancelFunc) {
				s.onAct = func(string) {
					if len(s.acts) > 0 {
						interrupt()
					}
				}
			},
			want: report.Counts{Changed: 1, Failed: 1}, lost: true, // the command has succeeded
			steps: []string{"x: set x to 1", "y: set y to 1"},
		},
		"an interruption that cuts off the second round": {
			task: `for_each = toset(["x", "y"]); setting { name = each.key; value = "1" }`,
			prepare: func(s *stage, interrupt context.CancelFunc) {
				s.onEvent = func(context.Context) {
					if len(s.acts) > 0 {
						interrupt()
					}
				}
			},
			want: report.Counts{Changed: 1, Failed: 1, Unfinished: 1}, lost: true,
			steps: []string{"x: set x to 1"}, open: []string{"y: set y to 1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage("a", "b")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.ctx = ctx
				if test.prepare != nil {
					test.prepare(s, cancel)
				}
				r := s.play(t, playOf(`task "t" { `+test.task+`; notify = ["h"] } handler "h" { `+set("h", "1", "repeats = true")+` }`),
					func(o *run.Options) { o.Limit = "a" })
				got := resultOf(r, "a", "t")
				recap, _ := r.Recap()
				if diff := cmp.Diff(test.want, recap.Hosts["a"]); diff != "" {
					t.Errorf("counts (-want +got):\n%s\n%+v", diff, got)
				}
				if diff := cmp.Diff([][]string{test.steps, test.open}, [][]string{nonEmpty(got.Steps), nonEmpty(got.Unfinished)}); diff != "" {
					t.Errorf("steps, and those not completed (-want +got):\n%s", diff)
				}
				if handled := resultOf(r, "a", "h").Status == report.Changed; handled != test.handled {
					t.Errorf("the handler runs: %v, want %v", handled, test.handled)
				}
				if lost := slices.ContainsFunc(r.Notes(), func(n report.Note) bool { return strings.Contains(n.Text, `not run: "h" on a`) }); lost != test.lost {
					t.Errorf("the handler is said to be lost: %v, want %v", lost, test.lost)
				}
			})
		})
	}
}

// nonEmpty is nil for an empty list.
func nonEmpty(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// A step that a later attempt finds done was done by the task, even if the attempt that did it did not see it succeed.
func TestRetryFindsChangeDone(t *testing.T) {
	s := newStage("a")
	r := s.play(t, playOf(`task "t" { `+set("x", "1", "settles = 1", "impatient = true")+` retries = 2; register = "r" }
	  task "u" { when = result.r.changed; `+set("y", "1")+` }`))
	if diff := cmp.Diff([]string{"a t: changed", "a u: changed"}, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := resultOf(r, "a", "t"); len(got.Steps) != 1 || len(got.Unfinished) > 0 {
		t.Errorf("steps %v, not completed %v", got.Steps, got.Unfinished)
	}
}
