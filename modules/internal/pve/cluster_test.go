package pve

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

const membersText = `{
"nodename": "pve1",
"version": 6,
"cluster": { "name": "lab", "version": 3, "nodes": 3, "quorate": 1 },
"nodelist": {
  "pve1": { "id": 1, "online": 1, "ip": "10.77.0.11"},
  "pve2": { "id": 2, "online": 1, "ip": "10.77.0.12"},
  "pve3": { "id": 3, "online": 0}
  }
}
`

const corosyncText = `logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: pve1   # the founder
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.77.0.11
    ring1_addr: 10.78.0.11
  }
  node {
    name: pve2
    nodeid: 2
    quorum_votes: 2
    ring0_addr: 10.77.0.12
    ring1_addr: 10.78.0.12
  }
  node {
    name: pve3
    nodeid: 3
    quorum_votes: 1
    ring0_addr: 10.77.0.13
    ring1_addr: 10.78.0.13
  }
}

quorum {
  provider: corosync_votequorum
}

totem {
  cluster_name: lab
  config_version: 3
  interface {
    knet_link_priority: 20
    linknumber: 0
  }
  interface {
    linknumber: 1
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  token_coefficient: 125
  version: 2
}

`

func links(a, b string) map[int]string { return map[int]string{0: a, 1: b} }

func TestClusters(t *testing.T) {
	members := map[string]Member{
		"pve1": {ID: 1, Votes: 1, Online: true, Links: links("10.77.0.11", "10.78.0.11")},
		"pve2": {ID: 2, Votes: 2, Online: true, Links: links("10.77.0.12", "10.78.0.12")},
		"pve3": {ID: 3, Votes: 1, Links: links("10.77.0.13", "10.78.0.13")},
	}
	standalone := map[string]string{membersFile: "{\n\"nodename\": \"pve1\",\n\"version\": 1\n}\n"}
	inCluster := map[string]string{membersFile: membersText, corosyncFile: corosyncText}
	hung := clusterAnswer([]string{authKey, LocalLink}, inCluster)
	hung.Exit = 124
	away := remote.Answer{Stdout: []byte(authKey + "\n"), Exit: 2}
	for _, path := range filesQuery.Args {
		away.Stderr = append(away.Stderr, "grep: "+path+": Transport endpoint is not connected\n"...)
	}
	denied := clusterAnswer([]string{LocalLink}, inCluster)
	denied.Stderr = append(denied.Stderr, "grep: /etc/pve/.members: Permission denied\n"...)
	tests := []struct {
		name   string
		answer remote.Answer
		want   Cluster
		err    string
	}{
		{"no Proxmox VE", clusterAnswer(nil, nil), Cluster{}, ""},
		{"standalone is always quorate", clusterAnswer([]string{LocalLink, localKey}, standalone), Cluster{Mounted: true, Quorate: true, Certificate: true}, ""},
		{"left-over key", clusterAnswer([]string{authKey, LocalLink}, standalone), Cluster{Mounted: true, Quorate: true, AuthKey: true}, ""},
		{"member", clusterAnswer([]string{authKey, LocalLink, localKey}, inCluster),
			Cluster{Mounted: true, Name: "lab", ConfigVersion: 3, Quorate: true, AuthKey: true, Certificate: true, Members: members}, ""},
		{"no quorum", clusterAnswer([]string{LocalLink}, map[string]string{membersFile: strings.Replace(membersText, `"quorate": 1`, `"quorate": 0`, 1), corosyncFile: corosyncText}),
			Cluster{Mounted: true, Name: "lab", ConfigVersion: 3, Members: members}, ""},
		{"pmxcfs restarts", away, Cluster{AuthKey: true}, ""},
		{"pmxcfs hangs", hung, Cluster{AuthKey: true}, ""},
		{"half a file", clusterAnswer([]string{LocalLink}, map[string]string{membersFile: membersText, corosyncFile: "totem {\n cluster_name: lab\n"}), Cluster{}, "corosync.conf"},
		{"unreadable", denied, Cluster{}, "Permission denied"},
		{"no grep", remote.Answer{Exit: 127, Stderr: []byte("sh: 4: exec: grep: not found\n")}, Cluster{}, "grep: not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseCluster(ParseFiles(test.answer))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one that mentions %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWithTakesTheLowestFreeID(t *testing.T) {
	before := Cluster{ConfigVersion: 4, Members: map[string]Member{"a": {ID: 1}, "c": {ID: 3}}}
	after := before.With("b", Member{Votes: 1})
	if got := after.Members["b"].ID; got != 2 {
		t.Errorf("id %d, want 2", got)
	}
	if len(before.Members) != 2 || after.ConfigVersion != 5 {
		t.Errorf("before has %d members, after is version %d; want 2 and 5", len(before.Members), after.ConfigVersion)
	}
}

func TestNodesAndMajor(t *testing.T) {
	tests := []struct {
		name, answer string
		want         Node
		major        int
		err          string
	}{
		{"bare", "name pve1\ncodename trixie\n", Node{Name: "pve1", Codename: "trixie"}, 9, ""},
		{"nine", "name pve1\ncodename trixie\npackage pve-manager 9.2.11 install ok installed\n", Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}, 9, ""},
		{"eight", "name n\ncodename 'bookworm'\npackage pve-manager 8.4.1 install ok installed\n", Node{Name: "n", Codename: "bookworm", Installed: true, Version: "8.4.1"}, 8, ""},
		{"removed", "name n\ncodename bookworm\npackage pve-manager 8.4.1 deinstall ok config-files\n", Node{Name: "n", Codename: "bookworm"}, 8, ""},
		{"known and not installed", "name n\ncodename bookworm\npackage pve-manager  unknown ok not-installed\n", Node{Name: "n", Codename: "bookworm"}, 8, ""},
		{"half-configured", "name n\ncodename trixie\npackage pve-manager 9.2.11 install ok half-configured\n", Node{Name: "n", Codename: "trixie"}, 9, ""},
		{"seven", "name n\ncodename bullseye\npackage pve-manager 7.4-20 install ok installed\n", Node{Name: "n", Codename: "bullseye", Installed: true, Version: "7.4-20"}, 0, "knows versions 8 and 9"},
		{"other Debian", "name n\ncodename forky\n", Node{Name: "n", Codename: "forky"}, 0, "bookworm"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseNode(text(test.answer))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			major, err := Major(context.Background(), observe.NewRecorded("n", Nodes.Expect("", got)))
			if major != test.major || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("major %d, %v; want %d and an error with %q", major, err, test.major, test.err)
			}
		})
	}
}

