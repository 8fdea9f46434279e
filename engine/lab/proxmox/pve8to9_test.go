package proxmox

import (
	"strings"
	"testing"
)

// The messages are those of PVE::CLI::pve8to9 in pve-manager 8.4.21.
func TestPVE8to9(t *testing.T) {
	l := newLab(t, labOptions{debian: "bookworm"})
	l.form("lab", 3)
	check := func(want ...string) {
		t.Helper()
		text := l.ok("pve1", "pve8to9", "--full")
		for _, line := range want {
			if !strings.Contains(text, line) {
				t.Errorf("pve8to9 does not print %q:\n%s", line, text)
			}
		}
	}
	check("= CHECKING VERSION INFORMATION FOR PVE PACKAGES =\n\nChecking for package updates..\n\x1b[32mPASS: all packages up-to-date\n\x1b[0m\nChecking proxmox-ve package version..\n",
		"\x1b[32mPASS: Cluster Filesystem is quorate.\n\x1b[0m", "SKIP: no hyper-converged ceph setup detected!\n\x1b[0m", "SKIP: No containers on node detected.", "\x1b[0mSKIPPED:  6\n\x1b[33mWARNINGS: 3\n\x1b[0mFAILURES: 0\n")

	l.file("pve1", "/etc/vzdump.conf", "maxfiles: 3\n")
	l.file("pve1", "/etc/apt/sources.list.d/other.list", "deb http://deb.example.org/debian trixie-updates main\n")
	l.off("pve3")
	check("\x1b[1;31mFAIL: 1 nodes are offline!\n", "WARN: total votes < expected votes: 2/3!",
		"FAIL: /etc/vzdump.conf - parameter 'maxfiles' was deprecated with PVE 7.x and is getting dropped with PVE 9.",
		"    found suite bookworm at in /etc/apt/sources.list:1\n    found suite trixie at in /etc/apt/sources.list.d/other.list:1\n",
		"\x1b[1;31mFAILURES: 3\n\x1b[0m\x1b[1;31m\nATTENTION: Please check the output for detailed information!\n\x1b[0m")
}
