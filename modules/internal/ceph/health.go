package ceph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
)

// Health is Ceph's own assessment of the cluster.
type Health struct {
	// Status is HEALTH_OK, HEALTH_WARN or HEALTH_ERR; empty if there is no cluster.
	Status string
	// Checks holds the failing checks by code: "OSD_DOWN". Muted checks are left out.
	Checks map[string]Check
	// Flags holds the flags of the OSD map that administrators set, sorted: "noout".
	Flags []string
	// Down and Out hold the OSDs that are down, and those excluded from the distribution of data: a map from number to
	// node, which is empty if no node has the OSD.
	Down, Out map[int]string
	// Awaited is only set in a prediction: what is wrong now, and is waited for.
	Awaited string
}

// Check is a failing health check.
type Check struct {
	// Severity is HEALTH_WARN or HEALTH_ERR.
	Severity string
	// Message is Ceph's message: "1 osds down".
	Message string
	// Detail has a line for each daemon or placement group concerned.
	Detail []string
}

// Healths observes Health, under the empty name.
//
// An expectation claims only the flags and the check for them: other checks come and go.
var Healths = &observe.Kind[Health]{
	Complete: func(expected, found Health) Health {
		found.Flags = expected.Flags
		found.Checks = maps.Clone(found.Checks)
		delete(found.Checks, flagsCheck)
		if check, set := expected.Checks[flagsCheck]; set {
			found.Checks[flagsCheck] = check
		}
		return found
	},
	Name: "ceph-health", What: "Ceph's health",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseOnly(parseHealth),
}

// flagsCheck is the health check for flags of the OSD map.
const flagsCheck = "OSDMAP_FLAGS"

// OSDFlags lists the flags of the OSD map that an administrator can set, in the order of Ceph's documentation. pauserd
// and pausewr are set together, as "pause".
var OSDFlags = []string{
	"pause", "noup", "nodown", "noin", "noout", "nobackfill", "norebalance", "norecover", "noscrub", "nodeep-scrub", "notieragent", "nosnaptrim",
}

// WithFlags returns the health with different flags of the OSD map.
func (c Health) WithFlags(flags []string) Health {
	c.Flags = slices.Sorted(slices.Values(flags))
	c.Checks = maps.Clone(c.Checks)
	if c.Checks == nil {
		c.Checks = map[string]Check{}
	}
	delete(c.Checks, flagsCheck)
	if len(flags) > 0 {
		c.Checks[flagsCheck] = Check{Severity: "HEALTH_WARN", Message: flagsMessage(c.Flags)}
	}
	return c
}

// flagsMessage returns Ceph's message about flags, in the order of the bits of OSDMap.
func flagsMessage(flags []string) string {
	var set []string
	for _, flag := range OSDFlags {
		if !slices.Contains(flags, flag) {
			continue
		}
		if flag == "pause" {
			flag = "pauserd,pausewr"
		}
		set = append(set, flag)
	}
	return strings.Join(set, ",") + " flag(s) set"
}

func parseHealth(s monitorsAnswer) (Health, error) {
	var report struct {
		Health struct {
			Status string `json:"status"`
			Checks map[string]struct {
				Severity string `json:"severity"`
				Muted    bool   `json:"muted"`
				Summary  struct {
					Message string `json:"message"`
				} `json:"summary"`
				Detail []struct {
					Message string `json:"message"`
				} `json:"detail"`
			} `json:"checks"`
		} `json:"health"`
		Map struct {
			Flags *string `json:"flags"`
		} `json:"osdmap"`
	}
	if err := readReport(s, &report); err != nil {
		return Health{}, err
	}
	if report.Health.Status == "" || report.Map.Flags == nil {
		return Health{}, fmt.Errorf("ceph report contains no health, or no flags of the OSD map")
	}
	var osds osdReport
	if err := readReport(s, &osds); err != nil {
		return Health{}, err
	}
	health := Health{Status: report.Health.Status, Checks: map[string]Check{}, Flags: []string{}, Down: map[int]string{}, Out: map[int]string{}}
	for code, check := range report.Health.Checks {
		if check.Muted {
			continue
		}
		c := Check{Severity: check.Severity, Message: check.Summary.Message}
		for _, line := range check.Detail {
			c.Detail = append(c.Detail, line.Message)
		}
		health.Checks[code] = c
	}
	for _, flag := range strings.Split(*report.Map.Flags, ",") {
		if flag == "pauserd" || flag == "pausewr" {
			flag = "pause"
		}
		if slices.Contains(OSDFlags, flag) && !slices.Contains(health.Flags, flag) {
			health.Flags = append(health.Flags, flag)
		}
	}
	slices.Sort(health.Flags)
	hosts := osds.hosts()
	for _, osd := range osds.Map.OSDs {
		if osd.Up != 1 {
			health.Down[osd.ID] = hosts[osd.ID]
		}
		if osd.In != 1 {
			health.Out[osd.ID] = hosts[osd.ID]
		}
	}
	return health, nil
}
