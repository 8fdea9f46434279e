//go:build linux && e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hlplay/engine/lab/nspawn"
)

// debianPackage is the content of a test package.
type debianPackage struct {
	name, version string
	fields        string            // additional control fields
	files         map[string]string // by path; DEBIAN/ contains maintainer scripts and the like
	links         map[string]string // targets of symbolic links by path
}

// testPackages are the packages in the repository.
var testPackages = []debianPackage{
	{name: "e2e-tool", version: "2.0", files: map[string]string{"usr/bin/e2e-tool": "#!/bin/sh\necho 2.0\n"}},
	{name: "e2e-daemon", version: "1.0", files: map[string]string{
		"lib/systemd/system/e2e-daemon.service": "[Unit]\nDescription=Daemon of the tests\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
		// As kernel packages do (update-notifier-common, unattended-upgrades).
		"DEBIAN/postinst": "#!/bin/sh\nset -e\ntouch /run/reboot-required\necho e2e-daemon >>/run/reboot-required.pkgs\n",
	}},
	{name: "e2e-question", version: "1.0", fields: "Depends: debconf\n", files: map[string]string{
		"DEBIAN/templates": "Template: e2e-question/colour\nType: string\nDefault: red\nDescription: Which colour?\n",
		"DEBIAN/config":    "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high e2e-question/colour || true\ndb_go || true\n",
		"DEBIAN/postinst":  "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_get e2e-question/colour\necho \"$RET\" >/etc/e2e-colour\n",
	}},
	slowUpgrade,
}

// installed are packages that are installed on a node before hlplay runs.
var installed = []debianPackage{
	{name: "e2e-tool", version: "1.0", files: map[string]string{"usr/bin/e2e-tool": "#!/bin/sh\necho 1.0\n"}},
	{name: "e2e-unwanted", version: "1.0", files: map[string]string{
		"etc/e2e-unwanted.conf": "setting\n", "DEBIAN/conffiles": "/etc/e2e-unwanted.conf\n",
	}},
}

// build builds the package's file in a directory.
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
		if strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") {
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
	for name, target := range p.links {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
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

// command runs a program on the host.
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

// archive is a directory of signed Debian repositories for the nodes.
type archive struct {
	dir     string
	keyring string   // the file with the key that signs them
	home    string   // gpg's directory
	gpg     []string // gpg arguments that select the key
}

func newArchive(t *testing.T, n *nspawn.Nodes) *archive {
	t.Helper()
	a := &archive{dir: filepath.Join(n.Dir, "repository"), keyring: filepath.Join(n.Dir, "e2e.gpg"), home: filepath.Join(n.Dir, "gpg")}
	for _, dir := range []string{a.dir, a.home} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	a.gpg = []string{"--homedir", a.home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}
	command(t, a.dir, "gpg", append(a.gpg, "--quick-generate-key", "tests@example.org", "rsa2048", "sign", "never")...)
	command(t, a.dir, "gpg", append(a.gpg, "--output", a.keyring, "--export")...)
	a.forgetAgent(t)
	return a
}

// forgetAgent ends the process that gpg leaves behind.
func (a *archive) forgetAgent(t *testing.T) {
	t.Helper()
	command(t, a.dir, "gpgconf", "--homedir", a.home, "--kill", "gpg-agent")
}

// publish creates a repository below a path, for Debian 12, with the packages (files in the archive's directory) of
// each component.
func (a *archive) publish(t *testing.T, under string, components map[string][]string) {
	t.Helper()
	dist := filepath.Join(a.dir, under, "dists/bookworm")
	names := slices.Sorted(maps.Keys(components))
	release := fmt.Sprintf("Origin: hlplay tests\nSuite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: %s\nDate: %s\nSHA256:\n", strings.Join(names, " "), time.Now().UTC().Format(time.RFC1123))
	for _, component := range names {
		var packages strings.Builder
		for _, file := range components[component] {
			content, err := os.ReadFile(filepath.Join(a.dir, file))
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(under, file) // apt requests it relative to the repository's address
			if under == "" {
				name, err = file, nil
			}
			if err != nil || strings.HasPrefix(name, "..") {
				t.Fatalf("%s is not below %s (%v)", file, under, err)
			}
			fmt.Fprintf(&packages, "%s\nFilename: %s\nSize: %d\nSHA256: %x\n\n", strings.TrimRight(command(t, a.dir, "dpkg-deb", "--field", file), "\n"), name, len(content), sha256.Sum256(content))
		}
		index := component + "/binary-amd64/Packages"
		path := filepath.Join(dist, index)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(packages.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		release += fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(packages.String())), packages.Len(), index)
	}
	if err := os.WriteFile(filepath.Join(dist, "Release"), []byte(release), 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, dist, "gpg", append(a.gpg, "--output", "InRelease", "--clearsign", "Release")...)
	a.forgetAgent(t)
}

// build builds packages below a path in the archive and returns their files.
func (a *archive) build(t *testing.T, under string, packages []debianPackage) (files []string) {
	t.Helper()
	dir := filepath.Join(a.dir, under)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		files = append(files, filepath.Join(under, filepath.Base(p.build(t, dir))))
	}
	return files
}

// fetch puts Debian's own packages and their dependencies below a path in the archive and returns their files.
func (a *archive) fetch(t *testing.T, n *nspawn.Nodes, under string, packages ...string) (files []string) {
	t.Helper()
	dir, err := n.Fetch(t.Context(), packages...)
	if err != nil {
		t.Fatal(err)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(a.dir, under), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, deb := range debs {
		content, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(under, filepath.Base(deb))
		if err := os.WriteFile(filepath.Join(a.dir, file), content, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// serve serves the archive on the nodes' network and returns its address. Port 0 means any.
func (a *archive) serve(t *testing.T, n *nspawn.Nodes, port int) string {
	t.Helper()
	listener, err := n.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(a.dir))}
	go server.Serve(listener) // ended by Close
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

// serveRepository serves a signed repository of testPackages on the nodes' network. It returns its address and the file
// with the signing key.
func serveRepository(t *testing.T, n *nspawn.Nodes) (address, keyring string) {
	t.Helper()
	a := newArchive(t, n)
	a.publish(t, "", map[string][]string{"main": a.build(t, "", testPackages)})
	return a.serve(t, n, 0), a.keyring
}

// install installs packages on a node with dpkg.
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
