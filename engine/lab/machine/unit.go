package machine

import (
	"cmp"
	"fmt"
	"path"
	"time"
)

// Unit is a systemd unit.
type Unit struct {
	Name            string
	Enabled, Active bool
	// Static units have no [Install] section: they cannot be enabled, but other units can pull them in.
	Static bool
	// Exits marks a oneshot unit that stays active after its program has ended.
	Exits bool
	// Start and Stop are called when the unit is started and stopped. If Start fails, the unit's state is failed.
	Start func(m *Machine) error
	Stop  func(m *Machine)
	// Reload is called when the active unit is asked to reload its configuration. It may be nil.
	Reload func(m *Machine)
}

// kind returns the Type of a unit that has no unit file.
func (u Unit) kind() string {
	if u.Exits {
		return "oneshot"
	}
	return "simple"
}

// UnitStatus is the status of a unit in systemd's terms.
type UnitStatus struct {
	Name          string
	LoadState     string // "loaded", "not-found", "masked"
	ActiveState   string // "active", "inactive", "failed"
	SubState      string // "running", "dead", "failed", …
	UnitFileState string // "enabled", "enabled-runtime", "disabled", "static", "generated", "masked", "masked-runtime", or empty
	Type          string // "simple", "oneshot", …
	SourcePath    string // the init script from which the unit is generated
	Result        string // "success", "exit-code"
	// Reason is the error that Start returned.
	Reason string
	// Since is when the unit last became active or inactive.
	Since time.Time
	// Starts is the number of successful starts.
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
	// declared is set if the unit is defined by a file only. text is what administrators had written about it when
	// systemd last read it.
	declared bool
	text     string
}

func (s *unitState) status() UnitStatus {
	st := UnitStatus{Name: s.unit.Name, LoadState: "loaded", ActiveState: "inactive", SubState: "dead",
		UnitFileState: "disabled", Result: "success", Reason: s.reason, Since: s.since, Starts: s.starts,
		Type: cmp.Or(s.file.kind, s.unit.kind()), SourcePath: s.file.script}
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

// UnitName returns a unit name with its suffix, ".service" by default.
func UnitName(name string) string {
	switch path.Ext(name) {
	case ".service", ".socket", ".target", ".timer", ".mount", ".path", ".slice", ".scope", ".device", ".automount", ".swap":
		return name
	}
	return name + ".service"
}

// A NotFoundError reports that a unit does not exist.
type NotFoundError struct{ Unit string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("Unit %s not found.", e.Unit) }

// enablement returns the flag that says whether the unit is enabled, permanently or until the next boot.
func (s *unitState) enablement(runtime bool) *bool {
	if runtime {
		return &s.enabledRuntime
	}
	return &s.enabled
}

// mask returns the flag that says whether the unit is masked, permanently or until the next boot.
func (s *unitState) mask(runtime bool) *bool {
	if runtime {
		return &s.maskedRuntime
	}
	return &s.masked
}
