package pveceph

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// elsewhere is the Step.Elsewhere of steps that change a Ceph cluster from one of its nodes. It refuses what such a step leaves as
// it is on the other nodes: what they have installed, their disks and addresses, their daemons and these daemons' units, and
// who is in the cluster of Proxmox VE. pveceph works on its own node, in /etc/pve, and through the monitors.
func elsewhere(_ modules.Host, k observe.Key) bool {
	return !slices.Contains([]string{
		pve.Nodes.Name, pve.Clusters.Name, ceph.Nodes.Name, ceph.Units.Name, observe.Networks.Name, observe.Disks.Name,
	}, k.Kind)
}

// elsewhereOfManager is elsewhere for the creation of a manager on a node.
func elsewhereOfManager(node string) func(modules.Host, observe.Key) bool {
	return elsewhereOfDaemon(ceph.Managers.Key(node))
}

// elsewhereOfOSD is elsewhere for the creation of an OSD on a node.
func elsewhereOfOSD(node string) func(modules.Host, observe.Key) bool {
	return elsewhereOfDaemon(ceph.OSDs.Key(node))
}

// elsewhereOfDaemon is elsewhere for the creation of a manager or an OSD, which is observed under own. It writes nothing to
// ceph.conf, and the monitors know of rules, monitors, and other managers and OSDs what they did before. It brings no data (see
// ceph.Holdings).
func elsewhereOfDaemon(own observe.Key) func(modules.Host, observe.Key) bool {
	return func(on modules.Host, k observe.Key) bool {
		switch k.Kind {
		case ceph.Confs.Name, ceph.Monitors.Name, ceph.Managers.Name, ceph.OSDs.Name, ceph.CrushRules.Name, ceph.Holdings.Name:
			return k == own
		}
		return elsewhere(on, k)
	}
}
