package run_test

import (
	"fmt"
	"strings"
	"testing"
)

// What a host has to read again because of a step on another host, for tasks with nothing to do, it reads in one flight.
func TestReadsAfterAStepElsewhereShareAFlight(t *testing.T) {
	s := newStage("a", "b")
	var tasks strings.Builder
	for i := range 9 {
		fmt.Fprintf(&tasks, "task \"t%d\" {\nsetting {\nname = \"s%d\"\nvalue = \"\"\n}\n}\n", i, i)
	}
	s.play(t, `play "p" {
  hosts = "all"
  task "one" {
    when = host.name == "a"
    setting {
      name  = "j"
      value = "1"
      scope = "one_by_one"
    }
  }
`+tasks.String()+`}`)
	if n := s.asks["b"]; n != 2 {
		t.Errorf("%d flights of reads on b, want one ahead and one behind the step on a", n)
	}
}

// What a task with something to do reads travels with the step before, past a task that only checks the step's result, of which no
// plan could be made ahead.
func TestReadsPassChecks(t *testing.T) {
	s := newStage("a")
	s.play(t, `play "p" {
  hosts = "all"
  task "one" {
    setting {
      name  = "x"
      value = "1"
    }
    register = "one"
  }
  task "check" {
    look {
      refuses = result.one.was == "1" ? "" : "x is not set"
    }
  }
  task "two" {
    setting {
      name  = "y"
      value = "1"
    }
  }
}`)
	if n := s.asks["a"]; n != 1 || s.flights["a"] != 2 {
		t.Errorf("%d flights of reads and %d of steps, want 1 and 2", n, s.flights["a"])
	}
}
