package proxmox

import (
	"strings"
	"testing"
	"time"
)

// Groups from PVE 8 are migrated once all nodes are online.
func TestGroupsBecomeRules(t *testing.T) {
	l := newLab(t, labOptions{guests: map[string]string{"100": "vm"}})
	l.form("lab", 3)
	l.ok("pve1", "ha-manager", "add", "vm:100")
	l.clock.Advance(time.Minute)
	l.off("pve3")
	l.file("pve1", "/etc/pve/ha/groups.cfg", "group: front\n\tnodes pve1:2,pve2:1\n\tnofailback 1\n\trestricted 1\n\ngroup: unused\n\tnodes pve3\n")
	l.file("pve1", "/etc/pve/ha/resources.cfg", "vm: 100\n\tgroup front\n")
	l.clock.Advance(3 * time.Minute)
	if got := l.run("pve1", "", "ha-manager", "rules", "add", "node-affinity", "r", "--nodes", "pve1", "--resources", "vm:100"); got.stderr != "cannot create ha rule: ha groups have not been migrated yet\n" {
		t.Errorf("while a node is off, a rule is refused with %q", got.stderr)
	}
	l.nodes["pve3"].PowerOn()
	l.clock.Advance(3 * time.Minute)
	const want = "node-affinity: ha-group-front\n\tcomment Generated from HA group 'front'.\n\tnodes pve1:2,pve2:1\n\tresources vm:100\n\tstrict 1\n"
	got := l.read("pve1", "/etc/pve/ha/rules.cfg")
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			t.Errorf("rules.cfg has no line %q:\n%s", line, got)
		}
	}
	if strings.Contains(got, "unused") {
		t.Errorf("a group without resources is a rule:\n%s", got)
	}
	if got := l.read("pve1", "/etc/pve/ha/resources.cfg"); strings.Contains(got, "group") || !strings.Contains(got, "failback 0") {
		t.Errorf("resources.cfg is\n%s", got)
	}
	if (&machineNode{m: l.nodes["pve1"], fs: l.nodes["pve1"].FS()}).Exists("/etc/pve/ha/groups.cfg") {
		t.Error("groups.cfg is still there")
	}
}
