package ceph

import (
	"testing"

	"hlplay/modules/internal/modulestest"
)

// TestQueriesOnAPlainHost runs every query in a real shell, without Ceph: all of them must be answered, and find
// nothing.
func TestQueriesOnAPlainHost(t *testing.T) {
	if n := modulestest.Fetch(t, Nodes, "")[""]; n.Mon || n.Installing {
		t.Errorf("Ceph %+v", n)
	}
	if c := modulestest.Fetch(t, Confs, "")[""]; c.Initialised() {
		t.Errorf("ceph.conf %+v", c)
	}
	if m := modulestest.Fetch(t, Monitors, "pve1")["pve1"]; m.InMap {
		t.Errorf("monitor %+v", m)
	}
	if o := modulestest.Fetch(t, OSDs, "pve1")["pve1"]; len(o) != 0 {
		t.Errorf("OSDs %+v", o)
	}
	if p := modulestest.Fetch(t, Pools, "")[""]; len(p) != 0 {
		t.Errorf("pools %v", p)
	}
}
