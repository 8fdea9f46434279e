package run_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/run"
)

// When a task has settled, the expectations of its steps are compared with the hosts that they name, and differences
// are reported. Setting c of both hosts is "1".
func TestExpectationsAreHeldAgainstHosts(t *testing.T) {
	const told = `a: task "t": module setting expected something else than was observed: setting:c on a: found "1", expected ""`
	tests := map[string]struct {
		task string
		want []string
	}{
		"it comes true":                   {`when = host.name == "a"; ` + set("x", "1"), nil},
		"it takes its time":               {`when = host.name == "a"; ` + set("x", "1", "settles = 30"), nil},
		"another setting does not change": {`when = host.name == "a"; ` + set("x", "1", `claims = "c"`), []string{told}},
		"of two, the last step counts":    {`for_each = toset(["x", "y"]); setting { name = each.key; value = host.name; claims = each.key == "y" && host.name == "a" ? "c" : null }`, []string{told}},
		"an act that repeats":             {`when = host.name == "a"; ` + set("x", "1", `claims = "c"`, "repeats = true"), []string{told}},
		"on another host":                 {`when = host.name == "a"; ` + set("x", "1", `on = "b"`), nil},
		"nothing to do":                   {`when = host.name == "a"; ` + set("c", "1", `claims = "c"`), nil},
		"nobody can know":                 {`when = host.name == "a"; ` + set("x", "1", `obscures = "c"`), nil},
		"it failed":                       {`when = host.name == "a"; ` + set("x", "1", `claims = "c"`, "fails = true"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for mode, asked := range map[string][]func(*run.Options){"run": nil, "check mode": {check}} {
				s := newStage("a", "b")
				s.hosts["a"].settings["c"], s.hosts["b"].settings["c"] = "1", "1"
				var mu sync.Mutex
				var got []string
				s.play(t, playOf(`task "t" { `+test.task+` }`), append(asked, func(o *run.Options) {
					o.Unfulfilled = func(u run.Unfulfilled) {
						mu.Lock()
						defer mu.Unlock()
						got = append(got, u.String())
					}
				})...)
				want := test.want
				if mode == "check mode" {
					want = nil
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", mode, diff)
				}
			}
		})
	}
}

// If nobody wants to know, nothing is observed.
func TestExpectationsCostNothing(t *testing.T) {
	asks := func(change ...func(*run.Options)) int {
		s := newStage("a")
		s.play(t, playOf(`task "t" { `+set("x", "1")+` }`), change...)
		return s.asks["a"]
	}
	without, with := asks(), asks(func(o *run.Options) { o.Unfulfilled = func(run.Unfulfilled) {} })
	if with <= without {
		t.Errorf("%d flights with expectations held against the host, %d without: it was not asked", with, without)
	}
	if without > 1 {
		t.Errorf("%d flights for a change, want 1: what verifies it rides with it", without)
	}
}
