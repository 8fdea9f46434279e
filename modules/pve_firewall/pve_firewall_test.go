package pve_firewall

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
	"hlplay/modules/internal/session"
)

// uiText is a cluster.fw as the web interface writes it, with the options in the random order of a Perl hash.
const uiText = `[OPTIONS]

policy_in: DROP
enable: 1

[ALIASES]

lan 192.168.1.0/24 # the office

[IPSET hlplay-nodes] # the nodes, kept by hlplay

10.0.0.11 # pve1
10.0.0.12 # pve2
10.0.0.13 # pve3
192.168.1.11 # pve1
192.168.1.12 # pve2

[IPSET management]

lan

[RULES]

IN ACCEPT -source +hlplay-nodes # the nodes, kept by hlplay
IN SSH(ACCEPT) -i vmbr0 -source lan -log nolog
|OUT DROP -p tcp -dport 25,587

[group web] # the public side

IN HTTPS(ACCEPT)

`

func TestTextIsThatOfProxmoxVE(t *testing.T) {
	if diff := cmp.Diff(strings.Replace(uiText, "policy_in: DROP\nenable: 1", "enable: 1\npolicy_in: DROP", 1), parseConfig(uiText).Text()); diff != "" {
		t.Errorf("read and written (-want +got):\n%s", diff)
	}
	for name, other := range map[string]string{
		"case, blanks and long options":    "[options]\nENABLE:  1\n\n[Rules]\n  in   SSH(ACCEPT)   --source   10.0.0.1  --proto tcp #c \n",
		"a comment, and lines it does not": "# mine\n[OPTIONS]\nenable: 1\n[RULES]\nIN SSH(ACCEPT) -source 10.0.0.1 -p tcp # c\nnonsense\n",
	} {
		const want = "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN SSH(ACCEPT) -source 10.0.0.1 -p tcp # c\n\n"
		if got := parseConfig(other).Text(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	for line, want := range map[string]string{
		"IN ACCEPT": "", "in accept": `"accept" is not an action`, "IN SSH(ACCEPT) -source +dc/management": "", "GROUP web -i net0": "",
		"IN SHH(ACCEPT)": `"SHH" is not a macro`, "IN": `"IN" is not a rule`, "INPUT ACCEPT": "begins with INPUT", "FORWARD REJECT": "cannot be rejected",
		"IN ACCEPT -dport 22": "ports 22 need a protocol", "IN ACCEPT -p tcp -dport 22,80:90,https": "", "IN ACCEPT -p tcp -dport 90:80": "is not a port",
		"IN ACCEPT -p tcp -dport 70000": "is not a port", "IN SSH(ACCEPT) -p tcp -dport 22": "has ports of its own", "IN ACCEPT -source 10.0.0.1-10.0.0.9": "",
		"IN ACCEPT -source 10.0.0.9-10.0.0.1": "is not a range", "IN ACCEPT -source 10.0.0.1,fd00::1": "mixes IPv4 and IPv6", "IN ACCEPT -source 10.0.0.0/8,10.1.1.1": "",
		"IN ACCEPT -source 10.0.0.256": "is not an address", "IN ACCEPT -from 10.0.0.1": "-from is not an option", "IN ACCEPT -p": "-p has no value",
		"IN ACCEPT -p tcp -p udp": "-p is given twice", "GROUP web -p tcp": "-p is not an option", "IN ACCEPT -log loud": "is not a log level",
		"IN ACCEPT -p icmp -icmp-type echo-request": "", "IN ACCEPT -p tcp -icmp-type echo-request": "needs -p icmp", "IN ACCEPT -i a,b": "is not the name of an interface",
	} {
		_, err := parseRule(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, m := range map[string]*Module{
		"0 blocks are given":                 {},
		"2 blocks are given":                 {Node: &Node{}, Guest: &Guest{ID: 100}},
		"guest.id: 99":                       {Guest: &Guest{ID: 99}},
		"state: the cluster's file":          {State: "absent", Cluster: &Cluster{}},
		"state: absent, but":                 {State: "absent", Guest: &Guest{ID: 100, PolicyIn: "DROP"}},
		"guest.enable: missing":              {Guest: &Guest{ID: 100}},
		"rollback: 1s":                       {Node: &Node{}, Rollback: 1e9},
		`"policy" is not an option of it`:    {Node: &Node{Options: map[string]string{"policy": "DROP"}}},
		`tcpflags: "yes"; "1" or "0"`:        {Node: &Node{Options: map[string]string{"tcpflags": "yes"}}},
		"-i eno1: a guest's interfaces":      {Guest: &Guest{ID: 100, Enable: new(bool), Rules: []string{"IN ACCEPT -i eno1"}}},
		"is the set that hlplay keeps":       {Cluster: &Cluster{Ipset: []Ipset{{Name: "hlplay-nodes"}}}},
		"is everybody":                       {Cluster: &Cluster{Ipset: []Ipset{{Name: "all", Entries: []string{"0.0.0.0/0"}}}}},
		`"10.0.0.1" is given twice`:          {Cluster: &Cluster{Ipset: []Ipset{{Name: "some", Entries: []string{"10.0.0.1", "10.0.0.1/32"}}}}},
		`there is no alias "lan"`:            {Cluster: &Cluster{Ipset: []Ipset{{Name: "some", Entries: []string{"lan"}}}}},
		`there is no IP set "some"`:          {Cluster: &Cluster{Rules: []string{"IN ACCEPT -source +some"}}},
		`there is no security group "web"`:   {Cluster: &Cluster{Rules: []string{"GROUP web"}}},
		"a group cannot contain another one": {Cluster: &Cluster{Group: []Group{{Name: "web", Rules: []string{"GROUP web"}}}}},
		"belongs to the rule that refers":    {Cluster: &Cluster{Group: []Group{{Name: "web", Rules: []string{"IN ACCEPT -i eno1"}}}}},

		// What follows a line break would be a line of its own in the file.
		`cluster.rules[0]: "IN SSH(ACCEPT) # a\nIN ACCEPT" contains a control`:  {Cluster: &Cluster{Rules: []string{"IN SSH(ACCEPT) # a\nIN ACCEPT"}}},
		`cluster.group.web.rules[0]: "IN ACCEPT\r# a" contains a control`:       {Cluster: &Cluster{Group: []Group{{Name: "web", Rules: []string{"IN ACCEPT\r# a"}}}}},
		`cluster.group.web.comment: "a\n[RULES]\nIN ACCEPT" contains a control`: {Cluster: &Cluster{Group: []Group{{Name: "web", Comment: "a\n[RULES]\nIN ACCEPT"}}}},
		`guest.ipset.some.comment: "a\n10.0.0.1" contains a control`:            {Guest: &Guest{ID: 100, Enable: new(bool), Ipset: []Ipset{{Name: "some", Comment: "a\n10.0.0.1"}}}},
		`guest.ipset.some: "10.0.0.1\n10.0.0.2" is not`:                         {Guest: &Guest{ID: 100, Enable: new(bool), Ipset: []Ipset{{Name: "some", Entries: []string{"10.0.0.1\n10.0.0.2"}}}}},
		`cluster.aliases.lan: "10.0.0.1\nlan 10.0.0.2" is not`:                  {Cluster: &Cluster{Aliases: map[string]string{"lan": "10.0.0.1\nlan 10.0.0.2"}}},
		`cluster.options.log_ratelimit: "1\x00"`:                                {Cluster: &Cluster{Options: map[string]string{"log_ratelimit": "1\x00"}}},
	} {
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Blanks around a rule or a comment, such as the line break at the end of a heredoc, are not part of it, and a tab separates
// words as a blank does.
func TestBlanksAreNoControlCharacters(t *testing.T) {
	m := &Module{Cluster: &Cluster{Rules: []string{"IN\tSSH(ACCEPT)\t# a\n"}, Ipset: []Ipset{{Name: "some", Comment: "a\n"}}}}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	const want = "[OPTIONS]\n\nenable: 0\n\n[IPSET some] # a\n\n\n[RULES]\n\nIN SSH(ACCEPT) # a\n\n"
	if c, err := m.config(); err != nil || c.Text() != want {
		t.Errorf("%v: %q, want %q", err, c.Text(), want)
	}
}

func TestDrops(t *testing.T) {
	packets := map[string]packet{
		"ssh":    {netip.MustParseAddr("192.168.1.50"), "tcp", 22},
		"ssh6":   {netip.MustParseAddr("fd00::5"), "tcp", 22},
		"node":   {netip.MustParseAddr("10.0.0.12"), "udp", 5405},
		"metric": {netip.MustParseAddr("192.168.1.50"), "tcp", 9100},
	}
	rules := func(lines ...string) string { return "[RULES]\n" + strings.Join(lines, "\n") + "\n" }
	const on = "[OPTIONS]\nenable: 1\n"
	for _, test := range []struct{ cluster, node, packet, want string }{
		{"", "", "ssh", ""},
		{on, "", "ssh", "policy_in DROP, which is the default"},
		{on + "policy_in: REJECT\n", "", "ssh", "policy_in REJECT"},
		{on + "policy_in: ACCEPT\n", "", "ssh", ""},
		{on, "[OPTIONS]\nenable: 0\n", "ssh", ""},
		{on + rules("IN SSH(ACCEPT)"), "", "ssh", ""},
		{on + rules("|IN SSH(ACCEPT)"), "", "ssh", "policy_in"},
		{on + rules("OUT SSH(ACCEPT)"), "", "ssh", "policy_in"},
		{on + rules("IN SSH(ACCEPT) -i vmbr0"), "", "ssh", "policy_in"}, // the packet may come in through another interface
		{on + rules("IN DROP -i vmbr0", "IN SSH(ACCEPT)"), "", "ssh", `"IN DROP -i vmbr0" of cluster.fw`},
		{on + rules("IN SSH(ACCEPT)"), rules("IN DROP -p tcp"), "ssh", `"IN DROP -p tcp" of host.fw`},
		{on + rules("IN SSH(ACCEPT)"), rules("IN DROP -p 17"), "ssh", ""},
		{on + rules("IN ACCEPT -p tcp -dport 20:30,80"), "", "ssh", ""},
		{on + rules("IN ACCEPT -p tcp -dport ssh"), "", "ssh", "policy_in"}, // only the host knows the port of the name
		{on + rules("IN ACCEPT -source 192.168.1.40-192.168.1.60"), "", "ssh", ""},
		{on + rules("IN ACCEPT -source 192.168.1.51,192.168.1.0/26"), "", "ssh", ""},
		{on + "[ALIASES]\nlan 192.168.1.0/24\n" + rules("IN ACCEPT -source LAN"), "", "ssh", ""},
		{on + "[IPSET management]\n192.168.1.0/24\n", "", "ssh", ""},
		{on + "[IPSET management]\n192.168.1.0/24\n", "", "metric", "policy_in"},
		{on + "[IPSET management]\n192.168.1.0/24\n!192.168.1.50\n", "", "ssh", "policy_in"},
		{on + "[IPSET management]\nfd00::/64\n", "", "ssh6", ""},
		{on + "[IPSET blacklist]\n192.168.1.50\n" + rules("IN SSH(ACCEPT)"), "", "ssh", "IP set blacklist"},
		{on + rules("GROUP web", "IN DROP") + "[group web]\nIN SSH(ACCEPT)\n", "", "ssh", ""},
		{on + rules("GROUP web -i eno1") + "[group web]\nIN SSH(ACCEPT)\n", "", "ssh", "policy_in"},
		{on + rules("GROUP web -i eno1", "IN SSH(ACCEPT)") + "[group web]\nIN SSH(DROP)\n", "", "ssh", "SSH(DROP)"},
		{on + rules("IN HTTP(DROP)", "IN SSH(ACCEPT)"), "", "ssh", ""},
		{on + rules("IN HTTP(DROP)", "IN ACCEPT"), "", "metric", "HTTP(DROP)"}, // the macro's ports are not known here
		{on + rules("IN Ceph(DROP)", "IN ACCEPT"), "", "node", ""},
		// Only the host knows what local_network is, unless the cluster defines it.
		{on + rules("IN DROP -source local_network", "IN ACCEPT"), "", "ssh", "local_network"},
		{on + rules("IN DROP -source dc/Local_Network", "IN ACCEPT"), "", "ssh", "Local_Network"},
		{on + rules("IN ACCEPT -source local_network"), "", "ssh", "policy_in"},
		{on + "[ALIASES]\nlocal_network 10.0.0.0/24\n" + rules("IN DROP -source local_network", "IN ACCEPT"), "", "ssh", ""},
		{on + "[ALIASES]\nlocal_network 10.0.0.0/24\n" + rules("IN ACCEPT -source local_network"), "", "node", ""},
		{on + "[IPSET blacklist]\nlocal_network\n" + rules("IN ACCEPT"), "", "ssh", "IP set blacklist"},
		{on + "[IPSET management]\nlocal_network\n", "", "ssh", "policy_in"},
		{on + "[IPSET management]\n192.168.1.0/24\nlocal_network\n", "", "ssh", ""},
		{on + "[IPSET management]\n192.168.1.0/24\n!local_network\n", "", "ssh", "policy_in"},
		{on + "[IPSET some]\nlocal_network\n" + rules("IN DROP -source +some", "IN ACCEPT"), "", "ssh", "+some"},
	} {
		f := filter{parseConfig(test.cluster), parseConfig(test.node)}
		if got := f.drops(packets[test.packet]); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s with\n%s\nand\n%s\nis dropped by %q, want %q", test.packet, test.cluster, test.node, got, test.want)
		}
	}
}

// hosts returns a cluster of three nodes, of which pve3 is only on corosync's link. from is the address that the session
// comes from, and files holds the files in /etc/pve.
func hosts(from string, files map[string]string) modules.Host {
	cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{}}
	for i := 1; i <= 3; i++ {
		cluster.Members[fmt.Sprintf("pve%d", i)] = pve.Member{ID: i, Votes: 1, Online: true, Links: map[int]string{0: fmt.Sprintf("10.0.0.1%d", i)}}
	}
	var all []*observe.Host
	for i := 1; i <= 3; i++ {
		addresses := []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.0.1%d/24", i)), netip.MustParsePrefix("172.17.0.1/16"), netip.MustParsePrefix(fmt.Sprintf("10.%d.0.1/24", i))}
		if i < 3 {
			addresses = append(addresses, netip.MustParsePrefix(fmt.Sprintf("192.168.1.1%d/24", i)))
		}
		client, _ := netip.ParseAddr(from)
		name := fmt.Sprintf("pve%d", i)
		known := []observe.Expectation{
			pve.Nodes.Expect("", pve.Node{Name: name, Installed: true, Version: "9.1.1", Codename: "trixie"}), pve.Clusters.Expect("", cluster),
			observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{{Name: "eno1", Addresses: addresses}}}),
			session.Sessions.Expect("", session.Session{Client: client, Port: 22}),
			pve.GuestLists.Expect("", map[int]pve.Guest{100: {Node: "pve2", Type: "qemu"}}), pve.GuestConfigs.Expect("101", pve.GuestConfig{}),
			pve.GuestConfigs.Expect("100", pve.GuestConfig{Exists: true, Guest: pve.Guest{Node: "pve2", Type: "qemu"}, Options: map[string]string{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}}),
		}
		for _, path := range []string{clusterFile, nodeFile("pve1"), nodeFile("pve2"), nodeFile("pve3"), guestFile(100), guestFile(101)} {
			file := observe.File{}
			if text, ok := files[path]; ok {
				file = observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Content: []byte(text), Size: int64(len(text))}
			}
			known = append(known, observe.Files.Expect(path, file))
		}
		all = append(all, observe.NewRecorded(name, known...))
	}
	for _, one := range all {
		one.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
			for _, h := range all {
				if h.Name() == name {
					return h, nil
				}
			}
			return nil, fmt.Errorf("there is no host %s", name)
		})
	}
	return all[0]
}

