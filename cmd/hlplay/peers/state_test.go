//go:build linux && peers

package peers

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// state prints everything that the playbook manages, and the rest of /etc. The file of settings is compared by content,
// because the tools place spaces and comments differently. sshd's keys, the machine ID and a test account's password
// differ between nodes.
const state = `cd /etc
list() { find . -xdev ! -name 'ssh_host_*' ! -name machine-id ! -name 'shadow*' ! -path ./sysctl.d/90-node.conf "$@"; }
list -printf '%p %y %m %u %g %l\n' | sort
list -type f -exec sha256sum {} + | sort -k2
sed '/^#/d; s/ *= */ = /' sysctl.d/90-node.conf | sort
stat -c '%n %a %U %G' sysctl.d/90-node.conf
for s in $(sed '/^#/d; s/ *=.*//' sysctl.d/90-node.conf | sort); do sysctl "$s"; done
dpkg-query -W -f '${Package} ${Version} ${Status}\n'
systemctl show --property=Id,ActiveState,UnitFileState,NeedDaemonReload,TasksMax ssh.service cron.service rsyslog.service dbus.service systemd-logind.service \
	systemd-journald.service iperf3.service systemd-networkd.service logrotate.timer systemd-tmpfiles-clean.timer
sshd -T`

// TestSameWork has the tools prepare fresh nodes and compares the results node by node: every file in /etc with its
// mode and owner, the kernel's settings, packages, units, and what sshd reports. hlplay has nothing to do then, whoever
// prepared the nodes. -run selects the tools.
func TestSameWork(t *testing.T) {
	names := []string{"mitogen", "hlplay", oneScript}
	states := map[string]map[string][]string{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s := open(t, 0)
			s.run(t, toolNamed(name), first)
			states[name] = s.state(t)
			s.run(t, toolNamed("hlplay"), converged)
		})
	}
	names = slices.DeleteFunc(names, func(name string) bool { return states[name] == nil })
	for i := 1; i < len(names); i++ {
		for node, want := range states[names[0]] {
			if diff := cmp.Diff(want, states[names[i]][node]); diff != "" {
				t.Errorf("%s differs (-%s +%s):\n%s", node, names[0], names[i], diff)
			}
			t.Logf("%s, %s: %d lines of state are compared with those of %s", node, names[i], len(want), names[0])
		}
	}
}

func (s *testbed) state(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, node := range s.List {
		out, err := node.Exec(t.Context(), "sh", "-euc", state)
		if err != nil {
			t.Fatal(err)
		}
		all[node.Name] = strings.Split(out, "\n")
	}
	return all
}
