package pveceph

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// placedLink returns the expectations that follow from creating the link.
func placedLink(h modules.Host) []observe.Expectation {
	return observe.Placed(h, "/etc/ceph/ceph.conf", observe.File{
		Type: observe.Symlink, Mode: 0o777, Owner: "root", Group: "root", Size: int64(len(linkTarget)), Target: linkTarget,
	})
}

// Mon is a monitor on a node. Its ID is the node's name.
type Mon struct {
	Address string `hcl:"address,optional" doc:"Address of the monitor: one of this host's addresses in the public network. The default is the only such address."`
}

func (m *Mon) scope() modules.Scope { return modules.OneByOne }

func (m *Mon) validate() error {
	if m.Address == "" {
		return nil
	}
	if _, err := netip.ParseAddr(m.Address); err != nil {
		return &modules.ArgumentError{Argument: "mon.address", Problem: fmt.Sprintf("%q is not an IP address", m.Address), Want: "expected an address of this host in Ceph's public network"}
	}
	return nil
}

func (m *Mon) mayRead(h modules.Host) {
	observe.Networks.Want(h, "")
	ceph.Managers.Want(h, h.Name())
}

func (m *Mon) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	if !s.conf.Initialised() {
		return modules.Plan{}, fmt.Errorf("%s: Ceph is not initialised: run a task with pveceph { init { … } } first", h.Name())
	}
	name := s.node.Name
	if !s.local.Mon { // needed for its address
		observe.Networks.Want(h, "")
	}
	mon, err := ceph.Monitors.Observe(ctx, h, name)
	if err != nil {
		return modules.Plan{}, err
	}
	in := mon
	in.InMap, in.InQuorum = true, true
	await := "mon." + name + " in the monitors' quorum"
	switch {
	case mon.InMap && !s.local.Mon:
		return modules.Plan{}, fmt.Errorf("mon.%s is in the monitor map but %s has no /var/lib/ceph/mon/ceph-%s, as after a reinstallation: remove the monitor from another node first (ceph mon remove %s)",
			name, h.Name(), name, name)
	case mon.InMap && (!mon.InQuorum || !s.runs("mon", name)):
		return s.plan(s.startUnit(ceph.DaemonUnit("mon", name), await, ceph.DaemonServes("mon", name), pve.Everywhere(h, ceph.Monitors.Expect(name, in)))), nil
	case mon.InMap:
		if m.Address != "" && mon.Address != "" && !sameAddress(mon.Address, m.Address) {
			s.note("mon.%s is at %s, the task says %s; not changed, because a monitor cannot change its address", name, mon.Address, m.Address)
		}
		steps, err := s.firstManager(ctx)
		if err != nil {
			return modules.Plan{}, err
		}
		plan := s.plan(steps...)
		plan.Data = modules.Data(result{ID: cty.StringVal(name), Address: &mon.Address})
		plan.Tally = s.monitors()
		return plan, nil
	case s.local.Mon:
		return modules.Plan{}, fmt.Errorf("%s has /var/lib/ceph/mon/ceph-%s but mon.%s is not in the monitor map: left over from a removed monitor or from an interrupted creation; if it is not the last copy of a cluster's map, move it away and run again",
			h.Name(), name, name)
	case s.conf.Sections["mon."+name] != nil:
		return modules.Plan{}, fmt.Errorf("/etc/pve/ceph.conf has a section [mon.%s] but the monitor does not exist: remove the section, and its address from mon_host, and run again", name)
	}
	return m.create(ctx, s, await)
}

// firstManager waits for the manager that pveceph creates together with the first monitor. The manager appears in the map
// only seconds later, and would count as stopped until then.
func (s *state) firstManager(ctx context.Context) ([]modules.Step, error) {
	if !s.local.Mgr || len(s.conf.MonHosts()) != 1 {
		return nil, nil
	}
	name := s.node.Name
	mgr, err := ceph.Managers.Observe(ctx, s.host, name)
	if err != nil || mgr.InMap && s.runs("mgr", name) {
		return nil, err
	}
	return []modules.Step{s.startUnit(ceph.DaemonUnit("mgr", name), "mgr."+name+" active", ceph.DaemonServes("mgr", name),
		pve.Everywhere(s.host, ceph.Managers.Expect(name, ceph.Manager{InMap: true})))}, nil
}

