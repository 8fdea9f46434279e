package ha

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Affinity keeps resources on one node, or on different ones.
type Affinity struct {
	Name      string   `hcl:"name" doc:"Name of the rule."`
	Keep      string   `hcl:"keep" enum:"together,apart" doc:"together keeps them on one node, apart each on a node of its own."`
	Resources []string `hcl:"resources" doc:"Service ids, two or more. Each must already be a resource."`
}

func (a *Affinity) validate() error {
	if err := pve.CheckConfigID("affinity.name", a.Name); err != nil {
		return err
	}
	for _, sid := range a.Resources {
		if err := pve.CheckServiceID("affinity.resources", sid); err != nil {
			return err
		}
	}
	if len(a.sids()) < 2 {
		return &modules.ArgumentError{Argument: "affinity.resources", Problem: "fewer than two", Want: "the service ids of those that belong together or apart"}
	}
	return nil
}

func (a *Affinity) sids() []string { return sortedOnce(a.Resources) }

// affinities are Proxmox VE's words.
var affinities = map[string]string{"together": "positive", "apart": "negative"}

func (a *Affinity) plan(s *scene) (modules.Plan, error) {
	if s.major == 8 {
		return modules.Plan{}, fmt.Errorf("affinity: Proxmox VE 8 has no rules that keep guests together or apart; they come with 9")
	}
	if err := s.managed("affinity.resources", a.sids()); err != nil {
		return modules.Plan{}, err
	}
	have, exists := s.ha.Rules[a.Name]
	if exists && have.Type != "resource-affinity" {
		return modules.Plan{}, fmt.Errorf("affinity.name: HA rule %s exists and is a %s rule: choose another name", a.Name, have.Type)
	}
	want := pve.Rule{Type: "resource-affinity", Affinity: affinities[a.Keep], Resources: map[string]bool{}, Comment: have.Comment}
	for _, sid := range a.sids() {
		want.Resources[sid] = true
	}
	after := s.ha.Clone()
	after.Rules[a.Name] = want
	if err := a.feasible(s); err != nil {
		return modules.Plan{}, err
	}
	if err := a.consistent(after.Rules); err != nil {
		return modules.Plan{}, err
	}
	if exists && have.Affinity == want.Affinity && maps.Equal(have.Resources, want.Resources) && !have.Disabled {
		return s.plan(), nil
	}
	list := strings.Join(a.sids(), ",")
	args := []string{"rules", "add", "resource-affinity", a.Name, "--resources", list, "--affinity", want.Affinity}
	verb := "create"
	if exists {
		args[1], verb = "set", "change"
	}
	if have.Disabled {
		args = append(args, "--delete", "disable")
	}
	return s.plan(s.step(fmt.Sprintf("%s resource-affinity rule %s: keep %s %s", verb, a.Name, strings.Join(a.sids(), ", "), a.Keep), after, args...)), nil
}

// togetherness groups resources that rules keep on one node, directly or through others: resources of a group have the same
// representative. A resource that no rule keeps with another represents itself.
type togetherness map[string]string

func (t togetherness) representative(sid string) string {
	for t[sid] != "" {
		sid = t[sid]
	}
	return sid
}

func (t togetherness) join(sids []string) {
	first := t.representative(sids[0])
	for _, sid := range sids[1:] {
		if other := t.representative(sid); other != first {
			t[other] = first
		}
	}
}

// consistent refuses the rule if, among all of them, it keeps two resources together that another rule keeps apart, or the other way
// round, through a third. Proxmox VE compares only two rules at a time, and would ignore one of them later.
func (a *Affinity) consistent(rules map[string]pve.Rule) error {
	groups := togetherness{}
	enforced := slices.DeleteFunc(names(rules), func(id string) bool {
		return rules[id].Type != "resource-affinity" || rules[id].Disabled || len(rules[id].Resources) == 0
	})
	for _, id := range enforced {
		if rules[id].Affinity == affinities["together"] {
			groups.join(names(rules[id].Resources))
		}
	}
	for _, id := range enforced {
		if rules[id].Affinity == affinities["together"] {
			continue
		}
		own := groups.representative(a.sids()[0]) // of interest if the rule keeps together
		of := map[string]string{}
		for _, sid := range names(rules[id].Resources) {
			group := groups.representative(sid)
			if other := of[group]; other != "" && (id == a.Name || a.Keep == "together" && group == own) {
				through := slices.DeleteFunc(slices.Clone(enforced), func(id string) bool {
					return rules[id].Affinity != affinities["together"] || groups.representative(names(rules[id].Resources)[0]) != group
				})
				return fmt.Errorf("affinity.resources: rule %s keeps %s and %s apart, and %s together: change one of them first", id, other, sid, strings.Join(through, ", "))
			}
			of[group] = sid
		}
	}
	return nil
}

// feasible refuses what Proxmox VE would refuse, or silently ignore later.
func (a *Affinity) feasible(s *scene) error {
	sids := a.sids()
	if nodes := len(s.cluster.Members); a.Keep == "apart" && len(sids) > nodes {
		return fmt.Errorf("affinity.resources: %d resources cannot be kept apart on %d nodes", len(sids), nodes)
	}
	var common map[string]bool // nodes on which all of them may run; nil is any
	allowed := map[string]bool{}
	bound := 0
	for _, id := range names(s.ha.Rules) {
		rule := s.ha.Rules[id]
		shared := slices.DeleteFunc(slices.Clone(sids), func(sid string) bool { return !rule.Resources[sid] })
		switch {
		case id == a.Name, rule.Disabled, len(shared) == 0:
		case rule.Type == "resource-affinity" && len(shared) > 1 && rule.Affinity != affinities[a.Keep]:
			return fmt.Errorf("affinity.resources: resource-affinity rule %s says the opposite of %s: change that one first", id, strings.Join(shared, ", "))
		case rule.Type == "node-affinity" && len(prioritiesOf(rule.Nodes)) > 1:
			return fmt.Errorf("affinity.resources: %s is in node-affinity rule %s, whose nodes have different priorities; Proxmox VE allows that only of resources without resource affinity: give its nodes one priority",
				strings.Join(shared, ", "), id)
		case rule.Type == "node-affinity" && rule.Strict:
			bound += len(shared)
			if common == nil {
				common = map[string]bool{}
				for node := range rule.Nodes {
					common[node] = true
				}
			}
			maps.DeleteFunc(common, func(node string, _ bool) bool { _, ok := rule.Nodes[node]; return !ok })
			for node := range rule.Nodes {
				allowed[node] = true
			}
		}
	}
	switch {
	case a.Keep == "together" && common != nil && len(common) == 0:
		return fmt.Errorf("affinity.resources: strict node-affinity rules leave no node on which %s could all run", strings.Join(sids, ", "))
	case a.Keep == "apart" && bound == len(sids) && len(allowed) < len(sids):
		return fmt.Errorf("affinity.resources: strict node-affinity rules leave %s (%s) for %d resources that are to be kept apart", plural.Of(len(allowed), "node"), strings.Join(names(allowed), ", "), len(sids))
	}
	return nil
}
