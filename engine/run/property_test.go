package run_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/run"
)

// TestReadAheadChangesNothing runs random playbooks with read-ahead and without, each on fresh hosts: what
// the hosts become, what is reported and which handlers run must be the same, and check mode must have
// foretold it.
func TestReadAheadChangesNothing(t *testing.T) {
	const cases = 300
	for seed := range uint64(cases) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			playbook := randomPlaybook(rand.New(rand.NewPCG(seed, 1)))
			with, without := randomStage(seed), randomStage(seed)
			a := with.play(t, playbook)
			b := without.play(t, playbook, func(o *run.Options) { o.NoReadAhead = true })
			if diff := cmp.Diff(without.state(), with.state()); diff != "" {
				t.Errorf("hosts (-without +with read-ahead):\n%s\n%s", diff, playbook)
			}
			if diff := cmp.Diff(outcomes(b), outcomes(a)); diff != "" {
				t.Errorf("results (-without +with read-ahead):\n%s\n%s", diff, playbook)
			}
			slices.Sort(with.acts)
			slices.Sort(without.acts)
			if diff := cmp.Diff(without.acts, with.acts); diff != "" {
				t.Errorf("commands (-without +with read-ahead):\n%s\n%s", diff, playbook)
			}
			checked := randomStage(seed)
			foretold := outcomes(checked.play(t, playbook, check))
			if len(checked.acts) > 0 {
				t.Errorf("check mode acted: %v\n%s", checked.acts, playbook)
			}
			if diff := cmp.Diff(outcomes(b), foretold); diff != "" {
				t.Errorf("check mode (-run +foretold):\n%s\n%s", diff, playbook)
			}
		})
	}
}

// randomStage is three hosts with some of the settings already there.
func randomStage(seed uint64) *stage {
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newStage("a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		for i := range 6 {
			if rng.IntN(3) == 0 {
				s.hosts[name].settings[fmt.Sprintf("s%d", i)] = fmt.Sprint(rng.IntN(3))
			}
		}
	}
	return s
}

// randomPlaybook is plays of tasks that read and change few settings, so that they meet: conditions on
// earlier results, values read from other hosts, cluster-wide and one-by-one changes, loops, handlers.
func randomPlaybook(rng *rand.Rand) string {
	var b strings.Builder
	n := 0
	registered := []string{}
	for p := range 1 + rng.IntN(2) {
		fmt.Fprintf(&b, "play \"p%d\" {\n  hosts = %q\n", p, []string{"all", "all", "a:b"}[rng.IntN(3)])
		if p > 0 {
			registered = nil // a host of this play may not have been in the last one
		}
		for range 2 + rng.IntN(6) {
			n++
			fmt.Fprintf(&b, "  task \"t%d\" {\n", n)
			if len(registered) > 0 && rng.IntN(3) == 0 {
				fmt.Fprintf(&b, "    when = %sresult.%s.changed\n", []string{"", "!"}[rng.IntN(2)], registered[rng.IntN(len(registered))])
			} else if rng.IntN(5) == 0 {
				fmt.Fprintf(&b, "    when = host.name != \"b\"\n")
			}
			name := fmt.Sprintf("%q", fmt.Sprintf("s%d", rng.IntN(6)))
			if rng.IntN(4) == 0 {
				fmt.Fprintf(&b, "    for_each = toset([\"s%d\", \"s%d\"])\n", rng.IntN(3), 3+rng.IntN(3))
				name = "each.key"
			}
			fmt.Fprintf(&b, "    setting {\n      name = %s\n      value = %q\n", name, fmt.Sprint(rng.IntN(3)))
			switch rng.IntN(8) {
			case 0:
				fmt.Fprintf(&b, "      scope = \"cluster\"\n")
			case 1:
				fmt.Fprintf(&b, "      scope = \"one_by_one\"\n      also_from = host.name == \"a\" ? null : \"a\"\n")
			}
			fmt.Fprintf(&b, "    }\n")
			if rng.IntN(2) == 0 {
				fmt.Fprintf(&b, "    register = \"r%d\"\n", n)
				registered = append(registered, fmt.Sprintf("r%d", n))
			}
			if rng.IntN(3) == 0 {
				fmt.Fprintf(&b, "    notify = [\"h\"]\n")
			}
			fmt.Fprintf(&b, "  }\n")
		}
		fmt.Fprintf(&b, "  handler \"h\" {\n    setting {\n      name = \"h\"\n      value = \"1\"\n      repeats = true\n    }\n  }\n}\n")
	}
	return b.String()
}
