package pveceph

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Crush sets the CRUSH map as a whole.
type Crush struct {
	Map      string `hcl:"map" doc:"The whole map in crushtool's language. Get the cluster's with ceph osd getcrushmap -o map && crushtool -d map, edit it, and use file(\"map.txt\"). Weights that crushtool has rounded stay exact; a bucket without weight in its parent gets the sum of its items."`
	MaxMoved string `hcl:"max_moved,optional" default:"5%" doc:"How many of the copies of any one pool may move, as a percentage."`
}

func (c *Crush) scope() modules.Scope { return modules.OncePerCluster }

func (c *Crush) validate() error {
	if _, err := ceph.ParseCrushText(c.Map); err != nil {
		return &modules.ArgumentError{Argument: "crush.map", Problem: err.Error(), Want: "expected the output of crushtool -d for the cluster's map, with your changes"}
	}
	_, err := percentage("crush.max_moved", c.MaxMoved)
	return err
}

func (c *Crush) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	text, err := ceph.ParseCrushText(c.Map)
	if err != nil {
		return modules.Plan{}, err
	}
	have, err := ceph.CrushMaps.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if have.Unsupported != "" {
		return modules.Plan{}, fmt.Errorf("hlplay cannot set the CRUSH map without losing part of the cluster's: %s", have.Unsupported)
	}
	want := text.On(have)
	if want.Same(have) {
		return s.plan(), nil
	}
	pools, err := ceph.Pools.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	d, err := ceph.Distributions.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	e := &crushEdit{have: have, want: want, pools: pools, overrides: map[int]float64{}}
	for id, w := range d.Weights {
		if w.Reweight != 1 {
			e.overrides[id] = w.Reweight
		}
	}
	if err := e.checkParts(); err != nil {
		return modules.Plan{}, err
	}
	if err := e.checkTrial(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	most, err := percentage("crush.max_moved", c.MaxMoved)
	if err != nil {
		return modules.Plan{}, err
	}
	if pool, moved := e.mostMoved(); moved > most+1e-9 {
		return modules.Plan{}, fmt.Errorf("this CRUSH map would move about %s of the copies of pool %s%s, and crush.max_moved is %s: change it in smaller steps, or raise the limit", percent(moved), pool, inBytes(moved, copies(pools[pool])), percent(most))
	}
	return s.plan(e.step(h, d)), nil
}

// crushEdit is a change of the CRUSH map.
type crushEdit struct {
	have, want ceph.CrushMap
	pools      map[string]ceph.Pool
	overrides  map[int]float64
	result     ceph.CrushResult
}

