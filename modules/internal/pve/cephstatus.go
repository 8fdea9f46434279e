package pve

import (
	"strings"

	"hlplay/engine/observe"
)

// CephStatus is the state of the placement groups.
type CephStatus struct {
	// PGs is how many there are, Clean how many of them are active and clean (scrubbing ones are).
	PGs, Clean int
	// Others are the states of the rest with their counts: "active+undersized".
	Others map[string]int
}

// CephStatuses observes CephStatus; its only name is "". Health is not looked at: it says HEALTH_OK for a
// minute while placement groups are undersized.
//
// An expectation that not all are clean claims no states: they change by the second.
var CephStatuses = &observe.Kind[CephStatus]{
	Complete: func(expected, found CephStatus) CephStatus {
		if expected.Clean < expected.PGs {
			return found
		}
		return expected
	},
	Name: "ceph-status", What: "the state of the placement groups",
	Shared: observe.Always,
	Ask:    askCeph,
	Parse:  parseOnly(parseCephStatus),
}

func parseCephStatus(s cephState) (CephStatus, error) {
	var report struct {
		PGs    int `json:"num_pg"`
		States []struct {
			Name  string `json:"state"`
			Count int    `json:"num"`
		} `json:"num_pg_by_state"`
	}
	if err := readReport(s, &report); err != nil {
		return CephStatus{}, err
	}
	status := CephStatus{PGs: report.PGs, Others: map[string]int{}}
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
