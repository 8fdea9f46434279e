package network

import (
	"strings"
	"testing"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// second is the interfaces file of a host with a second bridge.
const second = installed + "\nauto vmbr1\niface vmbr1 inet static\n\taddress 10.0.0.1/24\n\tbridge-ports none\n"

// stores returns a host with a second bridge and with Ceph; global is the configuration, and running lists the running
// units.
func stores(global map[string]string, running ...string) modules.Host {
	l := installedLinks()
	l.ByName["vmbr1"] = link{Kind: "bridge"}
	return host(second, allLinks.Expect("", l),
		observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("ens18", 1500, "192.168.1.64/24"), card("vmbr1", 1500, "10.0.0.1/24")}}),
		ceph.Confs.Expect("", ceph.Conf{Exists: true, Folder: true, Sections: map[string]map[string]string{"global": global}}),
		ceph.Units.Expect("", ceph.WithUnits(map[string]string{"ceph-mgr@pve1.service": "failed"}, running...)))
}

// TestRefusals tests changes that would cut the host off or are impossible, with what the error must say.
func TestRefusals(t *testing.T) {
	with := func(change func(*Module)) *Module {
		m := bonded()
		change(m)
		return m
	}
	linked := func(change func(*links)) observe.Expectation {
		l := installedLinks()
		change(&l)
		return allLinks.Expect("", l)
	}
	started := map[string]pve.Resource{"vm:100": {State: "started"}, "ct:101": {State: "ignored"}}
	active := observe.Units.Expect("pve-ha-lrm.service", observe.Unit{LoadState: "loaded", ActiveState: "active"})
	member := func(addresses ...string) observe.Expectation {
		all := map[int]string{}
		for i, a := range addresses {
			all[i] = a
		}
		return pve.Clusters.Expect("", pve.Cluster{Mounted: true, Name: "dream", Members: map[string]pve.Member{"pve1": {Links: all}, "pve2": {}}})
	}
	for _, c := range []struct {
		name   string
		module *Module
		host   modules.Host
		want   string
	}{
		{"the address of the session goes", with(func(m *Module) { m.Bridges[0].Address = "192.168.1.65/24" }), host(installed),
			"bond.bond0.members: the session to pve1 came in on 192.168.1.64 of ens18, which no interface would have any more"},
		{"and the inventory's, behind a translation", with(func(m *Module) { m.Bridges[0].Address = "192.168.1.65/24" }),
			host(strings.ReplaceAll(installed, "192.168.1.64", "192.0.2.1"), linked(func(l *links) { l.Server = addr("127.0.0.1") }),
				observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("ens18", 1500, "192.0.2.1/24"), card("ens19", 1500)}})),
			"the session to pve1 came in on 192.0.2.1 of ens18"},
		{"the road back goes", with(func(m *Module) { m.Bridges[0].Gateway = "" }), host(installed), "the session to pve1 comes from 10.99.0.7, which no route would lead back to: set the gateway"},
		{"no such card", with(func(m *Module) { m.Bonds[0].Members[1] = "ens91" }), host(installed), `bond.bond0: pve1 has no interface ens91; did you mean "ens19"? its network cards are ens18, ens19`},
		{"no such card, and nothing below it", &Module{Interfaces: []Interface{{Name: "eno7", Addressing: Addressing{Address: "10.0.0.1/24"}}}}, host(installed), "interface.eno7: pve1 has no interface eno7"},
		{"a member of another bond", bonded(), host(installed + "\nauto bond1\niface bond1 inet manual\n\tbond-slaves ens19\n\tbond-mode 1\n"),
			"bond.bond0: ens19 is also in bond1 (/etc/network/interfaces:16): remove it there"},
		{"a port of another bridge", bonded(), host(installed + "\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports ens19\n"), "ens19 is also in vmbr1 (/etc/network/interfaces:16)"},
		{"in a bridge that no file knows", bonded(), host(installed, linked(func(l *links) { l.ByName["ens19"] = link{Master: "docker0", MostMTU: 9000} })), "ens19 is in docker0, which no file in /etc/network mentions"},
		{"one of a path has another MTU", with(func(m *Module) { m.MTU = 0; m.Bridges[0].MTU = 9000 }), host(installed), "vmbr0 would have an MTU of 9000 and bond0 on it one of 1500"},
		{"a member has another MTU", with(func(m *Module) { m.Interfaces = []Interface{{Name: "ens19", Addressing: Addressing{MTU: 1500}}} }), host(installed), "bond0 would have an MTU of 9000 and ens19 on it one of 1500"},
		{"a VLAN is larger than what carries it", &Module{VLANs: []VLAN{{Name: "ens18.20", Addressing: Addressing{MTU: 9000}}}}, host(installed), "ens18.20 would have an MTU of 9000, larger than that of ens18 below it, which is 1500"},
		{"a bond gets smaller than a VLAN of somebody else's", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{MTU: 1500}}}},
			host(installed + "\nauto ens19\niface ens19 inet manual\n\tmtu 9000\n\nauto ens19.5\niface ens19.5 inet manual\n\tmtu 9000\n"), "ens19.5 would have an MTU of 9000, larger than that of ens19 below it"},
		{"more than the card can do", bonded(), host(installed, linked(func(l *links) { l.ByName["ens19"] = link{MostMTU: 1504} })), "ens19 supports an MTU of at most 1504, not 9000"},
		{"a gateway elsewhere", with(func(m *Module) { m.Bridges[0].Gateway = "192.168.2.1" }), host(installed), "bridge.vmbr0: the gateway 192.168.2.1 is in no subnet of vmbr0, which has 192.168.1.64/24"},
		{"the gateway is the host", with(func(m *Module) { m.Bridges[0].Gateway = "192.168.1.64" }), host(installed), "is the address of vmbr0 itself"},
		{"a route's gateway elsewhere", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.2/25", Routes: map[string]string{"10.8.0.0/16": "10.0.0.200"}}}}}, host(installed),
			"interface.ens19.routes: 10.0.0.200, the gateway for 10.8.0.0/16, is in no subnet of ens19, which has 10.0.0.2/25"},
		{"a route's gateway is the host", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.2/24", Routes: map[string]string{"10.8.0.0/16": "10.0.0.2"}}}}}, host(installed),
			"interface.ens19.routes: 10.0.0.2, the gateway for 10.8.0.0/16, is the address of ens19 itself"},
		{"two gateways", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.2/24", Gateway: "10.0.0.1"}}}}, host(installed),
			"pve1 would have two default gateways for one protocol, 192.168.1.1 on ens18 (/etc/network/interfaces:10) and 10.0.0.1 on ens19 (/etc/network/interfaces:18)"},
		{"two gateways, one by DHCP", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.2/24", Gateway: "10.0.0.1"}}}}, host("auto ens18\niface ens18 inet dhcp\n"),
			"pve1 has a default route via 192.168.1.1 on ens18, which is not from the file (DHCP"},
		{"an address of another interface", &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "192.168.1.64/24"}}}}, host(strings.Replace(installed, "allow-hotplug", "auto", 1)),
			"interface.ens19: 192.168.1.64 would be on ens19 and on ens18"},
		{"ifupdown alone", bonded(), host(installed, observe.Packages.Expect("ifupdown2", observe.Package{})), `install it in an earlier task (apt { packages = ["ifupdown2"] })`},
		{"changes in the web interface", bonded(), host(installed, observe.Files.Expect(staged, text("auto lo\n"))), "pvesh delete /nodes/pve1/network"},
		{"NetworkManager", bonded(), host(installed, observe.Units.Expect("NetworkManager.service", observe.Unit{LoadState: "loaded", ActiveState: "active"})), "systemctl disable --now NetworkManager.service"},
		{"high availability", bonded(), host(installed, active, pve.HAs.Expect("", pve.HA{Resources: started}), pve.Nodes.Expect("", pve.Node{Name: "pve1", Installed: true, Version: "9.1.2"})),
			"high availability is armed (vm:100): the watchdog resets a node that is cut off for a minute. Disarm it first: `ha-manager crm-command disarm-ha freeze`"},
		{"high availability of Proxmox VE 8", bonded(), host(installed, active, pve.HAs.Expect("", pve.HA{Resources: started}), pve.Nodes.Expect("", pve.Node{Name: "pve1", Installed: true, Version: "8.4.1"})),
			"stop the agents on all nodes (systemctl stop pve-ha-lrm), then the managers"},
		{"corosync on bonds alone", bonded(), host(installed, member("192.168.1.64")), "all links of corosync on pve1 (1) would be on bonds"},
		{"corosync moves onto a bond that is there", &Module{Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"bond1"}, Addressing: Addressing{Address: "192.168.1.64/24", Gateway: "192.168.1.1"}}}, Interfaces: []Interface{{Name: "ens18", Addressing: Addressing{Addresses: []string{}}}}},
			host(strings.Replace(installed, "\tgateway 192.168.1.1\n", "", 1)+"\nauto bond1\niface bond1 inet manual\n\tbond-slaves ens19\n\tbond-mode active-backup\n", member("192.168.1.64")), "all links of corosync on pve1 (1) would be on bonds"},
		{"a bridge as a member", with(func(m *Module) { m.Bonds[0].Members[1] = "vmbr1" }), host(second), "bond.bond0: vmbr1 is a bridge, which cannot be in a bond: name network cards"},
		{"a bridge that no file declares as a port", with(func(m *Module) { m.Bridges[0].Ports = []string{"docker0"} }), host(installed, linked(func(l *links) { l.ByName["docker0"] = link{Kind: "bridge"} })),
			"bridge.vmbr0: docker0 is a bridge, which cannot be in a bridge"},
		{"a VLAN on a member of a bond", with(func(m *Module) { m.VLANs = []VLAN{{Name: "ens19.20"}} }), host(installed),
			`vlan.ens19.20: ens19 would be a member of bond0, which would get the packets of the VLAN: put the VLAN on bond0, as in vlan "bond0.20"`},
		{"corosync loses a link", with(func(m *Module) { m.CorosyncOnBond = true }),
			host(installed+"\nauto ens19\niface ens19 inet static\n\taddress 10.0.0.1/24\n", member("192.168.1.64", "10.0.0.1"),
				observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("ens18", 1500, "192.168.1.64/24"), card("ens19", 1500, "10.0.0.1/24")}})),
			"corosync's link 1 of pve1 is 10.0.0.1, which no interface would have any more"},
		{"Ceph loses its monitor's address", &Module{Absent: []string{"vmbr1"}}, stores(map[string]string{"mon_host": "10.0.0.1 10.0.0.2"}),
			"10.0.0.1 is the address of Ceph's monitor on pve1, which no interface would have any more"},
		{"Ceph loses its network", &Module{Absent: []string{"vmbr1"}}, stores(map[string]string{"public_network": "192.168.1.64/24", "cluster_network": "10.0.0.1/24"}, "ceph-osd@0.service", "ceph-osd@1.service"),
			"no interface of pve1 would have an address in Ceph's cluster_network (10.0.0.1/24) any more, and its daemons run there (ceph-osd@0, ceph-osd@1)"},
		{"an address of another bridge", bonded(), host(installed + "\nauto vmbr9\niface vmbr9 inet static\n\taddress 192.168.1.64/24\n\tbridge-ports none\n"), "192.168.1.64 would be on vmbr0 and on vmbr9"},
		{"what another file declares", bonded(), host("source interfaces.d/*\n"+installed, observe.Dirs.Expect(dropIns, observe.Listing{Exists: true, Entries: []string{".x", "50-cloud-init"}}),
			observe.Files.Expect(dropIns+"/50-cloud-init", text("\niface ens18 inet dhcp\n"))), "bond.bond0.members: /etc/network/interfaces.d/50-cloud-init:2 also declares ens18, and ifupdown2 merges the declarations of an interface from several files: cloud-init writes this file"},
		{"a pattern that only a shell knows", bonded(), host("source /etc/network/*/more\n"), `/etc/network/interfaces:1: only the host's shell can expand "/etc/network/*/more"`},
		{"a file that makes no sense", bonded(), host("iface ens18 inet static\n\taddress here\n"), `/etc/network/interfaces:1: ens18: "here" is not an address`},
		{"a card is to be absent", &Module{Absent: []string{"ens19"}}, host(installed), "absent: ens19 is a network card, which no file can remove; to take its addresses away: interface \"ens19\" { addresses = [] }"},
		{"what is of another kind", &Module{Absent: []string{"wg0"}}, host(installed, linked(func(l *links) { l.ByName["wg0"] = link{Kind: "wireguard"} })), "wg0 is of kind wireguard"},
		{"a bridge that no file declares", &Module{Absent: []string{"docker0"}}, host(installed, linked(func(l *links) { l.ByName["docker0"] = link{Kind: "bridge"} })), "no file in /etc/network declares it"},
		{"what another interface lies on", &Module{Absent: []string{"bond1"}}, host(installed + "\nauto bond1\niface bond1 inet manual\n\tbond-slaves ens19\n\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports bond1\n"),
			"absent: vmbr1 (/etc/network/interfaces:18) needs bond1"},
		{"a bridge with a guest on it", &Module{Absent: []string{"vmbr1"}}, host(second, linked(func(l *links) {
			l.ByName["vmbr1"] = link{Kind: "bridge"}
			l.ByName["tap100i0"] = link{Kind: "tun", Master: "vmbr1"}
		})),
			"tap100i0 is on vmbr1"},
		{"a bridge that a guest needs to start", &Module{Absent: []string{"vmbr1"}}, host(second, pve.Nodes.Expect("", pve.Node{Name: "pve1", Installed: true}),
			pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve1", Type: "qemu"}, 101: {Node: "pve2", Type: "qemu"}}),
			pve.GuestConfigs.Expect("100", pve.GuestConfig{Exists: true, Options: map[string]string{"name": "web", "net1": "virtio=BC:24:11:00:00:01,bridge=vmbr1,firewall=1"}})),
			"absent: net1 of guest 100 (web) is on vmbr1, without which the guest does not start"},
		{"the bridge of the session", &Module{Absent: []string{"vmbr1"}}, host(second, linked(func(l *links) { l.Server = addr("10.0.0.1"); l.ByName["vmbr1"] = link{Kind: "bridge"} }),
			observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("ens18", 1500, "192.168.1.64/24"), card("vmbr1", 1500, "10.0.0.1/24")}})),
			"absent: the session to pve1 came in on 10.0.0.1 of vmbr1"},
		{"absent in another file", &Module{Absent: []string{"vmbr1"}}, host("source interfaces.d/*\n"+installed, observe.Dirs.Expect(dropIns, observe.Listing{Exists: true, Entries: []string{"guests"}}),
			observe.Files.Expect(dropIns+"/guests", text("iface vmbr1 inet manual\n\tbridge-ports none\n"))), "absent: /etc/network/interfaces.d/guests:1 declares vmbr1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.module.Plan(t.Context(), c.host)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nexpected an error with %s", err, c.want)
			}
		})
	}
}

