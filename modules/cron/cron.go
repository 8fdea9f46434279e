// Package cron manages jobs in /etc/cron.d.
package cron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "cron",
	Summary: "A job in /etc/cron.d",
	Doc: `Each job is a file of its own. Cron notices it by itself. A job is rejected if the host lacks its user, or has no cron service to run it: install
the package cron first. The task notes a cron service that is not running or not started at boot.

Cron treats % in a command as a line break; write it as \\% in HCL. Cron reads only files that belong to root and that nobody else
can write to.`,
	Example: `task "scrub the pool on the first of each month" {
  cron {
    name        = "scrub"
    schedule    = "30 3 1 * *"
    command     = "zpool scrub rpool"
    environment = { MAILTO = "root" }
  }
}`,
	Local: true,
	New:   func() modules.Module { return &cron{} },
}

// cron holds the module's arguments.
type cron struct {
	Name        string            `hcl:"name" doc:"Name of the file in /etc/cron.d: letters, digits, hyphens and underscores; cron ignores others."`
	State       string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the job exists."`
	Schedule    string            `hcl:"schedule,optional" doc:"Minute, hour, day of the month, month and day of the week, as in crontab(5), or @hourly, @daily, @weekly, @monthly, @yearly or @reboot."`
	User        string            `hcl:"user,optional" default:"root" doc:"Account that runs the command."`
	Command     string            `hcl:"command,optional" doc:"One line for the shell."`
	Environment map[string]string `hcl:"environment,optional" doc:"Variables of the job. Without PATH it is cron's: /usr/bin:/bin."`
}

const (
	dir = "/etc/cron.d/"
	// longest is the maximum length in bytes of a command, and of a variable's line: MAX_COMMAND and MAX_ENVSTR of cron.
	longest = 998
	absent  = "absent"
)

var (
	fileName = pattern.New(`^[A-Za-z0-9_-]+$`) // what run-parts(8) and cron accept
	variable = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// percent matches an unescaped percent sign; to cron, a backslash also escapes another backslash.
	percent = pattern.New(`^(?:[^\\%]|\\.)*%`)
)

// Validate rejects what cron would ignore or misinterpret.
func (m *cron) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	if !fileName.MatchString(m.Name) {
		return fault("name", fmt.Sprintf("cron ignores a file named %q", m.Name), "expected letters, digits, hyphens and underscores")
	}
	if m.State == absent {
		return nil
	}
	if err := observe.CheckKnownName(m.User); err != nil || strings.ContainsAny(m.User, " \t") {
		return fault("user", fmt.Sprintf("%q is not the name of a user that cron can read", m.User), "")
	}
	switch {
	case m.Schedule == "":
		return fault("schedule", "it is missing", `expected five fields, such as "30 3 * * *", or a word such as "@daily"`)
	case m.Command == "" || strings.TrimSpace(m.Command) != m.Command || strings.ContainsAny(m.Command, "\n\r\x00"):
		return fault("command", "it has more than one line", "expected a single shell command; put several into a script")
	case len(m.Command) > longest:
		return fault("command", fmt.Sprintf("it has %d bytes, and cron rejects a file with a command longer than %d", len(m.Command), longest), "put it into a script")
	case percent.MatchString(m.Command):
		return fault("command", "cron treats % as a line break", `write \\%`)
	}
	if problem := schedule(m.Schedule); problem != "" {
		return fault("schedule", problem, `expected five fields, such as "30 3 * * *", or a word such as "@daily"`)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		if value := m.Environment[name]; !variable.MatchString(name) || strings.ContainsAny(value, "\n\r\x00\"") {
			return fault("environment", fmt.Sprintf("cron cannot set %s", name), "expected a name of letters, digits and underscores, and a single-line value without double quotes")
		} else if len(name)+len(value)+len(`=""`) > longest {
			return fault("environment", fmt.Sprintf("the line that sets %s is longer than %d bytes, and cron truncates it", name, longest), "set it in a script")
		} else if name == "PATH" && strings.ContainsAny(value, "$~") {
			return fault("environment", fmt.Sprintf("cron uses %q literally: it expands neither variables nor ~", value), "expected a full list of directories, such as /usr/local/bin:/usr/bin:/bin")
		}
	}
	return nil
}

// path returns the path of the job's file.
func (m *cron) path() string { return dir + m.Name }

// Want announces what Plan reads.
func (m *cron) Want(h modules.Host) {
	if !fileName.MatchString(m.Name) {
		return
	}
	observe.Files.Want(h, m.path())
	if m.State != absent {
		observe.Units.Want(h, daemons...)
		required.WantAccount(h, m.User, "")
	}
}

// text returns the content of the file.
func (m *cron) text() string {
	var b strings.Builder
	b.WriteString("# Written by hlplay: changes made here are lost.\n")
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		fmt.Fprintf(&b, "%s=\"%s\"\n", name, m.Environment[name])
	}
	fmt.Fprintf(&b, "%s %s %s\n", strings.Join(strings.Fields(m.Schedule), " "), m.User, m.Command)
	return b.String()
}

// Plan compares the file with what it should be.
func (m *cron) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if m.State == absent {
		steps, err := conffile.Remove(ctx, h, m.path(), "remove the job "+m.Name)
		if err == nil && len(steps) == 0 {
			err = observe.Files.MayAppear(h, m.path())
		}
		return modules.Plan{Steps: steps}, err
	}
	m.Want(h)
	if err := required.Account(ctx, h, "user", m.User, "", ""); err != nil {
		return modules.Plan{}, err
	}
	file, err := observe.Files.Observe(ctx, h, m.path())
	if err != nil {
		return modules.Plan{}, err
	}
	if file.Exists() && (file.Type != observe.Regular || file.Owner != "root" || file.Mode&0o022 != 0) {
		return modules.Plan{}, fmt.Errorf("cron does not read %s: it is a %s of %s with mode %04o, but must be a regular file owned by root that nobody else can write to; remove it or correct its owner and mode", m.path(), file.Type, file.Owner, file.Mode)
	}
	if file.Others > 0 && string(file.Content) == m.text() {
		return modules.Plan{}, fmt.Errorf("cron does not read %s: the file has %s; remove all but this name (find / -xdev -samefile %[1]s)", m.path(), plural.Of(file.Others, "other hard link"))
	}
	steps, err := conffile.Write(ctx, h, m.path(), m.text(), fmt.Sprintf("write the job %s (%s)", m.Name, m.Schedule))
	if err != nil {
		return modules.Plan{}, err
	}
	notes, err := service(ctx, h)
	return modules.Plan{Steps: steps, Notes: notes}, err
}
