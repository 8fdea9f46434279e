package ha

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// upgraded changes ha to what an upgrade from Proxmox VE 8 leaves: vm:100 in group keep, and a group without resources.
func upgraded(ha *pve.HA) {
	ha.Groups["keep"] = pve.Group{Nodes: map[string]int{"pve1": 2, "pve2": 1}, Restricted: true, NoFailback: true}
	ha.Groups["unused"] = pve.Group{Nodes: map[string]int{"pve3": 0}}
	ha.Resources["vm:100"] = pve.Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true, Group: "keep"}
}

// A playbook written for Proxmox VE 8 waits for the migration, and then finds its placement.
func TestGroupsOfAnUpgradedCluster(t *testing.T) {
	h := host(9, with(upgraded))
	plan := modulestest.Converges(t, placement(func(p *Placement) { p.Strict, p.NoFailback = true, new(bool); *p.NoFailback = true }), h)
	if len(plan.Steps) != 1 || !plan.Partial || plan.Steps[0].Summary != "wait until Proxmox VE has converted its HA groups to rules: keep, unused" {
		t.Fatalf("partial %v:\n%s", plan.Partial, modulestest.Summaries(plan))
	}
	after, err := pve.HAs.Observe(t.Context(), h, "")
	if err != nil {
		t.Fatal(err)
	}
	rule := after.Rules["ha-group-keep"]
	if len(after.Groups) > 0 || len(after.Rules) != 1 || rule.Type != "node-affinity" || !rule.Strict || !rule.Resources["vm:100"] ||
		!maps.Equal(rule.Nodes, map[string]int{"pve1": 2, "pve2": 1}) || rule.Comment != "Generated from HA group 'keep'." {
		t.Errorf("groups %v and rules %+v are predicted", after.Groups, after.Rules)
	}
	if r := after.Resources["vm:100"]; r.Group != "" || r.Failback {
		t.Errorf("vm:100 is predicted to be %+v", r)
	}
}

// A rule that was made from a group is changed under its own name, and only if it belongs to the placement.
func TestRuleOfAGroup(t *testing.T) {
	made := func(sid string) func(*pve.HA) {
		return func(ha *pve.HA) {
			ha.Rules["ha-group-keep"] = pve.Rule{Type: "node-affinity", Nodes: map[string]int{"pve1": 1}, Resources: map[string]bool{sid: true}}
		}
	}
	for sid, want := range map[string]string{"vm:100": "change node-affinity rule ha-group-keep:", "vm:900": "create node-affinity rule keep:"} {
		plan := modulestest.Converges(t, placement(nil), host(9, with(made(sid))))
		if len(plan.Steps) != 1 || !strings.HasPrefix(plan.Steps[0].Summary, want) {
			t.Errorf("with %s in the rule that was made of the group: want %q, got\n%s", sid, want, modulestest.Summaries(plan))
		}
	}
}

// An interrupted migration leaves rules behind. The next one replaces them, and takes all resources out of their groups,
// even out of groups that do not exist.
func TestMigrationHalfway(t *testing.T) {
	left := map[string]bool{"vm:900": true}
	ha := with(func(ha *pve.HA) {
		upgraded(ha)
		ha.Rules["ha-group-keep"] = pve.Rule{Type: "node-affinity", Nodes: map[string]int{"pve3": 1}, Resources: left}
		ha.Resources["vm:200"] = pve.Resource{State: "started", Failback: true, Group: "gone"}
	})
	after := migrated(ha)
	rule := after.Rules["ha-group-keep"]
	if !maps.Equal(rule.Nodes, map[string]int{"pve1": 2, "pve2": 1}) || !maps.Equal(rule.Resources, map[string]bool{"vm:100": true}) {
		t.Errorf("the rule is predicted to be %+v", rule)
	}
	if len(left) != 1 {
		t.Errorf("the prediction changed what was observed: %v", left)
	}
	if r := after.Resources["vm:200"]; r.Group != "" || !r.Failback {
		t.Errorf("vm:200 is predicted to be %+v", r)
	}
}

// Nothing is migrated as long as there are no resources, and the first resource does not wait for a migration.
func TestGroupsWithoutResources(t *testing.T) {
	h := host(9, with(func(ha *pve.HA) {
		upgraded(ha)
		clear(ha.Resources)
		clear(ha.Services)
	}))
	plan, err := modulestest.Decoded(resource(nil)).Plan(t.Context(), h)
	if err != nil || len(plan.Steps) != 1 || !strings.HasPrefix(plan.Steps[0].Summary, "make vm:100 highly available") {
		t.Errorf("%v:\n%s", err, modulestest.Summaries(plan))
	}
}

// Obstacles that the manager would wait for indefinitely are reported at once.
func TestMigrationObstacles(t *testing.T) {
	old := observe.NewRecorded("pve2", pve.Nodes.Expect("", pve.Node{Name: "pve2", Codename: "bookworm", Installed: true, Version: "8.4.1"}))
	h := host(9, with(upgraded))
	h.SetPeers(func() []*observe.Host { return []*observe.Host{h, old} }, func(string) (*observe.Host, error) { return nil, errors.New("no such host") })
	if _, err := modulestest.Decoded(placement(nil)).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "not while pve2 runs Proxmox VE 8.4.1") {
		t.Errorf("%v", err)
	}
	h = host(9, with(upgraded), pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{
		"pve1": {ID: 1, Votes: 1, Online: true}, "pve2": {ID: 2, Votes: 1, Online: true}, "pve3": {ID: 3, Votes: 1}}}))
	if _, err := modulestest.Decoded(placement(nil)).Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "not while pve3 is offline") {
		t.Errorf("%v", err)
	}
}
