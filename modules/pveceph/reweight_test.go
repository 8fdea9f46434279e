package pveceph

import (
	"strings"
	"testing"

	"hlplay/engine/lang"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

func TestReweight(t *testing.T) {
	found := ceph.Reweighting{Weights: map[int]float64{3: 0.95001220703125, 1: 0.9}, Moved: 5, Total: 100, Deviation: 12.4, NewDeviation: 11.9}
	for name, test := range map[string]struct {
		change func(*ceph.Reweighting)
		clean  int
		want   string // the commands, a note or an error
	}{
		"what the dry run says": {want: "osd reweight 1 0.9\nosd reweight 3 0.95001"},
		"nothing to do":         {change: func(r *ceph.Reweighting) { r.Weights = nil }},
		"the balancer":          {change: func(r *ceph.Reweighting) { r.Balancer = "upmap" }, want: "turn it off first (ceph balancer off)"},
		"another balancer":      {change: func(r *ceph.Reweighting) { r.Balancer = "crush-compat" }, want: "the balancer is on (mode crush-compat)"},
		"balancer of reads too": {change: func(r *ceph.Reweighting) { r.Balancer = "upmap-read" }, want: "the balancer is on (mode upmap-read)"},
		"a mode nobody knows":   {change: func(r *ceph.Reweighting) { r.Balancer = "clever" }, want: "the balancer is on (mode clever)"},
		"balancer of reads":     {change: func(r *ceph.Reweighting) { r.Balancer = "read" }, want: "osd reweight 1 0.9\nosd reweight 3 0.95001"},
		"balancer of mode none": {change: func(r *ceph.Reweighting) { r.Balancer = "none" }, want: "osd reweight 1 0.9\nosd reweight 3 0.95001"},
		"too little data": {change: func(r *ceph.Reweighting) {
			r.Refusal = "Refusing to reweight: we only have 441352 kb used across all osds!"
		}, want: "we only have 441352 kb"},
		"no better":  {change: func(r *ceph.Reweighting) { r.NewDeviation = 13 }, want: "osd.1 1 → 0.9, osd.3 1 → 0.95001, but its own dry run shows that this does not improve"},
		"too much":   {change: func(r *ceph.Reweighting) { r.Moved = 11 }, want: "would move 11 of 100 copies of placement groups, 11.0 % (11.0 GiB), and reweight.max_moved is 10.0 %"},
		"data moves": {clean: 99, want: "1 of 100 placement groups are not active and clean"},
	} {
		t.Run(name, func(t *testing.T) {
			is := found
			if test.change != nil {
				test.change(&is)
			}
			clean := 100
			if test.clean > 0 {
				clean = test.clean
			}
			weights := map[int]ceph.OSDWeight{}
			for id := range 6 {
				weights[id] = ceph.OSDWeight{Crush: 1, Reweight: 1, Class: "hdd"}
			}
			h := node(ceph.Reweightings.Expect("utilization 120 0.05 4", is), ceph.Statuses.Expect("", ceph.Status{PGs: 100, Clean: clean}),
				ceph.Distributions.Expect("", ceph.Distribution{Weights: weights, Usages: map[string]ceph.Usage{"hdd": {Used: 60 << 20}, "ssd": {Used: 40 << 20}}}))
			m := &Module{Reweight: &Reweight{By: "utilization"}}
			lang.Defaults(m)
			plan, err := m.Plan(t.Context(), h)
			var said []string
			for _, step := range plan.Steps {
				said = append(said, strings.Join(step.Action.(modules.Run).Argv[5:], " "))
				if step.Risk != modules.MovesData {
					t.Errorf("%q has risk %v", step.Summary, step.Risk)
				}
			}
			said = append(said, plan.Notes...)
			if err != nil {
				said = append(said, err.Error())
			}
			got := strings.Join(said, "\n")
			if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("it says %q (%s), want %q", got, modulestest.Summaries(plan), test.want)
			}
		})
	}
}

// How much moves is said in GiB, too: of all that the cluster holds, or of the pools that are counted.
func TestReweightSaysHowMuchMoves(t *testing.T) {
	is := ceph.Reweighting{Weights: map[int]float64{1: 0.9}, Moved: 5, Total: 100, Deviation: 12.4, NewDeviation: 11.9}
	weights := map[int]ceph.OSDWeight{1: {Crush: 1, Reweight: 1, Class: "hdd"}}
	used := map[string]ceph.Usage{"hdd": {Used: 60 << 20}, "": {Used: 40 << 20}} // KiB
	pools := map[string]ceph.Pool{"vm": {Size: 3, Stored: 20 << 30}, "other": {Size: 3, Stored: 90 << 30}, "new": {Size: 3, Stored: -1}}
	for name, test := range map[string]struct {
		pools  []string
		usages map[string]ceph.Usage
		want   string
	}{
		"all":                 {usages: used, want: "in all 5 of 100 copies of placement groups move, about 5.0 % of the data (5.0 GiB), standard deviation 12.40 → 11.90"},
		"unknown":             {want: "move, about 5.0 % of the data, standard"},
		"pools":               {pools: []string{"vm"}, usages: used, want: "5.0 % of the data (3.0 GiB)"},
		"of unknown contents": {pools: []string{"vm", "new"}, usages: used, want: "5.0 % of the data, standard"},
		"that do not exist":   {pools: []string{"gone"}, want: "reweight.pools: there is no pool gone"},
	} {
		t.Run(name, func(t *testing.T) {
			words := strings.Join(append([]string{"pg 120 0.05 4"}, test.pools...), " ")
			h := node(ceph.Reweightings.Expect(words, is), ceph.Statuses.Expect("", ceph.Status{PGs: 100, Clean: 100}), ceph.Pools.Expect("", pools),
				ceph.Distributions.Expect("", ceph.Distribution{Weights: weights, Usages: test.usages}))
			m := &Module{Reweight: &Reweight{By: "pg", Pools: test.pools}}
			lang.Defaults(m)
			plan, err := m.Plan(t.Context(), h)
			got := modulestest.Summaries(plan)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

func TestReweightArguments(t *testing.T) {
	for want, r := range map[string]Reweight{
		"reweight.overload":   {By: "pg", Overload: 100, MaxChange: 0.05, MaxOSDs: 4, MaxMoved: "10%"},
		"reweight.max_change": {By: "pg", Overload: 120, MaxOSDs: 4, MaxMoved: "10%"},
		"reweight.max_osds":   {By: "pg", Overload: 120, MaxChange: 0.05, MaxMoved: "10%"},
		"reweight.pools":      {By: "utilization", Overload: 120, MaxChange: 0.05, MaxOSDs: 4, MaxMoved: "10%", Pools: []string{"a"}},
		"reweight.max_moved":  {By: "pg", Overload: 120, MaxChange: 0.05, MaxOSDs: 4, MaxMoved: "0.1"},
	} {
		if err := (&Module{Reweight: &r}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", want, err)
		}
	}
}
