package ceph

import (
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// The JSON was recorded with Ceph 16, the refusals with Ceph 18.
func TestParseReweighting(t *testing.T) {
	const plan = "\n" + `{"overload_min":120,"max_change":0.050000000000000003,"max_change_osds":4,"average_utilization":1,"overload_utilization":1.2,` +
		`"reweights":[{"osd":3,"weight":1,"new_weight":0.95001220703125}],"utilization":{"moved_pgs":5,"total_pgs":483,"avg_pgs":80.5,"std_dev":11.9,` +
		`"expected_baseline_std_dev":8.19,"new_std_dev":11.1,"min_osd":3,"min_osd_pgs":57,"new_min_osd_pgs":52,"max_osd":0,"max_osd_pgs":88,"new_max_osd_pgs":88}}`
	on, off := remote.Answer{Stdout: []byte(`{"active":true,"mode":"upmap"}`)}, remote.Answer{Stdout: []byte(`{"active":false,"mode":"upmap"}`)}
	r, err := parseReweighting(remote.Answer{Stdout: []byte(plan)}, off)
	if err != nil || r.Weights[3] != 0.95001220703125 || len(r.Weights) != 1 || r.Moved != 5 || r.Total != 483 || r.Deviation != 11.9 || r.NewDeviation != 11.1 || r.Balancer != "" {
		t.Errorf("got %+v (%v)", r, err)
	}
	if r, err := parseReweighting(remote.Answer{Stdout: []byte(plan)}, on); err != nil || r.Balancer != "upmap" {
		t.Errorf("with the balancer on: %+v (%v)", r, err)
	}
	refused := remote.Answer{Exit: 33, Stderr: []byte("Error EDOM: Refusing to reweight: we only have 441352 kb used across all osds!\nFAILED reweight-by-pg\n")}
	if r, err := parseReweighting(refused, off); err != nil || r.Refusal != "Refusing to reweight: we only have 441352 kb used across all osds!" {
		t.Errorf("refused: %+v (%v)", r, err)
	}
	for name, a := range map[string][2]remote.Answer{
		"no such pool":  {{Exit: 2, Stderr: []byte("Error ENOENT: pool 'nosuch' does not exist\n")}, off},
		"no manager":    {{Exit: 124}, off},
		"no balancer":   {{Stdout: []byte(plan)}, {Exit: 22, Stderr: []byte("Error EINVAL: invalid command\n")}},
		"unknown if on": {{Stdout: []byte(plan)}, {Stdout: []byte(`{"mode":"upmap"}`)}},
		"no mode":       {{Stdout: []byte(plan)}, {Stdout: []byte(`{"active":true}`)}},
		"no JSON":       {{Stdout: []byte(plan)}, {Stdout: []byte("balancer module is not loaded\n")}},
		"no answer":     {{Stdout: []byte(plan)}, {Exit: 124}},
		"another shape": {{Stdout: []byte(`{"reweights":[]}`)}, off},
	} {
		if _, err := parseReweighting(a[0], a[1]); err == nil || !strings.Contains(err.Error(), " ") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