func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x == y
}

func (m *Mon) create(ctx context.Context, s *state, await string) (modules.Plan, error) {
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	address, err := m.address(ctx, s)
	if err != nil {
		return modules.Plan{}, err
	}
	name := s.node.Name
	first := len(s.conf.MonHosts()) == 0
	units := []string{ceph.DaemonUnit("mon", name)}
	conf := s.conf.With("global", "mon_host", strings.Join(append(s.conf.MonHosts(), address), " ")).
		With("mon."+name, "public_addr", address)
	shared := []observe.Expectation{
		ceph.Confs.Expect("", conf),
		ceph.Monitors.Expect(name, ceph.Monitor{InMap: true, InQuorum: true, Address: address}),
	}
	what := "monitor"
	if first {
		// pveceph creates a manager with the first monitor, and Ceph its default rule.
		what = "the first monitor and manager"
		units = append(units, ceph.DaemonUnit("mgr", name))
		shared = append(shared, ceph.Managers.Expect(name, ceph.Manager{InMap: true}),
			ceph.Statuses.Expect("", ceph.Status{Others: map[string]int{}}), // without pools there are no placement groups
			ceph.Pools.Expect("", map[string]ceph.Pool{}),
			ceph.CrushRules.Expect("", map[string]ceph.CrushRule{"replicated_rule": {Root: "default", FailureDomain: "host"}}))
	}
	run := pveceph(3*time.Minute, "mon", "create", "--mon-address", address)
	until := ceph.DaemonServes("mon", name)
	if first {
		await, until = await+", and mgr."+name+" active", ceph.FirstServes(name)
		// A node may still announce a monitor that was removed a moment ago.
		run.Retry = append(run.Retry, "Could not connect to ceph cluster despite configured monitors")
	}
	plan := s.plan(modules.Step{
		Summary: fmt.Sprintf("create %s %s at %s", what, name, address),
		Action:  run,
		Expect: append(pve.Everywhere(s.host, shared...), s.linked(func(n *ceph.Node) {
			n.Mon = true
			n.Mgr = n.Mgr || first
		}), s.started(units...)),
		Settle: settleDaemon,
		Await:  await,
		Until:  until,
		Wide:   true, Elsewhere: elsewhere,
	})
	plan.Tally = s.monitors(name)
	return plan, nil
}

// monitors counts the monitors of the cluster, and those that the task adds.
func (s *state) monitors(added ...string) *modules.Tally {
	return &modules.Tally{Of: "monitors of Ceph", Names: append(s.conf.Monitors(), added...), Judge: judgeMonitors}
}

// judgeMonitors warns of an even number of monitors, which survives no more losses than one less.
func judgeMonitors(names []string) (string, error) {
	n := len(names)
	if n == 0 || n%2 == 1 {
		return "", nil
	}
	better := "use 3"
	if n > 2 {
		better = fmt.Sprintf("use %d or %d", n-1, n+1)
	}
	return fmt.Sprintf("%d monitors (%s) survive the loss of %d, no more than %d would: %s", n, strings.Join(names, ", "), (n-1)/2, n-1, better), nil
}

