package proxmox

import (
	"sync"
	"time"
)

// State is everything that the nodes of one lab share. It is plain data: a Store may keep it as JSON.
type State struct {
	// Nodes are all nodes that have the Proxmox VE packages or are attached to the lab, by node name.
	Nodes map[string]*NodeState
	// Databases are the pmxcfs databases by id: one for each standalone node and one for each cluster.
	Databases map[string]*Database
	// Ceph holds the Ceph clusters by the id of the pmxcfs database whose ceph.conf describes them.
	Ceph map[string]*Ceph
	// Sequence numbers everything that needs a unique id, so that ids are the same in every run.
	Sequence int
}

// NodeState is what the lab keeps of one node beside the node's own files.
type NodeState struct {
	Name string
	// Database is the id of the pmxcfs database that the node mounts; empty before its first start.
	Database string
	// IP is what the node's name resolved to when its pmxcfs was last started.
	IP string
	// Restarted says that pmxcfs was started again while somebody was using it: the mount point is not
	// connected for a moment.
	Restarted bool
	// Since is when each running unit was started, Until when it last stopped, by unit name.
	Since, Until map[string]time.Time
	// Removed says that a member deleted this node from the cluster: its corosync has stopped.
	Removed bool
	// Tasks counts worker tasks, for their ids.
	Tasks int
	// Seen are the ids of the members that its corosync last saw: without it the node knows no better.
	Seen []int
	// Joining says that pvecm add is between the answer of the cluster and its own end.
	Joining bool
	// Disturbed says that another node asked to be added while this one was joining.
	Disturbed bool
}

// started and stopped record what a unit does.
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

// Store keeps a State. Update runs fn alone: no other Update, and what fn changed is kept unless it
// returns an error that the store could not undo; fn must not call the store again, nor touch a file
// of a node.
type Store interface {
	Update(fn func(*State) error) error
}

// MemoryStore is a Store in memory. Its zero value is an empty state.
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

// node returns the state of a node, made when it is first asked for.
func (s *State) node(name string) *NodeState {
	n := s.Nodes[name]
	if n == nil {
		n = &NodeState{Name: name, Since: map[string]time.Time{}, Until: map[string]time.Time{}}
		s.Nodes[name] = n
	}
	return n
}

// database is the pmxcfs database of a node, or nil before its pmxcfs was first started.
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
