package pveceph

import (
	"context"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
)

func TestWeight(t *testing.T) {
	// Ten OSDs of 3.6 TiB; osd.0 has the weight that is said, and the override.
	weighed := func(crush, reweight float64) *observe.Host {
		d := ceph.Distribution{Weights: map[int]ceph.OSDWeight{}}
		for id := range 10 {
			d.Weights[id] = ceph.OSDWeight{Crush: 3.6, Reweight: 1, Class: "hdd"}
		}
		d.Weights[0] = ceph.OSDWeight{Crush: crush, Reweight: reweight, Class: "hdd"}
		return node(ceph.Distributions.Expect("", d))
	}
	f := func(f float64) *float64 { return &f }
	tests := []struct {
		name  string
		m     Weight
		host  *observe.Host
		want  string // the last command, after the options of ceph
		says  string
		fails string
	}{
		{"as it is", Weight{Crush: f(3.6), Reweight: f(1)}, weighed(3.6, 1), "", "", ""},
		{"as Ceph keeps it", Weight{Reweight: f(0.9)}, weighed(3.6, 0.899993896484375), "", "", ""},
		{"a CRUSH weight", Weight{Crush: f(3.0)}, weighed(3.6, 1), "osd crush reweight osd.0 3", "weigh osd.0 3 instead of 3.6: about 1.5 % of the data of class hdd moves", ""},
		{"a reweight", Weight{Reweight: f(0.9)}, weighed(3.6, 1), "osd reweight 0 0.9", "weigh osd.0 3.6 × 0.9 instead of 3.6: about 0.9 %", ""},
		{"both", Weight{Crush: f(3.5), Reweight: f(0.9)}, weighed(3.6, 1), "osd reweight 0 0.9", "weigh osd.0 3.5 instead of 3.6", ""},
		{"a share (G1.43)", Weight{Crush: f(1), MaxMoved: "100%"}, weighed(3.6, 1), "", "", "looks like a share, but the CRUSH weight is a capacity in TiB: osd.0 has 3.6 now; for a share of 1 use reweight = 1"},
		{"a share of a small disk", Weight{Crush: f(1), MaxMoved: "100%"}, weighed(0.01, 1), "", "", "looks like a share"},
		{"half of a small disk", Weight{Crush: f(0.4), MaxMoved: "100%"}, weighed(0.9, 1), "osd crush reweight osd.0 0.4", "", ""},
		{"emptied", Weight{Crush: f(0)}, weighed(3.6, 1), "osd crush reweight osd.0 0", "about 10.0 %", ""},
		{"too much", Weight{Crush: f(0), MaxMoved: "5%"}, weighed(3.6, 1), "", "", "would move about 10.0 % of the data of class hdd, and weight.max_moved is 5.0 %"},
		{"twice its size", Weight{Crush: f(14.4)}, weighed(3.6, 1), "", "", "would move about 20.8 %"},
		{"one that is out", Weight{Reweight: f(0.9)}, weighed(3.6, 0), "", "", "osd.0 is out"},
		{"one that is not there", Weight{OSD: "osd.17", Reweight: f(0.9)}, weighed(3.6, 1), "", "", "the CRUSH map has no osd.17"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.m.OSD == "" {
				test.m.OSD = "osd.0"
			}
			m := modulestest.Decoded(&Module{Weight: &test.m})
			if m.Weight.MaxMoved == "" {
				m.Weight.MaxMoved = "10%"
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			_, err := m.Plan(context.Background(), test.host)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, test.host)
			if got := strings.TrimPrefix(command(t, plan), "ceph -c /etc/pve/ceph.conf --connect-timeout 10 "); got != test.want {
				t.Errorf("command %q, want %q", got, test.want)
			}
			if said := modulestest.Summaries(plan); !strings.Contains(said, test.says) {
				t.Errorf("steps %q, want %q", said, test.says)
			}
		})
	}
}
