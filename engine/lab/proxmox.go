package lab

import (
	"hlplay/engine/inventory"
	"hlplay/engine/lab/proxmox"
)

// rootPassword is root's password on every node, for joins over the API.
const rootPassword = "lab-root-password"

// proxmox adds Proxmox VE's and Ceph's packages to the archive and the nodes to one world, in which clusters form
// once the packages are installed.
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
