package proxmox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Commands: ceph osd getcrushmap and setcrushmap.

func crushFileCommands() []cephCommand {
	return []cephCommand{
		{words: "osd getcrushmap", run: func(_ *view, c *Ceph, _ []string) reply {
			return reply{text: string(c.crushMap().encode()), note: fmt.Sprint(c.CrushVersion)}
		}},
		{words: "osd setcrushmap", input: true, run: setCrushMap},
	}
}

// setCrushMap sets the map from the client's input, which is the last argument.
func setCrushMap(v *view, c *Ceph, args []string) reply {
	input := args[len(args)-1]
	m, ok := decodeCrush([]byte(input))
	if !ok {
		return refuse(eINVAL, "Failed to parse crushmap: End of buffer")
	}
	if len(args) > 1 {
		if prior, err := strconv.Atoi(args[0]); err == nil && prior != c.CrushVersion {
			return refuse(ePERM, "prior_version %d != crush version %d", prior, c.CrushVersion)
		}
	}
	for _, p := range c.Pools {
		if !slices.ContainsFunc(m.Rules, func(r crushRule) bool { return r.ID == p.Rule }) {
			return refuse(eINVAL, "pool %d references crush_rule %d but it is not present", p.ID, p.Rule)
		}
	}
	rules, problem := m.simpleRules()
	if problem == "" {
		problem = c.otherTree(m)
	}
	if problem != "" {
		return refuse(eINVAL, "%s", problem)
	}
	c.Rules = rules
	for _, b := range m.Buckets {
		for _, item := range b.Items {
			if id, ok := parseOSD(item.Name); ok && c.osd(id) != nil {
				c.osd(id).Weight = item.Weight
			}
		}
	}
	for _, d := range m.Devices {
		if o := c.osd(d.ID); o != nil && o.Booted {
			if o.Class = d.Class; d.Class != "" && !slices.Contains(c.Classes, d.Class) {
				c.Classes = append(c.Classes, d.Class)
			}
		}
	}
	c.CrushVersion++
	c.mapChanged(v.now)
	c.peer(v.now)
	return reply{note: fmt.Sprint(c.CrushVersion), changed: true}
}

// simpleRules returns the rules of a map if each has one of the two forms that the simulated cluster supports: choose
// as many OSDs as there are copies, or first failure domains and then a number of OSDs in each.
func (m *crushMap) simpleRules() ([]*Rule, string) {
	var rules []*Rule
	for _, r := range m.Rules {
		rule := &Rule{ID: r.ID, Name: r.Name}
		last := len(r.Steps) - 1
		ok := (last == 2 || last == 3) && r.Steps[last] == "emit"
		if ok && last == 3 {
			_, err := fmt.Sscanf(r.Steps[2], "chooseleaf firstn %d type osd", &rule.PerDomain)
			ok = err == nil && rule.PerDomain > 0 && strings.HasPrefix(r.Steps[1], "choose firstn 0 type ")
		}
		if ok {
			take, choose := strings.Fields(r.Steps[0]), strings.Fields(r.Steps[1])
			ok = take[0] == "take" && (len(take) == 2 || len(take) == 4 && take[2] == "class") && len(choose) == 5 && choose[1] == "firstn"
			if ok {
				rule.Root, rule.Domain = take[1], choose[4]
				if len(take) == 4 {
					rule.Class = take[3]
				}
			}
		}
		if !ok {
			return nil, fmt.Sprintf("the simulated Ceph follows rules of one take, one choose firstn and one emit only, with a chooseleaf of OSDs between them at most, not rule '%s'", r.Name)
		}
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, func(a, b *Rule) int { return a.ID - b.ID })
	return rules, ""
}

// otherTree returns what the simulated cluster does not support in a map: changes to the tree, IDs or tunables, and
// buckets whose weight is not the sum of their items' weights.
func (c *Ceph) otherTree(m *crushMap) string {
	shape := func(m *crushMap) []string {
		var all []string
		for _, b := range m.Buckets {
			var names []string
			for _, item := range b.Items {
				names = append(names, item.Name)
			}
			slices.Sort(names)
			all = append(all, fmt.Sprintf("%s %s with %s", b.Type, b.Name, strings.Join(names, ", ")))
		}
		slices.Sort(all)
		return all
	}
	is := c.crushMap()
	present := shape(is)
	for _, b := range shape(m) {
		if !slices.Contains(present, b) {
			return fmt.Sprintf("the simulated Ceph has its OSDs below their hosts and these below the root default; it cannot follow %s", b)
		}
	}
	for _, b := range m.Buckets {
		here := is.bucket(b.Name)
		if b.ID != here.ID && b.ID != 0 || slices.ContainsFunc(b.Shadows, func(s crushShadow) bool { return !slices.Contains(here.Shadows, s) }) {
			return fmt.Sprintf("the simulated Ceph does not follow other IDs of %s", b.Name)
		}
		for _, item := range b.Items {
			child := m.bucket(item.Name)
			if child == nil {
				continue
			}
			const rounding = 66 // the text form has at least three decimals
			if off := item.Weight - child.weight(); max(off, -off) > rounding*(len(child.Items)+1) {
				return fmt.Sprintf("the simulated Ceph adds up the weights of a host: %s has %d/65536 in %s, and its OSDs have %d/65536", item.Name, item.Weight, b.Name, child.weight())
			}
		}
	}
	if len(m.Buckets) != len(is.Buckets) || !slices.Equal(m.Types, is.Types) || !slices.Equal(m.Tunables, is.Tunables) {
		return "the simulated Ceph does not follow other tunables and types, nor fewer buckets"
	}
	return ""
}
