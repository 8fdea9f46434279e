package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

func systemdPrograms() map[string]Program {
	return map[string]Program{"systemctl": systemctl, "journalctl": journalctl, "timedatectl": timedatectl, "hostnamectl": hostnamectl, "/usr/sbin/service": service,
		"systemd-tmpfiles": accept("", ""), "/usr/sbin/update-rc.d": accept("", ""), "systemd-analyze": accept("", "")}
}

// Systemctl runs what systemctl(1) does for units, for programs that call it themselves.
func (c *Call) Systemctl(args ...string) int { return c.Run(append([]string{"systemctl"}, args...)...) }

func systemctl(ctx context.Context, c *Call) int {
	o, ok := c.options("p:qatn:lH:fi", "property=", "value", "quiet", "no-pager", "all", "type=", "state=", "now", "no-block", "failed", "plain", "no-legend", "full", "force", "no-ask-password", "runtime", "lines=", "no-wall", "legend=", "output=")
	if !ok {
		return 2
	}
	verb := "list-units"
	names := o.rest
	if len(names) > 0 {
		verb, names = names[0], names[1:]
	}
	u := c.Machine.units
	changing := slices.Contains([]string{"start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "try-reload-or-restart", "condrestart", "enable", "disable", "mask", "unmask", "daemon-reload", "daemon-reexec", "reset-failed", "reboot", "poweroff", "halt", "kill", "isolate", "set-property", "preset", "reenable"}, verb)
	if changing && c.User != "root" {
		fmt.Fprintf(c.Stderr, "Failed to %s %s: Access denied\nSee system logs and 'systemctl status %s' for details.\n", verb, strings.Join(names, " "), strings.Join(names, " "))
		return 4
	}
	switch verb {
	case "start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "try-reload-or-restart", "condrestart":
		return c.unitJob(verb, c.expandUnits(names))
	case "enable", "disable", "mask", "unmask", "reenable", "preset":
		return c.unitFile(verb, names, unitFileOptions{now: o.has("now"), quiet: o.has("q", "quiet"), runtime: o.has("runtime")})
	case "is-active", "is-failed", "is-enabled":
		return c.unitQuestion(verb, c.expandUnits(names), o.has("q", "quiet"))
	case "show":
		return c.unitShow(names, o)
	case "status":
		return c.unitStatus(names)
	case "daemon-reload", "daemon-reexec":
		return 0
	case "reset-failed":
		if len(names) == 0 {
			names = u.Failed()
		}
		for _, name := range names {
			u.ResetFailed(name)
		}
		return 0
	case "is-system-running":
		state, code := "running", 0
		if len(u.Failed()) > 0 {
			state, code = "degraded", 1
		}
		if !o.has("q", "quiet") {
			c.printf("%s\n", state)
		}
		return code
	case "list-units", "list-unit-files":
		return c.unitList(verb, names, o)
	case "list-dependencies":
		return notSimulated(c, verb)
	case "cat":
		for _, name := range names {
			file := u.fragment(name)
			if file == "" {
				fmt.Fprintf(c.Stderr, "No files found for %s.\n", UnitName(name))
				return 1
			}
			c.printf("# %s\n", file)
			if code := c.Run("cat", file); code != 0 {
				return code
			}
		}
		return 0
	case "reboot", "poweroff", "halt":
		return c.goDown(verb)
	case "get-default":
		c.printf("multi-user.target\n")
		return 0
	}
	fmt.Fprintf(c.Stderr, "Unknown command verb '%s'.\n", verb)
	return 1
}

// expandUnits expands globs among unit names.
func (c *Call) expandUnits(names []string) []string {
	var all []string
	for _, name := range names {
		if !strings.ContainsAny(name, "*?[") {
			all = append(all, name)
			continue
		}
		for _, s := range c.Machine.units.List() {
			if ok, err := path.Match(name, s.Name); ok && err == nil {
				all = append(all, s.Name)
			}
		}
	}
	return all
}

func (c *Call) unitJob(verb string, names []string) int {
	u := c.Machine.units
	if len(names) == 0 {
		fmt.Fprintln(c.Stderr, "Too few arguments.")
		return 1
	}
	code := 0
	for _, name := range names {
		status, known := u.Get(name)
		var err error
		job := verb
		switch verb {
		case "try-restart", "condrestart", "try-reload-or-restart":
			if known && status.ActiveState != "active" {
				continue
			}
			job = "restart"
			if verb == "try-reload-or-restart" {
				job = "reload"
			}
		case "reload-or-restart":
			job = "reload"
			if status.ActiveState != "active" {
				job = "restart"
			}
		}
		if known && (job == "start" || job == "restart") && c.Machine.isTemplate(name) {
			err = saying("Unit name %s is missing the instance name.", UnitName(name))
		}
		if err == nil {
			switch job {
			case "start":
				err = u.Start(name)
			case "stop":
				err = u.Stop(name)
			case "restart":
				err = u.Restart(name)
			case "reload":
				err = u.Reload(name)
			}
		}
		var missing *NotFoundError
		switch {
		case errors.As(err, &missing):
			fmt.Fprintf(c.Stderr, "Failed to %s %s: %v\n", verb, UnitName(name), err)
			code = 5
			continue
		case err != nil && (strings.Contains(err.Error(), "masked") || strings.Contains(err.Error(), "instance name")):
			fmt.Fprintf(c.Stderr, "Failed to %s %s: %v\n", verb, UnitName(name), err)
			code = 1
			continue
		case err != nil:
			fmt.Fprintf(c.Stderr, "%v\n", err)
			code = 1
		}
		if job == "start" && status.ActiveState == "active" || job == "stop" && status.ActiveState == "inactive" {
			continue // nothing changed
		}
		c.Machine.Record("systemctl", job+" "+UnitName(name))
	}
	return code
}

func (m *Machine) isTemplate(name string) bool {
	stem := strings.TrimSuffix(UnitName(name), path.Ext(UnitName(name)))
	return strings.HasSuffix(stem, "@")
}

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

func timedatectl(_ context.Context, c *Call) int {
	o, ok := c.options("p:", "property=", "value", "no-pager", "all")
	if !ok {
		return 2
	}
	synced := "no"
	if c.Machine.units.Active("systemd-timesyncd") || c.Machine.units.Active("chrony") {
		synced = "yes"
	}
	now := c.Machine.clock.Now().UTC()
	zone := "Etc/UTC"
	if target, _, err := c.view().resolve("/etc/localtime", true); err == nil { // localtime(5)
		zone = strings.TrimPrefix(target, "/usr/share/zoneinfo/")
	}
	verb := "status"
	if len(o.rest) > 0 {
		verb = o.rest[0]
	}
	switch verb {
	case "status":
		c.printf("               Local time: %s\n           Universal time: %s\n                 RTC time: %s\n                Time zone: %s (UTC, +0000)\nSystem clock synchronized: %s\n              NTP service: active\n          RTC in local TZ: no\n", stamp(now), stamp(now), now.Format("Mon 2006-01-02 15:04:05"), zone, synced)
	case "show":
		values := map[string]string{"Timezone": zone, "NTP": "yes", "NTPSynchronized": synced, "CanNTP": "yes", "LocalRTC": "no"}
		wanted := o.values("p", "property")
		if len(wanted) == 0 {
			wanted = []string{"Timezone", "LocalRTC", "CanNTP", "NTP", "NTPSynchronized"}
		}
		for _, name := range wanted {
			if o.has("value") {
				c.printf("%s\n", values[name])
			} else {
				c.printf("%s=%s\n", name, values[name])
			}
		}
	case "set-timezone":
		if len(o.rest) < 2 {
			return c.Errorf("Too few arguments.")
		}
		if err := writeFile(c.view(), "/etc/timezone", o.rest[1]+"\n", 0o644); err != nil {
			return c.Errorf("%s", errText(err))
		}
	case "set-ntp":
	default:
		return notSimulated(c, verb)
	}
	return 0
}

func service(_ context.Context, c *Call) int {
	if len(c.Argv) < 3 {
		return c.Errorf("usage: service SERVICE COMMAND")
	}
	return c.Run("systemctl", c.Argv[2], c.Argv[1])
}
