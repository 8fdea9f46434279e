package pvecm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// settleJoin limits how long a membership may take to show everywhere. corosync's token and consensus timeouts add up to
// about 15 s; other nodes reload within seconds.
const settleJoin = 90 * time.Second

// member checks a node that is in the wanted cluster according to its own configuration.
func (s *state) member(ctx context.Context) (modules.Plan, error) {
	self, listed := s.cluster.Members[s.node.Name]
	if !listed {
		return modules.Plan{}, fmt.Errorf("%s has the configuration of cluster %s but is no longer a member: it was removed (pvecm delnode), and must be reinstalled before it can join again",
			s.host.Name(), s.cluster.Name)
	}
	s.drift(self)
	if _, err := s.founderSide(ctx); err != nil {
		return modules.Plan{}, err
	}
	missing, err := s.unproven(ctx)
	if err != nil {
		return modules.Plan{}, err
	}
	if len(missing) > 0 {
		if err := running(ctx, corosyncUnit, s.concerned()...); err != nil {
			return modules.Plan{}, fmt.Errorf("%s: %w", strings.Join(missing, ", "), err)
		}
		return s.plan(s.proof(missing)), nil
	}
	if !s.cluster.Certificate {
		return s.plan(s.certificate()), nil
	}
	return s.plan(), nil
}

// unproven lists what is still missing for a complete membership of the node.
func (s *state) unproven(ctx context.Context) ([]string, error) {
	var missing []string
	if !s.cluster.Quorate {
		missing = append(missing, s.node.Name+" is not quorate")
	}
	if !s.cluster.Members[s.node.Name].Online {
		missing = append(missing, s.node.Name+" does not see itself online")
	}
	peers := s.host.Peers()
	if s.founder != s.host {
		peers = append([]modules.Host{s.founder}, peers...)
	}
	for _, peer := range peers {
		pve.Clusters.Want(peer, "")
		pve.Nodes.Want(peer, "")
	}
	asked := map[modules.Host]bool{s.host: true}
	for _, peer := range peers {
		if asked[peer] {
			continue
		}
		asked[peer] = true
		c, err := pve.Clusters.Observe(ctx, peer, "")
		switch {
		case err != nil && (ctx.Err() != nil || observe.IsUnknown(err)):
			return nil, err
		case err != nil:
			s.unasked(peer, "whether it sees "+s.node.Name, err)
		case c.Name == "" && peer == s.founder && c.Mounted:
			return nil, fmt.Errorf("%s is in cluster %s but founder %s is standalone, perhaps because it was reinstalled: set founder to a member of the cluster",
				s.host.Name(), s.cluster.Name, peer.Name())
		case c.Name != s.cluster.Name && peer == s.founder && c.Mounted:
			return nil, fmt.Errorf("%s is in cluster %s but founder %s is in %q: they are different clusters",
				s.host.Name(), s.cluster.Name, peer.Name(), c.Name)
		case c.Name == s.cluster.Name:
			node, err := pve.Nodes.Observe(ctx, peer, "")
			if err != nil {
				return nil, err
			}
			if apart(s.cluster, s.node.Name, c, node.Name) {
				continue // another cluster of this name, rejected on that host
			}
			s.peers = append(s.peers, peer)
			member, listed := c.Members[s.node.Name]
			switch {
			case !listed:
				missing = append(missing, peer.Name()+" does not list "+s.node.Name)
			case !member.Online:
				missing = append(missing, peer.Name()+" sees "+s.node.Name+" offline")
			}
		}
	}
	return missing, nil
}

// concerned returns the hosts whose corosync decides about the node's membership: its own and, without a quorum, those of
// all others.
func (s *state) concerned() []modules.Host {
	if s.cluster.Quorate {
		return []modules.Host{s.host}
	}
	return append([]modules.Host{s.host}, s.peers...)
}

// proof returns a step that waits for what is not proven yet.
func (s *state) proof(missing []string) modules.Step {
	after := s.seen(s.cluster)
	after.Quorate = true
	expect := []observe.Expectation{pve.Clusters.Expect("", after).On(s.host)}
	for _, peer := range s.peers {
		known, _ := peer.Known(pve.Clusters.Key(""))
		if c, ok := known.(pve.Cluster); ok {
			expect = append(expect, pve.Clusters.Expect("", s.seen(c)).On(peer))
		}
	}
	return modules.Step{
		Summary: "wait for membership: " + strings.Join(missing, ", "),
		Action:  modules.Wait{},
		Expect:  expect,
		Settle:  settleJoin,
		Await:   s.awaitJoin(),
		Wide:    true,
	}
}

// seen returns a cluster that lists this node as online.
func (s *state) seen(c pve.Cluster) pve.Cluster {
	c.Members = maps.Clone(c.Members)
	self, listed := c.Members[s.node.Name]
	if !listed {
		self = s.cluster.Members[s.node.Name]
	}
	self.Online = true
	c.Members[s.node.Name] = self
	return c
}

func (s *state) awaitJoin() string {
	return s.node.Name + " online and quorate, as every member sees it (journalctl -u corosync -u pve-cluster)"
}

// certificate repairs a join that stopped between membership and the node's files: the node is in the cluster, but has no
// key of its own.
func (s *state) certificate() modules.Step {
	after := s.cluster
	after.Certificate = true
	return modules.Step{
		Summary: "create the node's missing certificate and files (an earlier join was interrupted)",
		Action:  modules.Run{Argv: []string{"pvecm", "updatecerts"}, Dir: "/root", Limit: 3 * time.Minute, Explain: explain},
		Expect:  []observe.Expectation{pve.Clusters.Expect("", after).On(s.host)},
		Settle:  30 * time.Second,
		Await:   "the node's files below /etc/pve/nodes/" + s.node.Name,
	}
}

// drift notes differences that only a careful edit of corosync.conf can repair.
func (s *state) drift(self pve.Member) {
	var wrong []string
	for number, address := range s.m.links() {
		if have := self.Links[number]; have != address {
			wrong = append(wrong, fmt.Sprintf("link%d is %s, wanted %s", number, orNone(have), address))
		}
	}
	for number, address := range self.Links {
		if _, wanted := s.m.links()[number]; !wanted {
			wrong = append(wrong, fmt.Sprintf("link%d is %s, wanted none", number, address))
		}
	}
	if self.Votes != s.m.Votes {
		wrong = append(wrong, fmt.Sprintf("votes are %d, wanted %d", self.Votes, s.m.Votes))
	}
	if s.m.NodeID != nil && self.ID != *s.m.NodeID {
		wrong = append(wrong, fmt.Sprintf("nodeid is %d, wanted %d", self.ID, *s.m.NodeID))
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		s.note("%s; not changed here: a task with pvecm { link \"1\" { … } } changes links, and votes and ids are changed by hand in corosync.conf", strings.Join(wrong, "; "))
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