// checkParts rejects a map that belongs to another state of the cluster, and one that contradicts itself.
func (e *crushEdit) checkParts() error {
	for _, id := range slices.Sorted(maps.Keys(e.have.Devices)) {
		if is, ok := e.want.Devices[id]; !ok || is.Name != e.have.Devices[id].Name {
			return fmt.Errorf("crush.map lacks %s, which the cluster has: the map was read before that OSD was added; edit the cluster's current map. To remove an OSD, use osd_absent", e.have.Devices[id].Name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.want.Devices)) {
		if _, ok := e.have.Devices[id]; !ok {
			return fmt.Errorf("crush.map has %s, which the cluster does not have: the map was read before that OSD was removed; edit the cluster's current map", e.want.Devices[id].Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if _, ok := e.want.Rules[e.ruleOf(name)]; !ok {
			return fmt.Errorf("crush.map lacks rule %s (id %d), which pool %s uses", e.pools[name].Rule, e.ruleOf(name), name)
		}
	}
	before := e.have.Imbalances()
	for _, i := range e.want.Imbalances() {
		if !slices.Contains(before, i) {
			return fmt.Errorf("crush.map gives %s the weight %s in %s, but its own items weigh %s together: use that weight, or omit it to have it calculated", i.Bucket, weightText(i.Weight), i.Parent, weightText(i.Items))
		}
	}
	return nil
}

// ruleOf returns the ID of the rule that a pool uses.
func (e *crushEdit) ruleOf(pool string) int {
	for id, r := range e.have.Rules {
		if r.Name == e.pools[pool].Rule {
			return id
		}
	}
	return -1
}

// useOf returns how a pool uses its rule.
func (e *crushEdit) useOf(pool string) ceph.CrushUse {
	return ceph.CrushUse{Rule: e.ruleOf(pool), Size: e.pools[pool].Size, Ordered: e.pools[pool].Erasure}
}

// checkTrial has crushtool compile the map and try it, and rejects one that finds places for fewer copies than the cluster's.
func (e *crushEdit) checkTrial(ctx context.Context, h modules.Host) error {
	users := map[ceph.CrushUse]string{}
	used := map[int]bool{}
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if use := e.useOf(name); users[use] == "" {
			users[use], used[use.Rule] = "pool "+name, true
		}
	}
	for id, r := range e.want.Rules {
		if _, had := e.have.Rules[id]; !used[id] {
			users[ceph.CrushUse{Rule: id, Size: 1, New: !had}] = "rule " + r.Name
		}
	}
	uses := slices.SortedFunc(maps.Keys(users), func(a, b ceph.CrushUse) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Size, b.Size), strings.Compare(users[a], users[b]))
	})
	var err error
	e.result, err = ceph.CrushTrials.Observe(ctx, h, ceph.CrushTrial{Map: e.want.Text(), Uses: uses, Overrides: e.overrides}.Name())
	switch {
	case err != nil:
		return err
	case e.result.Version != e.have.Version:
		return fmt.Errorf("the CRUSH map changed while it was being read (version %d, then %d): run again", e.have.Version, e.result.Version)
	case e.result.Refusal != "":
		return fmt.Errorf("crushtool cannot compile crush.map: %s", e.result.Refusal)
	}
	if text, err := ceph.ParseCrushText(e.result.Compiled); err != nil || !text.On(e.want).Same(e.want) {
		return fmt.Errorf("crushtool on %s interprets crush.map differently from hlplay: compare the text with the output of crushtool -c followed by crushtool -d", h.Name())
	}
	for _, use := range uses {
		switch m := e.result.Moves[use]; {
		case m.After > m.Before:
			return fmt.Errorf("with this CRUSH map, %s of size %d finds too few OSDs for %d of %d placement groups that crushtool tried (now: %d)", users[use], use.Size, m.After, m.Tried, m.Before)
		case m.Fewer > 0:
			return fmt.Errorf("with this CRUSH map, %s of size %d finds %s fewer for the %d placement groups that crushtool tried, so Ceph would remove as many copies", users[use], use.Size, plural.Of(m.Fewer, "OSD"), m.Tried)
		}
	}
	return nil
}

// mostMoved returns the pool of which the greatest share moves.
func (e *crushEdit) mostMoved() (pool string, most float64) {
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if moved := e.result.Moves[e.useOf(name)].Moved; moved > most {
			pool, most = name, moved
		}
	}
	return pool, most
}

// moves says which share of which pool moves, and how much that is.
func (e *crushEdit) moves() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if moved := e.result.Moves[e.useOf(name)].Moved; moved > 0 {
			all = append(all, fmt.Sprintf("%s of pool %s%s", percent(moved), name, inBytes(moved, copies(e.pools[name]))))
		}
	}
	if len(all) == 0 {
		return "no data moves"
	}
	return "about " + strings.Join(all, ", ") + " moves"
}

