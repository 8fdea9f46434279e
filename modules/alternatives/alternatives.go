// Package alternatives implements the module that chooses which program a generic name stands for, as
// update-alternatives(1) does.
package alternatives

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "alternatives",
	Aliases: []string{"update_alternatives"},
	Summary: "The program behind a generic name such as editor",
	Doc: `Chooses the program behind a generic name with update-alternatives, which also switches what belongs to it, such as the manual
page. Packages register their alternatives; ` + "`link`" + ` and ` + "`priority`" + ` register one that no package does.

A chosen alternative stays when other packages are installed. With ` + "`auto`" + `, the one with the highest priority is used, now and later.`,
	Example: `task "vim is the editor" {
  alternatives {
    name = "editor"
    path = "/usr/bin/vim.basic"
  }
}

task "a pager of our own, if nothing better is installed" {
  alternatives {
    name     = "pager"
    path     = "/usr/local/bin/ourpager"
    link     = "/usr/bin/pager"
    priority = 10
    auto     = true
  }
}`,
	New: func() modules.Module { return &choice{} },
}

// choice holds the module's arguments.
type choice struct {
	Name     string `hcl:"name" doc:"The generic name, as update-alternatives --get-selections lists it: editor, pager."`
	Path     string `hcl:"path,optional" doc:"Path of the program to use. It must be registered, unless link and priority are set."`
	Link     string `hcl:"link,optional" doc:"Path of the generic name: /usr/bin/editor. If it is set, path is registered with priority."`
	Priority *int   `hcl:"priority,optional" doc:"Priority with which path is registered."`
	Auto     bool   `hcl:"auto,optional" doc:"Use the alternative with the highest priority; path is then only registered, not chosen."`
}

// Validate implements modules.Validator.
func (m *choice) Validate() error {
	if m.Name == "" || strings.ContainsAny(m.Name, "/ \t\n") || m.Name[0] == '-' {
		return &modules.ArgumentError{Argument: "name", Problem: fmt.Sprintf("%q is not a name of alternatives", m.Name), Want: "expected a name such as editor; the path of the link is not part of it"}
	}
	for _, a := range []struct{ argument, value string }{{"path", m.Path}, {"link", m.Link}} {
		if a.value != "" && (!path.IsAbs(a.value) || path.Clean(a.value) != a.value || strings.Contains(a.value, "\n")) {
			return &modules.ArgumentError{Argument: a.argument, Problem: fmt.Sprintf("%q is not an absolute path in its shortest form", a.value), Want: "expected a path such as /usr/bin/vim.basic"}
		}
	}
	switch {
	case (m.Link == "") != (m.Priority == nil):
		return &modules.ArgumentError{Argument: "link", Problem: "only one of link and priority is set", Want: "set both to register path, or none"}
	case m.Link != "" && m.Path == "":
		return &modules.ArgumentError{Argument: "link", Problem: "there is no path to register", Want: "set path"}
	case m.Path == "" && !m.Auto:
		return &modules.ArgumentError{Argument: "path", Problem: "there is nothing to choose", Want: "set path, or auto = true"}
	case m.Auto && m.Path != "" && m.Link == "":
		return &modules.ArgumentError{Argument: "auto", Problem: "path is set too, but not used", Want: "remove one of the two, or set link and priority to register path"}
	}
	return nil
}

// Want implements modules.Announcer.
func (m *choice) Want(h modules.Host) {
	if m.Name != "" {
		groups.Want(h, m.Name)
	}
}

// Plan implements modules.Module.
func (m *choice) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	now, err := groups.Observe(ctx, h, m.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	if priority, there := now.Priorities[m.Path]; m.Link != "" && (!there || priority != *m.Priority || now.Link != m.Link) {
		if err := m.exists(ctx, h); err != nil {
			return modules.Plan{}, err
		}
		after := now.with(m.Link, m.Path, *m.Priority)
		steps = append(steps, m.step(fmt.Sprintf("register %s as %s (priority %d)", m.Path, m.Name, *m.Priority), now, after,
			"--install", m.Link, m.Name, m.Path, strconv.Itoa(*m.Priority)))
		now = after
	}
	if len(now.Priorities) == 0 {
		return modules.Plan{}, fmt.Errorf("%s has no alternatives for %s: install a package that brings some, or set link and priority", h.Name(), m.Name)
	}
	if m.Auto {
		if after := now.choose(true, now.best()); now.differs(after) {
			steps = append(steps, m.step("use the alternative for "+m.Name+" with the highest priority", now, after, "--auto", m.Name))
		}
		return modules.Plan{Steps: steps}, nil
	}
	if _, there := now.Priorities[m.Path]; !there {
		return modules.Plan{}, fmt.Errorf("%s is not registered as %s on %s, which has %s: name one of them, or set link and priority",
			m.Path, m.Name, h.Name(), strings.Join(slices.Sorted(maps.Keys(now.Priorities)), ", "))
	}
	if after := now.choose(false, m.Path); now.differs(after) {
		steps = append(steps, m.step("use "+m.Path+" as "+m.Name, now, after, "--set", m.Name, m.Path))
	}
	return modules.Plan{Steps: steps}, nil
}

// exists returns an error if there is nothing at the path that is to be registered, which update-alternatives refuses.
func (m *choice) exists(ctx context.Context, h modules.Host) error {
	_, f, err := observe.Follow(ctx, h, m.Path)
	if err == nil && !f.Exists() {
		err = fmt.Errorf("path: %s does not exist on %s: install it in an earlier task", m.Path, h.Name())
	}
	return err
}

// step returns the step that turns the group now into after.
func (m *choice) step(summary string, now, after group, args ...string) modules.Step {
	return modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: append([]string{program}, args...)},
		Diff:    &modules.Diff{Subject: m.Name, Before: now.String(), After: after.String()},
		Expect:  []observe.Expectation{groups.Expect(m.Name, after)},
	}
}
