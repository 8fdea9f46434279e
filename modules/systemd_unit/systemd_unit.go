// Package systemd_unit implements the module for systemd unit files and drop-ins.
package systemd_unit

import (
	"context"
	_ "embed"
	"fmt"
	"path"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/modules"
	"hlplay/modules/internal/conffile"
	"hlplay/modules/internal/required"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "systemd_unit",
	Aliases: []string{"systemd_timer", "systemd_dropin"},
	Summary: "A unit file of systemd, or a drop-in for a unit",
	Doc: `Writes ` + "`/etc/systemd/system/NAME`" + `, or with ` + "`drop_in`" + ` a file in ` + "`NAME.d`" + ` that extends a unit from a package or another task, and
reloads systemd. Nothing is written unless ` + "`systemd-analyze verify`" + ` accepts it: keys and sections that systemd would
ignore are errors, and so are programs that do not exist. Write a service before the timer or socket that starts it.

The unit is neither started nor enabled; use the module service for that. A running unit keeps its old configuration, so notify a
handler that restarts it. Everybody on the host can read unit files: keep secrets in a file named by ` + "`EnvironmentFile=`" + ` or
` + "`LoadCredential=`" + `.

` + "`state = \"absent\"`" + ` stops and disables the unit, and removes its file; a drop-in is removed without touching the unit's state.`,
	Example: `task "the backup as a service" {
  systemd_unit {
    name    = "backup.service"
    content = <<-EOT
      [Unit]
      Description=Copy the data away

      [Service]
      Type=oneshot
      ExecStart=/usr/bin/rsync -a /srv/ backup:/srv/
    EOT
  }
}

task "which runs every night" {
  systemd_unit {
    name    = "backup.timer"
    content = <<-EOT
      [Timer]
      OnCalendar=02:30

      [Install]
      WantedBy=timers.target
    EOT
  }
}

task "sshd may open many files" {
  systemd_unit {
    name    = "ssh.service"
    drop_in = "limits"
    content = <<-EOT
      [Service]
      LimitNOFILE=65536
    EOT
  }
}`,
	Result: result{},
	Local:  true,
	New:    func() modules.Module { return &unit{} },
}

// result is what the module registers.
type result struct {
	Name string `cty:"name" doc:"Name of the unit."`
	Path string `cty:"path" doc:"Path of the file."`
}

// unit holds the module's arguments.
type unit struct {
	Name    string `hcl:"name" doc:"Name of the unit with its type: backup.service, backup.timer, or a template, backup@.service."`
	Content string `hcl:"content,optional" doc:"The whole content of the file. Required unless state is absent."`
	DropIn  string `hcl:"drop_in,optional" doc:"Name of a drop-in, such as limits for limits.conf. The default is the unit's own file."`
	State   string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the file exists."`
	Verify  bool   `hcl:"verify,optional" default:"true" doc:"Whether systemd-analyze must accept the content. Set it to false if the unit's program is installed later."`
}

const (
	units  = "/etc/systemd/system"
	absent = "absent"
	settle = 15 * time.Second
)

var (
	dropInName = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	unitTypes  = pattern.New(`\.(service|socket|target|mount|automount|swap|timer|path|slice)$`)
)

// Validate implements modules.Validator.
func (u *unit) Validate() error {
	fault := func(argument, problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	switch {
	case !unitTypes.MatchString(u.Name):
		return fault("name", fmt.Sprintf("%q does not end in the type of a unit that has a file", u.Name), "expected a name such as backup.service or backup.timer")
	case observe.CheckUnitName(strings.Replace(u.Name, "@.", "@x.", 1)) != nil:
		return fault("name", fmt.Sprintf("%q is not the name of a systemd unit", u.Name), "expected a name such as backup.service or backup@.service")
	case u.DropIn != "" && (!dropInName.MatchString(u.DropIn) || strings.HasSuffix(u.DropIn, ".conf")):
		return fault("drop_in", fmt.Sprintf("%q is not a valid drop-in name", u.DropIn), "expected letters, digits, hyphens and underscores, without .conf")
	case u.State == absent && u.Content != "":
		return fault("content", `has no effect with state "absent"`, "leave out one of them")
	case u.State != absent && strings.TrimSpace(u.Content) == "":
		return fault("content", "is missing", "expected the whole content of the file")
	case strings.ContainsRune(u.Content, 0):
		return fault("content", "contains a NUL byte", "expected text")
	}
	return nil
}

// path returns the path of the file.
func (u *unit) path() string {
	if u.DropIn != "" {
		return path.Join(units, u.Name+".d", u.DropIn+".conf")
	}
	return path.Join(units, u.Name)
}

// template reports whether the unit is a template. systemd only knows the instances of one.
func (u *unit) template() bool { return strings.Contains(u.Name, "@.") }

// Want implements modules.Announcer.
func (u *unit) Want(h modules.Host) {
	if u.Name == "" {
		return
	}
	observe.Files.Want(h, u.path(), path.Dir(u.path()))
	if !u.template() {
		observe.Units.Want(h, u.Name)
	}
	if u.State != absent && u.Verify {
		observe.Programs.Want(h, analyze)
	}
}

// Plan implements modules.Module.
func (u *unit) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	u.Want(h)
	s := &state{unit: u, host: h}
	var err error
	if s.file, err = observe.Files.Observe(ctx, h, u.path()); err != nil {
		return modules.Plan{}, err
	}
	if !u.template() {
		if s.now, err = observe.Units.Observe(ctx, h, u.Name); observe.IsUnknown(err) {
			s.doubt = err
		} else if err != nil {
			return modules.Plan{}, err
		}
	}
	plan := s.present
	if u.State == absent {
		plan = s.absent
	}
	steps, err := plan(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: steps, Data: modules.Data(result{Name: u.Name, Path: u.path()})}, nil
}