func lan() *Module {
	return &Module{Cluster: &Cluster{Enable: true, PolicyIn: "DROP", Aliases: map[string]string{"lan": "192.168.1.0/24"},
		Ipset: []Ipset{{Name: "management", Entries: []string{"lan"}}}, Rules: []string{"IN SSH(ACCEPT) -i vmbr0 -source lan -log nolog", "|OUT DROP -p tcp -dport 25,587"},
		Group: []Group{{Name: "web", Comment: "the public side", Rules: []string{"IN HTTPS(ACCEPT)"}}}}}
}

func TestClusterPlan(t *testing.T) {
	h := hosts("192.168.1.50", nil)
	plan := modulestest.Converges(t, lan(), h)
	want := "  set the cluster's firewall, and enable it\n  wait until pve-firewall has loaded the rules\n"
	if got := modulestest.Summaries(plan); got != want {
		t.Errorf("steps:\n%s\nwant:\n%s", got, want)
	}
	text := strings.NewReplacer("policy_in: DROP\nenable: 1", "enable: 1\npolicy_in: DROP", " # the office", "").Replace(uiText)
	if diff := cmp.Diff(text, string(plan.Steps[0].Action.(modules.WriteFile).Content)); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
	if len(plan.Guard.Proofs) != 3 || plan.Guard.Proofs[0].On != nil || plan.Guard.Proofs[2].On.Name() != "pve3" || !plan.Guard.Outlives {
		t.Errorf("the guard is %+v", plan.Guard)
	}
	m := lan()
	m.Cluster.PolicyOut = "DROP"
	plan = modulestest.Converges(t, m, hosts("192.168.1.50", map[string]string{clusterFile: uiText}))
	if got := string(plan.Steps[0].Action.(modules.WriteFile).Content); !strings.Contains(got, "OUT ACCEPT -dest +hlplay-nodes") {
		t.Errorf("the nodes may not send to each other:\n%s", got)
	}
}

