package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// resolve completes the inventory: it assigns hosts to groups and applies inherited settings.
func (d *declarations) resolve(inv *Inventory) {
	all, declared := d.splitGroups()
	d.checkNames(declared)
	if d.diags.HasErrors() {
		return
	}
	depth := d.depths(declared)
	if d.diags.HasErrors() {
		return
	}
	members := memberships(declared)

	// Parents come before children. The stable sort keeps the source order of groups with the same depth.
	ordered := slices.Clone(declared)
	slices.SortStableFunc(ordered, func(a, b *groupDecl) int { return cmp.Compare(depth[a.name], depth[b.name]) })

	groups := map[string]*Group{}
	for _, decl := range append([]*groupDecl{all}, declared...) {
		group := &Group{Name: decl.name, Vars: merged(decl.vars, nil), Range: decl.at, varsAt: decl.varsAt}
		for _, child := range decl.children {
			group.Children = append(group.Children, child.name)
		}
		groups[decl.name] = group
		inv.Groups = append(inv.Groups, group)
	}
	ungrouped := &Group{Name: groupUngrouped, Range: all.at}
	inv.Groups = append(inv.Groups, ungrouped)
	groups[groupAll].Vars, groups[groupAll].varsAt = merged(d.defaults.vars, all.vars), merged(d.defaults.varsAt, all.varsAt)

	for _, decl := range d.hosts {
		host := &Host{Name: decl.name, Address: decl.name, Connection: "ssh", Vars: map[string]cty.Value{}, varsAt: map[string]hcl.Range{}, Range: decl.at}
		d.defaults.apply(host)
		all.apply(host)
		host.Groups = []string{groupAll}
		groups[groupAll].Hosts = append(groups[groupAll].Hosts, host)
		for _, group := range ordered {
			if members[group.name][decl.name] {
				group.apply(host)
				host.Groups = append(host.Groups, group.name)
				groups[group.name].Hosts = append(groups[group.name].Hosts, host)
			}
		}
		if len(host.Groups) == 1 {
			host.Groups = append(host.Groups, groupUngrouped)
			ungrouped.Hosts = append(ungrouped.Hosts, host)
		}
		decl.apply(host)
		inv.Hosts = append(inv.Hosts, host)
	}
	inv.declared = d.vars
	for _, v := range inv.declared {
		d.diags = append(d.diags, v.give(groups[v.group].Hosts)...)
	}
	d.checkEndpoints(inv.Hosts)
	if len(inv.Hosts) == 0 {
		d.diags = append(d.diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "No hosts",
			Detail: "The inventory " + inv.Path + " has no hosts. A host is a block: host \"name\" { address = \"…\" }.",
		})
	}
}

// splitGroups separates the block of group "all", if there is one, from the others.
func (d *declarations) splitGroups() (all *groupDecl, others []*groupDecl) {
	all = &groupDecl{name: groupAll}
	for _, group := range d.groups {
		if group.name == groupAll {
			// Its host blocks declare hosts, which are in "all" anyway.
			all = &groupDecl{name: groupAll, settings: group.settings, at: group.at}
		} else {
			others = append(others, group)
		}
	}
	return all, others
}

// checkNames reports members that do not exist and names that are ambiguous.
func (d *declarations) checkNames(groups []*groupDecl) {
	var hostNames, groupNames []string
	for _, host := range d.hosts {
		hostNames = append(hostNames, host.name)
	}
	for _, group := range groups {
		groupNames = append(groupNames, group.name)
	}
	for _, host := range d.hosts {
		if host.name == groupAll || host.name == groupUngrouped || slices.Contains(groupNames, host.name) {
			d.errorf(host.at, "Ambiguous name", "%q is also the name of a group, so patterns could mean either; give the host another name.", host.name)
		}
	}
	for _, group := range groups {
		for _, m := range group.hosts {
			switch {
			case slices.Contains(hostNames, m.name):
			case slices.Contains(groupNames, m.name):
				d.errorf(m.at, "Unknown host", "%q is a group, not a host; list child groups in children.", m.name)
			default:
				d.errorf(m.at, "Unknown host", "There is no host %q in the inventory%s", m.name, suggestion(m.name, hostNames))
			}
		}
		for _, m := range group.children {
			switch {
			case slices.Contains(groupNames, m.name):
			case slices.Contains(hostNames, m.name):
				d.errorf(m.at, "Unknown group", "%q is a host, not a group; list hosts in hosts.", m.name)
			case m.name == groupAll || m.name == groupUngrouped:
				d.errorf(m.at, "Unknown group", "The group %q cannot be the child of another one.", m.name)
			default:
				d.errorf(m.at, "Unknown group", "There is no group %q in the inventory%s", m.name, suggestion(m.name, groupNames))
			}
		}
	}
}

