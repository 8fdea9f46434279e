package pveceph

import (
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

// checkMoved rejects a change that moves more than the task allows.
func (p *Pool) checkMoved(have, want ceph.Pool) error {
	if p.MaxMoved == "" {
		return nil
	}
	most, err := percentage("pool.max_moved", p.MaxMoved)
	if err != nil {
		return err
	}
	if moved := poolMoved(have, want); moved > most+1e-9 {
		return fmt.Errorf("pool %s: this change moves up to %s of its data, and pool.max_moved is %s: change it in smaller steps, or raise the limit", p.Name, percent(moved), percent(most))
	}
	return nil
}

// tight returns a warning, with a better min_size, if a pool stops as soon as any OSD of a placement group is lost;
// otherwise "".
func tight(name string, pool ceph.Pool) string {
	if pool.Erasure || pool.MinSize < pool.Size {
		return ""
	}
	better := fmt.Sprintf("min_size = %d", pool.Size-1)
	if pool.Size == 2 {
		better = "size = 3"
	}
	return fmt.Sprintf("pool %s has min_size %d of %d copies: losing one OSD stops it; prefer %s", name, pool.MinSize, pool.Size, better)
}

// together returns a warning if, after the change, the loss of one host can stop the pool, and could not before: more
// copies may share a host, or more of them are needed to serve. It returns "" otherwise, and if a custom rule leaves that
// unknown.
func together(have, want ceph.Pool, rules map[string]ceph.CrushRule) string {
	before, after := rules[have.Rule].OnOneHost(have.Size), rules[want.Rule].OnOneHost(want.Size)
	stops := func(pool ceph.Pool, onOneHost int) bool { return pool.Size-onOneHost < pool.MinSize }
	switch {
	case before == 0 || after == 0 || !stops(want, after) || stops(have, before) && after <= before:
		return ""
	case after == want.Size:
		return fmt.Sprintf("; ALL COPIES MAY SHARE A HOST with rule %s: the loss of one host can then stop the pool, or lose its data", want.Rule)
	case after > 1:
		return fmt.Sprintf("; COPIES MAY SHARE A HOST with rule %s, up to %d: the loss of one host can then stop the pool", want.Rule, after)
	}
	return ""
}
