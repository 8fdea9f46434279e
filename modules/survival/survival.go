// Package survival calculates what a cluster of Proxmox VE and Ceph still does after losing nodes: corosync's votes,
// monitors, pools, metadata servers, and where highly available guests go. It reads nothing: the caller provides a Cluster,
// and the same Cluster always gives the same Report.
//
// Pools are judged by the worst placement that their CRUSH rule permits, not by where copies are today, because any later
// change may move them.
package survival

import (
	"slices"
	"strings"
)

// Cluster is the input of the calculation.
type Cluster struct {
	Name  string
	Nodes []Node
	// DeviceVotes is the number of votes of a QDevice; 0 means that there is none.
	DeviceVotes int
	// Monitors are the monitors in the monitor map; empty without Ceph.
	Monitors []Daemon
	// OSDs lists the OSDs that are in. An OSD that is out holds no copies.
	OSDs  []OSD
	Pools []Pool
	// MetadataServers serve FileSystems, one for each file system.
	MetadataServers []Daemon
	FileSystems     []string
	// Guests lists the guests that must keep running.
	Guests []Guest
	Rules  []Rule
}

// Quorate reports whether the cluster has a quorum with the nodes that are online.
func (c Cluster) Quorate() bool { return Lose(c).Quorate }

// Node is a member of the cluster.
type Node struct {
	Name  string
	Votes int
	// Online is false for a node that counts as lost in every case.
	Online bool
	// Maintenance says that no guest is started there.
	Maintenance bool
	// Memory is the size of the machine's memory in bytes; 0 means unknown.
	Memory uint64
}

// Daemon is a monitor or metadata server.
type Daemon struct {
	Node string
	// Down says that it does not work, although its node may be up.
	Down bool
}

// OSD is an object storage daemon that is in.
type OSD struct {
	Node  string
	Class string
	Up    bool
}

// Pool is a pool of copies or, if it is erasure-coded, of chunks.
type Pool struct {
	Name          string
	Size, MinSize int
	Spread        Spread
}

// Spread says where a CRUSH rule puts the copies of a placement group.
type Spread struct {
	// PerHost is the maximum number of copies on one host; 0 means any number.
	PerHost int
	// Class restricts the copies to OSDs of a class; empty means any.
	Class string
	// Unknown says why the spread is not known; empty if it is.
	Unknown string
}

// Guest is a highly available guest, by its service ID ("vm:100").
type Guest struct {
	ID   string
	Node string
	// Memory is the memory that it may use in bytes; 0 means unknown.
	Memory uint64
	// Bound says what prevents it from starting on any other node; empty if nothing does.
	Bound string
	// Only lists the nodes that have what it needs, such as mapped devices; nil means all.
	Only []string
}

// Rule is an affinity rule, or a group of Proxmox VE 8.
type Rule struct {
	Name   string
	Guests []string
	// Priorities are the nodes that the guests prefer; higher numbers win. It is nil in a rule about guests.
	Priorities map[string]int
	// Strict says that the guests run nowhere else.
	Strict bool
	// Apart and Together are set in rules about guests.
	Apart, Together bool
}

// Loss says what becomes of the cluster when nodes are lost at once.
type Loss struct {
	// Lost are the lost nodes, without those that are offline already.
	Lost []string `json:"lost"`
	// Votes is how many of VotesOf votes are left. A quorum needs VotesNeeded.
	Votes       int  `json:"votes"`
	VotesOf     int  `json:"votes_of"`
	VotesNeeded int  `json:"votes_needed"`
	Quorate     bool `json:"quorate"`
	// Monitors is how many of MonitorsOf monitors are left.
	Monitors       int  `json:"monitors"`
	MonitorsOf     int  `json:"monitors_of"`
	MonitorsNeeded int  `json:"monitors_needed"`
	MonitorQuorum  bool `json:"monitor_quorum"`

	Pools []PoolState `json:"pools"`
	// MetadataServers is how many of MetadataServersOf are left. FileSystems reports whether they are enough.
	MetadataServers   int  `json:"metadata_servers"`
	MetadataServersOf int  `json:"metadata_servers_of"`
	FileSystems       bool `json:"file_systems_served"`
	// Guests are the guests that ran on the lost nodes or, without a quorum, all guests.
	Guests []Move `json:"guests"`
}

// PoolState is what is left of a pool in the worst case.
type PoolState struct {
	Name string `json:"name"`
	// Copies is the number of copies left of the placement group that is hit worst; -1 means unknown.
	Copies  int  `json:"copies"`
	MinSize int  `json:"min_size"`
	Reads   bool `json:"reads"`
	Writes  bool `json:"writes"`
	// Why says what stops the pool; empty if nothing does.
	Why string `json:"why,omitempty"`
}

// Move says where a guest goes.
type Move struct {
	Guest string `json:"guest"`
	From  string `json:"from"`
	// To is empty if the guest does not run any more; Why then says why.
	To  string `json:"to,omitempty"`
	Why string `json:"why,omitempty"`
}

