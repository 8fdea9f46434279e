package proxmox

import (
	"fmt"
	"slices"
	"time"
)

// refreshCeph updates the states of the daemons.
func (v *view) refreshCeph(c *Ceph) {
	v.refreshMons(c)
	v.refreshMgrs(c)
	if !v.monQuorum(c) {
		return // without monitors no map changes
	}
	v.refreshOSDs(c)
	v.makePGs(c)
	v.autoscale(c)
	v.refreshSystemPool(c)
	v.refreshMDSs(c)
}

// monIn reports whether a monitor is in the quorum.
func (v *view) monIn(c *Ceph, i int) bool {
	m := c.Mons[i]
	delay := electionDelay
	if i >= 2 {
		delay = monSyncDelay
	}
	if len(c.Mons) == 1 {
		delay = 0
	}
	if v.runs(m.Host, unit("mon", m.Name), 0) {
		return !v.now.Before(m.Added.Add(delay)) && (v.runs(m.Host, unit("mon", m.Name), 3*time.Second) || slices.Contains(c.InQuorum, m.Name) || len(c.Mons) == 1)
	}
	n := v.Nodes[m.Host]
	if n == nil {
		return false
	}
	until, stopped := n.Until[unit("mon", m.Name)]
	return stopped && v.now.Before(until.Add(leaseTimeout)) && slices.Contains(c.InQuorum, m.Name)
}

func (v *view) refreshMons(c *Ceph) {
	var in []string
	for i := range c.Mons {
		if v.monIn(c, i) {
			in = append(in, c.Mons[i].Name)
		}
	}
	if !slices.Equal(in, c.InQuorum) {
		c.InQuorum, c.QuorumSince = in, v.now
		if formed := c.MonModified.Add(electionDelay); len(c.Mons) > 1 && len(in) == len(c.Mons) && formed.Before(v.now) {
			c.QuorumSince = formed
		}
		c.ElectionEpoch += 2
		if len(c.Mons) == 1 {
			c.ElectionEpoch = 3
		}
	}
}

// monQuorum reports whether the monitors have a quorum.
func (v *view) monQuorum(c *Ceph) bool { return len(c.InQuorum)*2 > len(c.Mons) }

// electing returns how much longer the election of the monitors takes.
func (v *view) electing(c *Ceph) time.Duration {
	if len(c.Mons) < 2 {
		return 0
	}
	return c.MonModified.Add(electionDelay).Sub(v.now)
}

func (v *view) refreshMgrs(c *Ceph) {
	if c.ActiveMgr != "" {
		i := slices.IndexFunc(c.Mgrs, func(d Daemon) bool { return d.Name == c.ActiveMgr })
		if i >= 0 && (v.runs(c.Mgrs[i].Host, unit("mgr", c.ActiveMgr), 0) || v.unmissed(c.Mgrs[i])) {
			return
		}
		c.ActiveMgr = ""
		c.MgrEpoch++
	}
	if !v.monQuorum(c) {
		return
	}
	for _, d := range c.Mgrs {
		if v.runs(d.Host, unit("mgr", d.Name), mgrDelay) {
			c.ActiveMgr, c.ActiveSince = d.Name, v.Nodes[d.Host].Since[unit("mgr", d.Name)].Add(mgrDelay)
			c.MgrEpoch++
			return
		}
	}
}

// unmissed reports whether a stopped manager is still in the map: it does not sign off, so the monitors wait for its
// beacon to time out. Metadata servers and OSDs do sign off when they are stopped (live-9.2/mds-stopped.pve3-5s.txt).
func (v *view) unmissed(d Daemon) bool {
	n := v.Nodes[d.Host]
	if n == nil {
		return false
	}
	until, stopped := n.Until[unit("mgr", d.Name)]
	return stopped && v.now.Before(until.Add(mgrGrace))
}

// standbyMgrs returns the standby managers.
func (v *view) standbyMgrs(c *Ceph) []string {
	var names []string
	for _, d := range c.Mgrs {
		if d.Name != c.ActiveMgr && (v.runs(d.Host, unit("mgr", d.Name), standbyDelay) || v.unmissed(d)) {
			names = append(names, d.Name)
		}
	}
	return names
}

