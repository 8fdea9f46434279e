package proxmox

import (
	"slices"
	"strconv"
	"strings"
)

// affinity returns what groups or node-affinity rules require for a resource: priorities by node, and whether other
// nodes are excluded.
func (v *view) affinity(db *Database, r Section) (priorities map[string]int, strict bool) {
	sid := r.Type + ":" + r.ID
	var nodes string
	for _, rule := range ParseSections(db.Text("ha/rules.cfg")) {
		if _, off := rule.Keys["disable"]; !off && rule.Type == "node-affinity" && slices.Contains(strings.Split(rule.Keys["resources"], ","), sid) {
			nodes, strict = rule.Keys["nodes"], rule.Keys["strict"] == "1"
		}
	}
	if group := r.Keys["group"]; group != "" {
		for _, g := range ParseSections(db.Text("ha/groups.cfg")) {
			if g.ID == group {
				nodes, strict = g.Keys["nodes"], g.Keys["restricted"] == "1"
			}
		}
	}
	if nodes == "" {
		return nil, false
	}
	return nodePriorities(nodes), strict
}

func nodePriorities(text string) map[string]int {
	priorities := map[string]int{}
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
		name, priority, _ := strings.Cut(entry, ":")
		priorities[name], _ = strconv.Atoi(priority)
	}
	return priorities
}

// place chooses a node for a service from the listed nodes that are online: the one with the highest priority,
// preferring the node that the service left because of maintenance mode, then the current one. It returns "" if a
// strict rule leaves none.
func (v *view) place(db *Database, r Section, s *Service, members []string) string {
	var usable []string
	for _, name := range members {
		if !slices.Contains(db.HA.Maintenance, name) {
			usable = append(usable, name)
		}
	}
	priorities, strict := v.affinity(db, r)
	best, bestPriority := "", -1
	for _, name := range usable {
		priority, listed := priorities[name]
		if !listed {
			if strict && priorities != nil {
				continue
			}
			priority = -1
		}
		if best == "" || priority > bestPriority || priority == bestPriority && (name == s.Home || name == s.Node && best != s.Home) {
			best, bestPriority = name, priority
		}
	}
	return best
}

// mustMove reports whether a running service has to move to the node that was chosen for it (select_service_node in
// PVE/HA/Manager.pm of pve-ha-manager).
func (v *view) mustMove(db *Database, r Section, s *Service, target string) bool {
	node := s.Node
	if slices.Contains(db.HA.Maintenance, node) {
		return true
	}
	priorities, strict := v.affinity(db, r)
	own, listed := priorities[node]
	if r.Keys["failback"] == "0" || listed && noFailback(db, r) {
		return false
	}
	if target == s.Home {
		return true
	}
	if priorities == nil {
		return false
	}
	if !listed {
		return strict || len(priorities) > 0
	}
	for name, priority := range priorities {
		if priority > own && db.HA.Nodes[name] == "online" {
			return true
		}
	}
	return false
}

// noFailback reports whether the group of a resource keeps it where it runs.
func noFailback(db *Database, r Section) bool {
	return slices.ContainsFunc(ParseSections(db.Text(groupsFile)), func(g Section) bool { return g.ID == r.Keys["group"] && g.Keys["nofailback"] == "1" })
}
