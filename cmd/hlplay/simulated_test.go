package main

import (
	"os"
	"path/filepath"
	"testing"

	"hlplay/engine/inventory"
	"hlplay/engine/lab"
	"hlplay/engine/report"
	"hlplay/engine/run"
)

// simulated is a lab of two nodes, fresh at first, and a playbook for them.
type simulated struct {
	lab      *lab.Lab
	playbook string // its path
}

func onSimulatedNodes(t *testing.T, playbook string) *simulated {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inv, diags := inventory.Load(write("hosts.hcl", "host \"a\" { address = \"192.0.2.1\" }\nhost \"b\" { address = \"192.0.2.2\" }\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	l, err := lab.Start(t.Context(), inv, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &simulated{l, write("play.hcl", playbook)}
}

// play runs the playbook.
func (s *simulated) play(t *testing.T, noReadAhead bool, change ...func(*run.Options)) (report.Recap, *report.Recorder) {
	t.Helper()
	var f inputFlags
	pb, err := f.loadPlaybook(s.playbook, s.lab.Inventory(), selectFlags{})
	if err != nil {
		t.Fatal(err)
	}
	kept := &report.Recorder{}
	connect := &connectFlags{rehearsal: 3}
	o := run.Options{Reporter: kept, Clock: s.lab.Clock(), NoReadAhead: noReadAhead, Connect: connect.connect(func(fn func()) { fn() })}
	for _, c := range change {
		c(&o)
	}
	recap, err := run.Run(t.Context(), pb, s.lab.Inventory(), o)
	if err != nil {
		t.Fatal(err)
	}
	return recap, kept
}
