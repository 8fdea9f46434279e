package pvecm

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// linked describes the cluster of the tests: three nodes with addresses 10.0.N.11 to 10.0.N.13 for the links N from 0 to
// 2, of which the cluster uses some.
type linked struct {
	cluster pve.Cluster
	// loaded is the version that every corosync has loaded; 0 means that of the file.
	loaded int
	// down lists the links that do not connect pve3.
	down []int
	more []observe.Expectation
}

func withLinks(links ...int) linked {
	c := cluster("pve1", "pve2", "pve3")
	for name, m := range c.Members {
		m.Links = map[int]string{}
		for _, link := range links {
			m.Links[link] = address(link, name)
		}
		c.Members[name] = m
	}
	return linked{cluster: c}
}

func address(link int, node string) string { return fmt.Sprintf("10.0.%d.1%s", link, node[3:]) }

func (l linked) text() string {
	var b strings.Builder
	b.WriteString("logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n")
	for _, name := range l.cluster.Names() {
		m := l.cluster.Members[name]
		fmt.Fprintf(&b, "  node {\n    name: %s\n    nodeid: %d\n    quorum_votes: 1\n", name, m.ID)
		for link := range 3 {
			if m.Links[link] != "" {
				fmt.Fprintf(&b, "    ring%d_addr: %s\n", link, m.Links[link])
			}
		}
		b.WriteString("  }\n")
	}
	fmt.Fprintf(&b, "}\n\nquorum {\n  provider: corosync_votequorum\n}\n\ntotem {\n  cluster_name: dream\n  config_version: %d\n", l.cluster.ConfigVersion)
	for link := range 3 {
		if l.cluster.Members["pve1"].Links[link] != "" {
			fmt.Fprintf(&b, "  interface {\n    linknumber: %d\n  }\n", link)
		}
	}
	b.WriteString("  secauth: on\n  version: 2\n}\n\n")
	return b.String()
}

// host returns pve1 of the cluster.
func (l linked) host() *observe.Host {
	file := observe.File{Type: observe.Regular, Mode: 0o640, Owner: "root", Group: "www-data", Content: []byte(l.text()), Size: int64(len(l.text()))}
	var hosts []*observe.Host
	for _, name := range l.cluster.Names() {
		state := pve.Links{Version: l.cluster.ConfigVersion, Connected: map[int][]int{}}
		if l.loaded > 0 {
			state.Version = l.loaded
		}
		for link := range l.cluster.Members[name].Links {
			state.Connected[link] = nil
			for _, other := range l.cluster.Names() {
				down := (other == "pve3" || name == "pve3") && strings.Contains(fmt.Sprint(l.down), fmt.Sprint(link))
				if other != name && !down && l.cluster.Members[other].Online {
					state.Connected[link] = append(state.Connected[link], l.cluster.Members[other].ID)
				}
			}
		}
		var networks observe.Network
		for link := range 3 {
			networks.Interfaces = append(networks.Interfaces, observe.Interface{Name: fmt.Sprintf("eno%d", link+1), Addresses: []netip.Prefix{
				netip.MustParsePrefix(address(link, name) + "/24"), netip.MustParsePrefix(strings.Replace(address(link, name), ".1", ".2", 1) + "/24")}})
		}
		known := []observe.Expectation{pve.LinkStates.Expect("", state), observe.Networks.Expect("", networks), unit("pve-ha-lrm.service", "active"),
			observe.Files.Expect(pve.CorosyncFile, file), observe.Files.Expect("/etc/pve", observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "www-data"})}
		hosts = append(hosts, host(name, l.cluster, append(known, l.more...)...))
	}
	return play("pve1", hosts...)
}

// link returns a block for a link of the cluster; third replaces the address of pve3.
func link(number int, third string) Link {
	l := Link{Name: fmt.Sprint(number), State: "present", Addresses: map[string]string{}}
	for _, name := range []string{"pve1", "pve2", "pve3"} {
		l.Addresses[name] = address(number, name)
	}
	if third != "" {
		l.Addresses["pve3"] = third
	}
	return l
}

func gone(number string) Link { return Link{Name: number, State: "absent"} }

func preferred(l Link, priority int) Link {
	l.Priority = &priority
	return l
}

