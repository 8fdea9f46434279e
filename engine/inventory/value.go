package inventory

import (
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/hostvar"
)

// Value returns `host` in expressions: an object with name, address, port (by default 22), user (by default empty), groups (a list of
// names) and vars (an object).
func (h *Host) Value() cty.Value {
	port := h.Port
	if port == 0 {
		port = 22
	}
	vars := h.Vars
	if len(h.sensitive) > 0 {
		vars = merged(h.Vars, nil)
		for name := range h.sensitive {
			if value, ok := vars[name]; ok {
				vars[name] = value.Mark(hostvar.Sensitive)
			}
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"name":    cty.StringVal(h.Name),
		"address": cty.StringVal(h.Address),
		"port":    cty.NumberIntVal(int64(port)),
		"user":    cty.StringVal(h.User),
		"groups":  stringList(h.Groups),
		"vars":    cty.ObjectVal(vars),
	})
}

// HostsValue returns `hosts` in expressions: an object of the hosts' values by name.
func (inv *Inventory) HostsValue() cty.Value {
	hosts := make(map[string]cty.Value, len(inv.Hosts))
	for _, host := range inv.Hosts {
		hosts[host.Name] = host.Value()
	}
	return cty.ObjectVal(hosts)
}

// GroupsValue returns `groups` in expressions: an object of the lists of host names, in the inventory's order, by the names of the
// groups.
func (inv *Inventory) GroupsValue() cty.Value {
	groups := make(map[string]cty.Value, len(inv.Groups))
	for _, group := range inv.Groups {
		groups[group.Name] = stringList(group.hostNames())
	}
	return cty.ObjectVal(groups)
}

func (g *Group) hostNames() []string {
	names := make([]string, len(g.Hosts))
	for i, host := range g.Hosts {
		names[i] = host.Name
	}
	return names
}

func stringList(list []string) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	values := make([]cty.Value, len(list))
	for i, s := range list {
		values[i] = cty.StringVal(s)
	}
	return cty.ListVal(values)
}
