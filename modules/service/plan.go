package service

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

func (s *Service) plan(p *planner) error {
	if !p.unit.Exists() && s.needsUnit() {
		return fmt.Errorf("there is no unit %s; install the package that provides it first", p.name)
	}
	if err := p.readable(); err != nil && s.needsUnit() {
		return err
	}
	if s.DaemonReload && p.unit.Stale {
		p.unit.Stale = false
		p.do("reload systemd's unit files", "systemctl", "daemon-reload")
	}
	if s.Masked != nil {
		p.mask(*s.Masked)
	}
	if s.Enabled != nil {
		if err := p.enable(*s.Enabled); err != nil {
			return err
		}
	}
	if p.unit.Masked() && s.State != "" && s.State != "stopped" {
		return fmt.Errorf("%s is masked and cannot be started; set masked = false", p.name)
	}
	switch s.State {
	case "started":
		if !p.unit.Active() {
			p.start("start")
		}
	case "stopped":
		if !stopped(p.unit.ActiveState) {
			p.stop()
		}
	case "restarted":
		p.repeats = true
		p.start("restart")
	case "reloaded":
		p.repeats = true
		if p.unit.Active() {
			p.start("reload-or-restart")
		} else {
			p.start("start")
		}
	}
	return nil
}

// stopped reports whether a unit in the given state has no process and will not get one by itself. A unit that is
// activating may be about to be started again after a failure.
func stopped(state string) bool {
	switch state {
	case "inactive", "failed", "maintenance":
		return true
	}
	return false
}

// needsUnit reports whether the desired state is impossible for a unit that does not exist.
func (s *Service) needsUnit() bool {
	return s.Enabled != nil && *s.Enabled || s.State != "" && s.State != "stopped"
}

// planner collects steps and tracks the unit's state after them.
type planner struct {
	name    string
	unit    observe.Unit
	hidden  bool // set once a mask is removed: it is unknown whether the unit behind the mask is enabled
	steps   []modules.Step
	repeats bool
}

// file returns the name under which systemctl changes a unit's files: it rejects aliases.
func (p *planner) file() string {
	if p.unit.ID != "" {
		return p.unit.ID
	}
	return p.name
}

// readable returns an error if systemd cannot use the unit's file.
func (p *planner) readable() error {
	switch {
	case p.unit.LoadState == "bad-setting", p.unit.LoadState == "error", p.unit.UnitFileState == "bad":
		why := p.unit.LoadError
		if why == "" {
			why = "its state is " + p.unit.LoadState
		}
		return fmt.Errorf("systemd cannot load the unit file of %s: %s; check it with `systemd-analyze verify %[1]s`, correct it, and set daemon_reload = true", p.name, strings.TrimSuffix(why, "."))
	}
	return nil
}

func (p *planner) mask(masked bool) {
	file := p.file()
	switch {
	case masked && p.unit.UnitFileState != "masked":
		p.unit.LoadState, p.unit.UnitFileState = "masked", "masked"
		p.do("mask "+p.name, "systemctl", "mask", "--", file)
	case !masked && p.unit.Masked():
		argv := []string{"systemctl", "unmask"}
		if p.unit.UnitFileState == "masked-runtime" {
			argv = append(argv, "--runtime")
		}
		p.unit.LoadState, p.unit.UnitFileState, p.hidden = "loaded", "", true
		p.do("unmask "+p.name, append(argv, "--", file)...)
	}
}

