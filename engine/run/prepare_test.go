package run_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/run"
)

// A run that may change something has a spare session on every host, and has a shell started in it only where a plan has
// something to do. Check mode has neither.
func TestShellsArePreparedWhereSomethingIsToDo(t *testing.T) {
	s := newStage("a", "b")
	s.hosts["b"].settings["x"] = "1"
	const playbook = "play \"p\" {\n hosts = \"all\"\n task \"1\" { own { name = \"x\"; value = \"1\" } }\n}\n"
	ready := func(what string, want ...string) {
		t.Helper()
		slices.Sort(s.ready)
		if diff := cmp.Diff(want, slices.Compact(s.ready)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		s.ready = nil
	}
	s.play(t, lines(playbook), func(o *run.Options) { o.Check = true })
	ready("check mode")
	s.play(t, lines(playbook))
	ready("a run that changes a", "prepare a", "spare a", "spare b")
	s.play(t, lines(playbook))
	ready("a converged run", "spare a", "spare b")
}
