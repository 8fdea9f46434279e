// Package pvecm creates a Proxmox VE cluster and joins nodes to it, one at a time.
//
// pvecm(1) and PVE::CLI::pvecm describe what pvecm itself does. It exits with 0 even if creating or joining has failed, so
// the module verifies the membership on both sides and relies on nothing else.
package pvecm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Module is the desired cluster membership of a node.
type Module struct {
	Cluster  string        `hcl:"cluster,optional" doc:"Name of the cluster: at most 15 letters, digits and hyphens. It cannot be changed later. Required to create or join."`
	Founder  string        `hcl:"founder,optional" doc:"Inventory name of the host that creates the cluster and through which the others join. Later, any member will do. Required to create or join."`
	Link0    string        `hcl:"link0,optional" doc:"This node's address for corosync's first link. Required to create or join, so that nothing depends on how the node's name resolves."`
	Link1    string        `hcl:"link1,optional" doc:"This node's address for a second link. All nodes have the same links."`
	Link2    string        `hcl:"link2,optional" doc:"This node's address for a third link."`
	Link3    string        `hcl:"link3,optional" doc:"This node's address for a fourth link."`
	Votes    int           `hcl:"votes,optional" default:"1" doc:"This node's votes. Only set when the node is new to the cluster; a later difference is noted, not corrected."`
	NodeID   *int          `hcl:"nodeid,optional" doc:"This node's ID in corosync; by default the lowest free one."`
	Remove   *Remove       `hcl:"remove,block" doc:"Remove another node from the cluster, instead of all of the above."`
	Link     []Link        `hcl:"link,block" doc:"A link of an existing cluster, on all its nodes, instead of all of the above. Links without a block are left alone."`
	Rollback time.Duration `hcl:"rollback,optional" default:"\"2m\"" doc:"With link: time after which the node restores the old links, unless the new ones have been proven."`
	QDevice  *QDevice      `hcl:"qdevice,block" doc:"A QDevice, which votes from a host outside of the cluster, instead of all of the above."`
	Check    *Check        `hcl:"check,block" doc:"Only make the checks of creating or joining, and change nothing. For the beginning of a playbook: Proxmox VE need not be installed yet."`
}

