package observe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// Unit is a systemd unit as reported by systemctl show. The zero value is a unit that does not exist.
type Unit struct {
	// ID is the unit's own name, which differs from the name asked for if that is an alias.
	ID string
	// LoadState is "loaded", "not-found", "masked", "bad-setting" or "error".
	LoadState string
	// LoadError is the reason why a unit that is not masked could not be loaded.
	LoadError string
	// ActiveState is "active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating" or
	// "maintenance".
	ActiveState string
	// SubState is the state specific to the type of unit: "running", "dead", "exited", "listening". It is empty if
	// check mode predicts a state but cannot know this detail.
	SubState string
	// UnitFileState is what systemctl is-enabled prints for the unit itself: "enabled", "enabled-runtime", "linked",
	// "linked-runtime", "masked", "masked-runtime", "static", "indirect", "disabled", "generated", "transient" or
	// "bad"; empty if there is no file. For a System V init script it is "enabled" or "disabled".
	UnitFileState string
	// Source is the file from which a unit was generated: /etc/fstab, /etc/init.d/NAME.
	Source string
	// Stale is set if the unit's file has changed since systemd read it (NeedDaemonReload).
	Stale bool
}

// NoUnit is what is observed of a unit that does not exist, given its name with its type.
func NoUnit(name string) Unit {
	return Unit{ID: name, LoadState: "not-found", LoadError: fmt.Sprintf("Unit %s not found.", name), ActiveState: "inactive", SubState: "dead"}
}

// Exists reports whether systemd knows the unit, masked or not.
func (u Unit) Exists() bool { return u.LoadState != "" && u.LoadState != "not-found" }

// Active reports whether the unit is running, or has finished its work and counts as active.
func (u Unit) Active() bool {
	switch u.ActiveState {
	case "active", "reloading", "refreshing":
		return true
	}
	return false
}

// Masked reports whether the unit is linked to /dev/null, even if only until the next boot.
func (u Unit) Masked() bool {
	return u.LoadState == "masked" || u.UnitFileState == "masked" || u.UnitFileState == "masked-runtime"
}

// Enabled reports whether the unit's install section makes it start at every boot. A unit enabled at runtime does not
// count, because the next boot forgets it. A static unit cannot be enabled; other units start it.
func (u Unit) Enabled() bool { return u.UnitFileState == "enabled" }

// UnitName returns the full name under which a unit is observed: "chrony" becomes "chrony.service".
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

// unitPattern is a unit name of systemd.unit(5), but not a template, and without globs, which systemctl would expand.
var unitPattern = pattern.New(`^[A-Za-z0-9:_\\-][A-Za-z0-9:_.\\-]*(@[A-Za-z0-9:_.\\-]+)?\.[a-z]+$`)

// CheckUnitName returns an error if name is not the full name of one unit (see UnitName).
func CheckUnitName(name string) error {
	if strings.Contains(name, "@.") {
		return fmt.Errorf("%q is a template: name an instance of it, such as getty@tty1.service", name)
	}
	if !unitPattern.MatchString(name) {
		return fmt.Errorf("%q is not the name of one systemd unit, such as ssh.service or getty@tty1.service", name)
	}
	return nil
}

// Units observes systemd units by full name (see UnitName).
//
// A step that does not know the type of a service expects an empty SubState, which claims nothing.
var Units = &Kind[Unit]{
	Complete: func(expected, found Unit) Unit {
		expected.SubState = cmp.Or(expected.SubState, found.SubState)
		return expected
	},
	Holds: holdsUnits,
	Name:  "unit", What: "the unit %s",
	Ask: func(names []string) []remote.Query {
		valid := unitNames(names)
		if len(valid) == 0 {
			return nil
		}
		return []remote.Query{
			{
				Script: `systemctl show --no-pager --property=` + unitProperties + ` -- "$@"`,
				Args:   valid,
				Inline: true,
				Says:   saysUnits(valid),
			},
			// systemd only knows that the unit was generated from an init script. These links start the script at boot;
			// systemd-sysv-install looks at them too.
			{Script: `for _f in /etc/rc[S5].d/S[0-9][0-9]*; do if [ -e "$_f" ]; then printf '%s\n' "${_f#/etc/rc?.d/S??}"; fi; done`, Inline: true},
		}
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
		scripts := strings.Split(string(answers[1].Stdout), "\n")
		for i, name := range valid {
			if len(units) != len(valid) {
				tell(name, Unit{}, fmt.Errorf("systemctl show tells of %d units where %d were asked for (exit %d): %s",
					len(units), len(valid), answers[0].Exit, LastLine(answers[0].Stderr)))
				continue
			}
			tell(name, units[i].ofScript(scripts), nil)
		}
	},
}

// unitProperties are what a Unit is made of.
const unitProperties = "Id,LoadState,LoadError,ActiveState,SubState,UnitFileState,SourcePath,NeedDaemonReload"

// saysUnits is Query.Says of the properties of units.
func saysUnits(names []string) string { return "unit " + strings.Join(names, " ") }

// initScripts is the directory of System V init scripts.
const initScripts = "/etc/init.d/"

// ofScript returns the unit with the state of the init script from which it was generated, if any. enabled holds the
// names of the scripts that start at boot.
func (u Unit) ofScript(enabled []string) Unit {
	script, ok := strings.CutPrefix(u.Source, initScripts)
	if !ok || u.UnitFileState != "generated" {
		return u
	}
	u.UnitFileState = "disabled"
	if slices.Contains(enabled, script) {
		u.UnitFileState = "enabled"
	}
	return u
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

// parseUnits parses the blocks of properties printed by systemctl show, one block per unit in the order of the
// arguments, separated by empty lines.
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
		case "LoadError": // org.freedesktop.systemd1.NoSuchUnit "Unit x.service not found."
			_, message, _ := strings.Cut(value, " ")
			if u.LoadError = strings.Trim(message, `"`); strings.HasPrefix(value, "org.freedesktop.systemd1.UnitMasked ") {
				u.LoadError = "" // LoadState already says so
			}
		case "SourcePath":
			u.Source = value
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

// Reread returns what is expected of the units that are known on h when systemd has read their files again.
func Reread(h *Host) (expect []Expectation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := map[string]Unit{}
	for key, e := range h.memory {
		if u, ok := e.value.(Unit); ok && e.done && e.err == nil {
			known[key.Name] = u
		}
	}
	for key, p := range h.predicted {
		if u, ok := p.value.(Unit); ok && key.Kind == Units.Name {
			known[key.Name] = u
			if p.unknown != "" {
				delete(known, key.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if u := known[name]; u.Stale {
			u.Stale = false
			expect = append(expect, Units.Expect(name, u))
		}
	}
	return expect
}
