//go:build linux && e2e

package e2e

import (
	"strings"
	"testing"

	"hlplay/engine/lab/nspawn"
)

// TestFirewall makes a node's kernel drop packets. A change that the rules do not admit is refused; if that cannot be
// known beforehand, the node restores its old rules.
func TestFirewall(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1"}, Packages: dailyPackages})
	node := n.List[0]
	admin := newRunner(t, n, nspawn.Admin)
	holds := func(rule string) {
		t.Helper()
		wantOn(t, node, "nft list table inet hlplay | grep -o 'ip saddr .*accept'", rule)
		wantOn(t, node, "ls -A /var/lib/hlplay/undo", "")
	}
	shell(t, node, "nft add table inet mine")
	admin.run(t, "firewall.hcl", "-e", "from="+nspawn.Controller).wantCode(t, "a rule for the controller", exitOK)
	const own = "ip saddr " + nspawn.Controller + " tcp dport 22 accept"
	holds(own)
	wantOn(t, node, "nft list table inet mine && systemctl is-enabled nftables", "table inet mine {\n}\nenabled")
	admin.run(t, "firewall.hcl", "-e", "from="+nspawn.Controller).wantUnchanged(t, "the second run")

	// sudo hides the session from its programs, but not from the kernel.
	o := admin.run(t, "firewall.hcl", "-e", "from=203.0.113.0/24")
	o.wantCode(t, "a rule for others alone", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "comes from "+nspawn.Controller+" to port 22, which no allow block would admit") {
		t.Errorf("the error does not say that hlplay would be cut off:\n%s", failures)
	}
	holds(own)

	// Root's shell claims that the session comes from another address.
	shell(t, node, `sed -i '1i export SSH_CONNECTION="203.0.113.9 50000 203.0.113.1 22"' /root/.bashrc`)
	o = newRunner(t, n, nspawn.Root).run(t, "firewall.hcl", "-e", "from=203.0.113.0/24")
	o.wantCode(t, "a rule that cuts hlplay off", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "the host has undone the change") {
		t.Errorf("the error does not say that the change was undone:\n%s", failures)
	}
	holds(own)

	// The rules that a boot loads are those that were tested.
	shell(t, node, "systemctl restart nftables")
	holds(own)
	admin.run(t, "firewall.hcl", "-e", "from="+nspawn.Controller).wantUnchanged(t, "the run after that")
}
