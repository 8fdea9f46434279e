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

// gone is the fsid of osd.0 on pve1 in these tests.
const gone = "5f7a4b9e-0000-4000-8000-000000000000"

// atBoot activates the volume of that OSD.
const atBoot = "ceph-volume@lvm-0-" + gone + ".service"

// filled returns a node of a cluster with three hosts and four OSDs, two of them on pve1. The OSDs have 1000 KiB in all,
// of which used KiB hold data.
func filled(used int64, more ...observe.Expectation) *observe.Host {
	d := ceph.Distribution{Weights: map[int]ceph.OSDWeight{}, Usages: map[string]ceph.Usage{"hdd": {Total: 1000, Used: used}}, Nearfull: 0.85}
	for id := range 4 {
		d.Weights[id] = ceph.OSDWeight{Crush: 1, Reweight: 1, Class: "hdd"}
	}
	return node(append([]observe.Expectation{
		ceph.OSDs.Expect("pve1", []ceph.OSD{{ID: 0, Up: true, In: true, Class: "hdd", UUID: gone}, {ID: 1, Up: true, In: true, Class: "hdd", UUID: "b"}}),
		ceph.OSDs.Expect("pve2", []ceph.OSD{{ID: 2, Up: true, In: true, Class: "hdd", UUID: "c"}}),
		ceph.OSDs.Expect("pve3", []ceph.OSD{{ID: 3, Up: true, In: true, Class: "hdd", UUID: "d"}}),
		ceph.Distributions.Expect("", d), ceph.Healths.Expect("", ceph.Health{Status: "HEALTH_OK"}),
		ceph.OSDMaps.Expect("", map[string][]ceph.OSD{"pve1": {{ID: 0, UUID: gone}}}),
		observe.Units.Expect(atBoot, observe.Unit{ID: atBoot, LoadState: "loaded", ActiveState: "inactive", UnitFileState: "disabled"}),
	}, more...)...)
}

