package proxmox

import (
	"slices"
	"testing"
)

// TestConflicts tests what the recordings do not show, against PVE/HA/Rules.pm of pve-ha-manager 5.
func TestConflicts(t *testing.T) {
	place := func(id, resources, nodes string) Section {
		return Section{Type: "node-affinity", ID: id, Keys: map[string]string{"resources": resources, "nodes": nodes}}
	}
	keep := func(id, affinity, resources string) Section {
		return Section{Type: "resource-affinity", ID: id, Keys: map[string]string{"resources": resources, "affinity": affinity}}
	}
	const (
		twice     = "resource 'vm:100' is already used in another node affinity rule"
		many      = "resources are in node affinity rules with multiple priorities"
		manyToo   = "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities"
		places    = "resources are in multiple node affinity rules"
		placesToo = "at least one resource is in a positive resource affinity rule and there are other resources in at least one other node affinity rule already"
		few       = "two or more resources are restricted to less nodes than available to the resources"
		fewToo    = "at least one resource is in a negative resource affinity rule and this rule would restrict these to less nodes than available to the resources"
		opposite  = "rule shares two or more resources with a negative resource affinity rule"
	)
	for _, test := range []struct {
		name string
		all  []Section // the last one is judged, in a cluster of three nodes
		want []string
	}{
		{"a resource placed twice", []Section{place("a", "vm:100", "pve1"), place("b", "vm:100", "pve2")}, []string{twice}},
		{"placed three times", []Section{place("a", "vm:100", "pve1"), place("b", "vm:100", "pve2"), place("c", "vm:100", "pve3")}, []string{twice}},
		{"together in two placements", []Section{place("a", "vm:100", "pve1"), place("b", "vm:101", "pve1"), keep("c", "positive", "vm:100,vm:101")}, []string{places}},
		{"together in one placement", []Section{place("a", "vm:100,vm:101", "pve1"), keep("c", "positive", "vm:100,vm:101")}, nil},
		{"placed, and together with another that is", []Section{place("a", "vm:100", "pve1"), keep("c", "positive", "vm:100,vm:101"), place("b", "vm:101", "pve1")}, []string{placesToo}},
		{"together by way of a third", []Section{place("a", "vm:100", "pve1"), keep("c", "positive", "vm:100,vm:101"), place("b", "vm:102", "pve1"), keep("d", "positive", "vm:101,vm:102")}, []string{places}},
		{"apart on one preferred node", []Section{keep("a", "negative", "vm:100,vm:101"), place("b", "vm:100,vm:101", "pve1")}, []string{fewToo}},
		{"the same from the other side", []Section{place("b", "vm:100,vm:101", "pve1"), keep("a", "negative", "vm:100,vm:101")}, []string{few}},
		{"apart on two nodes", []Section{keep("a", "negative", "vm:100,vm:101"), place("b", "vm:100,vm:101", "pve1,pve2")}, nil},
		{"one of two that are apart", []Section{keep("a", "negative", "vm:100,vm:101"), place("b", "vm:100", "pve1")}, nil},
		{"twice apart", []Section{keep("a", "negative", "vm:100,vm:101"), keep("b", "negative", "vm:100,vm:101"), place("c", "vm:100,vm:101", "pve1")}, []string{fewToo, fewToo}},
		{"another placement has priorities", []Section{place("a", "vm:100", "pve1:2,pve2:1"), keep("b", "negative", "vm:100,vm:101"), place("c", "vm:101", "pve3")}, []string{manyToo}},
		{"priorities", []Section{place("a", "vm:100", "pve1:2,pve2"), keep("b", "positive", "vm:100,vm:101")}, []string{many}},
		{"opposite", []Section{keep("a", "negative", "vm:100,vm:101,vm:102"), keep("b", "positive", "vm:100,vm:101")}, []string{opposite}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := conflicts(test.all[len(test.all)-1].ID, test.all, 3); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
