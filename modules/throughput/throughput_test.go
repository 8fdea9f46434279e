package throughput

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// node returns a host with a LAN of 1 Gbit/s and a network for Ceph of 10 Gbit/s, modified by the given expectations.
func node(name, last string, more ...observe.Expectation) *observe.Host {
	card := func(name string, speed int, address string) observe.Interface {
		return observe.Interface{Name: name, State: "up", MTU: 1500, Speed: speed, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}}
	}
	h := observe.NewRecorded(name, append([]observe.Expectation{
		observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("vmbr0", 1000, "192.168.1."+last+"/24"), card("ens19", 10000, "10.10.10."+last+"/24")}}),
		observe.Packages.Expect("iperf3", observe.Package{Status: observe.InstalledStatus}),
		observe.Dirs.Expect("/sys/class/net/ens19", observe.Listing{Exists: true, Entries: []string{"mtu"}}),
		observe.Dirs.Expect("/sys/class/net/ens18", observe.Listing{Exists: true, Entries: []string{"mtu"}}),
		observe.Dirs.Expect("/sys/class/net/vmbr0", observe.Listing{Exists: true, Entries: []string{"lower_ens18", "mtu"}}),
		observe.Units.Expect("pve-ha-lrm.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
		observe.Packages.Expect("pve-manager", observe.Package{Status: observe.InstalledStatus, Version: "9.0.3"}),
		pve.HAs.Expect("", pve.HA{}), pve.Clusters.Expect("", pve.Cluster{}), pve.Nodes.Expect("", pve.Node{Name: name}),
	}, more...)...)
	return h
}

func pair(a, b *observe.Host) *observe.Host {
	a.SetPeers(func() []*observe.Host { return []*observe.Host{a, b} }, nil)
	return a
}

func TestMeasurements(t *testing.T) {
	m := modulestest.Decoded(&Module{To: map[string]string{"pve2": "10.10.10.12"}, SingleFloor: 40})
	h := pair(node("pve1", "11"), node("pve2", "12"))
	plan, err := m.Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range plan.Steps {
		on := "pve1"
		if s.On != nil {
			on = s.On.Name()
		}
		got = append(got, on+": "+strings.Join(s.Action.(modules.Run).Argv, " "))
	}
	want := []string{
		"pve2: iperf3 -s -1 -D -B 10.10.10.12 -p 5201 --idle-timeout 60", "pve1: iperf3 -c 10.10.10.12 -p 5201 -t 5 -O 1 -P 1 -f m",
		"pve2: iperf3 -s -1 -D -B 10.10.10.12 -p 5201 --idle-timeout 60", "pve1: iperf3 -c 10.10.10.12 -p 5201 -t 5 -O 1 -P 4 -f m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the commands differ (-want +got):\n%s", diff)
	}
	for _, s := range plan.Steps {
		if !s.Refresh {
			t.Errorf("%s counts as a change", s.Summary)
		}
	}
	// The output of iperf 3.12 for real measurements.
	const one = "[  5]   0.00-2.00   sec  2.01 GBytes  8640 Mbits/sec    2             sender\n[  5]   0.00-2.10   sec  2.10 GBytes  8608 Mbits/sec                  receiver\n\niperf Done.\n"
	const two = "[  5]   0.00-1.00   sec   716 MBytes  6005 Mbits/sec    0             sender\n[  5]   0.00-1.00   sec   721 MBytes  6038 Mbits/sec                  receiver\n" +
		"[  7]   0.00-1.00   sec   682 MBytes  5714 Mbits/sec                  receiver\n[SUM]   0.00-1.00   sec  1.37 GBytes  11752 Mbits/sec                  receiver\n"
	single, several := plan.Steps[1].Action.(modules.Run), plan.Steps[3].Action.(modules.Run)
	for _, test := range []struct {
		run    modules.Run
		stdout string
		want   string
	}{
		{single, one, ""},
		{several, two, ""},
		{single, strings.ReplaceAll(one, "8608", "3900"), "pve1 to pve2 (10.10.10.12): one stream carried 3900 Mbit/s, 39% of 10000 Mbit/s, expected at least 40%"},
		{several, strings.ReplaceAll(two, "11752", "941"), "4 streams carried 941 Mbit/s, 9% of 10000 Mbit/s"},
		{several, "[  5] 0.00-1.00 sec 1 MBytes 8 Mbits/sec receiver\n[  7] 0.00-1.00 sec 1 MBytes 8 Mbits/sec receiver\n", "does not report what the receiver got"},
		{single, "", "does not report what the receiver got"},
	} {
		err := test.run.Suspect([]byte(test.stdout), nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("of %q the error is %v, expected %q", test.stdout, err, test.want)
		}
	}
	if err := single.Explain(1, nil, []byte("iperf3: error - unable to connect to server: No route to host\n")); err == nil || !strings.Contains(err.Error(), "pve1 cannot connect to iperf3 on pve2 (10.10.10.12, TCP port 5201): check that no firewall drops the connection") {
		t.Errorf("a connection that is dropped: %v", err)
	}
}

