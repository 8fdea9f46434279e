package observe

import (
	"net/netip"
	"sync"
)

// Inventory is what a run knows of the addresses of all hosts of its inventory. It is safe for concurrent use.
type Inventory struct {
	given map[string]string

	mu  sync.Mutex
	had map[string]map[netip.Addr]bool // by the names of the hosts whose network was read
}

// NewInventory returns an inventory that gives these addresses to hosts, by name. given must not be changed afterwards.
func NewInventory(given map[string]string) *Inventory {
	return &Inventory{given: given, had: map[string]map[netip.Addr]bool{}}
}

// Heard notes the addresses that a host has. It does nothing on a nil inventory.
func (i *Inventory) Heard(host string, n Network) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.had[host] == nil {
		i.had[host] = map[netip.Addr]bool{}
	}
	for _, link := range n.Interfaces {
		for _, prefix := range link.Addresses {
			i.had[host][prefix.Addr()] = true
		}
	}
}

// foreign is Host.Foreign.
func (i *Inventory) foreign(addr netip.Addr) bool {
	if i == nil || len(i.given) == 0 || addr.IsLoopback() || addr.IsUnspecified() {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for name, given := range i.given {
		if a, err := netip.ParseAddr(given); err == nil && a.WithZone("").Unmap() == addr || i.had[name] == nil || i.had[name][addr] {
			return false
		}
	}
	return true
}
