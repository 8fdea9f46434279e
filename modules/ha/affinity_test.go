package ha

import (
	"context"
	"maps"
	"strings"
	"testing"

	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

func only(sids ...string) map[string]bool {
	all := map[string]bool{}
	for _, sid := range sids {
		all[sid] = true
	}
	return all
}

func strict(nodes ...string) pve.Rule {
	r := pve.Rule{Type: "node-affinity", Strict: true, Nodes: map[string]int{}}
	for _, node := range nodes {
		r.Nodes[node] = 0
	}
	return r
}

// twoGuests returns high availability with vm:100 and vm:101, and rules that each apply to both.
func twoGuests(rules map[string]pve.Rule) pve.HA {
	return with(func(ha *pve.HA) {
		ha.Resources["vm:101"] = ha.Resources["vm:100"]
		ha.Services["vm:101"] = pve.Service{Node: "pve2", State: "started", Running: true}
		for id, rule := range rules {
			ha.Rules[id] = rule
		}
	})
}

func positive(sids ...string) pve.Rule {
	return pve.Rule{Type: "resource-affinity", Affinity: "positive", Resources: only(sids...)}
}

func negative(sids ...string) pve.Rule {
	return pve.Rule{Type: "resource-affinity", Affinity: "negative", Resources: only(sids...)}
}

// chain returns rules a, b and so on, each of which keeps a resource together with the next.
func chain(sids ...string) map[string]pve.Rule {
	rules := map[string]pve.Rule{}
	for i := range sids[1:] {
		rules[string(rune('a'+i))] = positive(sids[i], sids[i+1])
	}
	return rules
}

func withRules(ha pve.HA, rules map[string]pve.Rule) pve.HA {
	ha = ha.Clone()
	maps.Copy(ha.Rules, rules)
	return ha
}

func TestAffinity(t *testing.T) {
	apart := pve.Rule{Type: "resource-affinity", Affinity: "negative", Resources: only("vm:100", "vm:101")}
	disabled := apart
	disabled.Disabled = true
	elsewhere := strict("pve1", "pve2")
	elsewhere.Resources = only("vm:100")
	for name, test := range map[string]struct {
		keep  string
		rules map[string]pve.Rule
		want  string
	}{
		"new":             {"apart", nil, "ha-manager rules add resource-affinity web --resources vm:100,vm:101 --affinity negative"},
		"together":        {"together", map[string]pve.Rule{"strict": elsewhere}, "ha-manager rules add resource-affinity web --resources vm:100,vm:101 --affinity positive"},
		"there":           {"apart", map[string]pve.Rule{"web": apart}, ""},
		"turned":          {"together", map[string]pve.Rule{"web": apart}, "ha-manager rules set resource-affinity web --resources vm:100,vm:101 --affinity positive"},
		"disabled":        {"apart", map[string]pve.Rule{"web": disabled}, "ha-manager rules set resource-affinity web --resources vm:100,vm:101 --affinity negative --delete disable"},
		"opposite is off": {"together", map[string]pve.Rule{"off": disabled}, "ha-manager rules add resource-affinity web --resources vm:100,vm:101 --affinity positive"},
		"contradiction of others": {"apart", map[string]pve.Rule{"a": positive("vm:102", "vm:103"), "b": negative("vm:102", "vm:103")},
			"ha-manager rules add resource-affinity web --resources vm:100,vm:101 --affinity negative"},
		"same thing twice": {"apart", map[string]pve.Rule{"other": apart}, "ha-manager rules add resource-affinity web --resources vm:100,vm:101 --affinity negative"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Module{Affinity: &Affinity{Name: "web", Keep: test.keep, Resources: []string{"vm:101", "vm:100", "vm:100"}}}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, host(9, twoGuests(test.rules)))
			var got []string
			for _, step := range plan.Steps {
				got = append(got, strings.Join(step.Action.(modules.Run).Argv, " "))
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("commands %q, want %q", got, test.want)
			}
		})
	}
}

// TestAffinityRefused tests rules that Proxmox VE refuses, or accepts and then ignores.
func TestAffinityRefused(t *testing.T) {
	together := pve.Rule{Type: "resource-affinity", Affinity: "positive", Resources: only("vm:100", "vm:101")}
	priorities := pve.Rule{Type: "node-affinity", Nodes: map[string]int{"pve1": 2, "pve2": 1}, Resources: only("vm:100")}
	first, second, both := strict("pve1"), strict("pve2", "pve3"), strict("pve1")
	first.Resources, second.Resources, both.Resources = only("vm:100"), only("vm:101"), only("vm:100", "vm:101")
	many := &Affinity{Name: "web", Keep: "apart", Resources: []string{"vm:100", "vm:101", "vm:102", "vm:103"}}
	crowd := twoGuests(nil)
	crowd.Resources["vm:102"], crowd.Resources["vm:103"] = crowd.Resources["vm:100"], crowd.Resources["vm:100"]
	pair := func(keep string, resources ...string) *Affinity {
		return &Affinity{Name: "web", Keep: keep, Resources: append([]string{"vm:100"}, resources...)}
	}
	for name, test := range map[string]struct {
		m     *Affinity
		major int
		ha    pve.HA
		want  string
	}{
		"Proxmox VE 8":     {pair("apart", "vm:101"), 8, twoGuests(nil), "they need version 9"},
		"not managed":      {pair("apart", "vm:101"), 9, scenery(), "vm:101 is not highly available yet"},
		"another kind":     {pair("apart", "vm:101"), 9, twoGuests(map[string]pve.Rule{"web": first}), "HA rule web already exists as a node-affinity rule"},
		"the opposite":     {pair("apart", "vm:101"), 9, twoGuests(map[string]pve.Rule{"pair": together}), "rule pair contradicts this one for vm:100, vm:101"},
		"priorities":       {pair("apart", "vm:101"), 9, twoGuests(map[string]pve.Rule{"prefer": priorities}), "vm:100 is in node-affinity rule prefer, whose nodes have different priorities"},
		"no common node":   {pair("together", "vm:101"), 9, twoGuests(map[string]pve.Rule{"a": first, "b": second}), "strict node-affinity rules (a, b) leave no node on which vm:100, vm:101 could all run"},
		"one node for two": {pair("apart", "vm:101"), 9, twoGuests(map[string]pve.Rule{"a": both}), "no node is left for one of the resources to keep apart: vm:100 on pve1; vm:101 on pve1"},
		"apart, but together through a third": {pair("apart", "vm:101"), 9, withRules(crowd, chain("vm:100", "vm:102", "vm:103", "vm:101")),
			"resource-affinity rule web keeps vm:100 and vm:101 apart, but a, b, c keeps them together: change one of these rules first"},
		"together, and so with one that is kept apart": {pair("together", "vm:102"), 9, withRules(crowd, map[string]pve.Rule{"a": positive("vm:102", "vm:103"), "z": negative("vm:100", "vm:103")}),
			"rule z keeps vm:100 and vm:103 apart, but web, a keeps them together: change one of these rules first"},
		"too many": {many, 9, crowd, "4 resources cannot be kept apart on 3 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := (&Module{Affinity: test.m}).Plan(context.Background(), host(test.major, test.ha)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if err := (&Module{Affinity: pair("apart", "vm:100")}).Validate(); err == nil || !strings.Contains(err.Error(), "fewer than two") {
		t.Errorf("one resource twice: error %v", err)
	}
}