func TestRefused(t *testing.T) {
	armed := pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{"vm:100": {State: "started"}}})
	link := func(name, address string) observe.Expectation {
		return pve.Clusters.Expect("", pve.Cluster{Members: map[string]pve.Member{name: {Links: map[int]string{0: address}}}})
	}
	mute := observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{{Name: "ens19", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.10.12/24")}}}})
	none := observe.Packages.Expect("iperf3", observe.Package{})
	for _, test := range []struct {
		name string
		to   map[string]string
		h, p *observe.Host
		want string
	}{
		{"a stranger", map[string]string{"pve9": "10.10.10.12"}, node("pve1", "11"), node("pve2", "12"), `to names "pve9"`},
		{"itself", map[string]string{"pve1": "10.10.10.11"}, node("pve1", "11"), node("pve2", "12"), `to names "pve1", which is not another host of the play: expected one of pve2`},
		{"another's address", map[string]string{"pve2": "10.10.10.13"}, node("pve1", "11"), node("pve2", "12"), "10.10.10.13 is not an address of pve2"},
		{"behind a router", map[string]string{"pve2": "172.16.0.1"}, node("pve1", "11"), node("pve2", "12"), "would cross a router"},
		{"no iperf3", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11"), node("pve2", "12", none), "iperf3 is not installed on pve2"},
		{"no speed", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11"), node("pve2", "12", mute), "give it in Mbit/s"},
		{"corosync on the link here", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11", armed, link("pve1", "10.10.10.11")), node("pve2", "12"), "pve1: corosync's link 10.10.10.11 shares a network card with ens19, which a measurement saturates: high availability is armed (vm:100)"},
		{"corosync on the link there", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11"), node("pve2", "12", armed, link("pve2", "10.10.10.12")), "pve2: corosync's link 10.10.10.12 shares"},
		{"corosync on another card", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11", armed, link("pve1", "192.168.1.11")), node("pve2", "12"), ""},
		{"corosync on a bridge over the same card", map[string]string{"pve2": "10.10.10.12"},
			node("pve1", "11", armed, link("pve1", "192.168.1.11"), observe.Dirs.Expect("/sys/class/net/vmbr0", observe.Listing{Exists: true, Entries: []string{"lower_ens19"}})), node("pve2", "12"), "pve1: corosync's link 192.168.1.11 shares"},
		{"high availability is not armed", map[string]string{"pve2": "10.10.10.12"}, node("pve1", "11", link("pve1", "10.10.10.11")), node("pve2", "12"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := modulestest.Decoded(&Module{To: test.to}).Plan(t.Context(), pair(test.h, test.p))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the error is %v, expected %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	to := map[string]string{"pve2": "10.10.10.12"}
	for _, test := range []struct {
		argument string
		m        *Module
	}{
		{"to", &Module{To: map[string]string{}}},
		{"to", &Module{To: map[string]string{"pve2": "10.10.10.12/24"}}},
		{"floor", &Module{To: to, Floor: 101}},
		{"single_floor", &Module{To: to, SingleFloor: -1}},
		{"streams", &Module{To: to, Streams: 1}},
		{"seconds", &Module{To: to, Seconds: 301}},
		{"speed", &Module{To: to, Speed: -1}},
		{"port", &Module{To: to, Port: 80}},
	} {
		var fault *modules.ArgumentError
		if err := modulestest.Decoded(test.m).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.m, err, test.argument)
		}
	}
}
