// Package command runs a program or a piece of shell that no other module covers.
package command

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/wrongform"
)

// Command is a program to run, and the conditions under which it need not run.
type Command struct {
	Argv  []string `hcl:"argv,optional" doc:"Program and arguments, which no shell interprets."`
	Shell string   `hcl:"shell,optional" doc:"Script for sh -c instead of argv, for pipes and redirections."`

	Creates string   `hcl:"creates,optional" doc:"Absolute path: nothing is run if it exists."`
	Removes string   `hcl:"removes,optional" doc:"Absolute path: nothing is run if it does not exist."`
	Unless  []string `hcl:"unless,optional" doc:"A read-only command: nothing is run if it exits with 0."`
	OnlyIf  []string `hcl:"only_if,optional" doc:"A read-only command: the command runs only if it exits with 0. As the only guard, it must fail afterwards."`
	Reads   bool     `hcl:"reads,optional" doc:"The command changes nothing: it also runs in check mode, and never counts as a change."`
	Always  bool     `hcl:"always,optional" doc:"The command runs every time and always counts as a change."`

	Env   map[string]string `hcl:"env,optional" doc:"Additional environment variables. They do not show in process lists."`
	Stdin string            `hcl:"stdin,optional" doc:"Standard input."`
	Dir   string            `hcl:"dir,optional" doc:"Working directory."`
	OK    []int             `hcl:"ok,optional" default:"[0]" doc:"Exit codes that mean success."`
	Limit time.Duration     `hcl:"limit,optional" doc:"Time limit; by default 10m, and 30s with reads. With more than 10m, a command that root runs continues even if the connection or the run ends, and hlplay waits for it."`
}

