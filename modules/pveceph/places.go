package pveceph

import (
	"fmt"

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
		return fmt.Errorf("pool %s: %d copies need as many OSDs, but the rule can choose from only %d", pool, size, count)
	case rule.FailureDomain == "host" && size > spread && per == 1:
		return fmt.Errorf("pool %s: %d copies with failure domain host need as many hosts with OSDs, but there are %d: use fewer copies, a rule with per_domain = 2, or one with failure domain osd", pool, size, len(hosts))
	case rule.FailureDomain == "host" && size > spread:
		return fmt.Errorf("pool %s: %d copies do not fit: the rule places at most %d on a host, each on a different OSD, so there is room for %d", pool, size, per, spread)
	}
	return nil
}
