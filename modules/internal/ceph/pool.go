package ceph

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
)

// Pool is a pool of the cluster.
type Pool struct {
	// ID is -1 in a prediction, because the cluster assigns the number.
	ID   int
	Size int
	// MinSize is the number of copies that must be available for the pool to serve requests.
	MinSize int
	// PGs is the target number of placement groups; it is approached gradually.
	PGs int
	// PGsNow is the current number; 0 means unknown.
	PGsNow int
	// PGsMin is the autoscaler's lower bound; 0 means none.
	PGsMin int
	// Rule is the name of the CRUSH rule.
	Rule string
	// Autoscale is "on", "off" or "warn".
	Autoscale string
	// TargetRatio is the share of the capacity that the autoscaler assumes; 0 means none.
	TargetRatio float64
	// Applications is sorted: "rbd", "cephfs".
	Applications []string
	// Erasure is set if the pool is erasure-coded; its size then follows from its profile.
	Erasure bool
	// Stored is the number of bytes in its objects, each counted once. It is -1 if no manager has reported it. An
	// expectation does not claim it.
	Stored int64
}

// Pools observes the pools by name, under the empty name.
var Pools = &observe.Kind[map[string]Pool]{
	Complete: completePools,
	Name:     "ceph-pools", What: "Ceph's pools",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parsePools),
}

// completePools leaves unclaimed the ids of new pools, what the pools hold, and the current number of placement groups
// while it is changing.
func completePools(expected, found map[string]Pool) map[string]Pool {
	all := maps.Clone(expected)
	for name, p := range all {
		if is, ok := found[name]; ok {
			if p.ID < 0 {
				p.ID = is.ID
			}
			p.PGsNow, p.Stored = is.PGsNow, is.Stored
			all[name] = p
		}
	}
	return all
}

func parsePools(s monitorsAnswer) (map[string]Pool, error) {
	var report struct {
		Map struct {
			Pools []struct {
				ID        flexInt `json:"pool"`
				Name      string  `json:"pool_name"`
				Type      int     `json:"type"`
				Size      int     `json:"size"`
				MinSize   int     `json:"min_size"`
				Rule      flexInt `json:"crush_rule"`
				Autoscale string  `json:"pg_autoscale_mode"`
				PGs       int     `json:"pg_num"`
				PGsTarget int     `json:"pg_num_target"`
				Options   struct {
					PGsMin      int     `json:"pg_num_min"`
					TargetRatio float64 `json:"target_size_ratio"`
				} `json:"options"`
				Applications map[string]json.RawMessage `json:"application_metadata"`
			} `json:"pools"`
		} `json:"osdmap"`
		Stats []struct {
			ID  flexInt `json:"poolid"`
			Sum *struct {
				Bytes int64 `json:"num_bytes"`
			} `json:"stat_sum"`
		} `json:"pool_stats"`
	}
	if err := readReport(s, &report); err != nil {
		return nil, err
	}
	stored := map[int]int64{}
	for _, stat := range report.Stats {
		if stat.Sum != nil {
			stored[int(stat.ID)] = stat.Sum.Bytes
		}
	}
	rules, err := parseRuleDump(s)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, rule := range rules {
		names[rule.ID] = rule.Name
	}
	pools := map[string]Pool{}
	for _, p := range report.Map.Pools {
		pool := Pool{
			ID: int(p.ID), Size: p.Size, MinSize: p.MinSize, PGs: p.PGsTarget, PGsNow: p.PGs, PGsMin: p.Options.PGsMin,
			Rule: names[int(p.Rule)], Autoscale: p.Autoscale, TargetRatio: p.Options.TargetRatio, Erasure: p.Type == 3,
		}
		if pool.PGs == 0 {
			pool.PGs = p.PGs
		}
		bytes, reported := stored[pool.ID]
		pool.Stored = bytes
		if !reported {
			pool.Stored = -1
		}
		for app := range p.Applications {
			pool.Applications = append(pool.Applications, app)
		}
		slices.Sort(pool.Applications)
		pools[p.Name] = pool
	}
	return pools, nil
}

