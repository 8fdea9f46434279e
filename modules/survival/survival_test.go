package survival

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nodes returns pve1, pve2, and so on, with one vote each.
func nodes(n int) []Node {
	var all []Node
	for i := range n {
		all = append(all, Node{Name: fmt.Sprintf("pve%d", i+1), Votes: 1, Online: true, Memory: 16 << 30})
	}
	return all
}

func daemons(n int) []Daemon {
	var all []Daemon
	for i := range n {
		all = append(all, Daemon{Node: fmt.Sprintf("pve%d", i+1)})
	}
	return all
}

func osds(hosts, each int) []OSD {
	var all []OSD
	for i := range hosts * each {
		all = append(all, OSD{Node: fmt.Sprintf("pve%d", i/each+1), Class: "hdd", Up: true})
	}
	return all
}

// TestVotes checks the quorum against its definition, more than half of the votes, for every loss in clusters of up to
// seven nodes, with and without a QDevice.
func TestVotes(t *testing.T) {
	for n := 1; n <= 7; n++ {
		for device := range 2 {
			for set := range 1 << n {
				c := Cluster{Nodes: nodes(n), DeviceVotes: device, Monitors: daemons(n)}
				var lost []string
				for i, node := range c.Nodes {
					if set>>i&1 == 1 {
						lost = append(lost, node.Name)
					}
				}
				l := Lose(c, lost...)
				if want := 2*(n-len(lost)+device) > n+device; l.Quorate != want {
					t.Errorf("%d nodes, %d votes of a QDevice, %v lost: quorate %t, want %t", n, device, lost, l.Quorate, want)
				}
				if want := 2*(n-len(lost)) > n; l.MonitorQuorum != want {
					t.Errorf("%d monitors, %v lost: quorum %t, want %t", n, lost, l.MonitorQuorum, want)
				}
			}
		}
	}
}

// TestWorstPlacement compares what is left of a pool with all placements that its rule permits, for every loss in every layout of
// up to five hosts with up to two OSDs each.
func TestWorstPlacement(t *testing.T) {
	cases := 0
	for hosts := 1; hosts <= 5; hosts++ {
		for layout := range pow(3, hosts) {
			all := layoutOf(layout, hosts)
			for size := 1; size <= 5; size++ {
				for perHost := range 3 {
					wants := worst(all, hosts, size, perHost)
					for set := range 1 << hosts {
						cases++
						gone := map[string]bool{}
						for i := range hosts {
							if set>>i&1 == 1 {
								gone[fmt.Sprintf("pve%d", i+1)] = true
							}
						}
						p := Pool{Size: size, MinSize: 1, Spread: Spread{PerHost: perHost}}
						if got := p.after(all, gone, true).Copies; got != wants[set] {
							t.Fatalf("OSDs %v, size %d, at most %d on a host, lost %v: %d copies are left, want %d", all, size, perHost, gone, got, wants[set])
						}
					}
				}
			}
		}
	}
	if cases < 130_000 {
		t.Errorf("%d cases", cases)
	}
}

func pow(base, exponent int) int {
	n := 1
	for range exponent {
		n *= base
	}
	return n
}

// layoutOf returns OSDs on hosts, as many on each as a digit of the layout to the base three says.
func layoutOf(layout, hosts int) []OSD {
	var all []OSD
	for i := range hosts {
		for range layout % 3 {
			all = append(all, OSD{Node: fmt.Sprintf("pve%d", i+1), Class: "hdd", Up: true})
		}
		layout /= 3
	}
	return all
}

