package pveceph

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

const crushText = `tunable choose_total_tries 50
device 0 osd.0 class hdd
device 1 osd.1 class hdd
type 0 osd
type 1 host
type 11 root
host pve1 { id -3 id -4 class hdd alg straw2 item osd.0 weight 0.90970 }
host pve2 { id -5 id -6 class hdd alg straw2 item osd.1 weight 0.90970 }
root default { id -1 id -2 class hdd alg straw2 item pve1 weight 0.90970 item pve2 weight 0.90970 }
rule replicated_rule { id 0 type replicated step take default step chooseleaf firstn 0 type host step emit }
rule spare { id 1 type replicated step take default class hdd step choose firstn 0 type osd step emit }
`

func TestCrush(t *testing.T) {
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(crushText) }
	lighter := edit("osd.1 weight 0.90970", "osd.1 weight 0.8", "item pve2 weight 0.90970", "item pve2")
	hosts, spare := ceph.CrushUse{Rule: 0, Size: 3}, ceph.CrushUse{Rule: 1, Size: 1}
	moves := func(m ceph.CrushMove) ceph.CrushResult {
		return ceph.CrushResult{Version: 7, Moves: map[ceph.CrushUse]ceph.CrushMove{hosts: m, spare: {Tried: 1024}}}
	}
	few := ceph.CrushMove{Tried: 1024, Moved: 0.031}
	for name, test := range map[string]struct {
		text   string
		result ceph.CrushResult
		most   string
		says   string
		fails  string
	}{
		"as it is":                      {text: crushText},
		"the same, written otherwise":   {text: edit("{ id -3", "{ # the first\n\tid -3", "weight 0.90970", "weight 0.910", "id -6 class hdd", "")},
		"a weight":                      {text: lighter, result: moves(few), says: "set the CRUSH map in place of version 7: about 3.1 % of pool vm-disks (9.3 GiB) moves; other tasks that set these must agree: weight of osd.1; the old map is kept in /var/backups/ceph-crushmap-7"},
		"too much":                      {text: lighter, result: moves(few), most: "3%", fails: "would move about 3.1 % of the copies of pool vm-disks (9.3 GiB), and crush.max_moved is 3.0 %"},
		"too few places":                {text: lighter, result: moves(ceph.CrushMove{Tried: 1024, Before: 1, After: 20}), fails: "pool vm-disks of size 3 finds too few OSDs for 20 of 1024 placement groups that crushtool tried (now: 1)"},
		"as few places as before":       {text: lighter, result: moves(ceph.CrushMove{Tried: 1024, Before: 20, After: 20}), says: "pool vm-disks has too few OSDs for 20 of 1024 placement groups that crushtool tried, as it had before"},
		"fewer places for as many":      {text: lighter, result: moves(ceph.CrushMove{Tried: 1024, Before: 1024, After: 1024, Fewer: 1024}), fails: "pool vm-disks of size 3 finds 1024 OSDs fewer for the 1024 placement groups that crushtool tried, so Ceph would remove as many copies"},
		"a rule less":                   {text: crushText[:strings.Index(crushText, "rule spare")], result: moves(ceph.CrushMove{Tried: 1024}), says: "no data moves; rules that it lacks are removed: spare"},
		"copies on one host":            {text: edit("step chooseleaf firstn 0 type host", "step chooseleaf firstn 0 type osd"), result: moves(ceph.CrushMove{Tried: 1024}), says: "COPIES MAY SHARE A HOST with rule replicated_rule"},
		"another rule":                  {text: edit("take default class hdd", "take default"), result: moves(ceph.CrushMove{Tried: 1024}), says: "other tasks that set these must agree: rule spare"},
		"a rule that is used":           {text: edit("rule replicated_rule { id 0", "rule replicated_rule { id 3"), fails: "crush.map lacks rule replicated_rule (id 0), which pool vm-disks uses"},
		"an OSD that was added":         {text: edit("device 1 osd.1 class hdd", "", "item osd.1 weight 0.90970", ""), fails: "crush.map lacks osd.1, which the cluster has: the map was read before that OSD was added"},
		"an OSD that was removed":       {text: edit("type 0 osd\n", "device 2 osd.2\ntype 0 osd\n"), fails: "crush.map has osd.2, which the cluster does not have"},
		"weights that do not add up":    {text: edit("osd.1 weight 0.90970", "osd.1 weight 0.5"), fails: "crush.map gives pve2 the weight 0.9097 in default, but its own items weigh 0.5 together"},
		"crushtool refuses":             {text: lighter, result: ceph.CrushResult{Version: 7, Refusal: "bad"}, fails: "crushtool cannot compile crush.map: bad"},
		"another version while it read": {text: lighter, result: ceph.CrushResult{Version: 8}, fails: "changed while it was being read (version 7, then 8): run again"},
		"crushtool reads it otherwise":  {text: lighter, result: ceph.CrushResult{Version: 7, Compiled: crushText}, fails: "interprets crush.map differently from hlplay"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := existingPool()
			pool.Stored = 100 << 30
			present, err := ceph.ParseCrushText(crushText)
			if err != nil {
				t.Fatal(err)
			}
			have := present.On(ceph.CrushMap{})
			have.Version = 7
			weights := map[int]ceph.OSDWeight{0: {Crush: have.Weights()[0], Reweight: 1, Class: "hdd"}, 1: {Crush: have.Weights()[1], Reweight: 0.5, Class: "hdd"}}
			known := []observe.Expectation{ceph.CrushMaps.Expect("", have), ceph.Distributions.Expect("", ceph.Distribution{Weights: weights}),
				ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": pool})}
			if wanted, err := ceph.ParseCrushText(test.text); err == nil {
				want := wanted.On(have)
				if test.result.Compiled == "" {
					test.result.Compiled = want.Text()
				}
				trial := ceph.CrushTrial{Map: want.Text(), Uses: []ceph.CrushUse{hosts}, Overrides: map[int]float64{1: 0.5}}
				known = append(known, ceph.CrushTrials.Expect(trial.Name(), test.result))
				trial.Uses = append(trial.Uses, spare)
				known = append(known, ceph.CrushTrials.Expect(trial.Name(), test.result))
			}
			most := test.most
			if most == "" {
				most = "5%"
			}
			m := &Module{Crush: &Crush{Map: test.text, MaxMoved: most}}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			h := node(known...)
			plan, err := m.Plan(context.Background(), h)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if said := modulestest.Summaries(plan); !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("steps %q, want %q", said, test.says)
			}
			modulestest.Converges(t, m, h)
			for _, step := range plan.Steps {
				run := step.Action.(modules.Run)
				if got := strings.Join(run.Argv[3:], " "); got != "sh /etc/pve/ceph.conf 7 /var/backups/ceph-crushmap-" || len(step.Objects) != 1 {
					t.Errorf("arguments %q, objects %v", got, step.Objects)
				}
				if err := run.Explain(1, nil, []byte("Error EPERM: prior_version 7 != crush version 8\n")); err == nil || !strings.Contains(err.Error(), "the CRUSH map has changed since version 7") {
					t.Errorf("another's change is reported as %v", err)
				}
			}
		})
	}
	if err := (&Module{Crush: &Crush{Map: "rule {", MaxMoved: "5%"}}).Validate(); err == nil || !strings.Contains(err.Error(), "crush.map: line 1: ") {
		t.Errorf("a text that is no map: %v", err)
	}
}
