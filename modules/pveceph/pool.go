package pveceph

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Pool is a replicated pool.
type Pool struct {
	Name        string   `hcl:"name" doc:"Name of the pool."`
	Size        *int     `hcl:"size,optional" doc:"Number of copies, 2 to 7. A new pool gets 3."`
	MinSize     *int     `hcl:"min_size,optional" doc:"Number of copies that must be available for the pool to accept I/O, 2 to size. A new pool gets 2."`
	PGNum       *int     `hcl:"pg_num,optional" doc:"Number of placement groups, a power of two. A new pool gets 128. It is not compared while the autoscaler is on."`
	PGNumMin    *int     `hcl:"pg_num_min,optional" doc:"Minimum for the autoscaler."`
	CrushRule   string   `hcl:"crush_rule,optional" doc:"Name of an existing CRUSH rule. A new pool gets Ceph's default rule."`
	Application string   `hcl:"application,optional" enum:"rbd,cephfs,rgw" doc:"What uses the pool. A new pool gets rbd."`
	Autoscale   string   `hcl:"autoscale,optional" enum:"on,off,warn" doc:"Mode of the autoscaler. A new pool gets warn."`
	TargetRatio *float64 `hcl:"target_ratio,optional" doc:"Share of the capacity that the autoscaler expects the pool to use."`
	MaxMoved    string   `hcl:"max_moved,optional" doc:"Maximum amount of its data that a change of an existing pool may move, as a percentage of what the pool holds with its copies; 100% allows any change. The default is 50%, but less than 1 GiB may always move, and Ceph's own pools (.mgr) are not limited."`
}

func (p *Pool) scope() modules.Scope { return modules.OncePerCluster }

func (p *Pool) validate() error {
	if err := ceph.CheckName("pool.name", strings.TrimPrefix(p.Name, ".")); err != nil {
		return err
	}
	if p.Size != nil || p.MinSize != nil {
		size, minSize := valueOr(p.Size, 3), valueOr(p.MinSize, 2)
		if p.Size == nil {
			size = max(3, min(minSize, 7))
		}
		if err := sizes("pool", size, minSize); err != nil {
			return err
		}
	}
	if p.PGNum != nil && (*p.PGNum < 1 || *p.PGNum > 32768 || *p.PGNum&(*p.PGNum-1) != 0) {
		return &modules.ArgumentError{Argument: "pool.pg_num", Problem: fmt.Sprint(*p.PGNum), Want: "expected a power of two, 1 to 32768"}
	}
	if p.PGNumMin != nil && (*p.PGNumMin < 1 || *p.PGNumMin > valueOr(p.PGNum, 32768)) {
		return &modules.ArgumentError{Argument: "pool.pg_num_min", Problem: fmt.Sprint(*p.PGNumMin), Want: "expected 1 to pg_num"}
	}
	if p.CrushRule != "" {
		if err := ceph.CheckName("pool.crush_rule", p.CrushRule); err != nil {
			return err
		}
	}
	if p.MaxMoved != "" {
		if _, err := percentage("pool.max_moved", p.MaxMoved); err != nil {
			return err
		}
	}
	if p.TargetRatio != nil && *p.TargetRatio < 0 {
		return &modules.ArgumentError{Argument: "pool.target_ratio", Problem: "negative", Want: "expected 0 or more"}
	}
	return nil
}

func valueOr(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}

func (p *Pool) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	ceph.CrushRules.Want(h, "")
	pools, err := ceph.Pools.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	have, exists := pools[p.Name]
	awaited := !exists && strings.HasPrefix(p.Name, ".")
	if awaited {
		have, exists = s.ownPool(), true
	}
	want := p.wanted(have, exists)
	if text := tight(p.Name, want); text != "" {
		s.note("%s", text)
	}
	var changes []change
	if exists {
		if changes, err = p.changes(have, want); err != nil {
			return modules.Plan{}, err
		}
		if len(changes) == 0 && !awaited {
			plan := s.plan()
			plan.Data = p.data(have)
			return plan, nil
		}
	}
	rules, err := ceph.CrushRules.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	osds, err := s.osds(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := p.check(ctx, s, pools, rules, osds, have, want); err != nil {
		return modules.Plan{}, err
	}
	if rules[want.Rule].Custom && (have.Rule != want.Rule || have.Size != want.Size || have.MinSize != want.MinSize) {
		if err := s.handMade(ctx, p.Name, want, osds); err != nil {
			return modules.Plan{}, err
		}
	}
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	steps := []modules.Step{p.create(want)}
	if !exists {
		steps[0].Summary += together(ceph.Pool{}, want, rules, osds)
	}
	switch {
	case awaited:
		steps = []modules.Step{p.await()}
		if len(changes) > 0 {
			steps = append(steps, p.set(changes, have)...)
		}
	case exists:
		if err := p.checkMoved(have, want); err != nil {
			return modules.Plan{}, err
		}
		steps = p.set(changes, have)
		if text := scales(p.Name, have, want); text != "" {
			s.note("%s", text)
		}
		if moved := poolMoved(have, want); moved > 0 {
			steps[len(steps)-1].Summary += fmt.Sprintf("; up to %s of its data moves%s", percent(moved), inBytes(moved, copies(have)))
		}
		steps[len(steps)-1].Summary += together(have, want, rules, osds)
	}
	after := map[string]ceph.Pool{}
	for name, pool := range pools {
		after[name] = pool
	}
	after[p.Name] = want
	for i := range steps {
		steps[i].Wide, steps[i].Elsewhere = true, elsewhere
	}
	last := &steps[len(steps)-1]
	last.Expect = pve.Everywhere(h, ceph.Pools.Expect("", after))
	last.Settle, last.Await = 30*time.Second, "pool "+p.Name+" with these settings"
	plan := s.plan(steps...)
	plan.Data = p.data(want)
	return plan, nil
}

