package observe

import (
	"net/netip"
	"testing"
)

// An address is foreign only once the networks of all hosts were read, and as long as none of them has had it.
func TestForeignAddresses(t *testing.T) {
	all := NewInventory(map[string]string{"a": "192.0.2.1", "b": "b.example.org"})
	a := NewRecorded("a")
	a.SetInventory(all)
	foreign := func(want map[string]bool) {
		t.Helper()
		for text, want := range want {
			if got := a.Foreign(netip.MustParseAddr(text)); got != want {
				t.Errorf("%s is foreign: %v, want %v", text, got, want)
			}
		}
	}
	has := func(host, prefix string) {
		b := NewRecorded(host)
		b.SetInventory(all)
		b.settleLocked(&entry{kind: Networks, key: Networks.Key("")}, result{value: Network{Interfaces: []Interface{{Addresses: []netip.Prefix{netip.MustParsePrefix(prefix)}}}}}, true)
	}
	has("a", "192.0.2.1/24")
	foreign(map[string]bool{"192.0.2.9": false})
	has("b", "192.0.2.2/24")
	foreign(map[string]bool{"192.0.2.1": false, "192.0.2.2": false, "::ffff:192.0.2.2": false, "127.0.0.1": false, "::1": false, "192.0.2.9": true, "2001:db8::9": true})
	has("b", "192.0.2.3/24")
	foreign(map[string]bool{"192.0.2.2": false, "192.0.2.3": false})
	if NewRecorded("c").Foreign(netip.MustParseAddr("192.0.2.9")) {
		t.Error("an address is foreign although there is no inventory")
	}
}
