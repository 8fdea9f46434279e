package machine

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

func (c *Call) unitShow(names []string, o options) int {
	var wanted []string
	for _, p := range o.values("p", "property") {
		wanted = append(wanted, strings.Split(p, ",")...)
	}
	if len(names) == 0 {
		values := map[string]string{"SystemState": map[bool]string{true: "running", false: "degraded"}[len(c.Machine.units.Failed()) == 0], "Version": "257", "NFailedUnits": fmt.Sprint(len(c.Machine.units.Failed()))}
		for _, name := range []string{"Version", "NFailedUnits", "SystemState"} {
			if len(wanted) == 0 || slices.Contains(wanted, name) {
				c.printf("%s=%s\n", name, values[name])
			}
		}
		return 0
	}
	for i, name := range c.expandUnits(names) {
		if i > 0 {
			c.printf("\n")
		}
		order, values := c.Machine.units.properties(name)
		shown := order
		if len(wanted) > 0 {
			// systemctl prints properties in its own order if it prints their names, and in the requested order with
			// --value.
			shown = slices.DeleteFunc(slices.Clone(order), func(p string) bool { return !slices.Contains(wanted, p) })
			if o.has("value") {
				shown = wanted
			}
		}
		for _, p := range shown {
			if o.has("value") {
				c.printf("%s\n", values[p])
			} else {
				c.printf("%s=%s\n", p, values[p])
			}
		}
	}
	return 0
}

func (c *Call) unitStatus(names []string) int {
	if len(names) == 0 {
		c.printf("● %s\n    State: running\n   Failed: %d units\n", c.Machine.Name(), len(c.Machine.units.Failed()))
		return 0
	}
	code := 0
	for i, name := range c.expandUnits(names) {
		s, known := c.Machine.units.Get(name)
		if !known {
			fmt.Fprintf(c.Stderr, "Unit %s could not be found.\n", s.Name)
			code = 4
			continue
		}
		if i > 0 {
			c.printf("\n")
		}
		mark := map[string]string{"active": "●", "failed": "×"}[s.ActiveState]
		c.printf("%s %s - %s\n     Loaded: %s (%s; %s; preset: enabled)\n     Active: %s (%s) since %s; %s ago\n", cmp.Or(mark, "○"), s.Name, s.Name, s.LoadState,
			c.Machine.units.fragment(name), s.UnitFileState, s.ActiveState, s.SubState, stamp(s.Since), c.Machine.clock.Now().Sub(s.Since).Round(time.Second))
		if s.Reason != "" {
			c.printf("\n%s\n", s.Reason)
		}
		if s.ActiveState != "active" {
			code = 3
		}
	}
	return code
}

func (c *Call) unitList(verb string, names []string, o options) int {
	state := o.value("state")
	if o.has("failed") {
		state = "failed"
	}
	kinds := strings.Split(o.value("t", "type"), ",")
	legend := !o.has("no-legend") && o.value("legend") != "false"
	if verb == "list-unit-files" {
		return c.unitFileList(names, kinds, state, legend)
	}
	var lines []string
	for _, s := range c.Machine.units.List() {
		if kind := strings.TrimPrefix(path.Ext(s.Name), "."); kinds[0] != "" && !slices.Contains(kinds, kind) {
			continue
		}
		if len(names) > 0 && !slices.Contains(c.expandUnits(names), s.Name) {
			ok := false
			for _, n := range names {
				ok = ok || UnitName(n) == s.Name
			}
			if !ok {
				continue
			}
		}
		matches := state == "" || slices.Contains(strings.Split(state, ","), s.ActiveState) || slices.Contains(strings.Split(state, ","), s.SubState)
		if !matches || state == "" && s.ActiveState == "inactive" && !o.has("a", "all") {
			continue
		}
		mark := "  "
		if s.ActiveState == "failed" {
			mark = "● "
		}
		if o.has("plain") {
			mark = ""
		}
		lines = append(lines, fmt.Sprintf("%s%-32s %-6s %-8s %-9s %s", mark, s.Name, s.LoadState, s.ActiveState, s.SubState, s.Name))
	}
	if legend {
		c.printf("  UNIT                             LOAD   ACTIVE   SUB       DESCRIPTION\n")
	}
	for _, line := range lines {
		c.printf("%s\n", line)
	}
	if legend {
		c.printf("\n%d loaded units listed.\n", len(lines))
	}
	return 0
}

func (c *Call) unitQuestion(verb string, names []string, quiet bool) int {
	code, good := 0, 0
	for _, name := range names {
		s, known := c.Machine.units.Get(name)
		word, ok := s.ActiveState, s.ActiveState == "active"
		switch verb {
		case "is-failed":
			ok = s.ActiveState == "failed"
		case "is-enabled":
			word = s.UnitFileState
			if s.SourcePath != "" && word == "generated" {
				c.redirect(verb, s.Name)
				word = "disabled"
				if initScriptEnabled(view{m: c.Machine}, s.SourcePath) {
					word = "enabled"
				}
			}
			ok = word == "enabled" || word == "enabled-runtime" || word == "static" || word == "generated"
			if !known {
				if c.Machine.Debian() == "bookworm" {
					fmt.Fprintf(c.Stderr, "Failed to get unit file state for %s: No such file or directory\n", s.Name)
					code = 1
					continue
				}
				word = "not-found"
			}
		}
		if !quiet {
			c.printf("%s\n", word)
		}
		if ok {
			good++
			continue
		}
		switch {
		case verb == "is-active" && !known:
			code = 4
		case verb == "is-active":
			code = 3
		case verb == "is-enabled" && !known:
			code = 4
		default:
			code = 1
		}
	}
	if good > 0 && verb != "is-enabled" || good == len(names) {
		return 0
	}
	return code
}
