package pveceph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
)

// places counts, by host, the OSDs that a rule can choose. OSDs that are out are not chosen.
func places(osds map[string][]ceph.OSD, rule ceph.CrushRule) map[string]int {
	places := map[string]int{}
	for host, list := range osds {
		for _, osd := range list {
			if osd.In && (rule.Class == "" || rule.Class == osd.Class) {
				places[host]++
			}
		}
	}
	return places
}

// unfit returns a modules.IntentError.
func unfit(format string, args ...any) error {
	return &modules.IntentError{Err: fmt.Errorf(format, args...), Behind: rearranges}
}

// rearranges reports whether a task may change what copies and placement groups are judged by: OSDs, rules and pools.
func rearranges(m modules.Module) bool {
	of, ok := m.(*Module)
	return !ok || of.OSD != nil || of.OSDAbsent != nil || of.Rule != nil || of.Pool != nil || of.FS != nil || of.Crush != nil || of.Init != nil || of.Mon != nil
}

// fits rejects more copies than there are places: Ceph accepts them, but the placement groups stay undersized forever.
func fits(pool string, size int, rule ceph.CrushRule, osds map[string][]ceph.OSD) error {
	count, spread := 0, 0
	per := max(rule.PerDomain, 1)
	hosts := places(osds, rule)
	for _, n := range hosts {
		count += n
		spread += min(n, per)
	}
	switch {
	case rule.Custom:
		return nil
	case size > count:
		return unfit("pool %s: %d copies need as many OSDs, but the rule can choose from only %d: %s", pool, size, count, fewer(count))
	case rule.FailureDomain == "host" && size > spread && per == 1:
		return unfit("pool %s: %d copies with failure domain host need as many hosts with OSDs, but there are %d: %s, or use a rule with per_domain = 2 or with failure domain osd", pool, size, len(hosts), fewer(len(hosts)))
	case rule.FailureDomain == "host" && size > spread:
		return unfit("pool %s: %d copies do not fit: the rule places at most %d on a host, each on a different OSD, so there is room for %d: %s", pool, size, per, spread, fewer(spread))
	}
	return nil
}

// domains returns the names of the buckets below a rule's root that are its failure domains. There are none for the types that
// places counts, host and osd.
func (s *state) domains(ctx context.Context, rule ceph.CrushRule) ([]string, error) {
	m, err := ceph.CrushMaps.Observe(ctx, s.host, "")
	if err != nil {
		return nil, err
	}
	byName := map[string]ceph.CrushBucket{}
	for _, b := range m.Buckets {
		byName[b.Name] = b
	}
	root, ok := byName[rule.Root]
	switch {
	case len(byName) == 0:
		return nil, fmt.Errorf("the CRUSH map is still empty: it has no bucket of type %s", rule.FailureDomain)
	case !ok:
		return nil, fmt.Errorf("the CRUSH map has no root %s; it has the buckets %s", rule.Root, orNone(strings.Join(slices.Sorted(maps.Keys(byName)), ", ")))
	}
	var found []string
	var visit func(ceph.CrushBucket)
	visit = func(b ceph.CrushBucket) {
		if b.Type == rule.FailureDomain {
			found = append(found, b.Name)
		}
		for _, item := range b.Items {
			if below, ok := byName[item.Name]; ok {
				visit(below)
			}
		}
	}
	visit(root)
	slices.Sort(found)
	return found, nil
}

// apartIn rejects more copies than a rule has failure domains of another type than host and osd.
func (s *state) apartIn(ctx context.Context, pool string, size int, rule ceph.CrushRule) error {
	if rule.Custom || rule.FailureDomain == "host" || rule.FailureDomain == "osd" {
		return nil
	}
	found, err := s.domains(ctx, rule)
	if err != nil {
		return err
	}
	if room := len(found) * max(rule.PerDomain, 1); size > room {
		return fmt.Errorf("pool %s: %d copies do not fit: the rule's root %s has %d buckets of type %s (%s), with room for %d: %s",
			pool, size, rule.Root, len(found), rule.FailureDomain, orNone(strings.Join(found, ", ")), room, fewer(room))
	}
	return nil
}

// fewer says what to do if there are places for that many copies only.
func fewer(places int) string {
	if places < 2 {
		return "create more OSDs first"
	}
	return fmt.Sprintf("set size to %d or less", places)
}
