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
