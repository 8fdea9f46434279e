package machine

import (
	"context"
	"fmt"
	"path"
	"time"
)

// downDelay is how long systemd takes from the request to shut down until it ends the sessions.
const downDelay = time.Second

// goDown requests a reboot or shutdown, which happens after it returns.
func (c *Call) goDown(verb string) int {
	method := map[string]string{"reboot": "Reboot", "poweroff": "PowerOff", "halt": "Halt"}[verb]
	if c.User != "root" {
		fmt.Fprintf(c.Stderr, "Call to %s failed: Interactive authentication required.\n", method)
		return 1
	}
	if !c.Machine.leave() {
		fmt.Fprintf(c.Stderr, "Call to %s failed: There's already a shutdown or sleep operation in progress\n", method)
		return 1
	}
	c.Machine.Record(path.Base(c.Argv[0]), verb)
	if verb == "reboot" {
		c.Machine.clock.Pass(downDelay, c.Machine.Reboot)
	} else {
		c.Machine.clock.Pass(downDelay, c.Machine.PowerOff)
	}
	return 0
}

// leave records that the machine was told to go down. It returns false if it had been told before.
func (m *Machine) leave() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := m.leaving
	m.leaving = true
	return !told
}

func rebootProgram(_ context.Context, c *Call) int {
	o, ok := c.options("frhPcH", "reboot", "poweroff", "halt", "no-wall", "force")
	if !ok {
		return 2
	}
	verb := path.Base(c.Argv[0])
	switch {
	case verb == "shutdown" && o.has("r", "reboot"):
		verb = "reboot"
	case verb == "shutdown":
		verb = "poweroff"
	}
	if o.has("c") {
		return notSimulated(c, "-c")
	}
	if len(o.rest) > 0 && o.rest[0] != "now" && o.rest[0] != "+0" {
		return notSimulated(c, o.rest[0])
	}
	return c.goDown(verb)
}
