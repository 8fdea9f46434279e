package run_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"hlplay/engine/report"
)

func TestInterruptStartsNothingMore(t *testing.T) {
	s := newStage("a")
	ctx, cancel := context.WithCancel(t.Context())
	s.ctx, s.onAct = ctx, func(string) { cancel() }
	r := s.play(t, `
play "p" {
  hosts = "all"
  task "t" {
    setting {
      name  = "x"
      value = "1"
    }
    notify = ["h"]
  }
  task "u" {
    setting {
      name  = "y"
      value = "1"
    }
  }
  handler "h" {
    setting {
      name  = "h"
      value = "1"
    }
  }
}`)
	if want := []string{"a: set x 1"}; !slices.Equal(s.acts, want) {
		t.Errorf("acts: %v, want %v", s.acts, want)
	}
	recap, ok := r.Recap()
	if !ok || !recap.Interrupted {
		t.Errorf("the recap does not say that the run was interrupted: %+v", recap)
	}
	if got := r.Results(); len(got) != 1 || got[0].Task != "t" || got[0].Message != "interrupted" {
		t.Errorf("results: %+v, want that task t was interrupted", got)
	}
	// Its change has been made, so the next run will not notify the handler.
	if !slices.ContainsFunc(r.Notes(), func(n report.Note) bool { return strings.Contains(n.Text, `not run: "h" on a`) }) {
		t.Errorf("no note names the handler that was lost: %v", r.Notes())
	}
}

// Whatever a run is doing when it is interrupted, it ends, leaves nothing running, starts nothing more and reports what
// was interrupted.
func TestInterruptAtAnyMoment(t *testing.T) {
	playbook := "play \"p\" {\n hosts = \"all\"\n" + lines(`
	  task "before" { `+set("w", "1")+` }
	  group "g" {
	    task "t" { `+set("x", "1", "settles = 9")+` throttle = 1; register = "r"; retries = 2 }
	    rescue { task "rescue" { `+set("y", "1")+` } }
	    always { task "always" { `+set("y", "2")+` } }
	  }
	  task "joins" { `+set("z", "1", `scope = "one_by_one"`)+` }
	  task "after" { `+set("v", "1")+` }`) + "\n}"
	// Count the events of each kind, to interrupt the run at each of them.
	whole := newStage("a", "b", "c")
	events := 0
	whole.onEvent = func(context.Context) { events++ }
	synctest.Test(t, func(t *testing.T) {
		whole.play(t, playbook)
		synctest.Wait()
	})
	if events < 20 {
		t.Fatalf("only %d events: too few to be a run of this playbook", events)
	}
	for at := range events {
		synctest.Test(t, func(t *testing.T) {
			s := newStage("a", "b", "c")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.ctx = ctx
			n, acts := 0, 0
			s.onEvent = func(ctx context.Context) {
				if n++; n == at+1 {
					acts = len(s.acts)
					cancel()
				}
			}
			r := s.play(t, playbook)
			synctest.Wait()
			if n <= at {
				return // this run had fewer events
			}
			// Commands in progress on each host may end.
			if more := len(s.acts) - acts; more > 3 {
				t.Errorf("interrupted at event %d: %d more commands: %v", at, more, s.acts[acts:])
			}
			recap, _ := r.Recap()
			if !recap.Interrupted {
				t.Errorf("interrupted at event %d: the recap does not say so", at)
			}
			for _, result := range r.Results() {
				if result.Status == report.Failed && result.Message != "interrupted" {
					t.Errorf("interrupted at event %d: %s on %s says %q", at, result.Task, result.Host, result.Message)
				}
			}
		})
	}
}
