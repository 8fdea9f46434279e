package pvecm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// join plans how a standalone node joins the cluster.
func (s *state) join(ctx context.Context) (modules.Plan, error) {
	cluster, err := s.founderCluster(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkNode(ctx, cluster); err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkLinks(ctx, cluster); err != nil {
		return modules.Plan{}, err
	}
	if err := s.checkName(ctx); err != nil {
		return modules.Plan{}, err
	}
	door, err := s.door(ctx, cluster)
	if err != nil {
		return modules.Plan{}, err
	}
	// Every key that may log in on the node is authorised, so that root keeps access after the join.
	login := login{from: s.host, to: s.founder, node: s.node.Name, name: door.name, address: door.address, reason: "so that root keeps access after the join"}
	steps, partial, err := login.plan(ctx, func(mine pve.Trust) []string { return append([]string{mine.PublicKey}, mine.Authorized...) })
	if err != nil {
		return modules.Plan{}, err
	}
	if partial {
		plan := s.plan(steps...)
		plan.Partial = true
		return plan, nil
	}
	step, err := s.add(ctx, cluster, door)
	if err != nil {
		return modules.Plan{}, err
	}
	return s.plan(append(steps, step)...), nil
}

// founderCluster returns the cluster as the founder sees it, if it can be joined.
func (s *state) founderCluster(ctx context.Context) (pve.Cluster, error) {
	c, err := pve.Clusters.Observe(ctx, s.founder, "")
	if err != nil {
		return c, err
	}
	name := s.founder.Name()
	switch {
	case !c.Mounted:
		return c, fmt.Errorf("founder %s has no /etc/pve: is Proxmox VE installed there, and pve-cluster.service running?", name)
	case c.Name == "":
		return c, fmt.Errorf("founder %s is standalone, so there is no cluster to join: the founder must come before %s in the inventory and in the play", name, s.host.Name())
	case c.Name != s.m.Cluster:
		return c, fmt.Errorf("founder %s is in cluster %q, not %q", name, c.Name, s.m.Cluster)
	case !c.Quorate:
		return c, fmt.Errorf("founder %s has no quorum (online: %s of %s): bring the members back before %s joins",
			name, strings.Join(c.Online(), ", "), strings.Join(c.Names(), ", "), s.host.Name())
	}
	if err := withoutDevice(c); err != nil {
		return c, err
	}
	if offline := len(c.Members) - len(c.Online()); offline > 0 {
		s.note("%d members of cluster %s are offline while %s joins", offline, c.Name, s.node.Name)
	}
	return c, nil
}

// checkNode rejects a joining node that would lose something, or on which the join would fail.
func (s *state) checkNode(ctx context.Context, cluster pve.Cluster) error {
	if err := s.discards(ctx); err != nil {
		return err
	}
	if err := s.notListed(cluster); err != nil {
		return err
	}
	storages, err := pve.Storages.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	for id := range storages {
		if id != "local" {
			s.note("storage definition %s of %s is lost with the join: the cluster's storage configuration replaces it", id, s.node.Name)
		}
	}
	return s.checkVersions(ctx)
}

// notListed rejects a node whose name is already in the cluster.
func (s *state) notListed(cluster pve.Cluster) error {
	member, listed := cluster.Members[s.node.Name]
	switch {
	case !listed:
		return nil
	case member.Online:
		return fmt.Errorf("cluster %s has an online member %s that is not this host: two nodes cannot have the same name", cluster.Name, s.node.Name)
	}
	return fmt.Errorf("cluster %s lists %s although it is standalone: an earlier join was interrupted, or the machine was reinstalled; run `pvecm delnode %s` on %s, then this playbook again",
		cluster.Name, s.node.Name, s.node.Name, s.founder.Name())
}

// ids lists the IDs of guests for a message.
func ids(guests map[int]pve.Guest) string {
	var numbers []int
	for id := range guests {
		numbers = append(numbers, id)
	}
	slices.Sort(numbers)
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers)), ", "), "[]")
}