// The sample configuration in Debian's corosync package has no version. A node without an id is reported by name.
func TestCorosyncWithoutAVersion(t *testing.T) {
	sample := "totem {\n\tversion: 2\n\tcluster_name: debian\n\tcrypto_cipher: none\n\tcrypto_hash: none\n}\nquorum {\n\tprovider: corosync_votequorum\n}\nnodelist {\n\tnode {\n\t\t# a comment\n\t\tname: node1\n\t\tnodeid: 1\n\t\tring0_addr: 127.0.0.1\n\t}\n}\n"
	conf, err := parseCorosync([]byte(sample))
	if err != nil || conf.name != "debian" || conf.version != 0 || conf.nodes["node1"].ID != 1 {
		t.Errorf("%+v, %v; want cluster debian of node1, version 0", conf, err)
	}
	if _, err := parseCorosync([]byte(strings.Replace(sample, "nodeid: 1", "", 1))); err == nil || !strings.Contains(err.Error(), `node "node1" has no nodeid`) {
		t.Errorf("%v, want it said that the node has no id", err)
	}
	if _, err := parseCorosync([]byte(strings.Replace(sample, "version: 2", "config_version: x", 1))); err == nil || !strings.Contains(err.Error(), `"x" is not a number`) {
		t.Errorf("%v, want it said that x is no number", err)
	}
}

// A QDevice without a votes setting, which is how pvecm sets it up for an odd number of nodes, has one vote fewer than
// there are nodes.
func TestQDeviceInCorosyncConf(t *testing.T) {
	conf := "totem {\n  cluster_name: lab\n}\nnodelist {\n  node {\n    name: a\n    nodeid: 1\n  }\n  node {\n    name: b\n    nodeid: 2\n  }\n  node {\n    name: c\n    nodeid: 3\n  }\n}\n" +
		"quorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 10.0.0.9\n      tls: on\n    }\n    votes: 1\n  }\n  provider: corosync_votequorum\n}\n"
	for votes, want := range map[string]int{"    votes: 1\n": 1, "": 2} {
		c, err := parseCorosync([]byte(strings.Replace(conf, "    votes: 1\n", votes, 1)))
		if err != nil || c.device != "10.0.0.9" || c.deviceVotes != want {
			t.Errorf("a QDevice on %q with %d votes (%v), want one on 10.0.0.9 with %d", c.device, c.deviceVotes, err, want)
		}
	}
}

