package interfaces

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const written = `# my network
auto lo
iface lo inet loopback

# the card on the left
allow-hotplug ens18 ens19
iface ens18 inet static
	address 192.168.1.10
	netmask 255.255.255.0
	gateway 192.168.1.1
	# asked for by the switch people
	ethtool-autoneg off
	up echo a \
	   b

iface ens18:1 inet static
	address 192.168.1.11/24

source /etc/network/interfaces.d/*
`

func link(family, key string) bool {
	switch key {
	case "address", "netmask", "gateway", "bridge-ports":
		return true
	}
	return false
}

func TestConfigure(t *testing.T) {
	for _, c := range []struct {
		name, text string
		edit       func(f *File)
		want       string
	}{
		{"the address moves to a bridge", written, func(f *File) {
			f.SetAuto("ens18")
			f.Configure("ens18", []Stanza{{Name: "ens18", Family: "inet", Method: "manual"}}, link)
			f.Configure("vmbr0", []Stanza{
				{Name: "vmbr0", Family: "inet", Method: "static", Options: []Option{{"address", "192.168.1.10/24"}, {"address", "192.168.1.11/24"}, {"bridge-ports", "ens18"}}},
				{Name: "vmbr0", Family: "inet6", Method: "static", Options: []Option{{"address", "2001:db8::10/64"}}},
			}, link)
			f.SetAuto("vmbr0")
		}, `# my network
auto lo
iface lo inet loopback

# the card on the left
allow-hotplug ens19
auto ens18
iface ens18 inet manual
	# asked for by the switch people
	ethtool-autoneg off
	up echo a \
	   b

auto vmbr0
iface vmbr0 inet static
	address 192.168.1.10/24
	address 192.168.1.11/24
	bridge-ports ens18

iface vmbr0 inet6 static
	address 2001:db8::10/64

source /etc/network/interfaces.d/*
`},
		{"values in place, a line more, a line less", "auto vmbr0\niface vmbr0 inet static\n    address 10.0.0.1/24\n    bridge_ports none\n    gateway 10.0.0.254\n    bridge-fd 0\n# last", func(f *File) {
			f.Configure("vmbr0", []Stanza{{Name: "vmbr0", Family: "inet", Method: "static", Options: []Option{{"address", "10.0.0.2/24"}, {"address", "10.0.1.2/24"}, {"bridge-ports", "ens18"}}}}, link)
		}, "auto vmbr0\niface vmbr0 inet static\n    address 10.0.0.2/24\n\taddress 10.0.1.2/24\n    bridge_ports ens18\n    bridge-fd 0\n# last"},
		{"an empty file", "", func(f *File) {
			f.Configure("ens18", []Stanza{{Name: "ens18", Family: "inet", Method: "manual"}}, link)
			f.SetAuto("ens18")
		}, "auto ens18\niface ens18 inet manual\n"},
		{"a family that is not wanted goes, with what nobody else wrote", "iface a inet static\n\taddress 10.0.0.1/24\n\niface a inet6 static\n\taddress 2001:db8::1/64\n\naddress 1\n", func(f *File) {
			f.Configure("a", []Stanza{{Name: "a", Family: "inet", Method: "static", Options: []Option{{"address", "10.0.0.1/24"}}}}, link)
		}, "iface a inet static\n\taddress 10.0.0.1/24\n\n"},
		{"a line that a backslash leaves open", "iface a inet manual\n\tup x \\", func(f *File) { f.SetAuto("b") }, "iface a inet manual\n\tup x\nauto b\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Parse(c.text)
			c.edit(f)
			if diff := cmp.Diff(c.want, f.String()); diff != "" {
				t.Errorf("the file differs (-want +got):\n%s", diff)
			}
			again := Parse(f.String())
			c.edit(again)
			if diff := cmp.Diff(f.String(), again.String()); diff != "" {
				t.Errorf("the same edit once more changes (-once +twice):\n%s", diff)
			}
		})
	}
}