func (p *Pool) data(pool ceph.Pool) cty.Value {
	id := cty.UnknownVal(cty.Number)
	if pool.ID >= 0 {
		id = cty.NumberIntVal(int64(pool.ID))
	}
	return modules.Data(result{ID: id, PGs: &pool.PGs})
}

// wanted returns the pool as it should be. What the task does not set stays, or is pveceph's default.
func (p *Pool) wanted(have ceph.Pool, exists bool) ceph.Pool {
	want := have
	if !exists {
		want = ceph.Pool{ID: -1, Size: 3, MinSize: 2, PGs: 128, Rule: "replicated_rule", Autoscale: "warn", Applications: []string{"rbd"}}
		if p.Application != "" {
			want.Applications = []string{p.Application}
		}
	}
	want.Size = valueOr(p.Size, want.Size)
	want.MinSize = min(valueOr(p.MinSize, want.MinSize), want.Size)
	if p.Autoscale != "" {
		want.Autoscale = p.Autoscale
	}
	if !exists || want.Autoscale != "on" {
		want.PGs = valueOr(p.PGNum, want.PGs)
	}
	want.PGsMin = valueOr(p.PGNumMin, want.PGsMin)
	if p.CrushRule != "" {
		want.Rule = p.CrushRule
	}
	if p.TargetRatio != nil {
		want.TargetRatio = *p.TargetRatio
	}
	if p.Application != "" && len(want.Applications) == 0 {
		want.Applications = []string{p.Application}
	}
	return want
}

// change is a setting of a pool that differs, as pveceph names it.
type change struct{ option, before, after string }

// changes compares an existing pool.
func (p *Pool) changes(have, want ceph.Pool) ([]change, error) {
	if have.Erasure {
		return nil, fmt.Errorf("pool %s exists and is erasure-coded, but this module manages only replicated pools", p.Name)
	}
	if p.Application != "" && len(have.Applications) > 0 && !slices.Contains(have.Applications, p.Application) {
		return nil, fmt.Errorf("pool %s is in use by application %s, the task says %s: use another name for this pool",
			p.Name, strings.Join(have.Applications, ", "), p.Application)
	}
	var all []change
	number := func(option string, before, after int) {
		if before != after {
			all = append(all, change{option, strconv.Itoa(before), strconv.Itoa(after)})
		}
	}
	text := func(option, before, after string) {
		if before != after {
			all = append(all, change{option, before, after})
		}
	}
	text("pg_autoscale_mode", have.Autoscale, want.Autoscale)
	text("crush_rule", have.Rule, want.Rule)
	number("size", have.Size, want.Size)
	if have.Size != want.Size || have.MinSize != want.MinSize {
		// Ceph resets min_size when size changes, so both are set together.
		all = append(all, change{"min_size", strconv.Itoa(have.MinSize), strconv.Itoa(want.MinSize)})
	}
	number("pg_num", have.PGs, want.PGs)
	number("pg_num_min", have.PGsMin, want.PGsMin)
	if math.Abs(have.TargetRatio-want.TargetRatio) > 1e-6 {
		all = append(all, change{"target_size_ratio", float(have.TargetRatio), float(want.TargetRatio)})
	}
	text("application", strings.Join(have.Applications, ","), strings.Join(want.Applications, ","))
	return all, nil
}

