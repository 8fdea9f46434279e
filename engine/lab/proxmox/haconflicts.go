package proxmox

import (
	"fmt"
	"slices"
	"strings"
)

// rule is a rule of the HA manager that is not disabled.
type rule struct {
	id, kind  string // kind is node, positive or negative
	resources []string
	nodes     map[string]int // priorities
}

func (r rule) shares(resources []string) []string {
	return slices.DeleteFunc(slices.Clone(r.resources), func(sid string) bool { return !slices.Contains(resources, sid) })
}

// conflicts returns why a rule cannot be satisfied together with the others, in the order of Proxmox VE's checks: those of
// node-affinity rules, of resource-affinity rules, and of both (register_check in PVE/HA/Rules/NodeAffinity.pm,
// PVE/HA/Rules/ResourceAffinity.pm and PVE/HA/Rules.pm of pve-ha-manager 5). Disabled rules are ignored.
func conflicts(id string, all []Section, nodes int) []string {
	var rules []rule
	at := -1
	for _, s := range all {
		r := rule{id: s.ID, kind: s.Keys["affinity"], resources: splitList(s.Keys["resources"])}
		if _, off := s.Keys["disable"]; off || len(r.resources) == 0 {
			continue
		}
		if s.Type == "node-affinity" {
			r.kind, r.nodes = "node", nodePriorities(s.Keys["nodes"])
		}
		if s.ID == id {
			at = len(rules)
		}
		rules = append(rules, r)
	}
	if at < 0 {
		return nil
	}
	one := rules[at]
	if one.kind == "node" {
		return slices.Concat(one.usedTwice(rules), one.manyPriorities(rules), one.manyPlacements(rules), one.tooFewNodes(rules))
	}
	return slices.Concat(one.wrongNumber(nodes), one.opposites(rules), one.manyPriorities(rules), one.manyPlacements(rules), one.tooFewNodes(rules))
}

// sharing returns the rules of the given kinds that have one of the resources.
func sharing(rules []rule, resources []string, kinds ...string) []rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return !slices.Contains(kinds, r.kind) || len(r.shares(resources)) == 0 })
}

func (one rule) usedTwice(rules []rule) []string {
	var problems []string
	for _, sid := range one.resources {
		if len(sharing(rules, []string{sid}, "node")) > 1 {
			problems = append(problems, fmt.Sprintf("resource '%s' is already used in another node affinity rule", sid))
		}
	}
	return problems
}

func (one rule) wrongNumber(nodes int) []string {
	var problems []string
	if len(one.resources) < 2 {
		problems = append(problems, "rule is ineffective as there are less than two resources")
	}
	if one.kind == "negative" && len(one.resources) > nodes {
		problems = append(problems, "rule defines more resources than available nodes")
	}
	return problems
}

func (one rule) opposites(rules []rule) []string {
	other := map[string]string{"positive": "negative", "negative": "positive"}[one.kind]
	var problems []string
	for _, r := range sharing(rules, one.resources, other) {
		if len(r.shares(one.resources)) > 1 {
			problems = append(problems, fmt.Sprintf("rule shares two or more resources with a %s resource affinity rule", other))
		}
	}
	return problems
}

// manyPriorities checks each resource-affinity rule: none of the node-affinity rules of its resources may have several priorities.
func (one rule) manyPriorities(rules []rule) []string {
	var problems []string
	for _, r := range sharing(rules, one.resources, "positive", "negative") {
		several := slices.ContainsFunc(sharing(rules, r.resources, "node"), func(n rule) bool {
			seen := map[int]bool{}
			for _, priority := range n.nodes {
				seen[priority] = true
			}
			return len(seen) > 1
		})
		switch {
		case !several:
		case one.kind == "node":
			problems = append(problems, "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities")
		case one.id == r.id:
			problems = append(problems, "resources are in node affinity rules with multiple priorities")
		}
	}
	return problems
}

// manyPlacements checks that resources that are kept together are in one node-affinity rule at most.
func (one rule) manyPlacements(rules []rule) []string {
	var problems []string
	for _, set := range keptTogether(rules) {
		placements := sharing(rules, set.resources, "node")
		is := func(r rule) bool { return r.id == one.id }
		switch {
		case len(placements) < 2:
		case slices.ContainsFunc(placements, is):
			problems = append(problems, "at least one resource is in a positive resource affinity rule and there are other resources in at least one other node affinity rule already")
		case slices.ContainsFunc(set.rules, is):
			problems = append(problems, "resources are in multiple node affinity rules")
		}
	}
	return problems
}

// together is a set of positive rules that share resources.
type together struct {
	rules     []rule
	resources []string
}

// keptTogether groups positive rules by shared resources. A rule joins the first set with which it shares any, in the order of the
// rules' lowest resources, as find_disjoint_rules_resource_sets in PVE/HA/Rules/Helpers.pm does.
func keptTogether(rules []rule) []together {
	positive := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r.kind != "positive" })
	slices.SortFunc(positive, func(a, b rule) int {
		if c := strings.Compare(slices.Min(a.resources), slices.Min(b.resources)); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	var sets []together
	for _, r := range positive {
		i := slices.IndexFunc(sets, func(t together) bool { return len(r.shares(t.resources)) > 0 })
		if i < 0 {
			sets = append(sets, together{})
			i = len(sets) - 1
		}
		sets[i].rules = append(sets[i].rules, r)
		sets[i].resources = append(sets[i].resources, r.resources...)
	}
	return sets
}

// tooFewNodes checks each negative rule: the node-affinity rules of its resources must name a node for each of them, whether they
// are strict or not.
func (one rule) tooFewNodes(rules []rule) []string {
	var problems []string
	for _, r := range sharing(rules, one.resources, "negative") {
		located, allowed := map[string]bool{}, map[string]bool{}
		for _, n := range sharing(rules, r.resources, "node") {
			for _, sid := range n.shares(r.resources) {
				located[sid] = true
			}
			for node := range n.nodes {
				allowed[node] = true
			}
		}
		switch {
		case len(allowed) >= len(located):
		case one.kind == "node":
			problems = append(problems, "at least one resource is in a negative resource affinity rule and this rule would restrict these to less nodes than available to the resources")
		case one.id == r.id:
			problems = append(problems, "two or more resources are restricted to less nodes than available to the resources")
		}
	}
	return problems
}
