package ceph

import (
	"strings"

	"hlplay/engine/observe"
)

// Status is the state of the placement groups.
type Status struct {
	// PGs is the number of placement groups, Clean the number of those that are active and clean (including those
	// being scrubbed).
	PGs, Clean int
	// Others counts the states of the rest: "active+undersized".
	Others map[string]int
}

// Statuses observes Status, under the empty name. Health is not used: it is HEALTH_OK for a minute while placement
// groups are undersized.
//
// An expectation that not all of them are clean claims no states, because they change by the second.
var Statuses = &observe.Kind[Status]{
	Complete: func(expected, found Status) Status {
		if expected.Clean < expected.PGs {
			return found
		}
		return expected
	},
	Name: "ceph-status", What: "the state of the placement groups",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseStatus),
}

func parseStatus(s monitorsAnswer) (Status, error) {
	var report struct {
		PGs    int `json:"num_pg"`
		States []struct {
			Name  string `json:"state"`
			Count int    `json:"num"`
		} `json:"num_pg_by_state"`
	}
	if err := readReport(s, &report); err != nil {
		return Status{}, err
	}
	status := Status{PGs: report.PGs, Others: map[string]int{}}
	for _, state := range report.States {
		words := map[string]bool{}
		for _, word := range strings.Split(state.Name, "+") {
			words[word] = true
		}
		if words["active"] && words["clean"] {
			status.Clean += state.Count
		} else {
			status.Others[state.Name] += state.Count
		}
	}
	return status, nil
}