// worst tries all sets of OSDs of the largest size that the rule permits, and returns the fewest copies that are left of any, by the set of
// lost hosts.
func worst(all []OSD, hosts, size, perHost int) []int {
	most := 0
	var placements [][5]int // copies on each host
	for set := range 1 << len(all) {
		var on [5]int
		copies := 0
		for i, o := range all {
			if set>>i&1 == 1 {
				on[o.Node[len("pve")]-'1']++
				copies++
			}
		}
		allowed := copies <= size
		for _, n := range on {
			allowed = allowed && (perHost == 0 || n <= perHost)
		}
		switch {
		case !allowed || copies < most:
		case copies > most:
			most, placements = copies, [][5]int{on}
		default:
			placements = append(placements, on)
		}
	}
	fewest := make([]int, 1<<hosts)
	for lost := range fewest {
		fewest[lost] = most
		for _, on := range placements {
			left := 0
			for i, n := range on {
				if lost>>i&1 == 0 {
					left += n
				}
			}
			fewest[lost] = min(fewest[lost], left)
		}
	}
	return fewest
}

// TestFourNodesDoNotSurviveTwoLosses refutes what the first guide says of its pool of four copies.
func TestFourNodesDoNotSurviveTwoLosses(t *testing.T) {
	c := Cluster{
		Name: "dream", Nodes: nodes(4), Monitors: daemons(3), OSDs: osds(4, 2),
		Pools: []Pool{{Name: "vm-disks", Size: 4, MinSize: 2, Spread: Spread{PerHost: 1}}},
	}
	want := []string{
		"Losing any two nodes ends the quorum: 2 of 4 votes are left, and 3 are needed. /etc/pve is read-only then, nothing is started or moved, and each node with highly available guests resets itself after a minute.",
		"vm-disks (4 copies, min_size 2) would have enough copies after losing any two nodes, but that does not help: the nodes have no quorum.",
		"With a QDevice of one vote, losing any two nodes would keep the quorum: 3 of 5 votes. It does not help Ceph, which would still stop, at least in part, after losing pve1 and pve2; or pve1 and pve3; or pve2 and pve3.",
		"Losing pve1 and pve2; or pve1 and pve3; or pve2 and pve3 ends the quorum of the monitors: 1 of 3 are left, and 2 are needed. All pools then stop, however many copies are left.",
	}
	if diff := cmp.Diff(want, Judge(c).Findings); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.DeviceVotes, c.Monitors = 1, append(daemons(4), Daemon{Node: "elsewhere"})
	if r := Judge(c); len(r.Findings) > 0 || len(r.WithDevice) > 0 {
		t.Errorf("with a QDevice and five monitors: %q", r.Findings)
	}
}

// While a QDevice does not vote, two nodes are no better off than without it, and three are worse off.
func TestQDeviceAway(t *testing.T) {
	for _, test := range []struct {
		nodes, votes int
		want         string
	}{
		{2, 1, "While the QDevice does not vote, because its host is down or not reached, losing any node ends the quorum: 1 of 3 votes are left, and 2 are needed."},
		{3, 2, "While the QDevice does not vote, because its host is down or not reached, losing any node ends the quorum: 2 of 5 votes are left, and 3 are needed. Without any QDevice it would be kept: a QDevice helps only an even number of nodes."},
		{4, 1, ""},
		{3, 0, ""},
	} {
		var got string
		for _, finding := range Judge(Cluster{Nodes: nodes(test.nodes), DeviceVotes: test.votes}).Findings {
			if strings.HasPrefix(finding, "While the QDevice") {
				got = finding
			}
		}
		if got != test.want {
			t.Errorf("%d nodes, a QDevice of %d votes: %q, want %q", test.nodes, test.votes, got, test.want)
		}
	}
}

