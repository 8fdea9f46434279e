package pvecm

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

var (
	standalone = pve.Cluster{Mounted: true, Quorate: true, Certificate: true}
	installed  = pve.Node{Codename: "trixie", Installed: true, Version: "9.2.11"}
)

const (
	operator = "ssh-ed25519 AAAAoperator operator"
	hostKey1 = "ssh-ed25519 AAAAhost1"
)

// cluster returns the cluster dream with the given nodes, all online; pveN has address 10.0.0.N.
func cluster(nodes ...string) pve.Cluster {
	c := pve.Cluster{Mounted: true, Quorate: true, Certificate: true, AuthKey: true, Name: "dream", ConfigVersion: len(nodes), Members: map[string]pve.Member{}}
	for i, name := range nodes {
		c.Members[name] = pve.Member{ID: i + 1, Votes: 1, Online: true, Links: map[int]string{0: "10.0.0." + name[3:]}}
	}
	return c
}

// host returns a recorded host; later expectations override earlier ones.
func host(name string, c pve.Cluster, more ...observe.Expectation) *observe.Host {
	node := installed
	node.Name = name
	known := []observe.Expectation{
		pve.Nodes.Expect("", node), pve.Clusters.Expect("", c),
		pve.GuestLists.Expect("", map[int]pve.Guest{}), ceph.Confs.Expect("", ceph.Conf{}),
		pve.Storages.Expect("", map[string]pve.Storage{"local": {Type: "dir"}}), pve.HAs.Expect("", pve.HA{}),
		pve.Trusts.Expect("", pve.Trust{PublicKey: "ssh-rsa AAAA" + name + " root@" + name, PrivateKey: true,
			Authorized: []string{operator}, HostKeys: []string{"ssh-ed25519 AAAAhost" + name[3:]}}),
		observe.Resolves.Expect(name, []netip.Addr{netip.MustParseAddr("10.0.0." + name[3:])}),
		unit("corosync.service", "active"), unit("pve-cluster.service", "active"),
		observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{
			{Name: "eno1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0." + name[3:] + "/24")}},
		}}),
	}
	return observe.NewRecorded(name, append(known, more...)...)
}

func unit(name, state string) observe.Expectation {
	return observe.Units.Expect(name, observe.Unit{ID: name, LoadState: "loaded", ActiveState: state})
}

// play makes the hosts peers of one another, and returns the one that is planned for.
func play(self string, hosts ...*observe.Host) *observe.Host {
	find := func(name string) (*observe.Host, error) {
		for _, h := range hosts {
			if h.Name() == name {
				return h, nil
			}
		}
		return nil, errors.New("no host " + name)
	}
	for _, h := range hosts {
		h.SetPeers(func() []*observe.Host { return hosts }, find)
	}
	h, _ := find(self)
	return h
}

func module(n string) *Module {
	return modulestest.Decoded(&Module{Cluster: "dream", Founder: "pve1", Link0: "10.0.0." + n})
}

func argv(t *testing.T, s modules.Step) []string {
	t.Helper()
	run, ok := s.Action.(modules.Run)
	if !ok {
		t.Fatalf("step %q is a %T, not a command", s.Summary, s.Action)
	}
	if run.Dir == "" || strings.HasPrefix(run.Dir, "/etc/pve") {
		t.Errorf("step %q runs in %q; pvecm refuses to run below /etc/pve", s.Summary, run.Dir)
	}
	if run.Limit == 0 {
		t.Errorf("step %q has no limit; pvecm waits for quorum without end", s.Summary)
	}
	return run.Argv
}

func TestCreate(t *testing.T) {
	h := play("pve1", host("pve1", standalone), host("pve2", standalone))
	votes, id := 2, 7
	m := module("1")
	m.Votes, m.NodeID = votes, &id
	plan := modulestest.Converges(t, m, h)
	if len(plan.Steps) != 1 {
		t.Fatalf("steps:\n%s", modulestest.Summaries(plan))
	}
	want := []string{"pvecm", "create", "dream", "--link0", "10.0.0.1", "--votes", "2", "--nodeid", "7"}
	if diff := cmp.Diff(want, argv(t, plan.Steps[0])); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if plan.Steps[0].Settle == 0 || !plan.Steps[0].Wide {
		t.Error("a creation needs time to settle, and others see it")
	}
}

