package survival

import (
	"fmt"
	"slices"
	"strings"
)

// relocate returns where the guests of lost nodes run next. The HA manager recovers them one after another, sorted by their service
// IDs as text.
func relocate(c Cluster, gone map[string]bool, quorate bool) []Move {
	c.Rules = implied(c.Rules)
	at := map[string]string{}
	var displaced []Guest
	for _, g := range slices.SortedFunc(slices.Values(c.Guests), func(a, b Guest) int { return strings.Compare(a.ID, b.ID) }) {
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

// place chooses a node for a guest, or says why there is none. Like the HA manager, it looks only at the most preferred of the nodes
// that are left, and at no others if rules about guests rule those out; of what remains, the node with the fewest guests is chosen
// (select_service_node in PVE/HA/Manager.pm of pve-ha-manager).
func (c Cluster) place(g Guest, gone map[string]bool, at map[string]string) (node, why string) {
	if g.Bound != "" {
		return "", g.Bound
	}
	var nodes []string
	for _, n := range c.Nodes {
		if !gone[n.Name] && !n.Maintenance {
			nodes = append(nodes, n.Name)
		}
	}
	slices.Sort(nodes)
	if len(nodes) == 0 {
		return "", "no node is left that takes guests"
	}
	all := len(nodes)
	nodes, preference := c.preferred(g, nodes)
	if len(nodes) == 0 {
		return "", fmt.Sprintf("rule %s is strict, and none of its nodes is left", preference)
	}
	only := ""
	if len(nodes) < all {
		only = fmt.Sprintf("; as long as %s, which rule %s prefers, %s left, no other node is considered", list(nodes), preference, isAre(nodes))
	}
	if g.Only != nil {
		if nodes = slices.DeleteFunc(nodes, func(node string) bool { return !slices.Contains(g.Only, node) }); len(nodes) == 0 {
			return "", "no node is left that has what it needs: " + list(g.Only) + only
		}
	}
	together := map[string]int{} // how many of the guests that are kept with it run on each node
	for _, rule := range c.Rules {
		if !slices.Contains(rule.Guests, g.ID) {
			continue
		}
		for _, id := range rule.Guests {
			switch {
			case id == g.ID || at[id] == "":
			case rule.Apart:
				if nodes = slices.DeleteFunc(nodes, func(node string) bool { return node == at[id] }); len(nodes) == 0 {
					return "", fmt.Sprintf("rule %s keeps it apart from guests on all nodes that are left", rule.Name) + only
				}
			case rule.Together:
				together[at[id]]++
			}
		}
	}
	if most := slices.MaxFunc(nodes, func(a, b string) int { return together[a] - together[b] }); together[most] > 0 {
		return most, "" // guests that run where this one cannot do not bind it
	}
	guests := map[string]int{}
	for _, node := range at {
		guests[node]++
	}
	return slices.MinFunc(nodes, func(a, b string) int { return guests[a] - guests[b] }), ""
}

// preferred returns the nodes of the highest priority among those that are left, and the name of the rule that says so, if any.
func (c Cluster) preferred(g Guest, nodes []string) (best []string, name string) {
	for _, rule := range c.Rules {
		if rule.Priorities == nil || !slices.Contains(rule.Guests, g.ID) {
			continue
		}
		top := -1
		for _, node := range nodes {
			priority, listed := rule.Priorities[node]
			switch {
			case !listed && rule.Strict:
				continue
			case !listed:
				priority = -1
			}
			if priority > top {
				top, best = priority, nil
			}
			if priority == top {
				best = append(best, node)
			}
		}
		return best, rule.Name
	}
	return nodes, ""
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
