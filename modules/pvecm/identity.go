package pvecm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// A cluster's name does not identify the cluster; its members do.

// apart reports whether two nodes that name the same cluster are in two different ones. In one cluster, at least one of
// two nodes lists the other: during a join, the founder lists the new node. A node that lists a member as offline, and is
// quorate without it, has parted from it as well. Two nodes with the same version of the same corosync.conf have the same
// members.
func apart(mine pve.Cluster, me string, theirs pve.Cluster, peer string) bool {
	self, listed := theirs.Members[me]
	other, known := mine.Members[peer]
	switch {
	case me == peer: // two machines with the same name cannot be members of one cluster
		return true
	case !listed && !known:
		return true
	case !listed && !other.Online && theirs.Quorate:
		return true
	case listed && known && mine.ConfigVersion == theirs.ConfigVersion:
		return self.Links[0] != mine.Members[me].Links[0] || other.Links[0] != theirs.Members[peer].Links[0]
	}
	return false
}

// founderSide rejects a node whose cluster has the wanted name but is not the founder's. asked is false if the founder could
// not be asked.
func (s *state) founderSide(ctx context.Context) (asked bool, err error) {
	if s.founder == s.host {
		return true, nil
	}
	pve.Clusters.Want(s.founder, "")
	node, err := pve.Nodes.Observe(ctx, s.founder, "")
	if err != nil {
		return false, ctx.Err() // the founder's own task fails
	}
	there, err := pve.Clusters.Observe(ctx, s.founder, "")
	if err != nil || there.Name != s.cluster.Name {
		return false, ctx.Err()
	}
	if apart(s.cluster, s.node.Name, there, node.Name) {
		return true, s.twoClusters(there, node.Name)
	}
	return true, nil
}

// twoClusters returns the error for a node and a founder that are in different clusters of the same name.
func (s *state) twoClusters(theirs pve.Cluster, founder string) error {
	return fmt.Errorf("%s and founder %s are in different clusters, both named %q: that of %s has %s, that of %s has %s; clusters cannot be merged: "+
		"remove %s from this playbook, or back up its guests, reinstall it and run again; if its cluster is the right one, set founder to one of its members",
		s.host.Name(), s.founder.Name(), s.cluster.Name, s.node.Name, strings.Join(s.cluster.Names(), ", "), founder, strings.Join(theirs.Names(), ", "), s.host.Name())
}

// stock is the cluster name in corosync.conf as Debian's package installs it. pmxcfs imports an existing file when it
// first starts.
const stock = "debian"

// otherCluster returns the error for a node that is in another cluster.
func (s *state) otherCluster() error {
	if _, member := s.cluster.Members[s.node.Name]; s.cluster.Name == stock && !member {
		return fmt.Errorf("%s is not in a cluster: its /etc/pve/corosync.conf is the sample from Debian's corosync package (cluster %q of %s), copied when pve-cluster first started. Remove it: systemctl stop pve-cluster corosync; pmxcfs -l; rm /etc/pve/corosync.conf /etc/corosync/corosync.conf; killall pmxcfs; systemctl start pve-cluster",
			s.host.Name(), s.cluster.Name, strings.Join(s.cluster.Names(), ", "))
	}
	return fmt.Errorf("%s is in cluster %q, not %q: a node cannot change its cluster; reinstall it, or correct the playbook",
		s.host.Name(), s.cluster.Name, s.m.Cluster)
}

// corosync.service provides the membership, pve-cluster.service the files.
const (
	corosyncUnit = "corosync.service"
	pmxcfsUnit   = "pve-cluster.service"
)

// running rejects hosts on which a unit has stopped, because waiting is useless until someone starts it.
func running(ctx context.Context, unit string, hosts ...modules.Host) error {
	for _, h := range hosts {
		observe.Units.Want(h, unit)
	}
	var stopped []string
	for _, h := range hosts {
		u, err := observe.Units.Observe(ctx, h, unit)
		if err != nil {
			return err
		}
		if u.Exists() && slices.Contains([]string{"inactive", "failed"}, u.ActiveState) {
			stopped = append(stopped, fmt.Sprintf("%s (%s)", h.Name(), u.ActiveState))
		}
	}
	if len(stopped) == 0 {
		return nil
	}
	return fmt.Errorf("%s is not running on %s: find the cause (journalctl -u %s), start it there (systemctl start %s), and run again",
		unit, strings.Join(stopped, ", "), unit, unit)
}

// checkName rejects a node whose own name does not resolve to one of its addresses: pvecm looks it up even if links are
// given, and pmxcfs does not start with a loopback address. A name that does not resolve at all is left to pvecm.
func (s *state) checkName(ctx context.Context) error {
	observe.Networks.Want(s.host, "")
	found, err := observe.Resolves.Observe(ctx, s.host, s.node.Name)
	if err != nil || len(found) == 0 {
		return err
	}
	network, err := observe.Networks.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	usable := slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() })
	if slices.ContainsFunc(usable, network.Has) {
		return nil
	}
	return fmt.Errorf("%s: its own name %s resolves to %s, which is not an address of any of its interfaces, so pvecm would fail: put \"%s %s\" into /etc/hosts instead (Debian's installer writes 127.0.1.1)",
		s.host.Name(), s.node.Name, addresses(found), s.m.Link0, s.node.Name)
}

func addresses(all []netip.Addr) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
