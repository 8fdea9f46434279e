//go:build linux && e2e

package e2e

import (
	"testing"

	"hlplay/engine/lab/nspawn"
)

func wantCluster(t *testing.T, n *nspawn.Nodes) {
	t.Helper()
	for _, script := range []string{"pvecm status", "ceph -s", "ha-manager status", "pvesm status", "qm list", "systemctl --failed --no-legend --plain", "ls -la /etc/pve /etc/pve/nodes", "cat /etc/pve/.members", "findmnt /etc/pve", "systemctl list-units 'ceph*' 'pve*' corosync --no-legend --plain", "postconf -h myhostname default_transport inet_interfaces; cat /etc/mailname", "cat /etc/apt/sources.list.d/*", "dpkg -l | grep -i linux-image"} {
		for _, node := range n.List[:1] {
			out, err := node.Exec(t.Context(), "sh", "-c", script)
			t.Logf("%s: %s\n%s\n%v", node.Name, script, out, err)
		}
	}
}

func wantReadOnlyWithoutQuorum(t *testing.T, n *nspawn.Nodes) {
}