func TestFindings(t *testing.T) {
	three := func(change func(*Cluster)) Cluster {
		c := Cluster{
			Nodes: nodes(3), Monitors: daemons(3), OSDs: osds(3, 2), MetadataServers: daemons(3), FileSystems: []string{"fs"},
			Pools:  []Pool{{Name: "p", Size: 3, MinSize: 2, Spread: Spread{PerHost: 1}}},
			Guests: []Guest{{ID: "vm:100", Node: "pve1", Memory: 4 << 30}, {ID: "vm:101", Node: "pve2", Memory: 4 << 30}},
		}
		change(&c)
		return c
	}
	for _, test := range []struct {
		name   string
		change func(*Cluster)
		want   string
		absent string
	}{
		{"healthy", func(*Cluster) {}, "Losing any two nodes ends the quorum", "after losing any node"},
		{"two pairs of copies", func(c *Cluster) { c.Pools[0].MinSize = 3 }, "Pool p stops after losing any node, for reading and for writing: in the worst case 2 copies are left of 3, and min_size is 3.", ""},
		{"failure domain osd", func(c *Cluster) { c.Pools[0].Spread.PerHost = 0 }, "in the worst case 1 copy is left of 3, and min_size is 2. The rule may put several copies on one host.", ""},
		{"two copies on one host", func(c *Cluster) { c.Pools[0] = Pool{Name: "p", Size: 2, MinSize: 1} }, "Pool p may lose data for good with any node", ""},
		{"size 5 on three hosts, two each", func(c *Cluster) { c.Pools[0] = Pool{Name: "p", Size: 5, MinSize: 3, Spread: Spread{PerHost: 2}} }, "Pool p stops after losing any two nodes", "Pool p stops after losing any node,"},
		{"an OSD down already", func(c *Cluster) { c.OSDs[0].Up = false }, "Pool p stops after losing pve2 or pve3", "losing pve1 or"},
		{"a class on one host", func(c *Cluster) { c.OSDs[0].Class = "ssd"; c.Pools[0].Spread.Class = "ssd" }, "Pool p may have placement groups with 1 of 3 copies now, fewer than the min_size of 2.", ""},
		{"pools alike", func(c *Cluster) {
			c.Pools = append(c.Pools, Pool{Name: "q", Size: 3, MinSize: 2, Spread: Spread{PerHost: 1}})
		}, "Pools p, q stop after losing any two nodes", "Pool q"},
		{"unknown rule", func(c *Cluster) { c.Pools[0].Spread.Unknown = "rule x is made by hand" }, "Pool p is not judged: rule x is made by hand.", ""},
		{"two monitors", func(c *Cluster) { c.Monitors = daemons(2) }, "2 monitors survive the loss of 0, no more than 1 would", ""},
		{"a monitor down", func(c *Cluster) { c.Monitors[2].Down = true }, "Losing pve1 or pve2 ends the quorum of the monitors: 1 of 3 are left", ""},
		{"one metadata server", func(c *Cluster) { c.MetadataServers = daemons(1) }, "CephFS (fs) has too few metadata servers after losing pve1: 0", ""},
		{"offline", func(c *Cluster) { c.Nodes[2].Online = false }, "pve3 is offline already, and counted as lost in every line.", ""},
		{"a heavy vote", func(c *Cluster) { c.Nodes[0].Votes = 3 }, "Losing pve1 ends the quorum: 2 of 5 votes are left", "Losing any node"},
		{"a local disk", func(c *Cluster) { c.Guests[0].Bound = "scsi0 lies on local-lvm of pve1" }, "vm:100 does not run after losing pve1: scsi0 lies on local-lvm of pve1.", ""},
		{"mapped devices", func(c *Cluster) { c.Guests[0].Only = []string{"pve1"} }, "vm:100 does not run after losing pve1: no node is left that has what it needs: pve1.", ""},
		{"strict", func(c *Cluster) {
			c.Rules = []Rule{{Name: "r", Guests: []string{"vm:100"}, Priorities: map[string]int{"pve1": 1}, Strict: true}}
		}, "vm:100 does not run after losing pve1: rule r is strict, and none of its nodes is left.", ""},
		{"preferred, but apart from what runs there", func(c *Cluster) {
			c.Rules = []Rule{{Name: "r", Guests: []string{"vm:100"}, Priorities: map[string]int{"pve1": 0, "pve2": 0}}, {Name: "s", Guests: []string{"vm:100", "vm:101"}, Apart: true}}
		}, "vm:100 does not run after losing pve1: rule s keeps it apart from guests on all nodes that are left; as long as pve2, which rule r prefers, is left, no other node is considered.", ""},
		{"memory", func(c *Cluster) { c.Guests[0].Memory, c.Guests[1].Memory = 20<<30, 1<<30 }, "After losing pve1, highly available guests on pve3 may take 20.0 GiB of memory, and it has 16.0 GiB.", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(Judge(three(test.change)).Findings, "\n")
			if !strings.Contains(got, test.want) {
				t.Errorf("expected %q in:\n%s", test.want, got)
			}
			if test.absent != "" && strings.Contains(got, test.absent) {
				t.Errorf("did not expect %q in:\n%s", test.absent, got)
			}
		})
	}
}

