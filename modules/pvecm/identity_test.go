package pvecm

import (
	"net/netip"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

func TestApart(t *testing.T) {
	version := func(c pve.Cluster, n int) pve.Cluster { c.ConfigVersion = n; return c }
	without := func(c pve.Cluster, offline ...string) pve.Cluster {
		for _, name := range offline {
			m := c.Members[name]
			m.Online = false
			c.Members[name] = m
		}
		return c
	}
	unquorate := func(c pve.Cluster) pve.Cluster { c.Quorate = false; return c }
	elsewhere := cluster("pve1", "pve2")
	elsewhere.Members["pve2"] = pve.Member{ID: 2, Online: true, Links: map[int]string{0: "10.9.9.2"}}
	for _, test := range []struct {
		name         string
		mine, theirs pve.Cluster // pve2's and pve1's
		want         bool
	}{
		{"one cluster", cluster("pve1", "pve2"), cluster("pve1", "pve2"), false},
		{"neither lists the other", cluster("pve2"), cluster("pve1"), true},
		{"neither, of several", cluster("pve2", "pve4"), cluster("pve1", "pve3"), true},
		{"a join on its way: only the founder lists it", cluster("pve2"), version(cluster("pve1", "pve2"), 5), false},
		{"the other is behind", cluster("pve1", "pve2", "pve3"), version(cluster("pve1", "pve3"), 2), false},
		{"behind, offline and without quorum", without(cluster("pve1", "pve2", "pve3"), "pve1"), unquorate(cluster("pve1", "pve3")), false},
		{"deleted, or the founder was installed anew", without(cluster("pve1", "pve2", "pve3"), "pve1"), cluster("pve1"), true},
		{"an address is being changed", cluster("pve1", "pve2"), version(elsewhere, 3), false},
		{"other machines of the same names", cluster("pve1", "pve2"), elsewhere, true},
	} {
		if got := apart(test.mine, "pve2", test.theirs, "pve1"); got != test.want {
			t.Errorf("%s: apart %v, want %v", test.name, got, test.want)
		}
	}
	if !apart(cluster("pve1"), "pve1", cluster("pve1"), "pve1") {
		t.Error("two machines of one name are taken for members of one cluster")
	}
}

// A node whose cluster has the founder's name but other members is refused, by the preflight and by the task; the founder
// and its members are not affected.
func TestIdentitySameClusterName(t *testing.T) {
	nodes := func() []*observe.Host {
		both := cluster("pve1", "pve2")
		return []*observe.Host{host("pve1", both), host("pve2", both), host("pve4", cluster("pve4"))}
	}
	for _, check := range []*Check{nil, {Hosts: []string{"pve1", "pve2", "pve4"}}} {
		for _, number := range []string{"1", "2", "4"} {
			m := module(number)
			m.Check = check
			plan, err := m.Plan(t.Context(), play("pve"+number, nodes()...))
			switch {
			case number != "4" && (err != nil || len(plan.Steps) > 0):
				t.Errorf("pve%s, a member in good standing: %v, steps %q", number, err, modulestest.Summaries(plan))
			case number == "4" && (err == nil || !strings.Contains(err.Error(), `pve4 and founder pve1 are in different clusters, both named "dream": that of pve4 has pve4, that of pve1 has pve1, pve2`)):
				t.Errorf("pve4, in a cluster of its own: %v, want a refusal that names both", err)
			}
		}
	}
}

// A stopped unit is reported at once, with what to start, and nothing waits for it.
func TestIdentityStopped(t *testing.T) {
	noQuorum := cluster("pve1", "pve2", "pve3")
	noQuorum.Quorate = false
	fine := cluster("pve1", "pve2", "pve3")
	for _, test := range []struct {
		name  string
		hosts []*observe.Host
		want  string
	}{
		{"corosync on this node", []*observe.Host{host("pve1", fine), host("pve2", noQuorum, unit("corosync.service", "inactive"))},
			"pve2 is not quorate: corosync.service is not running on pve2 (inactive): find the cause"},
		{"corosync has failed on others", []*observe.Host{host("pve1", noQuorum, unit("corosync.service", "failed")), host("pve2", noQuorum), host("pve3", noQuorum, unit("corosync.service", "inactive"))},
			"corosync.service is not running on pve1 (failed), pve3 (inactive)"},
		{"pmxcfs", []*observe.Host{host("pve1", fine), host("pve2", pve.Cluster{}, unit("pve-cluster.service", "inactive"))},
			"start it there (systemctl start pve-cluster.service)"},
	} {
		plan, err := module("2").Plan(t.Context(), play("pve2", test.hosts...))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, steps %q; want %q", test.name, err, modulestest.Summaries(plan), test.want)
		}
	}
	modulestest.Converges(t, module("2"), play("pve2", host("pve1", noQuorum), host("pve2", noQuorum))) // it starts by itself
}

