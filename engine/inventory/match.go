package inventory

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// slice is a term with positions.
var slice = regexp.MustCompile(`^(.+)\[(-?[0-9]*):(-?[0-9]*)\]$`)

// terms are the terms of a pattern. The ":" and "," within brackets belong to a term.
func terms(pattern string) []string {
	var all []string
	depth, begin := 0, 0
	end := func(at int) {
		if term := strings.TrimSpace(pattern[begin:at]); term != "" {
			all = append(all, term)
		}
		begin = at + 1
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '\\':
			i++
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
		case ':', ',':
			if depth <= 0 {
				end(i)
				depth = 0
			}
		}
	}
	end(len(pattern))
	return all
}

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
// "~" in front makes a term a regular expression (RE2), which matches from the beginning of a name: "~pve[0-9]+$".
// NAME[a:b] are the hosts of a name or glob from the a-th to the b-th, which count from 0, or from -1 at the end, and may be
// left out.
//
// A name that does not exist is an error, with the nearest one that does; so is a plain glob that no name
// matches. An existing group without hosts is none.
func (inv *Inventory) Match(pattern string) ([]*Host, error) {
	if strings.TrimSpace(pattern) == "" {
		return nil, errors.New("the pattern of hosts is empty; \"all\" means all hosts")
	}
	var plain, required, excluded []map[*Host]bool
	for _, term := range terms(pattern) {
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
	if expression, ok := strings.CutPrefix(term, "~"); ok {
		re, err := regexp.Compile("^(?:" + expression + ")")
		if err != nil {
			return nil, fmt.Errorf("%q is not a regular expression: %s", expression, syntaxProblem(err))
		}
		return inv.matching(term, mustMatch, re.MatchString)
	}
	if m := slice.FindStringSubmatch(term); m != nil {
		return inv.slice(m[1], m[2], m[3], mustMatch)
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
	return inv.matching(term, mustMatch, func(name string) bool {
		ok, _ := path.Match(term, name)
		return ok
	})
}

// syntaxProblem is why a regular expression is none, without what was put around it.
func syntaxProblem(err error) string {
	if e := (*syntax.Error)(nil); errors.As(err, &e) {
		return string(e.Code)
	}
	return err.Error()
}

// matching are the hosts of the declared groups and the hosts whose names match.
func (inv *Inventory) matching(term string, mustMatch bool, match func(name string) bool) (map[*Host]bool, error) {
	hosts := map[*Host]bool{}
	found := false
	for _, group := range inv.Groups {
		if group.implicit() || !match(group.Name) {
			continue
		}
		found = true
		for _, host := range group.Hosts {
			hosts[host] = true
		}
	}
	for _, host := range inv.Hosts {
		if match(host.Name) {
			found, hosts[host] = true, true
		}
	}
	if !found && mustMatch {
		for _, group := range inv.Groups {
			if match(group.Name) {
				return nil, fmt.Errorf("no host or declared group matches %q; the group %q exists by itself and is meant by its whole name only", term, group.Name)
			}
		}
		return nil, fmt.Errorf("no host or group matches %q%s", term, strings.TrimSuffix(suggestion(term, inv.names()), "."))
	}
	return hosts, nil
}

// slice are the hosts of a term from one position to another.
func (inv *Inventory) slice(term, from, to string, mustMatch bool) (map[*Host]bool, error) {
	set, err := inv.term(term, mustMatch)
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for _, host := range inv.Hosts {
		if set[host] {
			hosts = append(hosts, host)
		}
	}
	position := func(text string, otherwise int) int {
		n, err := strconv.Atoi(text)
		switch {
		case err != nil: // empty
			return otherwise
		case n < 0:
			return n + len(hosts)
		}
		return n
	}
	first, last := max(position(from, 0), 0), min(position(to, len(hosts)-1), len(hosts)-1)
	if first > last {
		if mustMatch {
			return nil, fmt.Errorf("%s[%s:%s] is empty: %q has %d hosts, which count from 0", term, from, to, term, len(hosts))
		}
		return nil, nil
	}
	part := map[*Host]bool{}
	for _, host := range hosts[first : last+1] {
		part[host] = true
	}
	return part, nil
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
