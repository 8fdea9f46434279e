package proxmox

import "slices"

// What the tests ask the world.

// ClusterView is a cluster as tests see it.
type ClusterView struct {
	Name    string
	Version int
	// Members are all nodes in its configuration, Online those in the quorate partition.
	Members, Online []string
	Quorate         bool
}

// Cluster returns the cluster with a name. ok is false if no node belongs to it.
func (w *World) Cluster(name string) (c ClusterView, ok bool) {
	w.at(func(v *view) {
		for _, db := range sorted(v.Databases) {
			conf := db.corosync()
			if conf == nil || conf.Name != name || ok && len(db.Ring.Members) < len(c.Online) {
				continue
			}
			ok = true
			c = ClusterView{Name: name, Version: conf.Version, Online: db.onlineNodes(), Quorate: slices.ContainsFunc(db.onlineNodes(), v.quorate)}
			for _, n := range conf.Nodes {
				c.Members = append(c.Members, n.Name)
			}
		}
	})
	return c, ok
}

// CephView is a Ceph cluster as tests see it.
type CephView struct {
	FSID, Health                    string
	Mons, Quorum, Mgrs, MDSs, Rules []string
	ActiveMgr                       string
	OSDs                            []OSD
	Pools                           []Pool
	FileSystems                     []string
	PGs                             map[string]int // by state
}

// Ceph returns the Ceph cluster that a node belongs to. ok is false if there is none.
func (w *World) Ceph(node string) (c CephView, ok bool) {
	w.at(func(v *view) {
		ceph := v.cephOf(node)
		if ceph == nil {
			return
		}
		ok = true
		c = CephView{FSID: ceph.FSID, Health: overall(v.health(ceph)), Quorum: slices.Clone(ceph.InQuorum), ActiveMgr: ceph.ActiveMgr}
		for _, m := range ceph.Mons {
			c.Mons = append(c.Mons, m.Name)
		}
		for _, d := range ceph.Mgrs {
			c.Mgrs = append(c.Mgrs, d.Name)
		}
		for _, d := range ceph.MDSs {
			c.MDSs = append(c.MDSs, d.Name)
		}
		for _, r := range ceph.Rules {
			c.Rules = append(c.Rules, r.Name)
		}
		for _, o := range ceph.OSDs {
			c.OSDs = append(c.OSDs, *o)
		}
		for _, p := range ceph.Pools {
			c.Pools = append(c.Pools, *p)
		}
		for _, f := range ceph.FileSystems {
			c.FileSystems = append(c.FileSystems, f.Name)
		}
		_, c.PGs, _ = v.pgSummary(ceph)
	})
	return c, ok
}

// Guest returns the node of a guest and whether the guest is running. ok is false if it does not exist.
func (w *World) Guest(member, id string) (node string, running, ok bool) {
	w.at(func(v *view) {
		db := v.database(member)
		if db == nil {
			return
		}
		g, found := db.guests()[id]
		node, ok = g.node, found
		running = found && db.guestState(id).Running
	})
	return node, running, ok
}
