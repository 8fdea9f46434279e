package pveceph

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// healthOf returns a node of a cluster with that health and those states of placement groups.
func healthOf(health ceph.Health, states map[string]int, more ...observe.Expectation) *observe.Host {
	status := ceph.Status{PGs: 10, Clean: 10, Others: states}
	for _, count := range states {
		status.Clean -= count
	}
	return node(append([]observe.Expectation{
		ceph.Healths.Expect("", health), ceph.Statuses.Expect("", status), pve.HAs.Expect("", pve.HA{Nodes: map[string]string{"pve1": "online"}}),
	}, more...)...)
}

func check(message string, detail ...string) ceph.Check {
	return ceph.Check{Severity: "HEALTH_WARN", Message: message, Detail: detail}
}

func TestHealth(t *testing.T) {
	down := ceph.Health{Status: "HEALTH_WARN", Down: map[int]string{2: "pve2"},
		Checks: map[string]ceph.Check{"OSD_DOWN": check("1 osds down"), "OSD_HOST_DOWN": check("1 host (1 osds) down")}}
	out := ceph.Health{Status: "HEALTH_OK", Out: map[int]string{3: "pve2"}}
	lost := ceph.Health{Status: "HEALTH_OK", Down: map[int]string{3: "pve2"}, Out: map[int]string{3: "pve2"}}
	flags := ceph.Health{Status: "HEALTH_WARN"}.WithFlags([]string{"noout", "norebalance"})
	full := ceph.Health{Status: "HEALTH_WARN", Checks: map[string]ceph.Check{"OSD_NEARFULL": check("4 nearfull osd(s)", "osd.0 is near full", "b", "c", "d")}}
	maintenance := pve.HAs.Expect("", pve.HA{Nodes: map[string]string{"pve2": "maintenance", "pve1": "online"}})
	grouped := ceph.Health{Status: "HEALTH_WARN", Checks: map[string]ceph.Check{"OSD_FLAGS": check("3 OSDs or CRUSH {nodes, device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set",
		"osd.0 has flags noin,noout", "host pve2 has flags noout", "device class 'hdd' has flags noout")}}
	unlisted := ceph.Health{Status: "HEALTH_WARN", Checks: map[string]ceph.Check{"OSD_FLAGS": check("1 OSDs have {NOOUT} flags set")}}
	unclear := ceph.Health{Status: "HEALTH_WARN", Checks: map[string]ceph.Check{"OSD_FLAGS": check("2 OSDs have {NOOUT} flags set", "osd.0 has flags noout", "osd.1: noout")}}
	tests := []struct {
		name  string
		host  *observe.Host
		allow []string
		// fails, waits and notes are what the error, the wait and the notes must say; empty is none.
		fails, waits, notes string
	}{
		{"all is well", healthOf(ceph.Health{Status: "HEALTH_OK"}, nil), nil, "", "", ""},
		{"an OSD is down", healthOf(down, nil), nil, "", "wait for Ceph to be healthy: osd.2 on pve2 is down", ""},
		{"by its code", healthOf(down, nil), []string{"OSD_DOWN"}, "", "", "allowed: osd.2 on pve2 is down"},
		{"by its name", healthOf(down, nil), []string{"osd.2"}, "", "", "allowed: osd.2"},
		{"another one", healthOf(down, nil), []string{"osd.3"}, "", "osd.2 on pve2 is down", ""},
		{"an OSD is out", healthOf(out, nil), nil, "osd.3 on pve2 is out", "", ""},
		{"out is not down", healthOf(out, nil), []string{"OSD_DOWN"}, "osd.3 on pve2 is out", "", ""},
		{"an OSD is lost", healthOf(lost, nil), []string{"OSD_DOWN"}, "", "osd.3 on pve2 is down and out", ""},
		{"a lost one is allowed", healthOf(lost, nil), []string{"OSD_OUT"}, "", "", "down and out"},
		{"flags", healthOf(flags, nil), nil, "flag noout is set: OSDs that are down are not marked out (ceph osd unset noout); flag norebalance", "", ""},
		{"one flag of two", healthOf(flags, nil), []string{"noout"}, "flag norebalance is set", "", "allowed: flag noout"},
		{"all flags", healthOf(flags, nil), []string{"OSDMAP_FLAGS"}, "", "", "allowed: flag norebalance"},
		{"flags of OSDs, hosts and classes", healthOf(grouped, nil), []string{"noin"}, "flag noout is set for osd.0: OSDs that are down are not marked out (ceph osd unset-group noout osd.0); " +
			"flag noout is set for host pve2: OSDs that are down are not marked out (ceph osd unset-group noout pve2); flag noout is set for device class 'hdd': OSDs that are down are not marked out (ceph osd unset-group noout hdd)", "", ""},
		{"their flags are allowed", healthOf(grouped, nil), []string{"noout", "noin"}, "", "", "allowed: flag noout is set for host pve2"},
		{"flags that are not listed", healthOf(unlisted, nil), []string{"noout"}, "OSD_FLAGS: 1 OSDs have {NOOUT} flags set", "", ""},
		{"a list that is not understood", healthOf(unclear, nil), []string{"noout"}, "OSD_FLAGS: 2 OSDs have {NOOUT} flags set (osd.0 has flags noout; osd.1: noout)", "", ""},
		{"their check is allowed", healthOf(grouped, nil), []string{"OSD_FLAGS"}, "", "", "allowed: flag noin is set for osd.0"},
		{"a check with details", healthOf(full, nil), nil, "", "OSD_NEARFULL: 4 nearfull osd(s) (osd.0 is near full; b; c; and 1 more)", ""},
		{"degraded before Ceph warns", healthOf(ceph.Health{Status: "HEALTH_OK"}, map[string]int{"active+undersized+degraded": 2}), nil, "", "placement groups: 2 active+undersized+degraded", ""},
		{"peering", healthOf(ceph.Health{Status: "HEALTH_OK"}, map[string]int{"peering": 2}), []string{"PG_DEGRADED"}, "", "2 peering", ""},
		{"data on its way is well", healthOf(ceph.Health{Status: "HEALTH_OK"}, map[string]int{"active+remapped+backfilling": 2}), nil, "", "", ""},
		{"maintenance", healthOf(ceph.Health{Status: "HEALTH_OK"}, nil, maintenance), nil, "pve2 is in maintenance mode", "", ""},
		{"maintenance allowed", healthOf(ceph.Health{Status: "HEALTH_OK"}, nil, maintenance), []string{"pve2"}, "", "", "allowed: pve2"},
		{"no such node", healthOf(ceph.Health{Status: "HEALTH_OK"}, nil), []string{"pve9"}, `"pve9" is not a node of the cluster (pve1, pve2, pve3)`, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &Module{Health: &Health{Allow: test.allow}}
			_, err := modulestest.Decoded(m).Plan(context.Background(), test.host)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, test.host)
			said := modulestest.Summaries(plan)
			if !strings.Contains(said, test.waits) || test.waits == "" && len(plan.Steps) > 0 {
				t.Errorf("steps %q, want %q", said, test.waits)
			}
			notes := strings.Join(plan.Notes, "\n")
			if !strings.Contains(notes, test.notes) || test.notes == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.notes)
			}
		})
	}
}
