package survival

import (
	"fmt"
	"slices"
)

// relocate returns where the guests of lost nodes run next. The HA manager picks the node with the fewest guests among
// those with the highest priority.
func relocate(c Cluster, gone map[string]bool, quorate bool) []Move {
	at := map[string]string{}
	var displaced []Guest
	for _, g := range slices.SortedFunc(slices.Values(c.Guests), func(a, b Guest) int { return compareIDs(a.ID, b.ID) }) {
		if gone[g.Node] || !quorate {
			displaced = append(displaced, g)
		} else {
			at[g.ID] = g.Node
		}
	}
	var moves []Move
	for _, g := range displaced {
		move := Move{Guest: g.ID, From: g.Node}
		if !quorate {
			move.Why = "no quorum"
		} else if move.To, move.Why = c.place(g, gone, at); move.To != "" {
			at[g.ID] = move.To
		}
		moves = append(moves, move)
	}
	return moves
}

// compareIDs orders service IDs by type, then by number.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// place chooses a node for a guest, or says why there is none.
func (c Cluster) place(g Guest, gone map[string]bool, at map[string]string) (node, why string) {
	if g.Bound != "" {
		return "", g.Bound
	}
	var candidates []string
	for _, n := range c.Nodes {
		if !gone[n.Name] && !n.Maintenance {
			candidates = append(candidates, n.Name)
		}
	}
	slices.Sort(candidates)
	keep := func(reason string, keep func(node string) bool) bool {
		candidates = slices.DeleteFunc(candidates, func(node string) bool { return !keep(node) })
		if len(candidates) == 0 && why == "" {
			why = reason
		}
		return len(candidates) > 0
	}
	if !keep("no node is left that takes guests", func(string) bool { return true }) {
		return "", why
	}
	if g.Only != nil && !keep("no node is left that has what it needs: "+list(g.Only), func(node string) bool { return slices.Contains(g.Only, node) }) {
		return "", why
	}
	for _, rule := range c.Rules {
		if !slices.Contains(rule.Guests, g.ID) {
			continue
		}
		var others []string // where the rule's other guests run
		for _, id := range rule.Guests {
			if node := at[id]; id != g.ID && node != "" {
				others = append(others, node)
			}
		}
		ok := true
		switch {
		case rule.Apart:
			ok = keep(fmt.Sprintf("rule %s keeps it apart from guests on all nodes that are left", rule.Name), func(node string) bool { return !slices.Contains(others, node) })
		case rule.Together && len(others) > 0:
			ok = keep(fmt.Sprintf("rule %s keeps it with guests on %s, where it cannot run", rule.Name, list(others)), func(node string) bool { return slices.Contains(others, node) })
		case rule.Priorities != nil:
			ok = rule.Strict || slices.ContainsFunc(candidates, func(node string) bool { _, in := rule.Priorities[node]; return in })
			if !ok { // no preferred node is left, and it may run anywhere
				ok = true
				break
			}
			ok = keep(fmt.Sprintf("rule %s is strict, and none of its nodes is left", rule.Name), func(node string) bool { _, in := rule.Priorities[node]; return in })
		}
		if !ok {
			return "", why
		}
	}
	return c.best(g, candidates, at), ""
}

// best returns, of the nodes that the guest prefers, the one with the fewest guests.
func (c Cluster) best(g Guest, candidates []string, at map[string]string) string {
	priority := func(node string) int {
		for _, rule := range c.Rules {
			if rule.Priorities != nil && slices.Contains(rule.Guests, g.ID) {
				return rule.Priorities[node]
			}
		}
		return 0
	}
	guests := map[string]int{}
	for _, node := range at {
		guests[node]++
	}
	return slices.MinFunc(candidates, func(a, b string) int {
		if pa, pb := priority(a), priority(b); pa != pb {
			return pb - pa
		}
		return guests[a] - guests[b]
	})
}

// load returns the memory that guests may use on each node after moves, in bytes.
func (c Cluster) load(moves []Move) map[string]uint64 {
	at := map[string]string{}
	for _, g := range c.Guests {
		at[g.ID] = g.Node
	}
	for _, m := range moves {
		at[m.Guest] = m.To
	}
	load := map[string]uint64{}
	for _, g := range c.Guests {
		load[at[g.ID]] += g.Memory
	}
	return load
}
