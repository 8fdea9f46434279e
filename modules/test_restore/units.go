package test_restore

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// script is the test itself.
//
//go:embed test-restore.sh
var script string

const (
	scriptPath = "/usr/local/lib/hlplay/test-restore"
	unitFolder = "/etc/systemd/system/"
)

// unit returns the name of the service or timer.
func (m *Module) unit(kind string) string { return m.mark() + "." + kind }

// path returns the path of the unit's file.
func (m *Module) path(kind string) string { return unitFolder + m.unit(kind) }

// service returns the content of the service's unit file. A test that is stopped gets time to destroy the restored guest.
func (m *Module) service() string {
	kind, id := m.guest()
	return fmt.Sprintf(`[Unit]
Description=Test restore of %s from %s
After=pve-cluster.service

[Service]
Type=oneshot
ExecStart=/bin/sh %s %s %d %s %s %s %s %d
TimeoutStartSec=24h
TimeoutStopSec=30min
`, m.Guest, m.Storage, scriptPath, kind, id, m.Storage, m.Target, strconv.Itoa(m.ID), m.Prove, int(m.Watch.Seconds()))
}

// timer returns the content of the timer's unit file. If the node was down at the scheduled time, the test runs at the
// next boot.
func (m *Module) timer() string {
	return fmt.Sprintf(`[Unit]
Description=Schedule of the test restore of %s

[Timer]
OnCalendar=%s
Persistent=true

[Install]
WantedBy=timers.target
`, m.Guest, m.Schedule)
}

// install plans to write the script and the units, and to start the timer.
func (m *Module) install(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	units, err := observe.Units.ObserveAll(ctx, h, []string{m.unit("service"), m.unit("timer")})
	if err != nil {
		return nil, err
	}
	timer := units[m.unit("timer")]
	if timer.Masked() {
		return nil, fmt.Errorf("%s is masked: unmask it with systemctl unmask %[1]s", m.unit("timer"))
	}
	steps, err := conffile.WriteMode(ctx, h, scriptPath, script, "write the script of test restores", 0o755)
	if err != nil {
		return nil, err
	}
	for i := range steps {
		steps[i].Diff = nil // the script is part of hlplay, not a setting
	}
	changed := false
	for _, kind := range []string{"service", "timer"} {
		content := m.service()
		if kind == "timer" {
			content = m.timer()
		}
		written, err := conffile.Write(ctx, h, m.path(kind), content, "write "+m.unit(kind))
		if err != nil {
			return nil, err
		}
		steps = append(steps, written...)
		changed = changed || len(written) > 0 || units[m.unit(kind)].Stale
	}
	if changed {
		reload := conffile.ReloadUnits(m.mark())
		for _, kind := range []string{"service", "timer"} {
			reload.Expect = append(reload.Expect, observe.Units.Expect(m.unit(kind), loaded(units[m.unit(kind)], m.unit(kind), kind)))
		}
		steps = append(steps, reload)
	}
	if !timer.Active() || !timer.Enabled() {
		after := loaded(timer, m.unit("timer"), "timer")
		after.ActiveState, after.SubState, after.UnitFileState = "active", "waiting", "enabled"
		steps = append(steps, modules.Step{
			Summary: fmt.Sprintf("schedule the test restore of %s: %s", m.Guest, m.Schedule),
			Action:  modules.Run{Argv: []string{"systemctl", "enable", "--now", "--", m.unit("timer")}, Limit: time.Minute, Brief: true},
			Expect:  []observe.Expectation{observe.Units.Expect(m.unit("timer"), after)},
			Exact:   true,
		})
	}
	return steps, nil
}

// loaded returns a unit after systemd has read its file.
func loaded(unit observe.Unit, name, kind string) observe.Unit {
	if !unit.Exists() {
		unit = observe.Unit{ID: name, ActiveState: "inactive", SubState: "dead", UnitFileState: map[string]string{"service": "static", "timer": "disabled"}[kind]}
	}
	unit.LoadState, unit.LoadError, unit.Stale = "loaded", "", false
	return unit
}

// remove plans to remove the test. A test that is running is completed.
func (m *Module) remove(ctx context.Context, h modules.Host) (modules.Plan, error) {
	units, err := observe.Units.ObserveAll(ctx, h, []string{m.unit("service"), m.unit("timer")})
	if err != nil {
		return modules.Plan{}, err
	}
	var plan modules.Plan
	if timer := units[m.unit("timer")]; timer.Active() || timer.Enabled() {
		timer.ActiveState, timer.SubState, timer.UnitFileState = "inactive", "dead", "disabled"
		plan.Steps = append(plan.Steps, modules.Step{
			Summary: "end the schedule of the test restore of " + m.Guest,
			Action:  modules.Run{Argv: []string{"systemctl", "disable", "--now", "--", m.unit("timer")}, Limit: time.Minute, Brief: true},
			Expect:  []observe.Expectation{observe.Units.Expect(m.unit("timer"), timer)},
			Exact:   true,
		})
	}
	var removed []modules.Step
	for _, kind := range []string{"timer", "service"} {
		steps, err := conffile.Remove(ctx, h, m.path(kind), "remove "+m.unit(kind))
		if err != nil {
			return modules.Plan{}, err
		}
		removed = append(removed, steps...)
	}
	if len(removed) > 0 {
		reload := conffile.ReloadUnits(m.mark())
		for _, kind := range []string{"service", "timer"} {
			reload.Expect = append(reload.Expect, gone(m.unit(kind), units[m.unit(kind)]))
		}
		plan.Steps = append(append(plan.Steps, removed...), reload)
	}
	return plan, nil
}

// gone returns what systemd reports about a unit without a file. systemd keeps a unit that is running or has failed.
func gone(name string, unit observe.Unit) observe.Expectation {
	if unit.ActiveState != "" && unit.ActiveState != "inactive" && !strings.HasSuffix(name, ".timer") {
		return observe.Units.Unknown(name, "its file is gone while it is "+unit.ActiveState)
	}
	return observe.Units.Expect(name, observe.NoUnit(name))
}
