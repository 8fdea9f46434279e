//go:build linux && e2e

package e2e

import (
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// TestReboot reboots all nodes at once in mid-run.
func TestReboot(t *testing.T) {
	n := startNodes(t)
	r := newRunner(t, n, nspawn.Admin)
	before := map[string]string{}
	for _, node := range n.List {
		before[node.Name], _ = node.BootID(t.Context())
	}
	o := r.run(t, "reboot.hcl")
	o.wantCode(t, "a run with a reboot", exitOK)
	for _, node := range n.List {
		if id, err := node.BootID(t.Context()); err != nil || id == before[node.Name] {
			t.Errorf("%s has not booted: its boot id is %s as before (%v)", node.Name, id, err)
		}
		wantOn(t, node, "cat /etc/after-reboot", "the run went on")
	}
	for _, task := range o.tasks {
		t.Logf("%s: %s: %s after %s", task.Host, task.Task, task.Status, time.Duration(task.DurationMS)*time.Millisecond)
	}
}