// state is the observed state of the unit.
type state struct {
	*unit
	host modules.Host
	file observe.File
	now  observe.Unit // zero for a template
	// doubt is why check mode cannot know the unit.
	doubt error
}

func (s *state) present(ctx context.Context) ([]modules.Step, error) {
	switch {
	case s.file.Type == observe.Symlink && s.file.Target == "/dev/null":
		return nil, fmt.Errorf("%s is masked on %s, so it has no file: unmask it first, with service { masked = false }", s.Name, s.host.Name())
	case s.file.Type == observe.Symlink:
		return nil, fmt.Errorf("%s on %s is a symbolic link to %s: name that unit, or remove the link", s.path(), s.host.Name(), s.file.Target)
	case s.DropIn != "" && !s.template() && !s.now.Exists() && s.doubt == nil:
		return nil, fmt.Errorf("%s has no unit %s that a drop-in could change: install the package that provides it first", s.host.Name(), s.Name)
	}
	if s.DropIn != "" && s.now.Masked() && s.doubt == nil {
		if err := s.fragment(ctx); err != nil {
			return nil, err
		}
	}
	content := strings.TrimRight(s.Content, "\n") + "\n"
	steps, err := conffile.Write(ctx, s.host, s.path(), content, "write "+s.path())
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		if !s.now.Stale {
			return nil, nil
		}
		after := s.now
		after.Stale = false
		return []modules.Step{s.reload(observe.Units.Expect(s.Name, after))}, nil
	}
	if s.Verify {
		if err := required.Program(ctx, s.host, analyze, "the new "+s.path()); err != nil {
			return nil, err
		}
		steps = append([]modules.Step{s.verify(content)}, steps...)
	}
	if s.DropIn != "" && s.doubt != nil {
		return nil, s.doubt
	}
	expect, err := s.loaded(ctx)
	if err != nil {
		return nil, err
	}
	return append(steps, s.reload(expect)), nil
}

// fragments are the directories of unit files.
var fragments = []string{units, "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// fragment returns an error if a masked unit has no file of its own below the mask: systemctl masks units that do not exist.
func (s *state) fragment(ctx context.Context) error {
	name := s.Name
	if base, instance, ok := strings.Cut(name, "@"); ok {
		name = base + "@" + path.Ext(instance)
	}
	var files []string
	for _, dir := range fragments {
		files = append(files, path.Join(dir, name))
	}
	found, err := observe.Files.ObserveAll(ctx, s.host, files)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Exists() && f.Target != "/dev/null" {
			return nil
		}
	}
	if err := observe.Files.MayAppear(s.host, files[len(files)-2]); err != nil {
		return err
	}
	return fmt.Errorf("%s is masked on %s and has no file that a drop-in could change: install the package that provides it first", s.Name, s.host.Name())
}

// analyze is the program that verifies unit files.
const analyze = "systemd-analyze"

// verifyScript verifies the content on standard input.
//
//go:embed verify.sh
var verifyScript string

