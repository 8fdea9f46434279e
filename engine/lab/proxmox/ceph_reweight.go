package proxmox

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Commands: ceph osd reweight-by-utilization and reweight-by-pg, and their dry runs. The plan is made as Ceph makes it.
// The number of PGs that it would move is an estimate, because the simulated placement ignores weights.

// Below these limits, Ceph refuses to reweight: mon_reweight_min_bytes_per_osd and mon_reweight_min_pgs_per_osd.
const (
	reweightMinBytes = 100 << 20
	reweightMinPGs   = 10
)

func reweightCommands() []cephCommand {
	var all []cephCommand
	for _, by := range []string{"utilization", "pg"} {
		for _, test := range []string{"", "test-"} {
			words := "osd " + test + "reweight-by-" + by
			all = append(all, cephCommand{words: words, mgr: true, run: func(v *view, c *Ceph, args []string) reply {
				q, bad := readReweight(words, by == "pg", args)
				if bad != nil {
					return *bad
				}
				return v.reweightBy(c, q, test != "")
			}})
		}
	}
	return all
}

// reweighting holds the arguments of one of these commands.
type reweighting struct {
	byPG, noIncreasing bool
	overload, osds     int
	change             float64
	pools              []string
}

func readReweight(words string, byPG bool, args []string) (reweighting, *reply) {
	q := reweighting{byPG: byPG, overload: 120, osds: 4, change: 0.05}
	usage := words + " [<oload:int>] [<max_change:float>] [<max_osds:int>] "
	what := "reweight OSDs by utilization [overload-percentage-for-consideration, default 120]"
	if byPG {
		usage += "[<pools>...] "
		what = "reweight OSDs by PG distribution [overload-percentage-for-consideration, default 120]"
	} else {
		usage += "[--no-increasing] "
	}
	if strings.Contains(words, "test-") {
		what = "dry run of " + what
	}
	position := 0
	for _, arg := range args {
		if arg == "--no-increasing" || arg == "no_increasing" {
			q.noIncreasing = true
			continue
		}
		var err error
		switch position {
		case 0:
			q.overload, err = strconv.Atoi(arg)
		case 1:
			q.change, err = strconv.ParseFloat(arg, 64)
		case 2:
			q.osds, err = strconv.Atoi(arg)
		default:
			if byPG {
				q.pools = append(q.pools, arg)
			} else {
				err = strconv.ErrSyntax
			}
		}
		if err != nil {
			bad := invalid(fmt.Sprintf("%s not valid:  %s not one of 'true', 'false'\nInvalid command: unused arguments: ['%s']", arg, arg, arg), usage+":  "+what)
			return q, &bad
		}
		position++
	}
	return q, nil
}

// planned is one change in a plan.
type planned struct{ osd, from, to int }

func (v *view) reweightBy(c *Ceph, q reweighting, dry bool) reply {
	switch {
	case q.change <= 0:
		return refuse(eINVAL, "max_change %s must be positive", general(q.change))
	case q.osds <= 0:
		return refuse(eINVAL, "max_osds %d must be positive", q.osds)
	}
	for _, name := range q.pools {
		if c.pool(name) == nil {
			return refuse(eNOENT, "pool '%s' does not exist", name)
		}
	}
	if q.overload <= 100 {
		return refuse(eINVAL, "You must give a percentage higher than 100. The reweighting threshold will be calculated as <average-utilization> times <input-percentage>. For example, an argument of 200 would reweight OSDs which are twice as utilized as the average OSD.\nFAILED reweight-by-pg")
	}
	utilization, average, refusal := v.utilizations(c, q)
	if refusal != "" {
		return refuse(33, "%s\nFAILED reweight-by-pg", refusal)
	}
	plan := q.plan(c, utilization, average)
	moved := v.estimate(c, q, plan)
	if !dry {
		for _, p := range plan {
			c.osd(p.osd).Reweight = p.to
		}
	}
	r := reply{changed: !dry && len(plan) > 0}
	if dry || len(plan) == 0 {
		r.note = "no change"
	} else {
		c.mapChanged(v.now)
		c.peer(v.now)
	}
	overload := average * float64(q.overload) / 100
	r.text = moved.text() + fmt.Sprintf("\noload %d\nmax_change %s\nmax_change_osds %d\naverage_utilization %.4f\noverload_utilization %.4f\n", q.overload, general(q.change), q.osds, average, overload)
	changes := []object{}
	for _, p := range plan {
		from, to := float64(p.from)/65536, float64(p.to)/65536
		r.text += fmt.Sprintf("osd.%d weight %.4f -> %.4f\n", p.osd, from, to)
		changes = append(changes, obj("osd", p.osd, "weight", from, "new_weight", to))
	}
	r.value = obj("overload_min", q.overload, "max_change", q.change, "max_change_osds", q.osds, "average_utilization", average, "overload_utilization", overload, "reweights", changes, "utilization", moved.value())
	return r
}

