package machine

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// systemdRun implements systemd-run(1). With a timer, the command runs as root when the time is up, unless the timer is
// stopped.
func systemdRun(ctx context.Context, c *Call) int {
	o, ok := c.options("+qu:Gp:", "quiet", "unit=", "collect", "on-active=", "timer-property=", "property=", "description=")
	if !ok {
		return 1
	}
	name, after := o.value("u", "unit"), o.value("on-active")
	delay, err := time.ParseDuration(after)
	switch {
	case after == "":
		return runOneshot(ctx, c, o)
	case err != nil:
		c.Errorf("Failed to parse timer value: %s", after)
		return 1
	case len(o.rest) == 0:
		c.Errorf("Command line to execute required.")
		return 1
	case c.User != "root":
		c.Errorf("Failed to start transient timer unit: Interactive authentication required.")
		return 1
	}
	m, timer := c.Machine, strings.TrimSuffix(name, ".service")+".timer"
	if m.units.Active(timer) {
		c.Errorf("Failed to start transient timer unit: Unit %s was already loaded or has a fragment file.", timer)
		return 1
	}
	boot := m.BootID()
	m.units.Add(Unit{Name: timer, Static: true, Stop: func(m *Machine) { m.units.Remove(timer) }})
	if err := m.units.Start(timer); err != nil {
		return c.Errorf("%s", err)
	}
	m.clock.After(delay, func() {
		if m.BootID() != boot || !m.units.Active(timer) {
			return
		}
		m.Console(context.Background(), io.Discard, io.Discard, o.rest...)
		m.units.Remove(timer)
	})
	if !o.has("q", "quiet") {
		fmt.Fprintf(c.Stderr, "Running timer as unit: %s\nWill run service as unit: %s\n", timer, strings.TrimSuffix(timer, ".timer")+".service")
	}
	return 0
}
