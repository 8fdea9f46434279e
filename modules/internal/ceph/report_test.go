package ceph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// askedOf returns the answer to monitorsQuery if the monitors printed the given text.
func askedOf(printed string) remote.Answer {
	return text("asked pve1 mon_host = 10.10.10.11 10.10.10.12\n" + printed)
}

func text(s string) remote.Answer { return remote.Answer{Stdout: []byte(s)} }

// report is the recorded answer of a cluster with three monitors, two managers and six OSDs.
func report(t testing.TB) string {
	t.Helper()
	return string(modulestest.Recorded(t, "report.txt").Stdout)
}

// part returns a report that contains only one section, with what another recorded command printed.
func part(t testing.TB, format, file string) remote.Answer {
	t.Helper()
	return askedOf(fmt.Sprintf(format, modulestest.Recorded(t, file).Stdout))
}

func TestMonitors(t *testing.T) {
	got := modulestest.Parsed(t, Monitors, []string{"pve1", "pve3", "pve9"}, askedOf(report(t)))
	want := map[string]Monitor{"pve1": {true, true, "10.10.10.11"}, "pve3": {true, true, "10.10.10.13"}, "pve9": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out := strings.Replace(report(t), `"quorum":[0,1,2]`, `"quorum":[0,1]`, 1)
	if got := modulestest.Parsed(t, Monitors, []string{"pve3"}, askedOf(out))["pve3"]; !got.InMap || got.InQuorum {
		t.Errorf("mon.pve3, of rank 2 and not in the quorum: %+v", got)
	}
}

func TestReportWithoutCluster(t *testing.T) {
	if got := modulestest.Parsed(t, Monitors, []string{"pve1"}, text("none\n")); got["pve1"].InMap {
		t.Error("a monitor where nobody was asked")
	}
	if got := modulestest.Parsed(t, Managers, []string{"pve1"}, text("none\n")); got["pve1"].InMap {
		t.Error("a manager where nobody was asked")
	}
	if got := modulestest.Parsed(t, Pools, []string{""}, text("none\n")); got[""] == nil || len(got[""]) != 0 {
		t.Errorf("pools %v, want an empty map", got[""])
	}
}

// asking returns a recording in the form in which the query returns it once it has decided to ask.
func asking(a remote.Answer) remote.Answer {
	a.Stdout = append(askedOf("").Stdout, a.Stdout...)
	return a
}

func TestErrors(t *testing.T) {
	refused := modulestest.Recorded(t, "interactive-refused.txt")
	tests := map[string]struct {
		answer remote.Answer
		want   string
	}{
		"no quorum":           {asking(modulestest.Recorded(t, "no-quorum.txt")), "pve1 asked the monitors at 10.10.10.11 10.10.10.12: exit code 1: no monitor answered"},
		"killed":              {asking(remote.Answer{Exit: 137, Stderr: []byte("Killed\n")}), "killed by signal 9 (SIGKILL)"},
		"no ceph":             {asking(remote.Answer{Exit: 127, Stderr: []byte("timeout: failed to run command 'ceph': No such file or directory\n")}), "command not found (exit code 127)"},
		"no conf":             {asking(modulestest.Recorded(t, "no-conf.txt")), "conf_read_file"},
		"hangs":               {asking(remote.Answer{Exit: 124}), "no answer within 30 s"},
		"/etc/pve hangs":      {remote.Answer{Stdout: []byte("listing\n"), Exit: 124}, "cluster file system does not answer"},
		"/etc/pve is empty":   {text("listing\n"), "cluster file system does not answer"},
		"/etc/pve is broken":  {remote.Answer{Stdout: []byte("listing\n"), Stderr: []byte("ls: cannot open directory '/etc/pve': Transport endpoint is not connected\n"), Exit: 2}, "cluster file system does not answer"},
		"ceph.conf came back": {remote.Answer{Stdout: []byte("listing\n.members\nceph.conf\nlocal\n"), Stderr: []byte("grep: /etc/pve/ceph.conf: No such file or directory\n")}, "cannot read /etc/pve/ceph.conf"},
		"nothing is said":     {text(""), "could not find out whether there is a Ceph cluster"},
		"no grep":             {remote.Answer{Exit: 127, Stderr: []byte("timeout: failed to run command 'grep'\n")}, "could not find out whether there is a Ceph cluster: command not found"},

		"not JSON":            {askedOf("{"), "ceph report"},
		"asked, no answer":    {askedOf(""), "10.10.10.12: no answer"},
		"asked and refused":   {remote.Answer{Stdout: askedOf("").Stdout, Stderr: refused.Stderr}, "Error EINVAL: invalid command"},
		"managers, no report": {askedOf("[]\n"), "10.10.10.12: no answer"},
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
	for file, want := range map[string]map[string]Manager{
		"interactive-mgr.txt":    {"pve1": {true}, "pve2": {}},
		"interactive-no-mgr.txt": {"pve1": {}, "pve2": {}},
	} {
		got := modulestest.Parsed(t, Managers, []string{"pve1", "pve2"}, asking(modulestest.Recorded(t, file)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", file, diff)
		}
	}
}

// TestOnlyTheManagersAreMissing tests an answer that lacks only its second part: the rest is still known.
func TestOnlyTheManagersAreMissing(t *testing.T) {
	answer := asking(modulestest.Recorded(t, "interactive-refused.txt"))
	if got := modulestest.Parsed(t, Monitors, []string{"pve1"}, answer)["pve1"]; !got.InQuorum {
		t.Errorf("monitor %+v", got)
	}
	Managers.Parse([]string{"pve1"}, []remote.Answer{answer}, func(_ string, _ Manager, err error) {
		if err == nil || !strings.Contains(err.Error(), "invalid command") {
			t.Errorf("error %v, want the refusal", err)
		}
	})
}

func TestMetadataServers(t *testing.T) {
	servers := modulestest.Parsed(t, MetadataServers, []string{"pve1", "pve2", "pve3"}, part(t, "%s", "mds.txt"))
	want := map[string]MetadataServer{"pve1": {"up:active"}, "pve2": {"up:standby"}, "pve3": {}}
	if diff := cmp.Diff(want, servers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for file, active := range map[string]bool{"mds.txt": true, "mds-none.txt": false} {
		systems := modulestest.Parsed(t, FileSystems, []string{""}, part(t, "%s", file))[""]
		if diff := cmp.Diff(map[string]FileSystem{"cephfs": {Active: active}}, systems); diff != "" {
			t.Errorf("%s: -want +got:\n%s", file, diff)
		}
	}
}

func TestOSDs(t *testing.T) {
	got := modulestest.Parsed(t, OSDs, []string{"pve1", "pve3", "pve9"}, askedOf(report(t)))
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
	const up = `"osd":5,"uuid":"00000000-0000-4000-8000-000000000005","up":1,"in":1`
	if !strings.Contains(report(t), up) {
		t.Fatalf("the report has no %s", up)
	}
	out := modulestest.Parsed(t, OSDs, []string{"pve3"}, askedOf(strings.Replace(report(t), up, strings.Replace(up, `"in":1`, `"in":0`, 1), 1)))
	if osds := out["pve3"]; len(osds) != 2 || !osds[0].In || osds[1].In || !osds[1].Up {
		t.Errorf("with osd.5 out: %+v", osds)
	}
	// An OSD in no host bucket belongs to the host where it last started; one that never started belongs to none.
	astray := modulestest.Parsed(t, OSDs, []string{"pve2", ""}, askedOf(`{"osdmap":{"osds":[{"osd":7,"uuid":"u7","up":1,"in":1},{"osd":8,"uuid":"u8","up":0,"in":0}]},
		"osd_metadata":[{"id":7,"hostname":"pve2.example.org","devices":"sdb,sdc"},{"id":8}],"crushmap":{"buckets":[{"name":"pve2~hdd","type_name":"host","items":[{"id":8}]}]}}`))
	wantAstray := map[string][]OSD{"pve2": {{ID: 7, Up: true, In: true, UUID: "u7", Devices: []string{"sdb", "sdc"}}}, "": {{ID: 8, UUID: "u8", Devices: []string{}}}}
	if diff := cmp.Diff(wantAstray, astray); diff != "" {
		t.Errorf("outside of CRUSH: -want +got:\n%s", diff)
	}
}

// withPools returns a report with the output of osd pool ls detail and osd crush rule dump. Only there is the id of a
// pool called pool_id.
func withPools(t *testing.T, detail string) remote.Answer {
	t.Helper()
	return askedOf(fmt.Sprintf(`{"osdmap":{"pools":%s},"crushmap":{"rules":%s}}`,
		strings.ReplaceAll(detail, `"pool_id"`, `"pool"`), modulestest.Recorded(t, "rules.txt").Stdout))
}

func TestPools(t *testing.T) {
	pools := modulestest.Parsed(t, Pools, []string{""}, withPools(t, string(modulestest.Recorded(t, "pools.txt").Stdout)))[""]
	want := Pool{ID: 3, Size: 3, MinSize: 2, PGs: 32, PGsNow: 32, Rule: "replicated_rule_osd", Autoscale: "on", Applications: []string{}, Stored: -1}
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
	pools = modulestest.Parsed(t, Pools, []string{""}, withPools(t, strings8))[""]
	wantX := Pool{ID: 4, Size: 3, MinSize: 2, PGs: 8, PGsNow: 8, PGsMin: 8, Rule: "replicated_rule_osd", Autoscale: "warn", TargetRatio: 0.5, Applications: []string{"rbd"}, Stored: -1}
	if diff := cmp.Diff(wantX, pools["x"]); diff != "" {
		t.Errorf("numbers as strings: -want +got:\n%s", diff)
	}
	pools = modulestest.Parsed(t, Pools, []string{""}, askedOf(report(t)))[""]
	health := Pool{ID: 2, Size: 3, MinSize: 2, PGs: 1, PGsNow: 1, PGsMin: 1, Rule: "replicated_rule", Autoscale: "on", Applications: []string{"mgr_devicehealth"}}
	if diff := cmp.Diff(map[string]Pool{"device_health_metrics": health}, pools); diff != "" {
		t.Errorf("of the report: -want +got:\n%s", diff)
	}
	const empty = `"poolid":2,"num_pg":1,"stat_sum":{"num_bytes":0,`
	if !strings.Contains(report(t), empty) {
		t.Fatalf("the report has no %s", empty)
	}
	pools = modulestest.Parsed(t, Pools, []string{""}, askedOf(strings.Replace(report(t), empty, strings.Replace(empty, `"num_bytes":0`, `"num_bytes":4096`, 1), 1)))[""]
	if got := pools["device_health_metrics"].Stored; got != 4096 {
		t.Errorf("the pool holds %d bytes, want 4096", got)
	}
}

func TestCrushRules(t *testing.T) {
	got := modulestest.Parsed(t, CrushRules, []string{""}, withPools(t, "[]"))[""]
	want := map[string]CrushRule{
		"replicated_rule":     {Root: "default", FailureDomain: "host"},
		"replicated_rule_osd": {Root: "default", FailureDomain: "osd"},
		"rule_hdd_osd":        {Root: "default", FailureDomain: "osd", Class: "hdd"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for steps, want := range map[string]CrushRule{
		`{"op":"choose_firstn","num":0,"type":"host"},{"op":"chooseleaf_firstn","num":2,"type":"osd"}`:    {Root: "default", FailureDomain: "host", Class: "ssd", PerDomain: 2},
		`{"op":"choose_firstn","num":0,"type":"rack"},{"op":"choose_firstn","num":3,"type":"osd"}`:        {Root: "default", FailureDomain: "rack", Class: "ssd", PerDomain: 3},
		`{"op":"choose_firstn","num":3,"type":"host"},{"op":"chooseleaf_firstn","num":2,"type":"osd"}`:    {Custom: true},
		`{"op":"choose_firstn","num":0,"type":"rack"},{"op":"chooseleaf_firstn","num":2,"type":"host"}`:   {Custom: true},
		`{"op":"choose_firstn","num":0,"type":"host"},{"op":"chooseleaf_indep","num":2,"type":"osd"}`:     {Custom: true},
		`{"op":"chooseleaf_firstn","num":0,"type":"host"},{"op":"choose_firstn","num":2,"type":"osd"}`:    {Custom: true},
		`{"op":"choose_firstn","num":0,"type":"host"}`:                                                    {Custom: true},
		`{"op":"set_chooseleaf_tries","num":5,"type":""},{"op":"chooseleaf_firstn","num":0,"type":"osd"}`: {Custom: true},
	} {
		dump := `{"crushmap":{"rules":[{"rule_id":3,"rule_name":"two","type":1,"steps":[{"op":"take","item_name":"default~ssd"},` + steps + `,{"op":"emit"}]}]}}`
		if got := modulestest.Parsed(t, CrushRules, []string{""}, askedOf(dump))[""]["two"]; got != want {
			t.Errorf("%s is read as %+v, want %+v", steps, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for printed, want := range map[string]Status{
		report(t): {PGs: 1, Clean: 1, Others: map[string]int{}},
		`{"num_pg":33,"num_pg_by_state":[{"state":"active+undersized","num":32},{"state":"active+clean","num":1}]}`: {PGs: 33, Clean: 1, Others: map[string]int{"active+undersized": 32}},
		`{"num_pg":2,"num_pg_by_state":[{"state":"active+clean+scrubbing+deep","num":2}]}`:                          {PGs: 2, Clean: 2, Others: map[string]int{}},
		`{"num_pg":1,"x":-nan,"num_pg_by_state":[{"state":"unknown","num":1}]}`:                                     {PGs: 1, Others: map[string]int{"unknown": 1}},
	} {
		got := modulestest.Parsed(t, Statuses, []string{""}, askedOf(printed))[""]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.200s: -want +got:\n%s", printed, diff)
		}
	}
}

// FuzzReport feeds every parser of the report: none may panic, and a map that is returned without an error must not be
// nil.
func FuzzReport(f *testing.F) {
	// The recorded reports are too long for a seed; this one has a short form of each section.
	f.Add([]byte(`asked pve1 mon_host = 10.10.10.11
{"monmap":{"mons":[{"rank":0,"name":"a","public_addr":"[fd00::1]:6789/0"}]},"quorum":[0],"osdmap":{"pools":[{"pool":1,"pool_name":"p","crush_rule":"0","pg_num":8,
"options":{"target_size_ratio":.5},"application_metadata":{"rbd":{}}}],"osds":[{"osd":0,"uuid":"u","up":1,"in":1}]},"osd_metadata":[{"id":0,"hostname":"a.b","devices":"sda,sdb"}],
"crushmap":{"devices":[{"id":0,"class":"hdd"}],"buckets":[{"name":"a","type_name":"host","items":[{"id":0}]}],"rules":[{"rule_id":0,"rule_name":"r","type":1,
"steps":[{"op":"take","item_name":"default~hdd"},{"op":"chooseleaf_firstn","num":0,"type":"host"},{"op":"emit"}]}]},
"fsmap":{"standbys":[{"name":"a","state":"up:standby"}],"filesystems":[]},"num_pg":8,"num_pg_by_state":[{"state":"active+clean","num":8}],"x":-nan}
[{"name":"a"}]
`), []byte("report 1"), 0)
	for _, name := range []string{"interactive-refused", "no-quorum", "mds"} {
		a := asking(modulestest.Recorded(f, name+".txt"))
		f.Add(a.Stdout, a.Stderr, a.Exit)
	}
	f.Add([]byte("asked a mon_host = 1\n{}[]"), []byte(""), 0)
	f.Add([]byte("listing\nlocal\n"), []byte(""), 0)
	f.Add([]byte(""), []byte(""), 124)
	f.Fuzz(func(t *testing.T, stdout, stderr []byte, exit int) {
		answers := []remote.Answer{{Stdout: stdout, Stderr: stderr, Exit: exit}}
		told := 0
		tellOne := func() { told++ }
		Monitors.Parse([]string{"a"}, answers, func(string, Monitor, error) { tellOne() })
		Managers.Parse([]string{"a"}, answers, func(string, Manager, error) { tellOne() })
		MetadataServers.Parse([]string{"a"}, answers, func(string, MetadataServer, error) { tellOne() })
		FileSystems.Parse([]string{""}, answers, func(string, map[string]FileSystem, error) { tellOne() })
		OSDs.Parse([]string{"a"}, answers, func(string, []OSD, error) { tellOne() })
		CrushRules.Parse([]string{""}, answers, func(string, map[string]CrushRule, error) { tellOne() })
		Statuses.Parse([]string{""}, answers, func(string, Status, error) { tellOne() })
		Pools.Parse([]string{""}, answers, func(_ string, pools map[string]Pool, err error) {
			tellOne()
			if err == nil && pools == nil {
				t.Error("no pools and no error: the map must be there")
			}
		})
		Distributions.Parse([]string{""}, answers, func(string, Distribution, error) { tellOne() })
		Holdings.Parse([]string{""}, answers, func(string, Holding, error) { tellOne() })
		if told != 10 {
			t.Errorf("%d of 10 kinds told a value", told)
		}
	})
}
