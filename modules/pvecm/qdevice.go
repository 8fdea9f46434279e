package pvecm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/plural"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// QDevice is the cluster's QDevice. What pvecm does and rejects is taken from its source (pve-cluster 9.1,
// PVE::CLI::pvecm), not from a recording.
type QDevice struct {
	Host    string `hcl:"host,optional" doc:"Inventory name of the host with corosync-qnetd, which must not be part of the cluster. Required unless state is absent."`
	Address string `hcl:"address,optional" doc:"Address of that host. All nodes must reach it on TCP port 5403, and the node that runs pvecm also over SSH. Required unless state is absent."`
	State   string `hcl:"state,optional" default:"present" enum:"present,absent" doc:"Whether the cluster has a QDevice. Its host is left alone."`
}

// deviceAbsent is how a playbook removes the QDevice.
const deviceAbsent = `pvecm { qdevice { state = "absent" } }`

const (
	qdeviceUnit = "corosync-qdevice.service"
	qnetdUnit   = "corosync-qnetd.service"
	rootSSH     = "/root/.ssh"
)

func (m *Module) validateQDevice() error {
	if m.Cluster != "" || m.Founder != "" || m.Link0 != "" || m.Check != nil {
		return &modules.ArgumentError{Argument: "qdevice", Problem: "a QDevice is not set up in the same task as a membership", Want: "give qdevice only"}
	}
	d := m.QDevice
	if d.State == "absent" {
		return nil
	}
	if d.Host == "" {
		return &modules.ArgumentError{Argument: "qdevice.host", Problem: "missing", Want: "expected the inventory name of the host that runs corosync-qnetd"}
	}
	if _, err := netip.ParseAddr(d.Address); err != nil {
		return &modules.ArgumentError{Argument: "qdevice.address", Problem: fmt.Sprintf("%q is not an IP address", d.Address), Want: "expected the address of " + d.Host}
	}
	return nil
}

// device holds the observations on which a plan for a QDevice is based.
type device struct {
	*QDevice
	host    modules.Host
	cluster pve.Cluster
	// hosts holds the online nodes by name, and states their view of the QDevice.
	hosts  map[string]modules.Host
	states map[string]pve.QDevice
	notes  []string
}

// plan compares the cluster's QDevice with the wanted one.
func (q *QDevice) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	c, err := pve.Clusters.Observe(ctx, h, "")
	switch {
	case err != nil:
		return modules.Plan{}, err
	case c.Mounted && c.Name == "":
		return modules.Plan{}, fmt.Errorf("%s is not in a cluster: a QDevice needs one", h.Name())
	}
	if err := pve.Writable(ctx, h); err != nil {
		return modules.Plan{}, err
	}
	d := &device{QDevice: q, host: h, cluster: c}
	if err := d.look(ctx); err != nil {
		return modules.Plan{}, err
	}
	var steps []modules.Step
	partial := false
	switch {
	case q.State == "absent" && c.Device == "":
	case q.State == "absent":
		steps, err = d.remove()
	case c.Device == "":
		steps, partial, err = d.setUp(ctx)
	default:
		steps, err = d.living()
	}
	if err != nil {
		return modules.Plan{}, err
	}
	return modules.Plan{Steps: steps, Partial: partial, Notes: d.notes,
		Data: modules.Data(result{Cluster: c.Name, Nodes: c.Names(), Quorate: c.Quorate})}, nil
}

// look finds the hosts of the online nodes, and reads their view of the QDevice.
func (d *device) look(ctx context.Context) error {
	var err error
	if d.hosts, err = onlineHosts(ctx, d.host, d.cluster, func(peer modules.Host) { pve.QDevices.Want(peer, "") }); err != nil {
		return err
	}
	d.states = map[string]pve.QDevice{}
	for name, h := range d.hosts {
		if d.states[name], err = pve.QDevices.Observe(ctx, h, ""); err != nil {
			return err
		}
	}
	return nil
}

// withoutDevice rejects a join while there is a QDevice, as Proxmox's documentation demands: the new node would have no
// certificate for it, and an odd number of nodes should not have one.
func withoutDevice(c pve.Cluster) error {
	if c.Device == "" {
		return nil
	}
	return fmt.Errorf("cluster %s has a QDevice, and no node can join until it is removed: remove it first (%s), and set it up again afterwards if the number of nodes is even", c.Name, deviceAbsent)
}

