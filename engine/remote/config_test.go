package remote

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// beProxy is the environment variable that makes the test program a ProxyCommand, with host and port as arguments.
const beProxy = "HLPLAY_TEST_PROXY"

func TestMain(m *testing.M) {
	if os.Getenv(beProxy) == "" {
		os.Exit(m.Run())
	}
	c, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "proxy", os.Getpid())
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		c.Close()
	}()
	_, _ = io.Copy(os.Stdout, c)
}

// settings creates a home directory with an SSH configuration.
func settings(t *testing.T, config string) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// resolved returns the endpoint for a target.
func resolved(t *testing.T, target Target) (*endpoint, error) {
	t.Helper()
	r, err := newResolver(Options{})
	if err != nil {
		return nil, err
	}
	return r.resolve(target)
}

func TestProxyCommandIsTheConnection(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t, "id", "")
	s := newServer(t, key)
	pid := filepath.Join(t.TempDir(), "pid")
	settings(t, fmt.Sprintf("Host behind\n  HostName 127.0.0.1\n  ProxyCommand sh -c 'echo $$ >%s; exec env %s=1 %s %%h %%p'\n", pid, beProxy, self))
	target := s.target("root", key)
	target.Address = "behind"
	c := mustDial(t, target, Options{})
	if got := ask(t, c, Query{Script: "printf here"}); string(got[0].Stdout) != "here" {
		t.Errorf("through the proxy: %q", got[0].Stdout)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	var process int
	fmt.Sscan(string(text), &process)
	c.Close()
	for deadline := bounded(t); syscall.Kill(process, 0) == nil; {
		select {
		case <-deadline.Done():
			t.Fatalf("the proxy %d is still there", process)
		case <-time.After(time.Millisecond):
		}
	}
}

// A proxy that prints nothing, one that does not end by itself, and one that does not start.
func TestProxyCommandThatFails(t *testing.T) {
	settings(t, "Host silent\n  ProxyCommand sleep 1000\nHost none\n  ProxyCommand /nonesuch %h\nHost rude\n  ProxyCommand echo HTTP/1.1 400\n")
	o := Options{DialTimeout: 50 * time.Millisecond}
	unreachable(t, Target{Name: "node", Address: "silent"}, o, "no answer within 50ms through its ProxyCommand at", "config:2", "by hand: sleep 1000")
	unreachable(t, Target{Name: "node", Address: "none"}, Options{}, "brought no connection", "config:4", "/nonesuch")
	unreachable(t, Target{Name: "node", Address: "rude"}, Options{}, "node")
}