func TestOSDAbsent(t *testing.T) {
	osds := func(o ceph.OSD, others ...ceph.OSD) observe.Expectation {
		return ceph.OSDs.Expect("pve1", append(others, o))
	}
	other := ceph.OSD{ID: 1, Up: true, In: true, Class: "hdd", UUID: "b"}
	flagged := ceph.Healths.Expect("", ceph.Health{}.WithFlags([]string{"norebalance"}))
	enabled := observe.Units.Expect(atBoot, observe.Unit{ID: atBoot, LoadState: "loaded", ActiveState: "inactive", UnitFileState: "enabled"})
	away := func(fsid string) observe.Expectation {
		return ceph.OSDMaps.Expect("", map[string][]ceph.OSD{"pve1": {other}, "pve9": {{ID: 0, Up: true, UUID: fsid}}})
	}
	heavy := func(weight float64) observe.Expectation {
		d := ceph.Distribution{Weights: map[int]ceph.OSDWeight{}, Usages: map[string]ceph.Usage{"hdd": {Total: 12 << 30, Used: 300 << 20}}, Nearfull: 0.85}
		for id := range 4 {
			d.Weights[id] = ceph.OSDWeight{Crush: 1, Reweight: 1, Class: "hdd"}
		}
		d.Weights[0] = ceph.OSDWeight{Crush: weight, Reweight: 1, Class: "hdd"}
		return ceph.Distributions.Expect("", d)
	}
	tests := []struct {
		name  string
		host  *observe.Host
		wipe  bool
		steps []string // how each of the commands begins, after the options of ceph
		fails string
		note  string
	}{
		{"up and in", filled(300), false, []string{"osd out 0", "osd safe-to-destroy 0", "systemctl stop ceph-osd@0.service", "pveceph osd destroy 0 --cleanup 0"}, "", ""},
		{"its disk is wiped", filled(300), true, []string{"osd out 0", "osd safe-to-destroy 0", "systemctl stop ceph-osd@0.service", "pveceph osd destroy 0 --cleanup 1"}, "", ""},
		{"out, as a run was interrupted", filled(300, osds(ceph.OSD{ID: 0, Up: true, Class: "hdd", UUID: gone}, other)), false,
			[]string{"osd safe-to-destroy 0", "systemctl stop ceph-osd@0.service", "pveceph osd destroy 0 --cleanup 0"}, "", ""},
		{"failed", filled(300, osds(ceph.OSD{ID: 0, Class: "hdd", UUID: gone}, other), ceph.Units.Expect("", active("osd@1"))), false,
			[]string{"osd safe-to-destroy 0", "pveceph osd destroy 0 --cleanup 0"}, "", ""},
		{"removed", filled(300, osds(other)), false, nil, "", ""},
		{"removed, but a boot would wait for it", filled(300, osds(other), enabled), false, []string{"systemctl disable " + atBoot}, "", ""},
		{"a boot would wait for it", filled(300, osds(ceph.OSD{ID: 0, Class: "hdd", UUID: gone}, other), ceph.Units.Expect("", active("osd@1")), enabled), false,
			[]string{"osd safe-to-destroy 0", "pveceph osd destroy 0 --cleanup 0", "systemctl disable " + atBoot}, "", ""},
		{"a new OSD has its number", filled(300, osds(ceph.OSD{ID: 0, Up: true, In: true, UUID: "new"}, other)), false, nil, "", "osd.0 on pve1 is not the OSD to remove (its fsid is new)"},
		{"on a node that is not in the play", filled(300, osds(other), ceph.OSDs.Expect("pve3", []ceph.OSD{{ID: 0, UUID: gone}})), false, nil, "is on pve3, which is not a host of the play", ""},
		{"on a node that left the cluster", filled(300, osds(other), away(gone)), false, nil, "ceph osd purge 0", ""},
		{"another one on a node that left the cluster", filled(300, osds(other), away("new")), false, nil, "", ""},
		{"no place for the copies", filled(300, osds(ceph.OSD{ID: 0, Up: true, In: true, Class: "hdd", UUID: gone})), false, nil, "without osd.0, the OSDs that are up and in have no room for its copies", ""},
		{"another one is down", filled(300, osds(ceph.OSD{ID: 0, Up: true, In: true, Class: "hdd", UUID: gone}, ceph.OSD{ID: 1, In: true, Class: "hdd", UUID: "b"})), false, nil, "up and in have no room for its copies: pool vm-disks: 3 copies", ""},
		{"no room", filled(700), false, nil, "the other OSDs of class hdd would be 93 % full", ""},
		{"too much moves", filled(300, ceph.Pools.Expect("", map[string]ceph.Pool{"vm-disks": {Size: 2, Rule: "by-osd", Stored: 100 << 30}}), heavy(9)), false, nil, "about 75.0 % of the data of class hdd (225.0 GiB) would move away from osd.0, and osd_absent.max_moved is 50.0 %", ""},
		{"a flag keeps the data", filled(300, flagged), false, nil, "flag norebalance is set", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &Module{OSDAbsent: &OSDAbsent{ID: 0, FSID: gone, Wipe: test.wipe}}
			if err := modulestest.Decoded(m).Validate(); err != nil {
				t.Fatal(err)
			}
			plan, err := m.Plan(context.Background(), test.host)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want %q; steps:\n%s", err, test.fails, modulestest.Summaries(plan))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
			plan = modulestest.Converges(t, m, test.host)
			if said := modulestest.Summaries(plan); len(test.steps) == 4 && !strings.Contains(said, "about 25 % of the data of class hdd moves") {
				t.Errorf("how much moves is not said:\n%s", said)
			}
			var got []string
			for _, step := range plan.Steps {
				run := step.Action.(modules.Run)
				got = append(got, strings.TrimPrefix(strings.Join(run.Argv, " "), "ceph -c /etc/pve/ceph.conf --connect-timeout 10 "))
				if run.Limit == 0 || len(run.Retry) > 0 && run.Patience == 0 {
					t.Errorf("%q has no bound", step.Summary)
				}
			}
			if strings.Join(got, "; ") != strings.Join(test.steps, "; ") {
				t.Errorf("commands %q, want %q", got, test.steps)
			}
		})
	}
}
