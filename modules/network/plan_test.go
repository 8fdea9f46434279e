package network

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
	"hlplay/modules/network/interfaces"
)

func text(content string) observe.File {
	return observe.File{Type: observe.Regular, Mode: 0o644, Owner: "root", Group: "root", Size: int64(len(content)), Content: []byte(content)}
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// card returns an interface as ip(8) shows it.
func card(name string, mtu int, addresses ...string) observe.Interface {
	i := observe.Interface{Name: name, MAC: "52:54:00:00:00:01", State: "up", MTU: mtu}
	for _, a := range addresses {
		i.Addresses = append(i.Addresses, prefix(a))
	}
	return i
}

// installedNet and installedLinks return what is observed after Debian's installer, on a host with a second card.
func installedNet() observe.Network {
	return observe.Network{Gateway: addr("192.168.1.1"), GatewayInterface: "ens18", Interfaces: []observe.Interface{
		card("lo", 65536, "127.0.0.1/8"), card("ens18", 1500, "192.168.1.64/24", "fe80::1/64"), card("ens19", 1500)}}
}

func installedLinks() links {
	return links{
		ByName: map[string]link{"lo": {}, "ens18": {MAC: "52:54:00:00:00:18", MostMTU: 9710}, "ens19": {MAC: "52:54:00:00:00:19", MostMTU: 9710}},
		Routes: []route{{prefix("0.0.0.0/0"), addr("192.168.1.1"), "ens18"}, {prefix("192.168.1.0/24"), netip.Addr{}, "ens18"}},
		Client: addr("10.99.0.7"), Server: addr("192.168.1.64"),
	}
}

// host returns a host with the given file, modified by the given expectations.
func host(content string, more ...observe.Expectation) modules.Host {
	inactive := observe.Unit{LoadState: "not-found", ActiveState: "inactive"}
	h := observe.NewRecorded("pve1", append([]observe.Expectation{
		observe.Files.Expect(interfaces.Path, text(content)), observe.Files.Expect(staged, observe.File{}),
		observe.Files.Expect("/etc/network", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
		observe.Dirs.Expect(dropIns, observe.Listing{Exists: true}), observe.Dirs.Expect("/etc/network", observe.Listing{Exists: true, Entries: []string{"interfaces"}}),
		observe.Networks.Expect("", installedNet()), allLinks.Expect("", installedLinks()),
		observe.Packages.Expect("ifupdown2", observe.Package{Status: observe.InstalledStatus}),
		observe.Units.Expect("NetworkManager.service", inactive), observe.Units.Expect("systemd-networkd.service", inactive), observe.Units.Expect("pve-ha-lrm.service", inactive),
		pve.HAs.Expect("", pve.HA{}), pve.Clusters.Expect("", pve.Cluster{}), pve.Nodes.Expect("", pve.Node{Name: "pve1"}),
		ceph.Confs.Expect("", ceph.Conf{}),
		observe.InstalledKernels.Expect("", []string{"6.8.12-9-pve"}),
	}, more...)...)
	return h
}

func summaries(p modules.Plan) []string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Summary)
	}
	return all
}

func TestPlan(t *testing.T) {
	plan := modulestest.Converges(t, bonded(), host(installed))
	want := []string{"write ens18, ens19, bond0, vmbr0 to /etc/network/interfaces", "apply /etc/network/interfaces (ifreload -a)"}
	if diff := cmp.Diff(want, summaries(plan)); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&modules.Diff{Subject: "network",
		Before: "MTU of ens18: 1500\naddresses of ens18: 192.168.1.64/24\nMTU of ens19: 1500\nbond0: not there\nvmbr0: not there",
		After:  "MTU of ens18: 9000\naddresses of ens18: none\nMTU of ens19: 9000\nbond0: there\nvmbr0: there"}, plan.Steps[1].Diff); diff != "" {
		t.Errorf("what the reload changes differs (-want +got):\n%s", diff)
	}
	g := plan.Guard
	if g == nil || g.Within.String() != "1m30s" || g.Address != "" || !cmp.Equal(g.Files, []string{interfaces.Path}) || !cmp.Equal(g.Undo, [][]string{{"ifreload", "-a"}}) {
		t.Fatalf("the change is guarded by %+v", g)
	}
	if len(g.Proofs) != 1 || strings.Join(g.Proofs[0].Argv, " ") != "ping -n -q -c 1 -W 2 -M do -s 8972 192.168.1.1" {
		t.Errorf("the gateway is to take a full packet, and the proofs are %+v", g.Proofs)
	}
}

