package proxmox

import "fmt"

// connected reports whether pmxcfs answers, without which no program of Proxmox VE starts.
func (c *Command) connected() (ok bool) {
	c.World.at(func(v *view) { ok = v.runs(c.Node.Name(), "pve-cluster.service", 0) })
	if !ok {
		fmt.Fprint(c.Stderr, "ipcc_send_rec[1] failed: Connection refused\nipcc_send_rec[2] failed: Connection refused\nipcc_send_rec[3] failed: Connection refused\nUnable to load access control list: Connection refused\n")
	}
	return ok
}
