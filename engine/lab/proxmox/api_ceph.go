package proxmox

import (
	"fmt"
	"strconv"
)

// monitored returns an endpoint that has to query the monitors.
func monitored(path string, fn func(c *Command, v *view, ceph *Ceph) any) endpoint {
	return endpoint{verb: "get", path: path, run: func(c *Command, _ []string, _ arguments) (value any, err error) {
		if err := c.ready(); err != nil {
			return nil, err
		}
		if err := c.rados(radosTimeout); err != nil {
			return nil, err
		}
		c.World.at(func(v *view) { value = fn(c, v, v.cephOf(c.Node.Name())) })
		return value, nil
	}}
}

func cephEndpoints() []endpoint {
	return []endpoint{
		monitored("cluster/ceph/status", apiCephStatus), monitored("nodes/{}/ceph/status", apiCephStatus),
		monitored("cluster/ceph/flags", func(_ *Command, _ *view, ceph *Ceph) any {
			all := []any{}
			for _, name := range []string{"nobackfill", "nodeep-scrub", "nodown", "noin", "noout", "norebalance", "norecover", "noscrub", "notieragent", "noup", "pause"} {
				set := false
				for _, flag := range ceph.Flags {
					set = set || flag == name || name == "pause" && flag == "pauserd"
				}
				all = append(all, map[string]any{"name": name, "value": number(set)})
			}
			return all
		}),
		monitored("nodes/{}/ceph/mon", apiMons), monitored("nodes/{}/ceph/mgr", apiMgrs), monitored("nodes/{}/ceph/mds", apiMDSs),
		monitored("nodes/{}/ceph/osd", apiOSDs),
		monitored("nodes/{}/ceph/pool", func(c *Command, v *view, ceph *Ceph) any { return v.poolList(c, ceph) }),
		monitored("nodes/{}/ceph/rules", func(_ *Command, _ *view, ceph *Ceph) any {
			all := []any{}
			for _, r := range ceph.Rules {
				all = append(all, map[string]any{"name": r.Name})
			}
			return all
		}),
		monitored("nodes/{}/ceph/fs", func(c *Command, _ *view, ceph *Ceph) any {
			all := []any{}
			for _, f := range ceph.FileSystems {
				entry := map[string]any{"name": f.Name, "metadata_pool": ceph.poolName(f.Metadata), "data_pool": ceph.poolName(f.Data)}
				if c.Node.Debian() != "bookworm" {
					entry["metadata_pool_id"], entry["data_pools"], entry["data_pool_ids"] = f.Metadata, []any{ceph.poolName(f.Data)}, []any{f.Data}
				}
				all = append(all, entry)
			}
			return all
		}),
		get("nodes/{}/ceph/cfg/raw", func(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			if err := db.inited(); err != nil {
				return nil, err
			}
			return db.Text(cephConfFile), nil
		}),
	}
}

func apiCephStatus(_ *Command, v *view, ceph *Ceph) any {
	value := v.statusValue(ceph)
	for i, m := range value {
		switch m.key {
		case "health":
			value[i].value = healthValue(v.health(ceph), true)
		case "monmap":
			value[i].value = append(ceph.monmap(), member{"quorum", ceph.ranks()})
		case "mgrmap":
			value[i].value = v.mgrMap(ceph)
		}
	}
	return value
}

// daemonEntry returns what the API shows of every daemon. Only the daemon's own node knows the directory and the unit.
func (v *view) daemonEntry(ceph *Ceph, name, host, address, state string) map[string]any {
	return map[string]any{"name": name, "host": host, "addr": address, "state": state, "service": true, "direxists": true,
		"ceph_version": versionLine(ceph.Version), "ceph_version_short": ceph.Version}
}

func apiMons(_ *Command, v *view, ceph *Ceph) any {
	all := []any{}
	in := ceph.ranks()
	for i, m := range ceph.Mons {
		state := "stopped"
		if v.runs(m.Host, unit("mon", m.Name), 0) {
			state = "running"
		}
		entry := v.daemonEntry(ceph, m.Name, m.Host, bracketed(m.Address)+":6789/0", state)
		entry["rank"] = i
		for _, rank := range in {
			if rank == i {
				entry["quorum"] = 1
			}
		}
		all = append(all, entry)
	}
	return all
}

func apiMgrs(_ *Command, v *view, ceph *Ceph) any {
	all := []any{}
	for _, d := range ceph.Mgrs {
		state := "stopped"
		switch {
		case d.Name == ceph.ActiveMgr:
			state = "active"
		case v.runs(d.Host, unit("mgr", d.Name), standbyDelay):
			state = "standby"
		case v.runs(d.Host, unit("mgr", d.Name), 0):
			state = "unknown"
		}
		all = append(all, v.daemonEntry(ceph, d.Name, d.Host, v.Nodes[d.Host].IP, state))
	}
	return all
}

func apiMDSs(c *Command, v *view, ceph *Ceph) any {
	all := []any{}
	for _, d := range ceph.MDSs {
		state := or(v.mdsState(ceph, d), "stopped")
		entry := v.daemonEntry(ceph, d.Name, d.Host, v.Nodes[d.Host].IP+":6817/2981983032", state)
		entry["standby_replay"] = false
		for _, f := range ceph.FileSystems {
			if f.Active == d.Name {
				entry["rank"] = 0
				if c.Node.Debian() != "bookworm" {
					entry["fs_name"] = f.Name
				}
			}
		}
		all = append(all, entry)
	}
	return all
}

func apiOSDs(_ *Command, v *view, ceph *Ceph) any {
	names, osds := ceph.buckets()
	hosts := []any{}
	for _, name := range names {
		leaves := []any{}
		for _, o := range osds[name] {
			leaves = append(leaves, map[string]any{"id": strconv.Itoa(o.ID), "name": fmt.Sprintf("osd.%d", o.ID), "type": "osd", "leaf": 1, "status": o.status(), "in": number(o.In), "crush_weight": o.weight(), "reweight": o.reweight(),
				"device_class": o.Class, "pgs": v.pgsOf(ceph, o), "total_space": o.Size, "bytes_used": o.used(), "percent_used": 100 * float64(o.used()) / float64(o.Size), "commit_latency_ms": 0, "apply_latency_ms": 0, "osdtype": "bluestore",
				"blfsdev": o.Class, "host": o.Host, "ceph_version": versionLine(ceph.Version), "ceph_version_short": ceph.Version})
		}
		hosts = append(hosts, map[string]any{"id": strconv.Itoa(ceph.Hosts[name]), "name": name, "type": "host", "leaf": 0, "children": leaves, "reweight": -1, "pgs": 0, "version": ceph.Version})
	}
	root := map[string]any{"id": "-1", "leaf": 0, "name": "default", "pgs": 0, "reweight": -1, "type": "root"}
	if len(hosts) > 0 {
		root["children"] = hosts
	}
	flags := ""
	for _, f := range append(ceph.warnedFlags(), baseFlags...) {
		if flags != "" {
			flags += ","
		}
		flags += f
	}
	return map[string]any{"flags": flags, "root": map[string]any{"leaf": 0, "children": []any{root}}}
}
