package run_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// settings observes one setting.
var settings = &observe.Kind[string]{
	Name: "setting",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Script: "get", Args: names}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		lines := strings.Split(string(answers[0].Stdout), "\n")
		for i, name := range names {
			tell(name, lines[i], nil)
		}
	},
	Holds: func(values map[string]string) ([]remote.Query, bool) {
		var args []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			args = append(args, name, values[name])
		}
		return []remote.Query{{Script: "is", Args: args}}, true
	},
}

// setting is the module under which tests change hosts.
type setting struct {
	Name  string `hcl:"name" doc:"Which setting."`
	Value string `hcl:"value" doc:"What it shall be."`
	// How the module misbehaves.
	Lies      bool   `hcl:"lies,optional" doc:"The command exits 0 and does nothing."`
	Tells     bool   `hcl:"tells,optional" doc:"The host can tell when it shows."`
	Settles   int    `hcl:"settles,optional" doc:"Shows only after so many seconds."`
	Doomed    bool   `hcl:"doomed,optional" doc:"Never shows, and that can be seen at once."`
	Impatient bool   `hcl:"impatient,optional" doc:"Does not wait for what settles."`
	Fails     bool   `hcl:"fails,optional" doc:"The command fails."`
	Busy      int    `hcl:"busy,optional" doc:"The command finds a lock for so many seconds, and is tried again for twice as long."`
	Panics    bool   `hcl:"panics,optional" doc:"The module is defective."`
	Scope_    string `hcl:"scope,optional" doc:"one_by_one or cluster."`
	Repeats   bool   `hcl:"repeats,optional" doc:"Asks for an act and not for a state."`
	Obscures  string `hcl:"obscures,optional" doc:"A setting that becomes unknowable."`
	On        string `hcl:"on,optional" doc:"The host that is changed instead."`
	Needs     string `hcl:"needs,optional" doc:"A setting that must not be empty."`
	NeedsOf   string `hcl:"needs_of,optional" doc:"The host whose setting that is."`
	Exact     bool   `hcl:"exact,optional" doc:"Nothing but the setting changes."`
	Upsets    bool   `hcl:"upsets,optional" doc:"What becomes unknowable gets the same value."`
	Claims    string `hcl:"claims,optional" doc:"A setting that it says will be empty."`
	ThenFails bool   `hcl:"then_fails,optional" doc:"A second command fails."`
	Guard     string `hcl:"guard,optional" doc:"The host undoes it after this time unless it is proven."`
	Moves     bool   `hcl:"moves,optional" doc:"The host has another address afterwards."`
	ProvenOn  string `hcl:"proven_on,optional" doc:"The host that proves it."`
	Knows     bool   `hcl:"knows,optional" doc:"The command says whether it has yet to settle."`
	Long      bool   `hcl:"long,optional" doc:"The host carries the command through."`
	Minutes   int    `hcl:"minutes,optional" doc:"How long the command may take."`
	Remarks   bool   `hcl:"remarks,optional" doc:"The plan that changes the setting has a note, and one that every plan has."`
	AlsoFrom  string `hcl:"also_from,optional" doc:"A host whose setting of the same name is read first."`
}

func (m *setting) Scope() modules.Scope {
	switch m.Scope_ {
	case "one_by_one":
		return modules.OneByOne
	case "cluster":
		return modules.OncePerCluster
	}
	return modules.EachHost
}

