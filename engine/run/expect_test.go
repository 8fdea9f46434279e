package run_test

import "testing"

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
