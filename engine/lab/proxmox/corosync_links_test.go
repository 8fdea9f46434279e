package proxmox

import (
	"strings"
	"testing"
)

// The behaviour of Debian 12's corosync 3.1.7 with three nodes in network namespaces and links 0 to 2 between them.
// Links can be added, removed and given other priorities without a new ring. An address cannot be changed in place, and
// all nodes must have the same number of links. An address that no interface has is accepted, but the link does not
// connect.
func TestCorosyncLoadsLinks(t *testing.T) {
	const one = "    ring0_addr: 10.77.0.1N\n"
	two := one + "    ring1_addr: 10.78.0.1N\n"
	for name, test := range map[string]struct {
		edits   []func(string) string
		loaded  string // the version
		link1   string // what pve1 reports about pve3
		refused bool
	}{
		"a second link": {edits: []func(string) string{links(two, 4)}, loaded: "4", link1: "connected"},
		"with a priority": {edits: []func(string) string{links(two, 4), func(s string) string {
			return strings.Replace(strings.Replace(s, "config_version: 4", "config_version: 5", 1), "    linknumber: 0\n", "    knet_link_priority: 20\n    linknumber: 0\n", 1)
		}}, loaded: "5", link1: "connected"},
		"another address in place": {edits: []func(string) string{links(two, 4), links(strings.ReplaceAll(two, "10.78.0.1N", "10.78.0.2N"), 5)},
			loaded: "4", link1: "connected", refused: true},
		"another address after the link was gone": {edits: []func(string) string{links(two, 4), links(one, 5), links(strings.ReplaceAll(two, "10.78.0.1N", "10.79.0.1N"), 6)},
			loaded: "6", link1: "disconnected"},
		"fewer links on one node": {edits: []func(string) string{links(two, 4), func(s string) string {
			return strings.Replace(strings.Replace(s, "config_version: 4", "config_version: 5", 1), "    ring1_addr: 10.78.0.13\n", "", 1)
		}}, loaded: "4", link1: "connected", refused: true},
		"an address that pve3 does not have": {edits: []func(string) string{func(s string) string { return strings.Replace(links(two, 4)(s), "10.78.0.13", "10.78.0.99", 1) }},
			loaded: "4", link1: "disconnected"},
		"a version below the loaded one": {edits: []func(string) string{links(two, 2)}, loaded: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, labOptions{second: "10.78.0."})
			l.form("lab", 3)
			ring := ringOf(l.ok("pve1", "pvecm", "status"))
			for _, edit := range test.edits {
				l.replace("pve1", edit(l.read("pve1", "/etc/pve/corosync.conf")))
			}
			for _, node := range []string{"pve1", "pve3"} {
				if got, want := l.ok(node, "corosync-cmapctl", "-g", "totem.config_version"), "totem.config_version (u64) = "+test.loaded+"\n"; got != want {
					t.Errorf("%s says %q, want %q", node, got, want)
				}
			}
			status := l.ok("pve1", "corosync-cfgtool", "-s")
			_, link1, _ := strings.Cut(status, "LINK ID 1 udp\n")
			if want := "nodeid:          3:\t" + test.link1 + "\n"; test.link1 != "" && !strings.HasSuffix(link1, want) || test.link1 == "" && link1 != "" {
				t.Errorf("the links are\n%s\nwant of link 1 %q", status, test.link1)
			}
			if got := ringOf(l.ok("pve1", "pvecm", "status")); got != ring {
				t.Errorf("the ring was %q and is %q", ring, got)
			}
			want := result{stdout: "Reloading corosync.conf...\nDone\n"}
			if test.refused {
				want = result{stdout: "Reloading corosync.conf...\n", stderr: "Could not reload configuration. Error CS_ERR_INVALID_PARAM\n", code: 7}
			}
			if got := l.run("pve1", "", "corosync-cfgtool", "-R"); got != want {
				t.Errorf("corosync-cfgtool -R: %+v, want %+v", got, want)
			}
			local := l.read("pve2", "/etc/corosync/corosync.conf")
			if differs := local != l.read("pve2", "/etc/pve/corosync.conf"); differs != (test.link1 == "") {
				t.Errorf("pve2's own copy differs from the cluster's: %v", differs)
			}
		})
	}
}

// links returns an edit that replaces the links of all nodes and the version. N in text stands for the node's number.
func links(text string, version int) func(string) string {
	return func(conf string) string {
		var b strings.Builder
		for line := range strings.Lines(conf) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch {
			case strings.HasPrefix(key, "ring") && key != "ring0_addr":
			case key == "ring0_addr":
				b.WriteString(strings.ReplaceAll(text, "N", value[len(value)-1:]))
			case key == "config_version":
				b.WriteString("  config_version: " + string(rune('0'+version)) + "\n")
			default:
				b.WriteString(line)
			}
		}
		return b.String()
	}
}

// replace writes a new corosync.conf and renames it over the old one.
func (l *testLab) replace(node, text string) {
	l.t.Helper()
	l.file(node, "/etc/pve/corosync.conf.new", text)
	if err := l.world.Filesystem(node).Rename("/corosync.conf.new", "/corosync.conf"); err != nil {
		l.t.Fatal(err)
	}
}

func ringOf(status string) string {
	_, rest, _ := strings.Cut(status, "Ring ID:")
	ring, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(ring)
}
