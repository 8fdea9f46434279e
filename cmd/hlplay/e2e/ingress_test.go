//go:build linux && e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hlplay/engine/lab/nspawn"
)

// TestIngress runs playbooks/ingress.hcl without Docker: Debian's Caddy, with certificates of its own authority, and frp,
// built from its source, publish services that listen on the other node's loopback interface only.
func TestIngress(t *testing.T) {
	release := frpRelease(t)
	n := startNodesWith(t, nspawn.Options{Names: []string{"edge", "guest"}, Packages: dailyPackages})
	edge, guest := n.List[0], n.List[1]
	a := newArchive(t, n)
	a.publish(t, "", map[string][]string{"main": a.fetch(t, n, "", "caddy")})
	serveAs(t, n, releases(release), "github.com")
	useArchive(t, n, a)
	serveText(t, guest, 8001, "plain")
	serveText(t, guest, 8002, "safe")

	r := newRunner(t, n, nspawn.Admin)
	resolveTo(t, n, edge, "plain.example.org", "safe.example.org", "more.example.org")
	const token = "0123456789abcdefA"
	r.vars = []string{
		"docker=false", "services_hosts=guest", "frp_token=" + token, `caddy_options=["local_certs", "skip_install_trust"]`,
		fmt.Sprintf(`frp_sha256={amd64="%x"}`, sha256.Sum256(release)),
	}
	run := func(flags ...string) outcome {
		t.Helper()
		return r.run(t, "../../playbooks/ingress.hcl", flags...)
	}
	foretold := func(what string, check, o outcome) {
		t.Helper()
		check.wantCode(t, "check mode of "+what, exitOK)
		o.wantCode(t, what, exitOK)
		for _, task := range o.with("changed") {
			if s := check.status[task]; s != "changed" && s != "uncertain" {
				t.Errorf("check mode of %s did not predict %s: it is %q", what, task, s)
			}
		}
	}
	answers := func(url, want string) {
		t.Helper()
		name := strings.Split(url, "://")[1]
		wantOn(t, edge, "curl -sS --cacert "+caddyRoot+" --connect-to "+name+"::127.0.0.1: "+url+"/", want)
	}

	// The controller cannot trust Caddy's authority before it exists.
	two := `{ name = "plain", url = "http://plain.example.org", port = 8001 }, { name = "safe", url = "https://safe.example.org", port = 8002 }`
	publishOn(t, r, n, two)
	check := run("--check", "--skip-tags", "outside")
	first := run("--skip-tags", "outside")
	foretold("the first run", check, first)
	root := filepath.Join(n.Dir, "root.crt")
	if err := os.WriteFile(root, []byte(shell(t, edge, "timeout 600 sh -c 'until cat "+caddyRoot+" 2>/dev/null; do sleep 1; done'")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.env = []string{"SSL_CERT_FILE=" + root}
	run().wantUnchanged(t, "the second run, which looks from outside")
	answers("http://plain.example.org", "plain")
	answers("https://safe.example.org", "safe")
	wantOn(t, edge, "systemctl is-enabled caddy frps; stat -c '%a %U' /etc/frp/frps.json", "enabled\nenabled\n600 root")

	// Another service is published: Caddy is reloaded, and not restarted.
	process := shell(t, edge, "systemctl show -P MainPID caddy")
	serveText(t, guest, 8003, "more")
	publishOn(t, r, n, two+`, { name = "more", url = "https://more.example.org", port = 8003 }`)
	check = run("--check", "--skip-tags", "outside")
	foretold("another service", check, run())
	answers("https://more.example.org", "more")
	wantOn(t, edge, "systemctl show -P MainPID caddy", process)
	run().wantUnchanged(t, "the run after that")

	// Caddy refuses an option before it is written, and a service that is down is told.
	before := shell(t, edge, "cat /etc/caddy/Caddyfile")
	o := run("-e", `caddy_options=["no_such_option"]`)
	o.wantCode(t, "an unknown option", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "no_such_option") {
		t.Errorf("the error does not say what Caddy refuses:\n%s", failures)
	}
	wantOn(t, edge, "cat /etc/caddy/Caddyfile", before)
	shell(t, guest, "systemctl stop text-8002.socket")
	o = run("--tags", "outside", "-e", "answers_within=1s")
	o.wantCode(t, "a service that is down", exitFailed)
	if failures := o.failures(); !strings.Contains(failures, "404") {
		t.Errorf("the error does not say what the front door answers:\n%s", failures)
	}
}

// TestIngressInContainers runs playbooks/ingress.hcl as it is, with Debian's Docker. The images have the names of the real
// ones, and contain Debian's Caddy and frp, built from its source.
func TestIngressInContainers(t *testing.T) {
	frp := frpPrograms(t)
	n := startNodesWith(t, nspawn.Options{Names: []string{"edge", "guest"}, Suite: "trixie", Packages: overlayPackages, SystemCalls: []string{"@keyring", "bpf"}})
	edge, guest := n.List[0], n.List[1]
	a := newArchive(t, n)
	a.publish(t, "", map[string][]string{"main": a.fetch(t, n, "", "docker.io", "docker-cli", "docker-compose")})
	registry := newRegistry(t, caddyImage(t, n, a),
		image{name: "fatedier/frps", tag: frpVersion, files: map[string]string{"usr/bin/frps": frp["frps"]}, entrypoint: []string{"/usr/bin/frps"}},
		image{name: "fatedier/frpc", tag: frpVersion, files: map[string]string{"usr/bin/frpc": frp["frpc"]}, entrypoint: []string{"/usr/bin/frpc"}})
	serveAs(t, n, registry, "registry-1.docker.io", "ghcr.io")
	useArchive(t, n, a)
	serveText(t, guest, 8001, "plain")
	resolveTo(t, n, edge, "plain.example.org")
	r := newRunner(t, n, nspawn.Admin)
	r.vars = []string{"services_hosts=guest", "frp_token=0123456789abcdefA"}
	publishOn(t, r, n, `{ name = "plain", url = "http://plain.example.org", port = 8001 }`)
	const playbook = "../../playbooks/ingress.hcl"
	check := r.run(t, playbook, "--check", "--skip-tags", "outside")
	check.wantCode(t, "check mode", exitOK)
	first := r.run(t, playbook)
	first.wantCode(t, "the first run", exitOK)
	for _, task := range first.with("changed") {
		if s := check.status[task]; s != "changed" {
			t.Errorf("check mode did not predict %s: it is %q", task, s)
		}
	}
	wantOn(t, edge, "docker ps --format '{{.Names}} {{.Image}}' | sort", "edge-caddy-1 caddy:2.10.0\nedge-frps-1 ghcr.io/fatedier/frps:"+frpVersion)
	r.run(t, playbook).wantUnchanged(t, "the second run")
}

// caddyImage returns an image with the name of Caddy's own that contains Debian's Caddy.
func caddyImage(t *testing.T, n *nspawn.Nodes, a *archive) image {
	t.Helper()
	dir := t.TempDir()
	for _, deb := range a.fetch(t, n, "caddy", "caddy") {
		command(t, a.dir, "dpkg-deb", "--extract", deb, dir)
	}
	files := map[string]string{}
	for _, name := range []string{"usr/bin/caddy", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libzstd.so.1"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			files[name] = string(content)
			continue
		}
		if files[name], err = n.List[0].Exec(t.Context(), "cat", "/"+name); err != nil {
			t.Fatal(err)
		}
	}
	return image{
		name: "library/caddy", tag: "2.10.0", files: files, env: []string{"PATH=/usr/bin", "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data"},
		command: []string{"caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"},
	}
}

// useArchive makes the archive the nodes' only source of packages.
func useArchive(t *testing.T, n *nspawn.Nodes, a *archive) {
	t.Helper()
	key, err := os.ReadFile(a.keyring)
	if err != nil {
		t.Fatal(err)
	}
	address := a.serve(t, n, 0)
	for _, node := range n.List {
		input(t, node, string(key), "cat >/etc/apt/keyrings/e2e.gpg; echo 'deb [signed-by=/etc/apt/keyrings/e2e.gpg] "+address+" bookworm main' >/etc/apt/sources.list; apt-get -q update")
	}
}

// resolveTo has names lead to a node, as DNS would, for programs in the nodes' network.
func resolveTo(t *testing.T, n *nspawn.Nodes, node *nspawn.Node, names ...string) {
	t.Helper()
	hosts := filepath.Join(n.Dir, "hosts")
	if err := os.WriteFile(hosts, []byte(node.Address.String()+" "+strings.Join(names, " ")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := n.Do(func() error { return unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, "") }); err != nil {
		t.Fatal(err)
	}
}

// publishOn gives the runner an inventory in which the node guest publishes services.
func publishOn(t *testing.T, r *runner, n *nspawn.Nodes, services string) {
	t.Helper()
	inventory, err := n.Inventory(nspawn.Admin)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(inventory)
	if err != nil {
		t.Fatal(err)
	}
	const head = "host \"guest\" {\n"
	changed := strings.Replace(string(text), head, head+"  vars = { publish = ["+services+"] }\n", 1)
	if err := os.WriteFile(inventory, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r.inventory = inventory
}

// caddyRoot is the certificate of the authority that Debian's Caddy creates.
const caddyRoot = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"

// input runs a shell command with an input on a node.
func input(t *testing.T, node *nspawn.Node, text, script string) {
	t.Helper()
	if _, err := node.ExecInput(t.Context(), text, "sh", "-euc", script); err != nil {
		t.Fatal(err)
	}
}

// serveText answers every HTTP request to a port of a node's loopback interface with a text.
func serveText(t *testing.T, node *nspawn.Node, port int, text string) {
	t.Helper()
	name := fmt.Sprintf("/etc/systemd/system/text-%d", port)
	input(t, node, fmt.Sprintf("[Socket]\nListenStream=127.0.0.1:%d\nAccept=yes\n", port), "cat >"+name+".socket")
	input(t, node, `[Service]
StandardInput=socket
ExecStart=/bin/sh -c 'while read -r line && [ "$$line" != "$$(printf "\\r")" ]; do :; done; printf "HTTP/1.0 200 OK\\r\\n\\r\\n`+text+`"'
`, "cat >"+name+"@.service; systemctl daemon-reload; systemctl start "+filepath.Base(name)+".socket")
}

const frpVersion = "v0.65.0" // as in playbooks/ingress.hcl

// frpPrograms builds frps and frpc from the source of frp, which the Go module proxy has.
func frpPrograms(t *testing.T) map[string]string {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", "github.com/fatedier/frp@"+frpVersion)
	download.Dir = t.TempDir()
	out, err := download.Output()
	if err != nil {
		t.Skipf("the source of frp cannot be downloaded: %v\n%s", err, out)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	if want := "h1:Wn8qjXXf+G7+czZB0o7Y4U7Ohy9q/LOAqzK5AVKEel4="; module.Sum != want {
		t.Fatalf("the source of frp has the checksum %s, expected %s", module.Sum, want)
	}
	dir := t.TempDir()
	t.Setenv("CGO_ENABLED", "0")
	command(t, module.Dir, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir+"/", "./cmd/frps", "./cmd/frpc")
	programs := map[string]string{}
	for _, name := range []string{"frps", "frpc"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		programs[name] = string(content)
	}
	return programs
}

// frpRelease returns an archive like that of frp's release.
func frpRelease(t *testing.T) []byte {
	t.Helper()
	programs := frpPrograms(t)
	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	files := tar.NewWriter(compressed)
	for name, content := range programs {
		top := "frp_" + strings.TrimPrefix(frpVersion, "v") + "_linux_amd64/"
		if err := files.WriteHeader(&tar.Header{Name: top + name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// releases serves frp's release as github.com does.
func releases(release []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/fatedier/frp/releases/download/"+frpVersion+"/frp_"+strings.TrimPrefix(frpVersion, "v")+"_linux_amd64.tar.gz", func(w http.ResponseWriter, _ *http.Request) { w.Write(release) })
	return mux
}

// serveAs serves HTTPS under the names of other hosts on the nodes, and has the nodes trust it.
func serveAs(t *testing.T, n *nspawn.Nodes, handler http.Handler, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := n.Listen(443)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	go server.ServeTLS(listener, "", "") // ended by Close
	t.Cleanup(func() { server.Close() })
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, node := range n.List {
		input(t, node, certificate, "cat >/usr/local/share/ca-certificates/e2e.crt; update-ca-certificates; echo "+nspawn.Controller+" "+strings.Join(names, " ")+" >>/etc/hosts")
	}
}
