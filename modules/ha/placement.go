package ha

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Placement sets the nodes on which resources prefer to run.
type Placement struct {
	Name       string            `hcl:"name" doc:"Name of the group (Proxmox VE 8) or rule (9)."`
	Nodes      map[string]string `hcl:"nodes" doc:"Node names and their priorities: { pve1 = 2, pve2 = 1 }. Higher wins."`
	Resources  []string          `hcl:"resources" doc:"Service ids. Each must already be a resource, and in no other placement."`
	Strict     bool              `hcl:"strict,optional" default:"false" doc:"Never run on other nodes."`
	NoFailback *bool             `hcl:"nofailback,optional" doc:"Do not move back when a preferred node returns. This is a setting of the group on Proxmox VE 8, of each resource on 9."`
}

func (p *Placement) validate() error {
	if err := pve.CheckConfigID("placement.name", p.Name); err != nil {
		return err
	}
	if len(p.Nodes) == 0 {
		return &modules.ArgumentError{Argument: "placement.nodes", Problem: "empty", Want: "expected at least one node"}
	}
	for node, priority := range p.Nodes {
		if err := pve.CheckNodeName("placement.nodes", node); err != nil {
			return err
		}
		if n, err := strconv.Atoi(priority); err != nil || n < 0 {
			return &modules.ArgumentError{Argument: "placement.nodes." + node, Problem: fmt.Sprintf("%q is not a priority", priority), Want: "expected a whole number, 0 or more"}
		}
	}
	if len(p.Resources) == 0 {
		return &modules.ArgumentError{Argument: "placement.resources", Problem: "empty", Want: "expected at least one service id"}
	}
	for _, sid := range p.Resources {
		if err := pve.CheckServiceID("placement.resources", sid); err != nil {
			return err
		}
	}
	return nil
}

// nodes returns the nodes with their priorities.
func (p *Placement) nodes() map[string]int {
	nodes := make(map[string]int, len(p.Nodes))
	for name, text := range p.Nodes {
		nodes[name], _ = strconv.Atoi(text) // validated
	}
	return nodes
}

// nodeList formats the nodes for ha-manager.
func (p *Placement) nodeList() string {
	var items []string
	for _, name := range slices.Sorted(maps.Keys(p.Nodes)) {
		items = append(items, name+":"+p.Nodes[name])
	}
	return strings.Join(items, ",")
}

