package machine

import (
	"context"
	"strings"
	"time"
)

func journalctl(_ context.Context, c *Call) int {
	o, ok := c.options("u:n:bxekqp:o:rt:", "unit=", "no-pager", "lines=", "boot?", "since=", "until=", "priority=", "output=", "quiet", "identifier=", "list-boots", "vacuum-time=", "disk-usage")
	if !ok {
		return 2
	}
	if o.has("list-boots") {
		c.printf(" 0 %s %s\n", strings.ReplaceAll(c.Machine.BootID(), "-", ""), stamp(c.Machine.clock.Now().Add(-c.Machine.Uptime())))
		return 0
	}
	shown := false
	for _, name := range o.values("u", "unit") {
		s, _ := c.Machine.units.Get(name)
		if s.Reason == "" {
			continue
		}
		c.printf("%s %s %s: %s\n%s %s systemd[1]: %s: Failed with result 'exit-code'.\n", s.Since.UTC().Format(time.Stamp), c.Machine.Name(), strings.TrimSuffix(s.Name, ".service"), s.Reason,
			s.Since.UTC().Format(time.Stamp), c.Machine.Name(), s.Name)
		shown = true
	}
	if !shown && !o.has("q", "quiet") {
		c.printf("-- No entries --\n")
	}
	return 0
}
