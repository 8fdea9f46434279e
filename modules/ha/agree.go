package ha

import (
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/plural"
	"hlplay/modules/internal/pve"
)

// agree rejects a rule that Proxmox VE would refuse because of the others: what it demands goes beyond what could be
// followed (PVE/HA/Rules.pm of pve-ha-manager 5). Rules of the same type are compared elsewhere.
func (s *state) agree(argument string, rules map[string]pve.Rule, name string) error {
	rule := rules[name]
	for _, id := range names(rules) {
		other := rules[id]
		if other.Disabled || other.Type != "resource-affinity" || !overlap(rule.Resources, other.Resources) {
			continue
		}
		placements := placementsOf(rules, other.Resources)
		for _, placement := range placements {
			if priorities := prioritiesOf(rules[placement].Nodes); len(priorities) > 1 && (rule.Type == "node-affinity" || id == name) {
				return fmt.Errorf("%s: resource-affinity rule %s applies to resources of node-affinity rule %s, whose nodes have different priorities, which Proxmox VE does not allow: give its nodes the same priority",
					argument, id, placement)
			}
		}
		if other.Affinity != affinities["apart"] || rule.Type != "node-affinity" && id != name {
			continue
		}
		located, nodes := map[string]bool{}, map[string]bool{}
		for _, placement := range placements {
			for sid := range rules[placement].Resources {
				if other.Resources[sid] {
					located[sid] = true
				}
			}
			for node := range rules[placement].Nodes {
				nodes[node] = true
			}
		}
		if len(nodes) < len(located) {
			return fmt.Errorf("%s: resource-affinity rule %s keeps %s apart, but node-affinity rules (%s) name only %s (%s) for them, which Proxmox VE does not allow, even if they are not strict: name at least as many nodes as resources",
				argument, id, strings.Join(names(located), ", "), strings.Join(placements, ", "), plural.Of(len(nodes), "node"), strings.Join(names(nodes), ", "))
		}
	}
	for _, sid := range names(rule.Resources) {
		together := map[string]bool{}
		for member := range chains(rules, sid) {
			together[member] = true
		}
		placements := placementsOf(rules, together)
		if len(placements) > 1 && (slices.Contains(placements, name) || rule.Affinity == affinities["together"]) {
			return fmt.Errorf("%s: %s are kept together, but are in different node-affinity rules (%s), which Proxmox VE does not allow: put all of them into one of these rules, or only one of them into any",
				argument, strings.Join(names(together), ", "), strings.Join(placements, ", "))
		}
	}
	return nil
}

// placementsOf returns the names of the node-affinity rules that apply to any of the resources.
func placementsOf(rules map[string]pve.Rule, resources map[string]bool) []string {
	var found []string
	for _, id := range names(rules) {
		if rule := rules[id]; rule.Type == "node-affinity" && !rule.Disabled && overlap(rule.Resources, resources) {
			found = append(found, id)
		}
	}
	return found
}

func overlap(a, b map[string]bool) bool {
	for key := range a {
		if b[key] {
			return true
		}
	}
	return false
}
