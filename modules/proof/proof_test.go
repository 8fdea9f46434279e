package proof

import (
	"strings"
	"testing"

	"hlplay/engine/remote"
	"hlplay/modules/preflight"
)

func TestJudge(t *testing.T) {
	node := func(host string, change func(*Node)) Node {
		n := Node{Host: host, Address: "192.168.1.1", Packages: map[string]string{"pve-manager": "9.0.3", "proxmox-ve": "9.0.0", "ceph": "19.2.3"}, Web: Web{Status: 200}}
		if change != nil {
			change(&n)
		}
		return n
	}
	link := Measurement{From: "pve1", To: "pve2", Address: "10.0.0.2", Speed: 10000, Single: 9000, Several: 9400, Streams: 4}
	slow := link
	slow.Single, slow.Several = 3900, 7900
	refused := Measurement{From: "pve1", To: "pve2", Address: "10.0.0.2", Problem: "high availability is armed"}
	for _, test := range []struct {
		name     string
		third    func(*Node)
		measured []Measurement
		want     []string
	}{
		{name: "nothing", measured: []Measurement{link}},
		{name: "an older version", third: func(n *Node) { n.Packages["pve-manager"] = "9.0.1" }, want: []string{"pve3 versions: pve-manager is 9.0.1, but 9.0.3 on most nodes"}},
		{name: "no Ceph", third: func(n *Node) { delete(n.Packages, "ceph") }},
		{name: "no Ceph where it is declared", third: func(n *Node) { delete(n.Packages, "ceph"); n.CephDeclared = true }, want: []string{"pve3 ceph: Ceph is not installed, but on other nodes, and the inventory has a ceph_address or osd_devices for this one"}},
		{name: "an older Ceph", third: func(n *Node) { n.Packages["ceph"] = "18.2.4" }, want: []string{"pve3 ceph: ceph is 18.2.4, but 19.2.3 on most nodes"}},
		{name: "no metapackage", third: func(n *Node) { delete(n.Packages, "proxmox-ve") }, want: []string{"pve3 versions: proxmox-ve is not installed, but 9.0.0 on other nodes"}},
		{name: "no Proxmox VE", third: func(n *Node) { n.Packages = nil }, want: []string{"pve3 versions: Proxmox VE is not installed"}},
		{name: "units", third: func(n *Node) { n.Failed = []string{"a.service", "b.mount"} }, want: []string{"pve3 units: a.service has failed", "pve3 units: b.mount has failed"}},
		{name: "web", third: func(n *Node) { n.Web = Web{Problem: "no answer"} }, want: []string{"pve3 web: https://192.168.1.1:8006/ does not work from the controller: no answer"}},
		{name: "no ping", third: func(n *Node) { n.NoPing = true }, want: []string{"pve3 paths: ping is missing, so the paths to the others were not tested"}},
		{name: "a hop of 1500", third: func(n *Node) { n.Paths = []preflight.Path{{To: "pve1", Address: "10.0.0.1", Size: 9000, Cut: true}} }, want: []string{"pve3 mtu: packets of 9000 bytes to pve1 (10.0.0.1) are lost, but small ones are not"}},
		{name: "unread", third: func(n *Node) { *n = Node{Host: "pve3", Unread: "no route"} }, want: []string{"pve3 host: it cannot be read: no route"}},
		{name: "slow", measured: []Measurement{slow}, want: []string{"pve1 throughput: one stream to pve2 (10.0.0.2) carried 3900 Mbit/s, 39% of 10000 Mbit/s, expected at least 40%",
			"pve1 throughput: 4 streams to pve2 (10.0.0.2) carried 7900 Mbit/s, 79% of 10000 Mbit/s, expected at least 80%"}},
		{name: "refused", measured: []Measurement{refused, refused}, want: []string{"pve1 throughput: not measured to pve2 (10.0.0.2), pve2 (10.0.0.2): high availability is armed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Judge([]Node{node("pve1", nil), node("pve2", nil), node("pve3", test.third)}, test.measured, Floors{Single: 40, Several: 80})
			var got []string
			for _, f := range r.Findings {
				got = append(got, f.Host+" "+f.About+": "+f.Problem)
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("it finds\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if r.Stops() != (len(test.want) > 0) {
				t.Errorf("Stops is %v", r.Stops())
			}
		})
	}
}

// Nodes without Ceph do not make those right that have it in two versions, and none has to have it before Ceph is set up.
func TestCephOfSomeNodes(t *testing.T) {
	node := func(host, ceph string) Node {
		n := Node{Host: host, CephDeclared: ceph != "none", Packages: map[string]string{"pve-manager": "9.0.3", "proxmox-ve": "9.0.0"}, Web: Web{Status: 200}}
		if ceph != "none" && ceph != "" {
			n.Packages["ceph"] = ceph
		}
		return n
	}
	for name, test := range map[string]struct {
		nodes []Node
		want  string // the hosts with a finding
	}{
		"two versions":   {nodes: []Node{node("pve1", "19.2.1"), node("pve2", "19.2.3"), node("pve3", "19.2.3"), node("pve4", "none"), node("pve5", "none"), node("pve6", "none")}, want: "pve1"},
		"not set up yet": {nodes: []Node{node("pve1", ""), node("pve2", ""), node("pve3", "none")}},
		"one is missing": {nodes: []Node{node("pve1", "19.2.3"), node("pve2", ""), node("pve3", "none")}, want: "pve2"},
	} {
		var got []string
		for _, f := range Judge(test.nodes, nil, Floors{}).Findings {
			got = append(got, f.Host)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: it finds something on %q, want %q", name, got, test.want)
		}
	}
}

// The cell of what is wrong is marked, and no other one.
func TestPrintMarks(t *testing.T) {
	node := func(host, ceph string) Node {
		return Node{Host: host, Packages: map[string]string{"pve-manager": "9.0.3", "proxmox-ve": "9.0.0", "ceph": ceph}, Web: Web{Status: 200}}
	}
	var out strings.Builder
	if err := Print(&out, Judge([]Node{node("pve1", "19.2.3"), node("pve2", "19.2.3"), node("pve3", "19.2.1")}, nil, Floors{})); err != nil {
		t.Fatal(err)
	}
	if row := "pve3  9.0.3  19.2.1!  none failed  200"; !strings.Contains(out.String(), row) {
		t.Errorf("it prints no row %q:\n%s", row, &out)
	}
}

func TestFailedUnits(t *testing.T) {
	// The output of systemd 252.
	got, err := parseFailed(remote.Answer{Stdout: []byte("broken.service loaded failed failed broken.service\nsrv.mount loaded failed failed /srv\n")})
	if err != nil || strings.Join(got, " ") != "broken.service srv.mount" {
		t.Errorf("the failed units are %q, %v", got, err)
	}
	if _, err := parseFailed(remote.Answer{Exit: 1, Stderr: []byte("Failed to connect to bus\n")}); err == nil {
		t.Error("systemd that does not answer has no failed units")
	}
}
