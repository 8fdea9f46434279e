package preflight

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hlplay/engine/remote"
)

// pair returns two machines without any problem.
func pair() []Machine {
	machine := func(name, address, other, otherName string) Machine {
		return Machine{
			Host: name, Address: address, Addresses: []string{address}, OSDs: 2,
			Hostname: name, Resolved: []string{address}, Release: "trixie", Architecture: "x86_64", MachineID: name,
			Within: 0.001, CPUs: 8, KVM: true, Memory: 64 * gib, Disks: 3, Blank: 2,
			Links: []Link{{Name: "ens18", Addresses: []string{address + "/24"}, MTU: 9000, Speed: 10_000}},
			Paths: []Path{{To: otherName, Address: other, Size: 9000, Latency: 0.2}},
		}
	}
	return []Machine{machine("pve1", "192.0.2.1", "192.0.2.2", "pve2"), machine("pve2", "192.0.2.2", "192.0.2.1", "pve1")}
}

func TestJudge(t *testing.T) {
	if r := Judge(pair()); len(r.Findings) > 0 || r.Stops() {
		t.Fatalf("nothing is wrong, but: %+v", r.Findings)
	}
	for _, test := range []struct {
		name   string
		change func(m *Machine) // of pve2
		about  string
		stops  bool
		want   string
	}{
		{"cannot be read", func(m *Machine) { m.Unread = "no route" }, aboutHost, true, "it cannot be read: no route"},
		{"another name", func(m *Machine) { m.Hostname = "debian" }, aboutName, true, "its host name is debian"},
		{"a name as an address", func(m *Machine) { m.Address = "pve2.lan" }, aboutName, true, "is a name"},
		{"the installer's line", func(m *Machine) { m.Resolved = []string{"127.0.1.1", "192.0.2.2"} }, aboutResolve, false, "resolves to 127.0.1.1, 192.0.2.2"},
		{"a name that does not resolve", func(m *Machine) { m.Resolved = nil }, aboutResolve, false, "resolves to nothing"},
		{"an old release", func(m *Machine) { m.Release = "bullseye" }, aboutRelease, true, `it runs "bullseye"`},
		{"another release", func(m *Machine) { m.Release = "bookworm" }, aboutRelease, true, "pve1 runs trixie"},
		{"another architecture", func(m *Machine) { m.Architecture = "aarch64" }, aboutCPU, true, "it is aarch64"},
		{"a clone", func(m *Machine) { m.MachineID = "pve1" }, aboutID, true, "it has the same machine id as pve1"},
		{"a clock ahead", func(m *Machine) { m.Ahead = 90 }, aboutClock, true, "90.0 s ahead of the clock of pve1"},
		{"no virtualization", func(m *Machine) { m.KVM = false }, aboutCPU, true, "has no virtualization enabled"},
		{"few processors", func(m *Machine) { m.CPUs = 2 }, aboutCPU, false, "2 logical processors for 2 OSDs"},
		{"little memory", func(m *Machine) { m.Memory = 8 * gib }, aboutMemory, false, "the system and 2 OSDs need 10 GiB"},
		{"a slow card", func(m *Machine) { m.Links[0].Speed = 1000 }, aboutNIC, false, "ens18 runs at 1000 Mbit/s"},
		{"fewer disks", func(m *Machine) { m.Disks = 1 }, aboutDisks, true, "assigns 2 disks to Ceph, but the host has 1"},
		{"other firmware", func(m *Machine) { m.EFI = true }, aboutFirmware, false, "it boots with EFI, but pve1 with BIOS"},
		{"no answer", func(m *Machine) { m.Paths[0].Lost = true }, aboutPaths, true, "pve1 (192.0.2.1) does not answer"},
		{"no ping", func(m *Machine) { m.NoPing, m.Paths = true, nil }, aboutPaths, false, "ping is missing"},
		{"far away", func(m *Machine) { m.Paths[0].Latency = 30 }, aboutPaths, false, "answers after 30.0 ms"},
		{"a hop of 1500", func(m *Machine) { m.Paths[0].Cut = true }, aboutMTU, true, "packets of 9000 bytes to pve1 (192.0.2.1) are lost, but small ones are not"},
		{"another MTU", func(m *Machine) { m.Links[0].MTU = 1500 }, aboutMTU, true, "ens18 has MTU 1500, but pve1 has 9000 in the same network"},
		{"a port taken", func(m *Machine) { m.Taken = []Socket{{"tcp", 6789, "nginx"}} }, aboutPorts, true, "nginx uses port 6789 (tcp), which Ceph needs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			machines := pair()
			test.change(&machines[1])
			r := Judge(machines)
			if len(r.Findings) != 1 {
				t.Fatalf("the findings are %+v, expected one", r.Findings)
			}
			f := r.Findings[0]
			if f.Host != "pve2" || f.About != test.about || f.Stops != test.stops || !strings.Contains(f.Problem, test.want) || f.Mend == "" || r.Stops() != test.stops {
				t.Errorf("the finding is %+v, expected one about %s of pve2 with %q", f, test.about, test.want)
			}
		})
	}
}

