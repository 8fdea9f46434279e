package ha

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/modules/internal/pve"
)

// mostTries limits the search for a placement. Rules that are undecided by then are left to Proxmox VE.
const mostTries = 100_000

// unit is a set of resources that rules keep on one node, or a single resource.
type unit struct {
	sids  []string
	nodes map[string]bool // where all of them may run
	bound []string        // the strict node-affinity rules that limit the nodes
	apart map[*unit]bool  // the units that must be on other nodes
}

func (u *unit) String() string { return strings.Join(u.sids, ", ") }

// feasible rejects rules that cannot all be followed, as far as they concern the given resources, directly or through
// others. Proxmox VE compares rules in pairs: it accepts three that contradict each other, and drops one of them later.
func (s *state) feasible(argument string, rules map[string]pve.Rule, sids []string) error {
	units, err := s.units(rules, sids)
	if err != nil {
		return fmt.Errorf("%s: %w", argument, err)
	}
	var all []*unit
	for _, sid := range names(units) {
		if u := units[sid]; !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	var limits []string
	for _, u := range all {
		if len(u.nodes) == 0 {
			return fmt.Errorf("%s: strict node-affinity rules (%s) leave no node on which %s could all run", argument, strings.Join(u.bound, ", "), u)
		}
		if len(u.apart) > 0 {
			limits = append(limits, fmt.Sprintf("%s on %s", u, strings.Join(names(u.nodes), " or ")))
		}
	}
	// Units with the fewest nodes are placed first.
	slices.SortStableFunc(all, func(a, b *unit) int { return len(a.nodes) - len(b.nodes) })
	tries := 0
	if !placeable(all, map[*unit]string{}, &tries) {
		return fmt.Errorf("%s: no node is left for one of the resources to keep apart: %s", argument, strings.Join(limits, "; "))
	}
	return nil
}

// units groups the resources that rules keep together, and records which groups are kept apart. It follows chains of
// resource-affinity rules from the given resources.
func (s *state) units(rules map[string]pve.Rule, sids []string) (map[string]*unit, error) {
	units := map[string]*unit{}
	for waiting := slices.Clone(sids); len(waiting) > 0; waiting = waiting[1:] {
		sid := waiting[0]
		if units[sid] != nil {
			continue
		}
		together := slices.Sorted(maps.Keys(chains(rules, sid)))
		u := &unit{sids: together, nodes: map[string]bool{}, apart: map[*unit]bool{}}
		for node := range s.cluster.Members {
			u.nodes[node] = true
		}
		for _, member := range together {
			units[member] = u
		}
		for _, id := range names(rules) {
			rule := rules[id]
			switch shared := slices.DeleteFunc(slices.Clone(together), func(sid string) bool { return !rule.Resources[sid] }); {
			case rule.Disabled, len(shared) == 0:
			case rule.Type == "node-affinity" && rule.Strict:
				u.bound = append(u.bound, id)
				maps.DeleteFunc(u.nodes, func(node string, _ bool) bool { _, ok := rule.Nodes[node]; return !ok })
			case rule.Type == "resource-affinity" && rule.Affinity == affinities["apart"] && len(shared) > 1:
				return nil, fmt.Errorf("resource-affinity rule %s keeps %s and %s apart, but %s keeps them together: change one of these rules first",
					id, shared[0], shared[1], strings.Join(chains(rules, shared[0])[shared[1]], ", "))
			case rule.Type == "resource-affinity" && rule.Affinity == affinities["apart"]:
				waiting = append(waiting, names(rule.Resources)...)
			}
		}
	}
	for _, rule := range rules {
		if rule.Disabled || rule.Type != "resource-affinity" || rule.Affinity != affinities["apart"] {
			continue
		}
		for a := range rule.Resources {
			for b := range rule.Resources {
				if u, other := units[a], units[b]; u != nil && other != nil && u != other {
					u.apart[other] = true
				}
			}
		}
	}
	return units, nil
}

// chains returns the resources that rules keep together with one, including itself, each with the names of the rules on the
// shortest way to it.
func chains(rules map[string]pve.Rule, from string) map[string][]string {
	ways := map[string][]string{from: nil}
	for waiting := []string{from}; len(waiting) > 0; waiting = waiting[1:] {
		at := waiting[0]
		for _, id := range names(rules) {
			rule := rules[id]
			if rule.Disabled || rule.Type != "resource-affinity" || rule.Affinity != affinities["together"] || !rule.Resources[at] {
				continue
			}
			for _, sid := range names(rule.Resources) {
				if _, seen := ways[sid]; !seen {
					ways[sid] = append(slices.Clone(ways[at]), id)
					waiting = append(waiting, sid)
				}
			}
		}
	}
	return ways
}

// placeable reports whether every unit can be placed on a node without the units that it must be apart from, given the units
// already placed. It returns true if that takes too many tries to decide.
func placeable(units []*unit, placed map[*unit]string, tries *int) bool {
	if len(units) == 0 {
		return true
	}
	u := units[0]
	for _, node := range names(u.nodes) {
		if *tries++; *tries > mostTries {
			return true
		}
		free := true
		for other := range u.apart {
			free = free && placed[other] != node
		}
		if !free {
			continue
		}
		placed[u] = node
		if placeable(units[1:], placed, tries) {
			return true
		}
		delete(placed, u)
	}
	return false
}
