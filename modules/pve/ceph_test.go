package pve

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// hashName is a host name as ssh-keygen -H writes it.
func hashName(name, salt string) string {
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha1.New, raw)
	mac.Write([]byte(name))
	return "|1|" + salt + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// tell runs a kind's Parse on recorded answers.
func tell[T any](t *testing.T, parse func([]string, []remote.Answer, func(string, T, error)), names []string, answers ...remote.Answer) map[string]T {
	t.Helper()
	all := map[string]T{}
	parse(names, answers, func(name string, value T, err error) {
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		all[name] = value
	})
	return all
}

func TestMonitors(t *testing.T) {
	got := tell(t, Monitors.Parse, []string{"pve1", "pve3", "pve9"}, recorded(t, "ceph/quorum.txt"))
	want := map[string]Monitor{"pve1": {true, true, "10.10.10.11"}, "pve3": {true, true, "10.10.10.13"}, "pve9": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoClusterIsNoError(t *testing.T) {
	if got := tell(t, Monitors.Parse, []string{"pve1"}, text("")); got["pve1"].InMap {
		t.Error("a monitor where nobody was asked")
	}
	if got := tell(t, Pools.Parse, []string{""}, text(""), text("")); got[""] == nil || len(got[""]) != 0 {
		t.Errorf("pools %v, want an empty map", got[""])
	}
}

func TestCephErrors(t *testing.T) {
	tests := map[string]struct {
		answer remote.Answer
		want   string
	}{
		"no quorum": {recorded(t, "ceph/no-quorum.txt"), "no monitor answered"},
		"no conf":   {recorded(t, "ceph/no-conf.txt"), "conf_read_file"},
		"hangs":     {remote.Answer{Exit: 124}, "no answer within 30 s"},
		"not JSON":  {text("{"), "ceph quorum_status"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			Monitors.Parse([]string{"pve1"}, []remote.Answer{test.answer}, func(_ string, _ Monitor, err error) {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one that mentions %q", err, test.want)
				}
			})
		})
	}
}

