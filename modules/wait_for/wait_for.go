// Package wait_for lets a playbook wait until a condition holds on a host.
package wait_for

import (
	"context"
	"fmt"
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// WaitFor is the condition to wait for: a port, a path, a unit, a command or the time alone.
type WaitFor struct {
	Port    int    `hcl:"port,optional" doc:"TCP port that must accept connections from the host itself."`
	Address string `hcl:"address,optional" default:"127.0.0.1" doc:"Name or address to connect to."`

	Path     string `hcl:"path,optional" doc:"Absolute path that must exist, or not exist (state)."`
	State    string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"absent waits until the path is gone or the port is closed."`
	Contains string `hcl:"contains,optional" doc:"Regular expression (RE2; ^ and $ match at line breaks) that the file at path must match."`

	Unit    string        `hcl:"unit,optional" doc:"systemd unit that must be active."`
	Command []string      `hcl:"command,optional" doc:"A read-only command that must exit with 0."`
	Time    time.Duration `hcl:"time,optional" doc:"Only wait for this long, for work whose completion nothing else shows."`
	Timeout time.Duration `hcl:"timeout,optional" default:"5m" doc:"How long to wait before the task fails."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "wait_for",
	Aliases: []string{"pause"},
	Summary: "Waits until a port answers, a path exists, a unit is active or a command succeeds",
	Doc: `Waiting changes nothing. Check mode does not wait: a condition that
does not hold yet is predicted to hold afterwards. Whether something that a package may provide is absent is uncertain.`,
	Example: `task "the web interface answers" {
  wait_for {
    port    = 8006
    timeout = "2m"
  }
}

task "the cluster file system is mounted" {
  wait_for {
    path = "/etc/pve/local"
  }
}
`,
	New: func() modules.Module { return &WaitFor{} },
}

// Validate implements modules.Validator.
func (w *WaitFor) Validate() error {
	given := 0
	for _, is := range []bool{w.Port != 0, w.Path != "", w.Unit != "", len(w.Command) > 0, w.Time != 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return &modules.ArgumentError{Argument: "wait_for", Problem: fmt.Sprintf("%d conditions are given", given), Want: "give exactly one of port, path, unit, command and time"}
	}
	switch {
	case w.Port < 0 || w.Port > 65535:
		return &modules.ArgumentError{Argument: "port", Problem: fmt.Sprintf("%d is not a TCP port", w.Port), Want: "expected 1 to 65535"}
	case w.Path != "" && !path.IsAbs(w.Path):
		return &modules.ArgumentError{Argument: "path", Problem: fmt.Sprintf("%q is not an absolute path", w.Path)}
	case w.Contains != "" && (w.Path == "" || w.absent()):
		return &modules.ArgumentError{Argument: "contains", Problem: "it needs a path that exists", Want: "give path, and leave out state"}
	case w.Time < 0 || w.Time > longest:
		return &modules.ArgumentError{Argument: "time", Problem: fmt.Sprintf("%s is not a valid time to wait", w.Time), Want: "expected at most " + longest.String()}
	case w.absent() && w.Path == "" && w.Port == 0:
		return &modules.ArgumentError{Argument: "state", Problem: "absent applies only to a path or a port"}
	case len(w.Command) > 0 && w.Command[0] == "":
		return &modules.ArgumentError{Argument: "command", Problem: "it is empty"}
	}
	if _, err := regexp.Compile(w.Contains); err != nil {
		return &modules.ArgumentError{Argument: "contains", Problem: err.Error(), Want: "expected a regular expression in Go's syntax (RE2)"}
	}
	if w.Unit != "" {
		if err := observe.CheckUnitName(observe.UnitName(w.Unit)); err != nil {
			return &modules.ArgumentError{Argument: "unit", Problem: err.Error()}
		}
	}
	return nil
}

// longest bounds the time that is waited for nothing.
const longest = time.Hour

// pause waits without a condition.
func (w *WaitFor) pause() modules.Plan {
	return modules.Plan{Repeats: true, Steps: []modules.Step{{
		Summary: "wait " + w.Time.String(),
		Action:  modules.Run{Argv: []string{"sleep", strconv.FormatFloat(w.Time.Seconds(), 'f', -1, 64)}, Limit: w.Time + time.Minute, Brief: true},
		Refresh: true,
		Exact:   true,
	}}}
}

func (w *WaitFor) absent() bool { return w.State == "absent" }

// OnlyReads implements modules.Reader.
func (w *WaitFor) OnlyReads() bool { return true }

// Plan implements modules.Module.
func (w *WaitFor) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if w.Time != 0 {
		return w.pause(), nil
	}
	c := w.condition(ctx, h)
	holds, err := c.holds()
	if holds || err != nil && !observe.IsUnknown(err) {
		return modules.Plan{}, err
	}
	var doubt error
	if w.absent() { // what may appear until then may never disappear
		doubt = err
	}
	return modules.Plan{Doubt: doubt, Steps: []modules.Step{{
		Summary: "wait for " + c.what,
		Action:  modules.Wait{},
		Expect:  c.expect(),
		Settle:  w.Timeout,
		Await:   c.what,
		Refresh: true,
	}}}, nil
}

