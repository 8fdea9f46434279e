package pveceph

import (
	"strings"
	"testing"

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
	if said := modulestest.Summaries(plan); !strings.Contains(said, "; up to 133.3 % of its data moves") {
		t.Errorf("the plan does not say how much moves: %s", said)
	}
}

// The step warns about a pool that the loss of one host can stop, and could not before.
func TestCopiesThatShareAHost(t *testing.T) {
	for name, test := range map[string]struct {
		pool Pool
		says string // "" if hosts are not mentioned
	}{
		"another failure domain":             {Pool{CrushRule: "by-osd"}, "; ALL COPIES MAY SHARE A HOST with rule by-osd: the loss of one host can then stop the pool, or lose its data"},
		"pairs, and too few copies":          {Pool{CrushRule: "pairs"}, "; COPIES MAY SHARE A HOST with rule pairs, up to 2: the loss of one host can then stop the pool"},
		"pairs, and enough copies (guide 2)": {Pool{CrushRule: "pairs", Size: n(5), MinSize: n(3)}, ""},
		"a rule made by hand":                {Pool{CrushRule: "odd"}, ""},
		"copies only":                        {Pool{Size: n(2), MinSize: n(2)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.pool.Name = "vm-disks"
			said := modulestest.Summaries(modulestest.Converges(t, &Module{Pool: &test.pool}, node()))
			if test.says != "" && !strings.Contains(said, test.says) || test.says == "" && strings.Contains(said, "SHARE A HOST") {
				t.Errorf("expected %q, got:\n%s", test.says, said)
			}
		})
	}
}