// result is the registered result.
type result struct {
	Cluster string   `cty:"cluster" doc:"Name of the cluster."`
	Nodes   []string `cty:"nodes" doc:"Names of its nodes."`
	Quorate bool     `cty:"quorate" doc:"Whether it has quorum."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:        "pvecm",
	Facts:       []observe.FactSpec{pve.Fact, pve.KernelFact, pve.BootFact},
	Packages:    pve.Packages(ceph.Content),
	FileSystems: []observe.FileSystem{pve.ClusterFileSystem},
	United:      pve.United,
	RootHint:    "if the key was accepted before and this is a Proxmox VE node: root's authorized_keys is a link into /etc/pve, so no key is accepted while pve-cluster.service is stopped; start it from the host's console",
	Reinstate:   reinstate,
	Rewritten:   []string{"/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"},
	Functions:   functions,
	Summary:     "Membership in a Proxmox VE cluster: created on one host, joined by the others one at a time",
	Doc: `The founder creates the cluster if it is standalone; the other hosts join through the founder, one at a time, in the inventory's
order. The task is done when both sides agree: the node is quorate, and every member lists it as online.

These are refused: a node that is in a cluster with another name, or in a different one with the same name (neither lists the other);
a node whose own name does not resolve to one of its addresses; a node with guests (their IDs could clash, and joining replaces
the node's whole configuration); a node with Ceph of its own; a leftover corosync key; a name that the cluster already knows (from
a join that failed, or a machine that was reinstalled); links that the cluster does not have; different major versions; a founder
without quorum; a second cluster while another host of the play is already in one. The votes, links and ID of a member are
never changed: a difference is a note.

**link** changes the links of a running cluster: it adds one, changes its addresses or its priority, or removes it. The new corosync.conf, with a
higher version, replaces the old one only if that is still the file that the plan was made from; a copy is kept. Additions and
priorities come first, then one link after another. corosync does not change an address in place, so such a link is taken out, and put back with its
new addresses once every node has loaded that. Nodes stay members meanwhile, because another link must connect them all.
The change is guarded: unless all nodes have loaded it, are quorate and reach each other over the new link in time, the node
that made it restores the old links, under a higher version. These are refused: a cluster without quorum or with an offline node; a node
without an address on the link, or with one that is not its own; removing the only link; a change while no other link connects all nodes;
and taking a link away, even for a moment, while high availability is armed. Adding a link takes nothing away and is always
allowed. Comments in corosync.conf are lost, as with any Proxmox VE command that writes it. Restoring the old links needs a quorum as well; without
one, the node tries for two minutes and then leaves the file alone. It does so even if it is restarted meanwhile, one minute after its
start. A file that somebody else has changed since is left alone.

**remove** deletes a node that has been switched off for good, from a remaining member, and cleans up what Proxmox VE leaves behind:
the node's directory below /etc/pve/nodes, root's keys, and its empty bucket in the CRUSH map. It is refused, with what to do and in which
order, while the node answers or still has guests, HA rules, replication jobs, OSDs, monitors, managers or metadata servers; while
there is a QDevice; and if the nodes that are online would have no quorum. **The removed machine must never be started again in the same network
with its old installation:** erase its disks first.

**qdevice** gives a cluster with an even number of nodes one more vote, through corosync-qnetd on a host outside of the cluster. Two nodes then survive
the loss of one, and ` + "`hlplay prove`" + ` shows the difference. The package corosync-qnetd must be installed on that host, and corosync-qdevice on all
nodes. The root key of one node is authorised on the host, because ` + "`pvecm qdevice setup`" + ` exchanges certificates over SSH; it can be removed
afterwards. The task is done when every online node reports the device as alive. An odd number of nodes is refused, as Proxmox recommends: the
device would have as many votes as all nodes but one together, and without it not one more node could fail. Remove it before a node joins or leaves.

**Access.** After joining, a node uses the cluster's ` + "`authorized_keys`" + ` for root. Every key that may log in on the joining
node is therefore first authorised on the founder, and so on all members. The joining node's own key is
among them, because the join runs over SSH, with verified host keys and without a password.
Joining discards the node's storages, users and other settings below /etc/pve.`,
	Example: `task "cluster membership" {
  pvecm {
    cluster = "dream"
    founder = groups.pve[0]
    link0   = host.address
  }
  register = "membership"
}

task "a node that is switched off for good" {
  pvecm {
    remove {
      node = "pve4"
    }
  }
}

task "a second link for corosync" {
  pvecm {
    link "1" {
      addresses = { pve1 = "10.20.0.11", pve2 = "10.20.0.12", pve3 = "10.20.0.13" }
      priority  = 20
    }
  }
}

task "a fifth vote for four nodes" {
  pvecm {
    qdevice {
      host    = "witness"
      address = "192.168.1.20"
    }
  }
}
`,
	Result: result{},
	New:    func() modules.Module { return &Module{} },
}

// Scope implements modules.Scoped. Two joins at the same time would collide, and a node is removed only once.
func (m *Module) Scope() modules.Scope {
	switch {
	case m.Check != nil:
		return modules.EachHost
	case m.Remove != nil, m.QDevice != nil, len(m.Link) > 0:
		return modules.OncePerCluster
	}
	return modules.OneByOne
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if len(m.Link) > 0 {
		return m.validateLinks()
	}
	if m.Remove != nil {
		return m.validateRemove()
	}
	if m.QDevice != nil {
		return m.validateQDevice()
	}
	if err := pve.CheckNodeName("cluster", m.Cluster); err != nil {
		return err
	}
	if len(m.Cluster) > 15 {
		return &modules.ArgumentError{Argument: "cluster", Problem: fmt.Sprintf("%q has %d characters", m.Cluster, len(m.Cluster)), Want: "expected at most 15"}
	}
	if m.Founder == "" {
		return &modules.ArgumentError{Argument: "founder", Problem: "empty", Want: "expected the inventory name of a host"}
	}
	for i, address := range []string{m.Link0, m.Link1, m.Link2, m.Link3} {
		if address == "" && i > 0 {
			continue
		}
		if address == "" || strings.ContainsAny(address, " ,;=/") || strings.HasPrefix(address, "-") {
			return &modules.ArgumentError{Argument: fmt.Sprintf("link%d", i), Problem: fmt.Sprintf("%q is not an address", address), Want: "expected one IP address of this host"}
		}
	}
	if m.Votes < 0 {
		return &modules.ArgumentError{Argument: "votes", Problem: "negative", Want: "0 or more"}
	}
	if m.NodeID != nil && *m.NodeID < 1 {
		return &modules.ArgumentError{Argument: "nodeid", Problem: fmt.Sprint(*m.NodeID), Want: "1 or more"}
	}
	return nil
}