func TestLinks(t *testing.T) {
	const other = "10.0.2.13" // an address of pve3 on another network
	for _, test := range []struct {
		name  string
		links []Link
		now   linked
		want  []string
	}{
		{"as they are", []Link{link(0, ""), link(1, "")}, withLinks(0, 1), nil},
		{"absent", []Link{gone("2")}, withLinks(0, 1), nil},
		{"a second one", []Link{preferred(link(1, ""), 20)}, withLinks(0),
			[]string{"add link1 (pve1 10.0.1.11, pve2 10.0.1.12, pve3 10.0.1.13), in version 4 of corosync.conf of cluster dream"}},
		{"two more, and a priority, at once", []Link{preferred(link(0, ""), 9), link(1, ""), link(2, "")}, withLinks(0),
			[]string{"change the priority of link0 from 1 to 9, add link1 (pve1 10.0.1.11, pve2 10.0.1.12, pve3 10.0.1.13), add link2 "}},
		{"another address", []Link{link(1, other)}, withLinks(0, 1), []string{
			"take link1 out, because corosync does not change an address in place, in version 4 ", "wait until corosync has loaded version 4", "put link1 back with pve3 10.0.2.13, in version 5 "}},
		{"a removal", []Link{gone("1")}, withLinks(0, 1), []string{"remove link1, in version 4 "}},
		{"what takes away comes last, one at a time", []Link{gone("0"), link(1, other)}, withLinks(0, 1), []string{"take link1 out", "wait", "put link1 back"}},
		{"not loaded yet", []Link{link(1, "")}, linked{cluster: withLinks(0, 1).cluster, loaded: 2},
			[]string{"wait for corosync: corosync on pve1 uses version 2 of corosync.conf, which is at version 3, corosync on pve2 "}},
		{"not connected", []Link{link(1, "")}, linked{cluster: withLinks(0, 1).cluster, down: []int{1}},
			[]string{"wait for corosync: link1: pve1 does not reach pve3, link1: pve2 does not reach pve3, link1: pve3 does not reach pve1, link1: pve3 does not reach pve2"}},
		{"the one that is broken", []Link{link(1, other)}, linked{cluster: withLinks(0, 1).cluster, down: []int{1}}, []string{"take link1 out", "wait", "put link1 back"}},
		{"a node is off, and nothing is to do", []Link{link(1, "")}, linked{cluster: off(withLinks(0, 1).cluster, "pve3")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := modulestest.Decoded(&Module{Link: test.links})
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			plan := modulestest.Converges(t, m, test.now.host())
			if len(plan.Steps) != len(test.want) {
				t.Fatalf("want %q, got\n%s", test.want, modulestest.Summaries(plan))
			}
			changes := false
			for i, s := range plan.Steps {
				if !strings.HasPrefix(s.Summary, test.want[i]) {
					t.Errorf("step %d is %q, want %q", i, s.Summary, test.want[i])
				}
				if w, ok := s.Action.(modules.WriteFile); ok {
					changes = true
					if w.Path != "/etc/pve/corosync.conf" || w.Was == "" || s.Risk != modules.CostsQuorum || !s.Wide {
						t.Errorf("step %q writes %s over %q, risk %v, wide %v", s.Summary, w.Path, w.Was, s.Risk, s.Wide)
					}
				}
			}
			if changes != (plan.Guard != nil) {
				t.Fatalf("guard %+v", plan.Guard)
			}
			if plan.Guard != nil && (len(plan.Guard.Proofs) != 3 || plan.Guard.Proofs[0].On != nil || plan.Guard.Proofs[2].On.Name() != "pve3" || plan.Guard.Within != 2*time.Minute) {
				t.Errorf("guard %+v", plan.Guard)
			}
		})
	}
}

func TestLinksRefuse(t *testing.T) {
	armed := pve.HAs.Expect("", pve.HA{Resources: map[string]pve.Resource{"vm:100": {State: "started"}}})
	short := link(1, "")
	delete(short.Addresses, "pve2")
	stranger := link(1, "")
	stranger.Addresses["pve9"] = "10.0.1.19"
	weak := withLinks(0)
	weak.cluster.Quorate = false
	for _, test := range []struct {
		name  string
		links []Link
		now   linked
		want  string
	}{
		{"no quorum", []Link{link(1, "")}, weak, "cluster dream has no quorum as seen from pve1"},
		{"a node is off", []Link{link(1, "")}, linked{cluster: off(withLinks(0).cluster, "pve3")}, "bring pve3 back online first"},
		{"no address of a node", []Link{short}, withLinks(0), "link1: no address for pve2: all nodes of cluster dream (pve1, pve2, pve3) need one"},
		{"not a node", []Link{stranger}, withLinks(0), "link1: pve9 is not a node of cluster dream"},
		{"an address of nobody", []Link{link(1, "10.0.1.99")}, withLinks(0), "link1: 10.0.1.99 is not an address of pve3"},
		{"an address of another link", []Link{link(1, "10.0.0.13")}, withLinks(0), "link1: 10.0.0.13 is the address of pve3 on link0 already"},
		{"the only link moves", []Link{link(0, "10.0.2.13")}, withLinks(0), "link0 is the only link of cluster dream. corosync does not change an address in place"},
		{"the only link goes", []Link{gone("0")}, withLinks(0), "link0 is the only link of cluster dream: it cannot be removed"},
		{"the other one is down", []Link{gone("1")}, linked{cluster: withLinks(0, 1).cluster, down: []int{0}}, "no link that stays as it is connects all nodes of cluster dream (link0: pve1 does not reach pve3"},
		{"armed, and one goes", []Link{gone("1")}, linked{cluster: withLinks(0, 1).cluster, more: []observe.Expectation{armed}}, "while link1 is away a failure of the others would end the quorum, and high availability is armed (vm:100)"},
		{"armed, and one is away for a moment", []Link{link(1, "10.0.2.13")}, linked{cluster: withLinks(0, 1).cluster, more: []observe.Expectation{armed}}, "high availability is armed (vm:100)"},
		{"standalone", []Link{link(1, "")}, linked{cluster: standalone}, "pve1 is not in a cluster"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := play("pve1", host("pve1", standalone, observe.Files.Expect(pve.CorosyncFile, observe.File{})))
			if test.now.cluster.Name != "" {
				h = test.now.host()
			}
			plan, err := modulestest.Decoded(&Module{Link: test.links}).Plan(t.Context(), h)
			if err == nil || !strings.Contains(err.Error(), test.want) || len(plan.Steps) > 0 {
				t.Errorf("error %v, want %q; steps\n%s", err, test.want, modulestest.Summaries(plan))
			}
		})
	}
	// A change that takes nothing away does not endanger highly available guests.
	safe := withLinks(0)
	safe.more = []observe.Expectation{armed}
	modulestest.Converges(t, &Module{Link: []Link{link(1, "")}}, safe.host())
}

