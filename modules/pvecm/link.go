package pvecm

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"hlplay/modules"
)

// Link is a link of an existing cluster. How corosync applies changes while it runs was tested with corosync 3.1.7 of
// Debian 12: links can be added and removed, and priorities changed, without a new membership as long as one link stays;
// an address is not changed in place.
type Link struct {
	Name      string            `hcl:"name,label" doc:"the number of the link: 0 to 7"`
	Addresses map[string]string `hcl:"addresses,optional" doc:"The IP address of each node on this link, by the node's name: { pve1 = \"10.20.0.11\" }. All nodes of the cluster, and no others, must be listed. Required unless state is absent."`
	Priority  *int              `hcl:"priority,optional" doc:"Priority, 0 to 255: corosync uses the connected link with the highest one. By default it is kept; a new link has 1."`
	State     string            `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the cluster has this link."`
}

// number returns the link's number; Validate has checked it.
func (l Link) number() int {
	n, _ := strconv.Atoi(l.Name)
	return n
}

// leastRollback and mostRollback bound the time within which a change of links must be proven. Two versions of the file
// are loaded within seconds, and knet connects a link a few seconds later.
const (
	leastRollback = 30 * time.Second
	mostRollback  = time.Hour
)

func (m *Module) validateLinks() error {
	if m.Cluster != "" || m.Founder != "" || m.Link0 != "" || m.Check != nil || m.Remove != nil || m.QDevice != nil {
		return &modules.ArgumentError{Argument: "link", Problem: "links of a cluster are not changed in the same task as a membership or a QDevice", Want: "give link blocks only; a node that joins is given link0, link1, …"}
	}
	if m.Rollback != 0 && (m.Rollback < leastRollback || m.Rollback > mostRollback) {
		return &modules.ArgumentError{Argument: "rollback", Problem: fmt.Sprintf("%s is not between %s and %s", m.Rollback, leastRollback, mostRollback), Want: "two minutes are enough for corosync"}
	}
	numbers := map[string]bool{}
	taken := map[netip.Addr]string{}
	for _, l := range m.Link {
		at := "link." + l.Name
		switch {
		case len(l.Name) != 1 || l.Name < "0" || l.Name > "7":
			return &modules.ArgumentError{Argument: "link", Problem: fmt.Sprintf("%q is not the number of a link", l.Name), Want: "expected 0 to 7"}
		case numbers[l.Name]:
			return &modules.ArgumentError{Argument: at, Problem: "given twice", Want: "one block for each link"}
		case l.State == "absent" && (len(l.Addresses) > 0 || l.Priority != nil):
			return &modules.ArgumentError{Argument: at, Problem: "a link that is absent has no addresses and no priority", Want: "leave them out"}
		case l.State != "absent" && len(l.Addresses) == 0:
			return &modules.ArgumentError{Argument: at + ".addresses", Problem: "missing", Want: "expected the address of each node"}
		case l.Priority != nil && (*l.Priority < 0 || *l.Priority > 255):
			return &modules.ArgumentError{Argument: at + ".priority", Problem: fmt.Sprint(*l.Priority), Want: "expected 0 to 255"}
		}
		numbers[l.Name] = true
		var six *bool
		for _, node := range slices.Sorted(maps.Keys(l.Addresses)) {
			address, err := netip.ParseAddr(l.Addresses[node])
			switch {
			case err != nil || address.Zone() != "":
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: fmt.Sprintf("%q is not an IP address", l.Addresses[node]), Want: "expected one without a zone or prefix length"}
			case taken[address] != "":
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: fmt.Sprintf("%s is given for %s as well", address, taken[address]), Want: "each node has an address of its own on each link"}
			case six != nil && *six != address.Is6():
				return &modules.ArgumentError{Argument: at + ".addresses." + node, Problem: "IPv4 and IPv6 on the same link", Want: "corosync accepts only one of them"}
			}
			is6 := address.Is6()
			taken[address], six = fmt.Sprintf("link%s of %s", l.Name, node), &is6
		}
	}
	return nil
}
