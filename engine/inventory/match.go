package inventory

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"hlplay/engine/pattern"
)

// slice matches a term with positions.
var slice = pattern.New(`^(.+)\[(-?[0-9]*):(-?[0-9]*)\]$`)

// terms splits a pattern into its terms. A ":" or "," within brackets is part of a term.
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

// Host returns the host with that name, or nil.
func (inv *Inventory) Host(name string) *Host {
	for _, host := range inv.Hosts {
		if host.Name == name {
			return host
		}
	}
	return nil
}

// Group returns the group with that name, or nil.
func (inv *Inventory) Group(name string) *Group {
	for _, group := range inv.Groups {
		if group.Name == name {
			return group
		}
	}
	return nil
}

// Match returns the hosts that match a pattern, in the inventory's order.
//
// A pattern is a list of terms separated by ":" or ",". A term is the name of a group or host, or a glob for either
// ("pve*", "pve[12]"; see path.Match). Globs do not match "all" and "ungrouped", which are not declared: "al*" does not
// match every host. The pattern matches the union of its plain terms, restricted to the hosts of each term that begins
// with "&", without the hosts of each term that begins with "!", in any position. A pattern without plain terms starts
// from all hosts.
//
// A term that begins with "~" is a regular expression (RE2), anchored at the beginning of a name: "~pve[0-9]+$".
// NAME[a:b] is the range from the a-th to the b-th host of a name or glob. Positions count from 0, or from -1 at the
// end, and may be omitted.
//
// A name that does not exist is an error, which suggests the most similar name; so is a plain glob that matches
// nothing. An empty group is not an error.
func (inv *Inventory) Match(pattern string) ([]*Host, error) {
	if strings.TrimSpace(pattern) == "" {
		return nil, errors.New("the host pattern is empty; \"all\" means all hosts")
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

// Names returns the names of the hosts that match a pattern; see Match.
func (inv *Inventory) Names(pattern string) ([]string, error) {
	hosts, err := inv.Match(pattern)
	names := make([]string, len(hosts))
	for i, host := range hosts {
		names[i] = host.Name
	}
	return names, err
}

// term returns the hosts that match one term.
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
		return nil, fmt.Errorf("%q is not a valid glob; the wildcards are \"*\", \"?\" and \"[…]\"", term)
	}
	return inv.matching(term, mustMatch, func(name string) bool {
		ok, _ := path.Match(term, name)
		return ok
	})
}

// syntaxProblem returns what is wrong with a regular expression, without quoting the anchored form.
func syntaxProblem(err error) string {
	if e := (*syntax.Error)(nil); errors.As(err, &e) {
		return string(e.Code)
	}
	return err.Error()
}

// matching returns the hosts whose names, or the names of whose declared groups, match.
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
				return nil, fmt.Errorf("no host or declared group matches %q; the implicit group %q must be named in full", term, group.Name)
			}
		}
		return nil, fmt.Errorf("no host or group matches %q%s", term, strings.TrimSuffix(suggestion(term, inv.names()), "."))
	}
	return hosts, nil
}

// slice returns the hosts of a term between two positions.
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
			return nil, fmt.Errorf("%s[%s:%s] is empty: %q matches %d hosts, counted from 0", term, from, to, term, len(hosts))
		}
		return nil, nil
	}
	part := map[*Host]bool{}
	for _, host := range hosts[first : last+1] {
		part[host] = true
	}
	return part, nil
}

// names returns the names of all groups and hosts.
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
