//go:build linux && machines

package e2e

import (
	"strings"
	"testing"

	"hlplay/engine/lab/qemu"
)

// TestMachineNetwork sets up a bridge on an 802.3ad bond between two machines with ifupdown2 (G1.13 to G1.17). It also
// makes changes that would cut a machine off, or that the network does not support; the machine itself undoes them.
func TestMachineNetwork(t *testing.T) {
	ms := startMachines(t, qemu.Options{Names: []string{"m1", "m2"}, Cables: []qemu.Cable{{From: "m1", To: "m2"}, {From: "m1", To: "m2"}}})
	m1, m2 := ms.List[0], ms.List[1]
	r := machineRunner(t, ms, map[string]string{"m1": `{ bond = "192.0.2.1/24" }`, "m2": `{ bond = "192.0.2.2/24" }`})

	check := r.run(t, "bond.hcl", "--check")
	check.wantCode(t, "check mode", exitOK)
	first := r.run(t, "bond.hcl")
	first.wantCode(t, "the first run", exitOK)
	for _, m := range ms.List {
		wantOn(t, m, "cat /sys/class/net/bond0/bonding/mode; cat /sys/class/net/bond0/bonding/slaves; cat /sys/class/net/bond0/master/ifindex >/dev/null && basename $(readlink /sys/class/net/bond0/master)", "802.3ad 4\neth1 eth2\nvmbr0")
		wantOn(t, m, "cat /sys/class/net/vmbr0/mtu; ip -o link show dev bond0.20 | grep -c 'vlan\\|bond0.20@bond0'", "1500\n1")
	}
	wantOn(t, m1, "ping -c 1 -w 60 192.0.2.2 >/dev/null && echo heard", "heard")
	second := r.run(t, "bond.hcl")
	second.wantUnchanged(t, "the second run")

	// One cable is cut: the bond keeps working.
	if err := ms.Cut(0); err != nil {
		t.Fatal(err)
	}
	wantOn(t, m1, "ping -c 3 -i 1 -w 60 192.0.2.2 >/dev/null && echo heard", "heard")
	if err := ms.Plug(0); err != nil {
		t.Fatal(err)
	}

	// Jumbo frames are tested between the machines, and undone if a hop does not support them: the test's own bridge.
	// The first machine is tested against what the second supports at that time, the second against both.
	jumbo := r.run(t, "bond.hcl", "-e", "mtu=9000")
	jumbo.wantCode(t, "jumbo frames", exitOK)
	wantOn(t, m1, "cat /sys/class/net/vmbr0/mtu; ping -c 1 -w 60 -M do -s 8972 192.0.2.2 >/dev/null && echo heard", "9000\nheard")
	before := shell(t, m2, "sha256sum /etc/network/interfaces")
	hop := r.run(t, "hop.hcl")
	hop.wantCode(t, "jumbo frames over a hop of 1500", exitFailed)
	if said := hop.failures(); !strings.Contains(said, m1.Address.String()) || !strings.Contains(said, "has undone the change") {
		t.Errorf("the failure does not say who does not hear them, and that the change was undone:\n%s", said)
	}
	wantOn(t, m2, "sha256sum /etc/network/interfaces; cat /sys/class/net/eth0/mtu", before+"\n1500")

	// The machine undoes a change that cuts the connection to the controller.
	cut := r.run(t, "cut.hcl", "--limit", "m2")
	if cut.code != exitFailed && cut.code != exitUnreachable {
		t.Errorf("a change that cuts the machine off ended with %d:\n%s", cut.code, cut.text)
	}
	if said := cut.failures(); !strings.Contains(said, "has undone the change") {
		t.Errorf("the failure does not say that the change was undone:\n%s", said)
	}
	if err := m2.WaitUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := r.run(t, "bond.hcl", "-e", "mtu=9000")
	last.wantUnchanged(t, "the run after all that")

	// The bridge, VLAN and bond are removed again, and the cards remain.
	gone := r.run(t, "gone.hcl")
	gone.wantCode(t, "removing the bond", exitOK)
	for _, m := range ms.List {
		wantOn(t, m, "ls /sys/class/net | tr '\\n' ' '; grep -c -e bond -e vmbr /etc/network/interfaces || true", "bonding_masters eth0 eth1 eth2 lo 0")
	}
	again := r.run(t, "gone.hcl")
	again.wantUnchanged(t, "removing it once more")
	t.Logf("first run: %s", first.summary())
}