// links returns the wanted addresses by link number.
func (m *Module) links() map[int]string {
	links := map[int]string{}
	for i, address := range []string{m.Link0, m.Link1, m.Link2, m.Link3} {
		if address != "" {
			links[i] = address
		}
	}
	return links
}

// member returns this node as the cluster will list it.
func (m *Module) member() pve.Member {
	member := pve.Member{Votes: m.Votes, Online: true, Links: m.links()}
	if m.NodeID != nil {
		member.ID = *m.NodeID
	}
	return member
}

// options returns the arguments that pvecm create and pvecm add have in common.
func (m *Module) options() []string {
	var args []string
	for i, address := range []string{m.Link0, m.Link1, m.Link2, m.Link3} {
		if address != "" {
			args = append(args, fmt.Sprintf("--link%d", i), address)
		}
	}
	if m.Votes != 1 {
		args = append(args, "--votes", strconv.Itoa(m.Votes))
	}
	if m.NodeID != nil {
		args = append(args, "--nodeid", strconv.Itoa(*m.NodeID))
	}
	return args
}

// MayRead implements modules.Forecaster.
func (m *Module) MayRead(h modules.Host) {
	pve.Nodes.Want(h, "")
	pve.Clusters.Want(h, "")
	if m.Founder == "" || m.Check != nil {
		return
	}
	observe.Networks.Want(h, "")
	observe.Resolves.Want(h, h.Name())
	pve.Trusts.Want(h, "")
	if h.Name() != m.Founder {
		if founder, err := h.Peer(m.Founder); err == nil {
			pve.Clusters.Want(founder, "")
			pve.Nodes.Want(founder, "")
			pve.Trusts.Want(founder, "")
		}
		pve.GuestLists.Want(h, "")
		pve.Storages.Want(h, "")
	}
}

// Plan compares the node's membership with the wanted one.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if len(m.Link) > 0 {
		return m.planLinks(ctx, h)
	}
	if m.Remove != nil {
		return m.Remove.plan(ctx, h)
	}
	if m.QDevice != nil {
		return m.QDevice.plan(ctx, h)
	}
	founder, err := h.Peer(m.Founder)
	if err != nil {
		return modules.Plan{}, fmt.Errorf("founder: %w", err)
	}
	if m.Check != nil {
		return modules.Plan{}, m.check(ctx, h, founder)
	}
	pve.Clusters.Want(h, "")
	pve.Clusters.Want(founder, "")
	pve.Nodes.Want(founder, "")
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	if !node.Installed {
		return modules.Plan{}, fmt.Errorf("%s has no Proxmox VE: install package proxmox-ve first", h.Name())
	}
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	s := &state{m: m, host: h, founder: founder, node: node, cluster: cluster}
	switch {
	case !cluster.Mounted:
		if err := running(ctx, pmxcfsUnit, h); err != nil {
			return modules.Plan{}, err
		}
		return waitForMount(h), nil
	case cluster.Name != "" && cluster.Name != m.Cluster:
		return modules.Plan{}, s.otherCluster()
	case cluster.Name != "":
		return s.member(ctx)
	}
	observe.Networks.Want(h, "")
	observe.Resolves.Want(h, node.Name)
	if founder == h {
		return s.create(ctx)
	}
	pve.Trusts.Want(h, "")
	return s.join(ctx)
}

// state holds the observations that a plan is made from.
type state struct {
	m       *Module
	host    modules.Host
	founder modules.Host
	node    pve.Node
	cluster pve.Cluster
	// peers lists the other hosts of this run in the same cluster; it is empty until they have been asked.
	peers []modules.Host
	notes []string
}

func (s *state) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// unasked notes that a host could not be asked. The reason and the remedy are reported only once, by that host's own
// failure.
func (s *state) unasked(peer modules.Host, what string, err error) {
	var unreachable *remote.UnreachableError
	if errors.As(err, &unreachable) {
		s.note("could not ask %s %s", peer.Name(), what)
		return
	}
	s.note("could not ask %s %s: %v", peer.Name(), what, err)
}

// data returns the registered result.
func (s *state) data() cty.Value {
	return modules.Data(result{Cluster: s.cluster.Name, Nodes: s.cluster.Names(), Quorate: s.cluster.Quorate})
}

