package pve

import (
	"testing"
)

// A stored option is compared with the written one by Proxmox VE's rules.
func TestOptionsAreBornOut(t *testing.T) {
	tests := []struct {
		is, written string
		want        bool
	}{
		{"1", "true", true},
		{"0", "true", false},
		{"virtio=BC:24:11:D9:7D:75,bridge=vmbr0,firewall=1", "virtio,bridge=vmbr0,firewall=true", true},
		{"virtio=BC:24:11:D9:7D:75,bridge=vmbr1,firewall=1", "virtio,bridge=vmbr0,firewall=true", false},
		{"e1000=BC:24:11:D9:7D:75,bridge=vmbr0", "virtio,bridge=vmbr0", false},
		{"", "virtio,bridge=vmbr0", false},
	}
	for _, test := range tests {
		if got := bearsOut(test.is, test.written); got != test.want {
			t.Errorf("%q, asked for as %q: %v, want %v", test.is, test.written, got, test.want)
		}
	}
}