// warnings name what other tasks may set to something else, the rules that are lost, and the pools that have too few places already.
func (e *crushEdit) warnings() string {
	var described, lost []string
	before, after := e.have.Weights(), e.want.Weights()
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if before[id] != after[id] {
			described = append(described, fmt.Sprintf("weight of osd.%d", id))
		}
	}
	was, apart := e.have.Meanings()
	is, spread := e.want.Meanings()
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if now, ok := is[name]; !ok {
			lost = append(lost, name)
		} else if now != was[name] {
			described = append(described, "rule "+name)
		}
	}
	text := ""
	if len(lost) > 0 {
		text += "; rules that it lacks are removed: " + strings.Join(lost, ", ")
	}
	if len(described) > 0 {
		text += "; other tasks that set these must agree: " + strings.Join(described, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		before, known := apart[name]
		if known && before.Unknown == "" && before.PerHost == 1 && spread[name].Unknown == "" && spread[name].PerHost != 1 {
			text += fmt.Sprintf("; COPIES MAY SHARE A HOST with rule %s, which keeps them apart now: the loss of one host can then stop a pool, or lose data", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if m := e.result.Moves[e.useOf(name)]; m.After > 0 {
			text += fmt.Sprintf("; pool %s has too few OSDs for %d of %d placement groups that crushtool tried, as it had before", name, m.After, m.Tried)
		}
	}
	return text
}

// setCrush sets a CRUSH map that comes on standard input. It is given Ceph's configuration, the version of the map that the plan
// saw, and where to keep that map. The monitors compare the version once more.
const setCrush = `set -eu
umask 077
conf=$1 version=$2 kept=$3
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
cd "$dir"
cat >text
ceph -c "$conf" --connect-timeout 10 osd getcrushmap -o old 2>now || { cat now >&2; exit 1; }
now=$(tail -n 1 now)
[ "$now" = "$version" ] || { echo "prior_version $version != crush version $now" >&2; exit 1; }
crushtool -c text -o new
cp -- old "$kept$version"
ceph -c "$conf" --connect-timeout 10 osd setcrushmap "$version" -i new
`

// crushObject is the CRUSH map as a run keeps a copy of it.
var crushObject = modules.Object{
	Name: ceph.CrushMapObject,
	Text: ceph.CrushTexts,
	Restore: func(text string) (string, map[string]string) {
		return "crush", map[string]string{"map": text, "max_moved": "100%"}
	},
}

func (e *crushEdit) step(h modules.Host, d ceph.Distribution) modules.Step {
	rules, spreads := e.want.Meanings()
	after := d
	after.Weights = map[int]ceph.OSDWeight{}
	distribution := ceph.Distributions.Unknown("", "the CRUSH map places other OSDs")
	for id, weight := range e.want.Weights() {
		was, placed := d.Weights[id]
		if !placed {
			break // its override is not known
		}
		after.Weights[id] = ceph.OSDWeight{Crush: weight, Reweight: was.Reweight, Class: e.want.Devices[id].Class}
	}
	if len(after.Weights) == len(e.want.Weights()) {
		distribution = ceph.Distributions.Expect("", after)
	}
	expected := e.want
	expected.Version = 0
	version := strconv.Itoa(e.have.Version)
	return modules.Step{
		Summary: fmt.Sprintf("set the CRUSH map in place of version %s: %s%s; the old map is kept in %s%s", version, e.moves(), e.warnings(), keptMaps, version),
		Action: modules.Run{
			Argv: []string{"sh", "-c", setCrush, "sh", linkTarget, version, keptMaps}, Stdin: []byte(e.want.Text()),
			Env: map[string]string{"LC_ALL": "C"}, Limit: 2 * time.Minute,
			Explain: func(exit int, stdout, stderr []byte) error {
				if bytes.Contains(stderr, []byte("prior_version")) {
					// The text was made without this change and would undo it.
					return fmt.Errorf("the CRUSH map has changed since version %s was read, so nothing was set: update the text from the cluster (ceph osd crush dump), then run again", version)
				}
				return explain(exit, stdout, stderr)
			},
		},
		Diff: &modules.Diff{Subject: "CRUSH map", Before: e.have.Text(), After: e.want.Text()},
		Expect: append(pve.Everywhere(h, ceph.CrushMaps.Expect("", expected), ceph.CrushRules.Expect("", rules), ceph.Spreads.Expect("", spreads), distribution,
			ceph.Statuses.Unknown("", "data moves to other OSDs")), ceph.Healths.Unknown("", "data moves to other OSDs").On(h)),
		Settle:  30 * time.Second,
		Await:   "the new CRUSH map",
		Risk:    modules.MovesData,
		Objects: []string{crushObject.Name},
		Wide:    true,
	}
}
