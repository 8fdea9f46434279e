package proxmox

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// view runs fn on the current state and returns what it makes.
func (c *Command) answer(fn func(v *view, db *Database) (any, error)) (value any, err error) {
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		if db == nil {
			err = failed(111, "ipcc_send_rec[1] failed: Connection refused")
			return
		}
		value, err = fn(v, db)
	})
	return value, err
}

func get(path string, fn func(c *Command, v *view, db *Database, parts []string, a arguments) (any, error)) endpoint {
	return endpoint{verb: "get", path: path, run: func(c *Command, parts []string, a arguments) (any, error) {
		return c.answer(func(v *view, db *Database) (any, error) { return fn(c, v, db, parts, a) })
	}}
}

// viaProgram lets an endpoint do what a program does, with the same arguments.
func viaProgram(verb, path string, run func(c *Command, a arguments) int, names ...string) endpoint {
	return endpoint{verb: verb, path: path, silent: true, run: func(c *Command, parts []string, a arguments) (any, error) {
		for i, name := range names {
			if i < len(parts) {
				a.values[name] = parts[i]
			}
		}
		var text strings.Builder
		stderr := c.Stderr
		c.Stderr = &text
		code := run(c, a)
		c.Stderr = stderr
		if code != 0 || text.Len() > 0 {
			return nil, failed(code, "%s", strings.TrimSuffix(text.String(), "\n"))
		}
		return nil, nil
	}}
}

func endpoints() []endpoint {
	return slices.Concat(clusterEndpoints(), haEndpoints(), nodeEndpoints(), cephEndpoints())
}

func clusterEndpoints() []endpoint {
	return []endpoint{
		get("version", apiVersion),
		get("cluster/status", apiClusterStatus),
		get("cluster/config/apiversion", func(*Command, *view, *Database, []string, arguments) (any, error) { return "1", nil }),
		get("cluster/config/nodes", func(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			return configNodes(db), nil
		}),
		get("cluster/config/totem", func(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			conf := db.corosync()
			if conf == nil {
				return nil, nil
			}
			return totem(conf), nil
		}),
		get("cluster/config/qdevice", func(*Command, *view, *Database, []string, arguments) (any, error) { return map[string]any{}, nil }),
		get("cluster/config/join", apiJoin),
		{verb: "create", path: "cluster/config", silent: true, run: func(c *Command, _ []string, a arguments) (any, error) {
			var exists bool
			c.World.at(func(v *view) { exists = clusterOf(v.database(c.Node.Name())) != nil })
			if exists {
				return nil, failed(exitENOENT, "cluster config '/etc/pve/corosync.conf' already exists")
			}
			c.task("clustercreate", a.get("clustername"), func(out io.Writer) error { return createCluster(c, a, out) })
			return nil, nil
		}},
		viaProgram("delete", "cluster/config/nodes/{}", pvecmDelnode, "node"),
		get("cluster/resources", apiResources),
		get("cluster/options", apiOptions),
		{verb: "set", path: "cluster/options", silent: true, run: apiSetOptions},
		get("nodes", apiNodes),
		get("storage", apiStorage),
		get("storage/{}", func(_ *Command, _ *view, db *Database, parts []string, _ arguments) (any, error) {
			for _, s := range db.storages() {
				if s.ID == parts[0] {
					return storageEntry(db, s), nil
				}
			}
			return nil, failed(exitENOENT, "storage '%s' does not exist", parts[0])
		}),
	}
}

func apiVersion(c *Command, _ *view, _ *Database, _ []string, _ arguments) (any, error) {
	r := releases[c.Node.Debian()]
	return map[string]any{"release": r.release, "repoid": r.repoid, "version": r.manager}, nil
}

func apiClusterStatus(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
	name := c.Node.Name()
	conf := db.corosync()
	if conf == nil {
		return []any{map[string]any{"id": "node/" + name, "ip": v.Nodes[name].IP, "level": "", "local": 1, "name": name, "nodeid": 0, "online": 1, "type": "node"}}, nil
	}
	list := []any{map[string]any{"id": "cluster", "type": "cluster", "name": conf.Name, "nodes": len(conf.Nodes), "quorate": number(v.quorate(name)), "version": conf.Version}}
	for _, n := range conf.Nodes {
		entry := map[string]any{"id": "node/" + n.Name, "level": "", "local": number(n.Name == name), "name": n.Name, "nodeid": n.ID, "online": number(db.online(conf, n.Name)), "type": "node"}
		if ip := v.broadcastIP(n.Name); ip != "" {
			entry["ip"] = ip
		}
		list = append(list, entry)
	}
	return list, nil
}

