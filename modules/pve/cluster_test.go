package pve

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

const membersFile = `{
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

const corosyncFile = `logging {
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
	inCluster := []remote.Answer{text("mounted\nauthkey\ncertificate\n"), text(membersFile), text(corosyncFile)}
	members := map[string]Member{
		"pve1": {ID: 1, Votes: 1, Online: true, Links: links("10.77.0.11", "10.78.0.11")},
		"pve2": {ID: 2, Votes: 2, Online: true, Links: links("10.77.0.12", "10.78.0.12")},
		"pve3": {ID: 3, Votes: 1, Links: links("10.77.0.13", "10.78.0.13")},
	}
	hung := remote.Answer{Exit: 124}
	away := remote.Answer{Stderr: []byte("cat: /etc/pve/.members: Transport endpoint is not connected\n"), Exit: 1}
	tests := []struct {
		name    string
		answers []remote.Answer
		want    Cluster
		err     string
	}{
		{"no Proxmox VE", []remote.Answer{text(""), missing("/etc/pve/.members"), missing("/etc/pve/corosync.conf")}, Cluster{}, ""},
		{"standalone is always quorate", []remote.Answer{text("mounted\ncertificate\n"), text("{\n\"nodename\": \"pve1\",\n\"version\": 1\n}\n"), missing("/etc/pve/corosync.conf")},
			Cluster{Mounted: true, Quorate: true, Certificate: true}, ""},
		{"left-over key", []remote.Answer{text("mounted\nauthkey\n"), text("{ \"nodename\": \"pve1\", \"version\": 1 }"), missing("/etc/pve/corosync.conf")},
			Cluster{Mounted: true, Quorate: true, AuthKey: true}, ""},
		{"member", inCluster, Cluster{Mounted: true, Name: "lab", ConfigVersion: 3, Quorate: true, AuthKey: true, Certificate: true, Members: members}, ""},
		{"no quorum", []remote.Answer{text("mounted"), text(strings.Replace(membersFile, `"quorate": 1`, `"quorate": 0`, 1)), text(corosyncFile)},
			Cluster{Mounted: true, Name: "lab", ConfigVersion: 3, Members: members}, ""},
		{"pmxcfs restarts", []remote.Answer{text("authkey\n"), away, away}, Cluster{AuthKey: true}, ""},
		{"pmxcfs hangs", []remote.Answer{text("mounted\n"), hung, hung}, Cluster{}, ""},
		{"half a file", []remote.Answer{text("mounted"), text(membersFile), text("totem {\n cluster_name: lab\n")}, Cluster{}, "corosync.conf"},
		{"unreadable", []remote.Answer{text("mounted"), {Exit: 1, Stderr: []byte("cat: /etc/pve/.members: Permission denied\n")}, text("")}, Cluster{}, "Permission denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseCluster(test.answers)
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
	release := "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_CODENAME=trixie\n"
	tests := []struct {
		name, uname, release, dpkg string
		want                       Node
		major                      int
		err                        string
	}{
		{"bare", "pve1.example.org\n", release, "", Node{Name: "pve1", Codename: "trixie"}, 9, ""},
		{"nine", "pve1\n", release, "install ok installed\t9.2.11\n", Node{Name: "pve1", Codename: "trixie", Installed: true, Version: "9.2.11"}, 9, ""},
		{"eight", "n\n", "VERSION_CODENAME='bookworm'\n", "install ok installed\t8.4.1\n", Node{Name: "n", Codename: "bookworm", Installed: true, Version: "8.4.1"}, 8, ""},
		{"removed", "n\n", "VERSION_CODENAME=bookworm\n", "deinstall ok config-files\t8.4.1\n", Node{Name: "n", Codename: "bookworm"}, 8, ""},
		{"half-configured", "n\n", release, "install ok half-configured\t9.2.11\n", Node{Name: "n", Codename: "trixie"}, 9, ""},
		{"seven", "n\n", "VERSION_CODENAME=bullseye\n", "install ok installed\t7.4-20\n", Node{Name: "n", Codename: "bullseye", Installed: true, Version: "7.4-20"}, 0, "knows versions 8 and 9"},
		{"other Debian", "n\n", "VERSION_CODENAME=forky\n", "", Node{Name: "n", Codename: "forky"}, 0, "bookworm"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseNode([]remote.Answer{text(test.uname), text(test.release), text(test.dpkg)})
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

	config := parseGuestConfig([]byte("/etc/pve/nodes/pve2/qemu-server/100.conf\n#a remark: with a colon\ncores: 2\nname: sso\nscsi0: vm-disks:vm-100-disk-0,size=32G\n\n[before]\nname: old\n"))
	wantConfig := GuestConfig{Exists: true, Guest: Guest{"pve2", "qemu"}, Options: map[string]string{
		"cores": "2", "name": "sso", "scsi0": "vm-disks:vm-100-disk-0,size=32G",
	}}
	if diff := cmp.Diff(wantConfig, config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if parseGuestConfig(nil).Exists {
		t.Error("no output is read as a guest")
	}
}

func FuzzClusterFiles(f *testing.F) {
	f.Add([]byte(membersFile), []byte(corosyncFile))
	f.Add([]byte("{}"), []byte("totem { cluster_name: x config_version: 1 } nodelist { node { nodeid: 1 ring0_addr: a } }"))
	f.Add([]byte(""), []byte("a { b { } "))
	f.Fuzz(func(t *testing.T, members, conf []byte) {
		c, err := parseCluster([]remote.Answer{text("mounted"), {Stdout: members}, {Stdout: conf}})
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
