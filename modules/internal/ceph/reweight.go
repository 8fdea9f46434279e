package ceph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Reweighting is the result of a dry run of reweight-by-utilization or reweight-by-pg.
type Reweighting struct {
	// Weights holds the new values of the overrides that would change, by the number of the OSD.
	Weights map[int]float64
	// Moved is how many of Total copies of placement groups would move.
	Moved, Total int
	// Deviation is the standard deviation of the number of placement groups per OSD; NewDeviation is the same afterwards.
	Deviation, NewDeviation float64
	// Refusal is Ceph's message if it has too little data to decide; empty otherwise.
	Refusal string
	// Balancer is the mode of the balancer if it is active, and empty otherwise.
	Balancer string
}

// Reweightings observes the dry runs, by the words that follow "osd test-reweight-by-": "utilization 120 0.05 4".
var Reweightings = &observe.Kind[Reweighting]{
	Name: "ceph-reweighting", What: "what osd reweight-by-%s would do",
	Shared: observe.Always,
	Ask: func(names []string) []remote.Query {
		var all []remote.Query
		command := []string{"ceph", "-c", pve.CephConfFile, "--connect-timeout", "10", "-f", "json"}
		for _, name := range names {
			words := strings.Fields(name)
			all = append(all, remote.Argv(time.Minute, append(slices.Clone(command), append([]string{"osd", "test-reweight-by-" + words[0]}, words[1:]...)...)...),
				remote.Argv(time.Minute, append(slices.Clone(command), "balancer", "status")...))
		}
		return all
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Reweighting, error)) {
		for i, name := range names {
			r, err := parseReweighting(answers[2*i], answers[2*i+1])
			tell(name, r, err)
		}
	},
}

// edom is ceph's exit code if it has too little data to decide (EDOM).
const edom = 33

func parseReweighting(plan, balancer remote.Answer) (Reweighting, error) {
	r := Reweighting{Weights: map[int]float64{}}
	var status struct {
		Active *bool  `json:"active"`
		Mode   string `json:"mode"`
	}
	if balancer.Exit != 0 {
		return r, fmt.Errorf("ceph balancer status: %s: %s", remote.Ending(balancer.Exit), observe.LastLine(balancer.Stderr))
	}
	if err := json.Unmarshal(balancer.Stdout, &status); err != nil {
		return r, fmt.Errorf("ceph balancer status: %w", err)
	}
	if status.Active == nil || status.Mode == "" {
		return r, fmt.Errorf("ceph balancer status does not say whether the balancer is on, and in which mode: %q", observe.LastLine(balancer.Stdout))
	}
	if *status.Active {
		r.Balancer = status.Mode
	}
	var answer struct {
		Weights []struct {
			OSD int     `json:"osd"`
			New float64 `json:"new_weight"`
		} `json:"reweights"`
		Utilization *struct {
			Moved        int     `json:"moved_pgs"`
			Total        int     `json:"total_pgs"`
			Deviation    float64 `json:"std_dev"`
			NewDeviation float64 `json:"new_std_dev"`
		} `json:"utilization"`
	}
	switch {
	case plan.Exit == edom:
		first, _, _ := strings.Cut(strings.TrimSpace(string(plan.Stderr)), "\n")
		r.Refusal = strings.TrimPrefix(first, "Error EDOM: ")
		return r, nil
	case plan.Exit != 0:
		return r, fmt.Errorf("the dry run of the reweighting: %s: %s", remote.Ending(plan.Exit), observe.LastLine(plan.Stderr))
	}
	if err := json.Unmarshal(plan.Stdout, &answer); err != nil {
		return r, fmt.Errorf("the dry run of the reweighting: %w", err)
	}
	if answer.Utilization == nil {
		return r, fmt.Errorf("the dry run of the reweighting does not show what moves")
	}
	for _, w := range answer.Weights {
		r.Weights[w.OSD] = w.New
	}
	r.Moved, r.Total = answer.Utilization.Moved, answer.Utilization.Total
	r.Deviation, r.NewDeviation = answer.Utilization.Deviation, answer.Utilization.NewDeviation
	return r, nil
}
