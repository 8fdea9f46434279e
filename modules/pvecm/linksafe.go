package pvecm

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules/internal/pve"
)

// allow rejects changes that could break the membership.
func (l *linkage) allow(ctx context.Context, changes []change) error {
	if offline := l.cluster.Offline(); len(offline) > 0 {
		return fmt.Errorf("bring %s back online first: links are changed only while all nodes are online, so that each takes the change", strings.Join(offline, ", "))
	}
	stays := l.conf.Links()
	for _, c := range changes {
		if c.moves || c.gone {
			delete(stays, c.number())
			if len(stays) == 0 && c.gone {
				return fmt.Errorf("link%s is the only link of cluster %s: it cannot be removed", c.Name, l.cluster.Name)
			}
			if len(stays) == 0 {
				return fmt.Errorf("link%s is the only link of cluster %s. corosync does not change an address in place: the link has to go for a moment, and another one must connect the nodes meanwhile. Add that first, in the same task if you like: it is added before anything is taken away", c.Name, l.cluster.Name)
			}
		}
	}
	var broken []string
	for _, link := range slices.Sorted(maps.Keys(stays)) {
		apart := l.apart([]int{link})
		if len(apart) == 0 {
			broken = nil
			break
		}
		broken = append(broken, apart...)
	}
	if len(broken) > 0 {
		return fmt.Errorf("no link that stays as it is connects all nodes of cluster %s (%s): links are changed only while one does; repair that first", l.cluster.Name, strings.Join(broken, ", "))
	}
	if err := l.owned(ctx, changes); err != nil {
		return err
	}
	if changes[0].moves || changes[0].gone { // an addition takes nothing away
		for _, name := range l.cluster.Names() {
			if err := pve.Disarmed(ctx, l.hosts[name]); err != nil {
				return fmt.Errorf("while link%s is away a failure of the others would end the quorum, and %w", changes[0].Name, err)
			}
		}
	}
	return nil
}

// owned verifies that nodes have their new addresses, and that no other link uses these: corosync accepts any address, and
// then reaches no other node.
func (l *linkage) owned(ctx context.Context, changes []change) error {
	for _, h := range l.hosts {
		observe.Networks.Want(h, "")
	}
	for _, c := range changes {
		if c.gone {
			continue
		}
		for _, name := range l.cluster.Names() {
			address := netip.MustParseAddr(c.Addresses[name])
			network, err := observe.Networks.Observe(ctx, l.hosts[name], "")
			if err != nil {
				return err
			}
			if !network.Has(address) {
				return fmt.Errorf("link%s: %s is not an address of %s: give the address of one of its interfaces", c.Name, address, name)
			}
			for number, used := range l.conf.Links() {
				for other, text := range used {
					if number != c.number() && sameAddress(text, c.Addresses[name]) {
						return fmt.Errorf("link%s: %s is the address of %s on link%d already: a link of its own needs a network of its own", c.Name, address, other, number)
					}
				}
			}
		}
	}
	return nil
}