// flexInt is a number that some versions print as a string.
type flexInt int

func (n *flexInt) UnmarshalJSON(text []byte) error {
	value, err := strconv.Atoi(strings.Trim(string(text), `"`))
	*n = flexInt(value)
	return err
}

// CrushRule describes what a CRUSH rule does.
type CrushRule struct {
	// Root, FailureDomain and Class are the parameters of create-replicated. Class is empty for a rule that uses all
	// devices.
	Root, FailureDomain, Class string
	// PerDomain is the number of copies that may share a failure domain, each on an OSD of its own; 0 means one.
	PerDomain int
	// Custom is set if the rule does not have this form (hand-made, or erasure-coded); the other fields are
	// meaningless then.
	Custom bool
}

// OnOneHost returns the number of copies, of size, that the rule may place on a host with the given number of OSDs that it
// can choose. It is 0 if that is not known, as for a rule made by hand.
func (r CrushRule) OnOneHost(size, osds int) int {
	switch {
	case r.Custom:
		return 0
	case r.FailureDomain == "osd":
		return min(size, osds)
	}
	return min(max(r.PerDomain, 1), size, osds)
}

// CrushRules observes the CRUSH rules by name, under the empty name.
var CrushRules = &observe.Kind[map[string]CrushRule]{
	Name: "ceph-rules", What: "the CRUSH rules",
	Shared: observe.Always,
	Ask:    askMonitors,
	Common: true,
	Alike:  true,
	Parse:  parseWhole(parseCrushRules),
}

// ruleDump is a rule of the CRUSH map.
type ruleDump struct {
	ID    int        `json:"rule_id"`
	Name  string     `json:"rule_name"`
	Type  int        `json:"type"`
	Steps []ruleStep `json:"steps"`
}

// ruleStep is a step of a rule of the CRUSH map.
type ruleStep struct {
	Op   string `json:"op"`
	Item string `json:"item_name"`
	Num  int    `json:"num"`
	Type string `json:"type"`
}

func parseRuleDump(s monitorsAnswer) ([]ruleDump, error) {
	var report struct {
		Map struct {
			Rules []ruleDump `json:"rules"`
		} `json:"crushmap"`
	}
	err := readReport(s, &report)
	return report.Map.Rules, err
}

func parseCrushRules(s monitorsAnswer) (map[string]CrushRule, error) {
	dump, err := parseRuleDump(s)
	if err != nil {
		return nil, err
	}
	rules := map[string]CrushRule{}
	for _, r := range dump {
		rules[r.Name] = r.meaning()
	}
	return rules, nil
}

// meaning interprets the three steps that create-replicated writes: take, choose (leaf) all, emit. There may be
// another step before the last one, which chooses OSDs within each failure domain.
func (r ruleDump) meaning() CrushRule {
	last := len(r.Steps) - 1
	if r.Type != 1 || last < 2 || last > 3 || r.Steps[0].Op != "take" || r.Steps[1].Num != 0 || r.Steps[last].Op != "emit" {
		return CrushRule{Custom: true}
	}
	choose := r.Steps[1]
	root, class, _ := strings.Cut(r.Steps[0].Item, "~")
	rule := CrushRule{Root: root, FailureDomain: choose.Type, Class: class}
	leaves := choose.Op == "chooseleaf_firstn" || choose.Op == "choose_firstn" && choose.Type == "osd"
	if last == 2 && leaves {
		return rule
	}
	if last == 3 && choose.Op == "choose_firstn" && choose.Type != "osd" {
		within := r.Steps[2]
		rule.PerDomain = within.Num
		if strings.HasSuffix(within.Op, "_firstn") && within.Type == "osd" && within.Num > 1 {
			return rule
		}
	}
	return CrushRule{Custom: true}
}
