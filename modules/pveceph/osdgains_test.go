package pveceph

import (
	"strings"
	"testing"

	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

// A new OSD gets data of its class: the plan says how much, and more than max_moved is refused, half if it is not given.
func TestDataMovesToANewOSD(t *testing.T) {
	d := ceph.Distribution{Usages: map[string]ceph.Usage{"hdd": {Total: 24 << 30, Used: 8 << 30}}, Weights: map[int]ceph.OSDWeight{}, Nearfull: 0.85}
	for id := range 6 {
		d.Weights[id] = ceph.OSDWeight{Crush: 3.6379788, Reweight: 1, Class: "hdd"} // 4 TB, as the new disk
	}
	full, empty := existingPool(), existingPool()
	full.Stored = 1 << 40
	little, unknown, own := existingPool(), existingPool(), existingPool()
	little.Stored, unknown.Stored, own.Stored = 100<<20, -1, -1
	large := ceph.Distribution{Usages: d.Usages, Weights: map[int]ceph.OSDWeight{0: {Crush: 0.9, Reweight: 1, Class: "hdd"}, 1: {Crush: 0.9, Reweight: 1, Class: "hdd"}}, Nearfull: 0.85}
	of := func(pool ceph.Pool) map[string]ceph.Pool { return map[string]ceph.Pool{"vm-disks": pool} }
	for name, test := range map[string]struct {
		osd   OSD
		has   *ceph.Distribution // instead of six OSDs like the new disk
		pools map[string]ceph.Pool
		says  string
		err   string
	}{
		"data":                {osd: OSD{}, pools: of(full), says: "; about 14.3 % of the data of class hdd moves to it (1170.3 GiB)"},
		"another class":       {osd: OSD{Class: "ssd"}, pools: of(full)},
		"no data":             {osd: OSD{MaxMoved: "1%"}, pools: of(empty)},
		"no pools":            {osd: OSD{}, pools: nil},
		"within the limit":    {osd: OSD{MaxMoved: "15%"}, pools: of(full), says: "about 14.3 %"},
		"more than the limit": {osd: OSD{MaxMoved: "10%"}, pools: of(full), err: "about 14.3 % of the data of class hdd (1170.3 GiB) would move to a new OSD on /dev/sdb, and osd.max_moved is 10.0 %"},
		"more than usual":     {osd: OSD{}, has: &large, pools: of(full), err: "about 66.9 % of the data of class hdd (5480.4 GiB) would move to a new OSD on /dev/sdb, and osd.max_moved is 50.0 %"},
		"which is allowed":    {osd: OSD{MaxMoved: "100%"}, has: &large, pools: of(full), says: "about 66.9 %"},
		"little":              {osd: OSD{}, has: &large, pools: of(little), says: "about 66.9 %"},
		"little, but limited": {osd: OSD{MaxMoved: "50%"}, has: &large, pools: of(little), err: "osd.max_moved is 50.0 %"},
		"nobody knows":        {osd: OSD{}, has: &large, pools: of(unknown), err: "osd.max_moved is 50.0 %"},
		"of Ceph's own pool":  {osd: OSD{}, has: &large, pools: map[string]ceph.Pool{".mgr": own}, says: "about 66.9 %"},
	} {
		t.Run(name, func(t *testing.T) {
			test.osd.Device, test.osd.MaxWiped = "/dev/sdb", 1
			is := d
			if test.has != nil {
				is = *test.has
			}
			h := node(ceph.Distributions.Expect("", is), ceph.Pools.Expect("", test.pools))
			m := &Module{OSD: &test.osd}
			if test.err != "" {
				if _, err := m.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %q", err, test.err)
				}
				return
			}
			said := modulestest.Summaries(modulestest.Converges(t, m, h))
			if !strings.Contains(said, test.says) || test.says == "" && strings.Contains(said, "moves") {
				t.Errorf("expected %q, got:\n%s", test.says, said)
			}
		})
	}
	h := node(ceph.Distributions.Unknown("", "the CRUSH map places other OSDs"), ceph.Pools.Expect("", of(full)))
	if said := modulestest.Summaries(modulestest.Converges(t, &Module{OSD: &OSD{Device: "/dev/sdb", MaxWiped: 1, MaxMoved: "1%"}}, h)); strings.Contains(said, "moves") {
		t.Errorf("check mode cannot know the weights, and says:\n%s", said)
	}
	if err := (&Module{OSD: &OSD{Device: "/dev/sdb", MaxMoved: "0.1"}}).Validate(); err == nil {
		t.Error("max_moved = 0.1 is accepted")
	}
}