// pvecm looks up the node's own name, whatever links it is given. What it would refuse is refused before it runs.
func TestIdentityOwnName(t *testing.T) {
	resolves := func(name string, to ...string) observe.Expectation {
		var all []netip.Addr
		for _, text := range to {
			all = append(all, netip.MustParseAddr(text))
		}
		return observe.Resolves.Expect(name, all)
	}
	for _, test := range []struct {
		name, node string
		to         []string
		want       string
	}{
		{"a join, to loopback", "2", []string{"127.0.1.1"}, `resolves to 127.0.1.1, which is not an address of any of its interfaces, so pvecm would fail: put "10.0.0.2 pve2" into /etc/hosts`},
		{"a join, to another machine", "2", []string{"10.0.0.99"}, "resolves to 10.0.0.99"},
		{"a join, to both loopback and its address", "2", []string{"10.0.0.2", "127.0.1.1"}, ""},
		{"a join, to nothing", "2", nil, ""},
		{"the creation, to loopback", "1", []string{"127.0.1.1", "::1"}, "resolves to 127.0.1.1, ::1"},
	} {
		founder, joiner := host("pve1", standalone, resolves("pve1", test.to...)), host("pve2", standalone)
		if test.node == "2" {
			founder, joiner = host("pve1", cluster("pve1")), host("pve2", standalone, resolves("pve2", test.to...))
		}
		_, err := module(test.node).Plan(t.Context(), play("pve"+test.node, founder, joiner))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// The reason why a host cannot be reached is reported once, by the host's own failure, and not in the notes of the others.
func TestIdentityOfUnreachableHost(t *testing.T) {
	s := &state{host: host("pve1", cluster("pve1"))}
	gone := &remote.UnreachableError{Host: "pve4", Reason: "no key was accepted", Hint: "a long one"}
	s.unasked(host("pve4", pve.Cluster{}), "whether it sees pve1", gone)
	if len(s.notes) != 1 || s.notes[0] != "could not ask pve4 whether it sees pve1" {
		t.Errorf("notes %q", s.notes)
	}
}

func TestDebiansSampleConfiguration(t *testing.T) {
	sample := pve.Cluster{Mounted: true, Quorate: true, Name: "debian", Members: map[string]pve.Member{"node1": {ID: 1, Votes: 1, Links: map[int]string{0: "127.0.0.1"}}}}
	for _, check := range []*Check{nil, {}} {
		m := module("2")
		m.Check = check
		_, err := m.Plan(t.Context(), play("pve2", host("pve1", cluster("pve1")), host("pve2", sample)))
		if err == nil || !strings.Contains(err.Error(), "the sample from Debian's corosync package") || !strings.Contains(err.Error(), "rm /etc/pve/corosync.conf") {
			t.Errorf("%v, want a word about the sample and how it goes", err)
		}
	}
	named := cluster("pve2")
	named.Name = "debian"
	if _, err := module("2").Plan(t.Context(), play("pve2", host("pve1", cluster("pve1")), host("pve2", named))); err == nil || strings.Contains(err.Error(), "sample") {
		t.Errorf("a cluster that is named debian: %v, want it taken for one", err)
	}
}
