package pveceph

import (
	"cmp"
	"context"
	"fmt"

	"hlplay/modules/internal/ceph"
)

// poolMoved returns an upper bound for the data that a change of a pool moves, as a share of what the pool and its copies
// hold now. It may exceed 1. The actual amount depends on the CRUSH map: another rule may choose OSDs that already have
// the data.
func poolMoved(have, want ceph.Pool) float64 {
	share := 0.0
	if have.Size > 0 && want.Size > have.Size {
		share = float64(want.Size-have.Size) / float64(have.Size) // additional copies are written
	}
	switch few, many := float64(min(have.PGs, want.PGs)), float64(max(have.PGs, want.PGs)); {
	case have.Rule != want.Rule:
		return share + 1
	case many > few:
		return share + 1 - few/many // placement groups that are split or merged move
	}
	return share
}

// scales returns a note if a change of a pool with data lets the autoscaler choose another number of placement groups, which no plan
// can tell; otherwise "".
func scales(name string, have, want ceph.Pool) string {
	same := have.Autoscale == "on" && have.PGsMin == want.PGsMin && have.TargetRatio == want.TargetRatio
	if want.Autoscale != "on" || same || have.Stored == 0 {
		return ""
	}
	return fmt.Sprintf("pool %s: the autoscaler chooses its number of placement groups from then on, and moves data for that, whatever max_moved says: ceph osd pool autoscale-status shows to which number", name)
}

// checkMoved rejects a change that moves more than the task allows, or more than usual if it does not say.
func (p *Pool) checkMoved(have, want ceph.Pool) error {
	if p.MaxMoved == "" && ownPoolName(p.Name) {
		return nil
	}
	moved := poolMoved(have, want)
	most, err := mostMoved("pool.max_moved", p.MaxMoved, moved*float64(copies(have)))
	if err != nil {
		return err
	}
	// Another rule and an additional copy together write more than the pool holds: 100% allows that too.
	if most < 1 && moved > most+1e-9 {
		return fmt.Errorf("pool %s: this change moves up to %s of its data%s, and pool.max_moved is %s: change it in smaller steps, or raise the limit", p.Name, percent(moved), inBytes(moved, copies(have)), percent(most))
	}
	return nil
}

// tight returns a warning, with a better min_size, if a pool stops as soon as any OSD of a placement group is lost;
// otherwise "". Without a name it is about new pools.
func tight(name string, pool ceph.Pool) string {
	if pool.Erasure || pool.MinSize < pool.Size {
		return ""
	}
	better := fmt.Sprintf("min_size = %d", pool.Size-1)
	if pool.Size == 2 {
		better = "size = 3"
	}
	if name == "" {
		return fmt.Sprintf("new pools get min_size %d of %d copies: losing one OSD stops them; prefer %s", pool.MinSize, pool.Size, better)
	}
	return fmt.Sprintf("pool %s has min_size %d of %d copies: losing one OSD stops it; prefer %s", name, pool.MinSize, pool.Size, better)
}

// copies returns how many bytes a pool and its copies hold, or -1 if that is not known.
func copies(pool ceph.Pool) int64 {
	if pool.Stored < 0 {
		return -1
	}
	return pool.Stored * int64(pool.Size)
}

// inBytes returns a share of a number of bytes in parentheses: " (12.5 GiB)". It returns "" if the number is not known, which
// is negative then.
func inBytes(share float64, of int64) string {
	if of < 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f GiB)", share*float64(of)/(1<<30))
}

// onOneHost returns the most copies of a pool that its rule may place on one host; 0 if that is not known.
func onOneHost(pool ceph.Pool, rules map[string]ceph.CrushRule, osds map[string][]ceph.OSD) int {
	most := 0
	rule := rules[pool.Rule]
	for _, n := range places(osds, rule) {
		most = max(most, rule.OnOneHost(pool.Size, n))
	}
	return most
}

// together returns a warning if the loss of one host can stop the pool and could not do so before, because more copies may
// share a host or more of them are needed to serve. It names a better rule if there is one. It returns "" otherwise, and if a
// custom rule leaves that unknown. A new pool has no copies before.
func together(have, want ceph.Pool, rules map[string]ceph.CrushRule, osds map[string][]ceph.OSD) string {
	if want.Erasure {
		return ""
	}
	before, after := onOneHost(have, rules, osds), onOneHost(want, rules, osds)
	stops := func(pool ceph.Pool, onOneHost int) bool { return pool.Size-onOneHost < pool.MinSize }
	known := have.Size == 0 || before > 0 // a new pool has no copies before
	switch {
	case !known || after < 2 || !stops(want, after) || have.Size > 0 && stops(have, before) && after <= before:
		return ""
	case after == want.Size:
		return fmt.Sprintf("; ALL COPIES MAY SHARE A HOST with rule %s: the loss of one host can then stop the pool, or lose its data%s", want.Rule, apart(want, rules, osds))
	}
	return fmt.Sprintf("; COPIES MAY SHARE A HOST with rule %s, up to %d of %d: the loss of one host can then stop the pool%s", want.Rule, after, want.Size, apart(want, rules, osds))
}

// handMade notes what the loss of one host does to a pool whose rule was made by hand, in the worst case.
func (s *state) handMade(ctx context.Context, name string, pool ceph.Pool, osds map[string][]ceph.OSD) error {
	spreads, err := ceph.Spreads.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	spread, ok := spreads[pool.Rule]
	if !ok || spread.Unknown != "" {
		s.note("pool %s: it is not known how many of its copies may share a host: %s", name, cmp.Or(spread.Unknown, "rule "+pool.Rule+" was not found"))
		return nil
	}
	most := 0
	for _, n := range places(osds, ceph.CrushRule{Class: spread.Class}) {
		n = min(n, pool.Size)
		if spread.PerHost > 0 {
			n = min(n, spread.PerHost)
		}
		most = max(most, n)
	}
	if most > 1 && pool.Size-most < pool.MinSize {
		s.note("pool %s: rule %s, made by hand, may put %d of %d copies on one host, and min_size is %d: the loss of that host can stop the pool; prefer a rule with failure_domain = \"host\"",
			name, pool.Rule, most, pool.Size, pool.MinSize)
	}
	return nil
}

// apart returns a rule with which the loss of one host does not stop the pool, as advice: "; prefer …". It returns "" if there
// is none for the hosts and OSDs.
func apart(want ceph.Pool, rules map[string]ceph.CrushRule, osds map[string][]ceph.OSD) string {
	better := ceph.CrushRule{Root: rules[want.Rule].Root, Class: rules[want.Rule].Class, FailureDomain: "host"}
	for per := 1; per <= want.Size-want.MinSize; per++ {
		better.PerDomain = per
		switch {
		case fits("", want.Size, better, osds) != nil:
		case per == 1:
			return `; prefer a rule with failure_domain = "host"`
		default:
			return fmt.Sprintf(`; prefer a rule with failure_domain = "host" and per_domain = %d`, per)
		}
	}
	return ""
}
