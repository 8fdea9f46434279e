package pvecm

import (
	"context"
	"fmt"
	"slices"

	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Check only checks: it finds what would prevent creating or joining before anything is changed, also on hosts without
// Proxmox VE.
type Check struct {
	Hosts []string `hcl:"hosts" doc:"Names of the hosts of this run: play.selected. A founder without a cluster must be among them."`
}

// check returns an error for what is wrong, and plans nothing.
func (m *Module) check(ctx context.Context, h modules.Host, founder modules.Host) error {
	pve.Clusters.Want(h, "") // which the founder asks for as well
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	cluster := pve.Cluster{}
	if node.Installed {
		if cluster, err = pve.Clusters.Observe(ctx, h, ""); err != nil {
			return err
		}
	}
	s := &state{m: m, host: h, founder: founder, node: node, cluster: cluster}
	switch {
	case cluster.Name == m.Cluster:
		_, err := s.founderSide(ctx)
		return err
	case cluster.Name != "":
		return s.otherCluster()
	}
	if err := s.oneRelease(ctx); err != nil {
		return err
	}
	if err := s.checkAddresses(ctx); err != nil {
		return err
	}
	if founder == h {
		return s.noOtherCluster(ctx)
	}
	if node.Installed {
		if err := s.discards(ctx); err != nil {
			return err
		}
	}
	return s.checkFounder(ctx)
}

// oneRelease rejects a host whose Debian release differs from the founder's: each release belongs to a major version of
// Proxmox VE, and a cluster has one. If the founder cannot be asked, its own task fails.
func (s *state) oneRelease(ctx context.Context) error {
	founder, err := pve.Nodes.Observe(ctx, s.founder, "")
	if err != nil || founder.Codename == s.node.Codename {
		return ctx.Err()
	}
	return fmt.Errorf("%s is Debian %s and founder %s is Debian %s: all nodes of a cluster must run the same major version of Proxmox VE, and therefore the same Debian release",
		s.host.Name(), s.node.Codename, s.founder.Name(), founder.Codename)
}

// checkFounder verifies that a founder which this run does not change has a cluster, and that an existing cluster has the
// same links and no member of this name yet.
func (s *state) checkFounder(ctx context.Context) error {
	there := pve.Cluster{}
	node, err := pve.Nodes.Observe(ctx, s.founder, "")
	if err == nil && node.Installed {
		there, err = pve.Clusters.Observe(ctx, s.founder, "")
	}
	takesPart := slices.Contains(s.m.Check.Hosts, s.m.Founder)
	switch name := s.founder.Name(); {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil && takesPart: // it fails on the founder itself
		return nil
	case err != nil:
		return fmt.Errorf("%s cannot join cluster %s: founder %s is not among the hosts of this run and cannot be queried: %w", s.host.Name(), s.m.Cluster, name, err)
	case there.Name == "" && takesPart:
		return nil
	case there.Name == "":
		return fmt.Errorf("%s cannot join cluster %s: founder %s has no cluster yet and is not among the hosts of this run: include %s in --limit, or run without --limit", s.host.Name(), s.m.Cluster, name, name)
	case there.Name != s.m.Cluster:
		return fmt.Errorf("founder %s is in cluster %q, not %q", name, there.Name, s.m.Cluster)
	}
	if err := s.notListed(there); err != nil {
		return err
	}
	if err := withoutDevice(there); err != nil {
		return err
	}
	return s.checkLinks(ctx, there)
}

// discards rejects a join that would discard something on the joining node.
func (s *state) discards(ctx context.Context) error {
	if s.cluster.AuthKey {
		return fmt.Errorf("%s has /etc/corosync/authkey, left by an earlier create or join: make sure that it is not in a cluster, move the file away, and run again", s.host.Name())
	}
	pve.GuestLists.Want(s.host, "")
	guests, err := pve.GuestLists.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	if len(guests) > 0 {
		return fmt.Errorf("%s has guests (%s): a node must be empty to join; back them up, remove them, and restore them after the join", s.host.Name(), ids(guests))
	}
	conf, err := ceph.Confs.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	if conf.Exists {
		return fmt.Errorf("%s has its own Ceph configuration (/etc/pve/ceph.conf), which joining would discard: remove it first if its data is not needed (pveceph purge)", s.host.Name())
	}
	return nil
}