// depths returns the length of the longest path to each group from a group without parents. It reports groups that contain
// themselves.
func (d *declarations) depths(groups []*groupDecl) map[string]int {
	children := map[string][]member{}
	parents := map[string]int{} // those not yet visited
	for _, group := range groups {
		children[group.name] = group.children
		for _, child := range group.children {
			parents[child.name]++
		}
	}
	depth := map[string]int{}
	var ready []string
	for _, group := range groups {
		if parents[group.name] == 0 {
			ready = append(ready, group.name)
		}
	}
	visited := map[string]bool{}
	for len(ready) > 0 {
		name := ready[0]
		ready = ready[1:]
		visited[name] = true
		for _, child := range children[name] {
			depth[child.name] = max(depth[child.name], depth[name]+1)
			if parents[child.name]--; parents[child.name] == 0 {
				ready = append(ready, child.name)
			}
		}
	}
	for _, group := range groups {
		if visited[group.name] {
			continue
		}
		if path, at := cycle(group, children); path != nil {
			d.errorf(at, "Group within itself", "The group %q is a child of itself: %s.", group.name, strings.Join(path, " → "))
			break // the other groups in the cycle would only repeat it
		}
	}
	return depth
}

// cycle returns the path from a group back to itself, if there is one, and the position of its first step.
func cycle(start *groupDecl, children map[string][]member) ([]string, hcl.Range) {
	seen := map[string]bool{}
	var search func(name string) []string
	search = func(name string) []string {
		if name == start.name {
			return []string{name}
		}
		if seen[name] {
			return nil
		}
		seen[name] = true
		for _, child := range children[name] {
			if path := search(child.name); path != nil {
				return append([]string{name}, path...)
			}
		}
		return nil
	}
	for _, child := range start.children {
		if path := search(child.name); path != nil {
			return append([]string{start.name}, path...), child.at
		}
	}
	return nil, hcl.Range{}
}

// memberships returns the names of the hosts of each group, including those of child groups. There must be no cycles.
func memberships(groups []*groupDecl) map[string]map[string]bool {
	byName := map[string]*groupDecl{}
	for _, group := range groups {
		byName[group.name] = group
	}
	members := map[string]map[string]bool{}
	var collect func(group *groupDecl) map[string]bool
	collect = func(group *groupDecl) map[string]bool {
		if known, ok := members[group.name]; ok {
			return known
		}
		names := map[string]bool{}
		for _, m := range group.hosts {
			names[m.name] = true
		}
		for _, child := range group.children {
			for name := range collect(byName[child.name]) {
				names[name] = true
			}
		}
		members[group.name] = names
		return names
	}
	for _, group := range groups {
		collect(group)
	}
	return members
}

// checkEndpoints reports hosts that are the same machine, where concurrent tasks would interfere.
func (d *declarations) checkEndpoints(hosts []*Host) {
	type endpoint struct {
		address string
		port    int
	}
	reached, addressed := map[endpoint]*Host{}, map[string]*Host{}
	for _, host := range hosts {
		if problem := addressProblem(host.Address); problem != "" && host.Connection == "ssh" && host.SSHAddress == "" {
			d.errorf(host.Range, "No usable address", "The host has no address, and its name %q cannot serve as one: %s. Set its address.", host.Name, problem)
			continue
		}
		if host.Connection != "ssh" {
			continue
		}
		at := endpoint{strings.ToLower(host.Address), host.Port}
		if host.SSHAddress != "" {
			at.address = strings.ToLower(host.SSHAddress)
		}
		if at.port == 0 {
			at.port = 22
		}
		if other := reached[at]; other != nil {
			d.errorf(host.Range, "Same machine twice", "%q and %q (%s) are both reached at %s port %d.", host.Name, other.Name, other.Range, at.address, at.port)
			continue
		}
		reached[at] = host
		if other := addressed[strings.ToLower(host.Address)]; other != nil {
			d.warnf(host.Range, "Same address twice", "%q and %q (%s) both have the address %s.", host.Name, other.Name, other.Range, host.Address)
			continue
		}
		addressed[strings.ToLower(host.Address)] = host
	}
}

func merged[V any](below, above map[string]V) map[string]V {
	if len(below) == 0 && len(above) == 0 {
		return nil
	}
	vars := make(map[string]V, len(below)+len(above))
	for name, value := range below {
		vars[name] = value
	}
	for name, value := range above {
		vars[name] = value
	}
	return vars
}