func (v *view) refreshOSDs(c *Ceph) {
	for _, o := range c.OSDs {
		name := unit("osd", fmt.Sprint(o.ID))
		running := v.runs(o.Host, name, osdDelay)
		switch {
		case running && !o.Up && !o.Destroyed:
			o.Up, o.Changed = true, v.Nodes[o.Host].Since[name].Add(osdDelay)
			c.mapChanged(v.now)
			o.UpFrom = c.OSDEpoch
			if !o.Booted {
				o.Booted = true
				c.CrushVersion++
				if _, ok := c.Hosts[o.Host]; !ok {
					c.Hosts[o.Host] = -3 - 2*len(c.Hosts)
				}
				if !slices.Contains(c.Classes, o.Class) {
					c.Classes = append(c.Classes, o.Class)
				}
			}
			if !o.In {
				o.In, o.Reweight, o.InSince = true, 65536, o.Changed
			}
			c.peer(o.Changed)
		case !running && o.Up && !v.runs(o.Host, name, 0):
			gone := v.Nodes[o.Host].Until[name]
			if !v.up[o.Host] {
				gone = gone.Add(osdGrace) // it did not sign off, so its peers have to notice
			}
			if v.now.Before(gone) {
				continue
			}
			o.Up, o.Changed = false, gone
			c.mapChanged(v.now)
			c.peer(gone)
		case !o.Up && o.In && o.Booted && v.now.Sub(o.Changed) > outAfter && !slices.Contains(c.Flags, "noout"):
			o.In, o.Reweight = false, 0
			c.mapChanged(v.now)
			c.peer(v.now)
		}
	}
}

// peer makes the PGs of all pools peer again.
func (c *Ceph) peer(now time.Time) {
	for _, p := range c.Pools {
		p.Moved = now
	}
}

// makePGs adjusts PG numbers to their targets once there are OSDs.
func (v *view) makePGs(c *Ceph) {
	if len(c.upOSDs(v)) == 0 {
		return
	}
	for _, p := range c.Pools {
		if p.Target > 0 {
			if p.Target > p.PGs && p.LastChange > 0 {
				p.Split = c.OSDEpoch
			}
			p.PGs, p.PGPs, p.Target, p.Moved = p.Target, p.Target, 0, v.now
		}
	}
}

func (c *Ceph) upOSDs(*view) []*OSD {
	var up []*OSD
	for _, o := range c.OSDs {
		if o.Up {
			up = append(up, o)
		}
	}
	return up
}

func (c *Ceph) rawBytes(*view) int64 {
	var total int64
	for _, o := range c.OSDs {
		if o.Booted {
			total += o.Size
		}
	}
	return total
}

// refreshSystemPool creates the manager modules' pool once there are enough OSDs for it.
func (v *view) refreshSystemPool(c *Ceph) {
	name, application := ".mgr", "mgr"
	if c.major() < 17 {
		name, application = "device_health_metrics", "mgr_devicehealth"
	}
	if c.NoModules || c.ActiveMgr == "" || len(c.upOSDs(v)) < 3 || c.pool(name) != nil {
		return
	}
	when := c.ActiveSince
	for _, o := range c.upOSDs(v)[:3] {
		if o.Changed.After(when) {
			when = o.Changed
		}
	}
	p := c.addPool(name, 3, 2, 1, 0, "on", when)
	p.Options["pg_num_max"], p.Options["pg_num_min"] = "32", "1"
	p.Applications = []string{application}
}

// standbyMDSs returns the standby metadata servers.
func (v *view) standbyMDSs(c *Ceph) []Daemon {
	var waiting []Daemon
	for _, d := range c.MDSs {
		active := slices.ContainsFunc(c.FileSystems, func(f *FileSystem) bool { return f.Active == d.Name })
		if !active && v.runs(d.Host, unit("mds", d.Name), mdsDelay) {
			waiting = append(waiting, d)
		}
	}
	return waiting
}

func (v *view) refreshMDSs(c *Ceph) {
	for _, f := range c.FileSystems {
		if f.Active != "" {
			i := slices.IndexFunc(c.MDSs, func(d Daemon) bool { return d.Name == f.Active })
			if i < 0 || !v.runs(c.MDSs[i].Host, unit("mds", f.Active), 0) {
				f.Active = ""
				c.FSEpoch++
			}
		}
		if f.Active != "" || f.Failed || v.now.Before(f.Created.Add(2*time.Second)) || len(c.upOSDs(v)) == 0 {
			continue
		}
		if waiting := v.standbyMDSs(c); len(waiting) > 0 {
			f.Active, f.ActiveSince = waiting[0].Name, f.Created.Add(2*time.Second)
			if since := v.Nodes[waiting[0].Host].Since[unit("mds", f.Active)].Add(mdsDelay); since.After(f.ActiveSince) {
				f.ActiveSince = since
			}
			c.FSEpoch++
		}
	}
}

// mdsState returns the state of a metadata server, or "" if it is not in the map.
func (v *view) mdsState(c *Ceph, d Daemon) string {
	for _, f := range c.FileSystems {
		if f.Active == d.Name {
			if v.now.Before(f.ActiveSince.Add(2 * time.Second)) {
				return "up:creating"
			}
			return "up:active"
		}
	}
	if v.runs(d.Host, unit("mds", d.Name), mdsDelay) {
		return "up:standby"
	}
	return ""
}