// TestAddressOfAnotherHost tests an address that another host of the play already has.
func TestAddressOfAnotherHost(t *testing.T) {
	h := host(installed)
	peers(h, observe.NewRecorded("pve2", observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("vmbr0", 1500, "192.168.1.64/24")}})))
	if _, err := bonded().Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "bridge.vmbr0: 192.168.1.64 is the address of pve2: give each host its own") {
		t.Errorf("got %v", err)
	}
}

// TestAddressInTheInventory tests an address that the inventory gives to a host that is not of the play, and may be down.
func TestAddressInTheInventory(t *testing.T) {
	h := host(installed)
	h.SetInventory(observe.NewInventory(map[string]string{"pve1": "192.168.1.64", "alias": "192.168.1.64", "nas": "10.0.0.9", "local": "127.0.0.1", "named": "pve9.example.org"}))
	with := func(address string) *Module {
		return &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: address}}}}
	}
	if _, err := with("10.0.0.9/24").Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "interface.ens19: the inventory gives 10.0.0.9 to nas: give each host its own") {
		t.Errorf("got %v", err)
	}
	if _, err := with("10.0.0.8/24").Plan(t.Context(), h); err != nil {
		t.Errorf("an address of its own: %v", err)
	}
	if _, err := bonded().Plan(t.Context(), h); err != nil {
		t.Errorf("the host's own address: %v", err)
	}
}

