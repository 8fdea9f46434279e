package ha

import (
	"strings"
	"testing"

	"hlplay/modules/internal/pve"
)

// guests returns high availability with vm:100 to vm:104 and the given rules.
func guests(rules map[string]pve.Rule) pve.HA {
	return with(func(ha *pve.HA) {
		for _, sid := range []string{"vm:101", "vm:102", "vm:103", "vm:104"} {
			ha.Resources[sid] = ha.Resources["vm:100"]
		}
		ha.Rules = rules
	})
}

func keep(how string, sids ...string) pve.Rule {
	return pve.Rule{Type: "resource-affinity", Affinity: affinities[how], Resources: only(sids...)}
}

func strictly(sid string, nodes ...string) pve.Rule {
	rule := strict(nodes...)
	rule.Resources = only(sid)
	return rule
}

// TestRulesContradictThroughOthers tests rules that contradict each other only together, not in pairs. The cluster has
// three nodes.
func TestRulesContradictThroughOthers(t *testing.T) {
	task := func(how string, sids ...string) *Module {
		return &Module{Affinity: &Affinity{Name: "new", Keep: how, Resources: sids}}
	}
	place := func(strict bool, sid, node string) *Module {
		return &Module{Placement: &Placement{Name: "place", Nodes: map[string]string{node: "1"}, Resources: []string{sid}, Strict: strict}}
	}
	prefers := func(sid, node string) pve.Rule {
		rule := strictly(sid, node)
		rule.Strict = false
		return rule
	}
	priorities := prefers("vm:100", "pve1")
	priorities.Nodes["pve3"] = 1
	off := keep("together", "vm:101", "vm:102")
	off.Disabled = true
	for name, test := range map[string]struct {
		m     *Module
		rules map[string]pve.Rule
		want  string // part of the error; "" for none
	}{
		"apart, together through a third": {task("apart", "vm:100", "vm:102"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "bc": keep("together", "vm:101", "vm:102")},
			"affinity.resources: resource-affinity rule new keeps vm:100 and vm:102 apart, but ab, bc keeps them together: change one of these rules first"},
		"together through a third, apart": {task("together", "vm:101", "vm:102"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "ac": keep("apart", "vm:100", "vm:102")},
			"rule ac keeps vm:100 and vm:102 apart, but ab, new keeps them together"},
		"through three": {task("apart", "vm:100", "vm:103"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "bc": keep("together", "vm:101", "vm:102"), "cd": keep("together", "vm:102", "vm:103")},
			"but ab, bc, cd keeps them together"},
		"the rule between is off": {task("apart", "vm:100", "vm:102"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "bc": off}, ""},
		"one is together with one of two that are apart": {task("together", "vm:100", "vm:101"), map[string]pve.Rule{"bc": keep("apart", "vm:101", "vm:102")}, ""},
		"the rule's own old form does not count": {task("apart", "vm:100", "vm:102"),
			map[string]pve.Rule{"new": keep("together", "vm:100", "vm:102"), "ab": keep("together", "vm:100", "vm:101")}, ""},
		"a contradiction of others is theirs": {task("apart", "vm:103", "vm:104"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "no": keep("apart", "vm:100", "vm:101")}, ""},

		"together through a third, on different nodes": {task("together", "vm:101", "vm:102"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "one": strictly("vm:100", "pve1"), "two": strictly("vm:102", "pve2", "pve3")},
			"strict node-affinity rules (one, two) leave no node on which vm:100, vm:101, vm:102 could all run"},
		"four in pairs on three nodes": {task("apart", "vm:102", "vm:103"),
			map[string]pve.Rule{"abc": keep("apart", "vm:100", "vm:101", "vm:102"), "ad": keep("apart", "vm:100", "vm:103"), "bd": keep("apart", "vm:101", "vm:103")},
			"no node is left for one of the resources to keep apart: vm:100 on pve1 or pve2 or pve3;"},
		"a ring of four on three nodes": {task("apart", "vm:103", "vm:100"),
			map[string]pve.Rule{"ab": keep("apart", "vm:100", "vm:101"), "bc": keep("apart", "vm:101", "vm:102"), "cd": keep("apart", "vm:102", "vm:103")}, ""},
		"two that are bound to one node, by a third": {task("apart", "vm:100", "vm:101"),
			map[string]pve.Rule{"bc": keep("together", "vm:101", "vm:102"), "a": strictly("vm:100", "pve1"), "c": strictly("vm:102", "pve1")},
			"vm:100 on pve1; vm:101, vm:102 on pve1"},

		"a placement that leaves no node": {place(true, "vm:102", "pve2"),
			map[string]pve.Rule{"abc": keep("together", "vm:100", "vm:101", "vm:102"), "a": strictly("vm:100", "pve1")},
			"placement.resources: strict node-affinity rules (a, place) leave no node on which vm:100, vm:101, vm:102 could all run"},
		"a placement on the node of what it is apart from": {place(true, "vm:101", "pve1"),
			map[string]pve.Rule{"ab": keep("apart", "vm:100", "vm:101"), "a": strictly("vm:100", "pve1")},
			"placement.resources: no node is left for one of the resources to keep apart: vm:100 on pve1; vm:101 on pve1"},

		"a placement that only prefers, on one node for two that are apart": {place(false, "vm:101", "pve1"),
			map[string]pve.Rule{"ab": keep("apart", "vm:100", "vm:101"), "a": strictly("vm:100", "pve1")},
			"resource-affinity rule ab keeps vm:100, vm:101 apart, but node-affinity rules (a, place) name only 1 node (pve1) for them, which Proxmox VE does not allow, even if they are not strict"},
		"a placement that only prefers, on another node": {place(false, "vm:101", "pve2"),
			map[string]pve.Rule{"ab": keep("apart", "vm:100", "vm:101"), "a": strictly("vm:100", "pve1")}, ""},
		"the same from the other side": {task("apart", "vm:100", "vm:101"),
			map[string]pve.Rule{"a": prefers("vm:100", "pve1"), "b": prefers("vm:101", "pve1")},
			"affinity.resources: resource-affinity rule new keeps vm:100, vm:101 apart, but node-affinity rules (a, b) name only 1 node (pve1)"},
		"too few nodes by a third of three": {place(false, "vm:103", "pve1"),
			map[string]pve.Rule{"abd": keep("apart", "vm:100", "vm:101", "vm:103"), "a": prefers("vm:100", "pve1"), "b": prefers("vm:101", "pve2")},
			"keeps vm:100, vm:101, vm:103 apart, but node-affinity rules (a, b, place) name only 2 nodes (pve1, pve2)"},
		"together in two placements": {task("together", "vm:100", "vm:101"),
			map[string]pve.Rule{"a": prefers("vm:100", "pve1"), "b": prefers("vm:101", "pve1")},
			"affinity.resources: vm:100, vm:101 are kept together, but are in different node-affinity rules (a, b), which Proxmox VE does not allow"},
		"a second placement of two that are together": {place(false, "vm:102", "pve1"),
			map[string]pve.Rule{"ab": keep("together", "vm:100", "vm:101"), "bc": keep("together", "vm:101", "vm:102"), "a": prefers("vm:100", "pve1")},
			"placement.resources: vm:100, vm:101, vm:102 are kept together, but are in different node-affinity rules (a, place)"},
		"together, and one is placed": {task("together", "vm:100", "vm:101"), map[string]pve.Rule{"a": prefers("vm:100", "pve1")}, ""},
		"the other placement has priorities": {place(false, "vm:101", "pve2"),
			map[string]pve.Rule{"ab": keep("apart", "vm:100", "vm:101"), "a": priorities},
			"placement.resources: resource-affinity rule ab applies to resources of node-affinity rule a, whose nodes have different priorities"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.m.Plan(t.Context(), host(9, guests(test.rules)))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v\nwant %q", err, test.want)
			}
		})
	}
}
