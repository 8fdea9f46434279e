package throughput

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// fit returns an error if the end of a link cannot, or must not, be measured.
func (e end) fit(ctx context.Context) error {
	p, err := observe.Packages.Observe(ctx, e.host, program)
	if err != nil {
		return err
	}
	if !p.Installed() {
		return fmt.Errorf("iperf3 is not installed on %s: install it in an earlier task (apt { packages = [\"iperf3\"] })", e.host.Name())
	}
	shared, err := e.corosync(ctx)
	if err != nil || shared == "" {
		return err
	}
	if err := pve.Disarmed(ctx, e.host); err != nil {
		return fmt.Errorf("%s: corosync's link %s shares a network card with %s, which a measurement saturates: %w", e.host.Name(), shared, e.link, err)
	}
	return nil
}

// corosync returns the address of a corosync link on the same network card, or "" if there is none.
func (e end) corosync(ctx context.Context) (string, error) {
	cluster, err := pve.Clusters.Observe(ctx, e.host, "")
	if err != nil || len(cluster.Members) == 0 {
		return "", err
	}
	node, err := pve.Nodes.Observe(ctx, e.host, "")
	if err != nil {
		return "", err
	}
	own, err := cards(ctx, e.host, e.link, 0)
	if err != nil {
		return "", err
	}
	links := cluster.Members[node.Name].Links
	for _, number := range slices.Sorted(maps.Keys(links)) {
		addresses := []netip.Addr{}
		if a, err := netip.ParseAddr(links[number]); err == nil {
			addresses = append(addresses, a)
		} else if addresses, err = observe.Resolves.Observe(ctx, e.host, links[number]); err != nil {
			return "", err
		}
		at, err := endOf(ctx, e.host, func(p netip.Prefix) bool { return slices.Contains(addresses, p.Addr()) })
		if err != nil || at.link == "" {
			if err != nil {
				return "", err
			}
			continue // it is down already
		}
		below, err := cards(ctx, e.host, at.link, 0)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(below, func(card string) bool { return slices.Contains(own, card) }) {
			return links[number], nil
		}
	}
	return "", nil
}

// deepest limits how many interfaces may be stacked, such as a VLAN on a bridge on a VLAN on a bond.
const deepest = 8

// cards returns the lowest interfaces below one, or the interface itself if there are none.
func cards(ctx context.Context, h modules.Host, link string, depth int) ([]string, error) {
	listing, err := observe.Dirs.Observe(ctx, h, "/sys/class/net/"+link)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range listing.Entries {
		lower, ok := strings.CutPrefix(name, "lower_")
		if !ok || depth == deepest {
			continue
		}
		below, err := cards(ctx, h, lower, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	if len(all) == 0 {
		all = []string{link}
	}
	return all, nil
}
