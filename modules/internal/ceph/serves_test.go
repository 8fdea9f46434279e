package ceph

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// TestServes asks a recorded report of three monitors and six OSDs, followed by a manager, with what a report has about metadata
// servers and placement groups replaced by what was recorded of them or may be there.
func TestServes(t *testing.T) {
	report := bytes.TrimSpace(modulestest.Recorded(t, "report.txt").Stdout)
	servers := bytes.TrimSpace(modulestest.Recorded(t, "mds.txt").Stdout)
	const manager = `[{"name":"pve1","addr":"10.10.10.11","hostname":"pve1"}]`
	of := func(parts ...[]byte) string { return string(bytes.Join(parts, []byte("\n"))) }
	change := func(from, to string) []byte {
		if !bytes.Contains(report, []byte(from)) {
			t.Fatalf("the report has no %s", from)
		}
		return bytes.Replace(report, []byte(from), []byte(to), 1)
	}
	for name, c := range map[string]struct {
		query  *remote.Query
		answer string
		want   bool
	}{
		"a monitor":                  {DaemonServes("mon", "pve3"), of(report), true},
		"outside the quorum":         {DaemonServes("mon", "pve3"), of(change(`"quorum":[0,1,2]`, `"quorum":[0,1]`)), false},
		"not in the map":             {DaemonServes("mon", "pve4"), of(report), false},
		"no answer":                  {DaemonServes("mon", "pve3"), "", false},
		"a manager":                  {DaemonServes("mgr", "pve1"), of(report, []byte(manager)), true},
		"no manager":                 {DaemonServes("mgr", "pve2"), of(report, []byte(manager)), false},
		"both":                       {FirstServes("pve1"), of(report, []byte(manager)), true},
		"a monitor, and no manager":  {FirstServes("pve1"), of(report), false},
		"a manager without a quorum": {FirstServes("pve1"), of(change(`"quorum":[0,1,2]`, `"quorum":[1,2]`), []byte(manager)), false},
		"an active metadata server":  {DaemonServes("mds", "pve1"), of(servers), true},
		"one that stands by":         {DaemonServes("mds", "pve2"), of(servers), true},
		"no metadata server":         {DaemonServes("mds", "pve3"), of(servers), false},
		"a file system":              {FileSystemServes(), of(servers), true},
		"no file system":             {FileSystemServes(), of(report), false},
		"an OSD":                     {OSDServes("pve1", observe.BlockDevice{Name: "vda"}), of(report), true},
		"on another node":            {OSDServes("pve9", observe.BlockDevice{Name: "vda"}), of(report), false},
		"on another device":          {OSDServes("pve1", observe.BlockDevice{Name: "vd"}), of(report), false},
		"a host with its domain":     {OSDServes("pve1", observe.BlockDevice{Name: "vda"}), of(bytes.ReplaceAll(report, []byte(`"hostname":"pve1"`), []byte(`"hostname":"pve1.example.org"`))), true},
		"the prefix of a host":       {OSDServes("pve", observe.BlockDevice{Name: "vda"}), of(report), false},
		"one of two OSDs":            {OSDServes("pve1", observe.BlockDevice{Name: "vda"}), of(change(`"up":1,"in":1`, `"up":0,"in":1`)), true},
		"OSDs that are down":         {OSDServes("pve1", observe.BlockDevice{Name: "vda"}), of(bytes.ReplaceAll(report, []byte(`"up":1,"in":1`), []byte(`"up":0,"in":1`))), false},
		"an OSD by number":           {OSDUp(5), of(report), true},
		"an unknown number":          {OSDUp(55), of(report), false},
		"a number that is down":      {OSDUp(0), of(change(`"up":1,"in":1`, `"up":0,"in":1`)), false},
		"placement groups":           {PGsClean(), of(report), true},
		"no placement groups":        {PGsClean(), of(change(`"num_pg_by_state":[{"state":"active+clean","num":1}]`, `"num_pg_by_state":[]`)), true},
		"scrubbed placement groups":  {PGsClean(), of(change(`"active+clean","num":1}`, `"active+clean+scrubbing+deep","num":1}`)), true},
		"stale placement groups":     {PGsClean(), of(change(`"active+clean","num":1}`, `"stale+active+clean","num":1}`)), true},
		"degraded placement groups":  {PGsClean(), of(change(`"active+clean","num":1}`, `"active+clean","num":1},{"state":"active+undersized+degraded","num":3}`)), false},
		"placement groups, unasked":  {PGsClean(), "", false},
		"the managers' answer alone": {PGsClean(), of([]byte(manager)), false},
		"unknown placement groups":   {PGsClean(), of(change(`"active+clean","num":1}`, `"unknown","num":1}`)), false},
		"the prefix of another name": {DaemonServes("mon", "pve"), of(report), false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "answer"), []byte(c.answer), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ceph"), []byte("#!/bin/sh\ncat \"${0%/*}/answer\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		if got := modulestest.Answers(t, []remote.Query{*c.query})[0].Exit == 0; got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}
