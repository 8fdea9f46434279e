package pvecm

import (
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// elsewhere returns the Step.Elsewhere of creating a cluster and of joining one. Both work on their own node and, over its cluster
// file system, on the members: `pvecm addnode` there writes corosync.conf, and the root keys of all are merged. A node that is
// known to be standalone has a file system of its own, in which nothing changes. No other node gets other packages, sources of
// packages, addresses or names, nor other files that say which.
func (s *state) elsewhere() func(modules.Host, observe.Key) bool {
	apart := map[modules.Host]bool{}
	for _, peer := range s.host.Peers() {
		known, ok := peer.Known(pve.Clusters.Key(""))
		named, and := peer.Known(pve.Nodes.Key(""))
		cluster, _ := known.(pve.Cluster)
		node, _ := named.(pve.Node)
		apart[peer] = ok && and && cluster.Mounted && cluster.Name == "" && node.Name != s.node.Name // the inventory may list a node twice
	}
	return func(on modules.Host, k observe.Key) bool {
		switch k.Kind {
		case pve.Nodes.Name, ceph.Nodes.Name, observe.Packages.Name, observe.Networks.Name, observe.Resolves.Name:
			return false
		case observe.Files.Name:
			return k.Name != "/etc/hosts" && !strings.HasPrefix(k.Name, "/etc/apt/") && !strings.HasPrefix(k.Name, "/etc/network/")
		}
		return !apart[on] || !slices.Contains(inFileSystem, k.Kind)
	}
}

// inFileSystem are kinds that are observed in the cluster file system, or through root's link into it.
var inFileSystem = []string{pve.Clusters.Name, pve.GuestLists.Name, pve.Storages.Name, pve.HAs.Name, pve.Trusts.Name, ceph.Confs.Name}
