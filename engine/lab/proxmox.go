package lab

import (
	"hlplay/engine/inventory"
	"hlplay/engine/lab/machine"
	"hlplay/engine/lab/proxmox"
)

// rootPassword is root's on every node, for what asks for it: joins over the API.
const rootPassword = "lab-root-password"

// proxmox offers Proxmox VE's and Ceph's packages in the archive, and makes the nodes part of one
// world, whose clusters form once the packages are installed.
func (l *Lab) proxmox(inv *inventory.Inventory) error {
	l.world = proxmox.NewWorld(l.clock)
	for _, debian := range []string{"bookworm", "trixie"} {
		l.archive.Add(proxmox.Packages(l.world, debian)...)
	}
	for _, h := range inv.Hosts {
		if m := l.machines[h.Name]; m != nil {
			l.world.Attach(m, proxmox.Options{Guests: h.Rehearsal.Guests, Password: rootPassword})
		}
	}
	return nil
}

// World is the clusters of the lab's nodes.
func (l *Lab) World() *proxmox.World { return l.world }

// Machines are all nodes, in the inventory's order.
func (l *Lab) Machines() []*machine.Machine {
	all := make([]*machine.Machine, len(l.names))
	for i, name := range l.names {
		all[i] = l.machines[name]
	}
	return all
}
