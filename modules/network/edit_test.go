package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/modules/network/interfaces"
)

const installed = `# This file describes the network interfaces available on your system
source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug ens18
iface ens18 inet static
	address 192.168.1.64
	netmask 255.255.255.0
	gateway 192.168.1.1
	# dns-* options are implemented by the resolvconf package, if installed
	dns-nameservers 192.168.1.1
`

func ptr[T any](v T) *T { return &v }

// bonded returns the network of the guides.
func bonded() *Module {
	return &Module{
		Bonds:   []Bond{{Name: "bond0", Members: []string{"ens18", "ens19"}, Mode: "802.3ad", Hash: "layer3+4", LACPRate: "fast"}},
		Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"bond0"}, Addressing: Addressing{Address: "192.168.1.64/24", Gateway: "192.168.1.1"}}},
		MTU:     9000,
	}
}

func TestEdited(t *testing.T) {
	for _, c := range []struct {
		name   string
		module *Module
		before string
		want   string
	}{
		{"the guides' bridge on a bond", bonded(), installed, `# This file describes the network interfaces available on your system
source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
auto ens18
iface ens18 inet manual
	# dns-* options are implemented by the resolvconf package, if installed
	dns-nameservers 192.168.1.1
	mtu 9000

auto ens19
iface ens19 inet manual
	mtu 9000

auto bond0
iface bond0 inet manual
	bond-slaves ens18 ens19
	bond-mode 802.3ad
	bond-xmit-hash-policy layer3+4
	bond-lacp-rate fast
	bond-miimon 100
	mtu 9000

auto vmbr0
iface vmbr0 inet static
	address 192.168.1.64/24
	gateway 192.168.1.1
	bridge-ports bond0
	bridge-stp off
	bridge-fd 0
	mtu 9000
`},
		{"what a person wrote in other words", &Module{
			Bonds:   []Bond{{Name: "bond0", Members: []string{"ens18", "ens19"}, Mode: "802.3ad", LACPRate: "fast"}},
			Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"bond0"}, VLANAware: ptr(true), Addressing: Addressing{Address: "10.0.0.1/24", Addresses: []string{"2001:db8::1/64"}, Gateway: "10.0.0.254"}}},
		}, `auto lo ens18 ens19 bond0 vmbr0
iface ens18 inet manual
iface ens19 inet manual
iface bond0
	slaves ens19 ens18
	bond_mode 4
	bond-lacp-rate 1
	bond-miimon 50
	mtu 9000
iface vmbr0 inet static
	netmask 24
	address 10.0.0.1
	gateway 10.0.0.254
	bridge_ports bond0
	bridge_stp off
	bridge_fd 2
	bridge-vlan-aware 1
	bridge-vids 2-100
iface vmbr0 inet6 static
	address 2001:db8::1
	netmask 64
`, ""},
		{"another mode leaves nothing behind that does not go with it", &Module{Bonds: []Bond{{Name: "bond0", Members: []string{"a", "b"}, Mode: "active-backup", Primary: "a", UpDelay: ptr(200)}}},
			"auto a b bond0\niface a inet manual\niface b inet manual\niface bond0 inet manual\n\tbond-slaves a b\n\tbond-mode 802.3ad # LACP\n\tbond-xmit-hash-policy layer2\n\tbond-lacp-rate 1\n\tbond-miimon 100\n\tbond-downdelay 300\n",
			"auto a b bond0\niface a inet manual\niface b inet manual\niface bond0 inet manual\n\tbond-slaves a b\n\tbond-mode active-backup\n\tbond-miimon 100\n\tbond-downdelay 300\n\tbond-primary a\n\tbond-updelay 200\n"},
		{"members written as ifenslave has them", &Module{Bonds: []Bond{{Name: "bond0", Members: []string{"a", "b"}, Mode: "active-backup"}}},
			"auto a b bond0\niface a inet manual\n\tbond-master bond0\niface b inet manual\n\tbond-master bond0\niface bond0 inet manual\n\tbond-slaves none\n\tbond-mode 1\n\tbond-miimon 100\n",
			"auto a b bond0\niface a inet manual\niface b inet manual\niface bond0 inet manual\n\tbond-slaves a b\n\tbond-mode 1\n\tbond-miimon 100\n"},
		{"VLANs by name and by number, routes, another MTU", &Module{
			VLANs: []VLAN{
				{Name: "eno1.20", Addressing: Addressing{Addresses: []string{"10.20.0.1/24", "10.20.0.2/24", "2001:db8:20::1/64"}, Gateway6: "2001:db8:20::fe", Routes: map[string]string{"10.99.0.0/16": "10.20.0.254", "10.98.0.0/16": "10.20.0.253"}}},
				{Name: "storage", Parent: "eno1", ID: 30, Addressing: Addressing{MTU: 1400}},
			},
		}, "auto eno1\niface eno1 inet dhcp\n", `auto eno1
iface eno1 inet dhcp

auto eno1.20
iface eno1.20 inet static
	address 10.20.0.1/24
	address 10.20.0.2/24
	up ip route replace 10.98.0.0/16 via 10.20.0.253 dev eno1.20
	up ip route replace 10.99.0.0/16 via 10.20.0.254 dev eno1.20

iface eno1.20 inet6 static
	address 2001:db8:20::1/64
	gateway 2001:db8:20::fe

auto storage
iface storage inet manual
	vlan-raw-device eno1
	vlan-id 30
	mtu 1400
`},
		{"addresses that are not given stay", &Module{Interfaces: []Interface{{Name: "eno1", Addressing: Addressing{MTU: 9000, Routes: map[string]string{"10.99.0.0/16": "10.0.0.253"}}}}},
			"iface eno1 inet static\n    address 10.0.0.1\n    netmask 255.255.0.0\n    gateway 10.0.0.254\n    up ip route add 10.99.0.0/16 via 10.0.0.254\n    up echo up\n",
			"auto eno1\niface eno1 inet static\n    address 10.0.0.1\n    netmask 255.255.0.0\n    gateway 10.0.0.254\n    up ip route replace 10.99.0.0/16 via 10.0.0.253 dev eno1\n    up echo up\n\tmtu 9000\n"},
		{"an empty list takes addresses away, in aliases and stanzas of their own too", &Module{Interfaces: []Interface{{Name: "eno1", Addressing: Addressing{Addresses: []string{}}}}},
			"auto eno1 eno1:1\niface eno1 inet static\n\taddress 10.0.0.1/24\n\niface eno1:1 inet static\n\taddress 10.0.0.2/24\n\niface eno1 inet6 static\n\taddress 2001:db8::1/64\n\taccept_ra 0\n",
			"auto eno1\niface eno1 inet manual\n\niface eno1 inet6 manual\n\taccept_ra 0\n"},
		{"DHCP gives way to an address", &Module{Interfaces: []Interface{{Name: "eno1", Addressing: Addressing{Address: "10.0.0.1/24"}}}},
			"auto eno1\niface eno1 inet dhcp\niface eno1 inet6 auto\n", "auto eno1\niface eno1 inet static\n\taddress 10.0.0.1/24\niface eno1 inet6 auto\n"},
		{"lines that end as on Windows", &Module{Interfaces: []Interface{{Name: "eno1", Addressing: Addressing{Address: "10.0.0.1/24"}}}},
			"auto eno1\r\niface eno1 inet static\r\n\taddress 10.0.0.2/24\r\n# mine\r\n", "auto eno1\r\niface eno1 inet static\r\n\taddress 10.0.0.1/24\r\n# mine\r\n"},
		{"what is to be absent goes whole: stanzas, aliases, names", &Module{Absent: []string{"vmbr1", "bond0.20"}},
			"auto eno1 vmbr1 bond0.20\niface eno1 inet manual\n\n# guests\nallow-hotplug vmbr1\niface vmbr1 inet static\n\taddress 10.0.0.1/24\n\t# inside\n\tbridge-ports none\n\nauto vmbr1:1\niface vmbr1:1 inet static\n\taddress 10.0.0.2/24\n\niface vmbr1 inet6 manual\n\nauto bond0.20\niface bond0.20\n\tmtu 1400\n\n# mine\nauto vmbr10\niface vmbr10 inet manual\n\tbridge-ports none\n",
			"auto eno1\niface eno1 inet manual\n\n# guests\n# mine\nauto vmbr10\niface vmbr10 inet manual\n\tbridge-ports none\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.module.Validate(); err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				c.want = c.before
			}
			got, err := edited(c.before, nil, c.module.all(), c.module.Absent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the file differs (-want +got):\n%s", diff)
			}
			again, err := edited(got, nil, c.module.all(), c.module.Absent)
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("once more it changes again (-once +twice), %v:\n%s", err, diff)
			}
		})
	}
	if _, err := edited(installed, []interfaces.Named{{Path: "/etc/network/interfaces.d/x", File: interfaces.Parse("\niface x inet static\n\taddress y\n")}}, bonded().all(), nil); err == nil || err.Error() != `/etc/network/interfaces.d/x:2: x: "y" is not an address` {
		t.Errorf("got %v of a file that makes no sense", err)
	}
}