// complete verifies that all nodes are online, as pvecm does.
func (d *device) complete() error {
	if offline := d.cluster.Offline(); len(offline) > 0 {
		return fmt.Errorf("bring %s back online first: a QDevice can be set up or removed only while all nodes are online", strings.Join(offline, ", "))
	}
	return nil
}

// odd returns why Proxmox advises against a QDevice for an odd number of nodes.
func (d *device) odd() string {
	n := len(d.cluster.Members)
	if n%2 == 0 {
		return ""
	}
	if n == 1 {
		return "it does not help a single node"
	}
	return fmt.Sprintf("for %d nodes it would have %s, as many as all nodes but one together: if it failed, no node could fail", n, plural.Of(n-1, "vote"))
}

// setUp plans to set up a QDevice in a cluster that has none.
func (d *device) setUp(ctx context.Context) (steps []modules.Step, partial bool, err error) {
	if odd := d.odd(); odd != "" {
		return nil, false, fmt.Errorf("a QDevice is for an even number of nodes: %s", odd)
	}
	if err := d.complete(); err != nil {
		return nil, false, err
	}
	witness, err := d.host.Peer(d.Host)
	if err != nil {
		return nil, false, fmt.Errorf("qdevice.host: %w", err)
	}
	if err := d.installed(ctx, witness); err != nil {
		return nil, false, err
	}
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		if d.states[name].Certificates {
			steps = append(steps, modules.Step{
				Summary: fmt.Sprintf("remove the certificates that an earlier setup left on %s", name),
				// The setup creates it anew.
				Action: modules.Remove{Path: pve.QDeviceStore, Recursive: true, Lossless: true},
				Expect: []observe.Expectation{pve.QDevices.Expect("", pve.QDevice{}).On(d.hosts[name])},
				On:     d.hosts[name],
			})
		}
	}
	trust, partial, err := d.trust(ctx, witness)
	if steps = append(steps, trust...); err != nil || partial {
		return steps, partial, err
	}
	return append(steps, d.setUpStep()), false, nil
}

// installed verifies what pvecm relies on without checking it; otherwise pvecm would stop halfway.
func (d *device) installed(ctx context.Context, witness modules.Host) error {
	observe.Packages.Want(witness, "corosync-qnetd")
	observe.Networks.Want(witness, "")
	for _, h := range d.hosts {
		observe.Packages.Want(h, "corosync-qdevice")
		if h == witness {
			return fmt.Errorf("%s is a node of cluster %s: a QDevice must run outside the cluster, so that its vote remains when nodes are lost", witness.Name(), d.cluster.Name)
		}
	}
	server, err := observe.Packages.Observe(ctx, witness, "corosync-qnetd")
	if err != nil {
		return err
	}
	if !server.Installed() {
		return fmt.Errorf("%s has no corosync-qnetd: install package corosync-qnetd there first", witness.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		client, err := observe.Packages.Observe(ctx, d.hosts[name], "corosync-qdevice")
		if err != nil {
			return err
		}
		if !client.Installed() {
			return fmt.Errorf("%s has no corosync-qdevice: install package corosync-qdevice on all nodes first", name)
		}
	}
	network, err := observe.Networks.Observe(ctx, witness, "")
	if err != nil {
		return err
	}
	if !network.Has(netip.MustParseAddr(d.Address)) {
		return fmt.Errorf("qdevice.address: %s is not an address of %s: give the address of one of its interfaces", d.Address, witness.Name())
	}
	return running(ctx, qnetdUnit, witness)
}

// trust lets root of the node that runs pvecm log in on the host of corosync-qnetd.
func (d *device) trust(ctx context.Context, witness modules.Host) (steps []modules.Step, partial bool, err error) {
	node, err := pve.Nodes.Observe(ctx, d.host, "")
	if err != nil {
		return nil, false, err
	}
	there, err := observe.Exists(ctx, witness, rootSSH)
	if err != nil {
		return nil, false, err
	}
	if !there {
		folder := observe.File{Type: observe.Directory, Mode: 0o700, Owner: "root", Group: "root"}
		expect := observe.Placed(witness, rootSSH, folder)
		for i := range expect {
			expect[i] = expect[i].On(witness)
		}
		steps = append(steps, modules.Step{
			Summary: fmt.Sprintf("create %s on %s", rootSSH, witness.Name()),
			Action:  modules.MakeDir{Path: rootSSH, Mode: folder.Mode, Owner: folder.Owner, Group: folder.Group},
			Expect:  expect,
			On:      witness,
		})
	}
	l := login{from: d.host, to: witness, node: node.Name, name: witness.Name(), address: d.Address, reason: "for the exchange of certificates"}
	more, partial, err := l.plan(ctx, func(mine pve.Trust) []string { return []string{mine.PublicKey} })
	return append(steps, more...), partial, err
}

func (d *device) setUpStep() modules.Step {
	expect := onMembers(d.host, d.cluster, func(seen *pve.Cluster) { seen.Device, seen.DeviceVotes = d.Address, 1 })
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		expect = append(expect, pve.QDevices.Expect("", pve.QDevice{Certificates: true, Registered: true, Alive: true, Votes: true}).On(d.hosts[name]))
	}
	return modules.Step{
		Risk:    modules.CostsQuorum,
		Summary: fmt.Sprintf("set up a QDevice of one vote on %s (%s)", d.Host, d.Address),
		Action:  modules.Run{Argv: []string{"pvecm", "qdevice", "setup", d.Address}, Dir: "/root", Limit: 5 * time.Minute, Long: true, Explain: explainDevice},
		Expect:  expect,
		Settle:  time.Minute,
		Await:   "the QDevice to answer every node",
		Wide:    true,
	}
}

