//go:build linux && e2e

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/lab/nspawn"
)

// TestDaily runs the modules of daily work with the real programs, as an account whose sudo asks for a password, which
// comes from a file: check mode predicts the run, and a second run finds nothing to do. Then a package is asked for in
// versions that are older, held, not available, or provided by other packages.
func TestDaily(t *testing.T) {
	n := startNodesWith(t, nspawn.Options{Names: []string{"node1"}, Packages: dailyPackages})
	node := n.List[0]
	a := newArchive(t, n)
	a.publish(t, "", map[string][]string{"main": a.build(t, "", slices.Concat(testPackages, []debianPackage{
		{name: "e2e-tool", version: "1.0", files: map[string]string{"usr/bin/e2e-tool": "#!/bin/sh\necho 1.0\n"}},
		{name: "e2e-mailer", version: "1.0", fields: "Provides: e2e-mail-transport\n"},
		{name: "e2e-postman", version: "1.0", fields: "Provides: e2e-mail-transport\n"},
	}))})
	sums := map[string]string{}
	serve := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	serve("tool", []byte("#!/bin/sh\necho tool\n"))
	tree := t.TempDir()
	if err := os.MkdirAll(filepath.Join(tree, "tool-1.2/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "tool-1.2/bin/tool"), []byte("#!/bin/sh\necho 1.2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	serve("tool-1.2.tar.gz", []byte(command(t, tree, "tar", "-cz", "tool-1.2")))
	shell(t, node, `git init -q -b main /srv/origin.git && cd /srv/origin.git && echo one >page &&
git add page && git -c user.name=a -c user.email=a@example.org commit -qm one && git tag v1 && echo two >page && git -c user.name=a -c user.email=a@example.org commit -qam two`)

	r := newRunner(t, n, nspawn.Deploy)
	secret := filepath.Join(n.Dir, "sudo")
	if err := os.WriteFile(secret, []byte(r.password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.password = "" // nobody is there to be asked
	wrong := filepath.Join(n.Dir, "wrong")
	if err := os.WriteFile(wrong, []byte("not it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sumsJSON, err := json.Marshal(sums)
	if err != nil {
		t.Fatal(err)
	}
	r.vars = []string{"site=" + a.serve(t, n, 0), "keyring=" + a.keyring, "sums=" + string(sumsJSON)}

	none := r.run(t, "daily.hcl")
	none.wantCode(t, "a run without the password", exitFailed)
	bad := r.run(t, "daily.hcl", "--become-password-file", wrong)
	bad.wantCode(t, "a run with a wrong password", exitFailed)
	if text := bad.failures(); !strings.Contains(text, "password") || strings.Contains(text, "not it") {
		t.Errorf("the error does not say that the password is wrong, or shows it:\n%s", text)
	}
	asked := []string{"--become-password-file", secret}
	before := shell(t, node, managed)
	check := r.run(t, "daily.hcl", append(asked, "--check")...)
	check.wantCode(t, "check mode", exitOK)
	if after := shell(t, node, managed); after != before {
		t.Error("check mode has changed the node")
	}
	first := r.run(t, "daily.hcl", asked...)
	first.wantCode(t, "the first run", exitOK)
	for _, task := range first.with("changed") {
		if s := check.status[task]; s != "changed" && s != "uncertain" {
			t.Errorf("check mode did not predict %s: it is %q", task, s)
		}
	}
	for _, want := range []struct{ script, output string }{
		{"findmnt -no FSTYPE,SIZE,OPTIONS /srv/bulk | grep -o 'tmpfs\\|noatime\\|4M' | xargs; grep -c '^tmpfs /srv/bulk ' /etc/fstab", "tmpfs 4M noatime\n1"},
		{"hostname; cat /etc/hostname", "daily\ndaily"},
		{"getent group readers", "readers:x:4711:"},
		{"stat -c '%a %U' /etc/cron.d/daily; systemctl is-active cron", "644 root\nactive"},
		{"locale -a | grep -i de_de; grep LANG= /etc/default/locale", "de_DE.utf8\nLANG=de_DE.UTF-8"},
		{"cat /srv/bulk/unit; systemctl is-enabled daily.timer; systemctl is-active daily.timer", "done\nenabled\nactive"},
		{"cd /srv/bulk/site && find . -type f | sort | xargs; cat conf/name index.html", "./conf/name ./index.html\nserved by node1\n<h1>Daily</h1>"},
		{"tool; /opt/tool-1.2/bin/tool", "tool\n1.2"},
		{"cat /opt/site/page; git -C /opt/site describe --tags", "one\nv1"},
		{"tar -tzf /srv/bulk/site.tar.gz | grep -c .", "4"},
		{"e2e-tool; apt-mark showhold", "2.0\ne2e-tool"},
	} {
		wantOn(t, node, want.script, want.output)
	}
	r.run(t, "daily.hcl", asked...).wantUnchanged(t, "the second run")
	r.run(t, "daily.hcl", append(asked, "--check")...).wantUnchanged(t, "check mode of a converged node")

	r.vars = nil
	refused := func(what, wanted string, args ...string) {
		t.Helper()
		o := r.run(t, "exact.hcl", append(args, asked...)...)
		o.wantCode(t, what, exitFailed)
		if text := o.failures(); !strings.Contains(text, wanted) {
			t.Errorf("%s: the error does not say %q:\n%s", what, wanted, text)
		}
	}
	refused("an older version", "allow_downgrade = true", "-e", "package=e2e-tool=1.0")
	refused("a version that nobody offers", "in version 9*", "-e", "package=e2e-tool=9*")
	refused("a virtual package", "e2e-mailer, e2e-postman", "-e", "package=e2e-mail-transport")
	refused("a held package", "would change a held package", "-e", "package=e2e-tool=1.0", "-e", "downgrade=true")
	wantOn(t, node, "e2e-tool", "2.0")
	o := r.run(t, "exact.hcl", append(asked, "-e", "package=e2e-tool=1.*", "-e", "downgrade=true", "-e", "hold=true")...)
	o.wantCode(t, "an older version that is asked for", exitOK)
	wantOn(t, node, "e2e-tool; apt-mark showhold", "1.0\ne2e-tool")
	o = r.run(t, "exact.hcl", append(asked, "-e", "package=e2e-tool=2.*", "-e", "hold=false")...)
	o.wantCode(t, "a release and an upgrade", exitOK)
	wantOn(t, node, "e2e-tool; apt-mark showhold", "2.0")
}