func TestLinksAreValidated(t *testing.T) {
	high := 256
	for want, m := range map[string]*Module{
		`"8" is not the number of a link`:              {Link: []Link{{Name: "8", State: "absent"}}},
		"given twice":                                  {Link: []Link{gone("1"), gone("1")}},
		"has no addresses and no priority":             {Link: []Link{{Name: "1", State: "absent", Addresses: map[string]string{"pve1": "10.0.1.11"}}}},
		"expected the address of each node":            {Link: []Link{{Name: "1"}}},
		"256":                                          {Link: []Link{preferred(link(1, ""), high)}},
		`"pve1.example.org" is not an IP address`:      {Link: []Link{{Name: "1", Addresses: map[string]string{"pve1": "pve1.example.org"}}}},
		"10.0.1.11 is given for link1 of pve1":         {Link: []Link{link(1, "10.0.1.11")}},
		"IPv4 and IPv6 on the same link":               {Link: []Link{link(1, "fd00::13")}},
		"not changed in the same task as a membership": {Cluster: "dream", Link: []Link{gone("1")}},
		"1s is not between 30s and 1h0m0s":             {Rollback: time.Second, Link: []Link{gone("1")}},
	} {
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestLinksArePutBack runs the script that restores the links, with stand-ins for corosync's programs. The stand-in for
// corosync loads every file at once.
func TestLinksArePutBack(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"corosync-cmapctl": "#!/bin/sh\necho \"totem.config_version (u64) = $(sed -n 's/^ *config_version: //p' " + dir + "/corosync.conf | tee -a " + dir + "/loaded)\"\n",
		"sleep":            "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	moved := modulestest.Decoded(&Module{Link: []Link{link(1, "10.0.2.13")}})
	added := modulestest.Decoded(&Module{Link: []Link{link(2, "")}})
	for _, test := range []struct {
		name string
		m    *Module
		// done is the number of files that were written; edit is a change by someone else after that.
		done    int
		edit    string
		want    int // the version; 0 if the file is left alone
		loaded  string
		problem string
		undone  bool
	}{
		{name: "a new link", m: added, done: 1, want: 5, loaded: "5\n"},
		{name: "another address", m: moved, done: 2, want: 7, loaded: "6\n7\n"},
		{name: "broken off while the link was out", m: moved, done: 1, want: 6, loaded: "5\n6\n"},
		{name: "broken off before anything was written", m: moved},
		{name: "undone already, in a version above", m: added, undone: true},
		{name: "changed by somebody else", m: added, done: 1, edit: "# mine\n", problem: "was changed by somebody else since: it is left as it is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := withLinks(0, 1)
			plan, err := test.m.Plan(t.Context(), now.host())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "corosync.conf")
			text := now.text()
			for _, s := range plan.Steps {
				if w, ok := s.Action.(modules.WriteFile); ok && test.done > 0 {
					text, test.done = string(w.Content), test.done-1
				}
			}
			text += test.edit
			if test.undone {
				text = strings.Replace(text, "config_version: 3", "config_version: 9", 1)
			}
			for name, content := range map[string]string{file: text, filepath.Join(dir, "loaded"): ""} {
				if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			argv := plan.Guard.Undo[0]
			cmd := exec.Command(argv[0], append([]string{"-c", strings.ReplaceAll(argv[2], "/etc/pve/", dir+"/")}, argv[3:]...)...)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if (err != nil) != (test.problem != "") || !strings.Contains(string(out), test.problem) {
				t.Errorf("%v, %q, want %q", err, out, test.problem)
			}
			want := text
			if test.want > 0 {
				now.cluster.ConfigVersion = test.want
				want = now.text()
			}
			got, _ := os.ReadFile(file)
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if loaded, _ := os.ReadFile(filepath.Join(dir, "loaded")); string(loaded) != test.loaded {
				t.Errorf("corosync loaded %q, want %q", loaded, test.loaded)
			}
		})
	}
}
