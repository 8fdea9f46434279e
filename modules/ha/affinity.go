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
		return &modules.ArgumentError{Argument: "affinity.resources", Problem: "fewer than two", Want: "expected the service ids of the resources to keep together or apart"}
	}
	return nil
}

func (a *Affinity) sids() []string { return sortedOnce(a.Resources) }

// affinities maps the arguments to Proxmox VE's words.
var affinities = map[string]string{"together": "positive", "apart": "negative"}

func (a *Affinity) plan(s *state) (modules.Plan, error) {
	if s.major == 8 {
		return modules.Plan{}, fmt.Errorf("affinity: Proxmox VE 8 has no resource-affinity rules; they need version 9")
	}
	if err := s.managed("affinity.resources", a.sids()); err != nil {
		return modules.Plan{}, err
	}
	have, exists := s.ha.Rules[a.Name]
	if exists && have.Type != "resource-affinity" {
		return modules.Plan{}, fmt.Errorf("affinity.name: HA rule %s already exists as a %s rule: choose another name", a.Name, have.Type)
	}
	want := pve.Rule{Type: "resource-affinity", Affinity: affinities[a.Keep], Resources: map[string]bool{}, Comment: have.Comment}
	for _, sid := range a.sids() {
		want.Resources[sid] = true
	}
	after := s.ha.Clone()
	after.Rules[a.Name] = want
	if err := a.conflicts(s); err != nil {
		return modules.Plan{}, err
	}
	if err := s.feasible("affinity.resources", after.Rules, a.sids()); err != nil {
		return modules.Plan{}, err
	}
	if err := s.agree("affinity.resources", after.Rules, a.Name); err != nil {
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

// conflicts rejects what Proxmox VE would reject, or silently ignore later, because of one other rule.
func (a *Affinity) conflicts(s *state) error {
	sids := a.sids()
	if nodes := len(s.cluster.Members); a.Keep == "apart" && len(sids) > nodes {
		return fmt.Errorf("affinity.resources: %d resources cannot be kept apart on %s", len(sids), plural.Of(nodes, "node"))
	}
	for _, id := range names(s.ha.Rules) {
		rule := s.ha.Rules[id]
		shared := slices.DeleteFunc(slices.Clone(sids), func(sid string) bool { return !rule.Resources[sid] })
		switch {
		case id == a.Name, rule.Disabled, len(shared) == 0:
		case rule.Type == "resource-affinity" && len(shared) > 1 && rule.Affinity != affinities[a.Keep]:
			return fmt.Errorf("affinity.resources: resource-affinity rule %s contradicts this one for %s: change that one first", id, strings.Join(shared, ", "))
		case rule.Type == "node-affinity" && len(prioritiesOf(rule.Nodes)) > 1:
			return fmt.Errorf("affinity.resources: %s is in node-affinity rule %s, whose nodes have different priorities, which Proxmox VE does not allow together with resource affinity: give its nodes the same priority",
				strings.Join(shared, ", "), id)
		}
	}
	return nil
}
