// Package service starts, stops, enables and masks systemd units.
package service

import (
	"context"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Service is the desired state of a unit.
type Service struct {
	Name    string `hcl:"name" doc:"Name of the unit; .service is the default suffix."`
	State   string `hcl:"state,optional" enum:"started,stopped,restarted,reloaded" doc:"State of the unit. restarted and reloaded act every time the task runs, and are meant for handlers. By default the state is left alone."`
	Enabled *bool  `hcl:"enabled,optional" doc:"Whether the unit starts at boot."`
	Masked  *bool  `hcl:"masked,optional" doc:"Whether the unit is masked, so that nothing can start it."`
	// DaemonReload describes a state, not an action: systemd knows for each unit whether its file has changed since it was
	// read.
	DaemonReload bool `hcl:"daemon_reload,optional" doc:"Reload systemd's unit files if the unit's own has changed."`
}

// settle limits the time between the end of systemctl and the desired state: the unit may still be activating.
const settle = 15 * time.Second

// result is what the module registers.
type result struct {
	Name    string `cty:"name" doc:"Name of the unit."`
	Active  bool   `cty:"active" doc:"Whether it is running."`
	Enabled bool   `cty:"enabled" doc:"Whether it starts at boot."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "service",
	Aliases: []string{"systemd", "systemd_service"},
	Summary: "A systemd unit: started or stopped, enabled at boot, masked; restarted or reloaded",
	Doc: `` + "`started`, `stopped`, `enabled` and `masked`" + ` are states. ` + "`restarted` and `reloaded`" + ` are actions: they happen each time and
count as a change each time, so they belong in a handler. A unit that cannot reload is restarted, and one
that is not active is started.

A service that ends right after its start fails the task with the last lines of its journal, even if
systemctl succeeds: systemd considers many types of services started before they have done anything. So a service of
type simple, exec or idle is watched for a second, and then, up to three seconds in all, for as long as it uses a
processor or waits for one or for a disk. One that is at rest counts as running after as little as 0.3 seconds: it is
a single process, all of whose threads have slept for 0.1 seconds. If it ends later, only the next run finds out.

A unit that does its work and exits (a oneshot without RemainAfterExit) never counts as started.

A unit that is enabled or masked with --runtime counts as neither, because that does not survive a reboot. A System V init script is
enabled and disabled by its links in /etc/rc?.d, as systemctl does it. A unit that cannot be enabled (static, indirect,
generated from /etc/fstab, transient) is refused, and the error says what to do instead.`,
	Example: `task "time is kept" {
  service {
    name    = "chrony"
    state   = "started"
    enabled = true
  }
}
`,
	Result: result{},
	New:    func() modules.Module { return &Service{} },
}

// Validate implements modules.Validator.
func (s *Service) Validate() error {
	if err := observe.CheckUnitName(observe.UnitName(s.Name)); err != nil {
		return &modules.ArgumentError{Argument: "name", Problem: err.Error()}
	}
	if s.Masked != nil && *s.Masked && (s.State != "" && s.State != "stopped" || s.Enabled != nil && *s.Enabled) {
		return &modules.ArgumentError{Argument: "masked", Problem: "a masked unit can be neither started nor enabled", Want: "give only one of them"}
	}
	if s.State == "" && s.Enabled == nil && s.Masked == nil && !s.DaemonReload {
		return &modules.ArgumentError{Argument: "state", Problem: "there is nothing to do", Want: "expected state, enabled, masked or daemon_reload"}
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
		Data:    modules.Data(result{Name: name, Active: p.unit.Active(), Enabled: p.unit.Enabled()}),
	}, nil
}

// Want implements modules.Announcer.
func (s *Service) Want(h modules.Host) {
	if s.Name != "" {
		observe.Units.Want(h, observe.UnitName(s.Name))
	}
}