// The tokens of ProxyJump are those of the host behind the jump host.
func TestTokensOfProxyJump(t *testing.T) {
	settings(t, "Host gate-n1.example\n  Port 2200\nHost n1\n  HostName %h.example\n  Port 2201\n  User carol\n  ProxyJump %r@gate-%h,%%%n:%p\n")
	e, err := resolved(t, Target{Name: "node", Address: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, hop := range e.via {
		got = append(got, hop.user+"@"+hop.address())
	}
	if len(got) != 2 || got[0] != "carol@gate-n1.example:2200" || !strings.HasSuffix(got[1], "@%n1:2201") {
		t.Errorf("by way of %q", got)
	}
}

// Values that a shell would not read as a plain name are not passed to it.
func TestProxyCommandTakesOnlyNames(t *testing.T) {
	settings(t, "Host *\n  ProxyCommand nc %h %p\n")
	for _, target := range []Target{{Address: "a;touch x"}, {Address: "$(id)"}, {Address: "-oProxyCommand=x"}, {Address: "n1", User: "a`b`"}, {Address: "a b"}} {
		target.Name = "node"
		if _, err := resolved(t, target); err == nil || !strings.Contains(err.Error(), "config:2") {
			t.Errorf("%+v: error %v", target, err)
		}
	}
}

func TestTokensAndFiles(t *testing.T) {
	home := settings(t, `
Host n1
  HostName %h.example
  User carol
  Port 2200
  HostKeyAlias Cluster-One
  IdentityFile ~/.ssh/%r@%h-%n-%p
  IdentityFile "%d/my key"
  IdentityFile ${EXTRA}/100%%
  UserKnownHostsFile ~/k1 "%d/k %k"
  GlobalKnownHostsFile none
  IdentityAgent ~/agent-%u
  IdentitiesOnly yes
  AddressFamily inet
Host none
  UserKnownHostsFile none
  IdentityFile none
  IdentityAgent none
`)
	t.Setenv("EXTRA", "/extra %h")
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	e, err := resolved(t, Target{Name: "node", Address: "n1", Keys: []string{"~/own"}})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := newResolver(Options{})
	type found struct {
		Address, User, Network, KeyName, Agent, New string
		Keys, Known                                 []string
		Only                                        bool
	}
	want := found{
		"n1.example:2200", "carol", "tcp4", "cluster-one", home + "/agent-" + r.local, home + "/k1",
		[]string{home + "/own", home + "/.ssh/carol@n1.example-n1-2200", home + "/my key", "/extra %h/100%"},
		[]string{home + "/k1", home + "/k cluster-one"}, true,
	}
	if diff := cmp.Diff(want, found{e.address(), e.user, e.network, e.keyName, e.agent, e.newKeys, e.keys, e.knownHosts, e.identitiesOnly}); diff != "" {
		t.Errorf("n1 (-want +got):\n%s", diff)
	}
	e, err = resolved(t, Target{Name: "node", Address: "none"})
	if err != nil || e.agent != "" || len(e.keys) != 0 || !e.noDefaults || e.newKeys != "" {
		t.Errorf("none: %+v (%v)", e, err)
	}
	// The inventory takes precedence over all of that.
	e, err = resolved(t, Target{Name: "node", Address: "n1", User: "erin", Port: 22, KnownHosts: "/own"})
	if err != nil || e.user != "erin" || e.port != 22 || e.newKeys != "/own" || len(e.knownHosts) != 1 {
		t.Errorf("with an inventory: %+v (%v)", e, err)
	}
}

func TestConfigRefused(t *testing.T) {
	for config, want := range map[string]string{
		"CanonicalizeHostname yes":                 "full name",
		"CanonicalizeHostname always":              "full name",
		"CanonicalizePermittedCNAMEs *.a:*.b":      "full name",
		"BindInterface eth0":                       "use BindAddress",
		"ProxyUseFdpass yes\nProxyCommand x":       "standard streams",
		"RevokedHostKeys ~/revoked":                "@revoked",
		"KnownHostsCommand /bin/keys %H":           "write the keys into known_hosts",
		"StrictHostKeyChecking maybe":              "want yes, ask, accept-new or no",
		"CertificateFile ~/.ssh/%C-cert.pub":       "%C is not a token here",
		"Port 70000":                               "from 1 to 65535",
		"AddressFamily ipv6":                       "any, inet or inet6",
		"HostName %p":                              "%p is not a token here",
		"IdentityFile ~/.ssh/%C":                   "%C is not a token here",
		"ConnectTimeout soon":                      "want a time such as 60",
		"ConnectTimeout 99999999999999999999":      "want a time such as 60",
		"ConnectTimeout 9999999999999w":            "want a time such as 60",
		"UserKnownHostsFile ${NONESUCH_VARIABLE}":  "no such variable",
		"ProxyCommand nc %h %z":                    "%z is not a token here",
		"ProxyJump a:b":                            `port "b"`,
		"Match host":                               "Match host needs an argument",
		"Match all host n1":                        "cannot be combined",
		"IdentityFile 'open":                       "the closing quote is missing",
		"Port":                                     "Port needs a value",
		"HostNme 10.0.0.9":                         "ssh knows no option hostnme: did you mean hostname?",
		"Host other\n  ProxyJmp gate":              "did you mean proxyjump?",
		"IgnoreUnknown a*\nZzzzzzzz 1":             "write IgnoreUnknown zzzzzzzz above it",
		"IdentitiesOnly maybe":                     "want yes or no",
		"ProxyJump gate-%i":                        "%i is not a token here",
		"Host other\n  HostName a b":               "hostname takes one value, and this line has 2",
		"User # of this host":                      "user needs a value",
		"Host n1\n  ProxyJump n1":                  "does a host jump through itself",
		"Include ~nonesuch-user-of-this-host/conf": "nonesuch-user",
	} {
		settings(t, config+"\n")
		_, err := Check([]Target{{Name: "node", Address: "n1"}}, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/.ssh/config:") {
			t.Errorf("%s: error %v, want one with a line that says %q", config, err, want)
		}
	}
	for _, config := range []string{"CanonicalizeHostname no", "CanonicalizeHostname false", "ProxyUseFdpass false", "IdentitiesOnly true", "UseRoaming no", "IgnoreUnknown Zz*\nZzz 1", "BindInterface none", "RevokedHostKeys none", "ProxyUseFdpass no", "KnownHostsCommand none", "ConnectTimeout none", "ConnectTimeout 0", "ConnectTimeout 1h30M5", "StrictHostKeyChecking yes", "StrictHostKeyChecking ask", "UserKnownHostsFile /dev/null", "Ciphers x\nServerAliveInterval 7\nControlPath ~/c-%C"} {
		settings(t, config+"\n")
		if notes, err := Check([]Target{{Name: "node", Address: "n1"}}, Options{}); err != nil || len(notes) > 0 {
			t.Errorf("%s: error %v, notes %q", config, err, notes)
		}
	}
	settings(t, "CanonicalizeHostname yes\n")
	if _, err := Check([]Target{{Name: "node", Address: "10.0.0.1"}}, Options{}); err != nil {
		t.Errorf("an address has no canonical name: %v", err)
	}
}

// An unknown host is trusted if the configuration says so, with a note that names the line. A host whose key has
// changed is never trusted.
func TestStrictHostKeyChecking(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	for value, trusts := range map[string]bool{"yes": false, "ask": false, "accept-new": true, "no": true, "OFF": true} {
		settings(t, "Host other\n  StrictHostKeyChecking no\nHost 127.0.0.1\n  StrictHostKeyChecking "+value+"\n")
		target := s.target("root", key)
		target.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
		o := plain()
		o.SSHConfig = ""
		notes, err := Check([]Target{target}, o)
		said := len(notes) == 1 && strings.Contains(notes[0], "/.ssh/config:4: StrictHostKeyChecking "+value+": the key of a host that is seen for the first time is trusted")
		if err != nil || said != trusts || len(notes) > 1 {
			t.Errorf("%s: notes %q, error %v", value, notes, err)
		}
		if !trusts {
			unreachable(t, target, o, "not known")
			continue
		}
		mustDial(t, target, o)
		if text, err := os.ReadFile(target.KnownHosts); err != nil || strings.Count(string(text), "\n") != 1 {
			t.Errorf("%s: known_hosts is %q (%v), want one line", value, text, err)
		}
		name := knownhosts.Normalize(net.JoinHostPort(target.Address, strconv.Itoa(target.Port)))
		changed := name + " " + string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey()))
		if err := os.WriteFile(target.KnownHosts, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		unreachable(t, target, o, "has changed")
	}
}

// A certificate is enough to log in where its key is not known: one that is configured, or one next to its key.
func TestCertificates(t *testing.T) {
	key, authority, other := newKey(t, "id", ""), newKey(t, "ca", ""), newKey(t, "other", "")
	signer, err := ssh.ParsePrivateKey(readFile(t, authority.path))
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	certify := func(path string) {
		cert := &ssh.Certificate{Key: key.public, CertType: ssh.UserCert, ValidPrincipals: []string{me.Username}, ValidBefore: ssh.CertTimeInfinity}
		if err := cert.SignCert(rand.Reader, signer); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca := filepath.Join(t.TempDir(), "ca.pub")
	if err := os.WriteFile(ca, ssh.MarshalAuthorizedKey(authority.public), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newOpenSSH(t, other, "TrustedUserCAKeys "+ca)
	named := filepath.Join(t.TempDir(), "named")
	o := plain()
	o.SSHConfig = ""
	var remarks []string
	o.Remark = func(text string) { remarks = append(remarks, text) }

	settings(t, "Host *\n  CertificateFile "+named+"\n")
	unreachable(t, s.target(t, key), o, "no key was accepted")
	if !slices.ContainsFunc(remarks, func(text string) bool { return strings.Contains(text, "certificate "+named) }) {
		t.Errorf("remarks %q, want one on the certificate that is not there", remarks)
	}
	certify(named)
	mustDial(t, s.target(t, key), o)

	settings(t, "")
	unreachable(t, s.target(t, key), o, "no key was accepted")
	certify(key.path + "-cert.pub")
	mustDial(t, s.target(t, key), o)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Conditions that depend on programs or the system are not evaluated. A note says so once, and only if nothing else
// decides.
func TestBlocksThatAreNotJudged(t *testing.T) {
	settings(t, "Match exec true\n  Port 1\nMatch !exec true\n  Port 2\nMatch host other localnetwork 10.0.0.0/8\n  Port 3\n"+
		"Match sessiontype shell\n  Port 4\nMatch tagged web\n  Port 5\nMatch newword x y\n  Port 6\n")
	notes, err := Check([]Target{{Name: "a", Address: "n1"}, {Name: "b", Address: "n2"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, note := range notes {
		_, note, _ = strings.Cut(note, "/.ssh/")
		lines = append(lines, note)
	}
	says := "hlplay does not evaluate Match "
	want := []string{"config:1: " + says + "exec: the block is skipped", "config:3: " + says + "exec: the block is skipped",
		"config:7: " + says + "sessiontype: the block is skipped", "config:11: " + says + "newword: the block is skipped"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if e, err := resolved(t, Target{Name: "a", Address: "n1"}); err != nil || e.port != 22 {
		t.Errorf("port %d, %v", e.port, err)
	}
}

// Relative includes are below ~/.ssh, and included files must not be writable by others.
func TestIncludes(t *testing.T) {
	home := settings(t, "Include conf.d/*\nPort 1\n")
	if err := os.Mkdir(filepath.Join(home, ".ssh", "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	included := filepath.Join(home, ".ssh", "conf.d", "a")
	if err := os.WriteFile(included, []byte("Port 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := resolved(t, Target{Name: "n1"}); err != nil || e.port != 7 {
		t.Errorf("port %v, %v", e, err)
	}
	if err := os.Chmod(included, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := resolved(t, Target{Name: "n1"}); err == nil || !strings.Contains(err.Error(), "is writable by others") {
		t.Errorf("a file that others write to: error %v", err)
	}
	if err := os.Remove(included); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(included, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := resolved(t, Target{Name: "n1"}); err == nil || !strings.Contains(err.Error(), "it is a FIFO") {
		t.Errorf("a FIFO: error %v", err)
	}
}
