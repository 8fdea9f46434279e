package proxmox

import (
	"strings"
	"testing"
	"time"
)

// qdeviceLab is a cluster and one more machine, which has corosync-qnetd and no Proxmox VE cluster.
func qdeviceLab(t *testing.T, nodes int) (l *testLab, witness string) {
	l = newLab(t, labOptions{count: nodes + 1})
	l.form("lab", nodes)
	witness = "pve" + string(rune('1'+nodes))
	l.install(witness, "corosync-qnetd")
	for i := range nodes {
		l.install("pve"+string(rune('1'+i)), "corosync-qdevice")
	}
	return l, l.address(witness)
}

// install installs a Debian package.
func (l *testLab) install(node, name string) {
	l.t.Helper()
	for _, p := range l.world.qdevicePackages("trixie") {
		if p.Name == name {
			if err := l.nodes[node].Packages().Put(p); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

// The format is that of the example in Proxmox's documentation (pvecm.adoc, QDevice status flags).
func TestQDevice(t *testing.T) {
	l, witness := qdeviceLab(t, 2)
	l.trust("pve1", "pve3", true)
	l.ok("pve1", "pvecm", "qdevice", "setup", witness)
	l.clock.Advance(qdeviceDelay)
	want := "Flags:            Quorate Qdevice \n\nMembership information\n----------------------\n" +
		"    Nodeid      Votes    Qdevice Name\n" +
		"0x00000001          1    A,V,NMW 10.77.0.11 (local)\n" +
		"0x00000002          1    A,V,NMW 10.77.0.12\n" +
		"0x00000000          1            Qdevice\n"
	if got := l.ok("pve1", "pvecm", "status"); !strings.Contains(got, want) || !strings.Contains(got, "Expected votes:   3\n") {
		t.Errorf("with a QDevice pvecm status is\n%s", got)
	}
	if got := l.read("pve2", "/etc/corosync/corosync.conf"); !strings.Contains(got, "quorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 10.77.0.13\n      tls: on\n    }\n    votes: 1\n  }\n  provider:") {
		t.Errorf("corosync.conf has\n%s", got)
	}
	if got := l.run("pve1", "", "pvecm", "qdevice", "setup", witness); got.code == 0 || got.stderr != "QDevice already configured!\n" {
		t.Errorf("a second setup: %+v", got)
	}
	// One node and the device have a quorum; one node without the device does not.
	l.off("pve2")
	if got := l.run("pve1", "", "pvecm", "status"); got.code != 0 {
		t.Errorf("with the device one of two nodes is no quorum:\n%s", got.stdout)
	}
	if got := l.run("pve1", "", "pvecm", "qdevice", "remove"); got.code == 0 || got.stderr != "All nodes must be online! Node pve2 is offline, aborting.\n" {
		t.Errorf("removing it with a node off: %+v", got)
	}
	_ = l.nodes["pve3"].Units().Stop("corosync-qnetd.service")
	if got := l.run("pve1", "", "pvecm", "status"); got.code != exitENOENT || !strings.Contains(got.stdout, "0x00000000          0            Qdevice (votes 1)\n") || !strings.Contains(got.stdout, "NA,NV,NMW 10.77.0.11 (local)") {
		t.Errorf("without corosync-qnetd: %d\n%s", got.code, got.stdout)
	}
	l.nodes["pve2"].PowerOn()
	l.clock.Advance(time.Minute)
	if got := l.ok("pve2", "pvecm", "qdevice", "remove"); !strings.HasSuffix(got, "\nRemoved Qdevice.\n") {
		t.Errorf("removal prints %q", got)
	}
	if got := l.run("pve2", "", "pvecm", "qdevice", "remove"); got.code == 0 || got.stderr != "No QDevice configured!\n" {
		t.Errorf("a second removal: %+v", got)
	}
	if got := l.ok("pve1", "pvecm", "status"); !strings.Contains(got, "Expected votes:   2\n") || strings.Contains(got, "Qdevice") {
		t.Errorf("after the removal:\n%s", got)
	}
}

func TestQDeviceRefusals(t *testing.T) {
	l, witness := qdeviceLab(t, 2)
	refused := func(want string, argv ...string) {
		t.Helper()
		if got := l.run("pve1", "", argv...); got.code == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("%q: expected %q, got exit %d and\n%s", argv, want, got.code, got.stderr)
		}
	}
	refused("address: invalid format - value does not look like a valid IP address", "pvecm", "qdevice", "setup", "witness")
	refused("failed: exit code 1", "pvecm", "qdevice", "setup", witness) // root's key is not authorised there
	l.trust("pve1", "pve3", true)
	l.file("pve1", qdeviceStore+"/cert9.db", "")
	refused("QDevice certificate store already initialised, set force to delete!", "pvecm", "qdevice", "setup", witness)
	l.ok("pve1", "pvecm", "qdevice", "setup", witness, "--force")

	l, witness = qdeviceLab(t, 3)
	l.trust("pve1", "pve4", true)
	refused("Clusters with an odd node count are not officially supported!", "pvecm", "qdevice", "setup", witness)
	l.ok("pve1", "pvecm", "qdevice", "setup", witness, "--force")
	l.clock.Advance(qdeviceDelay)
	if got := l.ok("pve1", "pvecm", "status"); !strings.Contains(got, "Expected votes:   5\n") {
		t.Errorf("a forced QDevice of three nodes has two votes:\n%s", got)
	}
}