// utilizations returns the utilization of each OSD that is in: the used fraction, or its PGs relative to its CRUSH
// weight.
func (v *view) utilizations(c *Ceph, q reweighting) (of map[int]float64, average float64, refusal string) {
	of = map[int]float64{}
	if !q.byPG {
		used, total := v.usage(c)
		if used < int64(len(c.OSDs))*reweightMinBytes {
			return nil, 0, fmt.Sprintf("Refusing to reweight: we only have %d kb used across all osds!", used/1024)
		}
		for _, o := range c.OSDs {
			if o.Booted && o.In {
				of[o.ID] = float64(o.used()) / float64(o.Size)
			}
		}
		return of, float64(used) / float64(total), ""
	}
	copies, weights := 0, 0
	for id, pgs := range v.pgCounts(c, q.pools) {
		if o := c.osd(id); pgs > 0 && o.Weight > 0 {
			of[id] = float64(pgs) / o.weight()
			copies, weights = copies+pgs, weights+o.Weight
		}
	}
	if len(of) == 0 || copies/len(of) < reweightMinPGs {
		return nil, 0, fmt.Sprintf("Refusing to reweight: we only have %d PGs across %d osds!", copies, len(of))
	}
	return of, float64(copies) / (float64(weights) / 65536), ""
}

// pgCounts returns the number of PGs per OSD, of the given pools or of all.
func (v *view) pgCounts(c *Ceph, pools []string) map[int]int {
	counts := map[int]int{}
	for _, o := range c.OSDs {
		if o.Booted && o.In {
			counts[o.ID] = v.pgsIn(c, o, pools)
		}
	}
	return counts
}

// plan plans the changes, beginning with the OSDs that are farthest from the average.
func (q reweighting) plan(c *Ceph, utilization map[int]float64, average float64) []planned {
	ids := sortedKeys(utilization)
	slices.SortStableFunc(ids, func(a, b int) int {
		x, y := math.Abs(utilization[a]-average), math.Abs(utilization[b]-average)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	step := int(q.change * 65536)
	var plan []planned
	for _, id := range ids {
		weight := c.osd(id).Reweight
		wanted := int(average / utilization[id] * float64(weight))
		switch {
		case len(plan) == q.osds:
			return plan
		case utilization[id] >= average*float64(q.overload)/100:
			plan = append(plan, planned{id, weight, max(wanted, weight-step)})
		case !q.noIncreasing && utilization[id] <= average:
			if higher := min(wanted, weight+step, 65536); higher > weight {
				plan = append(plan, planned{id, weight, higher})
			}
		}
	}
	return plan
}

// movement compares the PGs on the OSDs before and after a plan.
type movement struct {
	before, after map[int]int
	moved         int
}

func (v *view) estimate(c *Ceph, q reweighting, plan []planned) movement {
	m := movement{before: v.pgCounts(c, q.pools), after: v.pgCounts(c, q.pools)}
	changes := map[int]bool{}
	for _, p := range plan {
		changes[p.osd] = true
	}
	var others []int
	for _, id := range sortedKeys(m.after) {
		if !changes[id] {
			others = append(others, id)
		}
	}
	for _, p := range plan {
		delta := int(math.Round(float64(m.before[p.osd]) * (1 - float64(p.to)/float64(p.from))))
		for i := range max(delta, -delta) {
			if len(others) == 0 {
				break
			}
			sign := 1
			if delta < 0 {
				sign = -1
			}
			m.after[p.osd] -= sign
			m.after[others[i%len(others)]] += sign
			m.moved++
		}
	}
	return m
}

func (m movement) total() int {
	sum := 0
	for _, n := range m.before {
		sum += n
	}
	return sum
}

func (m movement) mean() float64 { return float64(m.total()) / float64(max(1, len(m.before))) }

func (m movement) deviation(counts map[int]int) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += (m.mean() - float64(n)) * (m.mean() - float64(n))
	}
	return math.Sqrt(sum / float64(max(1, len(counts))))
}

// baseline returns the standard deviation to expect from random placement.
func (m movement) baseline() float64 {
	return math.Sqrt(m.mean() * (1 - 1/float64(max(1, len(m.before)))))
}

// extremes returns the OSDs with the fewest and the most PGs.
func (m movement) extremes() (least, most int) {
	least, most = -1, -1
	for _, id := range sortedKeys(m.before) {
		if least < 0 || m.before[id] < m.before[least] {
			least = id
		}
		if most < 0 || m.before[id] > m.before[most] {
			most = id
		}
	}
	return least, most
}

func (m movement) text() string {
	least, most := m.extremes()
	mean := m.mean()
	line := func(what string, id int) string {
		return fmt.Sprintf("%s osd.%d with %d -> %d pgs (%s -> %s * mean)\n", what, id, m.before[id], m.after[id], general(float64(m.before[id])/mean), general(float64(m.after[id])/mean))
	}
	return fmt.Sprintf("moved %d / %d (%s%%)\navg %s\nstddev %s -> %s (expected baseline %s)\n", m.moved, m.total(), general(100*float64(m.moved)/float64(max(1, m.total()))), general(mean),
		general(m.deviation(m.before)), general(m.deviation(m.after)), general(m.baseline())) + line("min", least) + line("max", most)
}

func (m movement) value() object {
	least, most := m.extremes()
	return obj("moved_pgs", m.moved, "total_pgs", m.total(), "avg_pgs", m.mean(), "std_dev", m.deviation(m.before), "expected_baseline_std_dev", m.baseline(), "new_std_dev", m.deviation(m.after),
		"min_osd", least, "min_osd_pgs", m.before[least], "new_min_osd_pgs", m.after[least], "max_osd", most, "max_osd_pgs", m.before[most], "new_max_osd_pgs", m.after[most])
}

// general formats a number as C++ does by default, with six significant digits.
func general(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
