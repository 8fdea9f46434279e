package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

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
		if len(names) == 0 {
			fmt.Fprintln(c.Stderr, "Too few arguments.")
			return 1
		}
		return c.unitJob(verb, c.expandUnits(names)) // a pattern without a match is not an error
	case "enable", "disable", "mask", "unmask", "reenable", "preset":
		return c.unitFile(verb, names, unitFileOptions{now: o.has("now"), quiet: o.has("q", "quiet"), runtime: o.has("runtime")})
	case "is-active", "is-failed", "is-enabled":
		return c.unitQuestion(verb, c.expandUnits(names), o.has("q", "quiet"))
	case "show":
		return c.unitShow(names, o)
	case "status":
		return c.unitStatus(names)
	case "daemon-reload", "daemon-reexec":
		u.reload()
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
