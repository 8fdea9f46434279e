package proxmox

// UnitStarted tells the lab that a unit of a node is starting, for nodes whose units are not those of a simulated
// machine. The unit has to fail with the returned error: pve-cluster refuses a node whose name does not resolve to an
// address of the LAN, as pmxcfs does.
func (w *World) UnitStarted(n Node, unit string) error { return w.unitStarted(n, unit) }

// UnitStopped tells the lab that a unit of a node has stopped.
func (w *World) UnitStopped(n Node, unit string) { w.unitStopped(n, unit) }

// Booted tells the lab that a machine has booted, so that nothing is running any more that ran on it before.
func (w *World) Booted(node string) {
	w.update(func(s *State) {
		n := s.node(node)
		for unit := range n.Since {
			n.stopped(unit, w.clock.Now())
		}
	})
}
