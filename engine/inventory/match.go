package inventory

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Host returns the host of that name, or nil.
func (inv *Inventory) Host(name string) *Host {
	for _, host := range inv.Hosts {
		if host.Name == name {
			return host
		}
	}
	return nil
}

// Group returns the group of that name, or nil.
func (inv *Inventory) Group(name string) *Group {
	for _, group := range inv.Groups {
		if group.Name == name {
			return group
		}
	}
	return nil
}

// Match returns the hosts that a pattern means, in the inventory's order.
//
// A pattern is terms with ":" or "," between them. A term is the name of a group or of a host, or a glob
// over both ("pve*", "pve[12]"; see path.Match). A glob matches neither "all" nor "ungrouped", which nobody
// declared: "al*" is not every host. Plain terms add up; a term that begins with "&" leaves
// only hosts that it means too; one that begins with "!" takes away those that it means, wherever it
// stands. A pattern of "&" and "!" alone starts from all hosts.
//
// A name that does not exist is an error, with the nearest one that does; so is a plain glob that no name
// matches. An existing group without hosts is none.
func (inv *Inventory) Match(pattern string) ([]*Host, error) {
	if strings.TrimSpace(pattern) == "" {
		return nil, errors.New("the pattern of hosts is empty; \"all\" means all hosts")
	}
	var plain, required, excluded []map[*Host]bool
	for _, term := range strings.FieldsFunc(pattern, func(r rune) bool { return r == ':' || r == ',' }) {
		term = strings.TrimSpace(term)
		kind := &plain
		if name, ok := strings.CutPrefix(term, "&"); ok {
			term, kind = name, &required
		} else if name, ok := strings.CutPrefix(term, "!"); ok {
			term, kind = name, &excluded
		}
		hosts, err := inv.term(strings.TrimSpace(term), kind == &plain)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		*kind = append(*kind, hosts)
	}
	if len(plain)+len(required)+len(excluded) == 0 {
		return nil, fmt.Errorf("pattern %q: a name is missing", pattern)
	}
	var matched []*Host
	for _, host := range inv.Hosts {
		in := len(plain) == 0
		for _, set := range plain {
			in = in || set[host]
		}
		for _, set := range required {
			in = in && set[host]
		}
		for _, set := range excluded {
			in = in && !set[host]
		}
		if in {
			matched = append(matched, host)
		}
	}
	return matched, nil
}

// Names are the names of the hosts that a pattern means; see Match.
func (inv *Inventory) Names(pattern string) ([]string, error) {
	hosts, err := inv.Match(pattern)
	names := make([]string, len(hosts))
	for i, host := range hosts {
		names[i] = host.Name
	}
	return names, err
}

// term is the hosts that one name or glob means.
func (inv *Inventory) term(term string, mustMatch bool) (map[*Host]bool, error) {
	if term == "" {
		return nil, errors.New("a name is missing")
	}
	hosts := map[*Host]bool{}
	if group := inv.Group(term); group != nil {
		for _, host := range group.Hosts {
			hosts[host] = true
		}
		return hosts, nil
	}
	if host := inv.Host(term); host != nil {
		hosts[host] = true
		return hosts, nil
	}
	if !strings.ContainsAny(term, `*?[\`) {
		return nil, fmt.Errorf("there is no host or group %q in the inventory%s", term, strings.TrimSuffix(suggestion(term, inv.names()), "."))
	}
	if _, err := path.Match(term, ""); err != nil {
		return nil, fmt.Errorf("%q is not a valid glob; it has \"*\", \"?\" and \"[…]\"", term)
	}
	found := false
	for _, group := range inv.Groups {
		if group.implicit() {
			continue
		}
		if ok, _ := path.Match(term, group.Name); ok {
			found = true
			for _, host := range group.Hosts {
				hosts[host] = true
			}
		}
	}
	for _, host := range inv.Hosts {
		if ok, _ := path.Match(term, host.Name); ok {
			found, hosts[host] = true, true
		}
	}
	if !found && mustMatch {
		for _, group := range inv.Groups {
			if ok, _ := path.Match(term, group.Name); ok {
				return nil, fmt.Errorf("no host or declared group matches %q; the group %q exists by itself and is meant by its whole name only", term, group.Name)
			}
		}
		return nil, fmt.Errorf("no host or group matches %q%s", term, strings.TrimSuffix(suggestion(term, inv.names()), "."))
	}
	return hosts, nil
}

// names are those of all groups and hosts.
func (inv *Inventory) names() []string {
	var names []string
	for _, group := range inv.Groups {
		names = append(names, group.Name)
	}
	for _, host := range inv.Hosts {
		names = append(names, host.Name)
	}
	return names
}
