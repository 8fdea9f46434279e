package run_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hlplay/engine/report"
	"hlplay/engine/run"
)

// notifying is a random playbook in which every task changes its own setting, and some notify a handler.
type notifying struct {
	strings.Builder
	rng      *rand.Rand
	tasks    int
	handlers map[string]string // maps the setting that a task changes to the one that its handler changes
}

func (n *notifying) linef(format string, args ...any) { fmt.Fprintf(n, format+"\n", args...) }

func randomNotifying(rng *rand.Rand) *notifying {
	n := &notifying{rng: rng, handlers: map[string]string{}}
	for p := range 1 + rng.IntN(2) {
		n.linef("play \"p%d\" {\nhosts = \"all\"", p)
		if rng.IntN(4) == 0 {
			n.linef("serial = 1")
		}
		flushes := false
		for range 2 + rng.IntN(4) {
			switch n.rng.IntN(6) {
			case 0:
				flushes = true
				n.linef("flush_handlers {}")
			case 1:
				n.linef("group \"g%d\" {", n.tasks)
				n.task(p)
				n.linef("rescue {")
				n.task(p)
				n.linef("}\n}")
			default:
				n.task(p)
			}
		}
		for _, handler := range []string{"first", "second"} {
			n.linef("handler %q {\nsetting {\nname = \"%s%d\"\nvalue = \"1\"\nrepeats = %v\n}\n}", handler, handler, p, flushes || n.rng.IntN(2) == 0)
		}
		n.linef("}")
	}
	return n
}

func (n *notifying) task(play int) {
	n.tasks++
	name := fmt.Sprint("s", n.tasks)
	n.linef("task %q {\nsetting {\nname = %q\nvalue = \"1\"", "t"+name, name)
	switch n.rng.IntN(6) {
	case 0:
		n.linef("scope = \"one_by_one\"")
	case 1:
		n.linef("settles = 3")
	}
	n.linef("}")
	if n.rng.IntN(2) == 0 {
		handler := []string{"first", "second"}[n.rng.IntN(2)]
		n.handlers[name] = fmt.Sprint(handler, play)
		n.linef("notify = [%q]", handler)
	}
	n.linef("}")
}

// undone returns the changes, "host: setting", whose handler has not run after them.
func (n *notifying) undone(acts []string) (all []string) {
	for i, act := range acts {
		host, command, _ := strings.Cut(act, ": ")
		setting := strings.Fields(command)[1]
		handler := n.handlers[setting]
		ran := slices.ContainsFunc(acts[i:], func(later string) bool {
			return strings.HasPrefix(later, host+": ") && strings.Fields(later)[2] == handler
		})
		if handler != "" && !ran {
			all = append(all, host+": "+setting)
		}
	}
	return all
}

// Whatever ends a run, and whenever, a handler that was notified runs: in that run or in the next one.
func TestHandlersAreNotLost(t *testing.T) {
	endings := map[string]func(s *stage, cancel func()){
		"interrupted": func(_ *stage, cancel func()) { cancel() },
		"cut off": func(s *stage, _ func()) { // like a killed controller: nothing more reaches a host
			for _, h := range s.hosts {
				h.dead = true
			}
		},
		"one host is lost": func(s *stage, _ func()) { s.hosts["a"].dead = true },
	}
	for seed := range uint64(40) {
		for name, end := range endings {
			playbook := randomNotifying(rand.New(rand.NewPCG(seed, 3)))
			// At each event of an undisturbed run, in turn for the seeds.
			events := 0
			whole := newStage("a", "b")
			whole.onEvent = func(context.Context) { events++ }
			whole.onAnswer = func() { events++ }
			synctest.Test(t, func(t *testing.T) { whole.play(t, playbook.String()); synctest.Wait() })
			if lost := playbook.undone(whole.acts); len(lost) > 0 {
				t.Fatalf("seed %d: an undisturbed run does not run the handlers of %v\n%s", seed, lost, playbook)
			}
			at := 1 + int(seed*7919%uint64(max(1, events)))
			synctest.Test(t, func(t *testing.T) {
				s := newStage("a", "b")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.ctx = ctx
				n := 0
				count := func() {
					if n++; n == at {
						end(s, cancel)
					}
				}
				s.onEvent, s.onAnswer = func(context.Context) { count() }, count
				s.play(t, playbook.String())
				synctest.Wait()
				s.ctx, s.onEvent, s.onAnswer = nil, nil, nil
				for _, h := range s.hosts {
					h.dead = false
				}
				first := len(s.acts)
				checked := s.clone()
				foretold := outcomes(checked.play(t, playbook.String(), check))
				r := s.play(t, playbook.String())
				synctest.Wait()
				if lost := playbook.undone(s.acts); len(lost) > 0 {
					t.Errorf("seed %d, %s at event %d of %d: the handlers of %v never ran\n%v\nthen %v\n%v\n%s", seed, name, at, events, lost, s.acts[:first], s.acts[first:], r.Notes(), playbook)
				}
				if got := outcomes(r); !slices.Equal(got, foretold) {
					t.Errorf("seed %d, %s at event %d: check mode foretold %v, and it was %v", seed, name, at, foretold, got)
				}
				for host, h := range s.hosts {
					if len(h.due) > 0 {
						t.Errorf("seed %d, %s at event %d: on %s there is still due: %v", seed, name, at, host, h.due)
					}
				}
				// Everything is done, so nothing runs any more.
				acts := len(s.acts)
				s.play(t, playbook.String(), func(o *run.Options) { o.Reporter = &report.Recorder{} })
				if len(s.acts) > acts {
					t.Errorf("seed %d, %s at event %d: a third run did %v", seed, name, at, s.acts[acts:])
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}

// If the connection is lost between a host's removal of a due handler's record and its answer, nobody claims to know whether
// the handler is due, also if it was sent with an earlier task.
func TestDueIsNotKnown(t *testing.T) {
	const playbook = `play "p" {
  hosts = "all"
  task "change" {
    own {
      name  = "s"
      value = "1"
    }
    notify = ["again"]
  }
  handler "again" {
    own {
      name    = "h"
      value   = "1"
      repeats = true
    }
  }
}`
	for _, latency := range []time.Duration{0, time.Second} {
		s := newStage("a")
		s.latency = latency
		h := s.hosts["a"]
		h.deaf = true
		notes := fmt.Sprint(s.play(t, playbook, sendAhead).Notes())
		if !strings.Contains(notes, `the connection was lost before the answer whether they are still due: "again" on a; if so, the next run of this playbook runs them`) || strings.Contains(notes, "not run") || strings.Contains(notes, "{still due") {
			t.Errorf("at a distance of %s the notes are %s", latency, notes)
		}
		h.deaf, h.dead = false, false
		before := len(s.acts)
		if r := s.play(t, playbook); len(s.acts) > before || len(h.due) > 0 {
			t.Errorf("the next run did %v; due is %v: %v", s.acts[before:], h.due, r.Notes())
		}
	}
}