func (m *setting) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if m.Panics {
		panic("out of its depth")
	}
	if m.Needs != "" {
		of := h
		if m.NeedsOf != "" {
			peer, err := h.Peer(m.NeedsOf)
			if err != nil {
				return modules.Plan{}, err
			}
			of = peer
		}
		if needed, err := settings.Observe(ctx, of, m.Needs); err != nil || needed == "" {
			return modules.Plan{}, cmp.Or(err, fmt.Errorf("there is no %s", m.Needs))
		}
	}
	value := m.Value
	if m.AlsoFrom != "" {
		peer, err := h.Peer(m.AlsoFrom)
		if err != nil {
			return modules.Plan{}, err
		}
		theirs, err := settings.Observe(ctx, peer, m.Name)
		if err != nil {
			return modules.Plan{}, err
		}
		value += theirs
	}
	on := h
	if m.On != "" {
		peer, err := h.Peer(m.On)
		if err != nil {
			return modules.Plan{}, err
		}
		on = peer
	}
	is, err := settings.Observe(ctx, on, m.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: cty.ObjectVal(map[string]cty.Value{"was": cty.StringVal(is)}), Repeats: m.Repeats}
	if m.Remarks {
		plan.Notes = []string{m.Name + " is odd"}
	}
	if is == value && !m.Repeats {
		return plan, nil
	}
	if m.Remarks {
		plan.Notes = append(plan.Notes, "the old "+m.Name+" was "+is)
	}
	if m.Doomed && is != "" {
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s is %s for good", m.Name, is)}
	}
	verb := "set"
	switch {
	case m.Doomed:
		value = "broken"
	case m.Lies:
		verb = "pretend"
	case m.Fails:
		verb = "fail"
	case m.Busy > 0:
		verb = fmt.Sprintf("busy-%d", m.Busy)
	case m.Settles > 0:
		verb = fmt.Sprintf("settle-%d", m.Settles)
	}
	var retry []string
	if m.Busy > 0 {
		retry = []string{"locked"}
	}
	step := modules.Step{
		Summary: fmt.Sprintf("set %s to %s", m.Name, value),
		Action: modules.Run{Argv: []string{verb, m.Name, value}, Brief: true,
			Long: m.Long, Limit: time.Duration(m.Minutes) * time.Minute, Retry: retry, Patience: 2 * time.Duration(m.Busy) * time.Second},
		Diff:   &modules.Diff{Subject: m.Name, Before: is, After: value},
		Expect: []observe.Expectation{settings.Expect(m.Name, value).On(on)},
		// Hosts that wait at the same time advance the one clock all the more.
		Settle: time.Duration(m.Settles) * time.Minute,
		Await:  m.Name,
		Wide:   m.Scope_ != "",
		Exact:  m.Exact,
	}
	if on != h {
		step.On = on
	}
	if m.Tells {
		step.Until = &remote.Query{Script: "shows", Args: []string{m.Name, value}}
	}
	if run, ok := step.Action.(modules.Run); ok && m.Knows {
		run.Underway = underway
		step.Action = run
	}
	if m.Impatient {
		step.Settle = 0
	}
	if run, ok := step.Action.(modules.Run); ok && m.Upsets && m.Obscures != "" {
		run.Argv = append(run.Argv, m.Obscures)
		step.Action = run
	}
	if m.Obscures != "" {
		step.Expect = append(step.Expect, settings.Unknown(m.Obscures, m.Name+" decides it"))
	}
	if m.Claims != "" {
		step.Expect = append(step.Expect, settings.Expect(m.Claims, ""))
	}
	plan.Steps = append(plan.Steps, step)
	if m.Guard != "" {
		within, err := time.ParseDuration(m.Guard)
		if err != nil {
			return plan, err
		}
		plan.Guard = &modules.Guard{Within: within, Files: []string{"/etc/settings"}, Proofs: []modules.Proof{{Summary: "the gateway answers", Argv: []string{"prove", "gateway", "up"}}}}
		if m.Moves {
			plan.Guard.Address = "192.0.2.9"
		}
		if m.ProvenOn != "" {
			witness, err := h.Peer(m.ProvenOn)
			if err == nil {
				_, err = settings.Observe(ctx, witness, "gateway")
			}
			if err != nil {
				return plan, err
			}
			plan.Guard.Proofs[0].On = witness
		}
	}
	if m.ThenFails {
		plan.Steps = append(plan.Steps, modules.Step{Summary: "fail " + m.Name, Exact: m.Exact, Action: modules.Run{Argv: []string{"fail", m.Name, value}, Brief: true}})
	}
	return plan, nil
}

