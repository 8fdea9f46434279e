package pve

import (
	"encoding/json"
	"fmt"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
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
var CephStatuses = &observe.Kind[CephStatus]{
	Name: "ceph-status",
	Ask:  func([]string) []remote.Query { return []remote.Query{ceph("status")} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, CephStatus, error)) {
		var status CephStatus
		body, asked, err := cephAnswer(answers[0], "status")
		if err == nil && asked {
			status, err = parseCephStatus(clean(body))
		}
		for _, name := range names {
			tell(name, status, err)
		}
	},
}

func parseCephStatus(body []byte) (CephStatus, error) {
	var answer struct {
		Map struct {
			States []struct {
				Name  string `json:"state_name"`
				Count int    `json:"count"`
			} `json:"pgs_by_state"`
			PGs int `json:"num_pgs"`
		} `json:"pgmap"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return CephStatus{}, fmt.Errorf("ceph status: %w", err)
	}
	status := CephStatus{PGs: answer.Map.PGs, Others: map[string]int{}}
	for _, state := range answer.Map.States {
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
