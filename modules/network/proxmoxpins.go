package network

import (
	"path"
	"strings"
)

// proxmoxDir is where Proxmox VE 9 pins the names of network cards: its installer in 50-pmx-NAME.link, and
// pve-network-interface-pinning (proxmox-network-interface-pinning) in 50-pve-NAME.link. The names are nic0, nic1 and so on.
const proxmoxDir = "/usr/local/lib/systemd/network/"

// byProxmox reports whether Proxmox VE wrote the file.
func (c linkConfig) byProxmox() bool {
	dir, base := path.Split(c.path)
	return dir == proxmoxDir && (strings.HasPrefix(base, "50-pve-") || strings.HasPrefix(base, "50-pmx-"))
}

// proxmoxPins lists cards whose names Proxmox VE has pinned: those that have their name now, and those that get it at the
// next boot.
type proxmoxPins struct{ now, then []string }

func (p *proxmoxPins) add(name string, c linkConfig) {
	if c.name == name {
		p.now = append(p.now, name)
		return
	}
	p.then = append(p.then, name+" as "+c.name)
}

// notes returns what the user should know about them. With all unset, as for a task that does more than pin names, pins
// that are already in effect are not noted.
func (p *proxmoxPins) notes(all bool) (notes []string) {
	if len(p.now) > 0 && all {
		notes = append(notes, "Proxmox VE has pinned "+strings.Join(p.now, ", ")+" in "+proxmoxDir+": left as it is")
	}
	if len(p.then) > 0 {
		notes = append(notes, "Proxmox VE has pinned "+strings.Join(p.then, ", ")+" in "+proxmoxDir+
			", from the next boot on: left as it is. By then /etc/network/interfaces has to have these names; pve-network-interface-pinning writes them to interfaces.new, which pvenetcommit puts in place as the node boots")
	}
	return notes
}