// living checks a configured QDevice, and starts the daemon on nodes where it is not registered.
func (d *device) living() ([]modules.Step, error) {
	if have, err := netip.ParseAddr(d.cluster.Device); err != nil || have != netip.MustParseAddr(d.Address) {
		return nil, fmt.Errorf("cluster %s has its QDevice on %s, not on %s: remove it first (%s)", d.cluster.Name, d.cluster.Device, d.Address, deviceAbsent)
	}
	if odd := d.odd(); odd != "" {
		d.notes = append(d.notes, "Proxmox advises against a QDevice for an odd number of nodes: "+odd)
	}
	var steps []modules.Step
	var silent []string
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		switch state := d.states[name]; {
		case !state.Registered:
			state.Registered, state.Alive, state.Votes = true, true, true
			steps = append(steps, modules.Step{
				Summary: fmt.Sprintf("enable and start %s on %s", qdeviceUnit, name),
				Action:  modules.Run{Argv: []string{"systemctl", "enable", "--now", qdeviceUnit}, Limit: time.Minute},
				Expect:  []observe.Expectation{pve.QDevices.Expect("", state).On(d.hosts[name])},
				Settle:  30 * time.Second,
				Await:   "the QDevice to answer " + name,
				On:      d.hosts[name],
			})
		case !state.Alive:
			silent = append(silent, name)
		}
	}
	if len(silent) > 0 { // starting the daemons of other nodes would not help
		return nil, fmt.Errorf("the QDevice does not answer %s, and does not vote: check that corosync-qnetd runs on %s (systemctl status %s), and that the nodes reach TCP port 5403 of %s (journalctl -u %s)",
			strings.Join(silent, ", "), d.Host, qnetdUnit, d.Address, qdeviceUnit)
	}
	return steps, nil
}

// remove plans the removal.
func (d *device) remove() ([]modules.Step, error) {
	if err := d.complete(); err != nil {
		return nil, err
	}
	votes := 0
	for _, m := range d.cluster.Members {
		votes += m.Votes
	}
	expect := onMembers(d.host, d.cluster, func(seen *pve.Cluster) { seen.Device, seen.DeviceVotes = "", 0 })
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		expect = append(expect, pve.QDevices.Expect("", pve.QDevice{}).On(d.hosts[name]))
	}
	return []modules.Step{{
		Risk:    modules.CostsQuorum,
		Summary: fmt.Sprintf("remove the QDevice on %s; cluster %s then has %s", d.cluster.Device, d.cluster.Name, plural.Of(votes, "vote")),
		Action:  modules.Run{Argv: []string{"pvecm", "qdevice", "remove"}, Dir: "/root", Limit: 2 * time.Minute, Long: true, Explain: explainDevice},
		Expect:  expect,
		Settle:  time.Minute,
		Await:   "the cluster without the QDevice",
		Wide:    true,
	}}, nil
}

// explainDevice returns why pvecm qdevice failed: its last line, because the output of the programs that it runs comes
// first.
func explainDevice(exit int, _, stderr []byte) error {
	if exit == 124 {
		return errors.New("pvecm did not finish in time: check that the nodes and the host of the QDevice reach each other over SSH")
	}
	return pve.Refused(observe.LastLine(stderr))
}
