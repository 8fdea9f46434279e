package pveceph

import (
	"slices"

	"hlplay/engine/observe"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// elsewhere is the Step.Elsewhere of steps that change a Ceph cluster from one of its nodes. It refuses what such a step leaves as
// it is on the other nodes: what they have installed, their disks and addresses, their daemons and these daemons' units, and
// who is in the cluster of Proxmox VE. pveceph works on its own node, in /etc/pve, and through the monitors.
func elsewhere(k observe.Key) bool {
	return !slices.Contains([]string{
		pve.Nodes.Name, pve.Clusters.Name, ceph.Nodes.Name, ceph.Units.Name, observe.Networks.Name, observe.Disks.Name,
	}, k.Kind)
}

// elsewhereOfManager is elsewhere for the creation of a manager on a node. It writes nothing to ceph.conf, and the monitors know
// of monitors, OSDs and other managers what they did before.
func elsewhereOfManager(node string) func(observe.Key) bool {
	return func(k observe.Key) bool {
		switch k.Kind {
		case ceph.Confs.Name, ceph.Monitors.Name, ceph.OSDs.Name:
			return false
		case ceph.Managers.Name:
			return k.Name == node
		}
		return elsewhere(k)
	}
}

// elsewhereOfOSD is elsewhere for the creation of an OSD on a node. It writes nothing to ceph.conf, and the monitors know of
// monitors, managers and the OSDs of other nodes what they did before.
func elsewhereOfOSD(node string) func(observe.Key) bool {
	return func(k observe.Key) bool {
		switch k.Kind {
		case ceph.Confs.Name, ceph.Monitors.Name, ceph.Managers.Name:
			return false
		case ceph.OSDs.Name:
			return k.Name == node
		}
		return elsewhere(k)
	}
}