func configNodes(db *Database) []any {
	list := []any{}
	conf := db.corosync()
	if conf == nil {
		return list
	}
	for _, n := range conf.Nodes {
		entry := map[string]any{"name": n.Name, "node": n.Name, "nodeid": strconv.Itoa(n.ID), "quorum_votes": strconv.Itoa(n.Votes)}
		for link, address := range n.Links {
			entry[fmt.Sprintf("ring%d_addr", link)] = address
		}
		list = append(list, entry)
	}
	return list
}

func totem(conf *Corosync) map[string]any {
	links := map[string]any{}
	for _, link := range conf.Links {
		entry := map[string]any{"linknumber": strconv.Itoa(link.Number)}
		if link.Priority > 0 {
			entry["knet_link_priority"] = strconv.Itoa(link.Priority)
		}
		links[strconv.Itoa(link.Number)] = entry
	}
	t := map[string]any{"cluster_name": conf.Name, "config_version": strconv.Itoa(conf.Version), "interface": links}
	for key, value := range conf.Totem {
		t[key] = value
	}
	return t
}

func apiJoin(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
	conf := db.corosync()
	if conf == nil {
		return nil, failed(exitENOENT, "424 node is not in a cluster, no join info available! at /usr/share/perl5/PVE/API2/ClusterConfig.pm line 588")
	}
	var nodes []any
	for _, e := range configNodes(db) {
		entry := e.(map[string]any)
		name := entry["name"].(string)
		delete(entry, "node")
		entry["pve_addr"], entry["pve_fp"] = v.Nodes[name].IP, db.fingerprint(name)
		nodes = append(nodes, entry)
	}
	return map[string]any{"nodelist": nodes, "preferred_node": c.Node.Name(), "totem": totem(conf), "config_digest": digest(db.Text("corosync.conf"))}, nil
}

// What the machines of a lab report of themselves.
const (
	labCPUs   = 2
	labMemory = 25276502016
	labDisk   = localTotal * 1024
)

