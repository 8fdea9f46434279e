package proxmox

import (
	"sync"
	"time"
)

// State is everything that the nodes of a lab share. It is plain data, so that a Store can keep it as JSON.
type State struct {
	// Nodes are all nodes that have the Proxmox VE packages or are attached to the lab, by node name.
	Nodes map[string]*NodeState
	// Databases are the pmxcfs databases by ID: one per standalone node and one per cluster.
	Databases map[string]*Database
	// Ceph holds the Ceph clusters by the ID of the pmxcfs database whose ceph.conf describes them.
	Ceph map[string]*Ceph
	// Sequence is the source of unique IDs. They are the same in every run.
	Sequence int
}

// NodeState is what the lab stores about a node in addition to the node's own files.
type NodeState struct {
	Name string
	// Database is the ID of the pmxcfs database that the node mounts; empty before its first start.
	Database string
	// IP is what the node's name resolved to when its pmxcfs was last started.
	IP string
	// Restarted is set if pmxcfs was restarted while it was in use: the mount point is disconnected for a moment.
	Restarted bool
	// Since is when each active unit was started and Until when each unit was last stopped, by unit name.
	Since, Until map[string]time.Time
	// Removed is set if a member has removed this node from the cluster: its corosync has stopped.
	Removed bool
	// Firewall is what pve-firewall has loaded.
	Firewall Loaded
	// Tasks counts worker tasks for their IDs.
	Tasks int
	// Seen are the IDs of the members that its corosync last saw. When corosync has stopped, the node knows no others.
	Seen []int
	// Joining is set while pvecm add has the cluster's response but has not finished.
	Joining bool
	// Disturbed is set if another node asked to be added while this one was joining.
	Disturbed bool
}

// started and stopped record that a unit has started or stopped.
func (n *NodeState) started(unit string, now time.Time) {
	n.Since[unit] = now
	delete(n.Until, unit)
}

func (n *NodeState) stopped(unit string, now time.Time) {
	if _, ran := n.Since[unit]; ran {
		delete(n.Since, unit)
		n.Until[unit] = now
	}
}

// Store stores a State. Update runs fn exclusively and keeps its changes, unless the store itself fails. fn must
// neither call the store nor access a node's files.
type Store interface {
	Update(fn func(*State) error) error
}

// MemoryStore is a Store in memory. Its zero value holds an empty state.
type MemoryStore struct {
	mu    sync.Mutex
	state State
}

// Update implements Store.
func (m *MemoryStore) Update(fn func(*State) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.init()
	return fn(&m.state)
}

func (s *State) init() {
	if s.Nodes == nil {
		s.Nodes = map[string]*NodeState{}
	}
	if s.Databases == nil {
		s.Databases = map[string]*Database{}
	}
	if s.Ceph == nil {
		s.Ceph = map[string]*Ceph{}
	}
}

// node returns the state of a node, creating it if necessary.
func (s *State) node(name string) *NodeState {
	n := s.Nodes[name]
	if n == nil {
		n = &NodeState{Name: name, Since: map[string]time.Time{}, Until: map[string]time.Time{}}
		s.Nodes[name] = n
	}
	return n
}

// database returns the pmxcfs database of a node, or nil before the first start of its pmxcfs.
func (s *State) database(node string) *Database {
	n := s.Nodes[node]
	if n == nil {
		return nil
	}
	return s.Databases[n.Database]
}

func (s *State) next() int {
	s.Sequence++
	return s.Sequence
}
