//go:build linux && e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/lab/nspawn"
)

// TestBaseModules runs every base module on three nodes: check mode predicts the run, the run changes what it should,
// and a second one finds nothing to do.
func TestBaseModules(t *testing.T) {
	for _, account := range []string{nspawn.Root, nspawn.Admin, nspawn.Deploy} {
		t.Run(account, func(t *testing.T) { testBaseModules(t, account) })
	}
}

// managed lists the trees that check mode must leave alone. Logging in writes elsewhere: to /var/log and /run. Reading
// apt's index writes apt's cache (pkgcache.bin), and sudo leaves a mark in the home directory.
const managed = `find /boot /etc /home /opt /root /srv /usr /var/lib/dpkg /var/lib/apt /var/cache /var/spool '(' -name '*pkgcache.bin' -o -name .sudo_as_admin_successful ')' -prune -o ! -path /var/cache ! -path /var/cache/apt ! -path '/home/*' -printf '%p %y %m %u %g %s %C@ %l\n' | sort`

func testBaseModules(t *testing.T, account string) {
	n := startNodes(t)
	repository, keyring := serveRepository(t, n)
	r := newRunner(t, n, account)
	r.vars = []string{"repository=" + repository, "keyring=" + keyring}
	before, boots := map[string]string{}, map[string]string{}
	for _, node := range n.List {
		install(t, node, installed)
		shell(t, node, "mkdir -p /srv/e2e-old/deep && touch /srv/e2e-old/deep/file && echo first >/srv/e2e-target && ln -s e2e-target /srv/e2e-link")
		before[node.Name] = shell(t, node, managed)
		boots[node.Name], _ = node.BootID(t.Context())
	}

	check := r.run(t, "base.hcl", "--check")
	check.wantCode(t, "check mode", exitOK)
	for _, node := range n.List {
		if diff := cmp.Diff(strings.Split(before[node.Name], "\n"), strings.Split(shell(t, node, managed), "\n")); diff != "" {
			t.Errorf("check mode has changed %s (-before +after):\n%s", node.Name, diff)
		}
	}
	first := r.run(t, "base.hcl")
	first.wantCode(t, "the first run", exitOK)
	wantPredicted(t, n, check, first)
	for _, node := range n.List {
		wantBase(t, node)
		if id, err := node.BootID(t.Context()); err != nil || id == boots[node.Name] {
			t.Errorf("%s has not booted: its boot id is %s as before (%v)", node.Name, id, err)
		}
	}
	second := r.run(t, "base.hcl")
	second.wantUnchanged(t, "the second run")
	again := r.run(t, "base.hcl", "--check")
	again.wantUnchanged(t, "check mode of a converged node")
	t.Logf("check: %s", check.summary())
	t.Logf("first run: %s", first.summary())
	t.Logf("second run: %s", second.summary())
}

// unknowable are the tasks of base.hcl whose outcome check mode cannot know, and which it must report as uncertain:
// those that depend on a repository that does not exist yet, on the unit of one of its packages, on whether a package
// asks for a reboot, and on a command after all that.
var unknowable = []string{"upgrade", "packages with answers", "service", "reading command", "facts", "reboot"}

// wantPredicted compares the prediction of check mode with the run, task by task.
func wantPredicted(t *testing.T, n *nspawn.Nodes, check, first outcome) {
	t.Helper()
	var uncertain []string
	for _, node := range n.List {
		for _, task := range unknowable {
			uncertain = append(uncertain, node.Name+": "+task)
		}
	}
	said := check.with("uncertain")
	slices.Sort(uncertain)
	slices.Sort(said)
	if diff := cmp.Diff(uncertain, said); diff != "" {
		t.Errorf("check mode was uncertain of other tasks than those that cannot be known (-unknowable +uncertain):\n%s", diff)
	}
	known := func(o outcome) []string {
		tasks := slices.DeleteFunc(o.with("changed"), func(task string) bool { return slices.Contains(uncertain, task) })
		slices.Sort(tasks)
		return tasks
	}
	if diff := cmp.Diff(known(check), known(first)); diff != "" {
		t.Errorf("check mode did not predict what the first run changed (-predicted +changed):\n%s", diff)
	}
}

// wantBase asserts the state that base.hcl describes.
func wantBase(t *testing.T, node *nspawn.Node) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(playbooks, "source.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ script, output string }{
		{"e2e-tool", "2.0"},
		{"dpkg-query -W -f '${Status} ${Version}' e2e-daemon", "install ok installed 1.0"},
		{"cat /etc/e2e-colour", "green"},
		{"dpkg-query -W e2e-unwanted 2>/dev/null; ls /etc/e2e-unwanted.conf 2>/dev/null", ""},
		{"apt-get check -qq && echo consistent", "consistent"},
		{"stat -c '%F %a %U %G' /srv/e2e", "directory 2750 root adm"},
		{"stat -c '%a %U %G' /srv/e2e/content*", "640 daemon adm"},
		{"cat /srv/e2e/content*ünïcode", "node " + node.Name + "\n$(not expanded) `nor this` \\n"},
		{"cat /srv/e2e/new/parents/source.bin", strings.TrimRight(string(source), "\n")},
		{"readlink /srv/e2e/link", "template"},
		{"cat /srv/e2e/template", "name node1\nname node2\nname node3"},
		{"readlink /srv/e2e-link; cat /srv/e2e-target", "e2e-target\nfirst\nwritten through the link"},
		{"sshd -T | grep -i x11forwarding", "x11forwarding no"},
		{"getent -s files ahostsv4 node2 | grep -c 10.77.0.12", "3"},
		{"ls -d /srv/e2e-old 2>&1 >/dev/null | wc -l", "1"},
		{"cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_port_range", "1\n20000\t60999"},
		{"modprobe --showconfig | grep -E '^(options kvm|blacklist nouveau)'", "blacklist nouveau\noptions kvm ignore_msrs=1"},
		{"id -nG keeper", "keeper adm e2e"},
		{"getent passwd keeper | cut -d: -f5-", "Keeps the node:/home/keeper:/bin/bash"},
		{"stat -c '%a %U %G' /home/keeper/.ssh /home/keeper/.ssh/authorized_keys", "700 keeper keeper\n600 keeper keeper"},
		{"getent shadow keeper | cut -d: -f2 | cut -c1-6", "$y$j9T"},
		{"systemctl is-active e2e-daemon; systemctl is-enabled e2e-daemon", "active\nenabled"},
		{"systemctl is-active cron; systemctl is-enabled cron", "inactive\nmasked"},
		{"readlink /etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"},
		{"cat /srv/e2e/command", "SHOUT"},
		{"ls /run/reboot-required 2>/dev/null", ""},
		{"systemctl is-system-running --wait", "running"},
		// hlplay removes its own files from a node, except the directory for due handlers.
		{"find / -xdev -name '*hlplay*' -not -path '/proc/*' | sort", "/etc/modprobe.d/hlplay.conf\n/etc/sysctl.d/90-hlplay.conf\n/var/lib/hlplay"},
		{"stat -c '%a %U:%G' /var/lib/hlplay; ls -A /var/lib/hlplay/due", "700 root:root"},
	} {
		wantOn(t, node, want.script, want.output)
	}
}

// with returns the tasks with that status.
func (o outcome) with(status string) []string {
	var all []string
	for _, task := range o.tasks {
		if task.Status == status {
			all = append(all, task.Host+": "+task.Task)
		}
	}
	return all
}