// clusterNodes are the names of the nodes that a node knows of.
func clusterNodes(db *Database, self string) []string {
	conf := db.corosync()
	if conf == nil {
		return []string{self}
	}
	var names []string
	for _, n := range conf.Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (v *view) nodeEntry(db *Database, name string) map[string]any {
	entry := map[string]any{"id": "node/" + name, "level": "", "maxcpu": labCPUs, "maxdisk": int64(labDisk), "maxmem": int64(labMemory), "node": name, "status": "offline", "type": "node"}
	conf := db.corosync()
	if conf == nil || db.online(conf, name) {
		entry["status"], entry["cpu"], entry["disk"], entry["mem"] = "online", 0, int64(localUsed*1024), int64(labMemory/6)
		entry["uptime"] = int64(v.now.Sub(v.Nodes[name].Since["pve-cluster.service"]).Seconds())
	}
	return entry
}

func apiNodes(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
	var list []any
	for _, name := range clusterNodes(db, c.Node.Name()) {
		entry := v.nodeEntry(db, name)
		entry["ssl_fingerprint"] = db.fingerprint(name)
		list = append(list, entry)
	}
	return list, nil
}

func apiResources(c *Command, v *view, db *Database, _ []string, a arguments) (any, error) {
	list := []any{}
	want := func(kind string) bool { return !a.has("type") || a.get("type") == kind }
	online := map[string]bool{}
	for _, name := range clusterNodes(db, c.Node.Name()) {
		entry := v.nodeEntry(db, name)
		if online[name] = entry["status"] == "online"; online[name] {
			entry["cgroup-mode"] = 1
		}
		if want("node") {
			list = append(list, entry)
		}
	}
	if want("vm") {
		for _, g := range sorted(db.guests()) {
			keys, id := parseGuest(g.config), count(g.id, 0)
			list = append(list, map[string]any{"id": g.kind + "/" + g.id, "type": g.kind, "vmid": id, "name": or(keys["name"], keys["hostname"]), "node": g.node,
				"status": power(db.guestState(g.id).Running), "template": 0, "cpu": 0, "maxcpu": 1, "mem": 0, "maxmem": count(keys["memory"], 512) << 20, "disk": 0, "maxdisk": 0,
				"diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0, "uptime": 0})
		}
	}
	for _, name := range clusterNodes(db, c.Node.Name()) {
		for _, s := range db.storages() {
			if !want("storage") || !usableOn(s, name) {
				continue
			}
			total, used, _, status, _ := v.storageState(db, name, s)
			shown := "unknown"
			if status == "active" && online[name] {
				shown = "available"
			}
			list = append(list, map[string]any{"id": "storage/" + name + "/" + s.ID, "type": "storage", "storage": s.ID, "node": name, "plugintype": s.Type,
				"content": s.Keys["content"], "shared": number(shared(s)), "status": shown, "disk": used * 1024, "maxdisk": total * 1024})
		}
	}
	for _, name := range clusterNodes(db, c.Node.Name()) {
		if c.Node.Debian() == "bookworm" {
			if want("sdn") {
				list = append(list, map[string]any{"id": "sdn/" + name + "/localnetwork", "type": "sdn", "sdn": "localnetwork", "node": name, "status": "ok"})
			}
		} else if want("network") {
			list = append(list, map[string]any{"id": "network/" + name + "/zone/localnetwork", "type": "network", "network": "localnetwork", "network-type": "zone", "node": name, "status": "ok"})
		}
	}
	return list, nil
}

func shared(s Section) bool {
	return s.Type == "rbd" || s.Type == "cephfs" || s.Type == "nfs" || s.Type == "pbs" || s.Keys["shared"] == "1"
}

const datacenterFile = "datacenter.cfg"

func apiOptions(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
	options := map[string]any{"allowed-tags": []any{}, "description": "", "mac_prefix": "BC:24:11"}
	for line := range strings.Lines(db.Text(datacenterFile)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		options[key] = value
		if key == "migration" || key == "ha" || key == "crs" {
			properties := map[string]any{}
			for _, property := range strings.Split(value, ",") {
				k, v, named := strings.Cut(property, "=")
				if !named {
					k, v = "type", k
				}
				properties[k] = v
			}
			options[key] = properties
		}
	}
	return options, nil
}

func apiSetOptions(c *Command, _ []string, a arguments) (any, error) {
	return c.answer(func(v *view, db *Database) (any, error) {
		if !v.quorate(c.Node.Name()) {
			return nil, failed(exitDie, "cluster not ready - no quorum?")
		}
		lines := map[string]string{}
		for line := range strings.Lines(db.Text(datacenterFile)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				lines[key] = strings.TrimSpace(value)
			}
		}
		for key, value := range a.values {
			switch key {
			case "output-format", "quiet", "noproxy", "digest":
			case "delete":
				for _, name := range splitList(value) {
					delete(lines, name)
				}
			default:
				lines[key] = value
			}
		}
		db.Write(datacenterFile, []byte(formatGuest(lines)), v.now)
		return nil, nil
	})
}

func storageEntry(db *Database, s Section) map[string]any {
	entry := map[string]any{"storage": s.ID, "type": s.Type, "digest": digest(db.Text(storageFile))}
	for key, value := range s.Keys {
		switch key {
		case "krbd", "disable", "shared", "fuse":
			entry[key] = count(or(value, "1"), 1)
		default:
			entry[key] = value
		}
	}
	if s.ID == "local" && !strings.Contains(db.Text(storageFile), "dir: local") {
		entry["priority"] = 0
	}
	if shared(s) {
		entry["shared"] = 1
	}
	return entry
}

func apiStorage(_ *Command, _ *view, db *Database, _ []string, a arguments) (any, error) {
	list := []any{}
	for _, s := range db.storages() {
		if !a.has("type") || a.get("type") == s.Type {
			list = append(list, storageEntry(db, s))
		}
	}
	return list, nil
}

// haEndpoints are the paths below /cluster/ha.
func haEndpoints() []endpoint {
	return []endpoint{
		get("cluster/ha/resources", func(_ *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			list := []any{}
			for _, r := range db.resources() {
				list = append(list, resourceEntry(db, r))
			}
			return list, nil
		}),
		get("cluster/ha/resources/{}", func(_ *Command, _ *view, db *Database, parts []string, _ arguments) (any, error) {
			for _, r := range db.resources() {
				if r.Type+":"+r.ID == parts[0] || r.ID == parts[0] {
					return resourceEntry(db, r), nil
				}
			}
			return nil, failed(exitENOENT, "no such resource '%s'", parts[0])
		}),
		viaProgram("create", "cluster/ha/resources", haAdd),
		viaProgram("set", "cluster/ha/resources/{}", haSet, "sid"),
		viaProgram("delete", "cluster/ha/resources/{}", haRemove, "sid"),
		viaProgram("create", "cluster/ha/resources/{}/migrate", haMigrate("migrate"), "sid"),
		viaProgram("create", "cluster/ha/resources/{}/relocate", haMigrate("relocate"), "sid"),
		get("cluster/ha/groups", func(c *Command, _ *view, db *Database, _ []string, _ arguments) (any, error) {
			if err := groups(c, "index groups"); err != nil {
				return nil, err
			}
			list := []any{}
			for _, g := range ParseSections(db.Text(groupsFile)) {
				entry := map[string]any{"group": g.ID, "type": "group", "digest": digest(db.Text(groupsFile))}
				for key, value := range g.Keys {
					entry[key] = value
					if key == "restricted" || key == "nofailback" {
						entry[key] = count(value, 0)
					}
				}
				list = append(list, entry)
			}
			return list, nil
		}),
		viaProgram("create", "cluster/ha/groups", haGroupadd),
		viaProgram("set", "cluster/ha/groups/{}", haGroupset, "group"),
		viaProgram("delete", "cluster/ha/groups/{}", haGroupremove, "group"),
		get("cluster/ha/rules", func(c *Command, v *view, db *Database, _ []string, a arguments) (any, error) {
			if c.Node.Debian() == "bookworm" {
				return nil, failed(1, "No 'get' handler defined for '/cluster/ha/rules'")
			}
			return v.ruleList(db, a), nil
		}),
		viaProgram("create", "cluster/ha/rules", haRulesAdd),
		viaProgram("set", "cluster/ha/rules/{}", haRulesSet, "rule"),
		viaProgram("delete", "cluster/ha/rules/{}", haRulesRemove, "rule"),
		get("cluster/ha/status/current", func(c *Command, v *view, _ *Database, _ []string, _ arguments) (any, error) {
			list := []any{}
			for _, e := range v.haStatus(c.Node.Name()) {
				list = append(list, map[string]any(e))
			}
			return list, nil
		}),
		get("cluster/ha/status/manager_status", func(c *Command, v *view, _ *Database, _ []string, _ arguments) (any, error) {
			return v.managerStatus(c.Node.Name()), nil
		}),
	}
}

func resourceEntry(db *Database, r Section) map[string]any {
	entry := map[string]any{"sid": r.Type + ":" + r.ID, "type": r.Type, "digest": digest(db.Text(resourcesFile))}
	for key, value := range r.Keys {
		switch key {
		case "max_restart", "max_relocate", "failback":
			entry[key] = count(value, 1)
		case "comment":
			entry[key] = decodeComment(value)
		default:
			entry[key] = value
		}
	}
	return entry
}

// nodeEndpoints are the paths below /nodes/NODE.
func nodeEndpoints() []endpoint {
	return []endpoint{
		get("nodes/{}/version", apiVersion),
		get("nodes/{}/status", func(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
			r := releases[c.Node.Debian()]
			used := int64(labMemory / 6)
			return map[string]any{"pveversion": "pve-manager/" + r.manager + "/" + r.repoid, "kversion": "Linux " + c.Node.Kernel() + " #1 SMP PREEMPT_DYNAMIC @0",
				"current-kernel": map[string]any{"machine": "x86_64", "release": c.Node.Kernel(), "sysname": "Linux", "version": "#1 SMP PREEMPT_DYNAMIC @0"},
				"boot-info":      map[string]any{"mode": "legacy-bios"}, "cpu": 0, "idle": 0, "wait": 0, "loadavg": []any{"0.10", "0.10", "0.10"}, "ksm": map[string]any{"shared": 0},
				"cpuinfo": map[string]any{"cores": labCPUs, "cpus": labCPUs, "family": "6", "flags": "fpu vme vmx", "hvm": "1", "mhz": "2600.000", "model": "Intel(R) Xeon(R) Processor", "sockets": 1, "user_hz": 100, "vendor": "GenuineIntel"},
				"memory":  map[string]any{"available": int64(labMemory) - used, "free": int64(labMemory) - used, "total": int64(labMemory), "used": used},
				"rootfs":  map[string]any{"avail": int64(localFree * 1024), "free": int64(localTotal-localUsed) * 1024, "total": int64(labDisk), "used": int64(localUsed * 1024)},
				"swap":    map[string]any{"free": 0, "total": 0, "used": 0}, "uptime": int64(v.now.Sub(v.Nodes[c.Node.Name()].Since["pve-cluster.service"]).Seconds())}, nil
		}),
		{verb: "get", path: "nodes/{}/disks/list", run: apiDisks},
		{verb: "set", path: "nodes/{}/disks/wipedisk", silent: true, run: apiWipe},
	}
}

func apiDisks(c *Command, _ []string, a arguments) (any, error) {
	osds := map[string]int{}
	c.World.at(func(v *view) {
		if db := v.database(c.Node.Name()); db != nil && v.Ceph[db.ID] != nil {
			for _, o := range v.Ceph[db.ID].OSDs {
				if o.Host == c.Node.Name() {
					osds[o.Device] = o.ID
				}
			}
		}
	})
	list := []any{}
	for _, d := range c.Node.Disks() {
		entry := map[string]any{"devpath": "/dev/" + d.Name, "gpt": number(len(d.Partitions) > 0), "size": d.Size, "serial": d.Serial, "model": d.Model, "wwn": or(d.WWN, "unknown"), "vendor": "unknown",
			"health": "UNKNOWN", "type": diskType(d), "rpm": number(d.Rotational) * 7200, "wearout": "N/A", "by_id_link": "/dev/disk/by-id/" + strings.ReplaceAll(d.Model, " ", "_") + "_" + d.Serial,
			"osdid": -1, "osdid-list": nil}
		if id, ok := osds[d.Name]; ok {
			entry["osdid"], entry["osdid-list"], entry["bluestore"], entry["osdencrypted"] = id, []any{id}, 1, 0
		}
		if use := diskUse(d); use != "" {
			entry["used"] = use
		}
		if a.get("type") == "unused" && diskUse(d) != "" {
			continue
		}
		list = append(list, entry)
	}
	return list, nil
}

func diskType(d Disk) string {
	switch {
	case strings.HasPrefix(d.Name, "nvme"):
		return "nvme"
	case d.Rotational:
		return "hdd"
	}
	return "ssd"
}

// diskUse is what PVE's disk list calls the use of a disk; empty for a free one.
func diskUse(d Disk) string {
	switch {
	case d.Mountpoint != "":
		return "mounted"
	case d.Use == "LVM2_member":
		return "LVM"
	case d.Use == "zfs_member":
		return "ZFS"
	case len(d.Partitions) > 0:
		return "partitions"
	}
	return d.Use
}

func apiWipe(c *Command, _ []string, a arguments) (any, error) {
	for _, d := range c.Node.Disks() {
		if "/dev/"+d.Name != a.get("disk") {
			continue
		}
		if d.Mountpoint != "" {
			return nil, fmt.Errorf("disk/partition '%s' is mounted", a.get("disk"))
		}
		var holder bool
		c.World.at(func(v *view) {
			for _, ceph := range v.Ceph {
				for _, o := range ceph.OSDs {
					holder = holder || o.Host == c.Node.Name() && o.Device == d.Name
				}
			}
		})
		if holder {
			return nil, fmt.Errorf("disk/partition '%s' has a holder", a.get("disk"))
		}
		c.Node.SetDiskUse(d.Name, "")
		return nil, nil
	}
	return nil, errors.New("not a valid block device")
}