// meshed returns the recorded host of a node with the given addresses, or one that cannot be reached if there are none.
func meshed(name string, cluster pve.Cluster, file string, addresses ...string) *observe.Host {
	if len(addresses) == 0 {
		return observe.NewHost(context.Background(), name, "192.0.2.1", func(context.Context) (observe.Asker, error) {
			return nil, &remote.UnreachableError{Host: name, Address: "192.0.2.1", Reason: "no answer", NoAnswer: true}
		})
	}
	var network observe.Network
	for _, a := range addresses {
		network.Interfaces = append(network.Interfaces, observe.Interface{Name: "any", Addresses: []netip.Prefix{netip.MustParsePrefix(a)}})
	}
	known := []observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: name, Installed: true, Version: "9.1.1", Codename: "trixie"}), pve.Clusters.Expect("", cluster),
		observe.Networks.Expect("", network), session.Sessions.Expect("", session.Session{}),
		observe.Files.Expect(nodeFile("pve1"), observe.File{}), observe.Files.Expect(nodeFile("pve2"), observe.File{}), observe.Files.Expect(nodeFile("pve3"), observe.File{}),
	}
	there := observe.File{}
	if file != "" {
		there = observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Content: []byte(file), Size: int64(len(file))}
	}
	return observe.NewRecorded(name, append(known, observe.Files.Expect(clusterFile, there))...)
}