// TestDrift tests a host whose file is right, but whose interfaces were changed by hand.
func TestDrift(t *testing.T) {
	m := bonded()
	h := host(installed)
	for _, s := range modulestest.Converges(t, m, h).Steps {
		h.Predict(s.Expect)
	}
	net, _ := h.Known(observe.Networks.Key(""))
	n := net.(observe.Network)
	for i := range n.Interfaces {
		if n.Interfaces[i].Name == "vmbr0" {
			n.Interfaces[i].MTU = 1500
		}
	}
	known, _ := h.Known(allLinks.Key(""))
	l := known.(links)
	bond := l.ByName["bond0"]
	bond.Hash = "layer2"
	l.ByName["bond0"] = bond
	h.Predict([]observe.Expectation{observe.Networks.Expect("", n), allLinks.Expect("", l)})
	plan := modulestest.Converges(t, m, h)
	if diff := cmp.Diff([]string{"apply /etc/network/interfaces (ifreload -a)"}, summaries(plan)); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("bond-xmit-hash-policy of bond0: layer2\nMTU of vmbr0: 1500", plan.Steps[0].Diff.Before); diff != "" {
		t.Errorf("what drifted differs (-want +got):\n%s", diff)
	}
	if plan.Guard == nil {
		t.Error("a reload is not guarded")
	}
}

func TestSharedSubnet(t *testing.T) {
	for address, want := range map[string]string{
		"192.168.1.70/24": "ens18 and ens19 are both in 192.168.1.0/24",
		"192.168.2.70/24": "",
		"192.168.1.70/32": "",
	} {
		m := &Module{Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: address}}}}
		plan := modulestest.Converges(t, m, host(installed))
		if notes := strings.Join(plan.Notes, "; "); !strings.Contains(notes, want) || want == "" && notes != "" {
			t.Errorf("%s: the notes say %q, want %q", address, notes, want)
		}
	}
}

// peers makes the hosts peers of h.
func peers(h modules.Host, others ...modules.Host) {
	h.SetPeers(func() []*observe.Host { return append([]*observe.Host{h}, others...) }, nil)
}

func TestProofs(t *testing.T) {
	m := bonded()
	m.Bridges[0].GatewayMTU = 1500
	m.Bridges[0].Addresses = []string{"2001:db8::64/64"}
	m.Bridges[0].Gateway6 = "2001:db8::1"
	h := host(installed)
	peers(h,
		observe.NewRecorded("pve2", observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("vmbr0", 9000, "192.168.1.65/24")}})),
		observe.NewRecorded("pve3", observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("eno1", 1500, "192.168.1.66/24")}})),
		observe.NewRecorded("pve4", observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{card("eno1", 1500, "192.168.2.66/24")}})),
		observe.NewRecorded("off"))
	plan, err := m.Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range plan.Guard.Proofs {
		got = append(got, strings.Join(p.Argv[len(p.Argv)-2:], " "))
	}
	if diff := cmp.Diff([]string{"1472 192.168.1.1", "1452 2001:db8::1", "8972 192.168.1.65", "1472 192.168.1.66"}, got); diff != "" {
		t.Errorf("sizes and targets of the pings differ (-want +got):\n%s", diff)
	}
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "could not check whether off uses") {
		t.Errorf("of a host that does not answer the notes say %q", plan.Notes)
	}
}

