package pve

import "testing"

// The manager lists a new node only when it looks again, at no particular time, so no expectation may depend on that.
func TestNodesOfTheManagerAreNotClaimed(t *testing.T) {
	expected, found := emptyHA(), emptyHA()
	expected.Nodes["pve1"] = "online"
	found.Nodes["pve1"], found.Nodes["pve4"] = "maintenance", "online"
	got := HAs.Complete(expected, found)
	if got.Nodes["pve4"] != "online" {
		t.Errorf("pve4 counts as %q, found online", got.Nodes["pve4"])
	}
	if got.Nodes["pve1"] != "online" {
		t.Errorf("pve1 counts as %q, which is not what was expected of it", got.Nodes["pve1"])
	}
	if len(expected.Nodes) != 1 {
		t.Errorf("the expectation itself was changed: %v", expected.Nodes)
	}
}
