package ceph

import (
	"fmt"
	"maps"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// DaemonUnit returns the systemd unit of a Ceph daemon: DaemonUnit("osd", "3") is "ceph-osd@3.service".
func DaemonUnit(kind, id string) string { return "ceph-" + kind + "@" + id + ".service" }

// Units observes the states of the units of Ceph's daemons on a host ("active", "failed", "activating"), by unit name,
// under the empty name. A unit that systemd has not loaded, because it was stopped or never started, is missing.
//
// Ceph's maps lag behind: a manager that was stopped, or a daemon whose host lost power, stays in them for half a
// minute or longer. Whether a daemon of this host is running is known from its unit.
//
// An expectation does not claim whether systemd still has the unit of a daemon that is not running.
var Units = &observe.Kind[map[string]string]{
	Complete: func(expected, found map[string]string) map[string]string {
		all := WithUnits(expected)
		for name, state := range found {
			if all[name] == "" && state == "inactive" {
				all[name] = state
			}
		}
		return all
	},
	Name: "ceph-units", What: "which of Ceph's daemons run",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `systemctl show --no-pager --property=Id,ActiveState -- 'ceph-mon@*.service' 'ceph-mgr@*.service' 'ceph-mds@*.service' 'ceph-osd@*.service'`, Inline: true}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, map[string]string, error)) {
		units, err := parseUnits(answers[0])
		for _, name := range names {
			tell(name, units, err)
		}
	},
}

func parseUnits(a remote.Answer) (map[string]string, error) {
	if a.Exit != 0 {
		return nil, fmt.Errorf("systemctl show does not tell which of Ceph's daemons run: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	units := map[string]string{}
	id, state := "", ""
	for line := range strings.Lines(string(a.Stdout)) {
		switch property, value, _ := strings.Cut(strings.TrimSpace(line), "="); property {
		case "Id":
			id = value
		case "ActiveState":
			state = value
		case "": // between two units
			id, state = "", ""
		}
		if id != "" && state != "" {
			units[id] = state
		}
	}
	return units, nil
}

// WithUnits returns units with the named ones running in addition.
func WithUnits(units map[string]string, names ...string) map[string]string {
	after := maps.Clone(units)
	if after == nil {
		after = map[string]string{}
	}
	for _, name := range names {
		after[name] = "active"
	}
	return after
}
