package pve

import (
	"maps"
	"reflect"

	"hlplay/engine/observe"
)

// United implements modules.Spec.United: two hosts are united if they are online members, with quorum, of the same cluster, so that
// /etc/pve is the same to both. Each must know the other as online, from the same version of corosync's configuration with the same
// addresses: clusters that only have the same names are told apart.
func United(a, b *observe.Host) bool {
	x, node, ok := membership(a)
	y, other, known := membership(b)
	return ok && known && node != other && x.Name == y.Name && x.ConfigVersion == y.ConfigVersion &&
		maps.EqualFunc(x.Members, y.Members, func(m, n Member) bool { return reflect.DeepEqual(m, n) }) &&
		x.Members[node].Online && x.Members[other].Online
}

// membership returns what is remembered of a host's cluster and the name of its node. ok is false if it is not known to be in one
// that has quorum.
func membership(h *observe.Host) (c Cluster, node string, ok bool) {
	c, known := Clusters.Remembered(h, "")
	n, named := Nodes.Remembered(h, "")
	return c, n.Name, known && named && n.Name != "" && c.Mounted && c.Quorate && c.Name != ""
}
