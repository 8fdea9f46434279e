package pveceph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Reweight lowers the overrides of OSDs that hold too much.
type Reweight struct {
	By        string   `hcl:"by" enum:"utilization,pg" doc:"What an OSD has too much of: data (utilization), or placement groups for its weight (pg)."`
	Overload  int      `hcl:"overload,optional" default:"120" doc:"From how many percent of the average on an OSD has too much: more than 100."`
	MaxChange float64  `hcl:"max_change,optional" default:"0.05" doc:"By how much an override changes at most, above 0 and up to 1."`
	MaxOSDs   int      `hcl:"max_osds,optional" default:"4" doc:"How many OSDs change at most."`
	Pools     []string `hcl:"pools,optional" doc:"Only count placement groups of these pools; with by = \"pg\" only."`
	MaxMoved  string   `hcl:"max_moved,optional" default:"10%" doc:"How many of the copies of placement groups may move, as a percentage."`
}

func (r *Reweight) scope() modules.Scope { return modules.OncePerCluster }

func (r *Reweight) validate() error {
	switch {
	case r.Overload <= 100:
		return &modules.ArgumentError{Argument: "reweight.overload", Problem: strconv.Itoa(r.Overload), Want: "expected a percentage of the average, above 100"}
	case !(r.MaxChange > 0 && r.MaxChange <= 1):
		return &modules.ArgumentError{Argument: "reweight.max_change", Problem: float(r.MaxChange), Want: "expected a number above 0, at most 1"}
	case r.MaxOSDs < 1:
		return &modules.ArgumentError{Argument: "reweight.max_osds", Problem: strconv.Itoa(r.MaxOSDs), Want: "expected 1 or more"}
	case len(r.Pools) > 0 && r.By != "pg":
		return &modules.ArgumentError{Argument: "reweight.pools", Problem: "it applies only to counting placement groups", Want: "set by = \"pg\""}
	}
	for _, pool := range r.Pools {
		if err := ceph.CheckName("reweight.pools", pool); err != nil {
			return err
		}
	}
	_, err := percentage("reweight.max_moved", r.MaxMoved)
	return err
}

// harmless lists the modes in which the balancer moves no placement groups: off, none, and read, which only changes which copy is read.
// In mode crush-compat it raises overrides to 1 again.
var harmless = []string{"", "none", "read"}

// words returns the kind and the arguments of Ceph's reweight-by-KIND command.
func (r *Reweight) words() string {
	return strings.Join(append([]string{r.By, strconv.Itoa(r.Overload), float(r.MaxChange), strconv.Itoa(r.MaxOSDs)}, r.Pools...), " ")
}

func (r *Reweight) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	status, err := ceph.Statuses.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if status.Clean < status.PGs {
		s.note("%d of %d placement groups are not active and clean: nothing is reweighted while data moves, because the final distribution is not known yet", status.PGs-status.Clean, status.PGs)
		return s.plan(), nil
	}
	is, err := ceph.Reweightings.Observe(ctx, h, r.words())
	if err != nil {
		return modules.Plan{}, err
	}
	d, err := ceph.Distributions.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	most, err := percentage("reweight.max_moved", r.MaxMoved)
	if err != nil {
		return modules.Plan{}, err
	}
	of, err := r.holds(ctx, h, d)
	if err != nil {
		return modules.Plan{}, err
	}
	moved := 0.0
	if is.Total > 0 {
		moved = float64(is.Moved) / float64(is.Total)
	}
	size := inBytes(moved, of)
	switch {
	case !slices.Contains(harmless, is.Balancer):
		return modules.Plan{}, fmt.Errorf("the balancer is on (mode %s) and moves placement groups itself, and overrides below 1 interfere with it: leave the distribution to it, or turn it off first (ceph balancer off)", is.Balancer)
	case is.Refusal != "":
		s.note("nothing to reweight: Ceph says %q", is.Refusal)
		return s.plan(), nil
	case len(is.Weights) == 0:
		return s.plan(), nil
	case is.NewDeviation >= is.Deviation:
		s.note("nothing is reweighted: Ceph would change %s, but its own dry run shows that this does not improve the distribution of placement groups (standard deviation %.2f, then %.2f)", r.text(d, is), is.Deviation, is.NewDeviation)
		return s.plan(), nil
	case moved > most+1e-9:
		return modules.Plan{}, fmt.Errorf("reweighting (%s) would move %d of %d copies of placement groups, %s%s, and reweight.max_moved is %s: lower max_osds or max_change, or raise it",
			r.text(d, is), is.Moved, is.Total, percent(moved), size, percent(most))
	}
	plan := s.plan(r.steps(s, d, is, fmt.Sprintf("%d of %d copies of placement groups move, about %s of the data%s", is.Moved, is.Total, percent(moved), size))...)
	plan.Repeats = true // Ceph takes a bounded step each time, and the next one can be judged only once the data has moved
	return plan, nil
}

// holds returns how many bytes the placement groups hold that the dry run counts, copies included, or -1 if that is not known.
func (r *Reweight) holds(ctx context.Context, h modules.Host, d ceph.Distribution) (int64, error) {
	if len(r.Pools) == 0 {
		sum := int64(-1)
		for class := range d.Usages {
			sum = max(sum, 0) + classUsed(d, class)
		}
		return sum, nil
	}
	pools, err := ceph.Pools.Observe(ctx, h, "")
	if err != nil {
		return 0, err
	}
	counted := map[string]ceph.Pool{}
	for _, name := range r.Pools {
		pool, ok := pools[name]
		if !ok {
			return 0, fmt.Errorf("reweight.pools: there is no pool %s", name)
		}
		counted[name] = pool
	}
	return held(counted), nil
}

// text lists the changes.
func (r *Reweight) text(d ceph.Distribution, is ceph.Reweighting) string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(is.Weights)) {
		all = append(all, fmt.Sprintf("osd.%d %s → %s", id, weightText(d.Weights[id].Reweight), weightText(is.Weights[id])))
	}
	return strings.Join(all, ", ")
}

// steps sets the overrides that the dry run has shown, one by one. Ceph's own command would calculate again, possibly with
// another result. moves says how much moves in all.
func (r *Reweight) steps(s *state, d ceph.Distribution, is ceph.Reweighting, moves string) []modules.Step {
	var steps []modules.Step
	for i, id := range slices.Sorted(maps.Keys(is.Weights)) {
		name := fmt.Sprintf("osd.%d", id)
		before, after := d.Weights[id], d.Weights[id]
		after.Reweight = is.Weights[id]
		d = d.With(id, after)
		summary := fmt.Sprintf("reweight %s to %s instead of %s", name, weightText(after.Reweight), weightText(before.Reweight))
		if i == 0 {
			summary += fmt.Sprintf("; in all %s, standard deviation %.2f → %.2f", moves, is.Deviation, is.NewDeviation)
		}
		steps = append(steps, modules.Step{
			Risk:    modules.MovesData,
			Summary: summary,
			Action:  cephCommand("osd", "reweight", strconv.Itoa(id), float(after.Reweight)),
			Diff:    &modules.Diff{Subject: "override of " + name, Before: weightText(before.Reweight), After: weightText(after.Reweight)},
			Expect: append(pve.Everywhere(s.host, ceph.Distributions.Expect("", d), ceph.Statuses.Unknown("", "data moves to or from "+name)),
				ceph.Healths.Unknown("", "data moves to or from "+name).On(s.host)),
			Settle: 30 * time.Second,
			Await:  "the override of " + name,
			Wide:   true,
		})
	}
	return steps
}
