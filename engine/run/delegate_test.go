package run_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/run"
)

// A task with delegate_to is planned for, carried out on and verified on the delegate, one host at a time, even if the
// delegate is not in any play.
func TestDelegation(t *testing.T) {
	for _, test := range []struct {
		name, task string
		acts       []string
		outcomes   []string
		message    string // of the first result
	}{
		{
			"each host in turn", `delegate_to = "z"; setting { name = host.name; value = "1" }`,
			[]string{"z: set a 1", "z: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"what the first has done", `delegate_to = "z"; ` + set("x", "1"),
			[]string{"z: set x 1"}, []string{"a t: changed", "b t: ok"}, "",
		},
		{
			"a host of the play", `delegate_to = "b"; setting { name = host.name; value = "1" }`,
			[]string{"b: set a 1", "b: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"each host elsewhere", `delegate_to = host.name == "a" ? "z" : "y"; setting { name = host.name; value = "1" }`,
			[]string{"z: set a 1", "y: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"each other", `delegate_to = host.name == "a" ? "b" : "a"; setting { name = host.name; value = "1" }`,
			[]string{"b: set a 1", "a: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"one host itself", `delegate_to = host.name == "a" ? "b" : null; ` + set("x", "1"),
			[]string{"b: set x 1"}, []string{"a t: changed", "b t: ok"}, "",
		},
		{
			"each item elsewhere", `for_each = ["y", "z"]; delegate_to = each.value; setting { name = host.name; value = "1" }`,
			[]string{"y: set a 1", "z: set a 1", "y: set b 1", "z: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"items by host, and one on the host itself", `for_each = host.name == "a" ? ["z", "b"] : [null, "b"]; delegate_to = each.value; setting { name = host.name; value = "1" }`,
			[]string{"z: set a 1", "b: set a 1", "b: set b 1"}, []string{"a t: changed", "b t: changed"}, "",
		},
		{
			"two items on one host", `for_each = ["z", "z"]; delegate_to = each.value; setting { name = format("x%s", each.key); value = "1" }`,
			[]string{"z: set x0 1", "z: set x1 1"}, []string{"a t: changed", "b t: ok"}, "",
		},
		{
			"an item left out", `for_each = ["y", "z"]; when = each.value != "y"; delegate_to = each.value; ` + set("x", "1"),
			[]string{"z: set x 1"}, []string{"a t: changed", "b t: ok"}, "",
		},
		{
			"a cluster, items on one host itself", `for_each = ["a"]; delegate_to = each.value; ` + set("x", "1", `scope = "cluster"`),
			[]string{"a: set x 1"}, []string{"a t: changed", "b t: failed"}, "",
		},
		{
			"a cluster, on one host itself", `delegate_to = host.name == "a" ? null : "z"; ` + set("x", "1", `scope = "cluster"`),
			[]string{"a: set x 1"}, []string{"a t: changed", "b t: failed"}, "",
		},
		{
			"what takes time to show", `delegate_to = "z"; run_once = true; ` + set("x", "1", "settles = 1"),
			[]string{"z: settle-1 x 1"}, []string{"a t: changed"}, "",
		},
		{
			"a lock", `delegate_to = "z"; run_once = true; ` + set("x", "1", "busy = 3"),
			[]string{"z: busy-3 x 1", "z: busy-3 x 1", "z: busy-3 x 1"}, []string{"a t: changed"}, "",
		},
		{
			"no effect", `delegate_to = "z"; run_once = true; ` + set("x", "1", "lies = true"),
			[]string{"z: pretend x 1"}, []string{"a t: failed"}, "done, and yet still to do: on z: set x to 1",
		},
		{
			"once", `delegate_to = "z"; run_once = true; setting { name = "x"; value = host.name }`,
			[]string{"z: set x a"}, []string{"a t: changed"}, "",
		},
		{
			"a cluster", `delegate_to = "z"; ` + set("x", "1", `scope = "cluster"`),
			nil, []string{"a t: failed", "b t: failed"}, "delegate_to: setting changes a cluster, or must not run on two hosts at once, and decides itself where it acts: leave delegate_to out",
		},
		{
			"a module that chooses its host", `delegate_to = "z"; run_once = true; ` + set("x", "1", `on = "a"`),
			nil, []string{"a t: failed"}, "delegate_to: this module acts on several hosts, and decides itself on which: leave delegate_to out",
		},
		{
			"a guard", `delegate_to = "z"; run_once = true; ` + set("x", "1", `guard = "60s"`),
			nil, []string{"a t: failed"}, "delegate_to: a change that the host undoes unless it is confirmed needs a play for z",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage("a", "b", "y", "z")
			source := lines(`play "p" { hosts = "a:b"; task "t" { ` + test.task + ` } }`)
			limit := func(o *run.Options) { o.Limit = "a:b:y:z" }
			r := s.play(t, source, limit)
			if diff := cmp.Diff(test.outcomes, outcomes(r)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, r.Results()[0].Message)
			}
			if diff := cmp.Diff(test.acts, s.acts); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			if got := r.Results()[0].Message; !strings.Contains(got, test.message) {
				t.Errorf("the message is %q, expected %q in it", got, test.message)
			}
			if s.most > 1 {
				t.Errorf("%d commands ran at a time on one host", s.most)
			}
			if slices.ContainsFunc(test.outcomes, func(o string) bool { return strings.HasSuffix(o, "failed") }) {
				return
			}
			before := len(s.acts)
			if r := s.play(t, source, limit); len(s.acts) > before {
				t.Errorf("the second run does %v; %v", s.acts[before:], outcomes(r))
			}
		})
	}
}

// What one host's task changes on a delegate is seen by another host's next task there, even if that was planned ahead.
func TestDelegatesAreReadAgain(t *testing.T) {
	for _, check := range []bool{true, false} {
		s := newStage("a", "b", "z")
		source := lines(`play "p" { hosts = "a:b"
			task "t" { delegate_to = host.name == "a" ? "z" : null; ` + set("x", "1") + ` }
			task "u" { delegate_to = host.name == "b" ? "z" : null; ` + set("y", "1", `needs = "x"`) + ` }
			task "v" { delegate_to = host.name == "a" ? "b" : "z"; ` + set("y", "1") + ` } }`)
		r := s.play(t, source, func(o *run.Options) { o.Check, o.Limit = check, "a:b:z" })
		want := []string{"a t: changed", "a u: failed", "b t: changed", "b u: changed", "b v: ok"}
		if diff := cmp.Diff(want, outcomes(r)); diff != "" {
			t.Errorf("check %v (-want +got):\n%s", check, diff)
		}
	}
}

// Check mode predicts on the delegate what later tasks read there. A delegate that --limit excludes is never changed.
func TestDelegationInCheckMode(t *testing.T) {
	s := newStage("a", "z")
	source := lines(`play "p" { hosts = "a"; task "t" { delegate_to = "z"; ` + set("x", "1") + ` }; task "u" { delegate_to = "z"; ` + set("y", "1", `needs = "x"`) + ` } }`)
	r := s.play(t, source, func(o *run.Options) { o.Check = true })
	if diff := cmp.Diff([]string{"a t: changed", "a u: changed"}, outcomes(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, check := range []bool{true, false} {
		r = s.play(t, source, func(o *run.Options) { o.Check, o.Limit = check, "a" })
		if got := r.Results()[0]; got.Status != "failed" || !strings.Contains(got.Message, "delegate_to: --limit leaves out z, where this would set x to 1") {
			t.Errorf("check %v: %s: %q", check, got.Status, got.Message)
		}
	}
	if len(s.acts) > 0 {
		t.Errorf("%v was done", s.acts)
	}
}
