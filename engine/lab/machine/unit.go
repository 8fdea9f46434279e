package machine

import (
	"fmt"
	"path"
	"time"
)

// Unit is a systemd unit.
type Unit struct {
	Name            string
	Enabled, Active bool
	// Static units have no [Install] section: they cannot be enabled, others pull them in.
	Static bool
	// Exits is a oneshot unit that stays active when its program has ended.
	Exits bool
	// Start and Stop run when the unit is started and stopped; Start's error leaves it failed.
	Start func(m *Machine) error
	Stop  func(m *Machine)
}

// kind is the Type of a unit that no unit file declares.
func (u Unit) kind() string {
	if u.Exits {
		return "oneshot"
	}
	return "simple"
}

// UnitStatus is what systemd knows of a unit, in systemd's words.
type UnitStatus struct {
	Name          string
	LoadState     string // "loaded", "not-found", "masked"
	ActiveState   string // "active", "inactive", "failed"
	SubState      string // "running", "dead", "failed", …
	UnitFileState string // "enabled", "enabled-runtime", "disabled", "static", "generated", "masked", "masked-runtime", or empty
	Type          string // "simple", "oneshot", …
	SourcePath    string // the init script that the unit is generated from
	Result        string // "success", "exit-code"
	// Reason is why Start failed.
	Reason string
	// Since is when the unit last became active or inactive.
	Since time.Time
	// Starts counts successful starts.
	Starts int
}

type unitState struct {
	unit    Unit
	enabled bool
	masked  bool
	// enabledRuntime and maskedRuntime last until the next boot (--runtime).
	enabledRuntime, maskedRuntime bool
	active                        bool
	failed                        bool
	reason                        string
	since                         time.Time
	starts                        int
	file                          declaration
}

func (s *unitState) status() UnitStatus {
	st := UnitStatus{Name: s.unit.Name, LoadState: "loaded", ActiveState: "inactive", SubState: "dead",
		UnitFileState: "disabled", Result: "success", Reason: s.reason, Since: s.since, Starts: s.starts,
		Type: cmpOr(s.file.kind, s.unit.kind()), SourcePath: s.file.script}
	switch {
	case s.failed:
		st.ActiveState, st.SubState, st.Result = "failed", "failed", "exit-code"
	case s.active:
		st.ActiveState, st.SubState = "active", "running"
		if s.unit.Exits {
			st.SubState = "exited"
		}
		switch path.Ext(s.unit.Name) {
		case ".target":
			st.SubState = "active"
		case ".timer", ".path":
			st.SubState = "waiting"
		case ".socket":
			st.SubState = "listening"
		}
	}
	switch {
	case s.masked:
		st.LoadState, st.UnitFileState = "masked", "masked"
	case s.maskedRuntime:
		st.LoadState, st.UnitFileState = "masked", "masked-runtime"
	case s.file.script != "":
		st.UnitFileState = "generated"
	case s.unit.Static:
		st.UnitFileState = "static"
	case s.enabled:
		st.UnitFileState = "enabled"
	case s.enabledRuntime:
		st.UnitFileState = "enabled-runtime"
	}
	return st
}

// UnitName gives a name its suffix, ".service" if it has none.
func UnitName(name string) string {
	switch path.Ext(name) {
	case ".service", ".socket", ".target", ".timer", ".mount", ".path", ".slice", ".scope", ".device", ".automount", ".swap":
		return name
	}
	return name + ".service"
}

// A NotFoundError says that there is no such unit.
type NotFoundError struct{ Unit string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("Unit %s not found.", e.Unit) }

// enablement returns the flag that enable sets, for good or until the next boot.
func (s *unitState) enablement(runtime bool) *bool {
	if runtime {
		return &s.enabledRuntime
	}
	return &s.enabled
}

// mask returns the flag that mask sets, for good or until the next boot.
func (s *unitState) mask(runtime bool) *bool {
	if runtime {
		return &s.maskedRuntime
	}
	return &s.masked
}
