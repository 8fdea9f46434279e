package pvecm

import (
	"net/netip"
	"strings"
	"testing"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
	"hlplay/modules/internal/pve"
)

// voter returns the host of corosync-qnetd.
func voter(more ...observe.Expectation) *observe.Host {
	known := []observe.Expectation{
		pve.Nodes.Expect("", pve.Node{Name: "witness", Codename: "trixie"}),
		pve.QDevices.Expect("", pve.QDevice{}),
		pve.Trusts.Expect("", pve.Trust{Authorized: []string{operator}, HostKeys: []string{"ssh-ed25519 AAAAwitness"}}),
		observe.Packages.Expect("corosync-qnetd", observe.Package{Status: observe.InstalledStatus}),
		unit("corosync-qnetd.service", "active"),
		observe.Files.Expect(rootSSH, observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}),
		observe.Networks.Expect("", observe.Network{Interfaces: []observe.Interface{{Name: "eno1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}}}}),
	}
	return observe.NewRecorded("witness", append(known, more...)...)
}

// voting returns pve1 of a cluster whose nodes all have corosync-qdevice, and the given view of the QDevice.
func voting(c pve.Cluster, state pve.QDevice, witness *observe.Host, more ...observe.Expectation) *observe.Host {
	hosts := []*observe.Host{}
	for _, name := range c.Names() {
		known := []observe.Expectation{pve.QDevices.Expect("", state), observe.Packages.Expect("corosync-qdevice", observe.Package{Status: observe.InstalledStatus}),
			observe.Paths.Expect(pve.QDeviceStore, state.Certificates)}
		if name == "pve1" {
			known = append(known, more...)
		}
		hosts = append(hosts, host(name, c, known...))
	}
	return play("pve1", append(hosts, witness)...)
}

func withDevice(c pve.Cluster) pve.Cluster {
	c.Device, c.DeviceVotes = "10.0.0.9", 1
	return c
}

var alive = pve.QDevice{Certificates: true, Registered: true, Alive: true, Votes: true}

func qdevice() *Module {
	return modulestest.Decoded(&Module{QDevice: &QDevice{Host: "witness", Address: "10.0.0.9", State: "present"}})
}

func TestQDevice(t *testing.T) {
	two := func() pve.Cluster { return cluster("pve1", "pve2") }
	absent := &Module{QDevice: &QDevice{State: "absent"}}
	for _, test := range []struct {
		name string
		m    *Module
		h    *observe.Host
		want []string
	}{
		{"set up", qdevice(), voting(two(), pve.QDevice{}, voter()), []string{
			"authorise key root@pve1 on witness, for the exchange of certificates", "accept witness's host keys for 10.0.0.9",
			"set up a QDevice of one vote on witness (10.0.0.9)"}},
		{"no folder for keys yet", qdevice(), voting(two(), pve.QDevice{}, voter(observe.Files.Expect(rootSSH, observe.File{}))), []string{
			"create /root/.ssh on witness", "authorise", "accept", "set up"}},
		{"left by a setup that died", qdevice(), voting(two(), pve.QDevice{Certificates: true}, voter()), []string{
			"remove the certificates that an earlier setup left on pve1", "remove the certificates that an earlier setup left on pve2", "authorise", "accept", "set up"}},
		{"there", qdevice(), voting(withDevice(two()), alive, voter()), nil},
		{"its daemon is stopped", qdevice(), voting(withDevice(two()), alive, voter(), pve.QDevices.Expect("", pve.QDevice{Certificates: true})), []string{
			"enable and start corosync-qdevice.service on pve1"}},
		{"there, for too many nodes", qdevice(), voting(withDevice(cluster("pve1", "pve2", "pve3")), alive, voter()), nil},
		{"removed", absent, voting(withDevice(two()), alive, voter()), []string{"remove the QDevice on 10.0.0.9; cluster dream then has 2 votes"}},
		{"absent", absent, voting(two(), pve.QDevice{}, voter()), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan := modulestest.Converges(t, test.m, test.h)
			if len(plan.Steps) != len(test.want) {
				t.Fatalf("want %q, got\n%s", test.want, modulestest.Summaries(plan))
			}
			for i, s := range plan.Steps {
				if !strings.HasPrefix(s.Summary, test.want[i]) {
					t.Errorf("step %d is %q, want %q", i, s.Summary, test.want[i])
				}
				if run, ok := s.Action.(modules.Run); ok && run.Limit == 0 {
					t.Errorf("step %q has no limit", s.Summary)
				}
			}
			if strings.Contains(test.name, "too many") != (len(plan.Notes) > 0) {
				t.Errorf("notes: %q", plan.Notes)
			}
		})
	}
}

func TestQDeviceRefuses(t *testing.T) {
	two := func() pve.Cluster { return cluster("pve1", "pve2") }
	elsewhere := withDevice(two())
	elsewhere.Device = "10.0.0.8"
	silent := pve.QDevice{Certificates: true, Registered: true}
	for _, test := range []struct {
		name string
		h    *observe.Host
		want string
	}{
		{"an odd number", voting(cluster("pve1", "pve2", "pve3"), pve.QDevice{}, voter()), "for 3 nodes it would have 2 votes, as many as all nodes but one together"},
		{"one node", voting(cluster("pve1"), pve.QDevice{}, voter()), "it does not help a single node"},
		{"standalone", play("pve1", host("pve1", standalone, pve.QDevices.Expect("", pve.QDevice{})), voter()), "pve1 is not in a cluster"},
		{"a node is off", voting(off(two(), "pve2"), pve.QDevice{}, voter()), "bring pve2 back online first"},
		{"a node is not in the run", play("pve1", host("pve1", two(), pve.QDevices.Expect("", pve.QDevice{})), voter()), "cluster node pve2 is not among the hosts of the play: add it"},
		{"no server", voting(two(), pve.QDevice{}, voter(observe.Packages.Expect("corosync-qnetd", observe.Package{}))), "witness has no corosync-qnetd"},
		{"no client", voting(two(), pve.QDevice{}, voter(), observe.Packages.Expect("corosync-qdevice", observe.Package{})), "pve1 has no corosync-qdevice: install package corosync-qdevice on all nodes first"},
		{"the server is stopped", voting(two(), pve.QDevice{}, voter(unit("corosync-qnetd.service", "inactive"))), "corosync-qnetd.service is not running on witness (inactive)"},
		{"another address", voting(two(), pve.QDevice{}, voter(observe.Networks.Expect("", observe.Network{}))), "10.0.0.9 is not an address of witness"},
		{"another device", voting(elsewhere, alive, voter()), "cluster dream has its QDevice on 10.0.0.8, not on 10.0.0.9"},
		{"no answer, and a stopped daemon", voting(withDevice(two()), silent, voter(), pve.QDevices.Expect("", pve.QDevice{Certificates: true})), "the QDevice does not answer pve2, and does not vote"},
		{"no answer", voting(withDevice(two()), silent, voter()), "the QDevice does not answer pve1, pve2, and does not vote"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := qdevice().Plan(t.Context(), test.h)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("expected a refusal that says %q, got %v and %d steps", test.want, err, len(plan.Steps))
			}
		})
	}
	member := &Module{QDevice: &QDevice{Host: "pve2", Address: "10.0.0.2", State: "present"}}
	if _, err := member.Plan(t.Context(), voting(two(), pve.QDevice{}, voter())); err == nil || !strings.Contains(err.Error(), "pve2 is a node of cluster dream") {
		t.Errorf("a node of the cluster votes for it: %v", err)
	}
	h := play("pve3", host("pve1", withDevice(two())), host("pve3", standalone))
	if _, err := module("3").Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "has a QDevice, and no node can join until it is removed") {
		t.Errorf("a node joins a cluster with a QDevice: %v", err)
	}
}

func TestQDeviceArguments(t *testing.T) {
	for _, m := range []*Module{
		{QDevice: &QDevice{State: "present"}}, {QDevice: &QDevice{Host: "witness", Address: "witness", State: "present"}},
		{QDevice: &QDevice{State: "absent"}, Cluster: "dream"}, {QDevice: &QDevice{State: "absent"}, Remove: &Remove{Node: "pve4"}},
	} {
		if _, ok := m.Validate().(*modules.ArgumentError); !ok {
			t.Errorf("%+v is accepted", m)
		}
	}
	if err := (&Module{QDevice: &QDevice{State: "absent"}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestQDeviceExplains(t *testing.T) {
	stderr := "/usr/bin/ssh-copy-id: INFO: Source of key(s) to be installed: \"/root/.ssh/id_rsa.pub\"\n\nQDevice certificate store already initialised, set force to delete!\n"
	if err := explainDevice(255, nil, []byte(stderr)); err == nil || err.Error() != "QDevice certificate store already initialised, set force to delete!" {
		t.Errorf("%v", err)
	}
	if err := explainDevice(124, nil, nil); err == nil || !strings.Contains(err.Error(), "did not finish in time") {
		t.Errorf("%v", err)
	}
}
