package pvecm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A change is one difference between the links that are and those that are wanted.
type change struct {
	Link
	// moves is set if addresses of an existing link change, gone if the link is removed.
	moves, gone bool
	// says is the change in words; priority is the one that the link gets.
	says     string
	priority int
}

// changes returns what differs: first what only adds to the links or changes priorities, then links with other addresses, then
// those that go.
func (l *linkage) changes() []change {
	var adds, moves, goes []change
	for _, link := range l.m.Link {
		have, there := l.conf.Links()[link.number()]
		c := change{Link: link, priority: l.conf.Priority(link.number())}
		if link.Priority != nil {
			c.priority = *link.Priority
		}
		var other []string
		for _, name := range l.cluster.Names() {
			if !sameAddress(have[name], link.Addresses[name]) {
				other = append(other, name+" "+link.Addresses[name])
			}
		}
		switch {
		case link.State == "absent" && there:
			c.gone, c.says = true, fmt.Sprintf("remove link%s", link.Name)
			goes = append(goes, c)
		case link.State == "absent":
		case !there:
			c.says = fmt.Sprintf("add link%s (%s)", link.Name, strings.Join(other, ", "))
			adds = append(adds, c)
		case len(other) > 0:
			c.moves, c.says = true, fmt.Sprintf("put link%s back with %s", link.Name, strings.Join(other, ", "))
			moves = append(moves, c)
		case c.priority != l.conf.Priority(link.number()):
			c.says = fmt.Sprintf("change the priority of link%s from %d to %d", link.Name, l.conf.Priority(link.number()), c.priority)
			adds = append(adds, c)
		}
	}
	return slices.Concat(adds, moves, goes)
}

func sameAddress(a, b string) bool {
	if x, err := netip.ParseAddr(a); err == nil {
		if y, err := netip.ParseAddr(b); err == nil {
			return x == y
		}
	}
	return a == b
}

// first returns the changes that are made at once: all that take nothing away, or a single one that does.
func first(changes []change) []change {
	for i, c := range changes {
		if c.moves || c.gone {
			return changes[:max(1, i)]
		}
	}
	return changes
}
