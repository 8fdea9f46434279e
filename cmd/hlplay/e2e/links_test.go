//go:build linux && e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// TestLinks changes the links of a running cluster with real corosync (3.1 from Debian): a second link is added, its
// address changes, a change that does not work is undone, and the link is removed. The membership does not change
// meanwhile.
//
// What is not real is pmxcfs: /etc/pve is a directory that the nodes share, and testdata/e2e/corosync/pmxcfs
// distributes its corosync.conf.
func TestLinks(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"pve1", "pve2", "pve3"}, Packages: []string{"corosync"}, Shared: "/etc/pve"})
	corosyncCluster(t, n)
	r := newRunner(t, n, nspawn.Root)
	// ring returns the identity of the membership, which changes whenever a membership is lost or formed.
	ring := func() string { return shell(t, n.List[1], "corosync-quorumtool -s | grep -E '^(Ring ID|Quorate):'") }
	first := ring()
	if !strings.Contains(first, "Yes") {
		t.Fatalf("the cluster has no quorum: %s", first)
	}
	// wantLink requires that all nodes use a version, and that they reach each other over link1 if it is to have
	// addresses.
	wantLink := func(what string, version int, addresses ...string) {
		t.Helper()
		for i, node := range n.List {
			want := fmt.Sprintf("totem.config_version (u64) = %d", version)
			if len(addresses) > 0 {
				want += fmt.Sprintf("\naddr = %s\n2", addresses[i])
			}
			wantOn(t, node, `corosync-cmapctl -g totem.config_version
corosync-cfgtool -s | awk '$1 == "LINK" { on = $3 == 1 } on && $1 == "addr" { print "addr = " $3 } on && $3 == "connected" { n++ } END { if (n) print n }'`, want)
			wantOn(t, node, "cmp /etc/pve/corosync.conf /etc/corosync/corosync.conf; ls /etc/pve/corosync.conf.*; ls -A /var/lib/hlplay/undo 2>/dev/null", "")
		}
		if is := ring(); is != first {
			t.Errorf("%s: there is another membership: %s, was %s", what, is, first)
		}
	}
	check := r.run(t, "links.hcl", "--check")
	check.wantCode(t, "check mode", exitOK)
	wantLink("check mode", 1)

	r.run(t, "links.hcl").wantCode(t, "a second link", exitOK)
	wantLink("a second link", 2, "10.88.0.11", "10.88.0.12", "10.88.0.13")
	r.run(t, "links.hcl").wantUnchanged(t, "the second run")

	moved := r.run(t, "links.hcl", "-e", "third=10.88.0.33")
	moved.wantCode(t, "another address", exitOK)
	wantLink("another address", 4, "10.88.0.11", "10.88.0.12", "10.88.0.33")

	// pve3 has the address, but the others do not reach it: two versions to apply the change, and two to undo it.
	apart := r.run(t, "links.hcl", "-e", "third=10.99.0.13")
	apart.wantCode(t, "an address that is not reached", exitFailed)
	if failures := apart.failures(); !strings.Contains(failures, "the host has undone the change") || !strings.Contains(failures, "link1 reaches") {
		t.Errorf("the failure does not say what was missing, and that the change was undone:\n%s", failures)
	}
	for _, node := range n.List { // knet reports a link as connected some seconds after it has recovered
		awaitOn(t, node, "the old link to connect the nodes", "test $(corosync-cfgtool -s | sed -n '/^LINK ID 1/,$p' | grep -cw connected) = 2")
	}
	wantLink("after the undo", 8, "10.88.0.11", "10.88.0.12", "10.88.0.33")
	r.run(t, "links.hcl", "-e", "third=10.88.0.33").wantUnchanged(t, "the run after the undo")

	r.run(t, "links.hcl", "-e", "state=absent").wantCode(t, "no second link", exitOK)
	wantLink("no second link", 9)
	r.run(t, "links.hcl", "-e", "state=absent").wantUnchanged(t, "the run after that")
}

// corosyncCluster makes the nodes a cluster with one link.
func corosyncCluster(t *testing.T, n *nspawn.Nodes) {
	t.Helper()
	var nodes, members []string
	for i, node := range n.List {
		nodes = append(nodes, fmt.Sprintf("  node {\n    name: %s\n    nodeid: %d\n    quorum_votes: 1\n    ring0_addr: %s\n  }\n", node.Name, i+1, node.Address))
		members = append(members, fmt.Sprintf("%q: {\"id\": %d, \"online\": 1, \"ip\": %q}", node.Name, i+1, node.Address))
	}
	conf := "logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n" + strings.Join(nodes, "") + "}\n\nquorum {\n  provider: corosync_votequorum\n}\n\n" +
		"totem {\n  cluster_name: e2e\n  config_version: 1\n  interface {\n    linknumber: 0\n  }\n  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n  token_coefficient: 125\n  version: 2\n}\n\n"
	listed := fmt.Sprintf("{\"nodename\": \"pve1\", \"version\": 4, \"cluster\": {\"name\": \"e2e\", \"version\": 3, \"nodes\": %d, \"quorate\": 1}, \"nodelist\": {%s}}\n", len(n.List), strings.Join(members, ", "))
	for name, content := range map[string]string{"/etc/pve/corosync.conf": conf, "/etc/pve/.members": listed} {
		if _, err := n.List[0].ExecInput(t.Context(), content, "sh", "-euc", `cat >"$1"`, "sh", name); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, n.List[0], "mkdir -p /etc/pve/nodes/pve1 /etc/pve/nodes/pve2 /etc/pve/nodes/pve3 && ln -s nodes /etc/pve/local && corosync-keygen -l -k /etc/pve/authkey >/dev/null")
	program, err := os.ReadFile(filepath.Join(playbooks, "corosync", "pmxcfs"))
	if err != nil {
		t.Fatal(err)
	}
	for i, node := range n.List {
		if _, err := node.ExecInput(t.Context(), string(program), "sh", "-euc", "cat >/usr/local/bin/pmxcfs; chmod 755 /usr/local/bin/pmxcfs"); err != nil {
			t.Fatal(err)
		}
		// corosync.conf.example is not the cluster's. The network of link1 uses the same cable.
		addresses := fmt.Sprintf("ip address add 10.88.0.%d/24 dev host0\n", 11+i)
		if i == 2 {
			addresses += "ip address add 10.88.0.33/24 dev host0\nip address add 10.99.0.13/24 dev host0\n"
		}
		shell(t, node, addresses+`install -m 0400 /etc/pve/authkey /etc/corosync/authkey
cp /etc/pve/corosync.conf /etc/corosync/corosync.conf
systemd-run --quiet --unit=pmxcfs /usr/local/bin/pmxcfs
systemctl --quiet restart corosync || { journalctl --no-pager --unit corosync | tail -20 >&2; exit 1; }`)
	}
	for _, node := range n.List {
		awaitOn(t, node, "corosync to have all nodes", "corosync-quorumtool -s | grep -q '^Nodes: *3$'")
	}
}

// awaitOn waits, up to the test's deadline, until a shell command succeeds.
func awaitOn(t *testing.T, node *nspawn.Node, what, script string) {
	t.Helper()
	for {
		if _, err := node.Exec(t.Context(), "sh", "-c", script); err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: %v", what, t.Context().Err())
		case <-time.After(time.Second):
		}
	}
}
