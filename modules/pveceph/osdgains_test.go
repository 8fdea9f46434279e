package pveceph

import (
	"strings"
	"testing"

	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

// A new OSD gets data of its class: the plan says how much, and max_moved limits it.
func TestDataMovesToANewOSD(t *testing.T) {
	d := ceph.Distribution{Usages: map[string]ceph.Usage{"hdd": {Total: 24 << 30, Used: 8 << 30}}, Weights: map[int]ceph.OSDWeight{}, Nearfull: 0.85}
	for id := range 6 {
		d.Weights[id] = ceph.OSDWeight{Crush: 3.6379788, Reweight: 1, Class: "hdd"} // 4 TB, as the new disk
	}
	full, empty := existingPool(), existingPool()
	full.Stored = 1 << 40
	of := func(pool ceph.Pool) map[string]ceph.Pool { return map[string]ceph.Pool{"vm-disks": pool} }
	for name, test := range map[string]struct {
		osd   OSD
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
	} {
		t.Run(name, func(t *testing.T) {
			test.osd.Device, test.osd.MaxWiped = "/dev/sdb", 1
			h := node(ceph.Distributions.Expect("", d), ceph.Pools.Expect("", test.pools))
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
	if err := (&Module{OSD: &OSD{Device: "/dev/sdb", MaxMoved: "0.1"}}).Validate(); err == nil {
		t.Error("max_moved = 0.1 is accepted")
	}
}