// TestNodesOfAMesh keeps the set of three nodes with a link for each pair, as for Ceph without a switch.
func TestNodesOfAMesh(t *testing.T) {
	links := map[string][]string{
		"pve1": {"10.0.0.11/24", "10.15.12.1/30", "10.15.13.1/30", "172.17.0.1/16", "127.0.0.1/8"},
		"pve2": {"10.0.0.12/24", "10.15.12.2/30", "10.15.23.1/30", "172.17.0.1/16", "127.0.0.1/8"},
		"pve3": {"10.0.0.13/24", "10.15.13.2/30", "10.15.23.2/30", "172.17.0.1/16", "127.0.0.1/8"},
	}
	routed := map[string][]string{
		"pve1": {"10.0.0.11/24", "10.15.15.1/32", "fd00:15::1/128", "10.99.0.1/32", "127.0.0.2/32", "::1/128", "fe80::1/128"},
		"pve2": {"10.0.0.12/24", "10.15.15.2/32", "fd00:15::2/128", "10.99.0.1/32", "127.0.0.2/32", "::1/128", "fe80::2/128"},
		"pve3": {"10.0.0.13/24", "10.15.15.3/32", "fd00:15::3/128", "10.99.0.1/32", "127.0.0.2/32", "::1/128", "fe80::3/128"},
	}
	for name, test := range map[string]struct {
		addresses map[string][]string
		want      []string
	}{
		"a link for each pair": {links, []string{"10.0.0.11 pve1", "10.0.0.12 pve2", "10.0.0.13 pve3", "10.15.12.1 pve1", "10.15.12.2 pve2",
			"10.15.13.1 pve1", "10.15.13.2 pve3", "10.15.23.1 pve2", "10.15.23.2 pve3"}},
		"routed, with host addresses": {routed, []string{"10.0.0.11 pve1", "10.0.0.12 pve2", "10.0.0.13 pve3", "10.15.15.1 pve1", "10.15.15.2 pve2",
			"10.15.15.3 pve3", "fd00:15::1 pve1", "fd00:15::2 pve2", "fd00:15::3 pve3"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			plan := func(away ...string) string {
				cluster := pve.Cluster{Mounted: true, Name: "dream", Quorate: true, Members: map[string]pve.Member{}}
				var all []*observe.Host
				for i, name := range []string{"pve1", "pve2", "pve3"} {
					off := slices.Contains(away, name)
					cluster.Members[name] = pve.Member{ID: i + 1, Votes: 1, Online: !off, Links: map[int]string{0: fmt.Sprintf("10.0.0.1%d", i+1)}}
				}
				for _, name := range cluster.Names() {
					var addresses []string
					if !slices.Contains(away, name) {
						addresses = test.addresses[name]
					}
					all = append(all, meshed(name, cluster, file, addresses...))
				}
				for _, one := range all {
					one.SetPeers(func() []*observe.Host { return all }, func(name string) (*observe.Host, error) {
						return all[slices.IndexFunc(all, func(h *observe.Host) bool { return h.Name() == name })], nil
					})
				}
				plan, err := (&Module{Cluster: &Cluster{Enable: true}}).Plan(t.Context(), all[0])
				if err != nil {
					t.Fatal(err)
				}
				if len(plan.Steps) == 0 {
					return file
				}
				return string(plan.Steps[0].Action.(modules.WriteFile).Content)
			}
			file = plan()
			var got []string
			for _, e := range parseConfig(file).sets[nodesSet].entries {
				got = append(got, e.member+" "+e.comment)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the set (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(file, plan("pve3")); diff != "" {
				t.Errorf("while pve3 is away (-before +after):\n%s", diff)
			}
			// Nothing tells that the others have 10.99.0.1 too, but no address may be lost.
			after := parseConfig(plan("pve2", "pve3")).sets[nodesSet].entries
			for _, e := range parseConfig(file).sets[nodesSet].entries {
				if !slices.Contains(after, e) {
					t.Errorf("while pve2 and pve3 are away, the set loses %v: %v", e, after)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	yes := true
	for name, test := range map[string]struct {
		from  string
		files map[string]string
		m     *Module
		want  string
	}{
		"hlplay comes from elsewhere":           {"172.30.0.9", nil, lan(), `the session to pve1 comes from 172.30.0.9 to port 22, which policy_in DROP would not let in`},
		"it is not let in by what it was":       {"172.30.0.9", map[string]string{clusterFile: "[OPTIONS]\nenable: 1\n"}, lan(), ""},
		"a node's own file keeps out the nodes": {"192.168.1.50", map[string]string{nodeFile("pve2"): "[RULES]\nIN DROP -p udp\n"}, lan(), `pve2 would keep out pve1 (udp/5405 from 10.0.0.11), by the rule "IN DROP -p udp" of host.fw`},
		"a node keeps out the others":           {"192.168.1.50", map[string]string{clusterFile: uiText}, &Module{Node: &Node{Enable: true, Rules: []string{"IN REJECT -source 10.0.0.13"}}}, "pve1 would keep out pve3"},
		"a guest that is not there":             {"192.168.1.50", nil, &Module{Guest: &Guest{ID: 101, Enable: &yes}}, "there is no guest 101"},
		"a node loses what admits hlplay":       {"172.30.0.9", map[string]string{clusterFile: uiText, nodeFile("pve1"): "[RULES]\nIN SSH(ACCEPT)\n"}, &Module{State: "absent", Node: &Node{}}, "the session to pve1 comes from 172.30.0.9"},
		"a guest's rule refers to nothing":      {"192.168.1.50", nil, &Module{Guest: &Guest{ID: 100, Enable: new(bool), Rules: []string{"GROUP web"}}}, `there is no security group "web"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.m.Plan(t.Context(), hosts(test.from, test.files))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestGuestNotes(t *testing.T) {
	yes := true
	m := &Module{Guest: &Guest{ID: 100, Enable: &yes, Rules: []string{"GROUP web -i net0"}}}
	plan := modulestest.Converges(t, m, hosts("", map[string]string{clusterFile: uiText}))
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "no network device has firewall=1") || plan.Guard != nil {
		t.Errorf("the plan is %+v", plan)
	}
}

// TestAbsent removes the files of a node, guarded, and of a guest, even of one that is gone.
func TestAbsent(t *testing.T) {
	files := map[string]string{nodeFile("pve1"): "[OPTIONS]\nenable: 1\n", guestFile(100): "[OPTIONS]\nenable: 1\n", guestFile(101): "[OPTIONS]\nenable: 1\n"}
	for path, m := range map[string]*Module{
		nodeFile("pve1"): {State: "absent", Node: &Node{}},
		guestFile(100):   {State: "absent", Guest: &Guest{ID: 100}},
		guestFile(101):   {State: "absent", Guest: &Guest{ID: 101}},
	} {
		plan := modulestest.Converges(t, m, hosts("192.168.1.50", files))
		if want := (modules.Remove{Path: path, Lossless: true}); plan.Steps[0].Action != want {
			t.Errorf("%s: the first step is %+v", path, plan.Steps[0])
		}
		if guarded := plan.Guard != nil; guarded != (m.Node != nil) {
			t.Errorf("%s: the guard is %+v", path, plan.Guard)
		}
		if plan, err := m.Plan(t.Context(), hosts("192.168.1.50", nil)); err != nil || len(plan.Steps) > 0 {
			t.Errorf("%s, once removed: %+v, %v", path, plan.Steps, err)
		}
	}
}

// TestPutBack runs the script that restores the file, with stand-ins that record how they are called.
func TestPutBack(t *testing.T) {
	for name, test := range map[string]struct{ is, there, want, says, fails string }{
		"a file that was there":        {"ours\n\n", "yes", "old\n\n", "", ""},
		"a file that was removed":      {"", "yes", "old\n\n", "", ""},
		"a file that was not":          {"ours\n\n", "no", "", "", ""},
		"it is back already":           {"old\n\n", "yes", "old\n\n", "", ""},
		"somebody else has changed it": {"theirs\n", "yes", "theirs\n", "was changed by somebody else", ""},
		"it cannot be read at once":    {"ours\n\n", "yes", "old\n\n", "", "cat"},
		"systemd does not answer":      {"ours\n\n", "yes", "old\n\n", "", "is-enabled"},
		"nor whether it runs":          {"ours\n\n", "yes", "old\n\n", "", "is-active"},
		"the firewall does not start":  {"ours\n\n", "yes", "old\n\n", "start fails", "start"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "cluster.fw")
			ours := ""
			if test.is != "" {
				ours = "ours"
				if err := os.WriteFile(file, []byte(test.is), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			programs := map[string]string{"systemctl": "echo \"$*\" >>" + dir + "/log", "sleep": ":"}
			switch test.fails {
			case "cat":
				programs["cat"] = "rm " + dir + "/cat; echo 'Transport endpoint is not connected' >&2; exit 1" // the first time
			case "is-enabled", "is-active":
				programs["systemctl"] += "\n[ $1 != " + test.fails + " ] || { echo 'Failed to connect to bus: Connection refused' >&2; exit 1; }"
			case "start":
				programs["systemctl"] += "\n[ $1 != start ] || { echo start fails >&2; exit 1; }"
			}
			for name, text := range programs {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			script := strings.ReplaceAll(putBack, "/etc/pve/local", dir)
			cmd := exec.Command("sh", "-c", script, "sh", file, test.there, map[string]string{"yes": "old"}[test.there], ours)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if (err != nil) != (test.says != "") || !strings.Contains(string(out), test.says) {
				t.Errorf("%v: %s", err, out)
			}
			got, _ := os.ReadFile(file)
			if string(got) != test.want {
				t.Errorf("the file is %q, want %q", got, test.want)
			}
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			if !strings.HasPrefix(string(log), "is-active pve-firewall\nstop pve-firewall\n") || !strings.Contains(string(log), "\nstart pve-firewall\n") {
				t.Errorf("systemctl was asked:\n%s", log)
			}
		})
	}
}
