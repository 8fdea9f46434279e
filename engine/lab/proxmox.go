package lab

import "hlplay/engine/inventory"

func (l *Lab) proxmox(inv *inventory.Inventory) error { return nil }