// own is a setting that belongs to its host alone.
type own struct {
	Name      string `hcl:"name" doc:"Which setting."`
	Value     string `hcl:"value" doc:"What it shall be."`
	Lies      bool   `hcl:"lies,optional" doc:"The command exits 0 and does nothing."`
	Fails     bool   `hcl:"fails,optional" doc:"The command fails."`
	ThenFails bool   `hcl:"then_fails,optional" doc:"A second command fails."`
	Needs     string `hcl:"needs,optional" doc:"A setting that must not be empty."`
	Obscures  string `hcl:"obscures,optional" doc:"A setting that becomes unknowable."`
	Upsets    bool   `hcl:"upsets,optional" doc:"It gets the same value."`
	Repeats   bool   `hcl:"repeats,optional" doc:"Asks for an act and not for a state."`
	Settles   int    `hcl:"settles,optional" doc:"Shows only after so many seconds."`
	Tells     bool   `hcl:"tells,optional" doc:"The host can tell when it shows."`
	Impatient bool   `hcl:"impatient,optional" doc:"Does not wait for what settles."`
	Shared    bool   `hcl:"shared,optional" doc:"It depends on other hosts after all."`
	Wide      bool   `hcl:"wide,optional" doc:"Other hosts may change with it."`
	Busy      int    `hcl:"busy,optional" doc:"The command finds a lock for so many seconds, and is tried again for twice as long."`
	Partly    bool   `hcl:"partly,optional" doc:"It is done in two parts."`
	Long      bool   `hcl:"long,optional" doc:"The host carries the command through."`
	Also      string `hcl:"also,optional" doc:"Another setting, which a second command sets to the same value."`
	From      string `hcl:"from,optional" doc:"The command fetches the value from this host, which must have it."`

	PlanConfined bool `hcl:"plan_confined,optional" doc:"The plan does not depend on other hosts."`
}

func (m *own) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	value := m.Value
	if m.Partly {
		is, err := settings.Observe(ctx, h, m.Name)
		if err != nil {
			return modules.Plan{}, err
		}
		if half := "half of " + value; is != value && is != half {
			value = half
		}
	}
	plan, err := (&setting{Name: m.Name, Value: value, Busy: m.Busy, Lies: m.Lies, Fails: m.Fails, ThenFails: m.ThenFails, Needs: m.Needs, Obscures: m.Obscures, Upsets: m.Upsets,
		Repeats: m.Repeats, Settles: m.Settles, Tells: m.Tells, Impatient: m.Impatient, Long: m.Long}).Plan(ctx, h)
	if m.Also != "" && err == nil {
		var also string
		if also, err = settings.Observe(ctx, h, m.Also); also != value {
			plan.Steps = append(plan.Steps, modules.Step{Summary: fmt.Sprintf("set %s to %s", m.Also, value),
				Action: modules.Run{Argv: []string{"set", m.Also, value}, Brief: true}, Expect: []observe.Expectation{settings.Expect(m.Also, value)}})
		}
	}
	for i := range plan.Steps {
		plan.Steps[i].Wide = m.Wide
		if m.From != "" {
			plan.Steps[i].Action = modules.Run{Argv: []string{"fetch", m.Name, value, m.From}, Brief: true, Fetches: true}
		}
	}
	plan.Partial, plan.Confined = value != m.Value, m.PlanConfined
	return plan, err
}

func (m *own) Confined() bool { return !m.Shared }

var ownSpec = modules.Spec{Name: "own", Summary: "A setting of a test's host", Result: settingSpec.Result, New: func() modules.Module { return &own{} }}

// noop is a module that reads nothing and does nothing, or refuses.
type noop struct {
	Refuses string `hcl:"refuses,optional" doc:"Why."`
	// restless is how many more times another process writes to a file while it is read.
	restless *int
}

func (m *noop) Plan(context.Context, modules.Host) (modules.Plan, error) {
	if m.Refuses != "" {
		return modules.Plan{}, errors.New(m.Refuses)
	}
	if *m.restless > 0 {
		*m.restless--
		return modules.Plan{}, fmt.Errorf("settings: %w", &observe.ChangingError{Path: "/etc/settings"})
	}
	return modules.Plan{}, nil
}

func (m *noop) OnlyReads() bool { return true }

// restart is a module that reboots a host, which is back when its gateway is up.
type restart struct{}

func (m *restart) Plan(context.Context, modules.Host) (modules.Plan, error) {
	return modules.Plan{Repeats: true, Steps: []modules.Step{{Summary: "reboot", Action: modules.Reboot{
		Limit: time.Minute, Ready: []modules.Proof{{Summary: "the gateway answers", Argv: []string{"prove", "gateway", "up"}}},
	}}}}, nil
}

var settingSpec = modules.Spec{
	Name: "setting", Summary: "A setting of a test's host",
	Result: struct {
		Was string `cty:"was" doc:"What it was before."`
	}{},
	New: func() modules.Module { return &setting{} },
}
