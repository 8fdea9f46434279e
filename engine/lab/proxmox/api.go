package proxmox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// answer returns the result of fn for the current state of the node's cluster. It is an error if the node has no
// running pmxcfs.
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

// viaProgram returns an endpoint that runs a program with the same arguments.
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
	return slices.Concat(clusterEndpoints(), haEndpoints(), mappingEndpoints(), backupEndpoints(), nodeEndpoints(), cephEndpoints())
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
		get("cluster/config/qdevice", func(_ *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
			if conf := db.corosync(); conf != nil && conf.Device != nil {
				return nil, failed(exitDie, "what a QDevice answers here is not simulated: see corosync-quorumtool -s")
			}
			return map[string]any{}, nil
		}),
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
	r := c.release()
	return map[string]any{"release": r.release, "repoid": r.repoid, "version": r.manager}, nil
}

func apiClusterStatus(c *Command, v *view, db *Database, _ []string, _ arguments) (any, error) {
	name := c.Node.Name()
	conf := db.corosync()
	if conf == nil {
		return []any{map[string]any{"id": "node/" + name, "ip": v.nodeState(name).IP, "level": "", "local": 1, "name": name, "nodeid": 0, "online": 1, "type": "node"}}, nil
	}
	list := []any{map[string]any{"id": "cluster", "type": "cluster", "name": conf.Name, "nodes": len(conf.Nodes), "quorate": number(v.quorate(name)), "version": conf.Version}}
	for _, n := range conf.Nodes {
		entry := map[string]any{"id": "node/" + n.Name, "level": "", "local": number(n.Name == name), "name": n.Name, "nodeid": n.ID, "online": number(slices.Contains(v.sees(db, conf, name), n.ID)), "type": "node"}
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
		entry["pve_addr"], entry["pve_fp"] = v.nodeState(name).IP, db.fingerprint(name)
		nodes = append(nodes, entry)
	}
	return map[string]any{"nodelist": nodes, "preferred_node": c.Node.Name(), "totem": totem(conf), "config_digest": digest(db.Text(corosyncFile))}, nil
}

// What the lab's machines report about themselves.
const (
	labCPUs   = 2
	labMemory = 25276502016
	labDisk   = localTotal * 1024
)

// clusterNodes returns the names of all nodes that a node knows.
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
		entry["uptime"] = int64(v.now.Sub(v.nodeState(name).Since["pve-cluster.service"]).Seconds())
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
