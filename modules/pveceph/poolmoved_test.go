package pveceph

import (
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

func TestPoolMoved(t *testing.T) {
	is := existingPool()
	tests := map[string]struct {
		change func(*ceph.Pool)
		want   float64
	}{
		"nothing":           {func(*ceph.Pool) {}, 0},
		"min_size":          {func(p *ceph.Pool) { p.MinSize = 3 }, 0},
		"a copy more":       {func(p *ceph.Pool) { p.Size = 4 }, 1.0 / 3},
		"a copy less":       {func(p *ceph.Pool) { p.Size = 2 }, 0},
		"another rule":      {func(p *ceph.Pool) { p.Rule = "by-osd" }, 1},
		"rule and a copy":   {func(p *ceph.Pool) { p.Rule, p.Size = "by-osd", 6 }, 2},
		"twice the PGs":     {func(p *ceph.Pool) { p.PGs = 256 }, 0.5},
		"a quarter of them": {func(p *ceph.Pool) { p.PGs = 32 }, 0.75},
		"rule and PGs":      {func(p *ceph.Pool) { p.Rule, p.PGs = "by-osd", 256 }, 1},
	}
	for name, test := range tests {
		want := is
		test.change(&want)
		if got := poolMoved(is, want); got < test.want-1e-9 || got > test.want+1e-9 {
			t.Errorf("%s: %f, want %f", name, got, test.want)
		}
	}
	plan := modulestest.Converges(t, &Module{Pool: &Pool{Name: "vm-disks", CrushRule: "by-osd", Size: n(4)}}, node())
	if said := modulestest.Summaries(plan); !strings.Contains(said, "; up to 133.3 % of its data moves (0.0 GiB)") {
		t.Errorf("the plan does not say how much moves: %s", said)
	}
	for stored, want := range map[int64]string{
		10 << 30: "; up to 100.0 % of its data moves (30.0 GiB)", // three copies
		-1:       "; up to 100.0 % of its data moves; COPIES",    // no manager has reported how much there is
	} {
		is.Stored = stored
		pools := ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": is})
		plan := modulestest.Converges(t, &Module{Pool: &Pool{Name: "vm-disks", CrushRule: "by-osd", MaxMoved: "100%"}}, node(pools))
		if said := modulestest.Summaries(plan); !strings.Contains(said, want) {
			t.Errorf("with %d bytes: %s", stored, said)
		}
		_, err := (&Module{Pool: &Pool{Name: "vm-disks", CrushRule: "by-osd", MaxMoved: "50%"}}).Plan(t.Context(), node(pools))
		if want, _, _ := strings.Cut(strings.TrimPrefix(want, "; "), "; COPIES"); err == nil || !strings.Contains(err.Error(), strings.Replace(want, "up to 100.0 % of its data moves", "moves up to 100.0 % of its data", 1)+", and pool.max_moved is 50.0 %") {
			t.Errorf("with %d bytes, above max_moved: %v", stored, err)
		}
	}
}

// Without max_moved, half of a pool that holds data may move. An empty pool, and Ceph's own, are not limited.
func TestPoolMovedByDefault(t *testing.T) {
	for name, test := range map[string]struct {
		pool   Pool
		stored int64
		refuse string
	}{
		"another rule":                  {Pool{Name: "vm-disks", CrushRule: "by-osd"}, 10 << 30, "moves up to 100.0 % of its data (30.0 GiB), and pool.max_moved is 50.0 %"},
		"nobody knows what it holds":    {Pool{Name: "vm-disks", CrushRule: "by-osd"}, -1, "moves up to 100.0 % of its data, and pool.max_moved is 50.0 %"},
		"it holds nothing":              {Pool{Name: "vm-disks", CrushRule: "by-osd"}, 0, ""},
		"it holds little":               {Pool{Name: "vm-disks", CrushRule: "by-osd"}, 300 << 20, ""},
		"four times the groups":         {Pool{Name: "vm-disks", PGNum: n(512), Autoscale: "off"}, 10 << 30, "moves up to 75.0 % of its data (22.5 GiB)"},
		"twice the groups":              {Pool{Name: "vm-disks", PGNum: n(256), Autoscale: "off"}, 10 << 30, ""},
		"a copy more":                   {Pool{Name: "vm-disks", Size: n(4), CrushRule: "pairs"}, 10 << 30, "moves up to 133.3 % of its data (40.0 GiB)"},
		"a copy more, and allowed":      {Pool{Name: "vm-disks", Size: n(4), CrushRule: "pairs", MaxMoved: "100%"}, 10 << 30, ""},
		"Ceph's own pool":               {Pool{Name: ".mgr", CrushRule: "by-osd"}, -1, ""},
		"Ceph's own pool, with a limit": {Pool{Name: ".mgr", CrushRule: "by-osd", MaxMoved: "10%"}, 10 << 30, "pool.max_moved is 10.0 %"},
	} {
		t.Run(name, func(t *testing.T) {
			is := existingPool()
			is.Stored = test.stored
			osds := make([]observe.Expectation, 0, len(members)+1)
			for i, member := range members {
				var here []ceph.OSD
				for j := range 3 {
					here = append(here, ceph.OSD{ID: 10*i + j, Up: true, In: true, Class: "hdd"})
				}
				osds = append(osds, ceph.OSDs.Expect(member, here))
			}
			_, err := (&Module{Pool: &test.pool}).Plan(t.Context(), node(append(osds, ceph.Pools.Expect("", map[string]ceph.Pool{test.pool.Name: is}))...))
			if test.refuse == "" && err != nil || test.refuse != "" && (err == nil || !strings.Contains(err.Error(), test.refuse)) {
				t.Errorf("the error is %v, want %q", err, test.refuse)
			}
		})
	}
}

// What the autoscaler will move cannot be told, so that is said where it gets a reason to.
func TestAutoscalerIsToldOf(t *testing.T) {
	for name, test := range map[string]struct {
		have, want ceph.Pool
		says       bool
	}{
		"turned on":            {ceph.Pool{Autoscale: "warn", Stored: 1 << 30}, ceph.Pool{Autoscale: "on"}, true},
		"turned on, unknown":   {ceph.Pool{Autoscale: "off", Stored: -1}, ceph.Pool{Autoscale: "on"}, true},
		"turned on, no data":   {ceph.Pool{Autoscale: "warn"}, ceph.Pool{Autoscale: "on"}, false},
		"another target":       {ceph.Pool{Autoscale: "on", Stored: 1}, ceph.Pool{Autoscale: "on", TargetRatio: 0.8}, true},
		"another minimum":      {ceph.Pool{Autoscale: "on", Stored: 1}, ceph.Pool{Autoscale: "on", PGsMin: 64}, true},
		"on, something else":   {ceph.Pool{Autoscale: "on", Stored: 1}, ceph.Pool{Autoscale: "on", Size: 4}, false},
		"turned off":           {ceph.Pool{Autoscale: "on", Stored: 1}, ceph.Pool{Autoscale: "off"}, false},
		"a target, but not on": {ceph.Pool{Autoscale: "warn", Stored: 1}, ceph.Pool{Autoscale: "warn", TargetRatio: 0.8}, false},
	} {
		if text := scales("p", test.have, test.want); (text != "") != test.says {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// The step warns about a pool that the loss of one host can stop, and could not before.
func TestCopiesThatShareAHost(t *testing.T) {
	const hosts = `; prefer a rule with failure_domain = "host"`
	for name, test := range map[string]struct {
		pool Pool
		osds int    // OSDs on each host; 0 for two
		says string // "" if hosts are not mentioned
	}{
		"another failure domain":             {Pool{CrushRule: "by-osd"}, 0, "; COPIES MAY SHARE A HOST with rule by-osd, up to 2 of 3: the loss of one host can then stop the pool" + hosts},
		"with room for all copies":           {Pool{CrushRule: "by-osd"}, 4, "; ALL COPIES MAY SHARE A HOST with rule by-osd: the loss of one host can then stop the pool, or lose its data" + hosts},
		"with one OSD on each host":          {Pool{CrushRule: "by-osd"}, 1, ""},
		"pairs, and too few copies":          {Pool{CrushRule: "pairs"}, 0, "; COPIES MAY SHARE A HOST with rule pairs, up to 2 of 3: the loss of one host can then stop the pool" + hosts},
		"pairs, and enough copies (guide 2)": {Pool{CrushRule: "pairs", Size: n(5), MinSize: n(3)}, 0, ""},
		"a rule made by hand":                {Pool{CrushRule: "odd"}, 0, ""},
		"copies only":                        {Pool{Size: n(2), MinSize: n(2)}, 0, ""},
		"a new pool":                         {Pool{Name: "new", CrushRule: "by-osd", PGNum: n(32)}, 0, "; COPIES MAY SHARE A HOST with rule by-osd, up to 2 of 3: the loss of one host can then stop the pool" + hosts},
		"a new pool, 4/2 (guide 1)":          {Pool{Name: "new", CrushRule: "by-osd", Size: n(4), PGNum: n(32)}, 0, ""},
		"a new pool, 4/2, more OSDs":         {Pool{Name: "new", CrushRule: "by-osd", Size: n(4), PGNum: n(32)}, 4, "; ALL COPIES MAY SHARE A HOST with rule by-osd: the loss of one host can then stop the pool, or lose its data" + hosts + " and per_domain = 2"},
		"a new pool, 5/3, more OSDs":         {Pool{Name: "new", CrushRule: "by-osd", Size: n(5), MinSize: n(3), PGNum: n(32)}, 4, "; COPIES MAY SHARE A HOST with rule by-osd, up to 4 of 5: the loss of one host can then stop the pool" + hosts + " and per_domain = 2"},
		"a new pool, no rule is better":      {Pool{Name: "new", CrushRule: "by-osd", Size: n(4), MinSize: n(3), PGNum: n(32)}, 0, "; COPIES MAY SHARE A HOST with rule by-osd, up to 2 of 4: the loss of one host can then stop the pool\n"},
		"a new pool over hosts":              {Pool{Name: "new", PGNum: n(32)}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pool.Name == "" {
				test.pool.Name = "vm-disks"
			}
			var osds []observe.Expectation
			for i, member := range members {
				var here []ceph.OSD
				for j := range test.osds {
					here = append(here, ceph.OSD{ID: 10*i + j, Up: true, In: true, Class: "hdd"})
				}
				if len(here) > 0 {
					osds = append(osds, ceph.OSDs.Expect(member, here))
				}
			}
			said := modulestest.Summaries(modulestest.Converges(t, &Module{Pool: &test.pool}, node(osds...))) + "\n"
			if test.says != "" && !strings.Contains(said, test.says) || test.says == "" && strings.Contains(said, "SHARE A HOST") {
				t.Errorf("expected %q, got:\n%s", test.says, said)
			}
		})
	}
}