// verify returns the step that checks the content with systemd-analyze before it is written.
func (s *state) verify(content string) modules.Step {
	argv := []string{"sh", "-c", verifyScript, "sh", s.Name}
	if s.DropIn != "" {
		argv = append(argv, s.DropIn+".conf")
	}
	return modules.Step{
		Summary: "have systemd-analyze verify " + s.label(),
		Exact:   true,
		Action: modules.Run{Argv: argv, Stdin: []byte(content), Limit: time.Minute, Brief: true, Explain: func(exit int, stdout, stderr []byte) error {
			said := strings.TrimSpace(string(stderr) + string(stdout))
			if said == "" {
				said = fmt.Sprintf("it printed no message (exit code %d)", exit)
			}
			return &refusedError{unit: s.label(), said: said}
		}},
	}
}

// refusedError says what systemd-analyze found in the content.
type refusedError struct{ unit, said string }

func (e *refusedError) Error() string {
	first, _, more := strings.Cut(e.said, "\n")
	if more {
		first += " …"
	}
	return fmt.Sprintf("systemd-analyze rejects %s: %s; nothing was written", e.unit, first)
}

func (e *refusedError) Hint() string {
	return "correct the content; systemd.directives(7) lists all settings. Set verify = false if a program is installed only later"
}

// Output returns the whole output of systemd-analyze.
func (e *refusedError) Output() string { return e.said }

// label names the file for people.
func (s *state) label() string {
	if s.DropIn != "" {
		return "the drop-in " + s.DropIn + " of " + s.Name
	}
	return s.Name
}

// reload returns the step that reloads systemd's unit files.
func (s *state) reload(expect ...observe.Expectation) modules.Step {
	step := conffile.ReloadUnits(s.label())
	step.Expect = expect
	return step
}

func (s *state) absent(ctx context.Context) ([]modules.Step, error) {
	if !s.file.Exists() {
		if err := observe.Files.MayAppear(s.host, s.path()); err != nil {
			return nil, err
		}
		if s.now.Exists() && s.now.Stale {
			return []modules.Step{s.reload(observe.Units.Unknown(s.Name, "its files have changed"))}, nil
		}
		return nil, nil
	}
	if s.file.Type == observe.Symlink && s.DropIn == "" {
		return nil, fmt.Errorf("%s on %s is a symbolic link to %s, not a file: unmask or disable the unit with the module service", s.path(), s.host.Name(), s.file.Target)
	}
	if s.DropIn != "" {
		steps, err := conffile.Remove(ctx, s.host, s.path(), "remove "+s.path())
		if err != nil {
			return nil, err
		}
		return append(steps, s.reload(s.withoutDropIn())), nil
	}
	if s.doubt != nil {
		return nil, s.doubt
	}
	gone, err := s.gone(ctx)
	if err != nil {
		return nil, err
	}
	steps := s.ended()
	removed, err := conffile.Remove(ctx, s.host, s.path(), "remove "+s.path())
	if err != nil {
		return nil, err
	}
	return append(append(steps, removed...), s.reload(gone)), nil
}

// ended returns the steps that stop and disable the unit.
func (s *state) ended() []modules.Step {
	if s.template() {
		pattern := strings.Replace(s.Name, "@.", "@*.", 1)
		return []modules.Step{
			{Summary: "stop the instances of " + s.Name, Risk: modules.Restarts, Action: modules.Run{Argv: []string{"systemctl", "stop", "--", pattern}, Limit: 5 * time.Minute}},
			{Summary: "do not start instances of " + s.Name + " at boot", Action: modules.Run{Argv: []string{"systemctl", "disable", "--", s.Name}, Limit: time.Minute}},
		}
	}
	var steps []modules.Step
	unit := s.now
	act := func(summary string, argv ...string) *modules.Step {
		steps = append(steps, modules.Step{Summary: summary, Action: modules.Run{Argv: argv, Limit: 5 * time.Minute, Brief: true}, Expect: []observe.Expectation{observe.Units.Expect(s.Name, unit)}})
		return &steps[len(steps)-1]
	}
	if unit.ActiveState != "inactive" && unit.ActiveState != "failed" && unit.Exists() {
		unit.ActiveState, unit.SubState = "inactive", ""
		step := act("stop "+s.Name, "systemctl", "stop", "--", s.Name)
		step.Risk, step.Settle, step.Await = modules.Restarts, settle, s.Name+" to become inactive"
	}
	if strings.HasPrefix(unit.UnitFileState, "enabled") {
		unit.UnitFileState = "disabled"
		act("do not start "+s.Name+" at boot", "systemctl", "disable", "--", s.Name)
	}
	if unit.ActiveState == "failed" {
		unit.ActiveState, unit.SubState = "inactive", ""
		act("reset the failed state of "+s.Name, "systemctl", "reset-failed", "--", s.Name)
	}
	return steps
}
