package proxmox

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// membersFile returns /etc/pve/.members as pmxcfs generates it on a node.
func (v *view) membersFile(node string) string {
	db := v.database(node)
	conf := db.corosync()
	if conf == nil {
		return fmt.Sprintf("{\n\"nodename\": %q,\n\"version\": %d\n}\n", node, db.Version)
	}
	seen := v.sees(db, conf, node)
	if n := v.nodeState(node); !v.member(db, node) && !v.runs(node, "corosync.service", 0) && len(n.Seen) > 0 {
		seen = n.Seen
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\"nodename\": %q,\n\"version\": %d,\n", node, db.Version+len(db.Ring.Members))
	fmt.Fprintf(&b, "\"cluster\": { \"name\": %q, \"version\": %d, \"nodes\": %d, \"quorate\": %d },\n",
		conf.Name, conf.Version, len(conf.Nodes), number(v.quorate(node)))
	b.WriteString("\"nodelist\": {\n")
	for i, n := range conf.Nodes {
		fmt.Fprintf(&b, "  %q: { \"id\": %d, \"online\": %d", n.Name, n.ID, number(slices.Contains(seen, n.ID)))
		if ip := v.broadcastIP(n.Name); ip != "" {
			fmt.Fprintf(&b, ", \"ip\": %q", ip)
		}
		b.WriteString("}")
		if i < len(conf.Nodes)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// broadcastDelay is the time from the start of pmxcfs on a node until the other nodes know the node's address.
const broadcastDelay = 2 * time.Second

// broadcastIP returns the address that a node has announced to the others. They remember it when the node is gone.
func (v *view) broadcastIP(node string) string {
	n := v.Nodes[node]
	if n == nil {
		return ""
	}
	if since, ok := n.Since["pve-cluster.service"]; ok && v.now.Before(since.Add(broadcastDelay)) {
		return ""
	}
	return n.IP
}

// guest is a VM or container of a cluster.
type guest struct {
	id, node, kind string // kind is "qemu" or "lxc"
	version        int
	config         string
}

// guests returns the guests that have a configuration in a database, by ID.
func (db *Database) guests() map[string]guest {
	found := map[string]guest{}
	for name, e := range db.Files {
		parts := strings.Split(name, "/")
		if e.Dir || len(parts) != 4 || parts[0] != "nodes" || !strings.HasSuffix(parts[3], ".conf") {
			continue
		}
		kind := map[string]string{"qemu-server": "qemu", "lxc": "lxc"}[parts[2]]
		if kind == "" {
			continue
		}
		id := strings.TrimSuffix(parts[3], ".conf")
		found[id] = guest{id: id, node: parts[1], kind: kind, version: e.Version, config: string(e.Data)}
	}
	return found
}

// path returns the path of the guest's configuration in the database.
func (g guest) path() string {
	dir := "qemu-server"
	if g.kind == "lxc" {
		dir = "lxc"
	}
	return "nodes/" + g.node + "/" + dir + "/" + g.id + ".conf"
}

// vmlistFile returns /etc/pve/.vmlist.
func (db *Database) vmlistFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\"version\": %d", db.Version)
	guests := sorted(db.guests())
	if len(guests) > 0 {
		b.WriteString(",\n\"ids\": {\n")
		for i, g := range guests {
			if i > 0 {
				b.WriteString(",\n")
			}
			fmt.Fprintf(&b, "%q: { \"node\": %q, \"type\": %q, \"version\": %d }", g.id, g.node, g.kind, g.version)
		}
		b.WriteString("}\n")
	}
	b.WriteString("\n}\n")
	return b.String()
}

// versionFile returns /etc/pve/.version.
func (v *view) versionFile(node string) string {
	db := v.database(node)
	text := fmt.Sprintf("{\n\"starttime\": %d,\n\"clinfo\": %d,\n\"vmlist\": %d", v.nodeState(node).Since["pve-cluster.service"].Unix(), db.Version, db.Version)
	for _, name := range []string{corosyncFile, "storage.cfg", "user.cfg", "datacenter.cfg", "ha/resources.cfg", "ha/rules.cfg", "ceph.conf"} {
		version := 0
		if e := db.Files[name]; e != nil {
			version = e.Version
		}
		text += fmt.Sprintf(",\n%q: %d", name, version)
	}
	return text + "\n}\n"
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
