package pve

import (
	"testing"

	"hlplay/modules/internal/modulestest"
)

// TestQueriesOnAPlainHost runs every query in a real shell, without Proxmox VE: all of them must be answered, and find
// nothing.
func TestQueriesOnAPlainHost(t *testing.T) {
	if c := modulestest.Fetch(t, Clusters, "")[""]; c.Mounted || c.Name != "" {
		t.Errorf("cluster %+v", c)
	}
	if g := modulestest.Fetch(t, GuestConfigs, "100")["100"]; g.Exists {
		t.Errorf("guest %+v", g)
	}
	if g := modulestest.Fetch(t, GuestLists, "")[""]; len(g) != 0 {
		t.Errorf("guests %v", g)
	}
	if s := modulestest.Fetch(t, Storages, "")[""]; len(s) != 1 {
		t.Errorf("storages %v", s)
	}
	if h := modulestest.Fetch(t, HAs, "")[""]; len(h.Resources) != 0 {
		t.Errorf("high availability %+v", h)
	}
	if n := modulestest.Fetch(t, Nodes, "")[""]; n.Name == "" {
		t.Errorf("node %+v", n)
	}
}