// The lines are from the example in Proxmox's documentation, with the headings of corosync-quorumtool -s.
func TestQDeviceState(t *testing.T) {
	const head = "Flags:            Quorate Qdevice \n\nMembership information\n----------------------\n    Nodeid      Votes    Qdevice Name\n"
	for _, test := range []struct {
		text string
		want QDevice
	}{
		{"", QDevice{}},
		{"certificates\nMembership information\n----------------------\n    Nodeid      Votes Name\n         1          1 pve1 (local)\n", QDevice{Certificates: true}},
		{"certificates\n" + head + "         1          1    A,V,NMW pve1 (local)\n         2          1         NR pve2\n         0          1            Qdevice\n", QDevice{true, true, true, true}},
		{head + "         1          1    A,V,NMW pve1\n         2          1  NA,NV,NMW pve2 (local)\n         0          0            Qdevice (votes 1)\n", QDevice{Registered: true}},
		{head + "         1          1   A,NV,NMW pve1 (local)\n", QDevice{Registered: true, Alive: true}},
		{head + "         1          1         NR pve1 (local)\n", QDevice{}},
	} {
		if got := parseQDevice(test.text); got != test.want {
			t.Errorf("%+v, want %+v, in\n%s", got, test.want, test.text)
		}
	}
}

// Without quorum, the recorded file still says who is online, and that nothing can be written.
func TestMembersWithoutQuorum(t *testing.T) {
	members, _, _ := strings.Cut(string(modulestest.Recorded(t, "members.no-quorum.txt").Stdout), "Cluster information")
	live, err := parseMembers([]byte(members))
	if err != nil || live.Cluster.Name != "dream" || live.Cluster.Quorate != 0 || live.Nodes["pve2"].Online != 1 || live.Nodes["pve3"].Online != 0 {
		t.Errorf("%+v, %v", live, err)
	}
}

func TestGuests(t *testing.T) {
	got, err := parseGuests([]byte(`{ "version": 4, "ids": { "100": { "node": "pve1", "type": "qemu", "version": 3 }, "101": { "node": "pve2", "type": "lxc", "version": 1 } } }`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]Guest{100: {"pve1", "qemu"}, 101: {"pve2", "lxc"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if none, err := parseGuests([]byte("{ \"version\": 1 }\n")); err != nil || len(none) != 0 {
		t.Errorf("without ids: %v, %v; want none", none, err)
	}

	config := parseGuestConfig([]byte("/etc/pve/nodes/pve2/qemu-server/100.conf\n#hello%3A world %C3%A4%C3%B6%C3%BC %2520 #1\n#  a second line\ncores: 2\nname: sso\nscsi0: vm-disks:vm-100-disk-0,size=32G\n\n[before]\nname: old\n"))
	wantConfig := GuestConfig{Exists: true, Guest: Guest{"pve2", "qemu"}, Options: map[string]string{
		"cores": "2", "name": "sso", "scsi0": "vm-disks:vm-100-disk-0,size=32G", "description": "hello: world äöü %20 #1\n  a second line",
	}, File: "/etc/pve/nodes/pve2/qemu-server/100.conf", Digest: "0a004272b7acbef356305c19fcc52cd770204416"}
	if diff := cmp.Diff(wantConfig, config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if parseGuestConfig(nil).Exists {
		t.Error("no output is read as a guest")
	}
}

func FuzzClusterFiles(f *testing.F) {
	f.Add([]byte(membersText), []byte(corosyncText))
	f.Add([]byte("{}"), []byte("totem { cluster_name: x config_version: 1 } nodelist { node { nodeid: 1 ring0_addr: a } }"))
	f.Add([]byte(""), []byte("a { b { } "))
	f.Fuzz(func(t *testing.T, members, conf []byte) {
		c, err := parseCluster(ParseFiles(clusterAnswer([]string{LocalLink}, map[string]string{membersFile: string(members), corosyncFile: string(conf)})))
		if err == nil && c.Mounted && c.Name == "" {
			t.Error("a node with a corosync.conf is taken for standalone")
		}
	})
}

func FuzzGuests(f *testing.F) {
	f.Add([]byte(`{"ids":{"100":{"node":"pve1","type":"qemu"}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if guests, err := parseGuests(content); err == nil && guests == nil {
			t.Error("no map although there is no error")
		}
		parseGuestConfig(content)
	})
}
