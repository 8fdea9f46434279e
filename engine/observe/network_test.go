package observe

import (
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/remote"
)

const (
	defaultRoutes = `[{"dst":"default","gateway":"192.0.2.9","dev":"eno2","metric":200},{"dst":"default","gateway":"192.0.2.1","dev":"eno1","flags":[]}]
[{"dst":"default","gateway":"fe80::1","dev":"eno1","metric":1024}]
`
	linkSpeeds = "/sys/class/net/eno1/speed:10000\n/sys/class/net/eno2/speed:-1\n"
)

func ipAddr(t testing.TB) []byte {
	out, err := os.ReadFile("testdata/ip-addr.json")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func network(t *testing.T) Network {
	t.Helper()
	n, err := parseNetwork(ipAddr(t), []byte(defaultRoutes), []byte(linkSpeeds))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var comparePrefixes = []cmp.Option{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func TestNetworksAreRead(t *testing.T) {
	want := Network{
		Gateway: netip.MustParseAddr("192.0.2.1"), GatewayInterface: "eno1",
		Interfaces: []Interface{
			{Name: "lo", MAC: "00:00:00:00:00:00", State: "unknown", MTU: 65536, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
			{Name: "eno1", MAC: "52:54:00:12:34:56", State: "up", MTU: 1500, Speed: 10000, Addresses: []netip.Prefix{
				netip.MustParsePrefix("192.0.2.11/24"), netip.MustParsePrefix("fe80::5054:ff:fe12:3456/64"), netip.MustParsePrefix("2001:db8::11/64")}},
			{Name: "eno2", MAC: "52:54:00:12:34:57", State: "down", MTU: 9000},
		},
	}
	if diff := cmp.Diff(want, network(t), comparePrefixes...); diff != "" {
		t.Errorf("the network was read wrong (-want +got):\n%s", diff)
	}
}

func TestNetworkWithoutRoute(t *testing.T) {
	for _, routes := range []string{"", "[]\n[]\n", "[ ]"} {
		n, err := parseNetwork([]byte("[]"), []byte(routes), nil)
		if err != nil || n.GatewayInterface != "" {
			t.Errorf("from %q: gateway interface %q, error %v", routes, n.GatewayInterface, err)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add(ipAddr(f), []byte(defaultRoutes), []byte(linkSpeeds))
	f.Add([]byte(`[{"ifname":"a","addr_info":[{"local":"::1","prefixlen":999}]}]`), []byte(`[{"dev":"a","gateway":"x"}]{}`), []byte(":"))
	f.Fuzz(func(t *testing.T, addrs, routes, speeds []byte) {
		told(t, Networks, []string{""}, []remote.Answer{{Stdout: addrs}, {Stdout: routes}, {Stdout: speeds}})
	})
}

func TestResolving(t *testing.T) {
	out := "192.0.2.11      STREAM pve1.example.org\n192.0.2.11      DGRAM  \n2001:db8::11    STREAM \n127.0.1.1 RAW\n"
	values, errs := told(t, Resolves, []string{"-x", "pve1", "pve9", "slow"}, []remote.Answer{{Stdout: []byte(out)}, {Exit: 2}, {Exit: 124}})
	want := map[string][]netip.Addr{
		"-x": nil, "pve9": nil, "slow": nil,
		"pve1": {netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")},
	}
	if diff := cmp.Diff(want, values, comparePrefixes...); diff != "" {
		t.Errorf("the addresses are wrong (-want +got):\n%s", diff)
	}
	for name, fails := range map[string]bool{"-x": true, "pve1": false, "pve9": false, "slow": true} {
		if (errs[name] != nil) != fails {
			t.Errorf("%s: error %v, expected one: %v", name, errs[name], fails)
		}
	}
}

func TestThisMachineKnowsLocalhost(t *testing.T) {
	addrs, err := Resolves.Observe(t.Context(), localHost(t), "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].IsLoopback() {
		t.Errorf("localhost resolves to %v (error %v)", addrs, err)
	}
}

func FuzzHostsFile(f *testing.F) {
	f.Add("127.0.0.1 localhost\n192.0.2.1\tpve1.example.org pve1 # comment\n::1 localhost ip6-localhost\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, addrs := range HostsFile(text) {
			if name == "" || len(addrs) == 0 {
				t.Errorf("%q has the addresses %v", name, addrs)
			}
		}
		parseAhosts(text)
		canonicalName(text, "pve1")
	})
}
