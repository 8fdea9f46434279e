//go:build linux && e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// TestWireGuard runs playbooks/overlay.hcl with Debian's wg and wg-quick on real nodes, with wireguard-go, which wg-quick
// uses where the kernel has no WireGuard: hosts are added without a restart, the network is up again after a boot, and one
// that is too slow for corosync is refused.
func TestWireGuard(t *testing.T) {
	onBothReleases(t, testWireGuard)
}

func testWireGuard(t *testing.T, suite string) {
	n := startNodesWith(t, nspawn.Options{Suite: suite, Packages: overlayPackages, Devices: []string{"/dev/net/tun"}})
	r := newRunner(t, n, nspawn.Root)
	overlayAddresses(t, r, n)
	first, second, third := n.List[0], n.List[1], n.List[2]
	// The test's own machine may be busy, so only the last run says how long a round trip may take.
	run := func(hosts string, more ...string) outcome {
		t.Helper()
		return r.run(t, "../../playbooks/overlay.hcl", append([]string{"-e", "overlay_latency=60000", "-e", "overlay_hosts=" + hosts}, more...)...)
	}
	pings := func(from *nspawn.Node, to string) {
		t.Helper()
		wantOn(t, from, "ping -n -q -c 3 -i 0.2 -W 5 -M do -s 1392 "+to+" | grep -o ' 0% packet loss'", " 0% packet loss")
	}
	process := func() string { return shell(t, first, "pgrep -x wireguard-go") }

	run("node1,node2", "--check").wantCode(t, "check mode", exitOK)
	wantOn(t, first, "ls /etc/wireguard; ip link show dev wg0 2>/dev/null | wc -l", "0")
	run("node1,node2").wantCode(t, "the first run", exitOK)
	run("node1,node2").wantUnchanged(t, "the second run")
	for _, node := range []*nspawn.Node{first, second} {
		wantOn(t, node, "stat -c '%a %U' /etc/wireguard/*.key /etc/wireguard/wg0.conf | sort -u", "600 root")
		wantOn(t, node, "systemctl show -P Before wg-quick@wg0 | tr ' ' '\\n' | grep -cE '^(corosync.service|pve-cluster.service|ceph.target)$'", "3")
		wantOn(t, node, "systemctl is-enabled wg-quick@wg0; cat /sys/class/net/wg0/mtu; wg show wg0 listen-port", "enabled\n1420\n51820")
	}
	pings(first, "10.42.0.2")
	wantOn(t, first, "wg show wg0 latest-handshakes | awk '{ print ($2 > 0) }'", "1")

	// A third host is added while the tunnel of the others stays up.
	before := process()
	run("node1,node2,node3").wantCode(t, "a third host", exitOK)
	run("node1,node2,node3").wantUnchanged(t, "the run after it")
	pings(first, "10.42.0.3")
	pings(third, "10.42.0.2")
	if after := process(); after != before {
		t.Errorf("the interface was created again when another host was added: process %s, then %s", before, after)
	}

	// A peer that somebody has removed from the kernel comes back.
	shell(t, first, `wg set wg0 peer "$(wg show wg0 peers | head -n 1)" remove`)
	run("node1,node2,node3").wantCode(t, "a peer that is gone", exitOK)
	pings(first, "10.42.0.2")
	pings(first, "10.42.0.3")

	boot, err := third.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shell(t, third, "systemctl --no-block reboot")
	awaitBoot(t, third, boot, "wg-quick@wg0")
	pings(third, "10.42.0.1")
	run("node1,node2,node3").wantUnchanged(t, "the run after a boot")

	if err := third.LengthenCable(t.Context(), 150*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	run("node1,node2,node3").wantUnchanged(t, "a long way, which is allowed")
	o := run("node1,node2,node3", "-e", "overlay_latency=5")
	o.wantCode(t, "a long way", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "no cluster is stable on it") {
		t.Errorf("the latency is not named:\n%s", failures)
	}
}

// overlayAddresses adds the nodes' addresses in the overlay network to the inventory.
func overlayAddresses(t *testing.T, r *runner, n *nspawn.Nodes) {
	t.Helper()
	inventory, err := os.ReadFile(r.inventory)
	if err != nil {
		t.Fatal(err)
	}
	hosts := string(inventory)
	for i, node := range n.List {
		head := fmt.Sprintf("host %q {\n", node.Name)
		hosts = strings.Replace(hosts, head, head+fmt.Sprintf("  vars    = { overlay_address = \"10.42.0.%d/24\" }\n", i+1), 1)
	}
	if err := os.WriteFile(r.inventory, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitBoot waits until a node has booted again and a unit is active on it.
func awaitBoot(t *testing.T, node *nspawn.Node, boot, unit string) {
	t.Helper()
	for {
		now, err := node.BootID(t.Context())
		if err == nil && now != boot {
			if _, err = node.Exec(t.Context(), "sh", "-c", "systemctl is-active sshd ssh | grep -qx active && systemctl is-active "+unit); err == nil {
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(time.Second):
		}
	}
}
