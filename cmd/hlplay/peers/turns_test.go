//go:build linux && peers

package peers

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tools take turns, and nodes end with a run unless the next one is on the same.
func TestTurns(t *testing.T) {
	show := func(order []turn) (shown []string) {
		for _, next := range order {
			line := next.name + " " + next.what
			if next.keeps {
				line += ", kept"
			}
			shown = append(shown, line)
		}
		return shown
	}
	for name, test := range map[string]struct {
		all  []*contender
		want []string
	}{
		"each": {
			[]*contender{
				{tool: tool{name: "a"}, whats: []string{first, converged}, count: 2},
				{tool: tool{name: "none"}, count: 9},
				{tool: tool{name: "b"}, whats: []string{first, converged}, count: 4},
			},
			[]string{"a first", "b first", "b first", "a first, kept", "b first", "b first, kept",
				"a converged, kept", "b converged, kept", "b converged, kept", "a converged", "b converged, kept", "b converged"},
		},
		"one in the middle": {
			[]*contender{{tool: tool{name: "a"}, whats: []string{check}, count: 3}, {tool: tool{name: "b"}, whats: []string{check}, count: 1}},
			[]string{"a check, kept", "a check, kept", "b check", "a check"},
		},
		"one kind": {
			[]*contender{{tool: tool{name: "a"}, whats: []string{check}, count: 2}, {tool: tool{name: "b"}, whats: []string{first}, count: 1}},
			[]string{"b first", "a check, kept", "a check"},
		},
	} {
		if diff := cmp.Diff(test.want, show(turns(test.all))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	all := []*contender{{tool: tool{name: "a"}, whats: []string{first}, count: 7}}
	if got := fmt.Sprint(show(turns(all))); got != "[a first a first a first a first a first a first a first]" {
		t.Errorf("seven first runs: %s", got)
	}
}