// linkDirectory expects /etc/systemd/network to contain the given files.
func linkDirectory(files ...observe.TextFile) []observe.Expectation {
	all := []observe.Expectation{linkFiles.Expect("", files), observe.Files.Expect("/etc/systemd/network", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"})}
	for _, name := range []string{"ens18", "ens19"} {
		all = append(all, observe.Files.Expect(linkFile(name), observe.File{}))
	}
	for _, f := range files {
		all = append(all, observe.Files.Expect(f.Path, text(f.Content)), observe.StaleInitramfs.Expect(f.Path, false))
	}
	return all
}

func TestPins(t *testing.T) {
	m := &Module{Pin: true, Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.1/24"}}}}
	plan := modulestest.Converges(t, m, host(installed, linkDirectory()...))
	if diff := cmp.Diff([]string{"pin the name of ens19, 52:54:00:00:00:19", "rebuild the initramfs images of all kernels"}, summaries(plan)); diff != "" || !plan.Partial || plan.Guard != nil {
		t.Errorf("the steps that pin differ, or are guarded (-want +got):\n%s", diff)
	}
	written := func(plan modules.Plan, kind string) {
		t.Helper()
		if got := string(plan.Steps[0].Action.(modules.WriteFile).Content); !strings.Contains(got, "MACAddress=52:54:00:00:00:19\nType="+kind+"\n\n[Link]\nName=ens19\n") {
			t.Errorf("the link file is %q", got)
		}
	}
	written(plan, "ether")
	l := installedLinks()
	l.ByName["ens19"] = link{MAC: "52:54:00:00:00:19", WLAN: true}
	written(modulestest.Converges(t, m, host(installed, append(linkDirectory(), allLinks.Expect("", l))...)), "wlan") // udev's type of it is wlan, not ether
}

// TestPinsAlone pins the names of all cards of a host without ifupdown2, but not those of bonds, bridges and guests.
func TestPinsAlone(t *testing.T) {
	m := &Module{Pin: true}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if m.Scope() != modules.EachHost {
		t.Error("hosts whose names are pinned do not wait for each other")
	}
	l := installedLinks()
	for name, kind := range map[string]string{"bond0": "bond", "vmbr0": "bridge", "veth100i0": "veth", "tap101i0": "tun"} {
		l.ByName[name] = link{Kind: kind, MAC: "52:54:00:00:00:18"}
	}
	write := []string{"pin the name of ens18, 52:54:00:00:00:18", "pin the name of ens19, 52:54:00:00:00:19", "rebuild the initramfs images of all kernels"}
	by := func(path, match, section string) observe.TextFile {
		return observe.TextFile{Path: path, Content: "[Match]\n" + match + "\nType=ether\n\n[Link]\n" + section + "\n"}
	}
	for _, c := range []struct {
		name  string
		files []observe.TextFile
		steps []string
		notes string
	}{
		{"nothing is pinned", nil, write, ""},
		{"by Proxmox VE's tool", []observe.TextFile{by("/usr/local/lib/systemd/network/50-pve-nic0.link", "MACAddress=52:54:00:00:00:18", "Name=nic0")}, write[1:],
			"Proxmox VE has pinned ens18 as nic0 in /usr/local/lib/systemd/network/, from the next boot on: left as it is"},
		{"by Proxmox VE's installer, and in effect", []observe.TextFile{by("/usr/local/lib/systemd/network/50-pmx-nic0.link", "MACAddress=52:54:00:00:00:18", "Name=ens18"),
			by("/usr/local/lib/systemd/network/50-pmx-nic1.link", "MACAddress=52:54:00:00:00:19", "Name=ens19")}, nil, "Proxmox VE has pinned ens18, ens19 in /usr/local/lib/systemd/network/: left as it is"},
		{"by a person, for a name of the next boot", []observe.TextFile{by(linkDir+"lan.link", "MACAddress=52:54:00:00:00:18", "Name=lan0")}, write[1:], "ens18 will be lan0 from the next boot on, because of /etc/systemd/network/lan.link"},
		{"by a person, as systemd accepts it", []observe.TextFile{by(linkDir+"lan.link", "PermanentMACAddress=5254.0000.0099 52-54-00-00-00-18", "Name = ens18")}, write[1:], ""},
		{"by a path", []observe.TextFile{by(linkDir+"lan.link", "Path=pci-0000:00:12.0-*", "Name=ens18")}, write[1:], ""},
		{"a file that is masked", []observe.TextFile{{Path: linkDir + "lan.link"}, by("/run/systemd/network/lan.link", "MACAddress=52:54:00:00:00:18", "Name=lan0")}, write, ""},
		{"ours, under the card's former name", []observe.TextFile{{Path: linkFile("eth0"), Content: ours + "[Match]\nMACAddress=52:54:00:00:00:18\nType=ether\n\n[Link]\nName=eth0\n"}},
			[]string{write[0], "remove " + linkFile("eth0") + ", which names 52:54:00:00:00:18 eth0", write[1], write[2]}, ""},
		{"ours, of cards that have changed names", []observe.TextFile{
			{Path: linkFile("ens18"), Content: ours + "[Match]\nMACAddress=52:54:00:00:00:19\nType=ether\n\n[Link]\nName=ens18\n"},
			{Path: linkFile("ens19"), Content: ours + "[Match]\nMACAddress=52:54:00:00:00:18\nType=ether\n\n[Link]\nName=ens19\n"}}, write, ""},
		{"another card's file", []observe.TextFile{by(linkDir+"lan.link", "MACAddress=52:54:00:00:00:77", "Name=lan7")}, write, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(installed, append(linkDirectory(c.files...), allLinks.Expect("", l), observe.Packages.Expect("ifupdown2", observe.Package{}))...)
			plan := modulestest.Converges(t, m, h)
			if diff := cmp.Diff(c.steps, summaries(plan)); diff != "" || plan.Guard != nil {
				t.Errorf("the steps differ, or are guarded (-want +got):\n%s", diff)
			}
			if notes := strings.Join(plan.Notes, "; "); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
				t.Errorf("the notes say %q, expected %q", notes, c.notes)
			}
		})
	}
	for _, c := range []struct {
		name  string
		files []observe.TextFile
		twin  bool
		want  string
	}{
		{"two cards of one MAC address", nil, true, "pin: ens18 and ens19 have the same MAC address, 52:54:00:00:00:18"},
		{"the settings of a person", []observe.TextFile{by(linkDir+"wol.link", "MACAddress=52:54:00:00:00:18", "WakeOnLan=magic")}, false, "add Name=ens18 to its [Link]"},
		{"a policy of a person", []observe.TextFile{by(linkDir+"wol.link", "MACAddress=52:54:00:00:00:18", "NamePolicy=path\nName=ens18")}, false, "and gives it no name"},
		{"a name that another card gets", []observe.TextFile{by(linkDir+"lan.link", "MACAddress=52:54:00:00:00:77", "Name=ens18")}, false, "lan.link gives the name ens18 to another card, 52:54:00:00:00:77"},
		{"the file of somebody else", []observe.TextFile{by(linkFile("ens18"), "Driver=e1000e", "WakeOnLan=magic")}, false, "10-ens18.link, but that file was not written by hlplay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := installedLinks()
			if c.twin {
				l.ByName["ens19"] = l.ByName["ens18"]
			}
			_, err := m.Plan(t.Context(), host(installed, append(linkDirectory(c.files...), allLinks.Expect("", l))...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nexpected an error with %s", err, c.want)
			}
		})
	}
}

// TestFleeting checks that cards whose MAC address does not identify them are noted and not pinned.
func TestFleeting(t *testing.T) {
	const note = "ens19 has a MAC address that is new with every boot, 52:54:00:00:00:19: its name is not pinned"
	l := installedLinks()
	change := func(name string, why fleeting) {
		card := l.ByName[name]
		card.Fleeting = why
		l.ByName[name] = card
	}
	change("ens19", random)
	l.ByName["ens18v0"], l.ByName["ens18v1"] = link{MAC: "52:54:00:00:00:18", Fleeting: virtual}, link{MAC: "4e:54:00:00:00:21", Fleeting: virtual}
	l.ByName["enx525400000077"] = link{MAC: "52:54:00:00:00:77"}
	ens19 := &Module{Pin: true, Interfaces: []Interface{{Name: "ens19", Addressing: Addressing{Address: "10.0.0.1/24"}}}}
	for _, c := range []struct {
		name  string
		m     *Module
		steps []string
		notes []string
	}{
		{"all cards", &Module{Pin: true}, []string{"pin the name of ens18, 52:54:00:00:00:18", "rebuild the initramfs images of all kernels"}, []string{note, "the names of virtual functions are not pinned: ens18v0, ens18v1"}},
		{"one by name", ens19, []string{"write ens19 to /etc/network/interfaces", "apply /etc/network/interfaces (ifreload -a)"}, []string{note}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := modulestest.Converges(t, c.m, host(installed, append(linkDirectory(), allLinks.Expect("", l))...))
			if diff := cmp.Diff(c.steps, summaries(plan)); diff != "" {
				t.Errorf("the steps differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, plan.Notes); diff != "" {
				t.Errorf("the notes differ (-want +got):\n%s", diff)
			}
		})
	}
	change("ens19", unread)
	if _, err := (&Module{Pin: true}).Plan(t.Context(), host(installed, append(linkDirectory(), allLinks.Expect("", l))...)); err == nil || !strings.Contains(err.Error(), "could not be read from /sys/class/net/ens19/addr_assign_type") {
		t.Errorf("of a card that the kernel says nothing of: %v", err)
	}
}

// TestTwinsByPath tests two cards with the same MAC address, whose names were pinned by hand as the error advises.
func TestTwinsByPath(t *testing.T) {
	l := installedLinks()
	l.ByName["ens19"] = l.ByName["ens18"]
	var files []observe.TextFile
	for name, at := range map[string]string{"ens18": "12", "ens19": "13"} {
		files = append(files, observe.TextFile{Path: linkDir + name + ".link", Content: "[Match]\nPath=pci-0000:00:" + at + ".0\n\n[Link]\nName=" + name + "\n"})
	}
	if plan := modulestest.Converges(t, &Module{Pin: true}, host(installed, append(linkDirectory(files...), allLinks.Expect("", l))...)); len(plan.Steps) > 0 {
		t.Errorf("the steps are %q", summaries(plan))
	}
}

// TestOrigins checks how the origins of MAC addresses are read.
func TestOrigins(t *testing.T) {
	const shown = `[{"ifname":"lo","address":"00:00:00:00:00:00"},
{"ifname":"built","address":"52:54:00:00:00:01"},{"ifname":"random","address":"4e:00:00:00:00:02"},{"ifname":"stolen","address":"52:54:00:00:00:01"},{"ifname":"unread","address":"52:54:00:00:00:03"},
{"ifname":"vf","address":"52:54:00:00:00:04"},{"ifname":"set","address":"52:54:00:00:00:05"},{"ifname":"setthere","address":"bc:24:11:00:00:06"},
{"ifname":"first","address":"52:54:00:00:00:07","master":"bond0"},{"ifname":"second","address":"52:54:00:00:00:07","master":"bond0","permaddr":"52:54:00:00:00:08"},
{"ifname":"was","address":"52:54:00:00:00:07","permaddr":"52:54:00:00:00:09"},{"ifname":"bond0","address":"52:54:00:00:00:07","linkinfo":{"info_kind":"bond"}}]`
	types := ""
	for name, value := range map[string]string{"lo": "0", "built": "0", "random": "1", "stolen": "2", "vf": "0", "set": "3", "setthere": "3", "first": "3", "second": "3", "was": "3", "bond0": "2"} {
		types += "/sys/class/net/" + name + "/addr_assign_type:" + value + "\n"
	}
	answer := func(out string) remote.Answer { return remote.Answer{Stdout: []byte(out)} }
	all, err := parseLinks([]remote.Answer{answer(shown), answer("[]\n[]"), answer(""), answer(types + "/sys/class/net/vf/device/physfn\n/sys/class/net/random/phy80211\n")})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]fleeting{}
	for name, card := range all.ByName {
		if card.Fleeting != "" {
			got[name] = card.Fleeting
		}
		if card.WLAN != (name == "random") {
			t.Errorf("%s is wireless: %v", name, card.WLAN)
		}
	}
	if diff := cmp.Diff(map[string]fleeting{"random": random, "stolen": stolen, "unread": unread, "vf": virtual, "set": given}, got); diff != "" {
		t.Errorf("why addresses identify no card differs (-want +got):\n%s", diff)
	}
}

