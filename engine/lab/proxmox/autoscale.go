package proxmox

import (
	"math"
	"slices"
	"time"
)

// The autoscaler checks the pools once a minute and changes PG numbers that are wrong by a factor of three or more. As
// the pools have no data, only a minimum, a target ratio or the flag bulk determine the right number.
const (
	scaleEvery     = time.Minute
	scaleThreshold = 3.0
	pgsPerOSD      = 100
)

func (v *view) autoscale(c *Ceph) {
	if c.NoModules || c.ActiveMgr == "" || len(c.upOSDs(v)) == 0 || v.now.Sub(c.ScaledAt) < scaleEvery {
		return
	}
	first := c.ScaledAt.IsZero()
	c.ScaledAt = v.now
	if first {
		return
	}
	overlapping := c.overlapping()
	for _, p := range c.Pools {
		if overlapping[p.Rule] || p.Autoscale != "on" || v.now.Sub(p.Created) < scaleEvery/2 {
			continue
		}
		ideal := c.idealPGs(p)
		if ratio := float64(ideal) / float64(p.PGs); ratio >= scaleThreshold || ratio <= 1/scaleThreshold {
			c.mapChanged(v.now)
			p.LastChange = c.OSDEpoch
			if ideal > p.PGs {
				p.Split = c.OSDEpoch
			}
			p.PGs, p.PGPs, p.Moved = ideal, ideal, v.now
		}
	}
}

// overlapping returns the rules that choose some OSDs under one root that another rule chooses under another, as when
// one rule takes all OSDs and another those of a class. The autoscaler silently ignores pools with such rules.
func (c *Ceph) overlapping() map[int]bool {
	classes := map[string]bool{}
	for _, p := range c.Pools {
		if r := c.ruleByID(p.Rule); r != nil && slices.ContainsFunc(c.OSDs, func(o *OSD) bool { return o.Booted && (r.Class == "" || r.Class == o.Class) }) {
			classes[r.Class] = true
		}
	}
	rules := map[int]bool{}
	if classes[""] && len(classes) > 1 {
		for _, r := range c.Rules {
			rules[r.ID] = classes[r.Class]
		}
	}
	return rules
}

// idealPGs returns the PG number that the autoscaler aims at.
func (c *Ceph) idealPGs(p *Pool) int {
	least := count(p.Options["pg_num_min"], 32)
	if p.Options["pg_num_min"] == "" && slices.ContainsFunc(c.FileSystems, func(f *FileSystem) bool { return f.Metadata == p.ID }) {
		least = 16
	}
	osds := 0
	for _, o := range c.OSDs {
		osds += number(o.In && o.Booted)
	}
	share := 0.0
	if ratio, ok := optionValue(p.Options["target_size_ratio"]).(float64); ok {
		all := 0.0
		for _, other := range c.Pools {
			if r, ok := optionValue(other.Options["target_size_ratio"]).(float64); ok {
				all += r
			}
		}
		share = ratio / math.Max(all, 1)
	} else if p.has("bulk") {
		share = 1
	}
	ideal := max(least, nearestPower(share*pgsPerOSD*float64(osds)/float64(p.Size)))
	if most := count(p.Options["pg_num_max"], 0); most > 0 {
		ideal = min(ideal, most)
	}
	return ideal
}

func nearestPower(x float64) int {
	if x < 1 {
		return 1
	}
	return 1 << int(math.Round(math.Log2(x)))
}
