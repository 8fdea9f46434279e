//go:build linux && e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// TestReboot reboots all nodes at once in the middle of a run.
func TestReboot(t *testing.T) {
	n := startNodes(t)
	r := newRunner(t, n, nspawn.Admin)
	before := map[string]string{}
	for _, node := range n.List {
		before[node.Name], _ = node.BootID(t.Context())
	}
	o := r.run(t, "reboot.hcl")
	o.wantCode(t, "a run with a reboot", exitOK)
	for _, node := range n.List {
		if id, err := node.BootID(t.Context()); err != nil || id == before[node.Name] {
			t.Errorf("%s has not booted: its boot id is %s as before (%v)", node.Name, id, err)
		}
		wantOn(t, node, "cat /etc/after-reboot", "the run went on")
	}
	for _, task := range o.tasks {
		t.Logf("%s: %s: %s after %s", task.Host, task.Task, task.Status, time.Duration(task.DurationMS)*time.Millisecond)
	}
}

// TestHardships runs life.hcl on nodes that differ from a fresh installation in some way, which must not matter.
func TestHardships(t *testing.T) {
	const sshd = `systemctl restart ssh`
	for _, c := range []struct{ name, account, script string }{
		{"MaxSessions 2", nspawn.Admin, "echo 'MaxSessions 2' >/etc/ssh/sshd_config.d/e2e.conf; " + sshd},
		{"MaxSessions 10", nspawn.Root, "echo 'MaxSessions 10' >/etc/ssh/sshd_config.d/e2e.conf; " + sshd},
		{"banner of the login shell", nspawn.Admin, `for f in /etc/profile /home/admin/.profile; do echo 'echo Welcome to this machine' >>$f; done; sed -i '1i echo Welcome, all of you; echo Mind the step >&2' /home/admin/.bashrc /root/.bashrc /etc/bash.bashrc`},
		{"sudo with a terminal of its own", nspawn.Deploy, `printf 'Defaults !requiretty\nDefaults use_pty\n' >/etc/sudoers.d/e2e; chmod 0440 /etc/sudoers.d/e2e; visudo -cq`},
		{"sudo that lectures and asks each time", nspawn.Deploy, `printf 'Defaults lecture=always\nDefaults timestamp_timeout=0\n' >/etc/sudoers.d/e2e; chmod 0440 /etc/sudoers.d/e2e; visudo -cq`},
		{"home not writable", nspawn.Admin, `chown root:root /home/admin; chmod 0555 /home/admin`},
		{"no home", nspawn.Admin, `mkdir -p /etc/ssh/keys; cp /home/admin/.ssh/authorized_keys /etc/ssh/keys/admin; rm -rf /home/admin; echo 'AuthorizedKeysFile /etc/ssh/keys/%u' >/etc/ssh/sshd_config.d/e2e.conf; ` + sshd},
		{"/tmp noexec", nspawn.Admin, `mount -o remount,noexec,nosuid,nodev /tmp; mount -t tmpfs -o noexec tmpfs /var/tmp; mount -t tmpfs -o noexec tmpfs /dev/shm`},
		{"locale not C", nspawn.Admin, `printf 'LANG=de_DE.UTF-8\nLC_ALL=de_DE.UTF-8\nLANGUAGE=de\n' | tee /etc/default/locale >>/etc/environment`},
		{"no sftp", nspawn.Admin, `sed -i '/^Subsystem/d' /etc/ssh/sshd_config; ` + sshd},
		{"login shell is dash", nspawn.Admin, `usermod -s /bin/sh admin; usermod -s /bin/sh root`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNodes(t, "node1")
			node := n.List[0]
			install(t, node, installed)
			shell(t, node, c.script)
			r := newLife(t, n, c.account)
			check := r.run(t, "life.hcl", "--check")
			check.wantCode(t, "check mode", exitOK)
			first := r.run(t, "life.hcl")
			first.wantCode(t, "the first run", exitOK)
			predicted, changed := check.with("changed"), first.with("changed")
			if !slices.Equal(predicted, changed) || len(changed) != 6 {
				t.Errorf("check mode predicted %q, the run changed %q; expected all six tasks of both", predicted, changed)
			}
			wantLife(t, node, "/srv/life")
			r.run(t, "life.hcl").wantUnchanged(t, "the second run")
		})
	}
}

