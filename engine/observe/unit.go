package observe

import (
	"fmt"
	"regexp"
	"strings"

	"hlplay/engine/remote"
)

// Unit is a systemd unit as systemctl show tells it; the zero value is a unit that is not there.
type Unit struct {
	// ID is the unit's own name, which differs from the name asked for where that is an alias.
	ID string
	// LoadState is "loaded", "not-found", "masked", "bad-setting" or "error".
	LoadState string
	// ActiveState is "active", "reloading", "inactive", "failed", "activating" or "deactivating".
	ActiveState string
	// SubState is the finer state of the unit's type: "running", "dead", "exited", "listening". It is
	// empty where check mode predicts a state and cannot know it as finely.
	SubState string
	// UnitFileState is "enabled", "disabled", "static", "masked", "alias", …; empty without a file.
	UnitFileState string
	// Stale is set where the unit's file has changed since systemd read it (NeedDaemonReload).
	Stale bool
}

// Exists reports whether systemd knows the unit, masked or not.
func (u Unit) Exists() bool { return u.LoadState != "" && u.LoadState != "not-found" }

// Active reports whether the unit runs, or has done its work and counts as active.
func (u Unit) Active() bool { return u.ActiveState == "active" || u.ActiveState == "reloading" }

// Masked reports whether the unit is linked to /dev/null.
func (u Unit) Masked() bool { return u.LoadState == "masked" || u.UnitFileState == "masked" }

// Enabled reports whether something starts the unit at boot by its install section. A static unit
// cannot be enabled and is started by others; it counts as neither.
func (u Unit) Enabled() bool {
	switch u.UnitFileState {
	case "enabled", "enabled-runtime", "alias":
		return true
	}
	return false
}

// UnitName is the full name under which a unit is observed: "chrony" is "chrony.service".
func UnitName(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i >= 0 && unitTypes[name[i+1:]] {
		return name
	}
	return name + ".service"
}

var unitTypes = map[string]bool{
	"service": true, "socket": true, "target": true, "device": true, "mount": true, "automount": true,
	"swap": true, "timer": true, "path": true, "slice": true, "scope": true,
}

// unitPattern is systemd.unit(5)'s unit name, not a template and without globs, which systemctl
// would expand.
var unitPattern = regexp.MustCompile(`^[A-Za-z0-9:_\\-][A-Za-z0-9:_.\\-]*(@[A-Za-z0-9:_.\\-]+)?\.[a-z]+$`)

// CheckUnitName refuses what is not the full name of one unit (see UnitName).
func CheckUnitName(name string) error {
	if !unitPattern.MatchString(name) || strings.Contains(name, "@.") {
		return fmt.Errorf("%q is not the name of one systemd unit, such as ssh.service or ceph-osd@3.service", name)
	}
	return nil
}

// Units are systemd's units, by full name (see UnitName).
var Units = &Kind[Unit]{
	Name: "unit", What: "the unit %s",
	Ask: func(names []string) []remote.Query {
		valid := unitNames(names)
		if len(valid) == 0 {
			return nil
		}
		return []remote.Query{{
			Script: `systemctl show --no-pager --property=Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload -- "$@"`,
			Args:   valid,
			Inline: true,
		}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Unit, error)) {
		for _, name := range names {
			if err := CheckUnitName(name); err != nil {
				tell(name, Unit{}, err)
			}
		}
		valid := unitNames(names)
		if len(valid) == 0 {
			return
		}
		units := parseUnits(string(answers[0].Stdout))
		for i, name := range valid {
			if len(units) != len(valid) {
				tell(name, Unit{}, fmt.Errorf("systemctl show tells of %d units where %d were asked for (exit %d): %s",
					len(units), len(valid), answers[0].Exit, lastLine(answers[0].Stderr)))
				continue
			}
			tell(name, units[i], nil)
		}
	},
}

func unitNames(names []string) []string {
	var valid []string
	for _, name := range names {
		if CheckUnitName(name) == nil {
			valid = append(valid, name)
		}
	}
	return valid
}

// parseUnits reads systemctl show's blocks of properties, one a unit in the order of the arguments,
// with an empty line between.
func parseUnits(out string) []Unit {
	var units []Unit
	var u *Unit
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		property, value, ok := strings.Cut(line, "=")
		if !ok {
			u = nil
			continue
		}
		if u == nil {
			units = append(units, Unit{})
			u = &units[len(units)-1]
		}
		switch property {
		case "Id":
			u.ID = value
		case "LoadState":
			u.LoadState = value
		case "ActiveState":
			u.ActiveState = value
		case "SubState":
			u.SubState = value
		case "UnitFileState":
			u.UnitFileState = value
		case "NeedDaemonReload":
			u.Stale = value == "yes"
		}
	}
	return units
}