func TestGuestsGo(t *testing.T) {
	guest := func(id, node string) Guest { return Guest{ID: id, Node: node} }
	for _, test := range []struct {
		name   string
		guests []Guest
		rules  []Rule
		lost   []string
		want   []string
	}{
		{"to the node with the fewest", []Guest{guest("vm:100", "pve1"), guest("vm:101", "pve2")}, nil, []string{"pve1"}, []string{"vm:100 pve3"}},
		{"by priority", []Guest{guest("vm:100", "pve1")}, []Rule{{Name: "r", Guests: []string{"vm:100"}, Priorities: map[string]int{"pve1": 3, "pve4": 2, "pve2": 1}}}, []string{"pve1"}, []string{"vm:100 pve4"}},
		{"anywhere if not strict", []Guest{guest("vm:100", "pve1")}, []Rule{{Name: "r", Guests: []string{"vm:100"}, Priorities: map[string]int{"pve1": 3}}}, []string{"pve1"}, []string{"vm:100 pve2"}},
		{"apart", []Guest{guest("vm:100", "pve1"), guest("vm:101", "pve2"), guest("vm:102", "pve3")}, []Rule{{Name: "r", Guests: []string{"vm:100", "vm:101"}, Apart: true}}, []string{"pve1", "pve4"}, []string{"vm:100 pve3"}},
		{"apart, and both lost", []Guest{guest("vm:100", "pve1"), guest("vm:101", "pve1")}, []Rule{{Name: "r", Guests: []string{"vm:100", "vm:101"}, Apart: true}}, []string{"pve1"}, []string{"vm:100 pve2", "vm:101 pve3"}},
		{"together", []Guest{guest("vm:100", "pve1"), guest("vm:101", "pve1"), guest("vm:102", "pve2")}, []Rule{{Name: "r", Guests: []string{"vm:100", "vm:101"}, Together: true}}, []string{"pve1"}, []string{"vm:100 pve3", "vm:101 pve3"}},
		{"together, and bound by one of them", []Guest{guest("vm:100", "pve1"), guest("vm:101", "pve1")}, []Rule{
			{Name: "r", Guests: []string{"vm:100", "vm:101"}, Together: true},
			{Name: "s", Guests: []string{"vm:101"}, Priorities: map[string]int{"pve3": 1}, Strict: true},
		}, []string{"pve1"}, []string{"vm:100 pve3", "vm:101 pve3"}},
		{"together, and apart by one of them", []Guest{
			guest("vm:100", "pve1"), guest("vm:101", "pve1"), guest("vm:102", "pve2"), guest("vm:103", "pve3"), guest("vm:104", "pve3"), guest("vm:105", "pve4"), guest("vm:106", "pve4"),
		}, []Rule{
			{Name: "r", Guests: []string{"vm:100", "vm:101"}, Together: true},
			{Name: "s", Guests: []string{"vm:101", "vm:102"}, Apart: true},
		}, []string{"pve1"}, []string{"vm:100 pve3", "vm:101 pve3"}},
		{"sorted as text", []Guest{guest("vm:1000", "pve1"), guest("vm:200", "pve1")}, nil, []string{"pve1"}, []string{"vm:1000 pve2", "vm:200 pve3"}},
		{"nowhere without a quorum", []Guest{guest("vm:100", "pve3")}, nil, []string{"pve1", "pve2"}, []string{"vm:100 "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 4
			if test.name == "nowhere without a quorum" {
				n = 3
			}
			c := Cluster{Nodes: nodes(n), DeviceVotes: 1 - n%2, Guests: test.guests, Rules: test.rules}
			var got []string
			for _, m := range Lose(c, test.lost...).Guests {
				got = append(got, m.Guest+" "+m.To)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
