package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// questions gives the listed answers, and yes after these. It records what was asked as "task: host step, host step".
type questions struct {
	answers []run.Answer
	asked   []string
	onAsk   func()
}

func (q *questions) ask(ctx context.Context, proposals []run.Proposal) (run.Answer, error) {
	var all []string
	for _, p := range proposals {
		for _, s := range p.Steps {
			all = append(all, p.Host+" "+s.Summary)
		}
	}
	q.asked = append(q.asked, proposals[0].Task+": "+strings.Join(all, ", "))
	if q.onAsk != nil {
		q.onAsk()
	}
	if len(q.answers) == 0 {
		return run.Carry, ctx.Err()
	}
	answer := q.answers[0]
	q.answers = q.answers[1:]
	return answer, ctx.Err()
}

func (q *questions) option(o *run.Options) { o.Ask = q.ask }

func TestAsk(t *testing.T) {
	const y, n, a = run.Carry, run.Leave, run.CarryAll
	for name, c := range map[string]struct {
		tasks   string
		answers []run.Answer
		asked   []string
		acts    []string
	}{
		"each task once for all hosts": {
			tasks:   `task "t" { ` + set("x", "1") + ` } task "u" { ` + set("y", "1") + ` }`,
			answers: []run.Answer{y, y},
			asked:   []string{"t: a set x to 1, b set x to 1", "u: a set y to 1, b set y to 1"},
			acts:    []string{"a: set x 1", "a: set y 1", "b: set x 1", "b: set y 1"},
		},
		"no, and the next one": {
			tasks:   `task "t" { ` + set("x", "1") + ` register = "r" } task "u" { ` + set("y", "1") + ` when = result.r.skipped }`,
			answers: []run.Answer{n, y},
			asked:   []string{"t: a set x to 1, b set x to 1", "u: a set y to 1, b set y to 1"},
			acts:    []string{"a: set y 1", "b: set y 1"},
		},
		"all": {
			tasks:   `task "t" { ` + set("x", "1") + ` } task "u" { ` + set("y", "1") + ` } task "v" { ` + set("z", "1") + ` }`,
			answers: []run.Answer{n, a},
			asked:   []string{"t: a set x to 1, b set x to 1", "u: a set y to 1, b set y to 1"},
			acts:    []string{"a: set y 1", "a: set z 1", "b: set y 1", "b: set z 1"},
		},
		"only where there is something to do": {
			tasks: `task "t" { ` + set("x", "1") + ` when = host.name == "b" } task "u" { ` + set("y", "") + ` }`,
			asked: []string{"t: b set x to 1"},
			acts:  []string{"b: set x 1"},
		},
		"what is left out notifies nothing": {
			tasks:   `task "t" { ` + set("x", "1") + ` notify = ["h"] } handler "h" { ` + set("h", "1") + ` }`,
			answers: []run.Answer{n},
			asked:   []string{"t: a set x to 1, b set x to 1"},
		},
		"a handler": {
			tasks: `task "t" { ` + set("x", "1") + ` notify = ["h"] } handler "h" { ` + set("h", "1") + ` }`,
			asked: []string{"t: a set x to 1, b set x to 1", "h: a set h to 1, b set h to 1"},
			acts:  []string{"a: set h 1", "a: set x 1", "b: set h 1", "b: set x 1"},
		},
		"the items of a for_each": {
			tasks:   `task "t" { for_each = ["x", "y"]; setting { name = each.value; value = "1" } when = host.name == "a" }`,
			answers: []run.Answer{y},
			asked:   []string{"t: a 0: set x to 1, a 1: set y to 1"},
			acts:    []string{"a: set x 1", "a: set y 1"},
		},
		"one for all": {
			tasks:   `task "t" { ` + set("x", "1", `scope = "cluster"`) + ` } task "u" { ` + set("y", "1") + ` run_once = true }`,
			answers: []run.Answer{n, n},
			asked:   []string{"t: a set x to 1", "u: a set y to 1"},
		},
		"one host after the other": {
			tasks: `task "t" { ` + set("x", "1", `scope = "one_by_one"`) + ` throttle = 1 }`,
			asked: []string{"t: a set x to 1, b set x to 1"},
			acts:  []string{"a: set x 1", "b: set x 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a", "b")
			q := &questions{answers: c.answers}
			s.play(t, lines(`play "p" { hosts = "all"; `+c.tasks+` }`), q.option, func(o *run.Options) { o.Forks = 1 })
			if diff := cmp.Diff(c.asked, q.asked); diff != "" {
				t.Errorf("the questions differ (-want +got):\n%s", diff)
			}
			slices.Sort(s.acts)
			if diff := cmp.Diff(c.acts, s.acts); diff != "" {
				t.Errorf("the acts differ (-want +got):\n%s", diff)
			}
		})
	}
}