// TestAllowed tests changes that resemble refused ones.
func TestAllowed(t *testing.T) {
	moved := bonded()
	moved.Bridges[0].Address, moved.ReachableAt = "192.168.1.65/24", "192.168.1.65"
	told := bonded()
	told.CorosyncOnBond = true
	for _, c := range []struct {
		name    string
		module  *Module
		host    modules.Host
		address string
	}{
		{"the host is found elsewhere afterwards", moved, host(installed), "192.168.1.65"},
		{"high availability that is disarmed", bonded(), host(installed, observe.Units.Expect("pve-ha-lrm.service", observe.Unit{LoadState: "loaded", ActiveState: "active"}),
			pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{"vm:100": {State: "started"}}, Disarmed: true})), ""},
		{"corosync on bonds as it is meant", told, host(installed, pve.Clusters.Expect("", pve.Cluster{Members: map[string]pve.Member{"pve1": {Links: map[int]string{0: "192.168.1.64"}}}})), ""},
		{"a network of Ceph's on a host without its daemons", &Module{Absent: []string{"vmbr1"}}, stores(map[string]string{"public_network": "10.0.0.0/24", "mon_host": "10.0.0.2"}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := c.module.Plan(t.Context(), c.host)
			if err != nil || plan.Guard == nil || plan.Guard.Address != c.address {
				t.Errorf("got %v, %+v", err, plan.Guard)
			}
		})
	}
}

