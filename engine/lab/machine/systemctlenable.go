package machine

import (
	"cmp"
	"fmt"
	"strings"
)

// unitFileOptions are the options of the systemctl verbs that change unit files.
type unitFileOptions struct {
	now, quiet bool
	runtime    bool // in /run, until the next boot
}

func (c *Call) unitFile(verb string, names []string, o unitFileOptions) int {
	u := c.Machine.units
	dir := "/etc/systemd/system/"
	if o.runtime {
		dir = "/run/systemd/system/"
	}
	for _, name := range names {
		full := UnitName(name)
		status, known := u.Get(name)
		if !known {
			// A unit that does not exist can be masked, but nothing else.
			if verb == "mask" {
				u.Add(Unit{Name: full})
			} else {
				fmt.Fprintf(c.Stderr, "Failed to %s unit: Unit file %s does not exist.\n", verb, full)
				return 1
			}
		}
		file := cmp.Or(u.fragment(name), "/usr/lib/systemd/system/"+full)
		want := dir + u.wantedBy(file) + ".wants/" + full
		if script := status.SourcePath; script != "" && (verb == "enable" || verb == "disable") {
			if code := c.unitScript(verb, full, script); code != 0 {
				return code
			}
			continue
		}
		on := verb != "disable" && verb != "unmask"
		state, flag, link, target := "enabled", (*unitState).enablement, want, file
		if verb == "mask" || verb == "unmask" {
			state, flag, link, target = "masked", (*unitState).mask, dir+full, "/dev/null"
		} else if on && status.UnitFileState == "static" {
			fmt.Fprintf(c.Stderr, "The unit files have no installation config (WantedBy=, RequiredBy=, UpheldBy=,\nAlso=, or Alias= settings in the [Install] section, and DefaultInstance= for\ntemplate units). This means they are not meant to be enabled or disabled using systemctl.\n")
			continue
		}
		if o.runtime {
			state += "-runtime"
		}
		if err := u.set(name, func(s *unitState) { *flag(s, o.runtime) = on }); err != nil {
			fmt.Fprintf(c.Stderr, "%v\n", err)
			return 1
		}
		if on == (status.UnitFileState == state) {
			continue // nothing changed
		}
		switch {
		case o.quiet:
		case on:
			c.linked(link, target)
		default:
			c.unlinked(link)
		}
		if verb == "reenable" || verb == "preset" {
			c.Machine.Record("systemctl", "enable "+full)
		} else {
			c.Machine.Record("systemctl", verb+" "+full)
		}
	}
	if !o.now {
		return 0
	}
	switch verb {
	case "enable", "reenable":
		return c.unitJob("start", names)
	case "disable", "mask":
		return c.unitJob("stop", names)
	}
	return 0
}

// unitScript enables or disables an init script, as systemd-sysv-install does.
func (c *Call) unitScript(verb, unit, script string) int {
	c.redirect(verb, unit)
	if enabled := verb == "enable"; enabled != initScriptEnabled(view{m: c.Machine}, script) {
		if err := enableInitScript(view{m: c.Machine}, script, enabled); err != nil {
			return c.Errorf("%s", errText(err))
		}
		c.Machine.Record("systemctl", verb+" "+unit)
	}
	return 0
}

// redirect prints systemctl's message before it delegates to systemd-sysv-install.
func (c *Call) redirect(verb, unit string) {
	name := strings.TrimSuffix(unit, ".service")
	fmt.Fprintf(c.Stderr, "%s is not a native service, redirecting to systemd-sysv-install.\nExecuting: /lib/systemd/systemd-sysv-install %s %s\n", unit, verb, name)
}

// linked and unlinked print what systemctl did, in the wording of the release's systemd.
func (c *Call) linked(name, target string) {
	if c.Machine.Debian() == "bookworm" {
		fmt.Fprintf(c.Stderr, "Created symlink %s → %s.\n", name, target)
		return
	}
	fmt.Fprintf(c.Stderr, "Created symlink '%s' → '%s'.\n", name, target)
}

func (c *Call) unlinked(name string) {
	quote := "'"
	if c.Machine.Debian() == "bookworm" {
		quote = `"`
	}
	fmt.Fprintf(c.Stderr, "Removed %s%s%s.\n", quote, name, quote)
}