func TestRead(t *testing.T) {
	files := []Named{
		{Path, Parse(written)},
		{"/etc/network/interfaces.d/more", Parse("auto bond0 vmbr1\niface bond0\n\tslaves ens20 ens21\n\tbond_mode 802.3ad\niface bond0.20 inet manual\niface storage inet static\n\taddress 10.1.0.1/16\n" +
			"\tvlan-raw-device bond0\n\tvlan-id 30\n\tmtu 9000\n\tpost-up /usr/sbin/ip route add 10.9.0.0/16 via 10.1.0.254 dev $IFACE || true\niface vmbr1 inet6 auto\n\tbridge-ports regex eth.*\n")},
	}
	got, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	p := netip.MustParsePrefix
	want := Config{
		{Name: "lo", Kind: Plain, Auto: true, Methods: map[string]string{"inet": "loopback"}, Path: Path, Line: 3},
		{Name: "ens18", Kind: Plain, Methods: map[string]string{"inet": "static"}, Path: Path, Line: 7,
			Addresses: []netip.Prefix{p("192.168.1.10/24"), p("192.168.1.11/24")}, Gateways: []netip.Addr{netip.MustParseAddr("192.168.1.1")}},
		{Name: "bond0", Kind: Bond, Auto: true, Methods: map[string]string{}, Lower: []string{"ens20", "ens21"}, Path: files[1].Path, Line: 2},
		{Name: "bond0.20", Kind: VLAN, Methods: map[string]string{"inet": "manual"}, Lower: []string{"bond0"}, VLANID: 20, Path: files[1].Path, Line: 5},
		{Name: "storage", Kind: VLAN, Methods: map[string]string{"inet": "static"}, Lower: []string{"bond0"}, VLANID: 30, MTU: 9000, Path: files[1].Path, Line: 6,
			Addresses: []netip.Prefix{p("10.1.0.1/16")}, Routes: []Route{{p("10.9.0.0/16"), netip.MustParseAddr("10.1.0.254")}}},
		{Name: "vmbr1", Kind: Bridge, Auto: true, Methods: map[string]string{"inet6": "auto"}, Path: files[1].Path, Line: 12},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Interface{}, "Options"), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Errorf("the files say something else (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Source{{Pattern: "/etc/network/interfaces.d/*", Line: 19}}, files[0].Sources()); diff != "" {
		t.Errorf("other files are read (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"iface a inet static\n\taddress 10.0.0.300/24\n": `/f:1: a: "10.0.0.300/24" is not an address`,
		"\niface a inet static\n\tnetmask 255.0.255.0\n": `/f:2: a: "255.0.255.0" is not a netmask`,
		"iface a inet static\n\tmtu large\n":             `/f:1: a: mtu "large" is not a number`,
	} {
		if _, err := Read([]Named{{"/f", Parse(text)}}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, expected %s", text, err, want)
		}
	}
}

// FuzzFile checks that a file is written back byte for byte, that an edit keeps the lines of other interfaces and is read
// back, and that the same edit has no further effect.
func FuzzFile(f *testing.F) {
	f.Add(written)
	f.Add("iface a inet static\n\taddress 1\niface a inet static\\\n\n\tmtu 9\\")
	f.Add("auto a a\nallow-hotplug a\niface a:1 inet6 dhcp\n#x\\\ny\r\niface")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Parse(text).String(); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		edit := func(f *File) {
			f.SetAuto("a")
			f.Configure("a", []Stanza{{Name: "a", Family: "inet", Method: "static", Options: []Option{{"address", "10.0.0.1/24"}, {"bridge-ports", "b"}}}}, link)
			f.SetAuto("a")
		}
		once := Parse(text)
		edit(once)
		twice := Parse(once.String())
		if diff := cmp.Diff(once.Stanzas(), twice.Stanzas(), cmpopts.IgnoreUnexported(Stanza{}), cmpopts.IgnoreFields(Stanza{}, "Line")); diff != "" {
			t.Fatalf("%q after the edit is %q, which reads otherwise (-edited +read):\n%s", text, once, diff)
		}
		edit(twice)
		if once.String() != twice.String() {
			t.Fatalf("%q becomes %q and then %q", text, once, twice)
		}
		if !twice.Auto("a") {
			t.Fatalf("%q: a is not brought up after the edit: %q", text, twice)
		}
		n := 0
		for _, s := range twice.Stanzas() {
			if s.Device() == "a" && s.Family == "inet" {
				n++
				if _, ok := s.Get("address"); ok && n > 1 && s.Name == "a" {
					t.Fatalf("%q: two stanzas have an address: %q", text, twice)
				}
			}
		}
	})
}