func float(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// check rejects what Ceph would accept but could never serve, and what it would reject.
func (p *Pool) check(ctx context.Context, s *state, pools map[string]ceph.Pool, rules map[string]ceph.CrushRule, osds map[string][]ceph.OSD, have, want ceph.Pool) error {
	if want.MinSize < 2 {
		return unfit("pool %s would have min_size %d: a single disk could hold the only copy of what was just written", p.Name, want.MinSize)
	}
	rule, ok := rules[want.Rule]
	if !ok {
		var names []string
		for name := range rules {
			names = append(names, name)
		}
		slices.Sort(names)
		return unfit("pool.crush_rule: there is no rule %s; there are: %s", want.Rule, orNone(strings.Join(names, ", ")))
	}
	if have.Size != want.Size || have.Rule != want.Rule {
		if err := fits(p.Name, want.Size, rule, osds); err != nil {
			return err
		}
		if err := s.apartIn(ctx, p.Name, want.Size, rule); err != nil {
			return err
		}
	}
	if want.PGs*want.Size > have.PGs*have.Size {
		return s.budget(pools, p.Name, want.PGs, func(pgs int) int { return pgs * want.Size }, osds)
	}
	return nil
}

// budget rejects more placement groups with their copies than the OSDs may carry. copies returns how many copies there are for
// a pg_num.
func (s *state) budget(pools map[string]ceph.Pool, name string, pgs int, copies func(pgs int) int, osds map[string][]ceph.OSD) error {
	count := 0
	for _, list := range osds {
		for _, osd := range list {
			if osd.In {
				count++
			}
		}
	}
	limit := 250 // Ceph's default
	for _, section := range []string{"global", "mon"} {
		if n, err := strconv.Atoi(s.conf.Sections[section]["mon_max_pg_per_osd"]); err == nil && n > 0 {
			limit = n
		}
	}
	others := 0
	for other, pool := range pools {
		if other != name {
			others += pool.PGs * pool.Size
		}
	}
	total := others + copies(pgs)
	if total <= limit*count {
		return nil
	}
	better := "create more OSDs first, or shrink other pools"
	for n := 1; n < pgs && others+copies(n) <= limit*count; n *= 2 {
		better = fmt.Sprintf("set pg_num to %d or less", n)
	}
	return unfit("pool %s: %d placement groups with their copies would be on %d OSDs, %d each, but Ceph allows %d each (mon_max_pg_per_osd): %s",
		name, total, count, (total+max(count, 1)-1)/max(count, 1), limit, better)
}

// create creates the pool with every setting given, so that nothing depends on defaults.
func (p *Pool) create(want ceph.Pool) modules.Step {
	args := []string{
		"pool", "create", p.Name,
		"--size", strconv.Itoa(want.Size), "--min_size", strconv.Itoa(want.MinSize),
		"--pg_num", strconv.Itoa(want.PGs), "--pg_autoscale_mode", want.Autoscale,
		"--crush_rule", want.Rule, "--application", want.Applications[0],
	}
	if p.PGNumMin != nil {
		args = append(args, "--pg_num_min", strconv.Itoa(*p.PGNumMin))
	}
	if p.TargetRatio != nil {
		args = append(args, "--target_size_ratio", float(*p.TargetRatio))
	}
	return modules.Step{
		Summary: fmt.Sprintf("create pool %s (size %d, min %d, %d PGs, rule %s)", p.Name, want.Size, want.MinSize, want.PGs, want.Rule),
		Action:  pveceph(5*time.Minute, args...),
	}
}

// set changes what differs, and nothing else: setting a value again costs a new map.
//
// pveceph skips a setting that "did not change" (recorded in 8.4 and 9), and that includes the target of a number of
// placement groups that is still being changed gradually. That setting is therefore made through ceph itself.
func (p *Pool) set(changes []change, have ceph.Pool) []modules.Step {
	var steps []modules.Step
	var by []change
	for _, c := range changes {
		if c.option == "pg_num" && c.after == strconv.Itoa(have.PGsNow) {
			steps = append(steps, p.step([]change{c}, cephCommand("osd", "pool", "set", p.Name, "pg_num", c.after)))
		} else {
			by = append(by, c)
		}
	}
	if len(by) == 0 {
		return steps
	}
	args := []string{"pool", "set", p.Name}
	for _, c := range by {
		args = append(args, "--"+c.option, c.after)
	}
	return append(steps, p.step(by, pveceph(5*time.Minute, args...)))
}

// step returns a step that makes changes with a command.
func (p *Pool) step(changes []change, command modules.Run) modules.Step {
	var said []string
	diff := modules.Diff{Subject: "pool " + p.Name}
	for _, c := range changes {
		if c.before != c.after {
			said = append(said, fmt.Sprintf("%s %s → %s", c.option, orNone(c.before), c.after))
		}
		diff.Before += c.option + " = " + c.before + "\n"
		diff.After += c.option + " = " + c.after + "\n"
	}
	return modules.Step{
		Risk:    modules.MovesData,
		Summary: fmt.Sprintf("change pool %s: %s", p.Name, strings.Join(said, ", ")),
		Action:  command,
		Diff:    &diff,
	}
}