// TestValidate tests errors in the playbook alone.
func TestValidate(t *testing.T) {
	bond := func(b Bond) *Module {
		if b.Members == nil {
			b.Members = []string{"a", "b"}
		}
		b.Name = "bond0"
		return &Module{Bonds: []Bond{b}}
	}
	plain := func(a Addressing) *Module { return &Module{Interfaces: []Interface{{Name: "eno1", Addressing: a}}} }
	for _, c := range []struct {
		module *Module
		want   string
	}{
		{&Module{}, "bridge: no interface is named"},
		{&Module{Pin: true, MTU: 9000}, "mtu: without blocks, the task only pins names"},
		{&Module{Bridges: []Bridge{{Name: "a"}}, Interfaces: []Interface{{Name: "a"}}}, "bridge.a: a is also declared as interface.a"},
		{&Module{Rollback: time.Second, Bridges: []Bridge{{Name: "a"}}}, "rollback: a change cannot be confirmed within 1s"},
		{&Module{ReachableAt: "10.0.0.9", Bridges: []Bridge{{Name: "a", Addressing: Addressing{Address: "10.0.0.1/24"}}}}, "reachable_at: no block has the address 10.0.0.9"},
		{&Module{MTU: 90000, Bridges: []Bridge{{Name: "a"}}}, "mtu: 90000 is not an MTU"},
		{&Module{Bridges: []Bridge{{Name: "a-very-long-name"}}}, "the name a-very-long-name has 16 characters"},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"ens 1"}}}}, `bridge.vmbr0.ports: "ens 1" is not a name`},
		{&Module{Bridges: []Bridge{{Name: "lo"}}}, "lo is a reserved word"},
		{&Module{Bridges: []Bridge{{Name: "tap100i0"}}}, "names such as tap100i0 are reserved for the interfaces of guests"},
		{bond(Bond{Mode: "802.3ad", Hash: "encap3+4"}), `bond.bond0.hash: the kernel supports the policy encap3+4, but Proxmox VE does not; did you mean "layer3+4"?`},
		{bond(Bond{Mode: "802.3ad", Hash: "layer3-4"}), `there is no policy "layer3-4"; did you mean "layer3+4"?`},
		{bond(Bond{Mode: "active-backup", Hash: "layer2"}), "mode active-backup does not use a hash"},
		{bond(Bond{Mode: "active-backup", LACPRate: "fast"}), "does not use LACP"},
		{bond(Bond{Mode: "802.3ad", Primary: "a"}), "has no primary member"},
		{bond(Bond{Mode: "active-backup", Primary: "c"}), "bond.bond0.primary: c is not a member"},
		{bond(Bond{Mode: "802.3ad", Members: []string{}}), "a bond without members"},
		{bond(Bond{Mode: "802.3ad", MIIMon: ptr(0)}), "a dead link is never detected"},
		{bond(Bond{Mode: "802.3ad", UpDelay: ptr(250)}), "bond.bond0.updelay: the kernel rounds 250 ms; write a multiple of miimon, which is 100"},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", VIDs: "2-4094"}}}, "the bridge is not VLAN-aware"},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", VLANAware: ptr(true), VIDs: "2-5000"}}}, `bridge.vmbr0.vids: "2-5000" is not a list of VLANs`},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", VLANAware: ptr(true), VIDs: "10 30-20"}}}, `"10 30-20" is not a list of VLANs`},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", VLANAware: ptr(true), VIDs: "10,20"}}}, `"10,20" is not a list of VLANs`},
		{&Module{VLANs: []VLAN{{Name: "storage"}}}, "vlan.storage: the name storage does not contain the VLAN ID"},
		{&Module{VLANs: []VLAN{{Name: "bond0.20", ID: 30}}}, "ifupdown2 would take bond0.20 for VLAN 20"},
		{&Module{VLANs: []VLAN{{Name: "storage", Parent: "a", ID: 5000}}}, "there is no VLAN 5000"},
		{plain(Addressing{Address: "10.0.0.1"}), "interface.eno1.address: 10.0.0.1 has no prefix length; append the prefix length of the subnet: 10.0.0.1/24"},
		{plain(Addressing{Addresses: []string{"10.0.0.0/24"}}), "10.0.0.0/24 is the network or broadcast address"},
		{plain(Addressing{Addresses: []string{"10.0.0.255/24"}}), "10.0.0.255/24 is the network or broadcast address"},
		{plain(Addressing{Address: "10.0.0.1/24", Gateway: "10.0.0.254/24"}), `"10.0.0.254/24" is not an IP address`},
		{plain(Addressing{Address: "10.0.0.1/24", Gateway: "2001:db8::1"}), "gateway is for IPv4, gateway6 for IPv6"},
		{plain(Addressing{Routes: map[string]string{"10.0.0.1/8": "10.0.0.2"}}), `"10.0.0.1/8" is not a network`},
		{plain(Addressing{Routes: map[string]string{"0.0.0.0/0": "10.0.0.2"}}), "is the default route"},
		{&Module{Absent: []string{"a"}, Bridges: []Bridge{{Name: "a"}}}, "absent: a is declared by the block bridge.a"},
		{&Module{Absent: []string{"a"}, Bridges: []Bridge{{Name: "b", Ports: []string{"a"}}}}, "absent: a is needed by the block bridge.b"},
		{&Module{Absent: []string{"a", "a"}}, "absent: a is named twice"},
		{&Module{Absent: []string{"lo"}}, "absent: lo is a reserved word"},
		{&Module{Absent: []string{"tap100i0"}}, "absent: Proxmox VE makes and removes tap100i0 with a guest"},
		{plain(Addressing{GatewayMTU: 1500}), "there is no gateway"},
		{&Module{Bonds: []Bond{{Name: "bond0", Mode: "802.3ad", Members: []string{"a"}}, {Name: "bond1", Mode: "802.3ad", Members: []string{"a"}}}}, "bond.bond1.members: a is also in bond0"},
		{&Module{Bonds: []Bond{{Name: "bond0", Mode: "802.3ad", Members: []string{"a"}}}, Interfaces: []Interface{{Name: "a", Addressing: Addressing{Address: "10.0.0.1/24"}}}}, "interface.a: a has addresses or a gateway, which cannot be reached because it is in bond0"},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"vmbr1"}}, {Name: "vmbr1"}}}, "a bridge cannot be in a bridge"},
		{&Module{Bridges: []Bridge{{Name: "vmbr0", Ports: []string{"vmbr0.5"}}}, VLANs: []VLAN{{Name: "vmbr0.5"}}}, "is indirectly on top of itself"},
	} {
		if err := c.module.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v\nexpected a fault with %s", err, c.want)
		}
	}
	if err := bonded().Validate(); err != nil {
		t.Error(err)
	}
}