func (p *planner) enable(enabled bool) error {
	switch {
	case p.unit.Enabled() == enabled && !p.hidden:
		if !enabled && p.unit.UnitFileState == "generated" {
			return fmt.Errorf("%s is generated from %s, so systemctl cannot disable it: change it there, or set masked = true", p.name, p.source())
		}
		return nil
	case !enabled:
		p.unit.UnitFileState, p.hidden = "disabled", false
		p.do("do not start "+p.name+" at boot", "systemctl", "disable", "--", p.file())
		return nil
	case p.unit.Masked():
		return fmt.Errorf("%s is masked and cannot be enabled; set masked = false", p.name)
	}
	switch state := p.unit.UnitFileState; {
	case state == "static":
		return fmt.Errorf("%s is static: it has no [Install] section and cannot be enabled; another unit starts it", p.name)
	case state == "indirect":
		return fmt.Errorf("%s is indirect: enabling it enables the units named in its file (Also=, DefaultInstance=; see `systemctl cat %[1]s`) rather than itself: name one of those", p.name)
	case state == "generated":
		return fmt.Errorf("%s is generated from %s and cannot be enabled: whether it starts at boot is set there", p.name, p.source())
	case state == "transient":
		return fmt.Errorf("%s is transient: it does not survive a reboot and cannot be enabled; write a unit file for it", p.name)
	case state == "" && !p.hidden:
		return fmt.Errorf("%s has no unit file and cannot be enabled", p.name)
	}
	p.unit.UnitFileState, p.hidden = "enabled", false
	p.do("start "+p.name+" at boot", "systemctl", "enable", "--", p.file())
	return nil
}

func (p *planner) source() string {
	if p.unit.Source == "" {
		return "another file (`systemctl cat " + p.name + "`)"
	}
	return p.unit.Source
}

// underway is the exit code by which startScript says that the unit has yet to arrive in a state. systemctl has no such code.
const underway = 75

// start plans to start the unit with a verb of systemctl, and to check that it keeps running.
func (p *planner) start(verb string) {
	p.unit.ActiveState, p.unit.SubState = "active", ""
	p.do(strings.ReplaceAll(verb, "-", " ")+" "+p.name, "sh", "-c", startScript, "sh", verb, p.name, strconv.Itoa(underway))
	step := &p.steps[len(p.steps)-1]
	step.Settle, step.Await, step.Until = settle, p.name+" to become active", arrived(p.name)
	run := step.Action.(modules.Run)
	run.Explain, run.Underway = explainStart(p.name, verb), underway
	step.Action = run
}

func (p *planner) stop() {
	p.unit.ActiveState, p.unit.SubState = "inactive", ""
	p.do("stop "+p.name, "systemctl", "stop", "--", p.name)
	step := &p.steps[len(p.steps)-1]
	step.Settle, step.Await, step.Until = settle, p.name+" to become inactive", arrived(p.name)
}

// arrived returns a query that exits with 0 unless a unit is on the way from one state to another.
func arrived(name string) *remote.Query {
	return &remote.Query{Script: `case $(systemctl show --property=ActiveState -- "$1") in
*=activating | *=deactivating | *=reloading | *=refreshing) exit 1 ;;
esac`, Args: []string{name}}
}

func (p *planner) do(summary string, argv ...string) {
	step := modules.Step{
		Summary: summary,
		Action:  modules.Run{Argv: argv, Limit: 5 * time.Minute, Brief: true, Explain: explain(p.name, argv[1])},
		Expect:  p.expect(),
	}
	switch argv[1] {
	case "stop", "restart", "reload", "reload-or-restart", "try-reload-or-restart":
		step.Risk = modules.Restarts
	}
	p.steps = append(p.steps, step)
}

// expect returns the expected unit, under its own name and under the name that was asked for.
func (p *planner) expect() []observe.Expectation {
	names := []string{p.name}
	if p.file() != p.name {
		names = append(names, p.file())
	}
	var expect []observe.Expectation
	for _, name := range names {
		if p.hidden {
			expect = append(expect, observe.Units.Unknown(name, "whether it is enabled is known once it is unmasked"))
		} else {
			expect = append(expect, observe.Units.Expect(name, p.unit))
		}
	}
	return expect
}

// unitDir is where administrators keep unit files, and where a mask would be.
const unitDir = "/etc/systemd/system"

// explain says what to do if systemctl refuses to change a unit's files or state.
func explain(name, verb string) func(int, []byte, []byte) error {
	return func(exit int, _, stderr []byte) error {
		message := strings.TrimSpace(string(stderr))
		switch {
		case message == "":
			message = "it printed no message"
		case verb == "mask" && strings.Contains(message, "already exists"):
			message += "; the unit's own file is in the place of the mask: remove " + path.Join(unitDir, name) + " first"
		}
		return fmt.Errorf("systemctl %s %s failed with exit code %d: %s", verb, name, exit, message)
	}
}
