package remote

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func TestHostKeyAlias(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	home := settings(t, "Host node\n  HostName 127.0.0.1\n  HostKeyAlias cluster-one\n")
	target := s.target("root", key)
	target.Address, target.KnownHosts = "node", filepath.Join(home, "known")
	o := Options{HostKeys: AcceptNew}
	mustDial(t, target, o)
	text, err := os.ReadFile(target.KnownHosts)
	if want := "cluster-one " + string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey())); err != nil || string(text) != want {
		t.Errorf("known_hosts is %q (%v), want %q", text, err, want)
	}
	mustDial(t, target, Options{})
	// Under its address the host is not known.
	settings(t, "Host node\n  HostName 127.0.0.1\n")
	unreachable(t, target, Options{}, "the host key is not known: [127.0.0.1]:")
}

// needKeygen skips the test unless ssh-keygen is installed, for comparison.
func needKeygen(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Fatal("there is no ssh-keygen to compare with: make setup installs it")
	}
}

// Matching of hosts agrees with ssh-keygen -F.
func TestKnownHostsAsSSHKeygen(t *testing.T) {
	needKeygen(t)
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey())))
	hosts := []string{"n1", "n1,n2", "N1.example", "*.example", "*,!n1", "!n1", "[n1]:2222", "[*]:2222", "*", "10.0.0.?", "fe80::1", "[fe80::1]:2222", "n1*"}
	var lines []string
	for _, h := range hosts {
		lines = append(lines, h+" "+public)
	}
	lines = append(lines, "# comment", "", "broken", "n1 1024 35 123456789", "  n1\t"+strings.ReplaceAll(public, " ", "\t")+" with a comment")
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hashedPath := filepath.Join(t.TempDir(), "hashed")
	if err := os.WriteFile(hashedPath, []byte("n1 "+public+"\n[n2]:2222 "+public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-H", "-f", hashedPath).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen -H: %v\n%s", err, out)
	}
	for _, file := range []string{path, hashedPath} {
		known, err := (&readOnce{read: map[string]readFiles{}}).load([]string{file})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"n1", "n2", "n10", "n1.example", "[n1]:2222", "[n2]:2222", "[n1.example]:22222", "10.0.0.7", "10.0.0.77", "fe80::1", "[fe80::1]:2222"} {
			out, _ := exec.Command("ssh-keygen", "-F", host, "-f", file).Output() // it fails if nothing is found
			var want, got []string
			for line := range strings.SplitSeq(string(out), "\n") {
				if _, number, ok := strings.Cut(line, "found: line "); ok {
					want = append(want, strings.TrimSpace(number))
				}
			}
			for _, l := range known.of(host) {
				got = append(got, fmt.Sprint(l.place.Line))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in %s (-ssh-keygen +hlplay):\n%s", host, filepath.Base(file), diff)
			}
		}
	}
}

// A line that cannot be parsed is skipped with a note, whatever is wrong with it, unless it may revoke a key.
func TestKnownHostsLinesThatDoNotParse(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	good, err := os.ReadFile(s.target("root", key).KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey())))
	for bad, accepted := range map[string]bool{
		"broken":                         true,
		"n1 ssh-ed25519":                 true,
		"n1 ssh-ed25519 ???":             true,
		"n1 ssh-rsa " + own[12:]:         true,
		"|1|x|y " + own:                  true,
		"|2|a " + own:                    true,
		"n1 1024 35 123456":              true,
		"\x00\xff\xfe":                   true,
		strings.Repeat("x", 200_000):     true,
		"@cert-authority * ssh-rsa AAAA": true,
		"n1 ssh-xmss@openssh.com " + "AAAAFHNzaC14bXNzQG9wZW5zc2guY29t": true,

		"@revoked * ssh-ed25519 ???":        false,
		"@revoked 127.0.0.1 ssh-rsa AAAA":   true, // another name than [127.0.0.1]:port
		"@revoked [127.0.0.1]:* x":          false,
		"@revoked":                          false,
		"@revoke * " + own:                  false,
		"@REVOKED * " + own:                 false,
		"@cert-authority @revoked * " + own: true,
		"@revoked @cert-authority * " + own: false,
		"@revoked * " + own:                 false,
		"@revoked other.example " + own:     false,
		"@revoked other.example x":          true,
	} {
		target := s.target("root", key)
		if err := os.WriteFile(target.KnownHosts, []byte(bad+"\n"+string(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Dial(bounded(t), target, plain())
		if err == nil {
			c.Close()
		}
		if (err == nil) != accepted {
			t.Errorf("%.80q: error %v, accepted should be %v", bad, err, accepted)
		}
		var u *UnreachableError
		if err != nil && (!errors.As(err, &u) || u.Hint == "" || !strings.Contains(err.Error(), target.KnownHosts+":1")) {
			t.Errorf("%.80q: error %v, want one with line and hint", bad, err)
		}
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("broken\n"+string(good)+"n1 ssh-rsa x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	notes, err := Check([]Target{{Name: "a", KnownHosts: file}, {Name: "b", KnownHosts: file}}, plain())
	want := []string{file + ":1 is skipped: it has no key: expected HOSTS, the kind of the key, and the key (and 1 more lines of this file)"}
	if diff := cmp.Diff(want, notes); diff != "" || err != nil {
		t.Errorf("notes (-want +got), error %v:\n%s", err, diff)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check([]Target{{Name: "a", KnownHosts: file}}, plain()); err == nil || !strings.Contains(err.Error(), "it is a FIFO") {
		t.Errorf("a FIFO as known_hosts: error %v", err)
	}
}

func FuzzKnownHosts(f *testing.F) {
	for _, seed := range []string{"n1 ssh-ed25519 AAAA", "@revoked * x", "|1|a|b c d", "@x", "", "#", "[a]:1,!b ssh-rsa AAAAB3NzaC1yc2E="} {
		f.Add(seed, "n1")
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		k := &knownKeys{}
		k.parse("known_hosts", []byte(text))
		for _, l := range k.of(host) {
			if l.key == nil || l.marker != "" && l.marker != authority {
				t.Fatalf("%q: line %d counts for %q", text, l.place.Line, host)
			}
		}
	})
}