// A handler that is left out stays due, and the next run asks about it.
func TestAskLeavesHandlersDue(t *testing.T) {
	playbook := lines(`play "p" { hosts = "all"; become = true; task "t" { ` + set("x", "1") + ` notify = ["h"] } handler "h" { ` + set("h", "1") + ` } }`)
	s := newStage("a")
	q := &questions{answers: []run.Answer{run.Carry, run.Leave}}
	r := s.play(t, playbook, q.option)
	if notes := fmt.Sprint(r.Notes()); !strings.Contains(notes, "notified but not run: \"h\" on a; the next run of this playbook runs them") {
		t.Errorf("the notes are %s", notes)
	}
	q = &questions{}
	s.play(t, playbook, q.option)
	if diff := cmp.Diff([]string{"h: a set h to 1"}, q.asked); diff != "" || s.state()["a"]["h"] != "1" {
		t.Errorf("the next run left the handler out, or asked (-want +got):\n%s", diff)
	}
}

// What somebody else did before the answer is not done again, and what became necessary meanwhile is asked about.
func TestAskReadsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		now   string
		asked []string
		acts  []string
	}{
		"done by others":       {"1", []string{"t: a set x to 1"}, nil},
		"changed to something": {"2", []string{"t: a set x to 1", "t: a set x to 1"}, []string{"a: set x 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a")
			q := &questions{onAsk: func() { s.mu.Lock(); s.hosts["a"].settings["x"] = c.now; s.mu.Unlock() }}
			s.play(t, lines(`play "p" { hosts = "all"; `+`task "t" { `+set("x", "1")+` } }`), q.option)
			if diff := cmp.Diff(c.asked, q.asked); diff != "" {
				t.Errorf("the questions differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.acts, s.acts); diff != "" {
				t.Errorf("the acts differ (-want +got):\n%s", diff)
			}
		})
	}
}

// The same applies to a host that needs something only because of a change on the host before it.
func TestAskReadsAgainAfterLaterAnswer(t *testing.T) {
	const tasks = `task "t" { setting { name = "x"; value = host.name == "a" ? "1" : ""; scope = "one_by_one"; also_from = host.name == "a" ? null : "a" } }`
	for name, c := range map[string]struct {
		now   string
		asked []string
		acts  []string
	}{
		"nothing new":          {"", []string{"t: a set x to 1", "t: b set x to 1"}, []string{"a: set x 1", "b: set x 1"}},
		"done by others":       {"1", []string{"t: a set x to 1", "t: b set x to 1"}, []string{"a: set x 1"}},
		"changed to something": {"2", []string{"t: a set x to 1", "t: b set x to 1", "t: b set x to 1"}, []string{"a: set x 1", "b: set x 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage("a", "b")
			q := &questions{}
			q.onAsk = func() {
				if len(q.asked) == 2 {
					s.mu.Lock()
					s.hosts["b"].settings["x"] = c.now
					s.mu.Unlock()
				}
			}
			s.play(t, lines(`play "p" { hosts = "all"; `+tasks+` }`), q.option)
			if diff := cmp.Diff(c.asked, q.asked); diff != "" {
				t.Errorf("the questions differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.acts, s.acts); diff != "" {
				t.Errorf("the acts differ (-want +got):\n%s", diff)
			}
		})
	}
}

// The time for answering a question does not count towards the task's timeout.
func TestAskDoesNotCountForTimeout(t *testing.T) {
	s := newStage("a")
	q := &questions{onAsk: func() { s.mu.Lock(); s.passLocked(time.Hour); s.mu.Unlock() }}
	r := s.play(t, lines(`play "p" { hosts = "all"; `+`task "t" { `+set("x", "1")+` timeout = "1m" } }`), q.option)
	if diff := cmp.Diff([]string{"a t: changed"}, outcomes(r)); diff != "" {
		t.Errorf("the outcomes differ (-want +got):\n%s", diff)
	}
}

func TestAskInterrupted(t *testing.T) {
	s := newStage("a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	s.ctx = ctx
	q := &questions{onAsk: cancel}
	r := s.play(t, lines(`play "p" { hosts = "all"; `+`task "t" { `+set("x", "1")+` } task "u" { `+set("y", "1")+` } }`), q.option)
	if len(s.acts) > 0 || len(q.asked) != 1 {
		t.Errorf("after an interruption these were asked: %v, and these done: %v", q.asked, s.acts)
	}
	for _, result := range r.Results() {
		if result.Status != report.Failed || result.Message != "interrupted" {
			t.Errorf("%s ended as %s: %s", result.Task, result.Status, result.Message)
		}
	}
}

func TestAskInCheckMode(t *testing.T) {
	s := newStage("a")
	q := &questions{}
	s.play(t, lines(`play "p" { hosts = "all"; `+`task "t" { `+set("x", "1")+` } }`), q.option, func(o *run.Options) { o.Check = true })
	if len(q.asked) > 0 {
		t.Errorf("check mode asked %v", q.asked)
	}
}
