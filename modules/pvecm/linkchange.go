package pvecm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// change is a difference between the current links and the wanted ones.
type change struct {
	Link
	// moves is set if addresses of an existing link change, and gone if the link is removed.
	moves, gone bool
	// says describes the change. priority is the link's new priority.
	says     string
	priority int
}

// changes returns the differences in this order: added links and changed priorities, links with other addresses, removed
// links.
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

// first returns the changes to make next: all that take nothing away or, if there are none, the first of the others.
func first(changes []change) []change {
	for i, c := range changes {
		if c.moves || c.gone {
			return changes[:max(1, i)]
		}
	}
	return changes
}
