package survival

import (
	"maps"
	"slices"
)

// implied returns the rules together with what follows from them, as the HA manager of Proxmox VE completes them: guests that
// are kept together, directly or by way of others, share the nodes that any of them prefers, and each of them is kept apart from
// whatever one of them is kept apart from (PVE/HA/Rules.pm, plugin_canonicalize in PVE/HA/Rules/ResourceAffinity.pm).
func implied(rules []Rule) []Rule {
	groups := map[string][]string{} // of each guest, all that are kept together with it
	for _, rule := range rules {
		if !rule.Together {
			continue
		}
		merged := map[string]bool{}
		for _, guest := range rule.Guests {
			merged[guest] = true
			for _, other := range groups[guest] {
				merged[other] = true
			}
		}
		all := slices.Sorted(maps.Keys(merged))
		for _, guest := range all {
			groups[guest] = all
		}
	}
	with := func(guest string) []string {
		if group := groups[guest]; group != nil {
			return group
		}
		return []string{guest}
	}
	var all []Rule
	for _, rule := range rules {
		switch {
		case rule.Together && len(rule.Guests) > 0: // rules.cfg may hold a rule without resources
			rule.Guests = with(rule.Guests[0])
		case rule.Priorities != nil:
			var guests []string
			for _, guest := range rule.Guests {
				guests = append(guests, with(guest)...)
			}
			rule.Guests = guests
		case rule.Apart:
			for i, a := range rule.Guests {
				for _, b := range rule.Guests[i+1:] {
					for _, one := range with(a) {
						for _, other := range with(b) {
							all = append(all, Rule{Name: rule.Name, Guests: []string{one, other}, Apart: true})
						}
					}
				}
			}
			continue
		}
		all = append(all, rule)
	}
	return all
}