// newLife runs life.hcl as one account of the nodes.
func newLife(t *testing.T, n *nspawn.Nodes, account string, vars ...string) *runner {
	t.Helper()
	large := filepath.Join(n.Dir, "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("a line of a large file\n", 20000)), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, n, account)
	r.vars = append([]string{"large=" + large}, vars...)
	return r
}

// wantLife asserts the state that life.hcl describes.
func wantLife(t *testing.T, node *nspawn.Node, dir string) {
	t.Helper()
	wantOn(t, node, "cd "+dir+" && ls -A | LC_ALL=C sort | xargs", "0 1 10 11 2 3 4 5 6 7 8 9 large last slow")
	wantOn(t, node, "cat "+dir+"/11; wc -l <"+dir+"/large; tail -1 "+dir+"/large", "file 11\n20000\na line of a large file")
	wantOn(t, node, "dpkg-query -W e2e-unwanted 2>/dev/null", "")
}

// slowUpgrade is an upgrade that takes until the test ends it, or a minute.
var slowUpgrade = debianPackage{name: "e2e-slow", version: "2.0", files: map[string]string{
	"DEBIAN/postinst": "#!/bin/sh\n: >/run/e2e-upgrading\ntimeout 1200 sh -c 'until [ -e /run/e2e-go-on ]; do sleep 0.1; done'\n",
}}

// unattended makes apt-daily-upgrade.service upgrade from the test's repository, whatever its timestamps.
const unattended = `
printf 'deb [signed-by=/etc/apt/e2e.gpg] %s bookworm main\n' "$1" >/etc/apt/sources.list.d/e2e.list
printf '%s\n' 'APT::Periodic::Unattended-Upgrade "always";' '#clear Unattended-Upgrade::Origins-Pattern;' \
	'Unattended-Upgrade::Origins-Pattern { "origin=hlplay tests"; };' >/etc/apt/apt.conf.d/99e2e
apt-get -q update
systemctl start --no-block apt-daily-upgrade.service
timeout 1200 sh -c 'until [ -e /run/e2e-upgrading ]; do sleep 0.1; done' || { systemctl status apt-daily-upgrade.service; cat /var/log/unattended-upgrades/*; exit 1; } >&2`

// TestAptLock runs while Debian's unattended-upgrades upgrades a package and holds the package manager's lock. hlplay
// waits, names the holder if that takes too long, and continues when it has ended.
func TestAptLock(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1"}, Packages: []string{"unattended-upgrades"}})
	node := n.List[0]
	install(t, node, append(slices.Clone(installed), debianPackage{name: slowUpgrade.name, version: "1.0"}))
	repository, keyring := serveRepository(t, n)
	key, err := os.ReadFile(keyring)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.ExecInput(t.Context(), string(key), "sh", "-euc", "cat >/etc/apt/e2e.gpg"); err != nil {
		t.Fatal(err)
	}
	on(t, node, "sh", "-euc", unattended, "sh", repository)

	r := newLife(t, n, nspawn.Root)
	o := r.run(t, "life.hcl", "-e", "lock_timeout=2s")
	o.wantCode(t, "a run that does not wait for long", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "unattended-upgr") || !strings.Contains(failures, "lock_timeout") {
		t.Errorf("the error does not say who holds the lock and what to do:\n%s", failures)
	}
	t.Log(strings.TrimSpace(o.failures()))
	wantOn(t, node, "systemctl show --property ActiveState --value apt-daily-upgrade.service; dpkg-query -W -f '${Status} ${Version}' e2e-slow",
		"activating\ninstall ok half-configured 2.0")

	// The upgrade ends when the next run is waiting for it.
	ended := make(chan error, 1)
	go func() {
		_, err := node.Exec(t.Context(), "sh", "-euc", "timeout 1200 sh -c 'until pgrep -x apt-get >/dev/null; do sleep 0.1; done'; touch /run/e2e-go-on")
		ended <- err
	}()
	o = r.run(t, "life.hcl")
	if err := <-ended; err != nil {
		t.Errorf("nothing has waited for the lock: %v", err)
	}
	o.wantCode(t, "a run that has to wait for the lock", exitOK)
	wantLife(t, node, "/srv/life")
	wantOn(t, node, "dpkg-query -W -f '${Status} ${Version}' e2e-slow", "install ok installed 2.0")
	r.run(t, "life.hcl").wantUnchanged(t, "the run after that")
}

// TestFullDisk uses a target directory on a file system that is too small: there is one clear error and no half-written
// file, and the next run continues after space has been freed.
func TestFullDisk(t *testing.T) {
	n := startNodes(t, "node1")
	node := n.List[0]
	install(t, node, installed)
	shell(t, node, "mkdir /srv/small && mount -t tmpfs -o size=200k tmpfs /srv/small")
	r := newLife(t, n, nspawn.Admin, "directory=/srv/small")
	o := r.run(t, "life.hcl")
	o.wantCode(t, "a run against a full disk", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "/srv/small") || !strings.Contains(strings.ToLower(failures), "space") {
		t.Errorf("the error does not say that there is no space left in /srv/small:\n%s", failures)
	}
	wantOn(t, node, "ls -A /srv/small | LC_ALL=C sort | xargs", "0 1 10 11 2 3 4 5 6 7 8 9")
	shell(t, node, "mount -o remount,size=10m /srv/small")
	r.run(t, "life.hcl").wantCode(t, "the run after room was made", exitOK)
	wantLife(t, node, "/srv/small")
	r.run(t, "life.hcl").wantUnchanged(t, "the run after that")
}

// TestCutLink unplugs a node's cable in the middle of a run: that node is soon reported as unreachable, the others
// continue, and the next run converges.
func TestCutLink(t *testing.T) {
	n := startNodes(t, "node1", "node2")
	for _, node := range n.List {
		install(t, node, installed)
	}
	cut, whole := n.List[0], n.List[1]
	r := newLife(t, n, nspawn.Root, "pause=20")
	pulled := make(chan error, 1)
	go func() {
		_, err := cut.Exec(t.Context(), "sh", "-c", `timeout 1200 sh -c "until pgrep -x sleep >/dev/null; do :; done"`)
		pulled <- errors.Join(err, cut.CutLink(t.Context()))
	}()
	o := r.run(t, "life.hcl")
	if err := <-pulled; err != nil {
		t.Fatal(err)
	}
	o.wantCode(t, "a run whose connection is cut", exitUnreachable)
	if o.status["node1: slow command"] != "unreachable" {
		t.Errorf("the slow command on node1 is %q, expected unreachable:\n%s", o.status["node1: slow command"], o.text)
	}
	t.Logf("after %s: %s", o.took.Round(time.Second), strings.TrimSpace(o.failures()))
	wantLife(t, whole, "/srv/life")
	again := r.run(t, "life.hcl")
	again.wantCode(t, "a run while the cable is out", exitUnreachable)
	t.Logf("after %s: %s", again.took.Round(time.Second), strings.TrimSpace(again.failures()))
	if err := cut.RestoreLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cut.WaitUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.run(t, "life.hcl").wantCode(t, "the run after the cable is back", exitOK)
	wantLife(t, cut, "/srv/life")
	r.run(t, "life.hcl").wantUnchanged(t, "the run after that")
}

// TestChangedHostKey changes a host key: the connection is refused, whatever the flags.
func TestChangedHostKey(t *testing.T) {
	n := startNodes(t, "node1")
	node := n.List[0]
	r := newLife(t, n, nspawn.Root)
	shell(t, node, "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh")
	for _, flags := range [][]string{nil, {"--accept-new-host-keys"}} {
		o := r.run(t, "life.hcl", flags...)
		o.wantCode(t, "a run against a node with another host key", exitUnreachable)
		if failures := o.failures(); !strings.Contains(failures, "host key") || !strings.Contains(failures, "changed") {
			t.Errorf("with %q the error does not say that the host key has changed:\n%s", flags, failures)
		}
	}
	wantOn(t, node, "ls -d /srv/life 2>/dev/null", "")
}
