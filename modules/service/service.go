// Package service keeps systemd units started, stopped, enabled or masked.
package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Service is how a unit should be.
type Service struct {
	Name    string `hcl:"name" doc:"Name of the unit; without a suffix it is a .service."`
	State   string `hcl:"state,optional" doc:"started or stopped; restarted or reloaded for an act that is done each time, as handlers want it. Without it the unit is left as it runs."`
	Enabled *bool  `hcl:"enabled,optional" doc:"Whether the unit starts at boot."`
	Masked  *bool  `hcl:"masked,optional" doc:"Whether the unit is masked, so that nothing can start it."`
	// DaemonReload is a state too: systemd says of each unit whether its file is newer than what it read.
	DaemonReload bool `hcl:"daemon_reload,optional" doc:"Have systemd read its unit files again if the unit's has changed."`
}

// settle bounds how long a unit may take from the end of systemctl to the state asked for: it may
// still activate, or die at once and be started again.
const settle = 15 * time.Second

// Spec is the module as the registry lists it.
var Spec = modules.Spec{
	Name:    "service",
	Summary: "A systemd unit: started or stopped, enabled at boot, masked; restarted or reloaded",
	Doc: `` + "`started`, `stopped`, `enabled` and `masked`" + ` are states. ` + "`restarted` and `reloaded`" + ` are acts: they happen each time and
count as a change each time, so they belong into a handler. A unit that cannot reload is restarted, one
that is not active is started.

A unit that does its work and ends (a oneshot without RemainAfterExit) never counts as started.`,
	Example: `task "time is kept" {
  service {
    name    = "chrony"
    state   = "started"
    enabled = true
  }
}
`,
	New: func() modules.Module { return &Service{} },
}

// Validate implements modules.Validator.
func (s *Service) Validate() error {
	if err := observe.CheckUnitName(observe.UnitName(s.Name)); err != nil {
		return &modules.ArgumentError{Argument: "name", Problem: err.Error()}
	}
	switch s.State {
	case "", "started", "stopped", "restarted", "reloaded":
	default:
		return &modules.ArgumentError{Argument: "state", Problem: fmt.Sprintf("%q is unknown", s.State), Want: "started, stopped, restarted or reloaded"}
	}
	if s.Masked != nil && *s.Masked && (s.State != "" && s.State != "stopped" || s.Enabled != nil && *s.Enabled) {
		return &modules.ArgumentError{Argument: "masked", Problem: "a masked unit can be neither started nor enabled", Want: "leave out one of them"}
	}
	if s.State == "" && s.Enabled == nil && s.Masked == nil && !s.DaemonReload {
		return &modules.ArgumentError{Argument: "state", Problem: "nothing is asked for", Want: "give state, enabled, masked or daemon_reload"}
	}
	return nil
}

// Plan implements modules.Module.
func (s *Service) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	name := observe.UnitName(s.Name)
	unit, err := observe.Units.Observe(ctx, h, name)
	if err != nil {
		return modules.Plan{}, err
	}
	p := planner{name: name, unit: unit}
	if err := s.plan(&p); err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{
		Steps:   p.steps,
		Repeats: p.repeats,
		Data: cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal(name), "active": cty.BoolVal(p.unit.Active()), "enabled": cty.BoolVal(p.unit.Enabled()),
		}),
	}, nil
}

// Want implements modules.Announcer.
func (s *Service) Want(h modules.Host) {
	if s.Name != "" {
		observe.Units.Want(h, observe.UnitName(s.Name))
	}
}

func (s *Service) plan(p *planner) error {
	if !p.unit.Exists() && s.needsUnit() {
		return fmt.Errorf("there is no unit %s; install the package that brings it first", p.name)
	}
	if s.DaemonReload && p.unit.Stale {
		p.unit.Stale = false
		p.do("have systemd read its unit files again", "", []string{"systemctl", "daemon-reload"})
	}
	if s.Masked != nil && *s.Masked != p.unit.Masked() {
		p.mask(*s.Masked)
	}
	if s.Enabled != nil && *s.Enabled != p.unit.Enabled() && !p.unit.Masked() {
		if err := p.enable(*s.Enabled); err != nil {
			return err
		}
	}
	if p.unit.Masked() && s.State != "" && s.State != "stopped" {
		return fmt.Errorf("%s is masked and cannot be started; set masked = false", p.name)
	}
	switch s.State {
	case "started":
		if !p.unit.Active() {
			p.run("start", "active")
		}
	case "stopped":
		if slices.Contains([]string{"active", "reloading", "activating", "deactivating"}, p.unit.ActiveState) {
			p.run("stop", "inactive")
		}
	case "restarted":
		p.repeats = true
		p.run("restart", "active")
	case "reloaded":
		p.repeats = true
		if p.unit.Active() {
			p.run("reload-or-restart", "active")
		} else {
			p.run("start", "active")
		}
	}
	return nil
}

// needsUnit reports whether what is asked for cannot be true of a unit that is not there.
func (s *Service) needsUnit() bool {
	return s.Enabled != nil && *s.Enabled || s.State != "" && s.State != "stopped"
}

// planner gathers steps and keeps the unit as it will be after them.
type planner struct {
	name    string
	unit    observe.Unit
	steps   []modules.Step
	repeats bool
}

func (p *planner) mask(masked bool) {
	if masked {
		p.unit.LoadState, p.unit.UnitFileState = "masked", "masked"
		p.do("mask "+p.name, "", []string{"systemctl", "mask", "--", p.name})
		return
	}
	// What it is enabled as, its file says; systemctl mask does not change that.
	p.unit.LoadState, p.unit.UnitFileState = "loaded", "disabled"
	p.do("unmask "+p.name, "", []string{"systemctl", "unmask", "--", p.name})
}

func (p *planner) enable(enabled bool) error {
	if !enabled {
		if !p.unit.Exists() {
			return nil
		}
		p.unit.UnitFileState = "disabled"
		p.do("do not start "+p.name+" at boot", "", []string{"systemctl", "disable", "--", p.name})
		return nil
	}
	switch p.unit.UnitFileState {
	case "static", "generated", "transient":
		return fmt.Errorf("%s is %s: it has no install section and cannot be enabled; something else starts it", p.name, p.unit.UnitFileState)
	}
	p.unit.UnitFileState = "enabled"
	p.do("start "+p.name+" at boot", "", []string{"systemctl", "enable", "--", p.name})
	return nil
}

// run changes whether the unit runs.
func (p *planner) run(verb, state string) {
	p.unit.ActiveState, p.unit.SubState = state, ""
	p.do(strings.ReplaceAll(verb, "-", " ")+" "+p.name, p.name+" to become "+state, []string{"systemctl", verb, "--", p.name})
}

func (p *planner) do(summary, await string, argv []string) {
	step := modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: argv, Limit: 5 * time.Minute, Explain: explain(p.name, argv[1])},
		Expect:  []observe.Expectation{observe.Units.Expect(p.name, p.unit)},
	}
	if await != "" {
		step.Settle, step.Await = settle, await
	}
	p.steps = append(p.steps, step)
}

// explain says where the reason of a failed job is to be found.
func explain(name, verb string) func(int, []byte, []byte) error {
	return func(exit int, _, stderr []byte) error {
		message := strings.TrimSpace(string(stderr))
		if message == "" {
			message = "it printed no message"
		}
		return fmt.Errorf("systemctl %s %s ended with %d: %s; look at: journalctl -u %s -n 20 --no-pager", verb, name, exit, message, name)
	}
}