func (s *state) checkVersions(ctx context.Context) error {
	mine, err := pve.Major(ctx, s.host)
	if err != nil {
		return err
	}
	theirs, err := pve.Major(ctx, s.founder)
	if err != nil {
		return err
	}
	if mine != theirs {
		return fmt.Errorf("%s runs Proxmox VE %d and founder %s runs %d: all nodes of a cluster must run the same major version", s.host.Name(), mine, s.founder.Name(), theirs)
	}
	return nil
}

// checkLinks verifies that the task has the same links as the cluster, with addresses that belong to this host and to no
// other.
func (s *state) checkLinks(ctx context.Context, cluster pve.Cluster) error {
	wanted := s.m.links()
	for _, name := range cluster.Names() {
		member := cluster.Members[name]
		for number, address := range member.Links {
			if _, ok := wanted[number]; !ok {
				return fmt.Errorf("cluster %s has link%d (%s on %s): set link%d to this node's address on it", cluster.Name, number, address, name, number)
			}
			for other, mine := range wanted {
				if mine == address {
					return fmt.Errorf("link%d: %s is already the address of %s", other, mine, name)
				}
			}
		}
		for number := range wanted {
			if _, ok := member.Links[number]; !ok {
				return fmt.Errorf("link%d: cluster %s has no such link; all nodes must have the same links", number, cluster.Name)
			}
		}
	}
	return s.checkAddresses(ctx)
}

// door is the member through which the node joins, and its address.
type door struct{ name, address string }

func (s *state) door(ctx context.Context, cluster pve.Cluster) (door, error) {
	node, err := pve.Nodes.Observe(ctx, s.founder, "")
	if err != nil {
		return door{}, err
	}
	address := cluster.Members[node.Name].Links[0]
	if address == "" {
		return door{}, fmt.Errorf("cluster %s lists no link0 address for founder %s: is it still a member?", cluster.Name, node.Name)
	}
	return door{node.Name, address}, nil
}

// add joins the cluster.
func (s *state) add(ctx context.Context, cluster pve.Cluster, to door) (modules.Step, error) {
	after := cluster.With(s.node.Name, s.m.member())
	joined := after
	joined.AuthKey, joined.Certificate = true, true
	expect := []observe.Expectation{pve.Clusters.Expect("", joined).On(s.host)}
	for _, peer := range append([]modules.Host{s.founder}, s.host.Peers()...) {
		known, ok := peer.Known(pve.Clusters.Key(""))
		if c, _ := known.(pve.Cluster); ok && peer != s.host && c.Name == cluster.Name {
			c.Members, c.ConfigVersion = after.Members, after.ConfigVersion
			expect = append(expect, pve.Clusters.Expect("", c).On(peer))
		}
	}
	shared, err := pve.Shared(ctx, s.founder, s.host)
	if err != nil {
		return modules.Step{}, err
	}
	cephs, err := ceph.Shared(ctx, s.founder, s.host, after.Names())
	if err != nil {
		return modules.Step{}, err
	}
	expect = append(append(expect, shared...), cephs...)
	// The file authorized_keys becomes a link to the cluster's file, into which root's keys are merged.
	expect = append(expect, pve.Trusts.Unknown("", "the join merges root's keys with those of the cluster").On(s.host))
	return modules.Step{
		Risk:    modules.CostsQuorum,
		Summary: fmt.Sprintf("join %s to cluster %s through %s (%s)", s.node.Name, cluster.Name, to.name, to.address),
		Action: modules.Run{
			Argv: append([]string{"pvecm", "add", to.address, "--use_ssh"}, s.m.options()...),
			// pvecm refuses to run below /etc/pve, which it is about to replace.
			Dir: "/root",
			// pvecm waits for quorum indefinitely.
			Limit:   4 * time.Minute,
			Long:    true,
			Explain: explain,
			Suspect: suspect,
		},
		Expect: expect,
		Settle: settleJoin,
		Await:  s.awaitJoin(),
		Wide:   true, Elsewhere: s.elsewhere(),
	}, nil
}