func TestParsePing(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer remote.Answer
		want   ping
		err    string
	}{
		{"answered", remote.Answer{Stdout: []byte("PING 127.0.0.1 (127.0.0.1) 1472(1500) bytes of data.\n\n--- 127.0.0.1 ping statistics ---\n2 packets transmitted, 2 received, 0% packet loss, time 214ms\nrtt min/avg/max/mdev = 0.051/0.073/0.096/0.022 ms\n")}, ping{Answered: true, Mean: 0.073}, ""},
		{"lost", remote.Answer{Exit: 1, Stdout: []byte("2 packets transmitted, 0 received, 100% packet loss, time 208ms\n\n")}, ping{}, ""},
		{"no route", remote.Answer{Exit: 2, Stderr: []byte("ping: connect: Network is unreachable\n")}, ping{}, ""},
		{"no ping", remote.Answer{Exit: 127, Stderr: []byte("sh: 1: ping: not found\n")}, ping{Missing: true}, ""},
		{"may not", remote.Answer{Exit: 2, Stderr: []byte("ping: socktype: SOCK_RAW: Operation not permitted\n")}, ping{}, "Operation not permitted"},
	} {
		got, err := parsePing(test.answer)
		if got != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %+v, %v; expected %+v, %q", test.name, got, err, test.want, test.err)
		}
	}
}

// The lines were printed by iproute2 6.1.
func TestParseSockets(t *testing.T) {
	all, err := parseSockets(remote.Answer{Stdout: []byte(`udp   UNCONN 0      0          10.0.0.1:5405      0.0.0.0:*    users:(("corosync",pid=900,fd=12))
tcp   LISTEN 0      4096         0.0.0.0:6789      0.0.0.0:*    users:(("nginx",pid=812,fd=5),("nginx",pid=811,fd=5))
tcp   LISTEN 0      4096            [::]:6789         [::]:*    users:(("nginx",pid=812,fd=6))
tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*
`)})
	want := []Socket{{"udp", 5405, "corosync"}, {"tcp", 6789, "nginx"}, {"tcp", 22, ""}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("the sockets are %v (%v), expected %v", all, err, want)
	}
	if foreign := slices.DeleteFunc(all, func(s Socket) bool { return !s.foreign() }); !slices.Equal(foreign, want[1:2]) {
		t.Errorf("foreign are %v, expected nginx's alone", foreign)
	}
	for _, bad := range []remote.Answer{{Exit: 127}, {Stdout: []byte("Netid State\n")}, {Stdout: []byte("tcp LISTEN 0 0 0.0.0.0:http 0.0.0.0:*\n")}} {
		if all, err := parseSockets(bad); err == nil {
			t.Errorf("%+v is taken for %v", bad, all)
		}
	}
}

func TestParseClock(t *testing.T) {
	if there, err := parseClock(remote.Answer{Stdout: []byte("4500000000\n")}); err != nil || !there.Equal(time.Unix(4, 5e8)) {
		t.Errorf("the clock says %v (%v)", there, err)
	}
	for _, bad := range []remote.Answer{{}, {Stdout: []byte("1700000000%N\n")}, {Exit: 127}} {
		if there, err := parseClock(bad); err == nil {
			t.Errorf("%+v is taken for %v", bad, there)
		}
	}
}
