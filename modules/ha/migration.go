package ha

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// migratedPrefix begins the names of rules that Proxmox VE has made from groups.
const migratedPrefix = "ha-group-"

// migration waits until Proxmox VE 9 has turned the groups of an upgraded cluster into rules, which its manager tries every minute; no
// rule can be changed before (PVE::HA::Manager and PVE::HA::Groups of pve-ha-manager 5).
func (s *state) migration(ctx context.Context) (modules.Plan, error) {
	obstacles, err := s.obstacles(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	groups := strings.Join(names(s.ha.Groups), ", ")
	if len(obstacles) > 0 {
		return modules.Plan{}, fmt.Errorf("cluster %s still has HA groups (%s), which Proxmox VE 9 converts to rules automatically, but not while %s",
			s.cluster.Name, groups, strings.Join(obstacles, ", and "))
	}
	plan := s.plan(modules.Step{
		Summary: "wait until Proxmox VE has converted its HA groups to rules: " + groups,
		Action:  modules.Wait{},
		Expect:  pve.Everywhere(s.host, pve.HAs.Expect("", migrated(s.ha))),
		Settle:  5 * time.Minute,
		Await:   "rules in place of the groups (see journalctl -u pve-ha-crm on the master for what prevents it)",
		Wide:    true,
	})
	plan.Partial = true
	return plan, nil
}

// obstacles lists what prevents the manager from migrating the groups.
func (s *state) obstacles(ctx context.Context) ([]string, error) {
	var all []string
	if offline := s.cluster.Offline(); len(offline) > 0 {
		all = append(all, strings.Join(offline, ", ")+" is offline")
	}
	for _, name := range names(s.ha.Nodes) {
		if state := s.ha.Nodes[name]; state != "online" && s.cluster.Members[name].Online {
			all = append(all, fmt.Sprintf("the HA manager reports %s in state %s", name, state))
		}
	}
	for _, peer := range s.host.Peers() {
		pve.Nodes.Want(peer, "")
	}
	for _, peer := range s.host.Peers() {
		node, err := pve.Nodes.Observe(ctx, peer, "")
		switch {
		case err != nil && (ctx.Err() != nil || observe.IsUnknown(err)):
			return nil, err
		case err != nil: // a node that cannot be asked is offline, or its own tasks say why
			continue
		}
		if _, member := s.cluster.Members[node.Name]; member && strings.HasPrefix(node.Version, "8.") {
			all = append(all, fmt.Sprintf("%s runs Proxmox VE %s", node.Name, node.Version))
		}
	}
	return all, nil
}

// migrated returns high availability as it will be after the migration: each group that has resources becomes a rule,
// which replaces a rule of that name from an interrupted migration; groups without resources become none.
func migrated(ha pve.HA) pve.HA {
	after := ha.Clone()
	clear(after.Groups)
	made := map[string]map[string]bool{} // the resources of each new rule
	for sid, resource := range ha.Resources {
		group, exists := ha.Groups[resource.Group]
		if exists {
			name := migratedPrefix + resource.Group
			if made[name] == nil {
				made[name] = map[string]bool{}
				comment := cmp.Or(group.Comment, "Generated from HA group '"+resource.Group+"'.")
				after.Rules[name] = pve.Rule{Type: "node-affinity", Nodes: group.Nodes, Resources: made[name], Strict: group.Restricted, Comment: comment}
			}
			made[name][sid] = true
			resource.Failback = !group.NoFailback
		}
		resource.Group = ""
		after.Resources[sid] = resource
	}
	return after
}

// ruleName returns the name of the placement's rule, which may be one that Proxmox VE has made from a group.
func (p *Placement) ruleName(rules map[string]pve.Rule) string {
	if rule, made := rules[migratedPrefix+p.Name]; made && rule.Type == "node-affinity" {
		if _, own := rules[p.Name]; !own && slices.ContainsFunc(p.Resources, func(sid string) bool { return rule.Resources[sid] }) {
			return migratedPrefix + p.Name
		}
	}
	return p.Name
}