// result is the registered result.
type result struct {
	Stdout *string  `cty:"stdout" doc:"Standard output without trailing newlines; null if the command was not run."`
	Stderr *string  `cty:"stderr" doc:"Standard error, likewise."`
	Exit   *int     `cty:"rc" doc:"Exit code; null if the command was not run."`
	Lines  []string `cty:"stdout_lines" doc:"Lines of standard output."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "command",
	Aliases: []string{"shell", "raw", "script", "archive", "win_command"},
	Summary: "Runs a program unless its work is already done",
	Doc: `Idempotence is enforced, not promised: a command has a guard that shows whether its work is done
(` + "`creates`, `removes`, `unless`, `only_if`" + `), or says that it only reads (` + "`reads`" + `), or that it runs every
time (` + "`always`" + `, for handlers). After the command has run, the guard must show that the work is done, or the task fails.

A registered result has ` + "`stdout`, `stderr`, `rc` and `stdout_lines`" + ` of the command. They are null, and there are no lines, if the command
did not have to run; in check mode they are unknown if it has to. Of more than 16 MiB of output, only the first and the last 8 MiB are registered, and a line
between them says how many bytes are missing; with ` + "`reads`" + `, the task fails instead. With ` + "`-v`" + ` the report shows the output of commands that changed something.

Check mode predicts the guard and none of the command's other effects: if the command would run, a later task that finds the cluster, Ceph or
a guest in its desired state is uncertain.`,
	Example: `task "the archive is unpacked" {
  command {
    argv    = ["tar", "-xzf", "/root/tools.tgz", "-C", "/opt"]
    creates = "/opt/tools"
  }
}

task "the kernel's view of time" {
  command {
    argv  = ["timedatectl", "show"]
    reads = true
  }
  register = "time"
}
`,
	Result: result{},
	New:    func() modules.Module { return &Command{} },
}

const chooseGuard = `give a condition that tells whether it must run: creates = "/path" or removes = "/path", unless = [command] or only_if = [command]; or reads = true if it changes nothing, or always = true if it must run every time`

// Validate implements modules.Validator.
func (c *Command) Validate() error {
	if (len(c.Argv) == 0) == (c.Shell == "") {
		return &modules.ArgumentError{Argument: "argv", Problem: "exactly one of argv and shell is required", Want: `expected argv = ["program", "argument"], or shell = "text" to use a shell`}
	}
	for name, argv := range map[string][]string{"argv": c.Argv, "unless": c.Unless, "only_if": c.OnlyIf} {
		if argv != nil && (len(argv) == 0 || argv[0] == "") && (name != "argv" || c.Shell == "") {
			return &modules.ArgumentError{Argument: name, Problem: "it names no program"}
		}
		for _, arg := range argv {
			if strings.ContainsRune(arg, 0) {
				return &modules.ArgumentError{Argument: name, Problem: "it contains a NUL byte"}
			}
		}
	}
	for name, p := range map[string]string{"creates": c.Creates, "removes": c.Removes, "dir": c.Dir} {
		if p != "" && !path.IsAbs(p) {
			return &modules.ArgumentError{Argument: name, Problem: fmt.Sprintf("%q is not an absolute path", p)}
		}
	}
	guarded := c.Creates != "" || c.Removes != "" || len(c.Unless) > 0 || len(c.OnlyIf) > 0
	switch {
	case c.Reads && (guarded || c.Always):
		return &modules.ArgumentError{Argument: "reads", Problem: "a command that only reads needs no guard", Want: "leave out creates, removes, unless, only_if and always"}
	case c.Always && guarded:
		return &modules.ArgumentError{Argument: "always", Problem: "a command with a guard does not run every time", Want: "leave out always, or creates, removes, unless and only_if"}
	case len(c.OK) == 0:
		return &modules.ArgumentError{Argument: "ok", Problem: "is empty: no exit code would mean success", Want: "ok = [0, …]"}
	case !c.Reads && !c.Always && !guarded:
		return &modules.ArgumentError{Argument: "command", Problem: "it has no guard", Want: chooseGuard}
	}
	return nil
}

// OnlyReads implements modules.Reader.
func (c *Command) OnlyReads() bool { return c.Reads }

// Opaque implements modules.Opaque.
func (c *Command) Opaque() bool { return !c.Reads }

// Plan implements modules.Module.
func (c *Command) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if c.Reads {
		return c.read(ctx, h)
	}
	if c.Dir != "" {
		observe.Files.Want(h, c.Dir)
	}
	text := strings.Join(c.argv(), " ")
	advice := append(wrongform.Suites(ctx, h, "shell", text), wrongform.Upgrade(ctx, h, "shell", text)...)
	if c.rereads() {
		return modules.Plan{Steps: []modules.Step{c.reread(h)}, Repeats: true, Data: toBeRun, Advice: advice}, nil
	}
	if c.regenerates() {
		return modules.Plan{Steps: []modules.Step{c.regenerate()}, Repeats: true, Data: toBeRun, Advice: advice}, nil
	}
	if c.Always {
		return modules.Plan{Steps: []modules.Step{c.step()}, Repeats: true, Data: toBeRun, Advice: advice}, c.checkDir(ctx, h)
	}
	due, err := c.due(ctx, h)
	if err != nil || !due {
		return modules.Plan{Data: notRun}, err
	}
	if err := c.checkDir(ctx, h); err != nil {
		return modules.Plan{Data: notRun}, err
	}
	step := c.step()
	step.Expect = c.expect(ctx, h)
	return modules.Plan{Steps: []modules.Step{step}, Data: toBeRun, Advice: advice}, nil
}

// checkDir returns an error if the command could not be started in its working directory.
func (c *Command) checkDir(ctx context.Context, h modules.Host) error {
	if c.Dir == "" {
		return nil
	}
	at, dir, err := observe.Follow(ctx, h, c.Dir)
	switch {
	case err != nil:
		return err
	case !dir.Exists():
		return fmt.Errorf("the working directory %s of %q does not exist", at, title(c.argv()))
	case dir.Type != observe.Directory:
		return fmt.Errorf("the working directory %s of %q is a %s, not a directory", at, title(c.argv()), dir.Type)
	}
	return nil
}

func (c *Command) argv() []string {
	if c.Shell != "" {
		return []string{"sh", "-c", c.Shell}
	}
	return c.Argv
}

// read runs the command as an observation.
func (c *Command) read(ctx context.Context, h modules.Host) (modules.Plan, error) {
	r := c.guard(ctx, c.argv())
	r.Stdin, r.Limit = c.Stdin, c.Limit
	a, err := observe.AuthorCommands.Observe(ctx, h, r.Key())
	if err != nil {
		return modules.Plan{}, err
	}
	if !slices.Contains(c.OK, a.Exit) {
		return modules.Plan{}, fmt.Errorf("%s: %s: %s", title(c.argv()), remote.Ending(a.Exit), lastLines(a))
	}
	if a.Cut > 0 {
		return modules.Plan{}, fmt.Errorf("%s printed %d MiB, more than the limit of %d MiB: reduce its output, or write it to a file", title(c.argv()),
			(a.Cut+remote.MaxOutput)>>20, remote.MaxOutput>>20)
	}
	return modules.Plan{Data: printed(a)}, nil
}

// guard returns a read-only command that runs with the user, directory and environment of the command itself.
func (c *Command) guard(ctx context.Context, argv []string) observe.Reading {
	return observe.Reading{Argv: argv, User: observe.ActingUser(ctx), Dir: c.Dir, Env: observe.ActingEnvironment(ctx, c.Env)}
}

// due reports whether the command has to run: no guard says that its work is done. All guards are read in one flight.
func (c *Command) due(ctx context.Context, h modules.Host) (bool, error) {
	for _, p := range []string{c.Creates, c.Removes} {
		if p != "" {
			observe.Files.Want(h, p)
		}
	}
	for _, argv := range [][]string{c.Unless, c.OnlyIf} {
		if len(argv) > 0 {
			observe.AuthorCommands.Want(h, c.guard(ctx, argv).Key())
		}
	}
	for _, g := range []struct {
		path string
		done bool
	}{{c.Creates, true}, {c.Removes, false}} {
		if g.path == "" {
			continue
		}
		exists, err := observe.Exists(ctx, h, g.path)
		if err != nil {
			return false, err
		}
		if exists == g.done {
			if !exists {
				err = observe.Files.MayAppear(h, g.path)
			}
			return false, err
		}
	}
	for _, g := range []struct {
		argv []string
		done bool
	}{{c.Unless, true}, {c.OnlyIf, false}} {
		if len(g.argv) == 0 {
			continue
		}
		a, err := observe.AuthorCommands.Observe(ctx, h, c.guard(ctx, g.argv).Key())
		if err != nil {
			return false, err
		}
		if a.Exit == 126 || a.Exit == 127 || a.Exit > 128 && a.Exit <= 128+64 { // a guard that was killed by a signal has no answer
			return false, fmt.Errorf("the guard %s failed: %s: %s", title(g.argv), remote.Ending(a.Exit), lastLines(a))
		}
		if (a.Exit == 0) == g.done {
			return false, nil
		}
	}
	return true, nil
}

// expect returns the expectations that the guards stand for once the command has run.
func (c *Command) expect(ctx context.Context, h modules.Host) []observe.Expectation {
	var expect []observe.Expectation
	if c.Creates != "" {
		expect = append(expect,
			observe.Paths.Expect(c.Creates, true),
			observe.Files.Unknown(c.Creates, "the command "+title(c.argv())+" is about to create it"))
	}
	if c.Removes != "" {
		expect = append(expect, observe.Placed(h, c.Removes, observe.File{})...)
	}
	if len(c.Unless) > 0 {
		expect = append(expect, observe.AuthorCommands.Expect(c.guard(ctx, c.Unless).Key(), remote.Answer{}))
	}
	if len(c.OnlyIf) > 0 && c.Creates == "" && c.Removes == "" && len(c.Unless) == 0 {
		expect = append(expect, observe.AuthorCommands.Expect(c.guard(ctx, c.OnlyIf).Key(), remote.Answer{Exit: 1}))
	}
	return expect
}

func (c *Command) step() modules.Step {
	run := modules.Run{Argv: c.argv(), Env: c.Env, Dir: c.Dir, Limit: c.Limit, OK: c.OK, Shows: true}
	if c.Stdin != "" {
		run.Stdin = []byte(c.Stdin)
	}
	return modules.Step{Summary: "run " + title(c.argv()), Action: run, Unknown: true}
}

// title returns a command on one line for people to read; a script for a shell is represented by its first line.
func title(argv []string) string {
	if len(argv) == 3 && argv[0] == "sh" && argv[1] == "-c" {
		line, _, more := strings.Cut(strings.TrimSpace(argv[2]), "\n")
		if more {
			line += " …"
		}
		return line
	}
	return strings.ReplaceAll(strings.Join(argv, " "), "\n", "⏎")
}

// lastLines returns the last lines of a failed command's output.
func lastLines(a remote.Answer) string {
	text := strings.TrimSpace(string(a.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(a.Stdout))
	}
	if text == "" {
		return "it printed nothing"
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}

// printed returns the registered result of a command that was run as a reading.
func printed(a remote.Answer) cty.Value {
	return cty.ObjectVal(modules.Printed(a.Exit, a.Stdout, a.Stderr))
}

// notRun and toBeRun are what register exposes for a command that does not run, and for one that has yet to run, until
// its output replaces them.
var (
	notRun  = modules.Data(result{})
	toBeRun = cty.ObjectVal(map[string]cty.Value{
		"stdout": cty.UnknownVal(cty.String), "stderr": cty.UnknownVal(cty.String), "rc": cty.UnknownVal(cty.Number),
		"stdout_lines": cty.UnknownVal(cty.List(cty.String)),
	})
)