func TestJoin(t *testing.T) {
	founder := host("pve1", cluster("pve1"))
	h := play("pve2", founder, host("pve2", standalone), host("pve3", standalone))
	plan := modulestest.Converges(t, module("2"), h)
	if len(plan.Steps) != 3 {
		t.Fatalf("want three steps, got:\n%s", modulestest.Summaries(plan))
	}
	authorise, know, join := plan.Steps[0], plan.Steps[1], plan.Steps[2]
	if authorise.On != founder {
		t.Error("the key is not authorised on the founder")
	}
	if got, want := string(authorise.Action.(modules.Run).Stdin), "ssh-rsa AAAApve2 root@pve2\n"; got != want {
		t.Errorf("appended to authorized_keys: %q, want %q: the operator's key is there already", got, want)
	}
	if diff := cmp.Diff([]string{"tee", "-a", "/root/.ssh/authorized_keys"}, argv(t, authorise)); diff != "" {
		t.Errorf("authorized_keys is a link into /etc/pve and must be appended to; -want +got:\n%s", diff)
	}
	if got, want := string(know.Action.(modules.WriteFile).Content), "10.0.0.1 "+hostKey1+"\n"; got != want {
		t.Errorf("known_hosts is %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"pvecm", "add", "10.0.0.1", "--use_ssh", "--link0", "10.0.0.2"}, argv(t, join)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	seen, err := pve.Clusters.Observe(context.Background(), founder, "")
	if err != nil || !seen.Members["pve2"].Online || seen.Members["pve2"].ID != 2 {
		t.Errorf("the founder is predicted to see %+v, %v; want pve2 online with id 2", seen.Members, err)
	}
}

func TestJoinMakesAKeyFirst(t *testing.T) {
	none := pve.Trusts.Expect("", pve.Trust{Authorized: []string{operator, "ssh-rsa AAAAonlyhere colleague"}, HostKeys: []string{"ssh-ed25519 AAAAhost2"}})
	h := play("pve2", host("pve1", cluster("pve1")), host("pve2", standalone, none))
	plan, err := module("2").Plan(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Partial || len(plan.Steps) != 1 || !strings.Contains(strings.Join(argv(t, plan.Steps[0]), " "), "ssh-keygen") {
		t.Fatalf("want one ssh-keygen step of a partial plan, got partial=%v:\n%s", plan.Partial, modulestest.Summaries(plan))
	}
	h.Predict(plan.Steps[0].Expect)
	plan, err = module("2").Plan(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	stdin := string(plan.Steps[0].Action.(modules.Run).Stdin)
	if !strings.Contains(stdin, "AAAAonlyhere") {
		t.Errorf("a key that only the joining node has would be lost with the join; appended is %q", stdin)
	}
}

func TestMember(t *testing.T) {
	both := cluster("pve1", "pve2")
	three := cluster("pve1", "pve2", "pve3")
	offline := cluster("pve1", "pve2")
	offline.Members["pve2"] = pve.Member{ID: 2, Votes: 1, Links: map[int]string{0: "10.0.0.2"}}
	noQuorum := cluster("pve1", "pve2")
	noQuorum.Quorate = false
	half := cluster("pve1", "pve2")
	half.Certificate = false
	drifted := cluster("pve1", "pve2")
	drifted.Members["pve2"] = pve.Member{ID: 2, Votes: 3, Online: true, Links: map[int]string{0: "10.9.9.9"}}

	tests := []struct {
		name  string
		hosts []*observe.Host
		step  string // part of the only step's summary; empty for none
		note  string
	}{
		{"converged", []*observe.Host{host("pve1", both), host("pve2", both)}, "", ""},
		{"founder sees it offline", []*observe.Host{host("pve1", offline), host("pve2", both)}, "pve1 sees pve2 offline", ""},
		{"another member does not list it", []*observe.Host{host("pve1", three), host("pve2", three), host("pve3", cluster("pve1", "pve3"))}, "pve3 does not list pve2", ""},
		{"another cluster of the same name does not matter", []*observe.Host{host("pve1", both), host("pve2", both), host("pve4", cluster("pve4"))}, "", ""},
		{"not quorate", []*observe.Host{host("pve1", both), host("pve2", noQuorum)}, "not quorate", ""},
		{"half-joined", []*observe.Host{host("pve1", both), host("pve2", half)}, "missing certificate", ""},
		{"drift is a note", []*observe.Host{host("pve1", drifted), host("pve2", drifted)}, "", "link0 is 10.9.9.9, wanted 10.0.0.2; votes are 3, wanted 1"},
		{"a standalone third host does not matter", []*observe.Host{host("pve1", both), host("pve2", both), host("pve3", standalone)}, "", ""},
		{"pmxcfs restarts", []*observe.Host{host("pve1", both), host("pve2", pve.Cluster{})}, "wait for the cluster file system", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, err := module("2").Plan(context.Background(), play("pve2", test.hosts...))
			if err != nil {
				t.Fatal(err)
			}
			summaries := modulestest.Summaries(plan)
			if test.step == "" && summaries != "" || !strings.Contains(summaries, test.step) {
				t.Errorf("steps %q, want one with %q", summaries, test.step)
			}
			for _, step := range plan.Steps {
				if step.Settle == 0 {
					t.Errorf("step %q does not wait", step.Summary)
				}
			}
			if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	named := func(name string) pve.Cluster {
		c := cluster("pve1", "pve2")
		c.Name = name
		return c
	}
	noQuorum := cluster("pve1")
	noQuorum.Quorate = false
	listed := cluster("pve1", "pve2")
	listed.Members["pve2"] = pve.Member{ID: 2, Votes: 1, Links: map[int]string{0: "10.0.0.2"}}
	twoLinks := cluster("pve1")
	twoLinks.Members["pve1"] = pve.Member{ID: 1, Votes: 1, Online: true, Links: map[int]string{0: "10.0.0.1", 1: "10.1.0.1"}}
	sameAddress := cluster("pve1")
	sameAddress.Members["pve1"] = pve.Member{ID: 1, Votes: 1, Online: true, Links: map[int]string{0: "10.0.0.2"}}
	authkey := standalone
	authkey.AuthKey = true
	eight := pve.Node{Name: "pve2", Codename: "bookworm", Installed: true, Version: "8.4.1"}

	tests := []struct {
		name  string
		self  string
		hosts []*observe.Host
		want  []string
	}{
		{"other cluster", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", named("lab"))}, []string{`"lab"`, `"dream"`, "reinstall it"}},
		{"founder in another cluster", "pve2", []*observe.Host{host("pve1", named("lab")), host("pve2", standalone)}, []string{`"lab"`, `"dream"`}},
		{"founder standalone", "pve2", []*observe.Host{host("pve1", standalone), host("pve2", standalone)}, []string{"founder pve1 is standalone"}},
		{"founder without quorum", "pve2", []*observe.Host{host("pve1", noQuorum), host("pve2", standalone)}, []string{"no quorum"}},
		{"guests", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", standalone, pve.GuestLists.Expect("", map[int]pve.Guest{101: {}, 100: {}}))}, []string{"100, 101", "back them up"}},
		{"own Ceph", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", standalone, ceph.Confs.Expect("", ceph.Conf{Exists: true}))}, []string{"ceph.conf"}},
		{"left-over key", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", authkey)}, []string{"/etc/corosync/authkey", "move the file away"}},
		{"half-joined", "pve2", []*observe.Host{host("pve1", listed), host("pve2", standalone)}, []string{"pvecm delnode pve2", "pve1"}},
		{"name taken", "pve2", []*observe.Host{host("pve1", cluster("pve1", "pve2")), host("pve2", standalone)}, []string{"cannot have the same name"}},
		{"links differ", "pve2", []*observe.Host{host("pve1", twoLinks), host("pve2", standalone)}, []string{"link1", "10.1.0.1"}},
		{"address taken", "pve2", []*observe.Host{host("pve1", sameAddress), host("pve2", standalone)}, []string{"already the address of pve1"}},
		{"address not local", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", standalone, observe.Networks.Expect("", observe.Network{}))}, []string{"10.0.0.2 is not an address of pve2"}},
		{"other major version", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", standalone, pve.Nodes.Expect("", eight))}, []string{"8", "9", "the same major version"}},
		{"not installed", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", standalone, pve.Nodes.Expect("", pve.Node{Name: "pve2", Codename: "trixie"}))}, []string{"no Proxmox VE", "proxmox-ve"}},
		{"deleted from the cluster", "pve2", []*observe.Host{host("pve1", cluster("pve1")), host("pve2", cluster("pve1"))}, []string{"delnode", "reinstalled"}},
		{"founder installed anew", "pve2", []*observe.Host{host("pve1", standalone), host("pve2", cluster("pve1", "pve2"))}, []string{"founder pve1 is standalone"}},
		{"second cluster", "pve1", []*observe.Host{host("pve1", standalone), host("pve2", cluster("pve1", "pve2"))}, []string{"pve2 is already in cluster", "clusters cannot be merged"}},
		{"create without host keys", "pve1", []*observe.Host{host("pve1", standalone, pve.Trusts.Expect("", pve.Trust{})), host("pve2", standalone)}, []string{"pve1 has no host keys in /etc/ssh"}},
		{"create with a foreign address", "pve1", []*observe.Host{host("pve1", standalone, observe.Networks.Expect("", observe.Network{}))}, []string{"10.0.0.1 is not an address of pve1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, err := module(test.self[3:]).Plan(context.Background(), play(test.self, test.hosts...))
			if err == nil {
				t.Fatalf("not refused; steps:\n%s", modulestest.Summaries(plan))
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	negative, zero := -1, 0
	tests := map[string]struct {
		m        Module
		argument string
	}{
		"too long":       {Module{Cluster: "averylongclustername", Founder: "a", Link0: "10.0.0.1"}, "cluster"},
		"underscore":     {Module{Cluster: "my_cluster", Founder: "a", Link0: "10.0.0.1"}, "cluster"},
		"no founder":     {Module{Cluster: "dream", Link0: "10.0.0.1"}, "founder"},
		"priority":       {Module{Cluster: "dream", Founder: "a", Link0: "10.0.0.1,priority=5"}, "link0"},
		"option as link": {Module{Cluster: "dream", Founder: "a", Link0: "--force"}, "link0"},
		"network":        {Module{Cluster: "dream", Founder: "a", Link0: "10.0.0.1", Link1: "10.1.0.0/24"}, "link1"},
		"votes":          {Module{Cluster: "dream", Founder: "a", Link0: "10.0.0.1", Votes: negative}, "votes"},
		"nodeid":         {Module{Cluster: "dream", Founder: "a", Link0: "10.0.0.1", NodeID: &zero}, "nodeid"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var fault *modules.ArgumentError
			if err := test.m.Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
				t.Errorf("%v, want a fault in %s", err, test.argument)
			}
		})
	}
	if err := module("1").Validate(); err != nil {
		t.Error(err)
	}
}

func TestExplainQuotesPvecm(t *testing.T) {
	err := explain(255, nil, []byte("address lookup for 'pve1' did not find any IP address\n"))
	if err == nil || !strings.Contains(err.Error(), "address lookup for 'pve1'") {
		t.Errorf("%v does not quote pvecm", err)
	}
	if err := explain(124, nil, nil); err == nil || !strings.Contains(err.Error(), "quorum") {
		t.Errorf("%v does not say what an endless wait means", err)
	}
}