// Report says what each loss of one and of two nodes does.
type Report struct {
	Cluster string `json:"cluster"`
	// Nodes are online; Offline are lost already.
	Nodes   []string `json:"nodes"`
	Offline []string `json:"offline,omitempty"`
	// Device is the number of votes of the cluster's QDevice.
	Device int    `json:"qdevice_votes"`
	Losses []Loss `json:"losses"`
	// WithDevice lists the losses whose outcome differs if the cluster gets a QDevice with one vote. It is empty if a QDevice
	// does not help, or if Proxmox VE does not support one, as for an odd number of nodes.
	WithDevice []Loss `json:"with_qdevice,omitempty"`
	// Findings has a sentence for everything that may come as a surprise.
	Findings []string `json:"findings"`
}

// Judge calculates what each loss of one and of two nodes does.
func Judge(c Cluster) Report {
	r := Report{Cluster: c.Name, Device: c.DeviceVotes}
	for _, n := range c.Nodes {
		if n.Online {
			r.Nodes = append(r.Nodes, n.Name)
		} else {
			r.Offline = append(r.Offline, n.Name)
		}
	}
	slices.Sort(r.Nodes)
	slices.Sort(r.Offline)
	device := c
	device.DeviceVotes = 1
	for _, lost := range losses(r.Nodes) {
		loss := Lose(c, lost...)
		r.Losses = append(r.Losses, loss)
		if c.DeviceVotes == 0 && len(c.Nodes)%2 == 0 && !loss.Quorate {
			if with := Lose(device, lost...); with.Quorate {
				r.WithDevice = append(r.WithDevice, with)
			}
		}
	}
	r.Findings = findings(c, r)
	return r
}

// losses returns the sets of one and of two nodes.
func losses(nodes []string) [][]string {
	var sets [][]string
	for _, name := range nodes {
		sets = append(sets, []string{name})
	}
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			sets = append(sets, []string{a, b})
		}
	}
	return sets
}

// Lose calculates what the loss of some nodes does.
func Lose(c Cluster, lost ...string) Loss {
	l := Loss{Lost: slices.Sorted(slices.Values(lost)), VotesOf: c.DeviceVotes, Votes: c.DeviceVotes}
	gone := map[string]bool{}
	for _, name := range lost {
		gone[name] = true
	}
	for _, n := range c.Nodes {
		l.VotesOf += n.Votes
		if !n.Online {
			gone[n.Name] = true
		}
		if !gone[n.Name] {
			l.Votes += n.Votes
		}
	}
	l.VotesNeeded = l.VotesOf/2 + 1
	l.Quorate = l.Votes >= l.VotesNeeded

	l.Monitors, l.MonitorsOf = left(c.Monitors, gone), len(c.Monitors)
	l.MonitorsNeeded = l.MonitorsOf/2 + 1
	l.MonitorQuorum = l.Monitors >= l.MonitorsNeeded
	for _, p := range c.Pools {
		l.Pools = append(l.Pools, p.after(c.OSDs, gone, l.MonitorQuorum))
	}
	l.MetadataServers, l.MetadataServersOf = left(c.MetadataServers, gone), len(c.MetadataServers)
	l.FileSystems = l.MetadataServers >= len(c.FileSystems)
	l.Guests = relocate(c, gone, l.Quorate)
	return l
}

// left returns the number of remaining daemons.
func left(daemons []Daemon, gone map[string]bool) int {
	n := 0
	for _, d := range daemons {
		if !gone[d.Node] && !d.Down {
			n++
		}
	}
	return n
}

// after returns what is left of a pool. A placement group has at most capacity copies on each host. In the worst case, the
// lost hosts hold as many copies as fit.
func (p Pool) after(osds []OSD, gone map[string]bool, monitors bool) PoolState {
	s := PoolState{Name: p.Name, MinSize: p.MinSize}
	if p.Spread.Unknown != "" {
		s.Copies, s.Why = -1, p.Spread.Unknown
		return s
	}
	all, dead := map[string]int{}, map[string]int{}
	for _, o := range osds {
		if p.Spread.Class != "" && o.Class != p.Spread.Class {
			continue
		}
		all[o.Node]++
		if gone[o.Node] || !o.Up {
			dead[o.Node]++
		}
	}
	total, lost := 0, 0
	for node, n := range all {
		total += p.capacity(n)
		lost += p.capacity(dead[node])
	}
	copies := min(p.Size, total)
	s.Copies = copies - min(copies, lost)
	switch {
	case s.Copies == 0:
		s.Why = "no copy is left"
	case s.Copies < p.MinSize:
		s.Why = "fewer copies than min_size"
	case !monitors:
		s.Why = "the monitors have no quorum"
	default:
		s.Reads, s.Writes = true, true
	}
	return s
}

// capacity returns how many copies of a placement group fit on the given number of OSDs of a host.
func (p Pool) capacity(osds int) int {
	if p.Spread.PerHost > 0 {
		return min(p.Spread.PerHost, osds)
	}
	return osds
}

// list joins names for a sentence.
func list(names []string) string { return strings.Join(names, ", ") }
