package remote

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// hostCertificate returns a signer that shows a host certificate for its key.
func hostCertificate(t *testing.T, host, authority ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hashedName returns a name as ssh-keygen hashes it.
func hashedName(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(name+" "+string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey()))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-H", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen -H: %v\n%s", err, out)
	}
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(line))[0]
}

// A key of a type other than the known one counts as a changed key, even if the host has no key of the known type.
func TestHostWithoutTheKnownKey(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	known := newRSAKey(t, "known", "").public
	target := s.target("root", key)
	target.KnownHosts = writeKnownHosts(t, s.port(), known)
	o := plain()
	o.HostKeys = AcceptNew
	unreachable(t, target, o, "the host key has changed: "+target.KnownHosts+":1 has ssh-rsa", "only ssh-ed25519", "ssh-keygen -f")
}

// Nor is a key a changed one if only the name without the port has another: it may be that of another host behind this address.
func TestKeyOfTheNameWithoutPort(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	other := newRSAKey(t, "other", "").public
	target := s.target("root", key)
	if err := os.WriteFile(target.KnownHosts, append([]byte("127.0.0.1 "), ssh.MarshalAuthorizedKey(other)...), 0o600); err != nil {
		t.Fatal(err)
	}
	unreachable(t, target, plain(), "the host key is not known")
	o := plain()
	o.HostKeys = AcceptNew
	mustDial(t, target, o)
	mustDial(t, target, plain())
}

// Where only an authority is known, a plain key is that of a new host, and not a changed one.
func TestPlainKeyBesideAnAuthority(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	target := s.target("root", key)
	authority := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey()))
	if err := os.WriteFile(target.KnownHosts, []byte(authority), 0o600); err != nil {
		t.Fatal(err)
	}
	unreachable(t, target, plain(), "the host key is not known")
	o := plain()
	o.HostKeys = AcceptNew
	mustDial(t, target, o)
	mustDial(t, target, plain())
}

// A host is trusted where ssh trusts it, by certificates, wildcards, hashed names, ports, revoked keys and broken lines.
func TestKnownHostsAsSSH(t *testing.T) {
	needKeygen(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	edKey, authority, stranger := newSigner(t), newSigner(t), newSigner(t)
	text := func(s ssh.Signer) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) }
	ed, rs, ca, no := text(edKey), text(rsaKey), text(authority), text(stranger)
	key := newKey(t, "id", "")
	serve := func(keys ...ssh.Signer) *server {
		return newServer(t, key, func(s *server) {
			s.config = &ssh.ServerConfig{PublicKeyCallback: s.config.PublicKeyCallback}
			for _, k := range keys {
				s.config.AddHostKey(k)
			}
		})
	}
	certified := func(host, by ssh.Signer, change func(*ssh.Certificate)) *server {
		return serve(hostCertificate(t, host, by, change), host)
	}
	servers := map[string]*server{
		"a key":               serve(edKey),
		"both keys":           serve(edKey, rsaKey),
		"a certificate":       certified(edKey, authority, nil),
		"one of an RSA key":   certified(rsaKey, authority, nil),
		"one of a stranger":   certified(edKey, stranger, nil),
		"one without names":   certified(edKey, authority, func(c *ssh.Certificate) { c.ValidPrincipals = nil }),
		"one of another host": certified(edKey, authority, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"n1"} }),
		"one that expired":    certified(edKey, authority, func(c *ssh.Certificate) { c.ValidBefore = 1_700_000_000 }),
		"one of a user":       certified(edKey, authority, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }),
	}
	files := map[string]string{
		"an RSA key":               "NAME " + rs + "\n",
		"both keys":                "NAME " + rs + "\nNAME " + ed + "\n",
		"another key too":          "NAME " + no + "\nNAME " + ed + "\n",
		"no port":                  "127.0.0.1 " + ed + "\n",
		"CRLF":                     "# c\r\nNAME " + ed + " comment\r\n\r\n@revoked other " + no + "\r\n",
		"blanks":                   " \t NAME \t " + strings.Replace(ed, " ", " \t", 1) + " \t x",
		"a BOM":                    "\ufeffNAME " + ed + "\n",
		"a hashed name":            "HASHED " + ed + "\n",
		"a hash with more":         "HASHED= " + ed + "\n",
		"wildcards":                "127.*,[127.?.0.1]:* " + ed + "\n",
		"a negated name":           "*,!NAME " + ed + "\n",
		"empty patterns":           ",NAME, " + ed + "\n",
		"an authority":             "@cert-authority NAME " + ca + "\n",
		"one of all":               "@cert-authority * " + ca + "\n",
		"one without port":         "@cert-authority 127.0.0.* " + ca + "\n",
		"one of another host":      "@cert-authority n1 " + ca + "\n",
		"one with a hashed name":   "@cert-authority HASHED " + ca + "\n",
		"one and a key":            "@cert-authority * " + ca + "\nNAME " + ed + "\n",
		"one and an RSA key":       "@cert-authority * " + ca + "\nNAME " + rs + "\n",
		"another and a key":        "@cert-authority * " + no + "\nNAME " + ed + "\n",
		"two":                      "@cert-authority * " + no + "\n@cert-authority NAME " + ca + "\n",
		"an authority's key":       "NAME " + ca + "\n",
		"a revoked authority":      "@cert-authority * " + ca + "\n@revoked * " + ca + "\n",
		"a revoked key":            "@cert-authority * " + ca + "\n@revoked * " + ed + "\n",
		"one with a hashed name 2": "NAME " + ed + "\r\n@revoked HASHED " + ed + "\r\n",
		"broken lines before":      "NAME ssh-ed25519 AAA\nNAME\n\x00\nNAME ssh-dss AAAAB3NzaC1kc3M=\nNAME " + ed + "\n",
		"broken lines behind":      "NAME " + ed + "\nNAME ssh-ed25519 !!!!\nNAME ssh-rsa " + strings.Fields(ed)[1] + "\n",
		"base64 cut":               "NAME " + ed[:len(ed)-4] + "\n",
		"a key with more":          "NAME ssh-ed25519 " + base64.StdEncoding.EncodeToString(append(edKey.PublicKey().Marshal(), 0)) + "\n",
		"a marker in capitals":     "@Cert-Authority * " + ca + "\n",
		"a long line":              "NAME " + ed + strings.Repeat(" x", 40_000) + "\n",
		"many lines":               strings.Repeat("n1,n2 "+no+"\n", 3000) + "NAME " + ed + "\n",
	}
	for kind, s := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("[127.0.0.1]:%d", s.port())
			replace := strings.NewReplacer("NAME", name, "HASHED", hashedName(t, name))
			for of, content := range files {
				if strings.HasPrefix(kind, "one ") && !strings.Contains(content, "@") {
					continue // certificates do not matter
				}
				target := s.target("root", key)
				if err := os.WriteFile(target.KnownHosts, []byte(replace.Replace(content)), 0o600); err != nil {
					t.Fatal(err)
				}
				out, refused := exec.Command("ssh", "-F", "none", "-o", "UserKnownHostsFile="+target.KnownHosts, "-o", "GlobalKnownHostsFile=none",
					"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "UpdateHostKeys=no",
					"-i", key.path, "-p", fmt.Sprint(s.port()), "root@127.0.0.1", "true").CombinedOutput()
				c, err := Dial(bounded(t), target, plain())
				if err == nil {
					c.Close()
				}
				if (err == nil) != (refused == nil) {
					t.Errorf("known_hosts with %s: error %v; ssh: %v, %s", of, err, refused, out)
				}
			}
		})
	}
}