func TestManagers(t *testing.T) {
	got := tell(t, Managers.Parse, []string{"pve1", "pve2", "pve3"},
		text("\n"+`{"epoch":5,"active_name":"pve1","available":true,"standbys":[{"gid":4395,"name":"pve2","available_modules":[]}]}`))
	want := map[string]Manager{"pve1": {true}, "pve2": {true}, "pve3": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMetadataServers(t *testing.T) {
	servers := tell(t, MetadataServers.Parse, []string{"pve1", "pve2", "pve3"}, recorded(t, "ceph/mds.txt"))
	want := map[string]MetadataServer{"pve1": {"up:active"}, "pve2": {"up:standby"}, "pve3": {}}
	if diff := cmp.Diff(want, servers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for file, active := range map[string]bool{"ceph/mds.txt": true, "ceph/mds-none.txt": false} {
		systems := tell(t, FileSystems.Parse, []string{""}, recorded(t, file))[""]
		if diff := cmp.Diff(map[string]FileSystem{"cephfs": {Active: active}}, systems); diff != "" {
			t.Errorf("%s: -want +got:\n%s", file, diff)
		}
	}
}

func TestOSDs(t *testing.T) {
	got := tell(t, OSDs.Parse, []string{"pve1", "pve3", "pve9"}, recorded(t, "ceph/tree.txt"), recorded(t, "ceph/dump.txt"), recorded(t, "ceph/metadata.txt"))
	osd := func(id int, uuid string) OSD {
		return OSD{ID: id, Up: true, In: true, Class: "hdd", UUID: uuid, Devices: []string{"vda"}}
	}
	want := map[string][]OSD{
		"pve1": {osd(0, "00000000-0000-4000-8000-000000000000"), osd(1, "00000000-0000-4000-8000-000000000001")},
		"pve3": {osd(4, "00000000-0000-4000-8000-000000000004"), osd(5, "00000000-0000-4000-8000-000000000005")},
		"pve9": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out := tell(t, OSDs.Parse, []string{"pve3"}, recorded(t, "ceph/tree-out.txt"), recorded(t, "ceph/dump.txt"), recorded(t, "ceph/metadata.txt"))
	if osds := out["pve3"]; len(osds) != 2 || !osds[0].In || osds[1].In {
		t.Errorf("with osd.5 out: %+v", osds)
	}
}

func TestPools(t *testing.T) {
	pools := tell(t, Pools.Parse, []string{""}, recorded(t, "ceph/pools.txt"), recorded(t, "ceph/rules.txt"))[""]
	want := Pool{ID: 3, Size: 3, MinSize: 2, PGs: 32, Rule: "replicated_rule_osd", Autoscale: "on", Applications: []string{}}
	got := pools["vmpool"]
	if got.Applications == nil {
		got.Applications = []string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := pools["p6"].Size; got != 5 {
		t.Errorf("p6 has size %d, want 5", got)
	}
	strings8 := `[{"pool_id":"4","pool_name":"x","type":1,"size":3,"min_size":2,"crush_rule":"1","pg_num":8,"pg_autoscale_mode":"warn","options":{"target_size_ratio":0.5,"pg_num_min":8},"application_metadata":{"rbd":{}}}]`
	pools = tell(t, Pools.Parse, []string{""}, text(strings8), recorded(t, "ceph/rules.txt"))[""]
	wantX := Pool{ID: 4, Size: 3, MinSize: 2, PGs: 8, PGsMin: 8, Rule: "replicated_rule_osd", Autoscale: "warn", TargetRatio: 0.5, Applications: []string{"rbd"}}
	if diff := cmp.Diff(wantX, pools["x"]); diff != "" {
		t.Errorf("numbers as strings: -want +got:\n%s", diff)
	}
}

func TestCrushRules(t *testing.T) {
	got := tell(t, CrushRules.Parse, []string{""}, recorded(t, "ceph/rules.txt"))[""]
	want := map[string]CrushRule{
		"replicated_rule":     {Root: "default", FailureDomain: "host"},
		"replicated_rule_osd": {Root: "default", FailureDomain: "osd"},
		"rule_hdd_osd":        {Root: "default", FailureDomain: "osd", Class: "hdd"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	custom := `[{"rule_id":3,"rule_name":"two","type":1,"steps":[{"op":"take","item_name":"default"},{"op":"choose_firstn","num":0,"type":"host"},{"op":"chooseleaf_firstn","num":2,"type":"osd"},{"op":"emit"}]}]`
	if got := tell(t, CrushRules.Parse, []string{""}, text(custom))[""]; !got["two"].Custom {
		t.Errorf("a hand-made rule is read as %+v", got["two"])
	}
}

func TestCephStatus(t *testing.T) {
	got := tell(t, CephStatuses.Parse, []string{""}, recorded(t, "ceph/status-undersized.txt"))[""]
	if got.PGs == got.Clean || got.Others["active+undersized"] != 32 {
		t.Errorf("while health said HEALTH_OK: %+v, want 32 undersized", got)
	}
	got = tell(t, CephStatuses.Parse, []string{""}, recorded(t, "ceph/status-clean.txt"))[""]
	if got.PGs == 0 || got.PGs != got.Clean {
		t.Errorf("a clean cluster: %+v", got)
	}
	scrub := tell(t, CephStatuses.Parse, []string{""}, text(`{"pgmap":{"num_pgs":2,"pgs_by_state":[{"state_name":"active+clean+scrubbing+deep","count":2}]}}`))[""]
	if scrub.Clean != 2 {
		t.Errorf("scrubbing is clean, too: %+v", scrub)
	}
	if nan := tell(t, CephStatuses.Parse, []string{""}, text(`{"pgmap":{"num_pgs":1,"x":-nan,"pgs_by_state":[]}}`))[""]; nan.PGs != 1 {
		t.Errorf("with nan: %+v", nan)
	}
}

func FuzzCephJSON(f *testing.F) {
	for _, name := range []string{"quorum", "mds", "pools", "rules", "status-clean", "tree", "dump", "metadata"} {
		f.Add(recorded(f, "ceph/"+name+".txt").Stdout)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := remote.Answer{Stdout: body}
		discard := func(string, error) {}
		Monitors.Parse([]string{"a"}, []remote.Answer{a}, func(n string, _ Monitor, err error) { discard(n, err) })
		Managers.Parse([]string{"a"}, []remote.Answer{a}, func(n string, _ Manager, err error) { discard(n, err) })
		MetadataServers.Parse([]string{"a"}, []remote.Answer{a}, func(n string, _ MetadataServer, err error) { discard(n, err) })
		FileSystems.Parse([]string{""}, []remote.Answer{a}, func(n string, _ map[string]FileSystem, err error) { discard(n, err) })
		OSDs.Parse([]string{"a"}, []remote.Answer{a, a, a}, func(n string, _ []OSD, err error) { discard(n, err) })
		Pools.Parse([]string{""}, []remote.Answer{a, a}, func(n string, pools map[string]Pool, err error) {
			if err == nil && pools == nil {
				t.Error("no pools and no error: the map must be there")
			}
		})
		CrushRules.Parse([]string{""}, []remote.Answer{a}, func(n string, _ map[string]CrushRule, err error) { discard(n, err) })
		CephStatuses.Parse([]string{""}, []remote.Answer{a}, func(n string, _ CephStatus, err error) { discard(n, err) })
	})
}