// address returns the address that the monitor will listen on.
func (m *Mon) address(ctx context.Context, s *state) (string, error) {
	have, err := addressesInAny(ctx, s.host, s.conf.Global("public_network"))
	if err != nil {
		return "", fmt.Errorf("/etc/pve/ceph.conf: public_network: %w", err)
	}
	if m.Address == "" {
		switch len(have) {
		case 1:
			return have[0], nil
		case 0:
			return "", fmt.Errorf("%s has no address in Ceph's public network %s: is the interface up?", s.host.Name(), s.conf.Global("public_network"))
		}
		return "", fmt.Errorf("%s has several addresses in Ceph's public network: %s; select one with address", s.host.Name(), strings.Join(have, ", "))
	}
	for _, address := range have {
		if sameAddress(address, m.Address) {
			return m.Address, nil
		}
	}
	return "", fmt.Errorf("mon.address: %s is not an address of %s in Ceph's public network %s (there: %s)",
		m.Address, s.host.Name(), s.conf.Global("public_network"), orNone(strings.Join(have, ", ")))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// Mgr is a manager on a node. Its ID is the node's name.
type Mgr struct{}

func (m *Mgr) scope() modules.Scope { return modules.EachHost }
func (m *Mgr) validate() error      { return nil }

func (m *Mgr) mayRead(h modules.Host) { ceph.Managers.Want(h, h.Name()) }

func (m *Mgr) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	name := s.node.Name
	mgr, err := ceph.Managers.Observe(ctx, h, name)
	if err != nil {
		return modules.Plan{}, err
	}
	expect := pve.Everywhere(h, ceph.Managers.Expect(name, ceph.Manager{InMap: true}))
	await := "mgr." + name + " active or standing by"
	unit := ceph.DaemonUnit("mgr", name)
	switch {
	case mgr.InMap && s.runs("mgr", name):
		return s.plan(), nil
	case s.local.Mgr:
		return s.plan(append(s.link(), s.startUnit(unit, await, ceph.DaemonServes("mgr", name), expect))...), nil
	}
	return s.plan(append(s.link(), modules.Step{
		Summary: "create manager " + name,
		Action:  pveceph(2*time.Minute, "mgr", "create"),
		Expect:  append(expect, s.linked(func(n *ceph.Node) { n.Mgr = true }), s.started(unit)),
		Settle:  settleDaemon,
		Await:   await,
		Until:   ceph.DaemonServes("mgr", name),
		Wide:    true, Elsewhere: elsewhereOfManager(name),
	})...), nil
}

// MDS is a metadata server on a node. Its ID is the node's name.
type MDS struct{}

// ceph.conf is not locked while a metadata server is created: of two created at the same time, one would lose its section.
func (m *MDS) scope() modules.Scope { return modules.OneByOne }
func (m *MDS) validate() error      { return nil }

func (m *MDS) mayRead(h modules.Host) { ceph.MetadataServers.Want(h, h.Name()) }

func (m *MDS) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	name := s.node.Name
	mds, err := ceph.MetadataServers.Observe(ctx, h, name)
	if err != nil {
		return modules.Plan{}, err
	}
	expect := pve.Everywhere(h, ceph.MetadataServers.Expect(name, ceph.MetadataServer{State: "up:standby"}))
	await := "mds." + name + " active or standing by"
	unit := ceph.DaemonUnit("mds", name)
	switch {
	case strings.HasPrefix(mds.State, "up:") && s.runs("mds", name):
		plan := s.plan()
		plan.Data = modules.Data(result{ID: cty.StringVal(name), State: &mds.State})
		return plan, nil
	case s.local.MDS:
		return s.plan(append(s.link(), s.startUnit(unit, await, ceph.DaemonServes("mds", name), expect))...), nil
	case s.conf.Sections["mds."+name] != nil:
		return modules.Plan{}, fmt.Errorf("/etc/pve/ceph.conf has a section [mds.%s] but %s has no such metadata server: run `pveceph mds destroy %s` there, then run this again", name, h.Name(), name)
	case name[0] >= '0' && name[0] <= '9':
		return modules.Plan{}, fmt.Errorf("a metadata server's id cannot begin with a digit, and it is the node's name: %s", name)
	}
	if err := s.writable(ctx); err != nil {
		return modules.Plan{}, err
	}
	expect = append(expect, pve.Everywhere(h, ceph.Confs.Expect("", s.conf.With("mds."+name, "host", name)))...)
	return s.plan(append(s.link(), modules.Step{
		Summary: "create metadata server " + name,
		Action:  pveceph(2*time.Minute, "mds", "create"),
		Expect:  append(expect, s.linked(func(n *ceph.Node) { n.MDS = true }), s.started(unit)),
		Settle:  settleDaemon,
		Await:   await,
		Until:   ceph.DaemonServes("mds", name),
		Wide:    true, Elsewhere: elsewhere,
	})...), nil
}