// condition is the awaited condition.
type condition struct {
	what   string
	holds  func() (bool, error)
	expect func() []observe.Expectation
}

func (w *WaitFor) condition(ctx context.Context, h modules.Host) condition {
	switch {
	case w.Port != 0:
		return w.port(ctx, h)
	case w.Unit != "":
		return w.unit(ctx, h)
	case len(w.Command) > 0:
		return w.command(ctx, h)
	case w.Contains != "":
		return w.contains(ctx, h)
	}
	return w.path(ctx, h)
}

func (w *WaitFor) port(ctx context.Context, h modules.Host) condition {
	name := net.JoinHostPort(w.Address, strconv.Itoa(w.Port))
	what := name + " to accept connections"
	if w.absent() {
		what = name + " to refuse connections"
	}
	return condition{
		what: what,
		holds: func() (bool, error) {
			open, err := observe.Ports.Observe(ctx, h, name)
			if err == nil && !open && w.absent() {
				err = observe.Ports.MayAppear(h, name)
			}
			return open != w.absent() && err == nil, err
		},
		expect: func() []observe.Expectation {
			return []observe.Expectation{observe.Ports.Expect(name, !w.absent())}
		},
	}
}

func (w *WaitFor) unit(ctx context.Context, h modules.Host) condition {
	name := observe.UnitName(w.Unit)
	var unit observe.Unit
	return condition{
		what: name + " to become active",
		holds: func() (bool, error) {
			var err error
			unit, err = observe.Units.Observe(ctx, h, name)
			return unit.Active(), err
		},
		expect: func() []observe.Expectation {
			unit.ActiveState, unit.SubState = "active", ""
			if !unit.Exists() {
				unit.ID, unit.LoadState = name, "loaded"
			}
			return []observe.Expectation{observe.Units.Expect(name, unit)}
		},
	}
}

func (w *WaitFor) command(ctx context.Context, h modules.Host) condition {
	key := observe.Reading{Argv: w.Command, User: observe.ActingUser(ctx), Env: observe.ActingEnvironment(ctx, nil)}.Key()
	return condition{
		what: strings.Join(w.Command, " ") + " to succeed",
		holds: func() (bool, error) {
			a, err := observe.AuthorCommands.Observe(ctx, h, key)
			return a.Exit == 0 && err == nil, err
		},
		expect: func() []observe.Expectation {
			return []observe.Expectation{observe.AuthorCommands.Expect(key, remote.Answer{})}
		},
	}
}

func (w *WaitFor) contains(ctx context.Context, h modules.Host) condition {
	p := observe.Pattern{Path: w.Path, Regexp: w.Contains}
	return condition{
		what:  fmt.Sprintf("%s to contain %q", w.Path, w.Contains),
		holds: func() (bool, error) { return p.Observe(ctx, h) },
		expect: func() []observe.Expectation {
			return []observe.Expectation{
				observe.Matches.Expect(p.Key(), true),
				observe.Paths.Expect(w.Path, true),
				observe.Files.Unknown(w.Path, "the task waits for it"),
			}
		},
	}
}

func (w *WaitFor) path(ctx context.Context, h modules.Host) condition {
	what := w.Path + " to appear"
	if w.absent() {
		what = w.Path + " to disappear"
	}
	return condition{
		what: what,
		holds: func() (bool, error) {
			exists, err := observe.Exists(ctx, h, w.Path)
			if err == nil && !exists && w.absent() {
				err = observe.Files.MayAppear(h, w.Path)
			}
			return exists != w.absent() && err == nil, err
		},
		expect: func() []observe.Expectation {
			if w.absent() {
				return observe.Placed(h, w.Path, observe.File{})
			}
			return []observe.Expectation{
				observe.Paths.Expect(w.Path, true),
				observe.Files.Unknown(w.Path, "the task waits for it"),
			}
		},
	}
}
