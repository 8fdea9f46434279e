package proxmox

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/lab/machine"
)

// World is all nodes and clusters of a lab.
type World struct {
	clock machine.Clock
	store Store

	mu      sync.Mutex
	members []membership
	// rootKeys is how many nodes have been given a key for root.
	rootKeys int
}

// membership is a node with its options.
type membership struct {
	node Node
	opts Options
	// known are the names under which pmxcfs was started. The cluster knows a renamed node by them.
	known []string
}

// NewWorld returns an empty world whose state is kept in memory.
func NewWorld(clock machine.Clock) *World { return NewWorldIn(clock, &MemoryStore{}) }

// NewWorldIn returns a world whose state is kept in store.
func NewWorldIn(clock machine.Clock, store Store) *World {
	return &World{clock: clock, store: store}
}

// Options describe a node beyond what the machine itself tells.
type Options struct {
	// Guests are the guests that exist once Proxmox VE is installed: IDs, and "vm" or "ct".
	Guests map[string]string
	// Password is root's password for joins over the API. If it is empty, such joins are refused.
	Password string
}

// Add adds a node to the world.
func (w *World) Add(n Node, opts Options) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(w.members, membership{node: n, opts: opts})
}

func (w *World) node(name string) Node { return w.lookup(name).node }

func (w *World) options(name string) Options { return w.lookup(name).opts }

// lookup returns a node by its current name or else by one under which its pmxcfs was started.
func (w *World) lookup(name string) membership {
	w.mu.Lock()
	defer w.mu.Unlock()
	var renamed membership
	for _, m := range w.members {
		if m.node.Name() == name {
			return m
		}
		if slices.Contains(m.known, name) {
			renamed = m
		}
	}
	return renamed
}

// know remembers the name under which a node's pmxcfs was started.
func (w *World) know(n Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range w.members {
		if name := n.Name(); m.node.Name() == name && !slices.Contains(m.known, name) {
			w.members[i].known = append(m.known, name)
		}
	}
}

// names returns a node's current name and the names under which the cluster may know it.
func (w *World) names(n Node) []string {
	return append([]string{n.Name()}, w.lookup(n.Name()).known...)
}

// all returns the nodes sorted by name.
func (w *World) all() []Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	nodes := make([]Node, 0, len(w.members))
	for _, m := range w.members {
		nodes = append(nodes, m.node)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name(), b.Name()) })
	return nodes
}

// find returns the node with a name or an address, as resolved on another node.
func (w *World) find(from Node, host string) Node {
	addresses, err := from.Resolve(host)
	if err != nil || len(addresses) == 0 {
		return nil
	}
	for _, n := range w.all() {
		for _, prefix := range n.Addresses() {
			if prefix.Addr() == addresses[0] && !addresses[0].IsLoopback() {
				return n
			}
		}
	}
	return nil
}

// view is the state at one point in the lab's time.
type view struct {
	*State
	world *World
	now   time.Time
	// up says which machines are on, and heard at which addresses others hear them (see Node.Heard). Both are determined
	// before the store is locked.
	up    map[string]bool
	heard map[string][]netip.Addr
}

// update calls fn on the state without updating it first.
func (w *World) update(fn func(*State)) {
	_ = w.store.Update(func(s *State) error { // fn cannot fail: commands print their own errors
		s.init()
		fn(s)
		return nil
	})
}

// at calls fn on the current state, after updating memberships, HA and Ceph. fn must not access a node's files.
func (w *World) at(fn func(v *view)) {
	up, heard := map[string]bool{}, map[string][]netip.Addr{}
	for _, n := range w.all() {
		for _, name := range w.names(n) {
			up[name], heard[name] = n.Up(), n.Heard()
		}
	}
	w.update(func(s *State) {
		v := &view{State: s, world: w, now: w.clock.Now(), up: up, heard: heard}
		v.refresh()
		fn(v)
	})
}

func (v *view) refresh() {
	for _, n := range sorted(v.Nodes) {
		if known, up := v.up[n.Name]; known && !up {
			for unit := range n.Since {
				n.stopped(unit, v.now)
			}
		}
	}
	for _, db := range sorted(v.Databases) {
		v.refreshRing(db)
		v.advanceHA(db)
	}
	for _, c := range sorted(v.Ceph) {
		v.refreshCeph(c)
	}
}

// nodeState returns the state of a node, or an empty one if pmxcfs never ran under this name.
func (v *view) nodeState(node string) NodeState {
	if n := v.Nodes[node]; n != nil {
		return *n
	}
	return NodeState{}
}

// runs reports whether a unit of a node has been running for at least d.
func (v *view) runs(node, unit string, d time.Duration) bool {
	n := v.Nodes[node]
	if n == nil || !v.up[node] {
		return false
	}
	since, ok := n.Since[unit]
	return ok && !v.now.Before(since.Add(d))
}