func names[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func (p *Placement) sids() []string { return sortedOnce(p.Resources) }

func sortedOnce(sids []string) []string {
	sorted := slices.Clone(sids)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func (p *Placement) plan(s *state) (modules.Plan, error) {
	for _, node := range names(p.Nodes) {
		if _, ok := s.cluster.Members[node]; !ok {
			return modules.Plan{}, fmt.Errorf("placement.nodes: cluster %s has no node %s (it has %s)", s.cluster.Name, node, strings.Join(s.cluster.Names(), ", "))
		}
	}
	if err := s.managed("placement.resources", p.sids()); err != nil {
		return modules.Plan{}, err
	}
	if s.major == 8 {
		return p.group(s)
	}
	return p.rule(s)
}

// managed rejects guests that are not highly available.
func (s *state) managed(argument string, sids []string) error {
	for _, sid := range sids {
		if _, ok := s.ha.Resources[sid]; !ok {
			return fmt.Errorf("%s: %s is not highly available yet: add it in an earlier task with ha { resource { … } }", argument, sid)
		}
	}
	return nil
}

// step returns a change of the configuration, which shows at once.
func (s *state) step(summary string, after pve.HA, args ...string) modules.Step {
	return modules.Step{
		Risk:    modules.Restarts, // guests move to the nodes where they belong now
		Summary: summary,
		Action:  s.manager(args...),
		Expect:  pve.Everywhere(s.host, pve.HAs.Expect("", after.Clone())),
		Settle:  20 * time.Second,
		Await:   "the change in /etc/pve/ha",
		Wide:    true,
	}
}

// group plans a group of Proxmox VE 8, and the membership of the resources in it.
func (p *Placement) group(s *state) (modules.Plan, error) {
	after := s.ha.Clone()
	var steps []modules.Step
	have, exists := s.ha.Groups[p.Name]
	want := have
	want.Nodes, want.Restricted = p.nodes(), p.Strict
	if p.NoFailback != nil {
		want.NoFailback = *p.NoFailback
	}
	args := []string{"--nodes", p.nodeList(), "--restricted", pve.Flag(p.Strict), "--nofailback", pve.Flag(want.NoFailback)}
	after.Groups[p.Name] = want
	switch {
	case !exists:
		steps = append(steps, s.step(fmt.Sprintf("create HA group %s (%s%s)", p.Name, p.nodeList(), p.strictText()), after,
			append([]string{"groupadd", p.Name}, args...)...))
	case !maps.Equal(have.Nodes, want.Nodes) || have.Restricted != want.Restricted || have.NoFailback != want.NoFailback:
		steps = append(steps, s.step(fmt.Sprintf("change HA group %s (%s%s)", p.Name, p.nodeList(), p.strictText()), after,
			append([]string{"groupset", p.Name}, args...)...))
	}
	for _, sid := range p.sids() {
		resource := after.Resources[sid]
		if resource.Group == p.Name {
			continue
		}
		if resource.Group != "" {
			return modules.Plan{}, fmt.Errorf("placement.resources: %s is already in HA group %s, and can be in only one: remove it with `ha-manager set %s --delete group`", sid, resource.Group, sid)
		}
		resource.Group = p.Name
		after.Resources[sid] = resource
		steps = append(steps, s.step(fmt.Sprintf("put %s into HA group %s", sid, p.Name), after, "set", sid, "--group", p.Name))
	}
	return s.plan(steps...), nil
}

func (p *Placement) strictText() string {
	if p.Strict {
		return ", strict"
	}
	return ""
}

// rule plans a node-affinity rule of Proxmox VE 9.
func (p *Placement) rule(s *state) (modules.Plan, error) {
	name := p.ruleName(s.ha.Rules)
	have, exists := s.ha.Rules[name]
	if exists && have.Type != "node-affinity" {
		return modules.Plan{}, fmt.Errorf("placement.name: HA rule %s already exists as a %s rule: choose another name", name, have.Type)
	}
	if err := p.conflicts(s, name); err != nil {
		return modules.Plan{}, err
	}
	after := s.ha.Clone()
	want := pve.Rule{Type: "node-affinity", Nodes: p.nodes(), Resources: map[string]bool{}, Strict: p.Strict, Comment: have.Comment}
	for _, sid := range p.sids() {
		want.Resources[sid] = true
	}
	after.Rules[name] = want
	if err := s.feasible("placement.resources", after.Rules, p.sids()); err != nil {
		return modules.Plan{}, err
	}
	if err := s.agree("placement.resources", after.Rules, name); err != nil {
		return modules.Plan{}, err
	}
	args := []string{"node-affinity", name, "--resources", strings.Join(p.sids(), ","), "--nodes", p.nodeList(), "--strict", pve.Flag(p.Strict)}
	var steps []modules.Step
	switch {
	case !exists:
		steps = append(steps, s.step(fmt.Sprintf("create node-affinity rule %s: %s on %s%s", name, strings.Join(p.sids(), ", "), p.nodeList(), p.strictText()), after,
			append([]string{"rules", "add"}, args...)...))
	case !maps.Equal(have.Nodes, want.Nodes) || !maps.Equal(have.Resources, want.Resources) || have.Strict != want.Strict || have.Disabled:
		if have.Disabled {
			args = append(args, "--delete", "disable")
		}
		steps = append(steps, s.step(fmt.Sprintf("change node-affinity rule %s: %s on %s%s", name, strings.Join(p.sids(), ", "), p.nodeList(), p.strictText()), after,
			append([]string{"rules", "set"}, args...)...))
	}
	if p.NoFailback != nil {
		for _, sid := range p.sids() {
			resource := after.Resources[sid]
			if resource.Failback == !*p.NoFailback {
				continue
			}
			resource.Failback = !*p.NoFailback
			after.Resources[sid] = resource
			steps = append(steps, s.step(fmt.Sprintf("set failback of %s to %s", sid, pve.Flag(resource.Failback)), after, "set", sid, "--failback", pve.Flag(resource.Failback)))
		}
	}
	return s.plan(steps...), nil
}

// conflicts rejects what Proxmox VE would reject, or silently ignore later.
func (p *Placement) conflicts(s *state, name string) error {
	priorities := prioritiesOf(p.nodes())
	for _, id := range names(s.ha.Rules) {
		rule := s.ha.Rules[id]
		if id == name || rule.Disabled {
			continue
		}
		for _, sid := range p.sids() {
			switch {
			case !rule.Resources[sid]:
			case rule.Type == "node-affinity":
				return fmt.Errorf("placement.resources: %s is already in node-affinity rule %s, and can be in only one: remove it from that rule first", sid, id)
			case rule.Type == "resource-affinity" && len(priorities) > 1:
				return fmt.Errorf("placement.nodes: %s is in resource-affinity rule %s, so all nodes must have the same priority", sid, id)
			}
		}
	}
	return nil
}

// prioritiesOf returns the distinct priorities of nodes.
func prioritiesOf(nodes map[string]int) map[int]bool {
	priorities := map[int]bool{}
	for _, priority := range nodes {
		priorities[priority] = true
	}
	return priorities
}
