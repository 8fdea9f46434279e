package survival

import (
	"slices"
	"testing"
)

// TestEveryGuestGoes tries every layout of three guests on up to five nodes, every loss of one and of two nodes, and sets of rules,
// and compares each move with what the rules say.
func TestEveryGuestGoes(t *testing.T) {
	ids := []string{"vm:100", "vm:101", "vm:102"}
	keep := func(together bool, guests ...string) Rule {
		return Rule{Name: "keep", Guests: guests, Together: together, Apart: !together}
	}
	place := func(strict bool, priorities map[string]int, guests ...string) Rule {
		return Rule{Name: "place", Guests: guests, Priorities: priorities, Strict: strict}
	}
	sets := [][]Rule{
		nil,
		{keep(false, ids...)},
		{keep(true, "vm:100", "vm:102")},
		{keep(true, "vm:100", "vm:101"), keep(true, "vm:101", "vm:102")},
		{keep(true, "vm:100", "vm:101"), keep(false, "vm:101", "vm:102")},
		{place(true, map[string]int{"pve1": 1, "pve2": 1}, "vm:100")},
		{place(true, map[string]int{"pve1": 2, "pve3": 1}, "vm:100", "vm:102")},
		{place(false, map[string]int{"pve2": 1}, "vm:101")},
		{place(true, map[string]int{"pve1": 0, "pve2": 0}, "vm:102"), keep(true, "vm:100", "vm:102")},
		{place(true, map[string]int{"pve1": 0, "pve2": 0}, "vm:102"), keep(false, "vm:100", "vm:102")},
		{keep(false, "vm:100", "vm:101"), place(false, map[string]int{"pve1": 0, "pve2": 0}, "vm:100")},
	}
	cases := 0
	for n := 3; n <= 5; n++ {
		for _, rules := range sets {
			for layout := range pow(n, len(ids)) {
				c := Cluster{Nodes: nodes(n), Rules: rules}
				for i, id := range ids {
					c.Guests = append(c.Guests, Guest{ID: id, Node: c.Nodes[layout/pow(n, i)%n].Name})
				}
				if !follows(c) {
					continue
				}
				for _, lost := range losses(names(c.Nodes)) {
					if l := Lose(c, lost...); l.Quorate {
						cases++
						checkMoves(t, c, l)
					}
				}
			}
		}
	}
	if cases < 5_000 {
		t.Errorf("%d cases", cases)
	}
}

func names(nodes []Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return all
}

// follows reports whether the rules about guests hold where the guests are.
func follows(c Cluster) bool {
	for _, a := range c.Guests {
		for _, b := range c.Guests {
			together, apart := related(c.Rules, a.ID, b.ID)
			if together && a.Node != b.Node || apart && a.Node == b.Node {
				return false
			}
		}
	}
	return true
}

// related reports whether rules keep two guests together or apart, also by way of others.
func related(rules []Rule, a, b string) (together, apart bool) {
	same := map[[2]string]bool{{a, a}: true, {b, b}: true}
	ids := []string{"vm:100", "vm:101", "vm:102"}
	for _, rule := range rules {
		for _, x := range rule.Guests {
			for _, y := range rule.Guests {
				same[[2]string{x, y}] = same[[2]string{x, y}] || rule.Together || x == y
			}
		}
	}
	for _, via := range ids {
		for _, x := range ids {
			for _, y := range ids {
				if same[[2]string{x, via}] && same[[2]string{via, y}] {
					same[[2]string{x, y}] = true
				}
			}
		}
	}
	for _, rule := range rules {
		for _, x := range rule.Guests {
			for _, y := range rule.Guests {
				apart = apart || rule.Apart && x != y && same[[2]string{a, x}] && same[[2]string{y, b}]
			}
		}
	}
	return same[[2]string{a, b}], apart
}

// checkMoves checks the moves of a loss in their order: a guest goes to one of the most preferred nodes that are left, and of those, to
// one where no guest runs from which it is kept apart, if possible with those with which it is kept together.
func checkMoves(t *testing.T, c Cluster, l Loss) {
	t.Helper()
	at := map[string]string{}
	for _, g := range c.Guests {
		if !slices.Contains(l.Lost, g.Node) {
			at[g.ID] = g.Node
		}
	}
	for _, m := range l.Guests {
		priorities, best := map[string]int{}, -2
		for _, n := range c.Nodes {
			ok, priority := !slices.Contains(l.Lost, n.Name), 0
			for _, rule := range c.Rules {
				for _, id := range rule.Guests {
					if together, _ := related(c.Rules, m.Guest, id); !together || rule.Priorities == nil {
						continue
					}
					p, listed := rule.Priorities[n.Name]
					if priority = p; !listed {
						ok, priority = ok && !rule.Strict, -1
					}
				}
			}
			if ok {
				priorities[n.Name] = priority
				best = max(best, priority)
			}
		}
		allowed, with := map[string]bool{}, map[string]bool{}
		for node, priority := range priorities {
			ok, company := priority == best, false
			for id, other := range at {
				together, apart := related(c.Rules, m.Guest, id)
				ok = ok && (!apart || other != node)
				company = company || together && other == node
			}
			if ok {
				allowed[node] = true
				with[node] = company
			}
		}
		for node := range allowed {
			if with[node] {
				allowed = map[string]bool{node: true}
				break
			}
		}
		if m.To == "" && len(allowed) > 0 || m.To != "" && !allowed[m.To] {
			t.Fatalf("%d nodes, rules %v, guests %v, lost %v: %+v, allowed %v", len(c.Nodes), c.Rules, c.Guests, l.Lost, m, allowed)
		}
		if m.To != "" {
			at[m.Guest] = m.To
		}
	}
}

// A rule without resources, which an edited rules.cfg may hold, is about no guest.
func TestRulesWithoutGuests(t *testing.T) {
	for name, rule := range map[string]Rule{"together": {Together: true}, "apart": {Apart: true}, "placed": {Priorities: map[string]int{"pve1": 1}, Strict: true}} {
		rule.Name = name
		c := Cluster{Nodes: nodes(3), Guests: []Guest{{ID: "vm:100", Node: "pve1"}}, Rules: []Rule{rule}}
		if l := Lose(c, "pve1"); len(l.Guests) != 1 || l.Guests[0].To != "pve2" {
			t.Errorf("%s: %+v, want vm:100 to go to pve2", name, l.Guests)
		}
	}
}
