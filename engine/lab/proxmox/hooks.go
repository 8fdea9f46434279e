package proxmox

// UnitStarted tells the lab that a unit on a node is starting, for nodes whose units are not simulated. If it returns
// an error, the unit must fail: pve-cluster refuses a node whose name does not resolve to an address of the LAN, as
// pmxcfs does.
func (w *World) UnitStarted(n Node, unit string) error { return w.unitStarted(n, unit) }

// UnitStopped tells the lab that a unit on a node has stopped.
func (w *World) UnitStopped(n Node, unit string) { w.unitStopped(n, unit) }

// Booted tells the lab that a machine has booted, so that nothing that ran on it before is running any more.
func (w *World) Booted(node string) {
	w.update(func(s *State) {
		n := s.node(node)
		for unit := range n.Since {
			n.stopped(unit, w.clock.Now())
		}
	})
}
