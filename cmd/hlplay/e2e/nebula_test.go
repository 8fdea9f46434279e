//go:build linux && e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hlplay/engine/lab/nspawn"
	"hlplay/engine/secret"
)

// TestNebula runs playbooks/overlay.hcl with Debian's own Nebula and an authority created with its nebula-cert: hosts
// are added and certificates renewed without a restart, and the network is up again after a boot.
func TestNebula(t *testing.T) {
	onBothReleases(t, testNebula)
}

func testNebula(t *testing.T, suite string) {
	n := startNodesWith(t, nspawn.Options{Suite: suite, Packages: overlayPackages, Devices: []string{"/dev/net/tun"}})
	r := newRunner(t, n, nspawn.Root)
	first, second, third := n.List[0], n.List[1], n.List[2]
	values := overlayFiles(t, r, n)
	const playbook = "../../playbooks/overlay.hcl"
	flags := []string{"-e", "overlay=nebula", "-e", "overlay_latency=60000", "-e", "@" + values}
	run := func(hosts string, more ...string) outcome {
		t.Helper()
		return r.run(t, playbook, append(append([]string{"-e", "overlay_hosts=" + hosts}, flags...), more...)...)
	}
	pings := func(from *nspawn.Node, to string) {
		t.Helper()
		wantOn(t, from, "ping -n -q -c 3 -i 0.2 -W 5 -M do -s 1272 "+to+" | grep -o ' 0% packet loss'", " 0% packet loss")
	}
	process := func(node *nspawn.Node) string {
		t.Helper()
		return shell(t, node, "systemctl is-active nebula@nebula1 >&2; systemctl show -P MainPID nebula@nebula1")
	}

	short := []string{"-e", "overlay_lifetime=48h", "-e", "overlay_renew_before=1h"}
	run("node1,node2", short...).wantCode(t, "the first run", exitOK)
	run("node1,node2", short...).wantUnchanged(t, "the second run")
	for _, node := range []*nspawn.Node{first, second} {
		wantOn(t, node, "nebula-cert verify -ca /etc/nebula/nebula1.ca -crt /etc/nebula/nebula1.crt && nebula -test -config /etc/nebula/nebula1.yml >&2 && echo good", "good")
		wantOn(t, node, "stat -c '%a %U' /etc/nebula/nebula1.key /etc/nebula/nebula1.yml", "600 root\n600 root")
		wantOn(t, node, "systemctl show -P Before nebula@nebula1 | tr ' ' '\\n' | grep -cE '^(corosync.service|pve-cluster.service|ceph.target)$'", "3")
		wantOn(t, node, "systemctl is-enabled nebula@nebula1; cat /sys/class/net/nebula1/mtu", "enabled\n1300")
		// The host has its own private key, and not the authority's (ED25519).
		wantOn(t, node, "grep -rlE 'NEBULA (X25519|ED25519) PRIVATE KEY' /etc /root /run /var/lib /tmp 2>/dev/null", "/etc/nebula/nebula1.key")
	}
	pings(first, "10.42.0.2")

	// A third host is added. It and the others know each other, and existing tunnels stay up.
	before := process(first)
	run("node1,node2,node3", short...).wantCode(t, "a third host", exitOK)
	pings(first, "10.42.0.3")
	pings(third, "10.42.0.2")
	if after := process(first); after != before {
		t.Errorf("Nebula was restarted for another host: process %s, then %s", before, after)
	}

	// Certificates are renewed and loaded without a restart.
	old := shell(t, first, "cat /etc/nebula/nebula1.crt")
	o := run("node1,node2,node3")
	o.wantCode(t, "a renewal", exitOK)
	if renewed := shell(t, first, "cat /etc/nebula/nebula1.crt"); renewed == old {
		t.Errorf("the certificate was not renewed:\n%s", o.text)
	}
	// A reload only sends a signal. The journal has the line once Nebula and journald have got round to it.
	wantOn(t, first, "timeout 1200 sh -c 'until journalctl -u nebula@nebula1 -o cat | grep -q \"refreshed from disk\"; do sleep 0.2; done' && echo loaded", "loaded")
	if after := process(first); after != before {
		t.Errorf("Nebula was restarted for a new certificate: process %s, then %s", before, after)
	}
	run("node1,node2,node3").wantUnchanged(t, "the run after the renewal")

	// Changes that need a restart cause one, and a configuration that Nebula rejects is not written.
	run("node1,node2,node3", "-e", "overlay_mtu=1280").wantCode(t, "another MTU", exitOK)
	wantOn(t, second, "cat /sys/class/net/nebula1/mtu", "1280")
	run("node1,node2,node3").wantCode(t, "the MTU as it was", exitOK)
	o = run("node1,node2,node3", "-e", "overlay_interface=nebula1", "-e", `overlay_lighthouses=["node1"]`)
	o.wantCode(t, "one lighthouse", exitOK)
	pings(second, "10.42.0.3")
	run("node1,node2,node3").wantCode(t, "all lighthouses", exitOK)

	// Nebula enforces the rules and rejects a certificate on the blocklist.
	before = process(first)
	// reaches waits until it is so: Nebula takes up rules some time after the signal of a reload, and sshd may be slow to answer.
	reaches := func(from *nspawn.Node, want string) {
		t.Helper()
		wantOn(t, from, `for n in $(seq 240); do
	said=$(timeout 5 bash -c 'read -r hello </dev/tcp/10.42.0.1/22 && echo ${hello%%-*}' 2>/dev/null) || said=no
	[ "$said" != `+want+` ] || break
	sleep 0.5
done
echo "$said"`, want)
	}
	reaches(third, "SSH")
	r.run(t, "nebula.hcl", flags[4:]...).wantCode(t, "rules", exitOK)
	r.run(t, "nebula.hcl", flags[4:]...).wantUnchanged(t, "the same rules")
	reaches(second, "SSH")
	reaches(third, "no")
	pings(third, "10.42.0.1")
	print := shell(t, third, "nebula-cert print -json -path /etc/nebula/nebula1.crt | grep -o '\"fingerprint\":\"[0-9a-f]*' | cut -d'\"' -f4")
	r.run(t, "nebula.hcl", append([]string{"-e", fmt.Sprintf("blocklist=[%q]", print)}, flags[4:]...)...).wantCode(t, "a blocklist", exitOK)
	wantOn(t, third, "timeout 1200 sh -c 'while ping -n -q -c 1 -W 1 10.42.0.1 >&2; do sleep 1; done' && echo cut off", "cut off")
	pings(second, "10.42.0.1")
	run("node1,node2,node3").wantCode(t, "no rules", exitOK)
	pings(third, "10.42.0.1")
	if after := process(first); after != before {
		t.Errorf("Nebula was restarted for rules: process %s, then %s", before, after)
	}

	// After a boot, the network is up before the units that need it.
	boot, err := third.BootID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shell(t, third, "systemctl --no-block reboot")
	awaitBoot(t, third, boot, "nebula@nebula1")
	wantOn(t, third, "ip -br addr show dev nebula1 | grep -o '10.42.0.3/24'", "10.42.0.3/24") // active means that the interface exists
	pings(third, "10.42.0.1")
	run("node1,node2,node3").wantUnchanged(t, "the run after a boot")

	// Guide 2 spans continents, which a cluster does not tolerate.
	if err := third.LengthenCable(t.Context(), 150*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	o = run("node1,node2,node3", "-e", "overlay_latency=5")
	o.wantCode(t, "a long way", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "no cluster is stable on it") {
		t.Errorf("the latency is not named:\n%s", failures)
	}
}

// overlayFiles adds the nodes' addresses in the network to the inventory, and creates an authority with nebula-cert on
// the first node. Its private key is removed from there and encrypted. It returns the path of a file of variables.
func overlayFiles(t *testing.T, r *runner, n *nspawn.Nodes) string {
	t.Helper()
	overlayAddresses(t, r, n)
	dir := filepath.Join(r.dir, "overlay")
	node := n.List[0]
	shell(t, node, "cd /root && nebula-cert ca -name dream -duration 87600h")
	certificate, key := shell(t, node, "cat /root/ca.crt"), shell(t, node, "cat /root/ca.key; rm /root/ca.crt /root/ca.key")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := secret.SealFile([]byte(key+"\n"), []age.Recipient{identity.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "ca.crt"):                            certificate + "\n",
		filepath.Join(dir, "ca.key"):                            string(sealed),
		filepath.Join(dir, "nebula.hcl"):                        "nebula_ca = <<PEM\n" + certificate + "\nPEM\nnebula_ca_key = secret_file(\"ca.key\")\n",
		filepath.Join(r.dir, ".config", "hlplay", "identities"): identity.String() + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "nebula.hcl")
}
