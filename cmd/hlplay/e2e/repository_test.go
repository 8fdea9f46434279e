//go:build linux && e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// debianPackage is what a package of the tests consists of.
type debianPackage struct {
	name, version string
	fields        string            // further fields of control
	files         map[string]string // by path; those of DEBIAN/ are maintainer scripts and the like
}

// testPackages are the packages in the repository.
var testPackages = []debianPackage{
	{name: "e2e-tool", version: "2.0", files: map[string]string{"usr/bin/e2e-tool": "#!/bin/sh\necho 2.0\n"}},
	{name: "e2e-daemon", version: "1.0", files: map[string]string{
		"lib/systemd/system/e2e-daemon.service": "[Unit]\nDescription=Daemon of the tests\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
		// As a kernel's package does (update-notifier-common, unattended-upgrades).
		"DEBIAN/postinst": "#!/bin/sh\nset -e\ntouch /run/reboot-required\necho e2e-daemon >>/run/reboot-required.pkgs\n",
	}},
	{name: "e2e-question", version: "1.0", fields: "Depends: debconf\n", files: map[string]string{
		"DEBIAN/templates": "Template: e2e-question/colour\nType: string\nDefault: red\nDescription: Which colour?\n",
		"DEBIAN/config":    "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high e2e-question/colour || true\ndb_go || true\n",
		"DEBIAN/postinst":  "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_get e2e-question/colour\necho \"$RET\" >/etc/e2e-colour\n",
	}},
	slowUpgrade,
}

// installed are packages that are on a node before hlplay sees it.
var installed = []debianPackage{
	{name: "e2e-tool", version: "1.0", files: map[string]string{"usr/bin/e2e-tool": "#!/bin/sh\necho 1.0\n"}},
	{name: "e2e-unwanted", version: "1.0", files: map[string]string{
		"etc/e2e-unwanted.conf": "setting\n", "DEBIAN/conffiles": "/etc/e2e-unwanted.conf\n",
	}},
}

// build makes the package's file in a directory.
func (p debianPackage) build(t *testing.T, dir string) (path string) {
	t.Helper()
	tree := filepath.Join(dir, p.name)
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Tests <tests@example.org>\n%sDescription: package of the end-to-end tests\n", p.name, p.version, p.fields)
	files := map[string]string{"DEBIAN/control": control}
	for name, content := range p.files {
		files[name] = content
	}
	for name, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(dir, p.name+"_"+p.version+"_all.deb")
	command(t, dir, "dpkg-deb", "--build", "--root-owner-group", "-Zgzip", tree, path)
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a program of the host's.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s\non Debian: apt-get install dpkg gpg gpg-agent", name, args, err, stderr.String())
	}
	return stdout.String()
}

// serveRepository serves a signed repository of testPackages on the nodes' network. It returns its
// address and the file with the key that signs it.
func serveRepository(t *testing.T, n *nspawn.Nodes) (address, keyring string) {
	t.Helper()
	dir := filepath.Join(n.Dir, "repository")
	index := "dists/bookworm/main/binary-all/Packages"
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(index)), 0o755); err != nil {
		t.Fatal(err)
	}
	var packages strings.Builder
	for _, p := range testPackages {
		path := p.build(t, dir)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&packages, "%sFilename: %s\nSize: %d\nSHA256: %x\n\n", command(t, dir, "dpkg-deb", "--field", path), filepath.Base(path), len(content), sha256.Sum256(content))
	}
	release := fmt.Sprintf("Origin: hlplay tests\nSuite: bookworm\nCodename: bookworm\nArchitectures: all amd64\nComponents: main\nDate: %s\nSHA256:\n", time.Now().UTC().Format(time.RFC1123))
	for name, content := range map[string]string{index: packages.String(), "dists/bookworm/main/binary-amd64/Packages": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		release += fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(content)), len(content), strings.TrimPrefix(name, "dists/bookworm/"))
	}
	if err := os.WriteFile(filepath.Join(dir, "dists/bookworm/Release"), []byte(release), 0o644); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(n.Dir, "gpg")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	keyring = filepath.Join(n.Dir, "e2e.gpg")
	gpg := []string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}
	command(t, dir, "gpg", append(gpg, "--quick-generate-key", "tests@example.org", "rsa2048", "sign", "never")...)
	command(t, dir, "gpg", append(gpg, "--output", keyring, "--export")...)
	command(t, dir, "gpg", append(gpg, "--output", "dists/bookworm/InRelease", "--clearsign", "dists/bookworm/Release")...)
	command(t, dir, "gpgconf", "--homedir", home, "--kill", "gpg-agent")

	listener, err := n.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir))}
	go server.Serve(listener) // ends with Close
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String(), keyring
}

// install puts packages on a node by dpkg.
func install(t *testing.T, node *nspawn.Node, packages []debianPackage) {
	t.Helper()
	for _, p := range packages {
		content, err := os.ReadFile(p.build(t, node.Dir()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := node.ExecInput(t.Context(), string(content), "sh", "-euc", "cat >/tmp/e2e.deb; dpkg --install /tmp/e2e.deb; rm /tmp/e2e.deb"); err != nil {
			t.Fatal(err)
		}
	}
}