// TestAbsent removes a bridge with its addresses, and leaves its port alone.
func TestAbsent(t *testing.T) {
	m := &Module{Absent: []string{"vmbr1", "vmbr9"}}
	l := installedLinks()
	l.ByName["vmbr1"], l.ByName["ens19"] = link{Kind: "bridge"}, link{Master: "vmbr1", MostMTU: 9710}
	l.Routes = append(l.Routes, route{prefix("10.0.0.0/24"), netip.Addr{}, "vmbr1"})
	n := installedNet()
	n.Interfaces = append(n.Interfaces, card("vmbr1", 1500, "10.0.0.1/24"))
	h := host(strings.Replace(second, "bridge-ports none", "bridge-ports ens19", 1), allLinks.Expect("", l), observe.Networks.Expect("", n))
	plan := modulestest.Converges(t, m, h)
	if diff := cmp.Diff([]string{"remove vmbr1 from /etc/network/interfaces", "apply /etc/network/interfaces (ifreload -a)"}, summaries(plan)); diff != "" {
		t.Errorf("the steps differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&modules.Diff{Subject: "network", Before: "vmbr1: there", After: "vmbr1: not there"}, plan.Steps[1].Diff); diff != "" {
		t.Errorf("what the reload changes differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.0.0.1 is no longer an address of pve1"}, plan.Notes); diff != "" {
		t.Errorf("the notes differ (-want +got):\n%s", diff)
	}
	if plan.Guard == nil {
		t.Error("the removal is not guarded")
	}
}

// FuzzLinkFile checks that MAC addresses are parsed into one form, and that the files that the module writes are
// understood.
func FuzzLinkFile(f *testing.F) {
	f.Add("[Match]\nMACAddress=52-54-00-00-00-18 5254.0000.0099\n[Link]\nName=lan0\n")
	f.Add("# Kept by hlplay.\n[Match]\nMACAddress=52:54:00:00:00:18\nType=ether\n\n[Link]\nName=ens18\n")
	f.Add("[Link\nNamePolicy=")
	f.Fuzz(func(t *testing.T, content string) {
		c := parseLinkFile(observe.TextFile{Path: linkDir + "x.link", Content: content})
		for _, mac := range c.macs {
			if strings.Count(mac, ":") != 5 || mac != strings.ToLower(mac) {
				t.Errorf("%q is not a MAC address in the kernel's form", mac)
			}
		}
		if strings.TrimSpace(c.name) != c.name {
			t.Errorf("the name is %q", c.name)
		}
	})
}