func (s *state) plan(steps ...modules.Step) modules.Plan {
	return modules.Plan{Steps: steps, Data: s.data(), Notes: s.notes}
}

// waitForMount waits for /etc/pve, which disappears for seconds while a cluster is created or joined.
func waitForMount(h modules.Host) modules.Plan {
	return modules.Plan{Steps: []modules.Step{{
		Summary: "wait for the cluster file system /etc/pve",
		Action:  modules.Wait{},
		Settle:  time.Minute,
		Await:   "/etc/pve on " + h.Name() + " (pve-cluster.service; does the node's name resolve to its address in /etc/hosts?)",
		Expect:  []observe.Expectation{pve.Clusters.Unknown("", "/etc/pve is not mounted yet").On(h)},
	}}}
}

// checkAddresses rejects a link address that this host does not have: pvecm create accepts it, but the resulting cluster is
// useless and cannot be left.
func (s *state) checkAddresses(ctx context.Context) error {
	network, err := observe.Networks.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	for number, text := range s.m.links() {
		address, err := netip.ParseAddr(text)
		if err != nil {
			continue // a name, which corosync resolves
		}
		if !network.Has(address) {
			return fmt.Errorf("link%d: %s is not an address of %s: give the address of one of its interfaces", number, text, s.host.Name())
		}
	}
	return nil
}

// create plans the creation of the cluster on a standalone founder.
func (s *state) create(ctx context.Context) (modules.Plan, error) {
	if err := s.noOtherCluster(ctx); err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkAddresses(ctx); err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkName(ctx); err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkHostKeys(ctx); err != nil {
		return modules.Plan{}, err
	}
	after := pve.Cluster{Mounted: true, Quorate: true, Certificate: true, AuthKey: true, Name: s.m.Cluster}.With(s.node.Name, s.m.member())
	return s.plan(modules.Step{
		Risk:    modules.CostsQuorum,
		Summary: fmt.Sprintf("create cluster %s with %s as its first node", s.m.Cluster, s.node.Name),
		Action: modules.Run{
			Argv:    append([]string{"pvecm", "create", s.m.Cluster}, s.m.options()...),
			Dir:     "/root",
			Limit:   2 * time.Minute,
			Long:    true,
			Explain: explain,
			Suspect: suspect,
		},
		Expect: []observe.Expectation{pve.Clusters.Expect("", after).On(s.host)},
		Settle: time.Minute,
		Await:  "quorum on " + s.node.Name,
		Wide:   true, Elsewhere: s.elsewhere(),
	}), nil
}

// checkHostKeys verifies that other hosts of the play can join over SSH. They read the founder's SSH keys once it has the cluster:
// because it reads them before, they are read again in the flight that creates the cluster.
func (s *state) checkHostKeys(ctx context.Context) error {
	if len(s.host.Peers()) < 2 {
		return nil
	}
	trust, err := pve.Trusts.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	return hasHostKeys(s.host, trust)
}

// noOtherCluster verifies that no host of the play is in a cluster yet, because clusters cannot be merged.
func (s *state) noOtherCluster(ctx context.Context) error {
	peers := s.host.Peers()
	for _, peer := range peers {
		pve.Clusters.Want(peer, "")
	}
	for _, peer := range peers {
		if peer == s.host {
			continue
		}
		c, err := pve.Clusters.Observe(ctx, peer, "")
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.unasked(peer, "whether it is already in a cluster", err)
			continue
		}
		if c.Name != "" {
			return fmt.Errorf("%s is already in cluster %q while founder %s is standalone: set founder to %s, or check the order of the hosts; clusters cannot be merged",
				peer.Name(), c.Name, s.host.Name(), peer.Name())
		}
	}
	return nil
}

// suspect detects a create or add that failed and exited with 0: its worker prints the error, and nothing else, on standard
// error (PVE/CLI/pvecm.pm, recorded with 9.2 and 8.4).
func suspect(_, stderr []byte) error { return explain(0, nil, stderr) }

// explain returns the last line of a failed pvecm, whose exit codes mean nothing.
func explain(exit int, stdout, stderr []byte) error {
	text := strings.TrimSpace(string(stderr))
	switch {
	case exit == 124:
		return errors.New("pvecm did not finish in time: it waits for quorum indefinitely; see journalctl -u corosync, and check that UDP 5405 to 5412 is open between the nodes")
	case text == "":
		return nil
	}
	return pve.Refused(strings.Join(strings.Fields(text), " "))
}
