package pve

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

func TestHA(t *testing.T) {
	verbose := string(modulestest.Recorded(t, "ha-manager-status-verbose.txt").Stdout)
	_, all, _ := strings.Cut(verbose, "full cluster state:\n")
	var state map[string]json.RawMessage
	if err := json.Unmarshal([]byte(all), &state); err != nil {
		t.Fatal(err)
	}
	got, err := parseHA(ParseFiles(mountedAnswer(map[string]string{
		ResourcesFile: string(modulestest.Recorded(t, "cat-ha-resources.cfg.txt").Stdout), GroupsFile: string(modulestest.Recorded(t, "cat-ha-groups.cfg.txt").Stdout),
		RulesFile: string(modulestest.Recorded(t, "cat-ha-rules.cfg.txt").Stdout), statusFile: string(state["manager_status"]),
	})))
	if err != nil {
		t.Fatal(err)
	}
	want := HA{
		Resources: map[string]Resource{
			"vm:100": {State: "started", MaxRestart: 3, MaxRelocate: 1, Failback: true, Comment: "two words"},
			"vm:101": {State: "stopped", MaxRestart: 1, MaxRelocate: 1, Failback: true},
		},
		Groups: map[string]Group{
			"g1": {Nodes: map[string]int{"pve1": 0, "pve2": 0, "pve3": 0}, Restricted: true, NoFailback: true},
			"g2": {Nodes: map[string]int{"pve9": 0}},
		},
		Rules: map[string]Rule{
			"keep-on-12": {Type: "node-affinity", Nodes: map[string]int{"pve1": 0, "pve2": 0}, Resources: map[string]bool{"vm:100": true}, Strict: true},
			"apart": {Type: "resource-affinity", Nodes: map[string]int{}, Affinity: "negative",
				Resources: map[string]bool{"vm:100": true, "vm:101": true}},
		},
		Nodes:    map[string]string{"pve1": "online", "pve2": "online", "pve3": "online"},
		Services: map[string]Service{"vm:100": {Node: "pve1", State: "started", Running: true}, "vm:101": {Node: "pve1", State: "stopped"}},
	}
	if diff := cmp.Diff(want, got, otherThanDigests); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// otherThanDigests ignores what TestDigests checks.
var otherThanDigests = cmpopts.IgnoreFields(HA{}, "Digests")

// The states of services as a real manager wrote them: a service that has yet to start is not running.
func TestServicesOfALivingManager(t *testing.T) {
	for name, want := range map[string]map[string]Service{
		"starting-locked": {"vm:100": {Node: "pve1", State: "started", Running: true}, "vm:190": {Node: "pve1", State: "started"}},
		"error-locked":    {"vm:100": {Node: "pve1", State: "started", Running: true}, "vm:190": {Node: "pve1", State: "started", Failed: []string{"pve1"}}},
		"after-disabled":  {"vm:100": {Node: "pve1", State: "started", Running: true}, "vm:190": {Node: "pve1", State: "request_stop", Failed: []string{"pve1"}}},
	} {
		status, _, _ := strings.Cut(string(modulestest.Recorded(t, "manager_status."+name+".txt").Stdout), "\n")
		got, err := parseHA(ParseFiles(mountedAnswer(map[string]string{statusFile: status})))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Services); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestHADetails(t *testing.T) {
	got, err := parseHA(ParseFiles(mountedAnswer(map[string]string{
		ResourcesFile: "vm: 100\n\tcomment a%3Ab\n\tfailback 0\n\tstate enabled\n\nct: 101\n",
		RulesFile:     "node-affinity: r\n\tdisable\n\tnodes pve1:2,pve2\n\tresources vm:100\n\n",
	})))
	if err != nil {
		t.Fatal(err)
	}
	want := emptyHA()
	want.Resources["vm:100"] = Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Comment: "a:b"}
	want.Resources["ct:101"] = Resource{State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true}
	want.Rules["r"] = Rule{Type: "node-affinity", Nodes: map[string]int{"pve1": 2, "pve2": 0}, Resources: map[string]bool{"vm:100": true}, Disabled: true}
	if diff := cmp.Diff(want, got, otherThanDigests); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStorages(t *testing.T) {
	got, err := parseStorages([]byte("dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\n# a remark\nrbd: vm-disks\n\tcontent rootdir,images\n\tkrbd 0\n\tpool vm-disks\n\tdisable\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Storage{
		"local":    {Type: "dir", Options: map[string]string{"path": "/var/lib/vz", "content": "iso,vztmpl,backup"}},
		"vm-disks": {Type: "rbd", Options: map[string]string{"content": "rootdir,images", "krbd": "0", "pool": "vm-disks", "disable": "1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	implicit, err := parseStorages(nil)
	if err != nil || implicit["local"].Type != "dir" {
		t.Errorf("without storage.cfg: %v, %v; want the implicit storage local", implicit, err)
	}
	for _, bad := range []string{"\tpath /x\n", "no header\n", "dir:\n"} {
		if _, err := parseStorages([]byte(bad)); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
}

// hashName returns a host name as written by ssh-keygen -H.
func hashName(name, salt string) string {
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha1.New, raw)
	mac.Write([]byte(name))
	return "|1|" + salt + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestTrust(t *testing.T) {
	// ssh-keygen -H writes names like the second line: HMAC-SHA1 of the name with a salt.
	hashed := hashName("10.0.0.11", "c2FsdHNhbHRzYWx0c2FsdHM=")
	known := "pve9 ssh-rsa AAAAnine\n10.0.0.11 ssh-rsa AAAAold\n" + hashed + " ssh-ed25519 AAAAed\n"
	trust, err := parseTrust([]remote.Answer{
		text("ssh-rsa AAAAmine root@pve2\n"), text("# people\nfrom=\"10.0.0.0/8\" ssh-ed25519 AAAAann ann\nssh-rsa AAAAbob bob"), text(known),
		text("ssh-rsa AAAAhost root@pve2\nssh-ed25519 AAAAhost2 root@pve2\n"), text("private\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Trust{
		PublicKey: "ssh-rsa AAAAmine root@pve2", PrivateKey: true, AuthorizedOpen: true, AuthorizedEnd: "\n", Known: known,
		Authorized: []string{`from="10.0.0.0/8" ssh-ed25519 AAAAann ann`, "ssh-rsa AAAAbob bob"},
		HostKeys:   []string{"ssh-ed25519 AAAAhost2", "ssh-rsa AAAAhost"},
	}
	if diff := cmp.Diff(want, trust); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	missing := trust.Missing([]string{"ssh-ed25519 AAAAann other-comment", "ssh-rsa AAAAnew x", "ssh-rsa AAAAnew again"})
	if diff := cmp.Diff([]string{"ssh-rsa AAAAnew x"}, missing); diff != "" {
		t.Errorf("missing keys -want +got:\n%s", diff)
	}
	got := trust.Knowing("10.0.0.11", []string{"ssh-ed25519 AAAAed", "ssh-rsa AAAAtrue"})
	wantKnown := "pve9 ssh-rsa AAAAnine\n" + hashed + " ssh-ed25519 AAAAed\n10.0.0.11 ssh-rsa AAAAtrue\n"
	if diff := cmp.Diff(wantKnown, got); diff != "" {
		t.Errorf("known_hosts: the stale key goes, the hashed one stays, the missing one comes; -want +got:\n%s", diff)
	}
	if again := (Trust{Known: got}).Knowing("10.0.0.11", []string{"ssh-ed25519 AAAAed", "ssh-rsa AAAAtrue"}); again != got {
		t.Errorf("knowing twice changes the file again:\n%s", cmp.Diff(got, again))
	}
}

func TestInstalledExpectations(t *testing.T) {
	ctx := context.Background()
	bare := observe.NewRecorded("pve1", Nodes.Expect("", Node{Name: "pve1", Codename: "trixie"}), observe.Files.Expect(database, observe.File{}))
	expect, err := InstalledExpectations(ctx, bare)
	if err != nil {
		t.Fatal(err)
	}
	bare.Predict(expect)
	c, err := Clusters.Observe(ctx, bare, "")
	if err != nil || !c.Mounted || c.Name != "" || !c.Quorate {
		t.Errorf("after the installation: %+v, %v; want a standalone node", c, err)
	}
	n, err := Nodes.Observe(ctx, bare, "")
	if err != nil || !n.Installed {
		t.Errorf("after the installation: %+v, %v; want it installed", n, err)
	}
	if again, err := InstalledExpectations(ctx, bare); err != nil || len(again) != 0 {
		t.Errorf("where it is installed already there is nothing to expect, got %d, %v", len(again), err)
	}
	if _, err := InstalledExpectations(ctx, observe.NewRecorded("x", Nodes.Expect("", Node{Name: "x", Codename: "sid"}))); err == nil {
		t.Error("an unknown Debian is accepted")
	}
}

// A database left by an earlier installation is used again: its content is unknown.
func TestInstalledExpectationsWithADatabase(t *testing.T) {
	h := observe.NewRecorded("pve1", Nodes.Expect("", Node{Name: "pve1", Codename: "trixie"}),
		observe.Files.Expect(database, observe.File{Type: observe.Regular, Mode: 0o600, Owner: "root", Group: "root"}))
	expect, err := InstalledExpectations(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	h.Predict(expect)
	if guests, err := GuestLists.Observe(t.Context(), h, ""); !observe.IsUnknown(err) {
		t.Errorf("the guests are %v, %v; want unknown", guests, err)
	}
	if c, err := Clusters.Observe(t.Context(), h, ""); !observe.IsUnknown(err) {
		t.Errorf("the cluster is %+v, %v; want unknown", c, err)
	}
}

func FuzzSections(f *testing.F) {
	f.Add([]byte("dir: local\n\tpath /var/lib/vz\n\n"))
	f.Add([]byte("node-affinity: a\n\tdisable\n\tnodes pve1:2,pve2\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		sections, err := ParseSections(content)
		if err != nil {
			return
		}
		for _, s := range sections {
			if s.Type == "" || s.ID == "" || s.Options == nil {
				t.Errorf("a section without type, id or options: %+v", s)
			}
			ParsePriorities(s.Options["nodes"])
		}
	})
}

func FuzzKnownHosts(f *testing.F) {
	f.Add("10.0.0.1 ssh-rsa AAAA\n", "10.0.0.1")
	f.Fuzz(func(t *testing.T, known, address string) {
		if strings.ContainsAny(address, " \t\n\r\v\f#@|,\u0085\u00a0") || strings.TrimSpace(address) == "" || len(strings.Fields(address)) != 1 {
			return
		}
		keys := []string{"ssh-rsa AAAAone"}
		once := Trust{Known: known}.Knowing(address, keys)
		if twice := (Trust{Known: once}).Knowing(address, keys); once != twice {
			t.Errorf("not stable: %q then %q", once, twice)
		}
	})
}
