package pve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

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

// The manager forgets the service of a removed resource at no particular time either.
func TestServicesOfRemovedResourcesAreNotClaimed(t *testing.T) {
	expected, found := emptyHA(), emptyHA()
	for _, ha := range []HA{expected, found} {
		ha.Resources["vm:100"] = Resource{State: "started"}
	}
	expected.Services["vm:100"] = Service{Node: "pve1", State: "started"}
	expected.Services["vm:140"] = Service{Node: "pve4", State: "stopped"}
	found.Services["vm:150"] = Service{Node: "pve2", State: "started"}
	got := HAs.Complete(expected, found).Services
	want := map[string]Service{"vm:100": expected.Services["vm:100"], "vm:150": found.Services["vm:150"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}
