package run_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/run"
	"hlplay/modules"
)

// joints observes the settings that all hosts of a stage share.
var joints = &observe.Kind[string]{
	Name: "joint", Common: true, Alike: true, Shared: observe.Always,
	Ask: func([]string) []remote.Query { return []remote.Query{{Script: "joints"}} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		values := map[string]string{}
		for line := range strings.Lines(string(answers[0].Stdout)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			values[name] = value
		}
		var err error
		if answers[0].Exit != 0 {
			err = errors.New("there was no answer")
		}
		for _, name := range names {
			tell(name, values[name], err)
		}
	},
}

func init() { observe.AddUnions(func(_, _ *observe.Host) bool { return true }) }

// joint is a setting that all hosts of a stage share. Its command is told what its plan was made from.
type joint struct {
	Name   string `hcl:"name" doc:"Which setting."`
	Value  string `hcl:"value" doc:"What it shall be."`
	Sees   string `hcl:"sees,optional" doc:"Another one that the plan depends on."`
	Local  string `hcl:"local,optional" doc:"A setting of the host itself that the plan depends on."`
	Fails  bool   `hcl:"fails,optional" doc:"The command fails."`
	Scope_ string `hcl:"scope,optional" doc:"one_by_one or cluster."`
	// coarse is set if a step does not say what it changes.
	coarse bool
}

func (m *joint) Scope() modules.Scope { return (&setting{Scope_: m.Scope_}).Scope() }

func (m *joint) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	var seen []string
	for _, name := range []string{m.Name, m.Sees} {
		value, err := joints.Observe(ctx, h, name)
		if err != nil {
			return modules.Plan{}, err
		}
		seen = append(seen, name, value)
	}
	local, err := settings.Observe(ctx, h, m.Local)
	if err != nil {
		return modules.Plan{}, err
	}
	if seen[1] == m.Value {
		return modules.Plan{}, nil
	}
	verb := "joint"
	if m.Fails {
		verb = "fail"
	}
	step := modules.Step{
		Summary: fmt.Sprintf("set %s of all to %s", m.Name, m.Value),
		Action:  modules.Run{Argv: append([]string{verb, m.Name, m.Value, m.Local, local}, seen...), Brief: true},
		Wide:    true,
	}
	if !m.coarse {
		step.Elsewhere = func(_ modules.Host, k observe.Key) bool { return k == joints.Key(m.Name) }
	}
	return modules.Plan{Steps: []modules.Step{step}}, nil
}

// TestElsewhereChangesNothing runs random playbooks, with and without read-ahead, whose steps say what they change on other hosts,
// and such whose steps do not. The outcome must be the same, and no command may have been planned from an answer that was
// older than a change: each finds what its plan has seen. Tasks of hosts that work at the same time change different settings.
func TestElsewhereChangesNothing(t *testing.T) {
	saved := 0
	for seed := range uint64(80) {
		playbook := randomJointPlaybook(rand.New(rand.NewPCG(seed, 7)), seed%2 == 1)
		for _, option := range []bool{false, true} {
			precise, coarse := randomStage(seed), randomStage(seed)
			coarse.coarse = true
			for _, which := range []string{"first", "second"} {
				precise.acts, coarse.acts = nil, nil
				a := precise.play(t, playbook, func(o *run.Options) { o.NoReadAhead = option })
				b := coarse.play(t, playbook, func(o *run.Options) { o.NoReadAhead = option })
				slices.Sort(precise.acts)
				slices.Sort(coarse.acts)
				for what, pair := range map[string][2]any{
					"hosts":    {coarse.state(), precise.state()},
					"shared":   {coarse.joints, precise.joints},
					"results":  {outcomes(b), outcomes(a)},
					"commands": {coarse.acts, precise.acts},
					"stale":    {[]string(nil), slices.Concat(coarse.stale, precise.stale)},
				} {
					if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
						t.Errorf("seed %d, %s run, without read-ahead %v: %s (-without +with Elsewhere):\n%s\n%s", seed, which, option, what, diff, playbook)
					}
				}
			}
			for name, n := range coarse.asks {
				saved += n - precise.asks[name]
			}
		}
	}
	t.Logf("%d flights were saved", saved)
	if saved < 200 {
		t.Errorf("%d flights were saved, want at least 200: is anything remembered or lent?", saved)
	}
}

// A plan that failed ahead, because a host gave no answer then, is made again once a step on another host has changed something.
func TestElsewhereAfterAFailure(t *testing.T) {
	s := newStage("a", "b")
	s.hosts["b"].mute = true
	r := s.play(t, `play "p" {
  hosts = "all"
  task "one" {
    when = host.name == "a"
    joint {
      name  = "j0"
      value = "1"
    }
  }
  task "two" {
    joint {
      name  = "own-${host.name}"
      value = "1"
    }
  }
}`)
	if diff := cmp.Diff([]string{"a one: changed", "a two: changed", "b one: skipped", "b two: changed"}, outcomes(r)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if s.hosts["b"].mute {
		t.Error("b was not asked ahead")
	}
}

// randomJointPlaybook mixes tasks that change what hosts share with such that change only their host, or anything.
func randomJointPlaybook(rng *rand.Rand, fails bool) string {
	d := &draft{rng: rng, fails: fails}
	d.linef("play \"p\" {\nhosts = \"all\"")
	for range 4 + rng.IntN(8) {
		if d.oneIn(3) {
			d.task()
			continue
		}
		d.tasks++
		d.linef("task \"t%d\" {", d.tasks)
		if d.oneIn(5) {
			d.linef("when = host.name != %q", d.pick("a", "b"))
		}
		name := fmt.Sprintf("%q", fmt.Sprint("j", rng.IntN(3)))
		if d.oneIn(4) {
			d.linef("for_each = toset([\"j0\", \"j%d\"])", 1+rng.IntN(2))
			name = "each.key"
		}
		scope := d.pick("one_by_one", "cluster", "")
		sees := fmt.Sprintf("%q", fmt.Sprint("j", rng.IntN(3)))
		if scope == "" { // at the same time
			name, sees = fmt.Sprintf("\"${%s}-${host.name}\"", name), fmt.Sprintf("%q", "none")
		}
		d.linef("joint {\nname = %s\nvalue = \"%d\"\nsees = %s\nlocal = \"s%d\"\nscope = %q", name, rng.IntN(3), sees, rng.IntN(6), scope)
		if fails && d.oneIn(5) {
			d.linef("fails = host.name == \"b\"")
		}
		d.linef("}")
		d.settings()
	}
	d.linef("handler \"h\" {\nsetting {\nname = \"h\"\nvalue = \"1\"\nrepeats = true\n}\n}\n}")
	return d.String()
}
