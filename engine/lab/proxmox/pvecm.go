package proxmox

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The program pvecm: cluster create, join, leave, status.

func clusterName(value string) string {
	if problem := isNodeName(value); problem != "" {
		return problem
	}
	if len(value) > 15 {
		return "value may only be 15 characters long"
	}
	return ""
}

func pvecmCommands() []perlCommand {
	atLeast := func(n int) check { return integer(n, 0) }
	link := map[string]check{"link[n]": anyText, "nodeid": atLeast(1), "votes": atLeast(1)}
	create := map[string]check{"token-coefficient": atLeast(0)}
	for name, chk := range link {
		create[name] = chk
	}
	createOld := link
	add := map[string]check{"link[n]": anyText, "nodeid": atLeast(1), "votes": atLeast(0), "force": boolean, "use_ssh": boolean,
		"fingerprint": matching(`^([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}$`)}
	return []perlCommand{
		{name: "create", args: []string{"clustername"}, usage: "<clustername> [OPTIONS]", options: create,
			checks: map[string]check{"clustername": clusterName}, debian: "trixie", run: named(pvecmCreate)},
		{name: "create", args: []string{"clustername"}, usage: "<clustername> [OPTIONS]", options: createOld,
			checks: map[string]check{"clustername": clusterName}, debian: "bookworm", run: named(pvecmCreate)},
		{name: "add", args: []string{"hostname"}, usage: "<hostname> [OPTIONS]", options: add, run: named(pvecmAdd)},
		{name: "delnode", args: []string{"node"}, usage: "<node>", run: named(pvecmDelnode)},
		{name: "status", run: named(pvecmStatus)},
		{name: "nodes", run: named(pvecmNodes)},
		{name: "updatecerts", usage: "[OPTIONS]", options: map[string]check{"force": boolean, "silent": boolean,
			"unmerge-known-hosts": boolean}, run: named(pvecmUpdatecerts)},
		{name: "qdevice setup", args: []string{"address"}, usage: "<address> [OPTIONS]", options: map[string]check{"force": boolean, "network": cidr},
			checks: map[string]check{"address": address}, run: named(qdeviceSetup)},
		{name: "qdevice remove", run: named(qdeviceRemove)},
	}
}

// named runs a command only if the node's own name resolves as PVE requires.
func named(run func(c *Command, a arguments) int) func(*Command, arguments) int {
	return func(c *Command, a arguments) int {
		if _, code := c.ownAddress(); code != 0 {
			return code
		}
		return run(c, a)
	}
}

// nodeAddress returns the first usable address that a node's name resolves to.
func nodeAddress(n Node) (netip.Addr, error) {
	addresses, err := n.Resolve(n.Name())
	if err != nil || len(addresses) == 0 {
		return netip.Addr{}, fmt.Errorf("hostname lookup '%s' failed - failed to get address info for: %s: Temporary failure in name resolution", n.Name(), n.Name())
	}
	for _, a := range addresses {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("address lookup for '%s' did not find any IP address", n.Name())
}

func (c *Command) ownAddress() (netip.Addr, int) {
	address, err := nodeAddress(c.Node)
	if err != nil {
		code := exitDie
		if strings.HasPrefix(err.Error(), "hostname lookup") {
			code = exitEAGAIN
		}
		return address, c.die(code, "%s", err)
	}
	return address, 0
}

// linkOptions returns the links on a command line: addresses and priorities by number.
func linkOptions(a arguments) (addresses map[int]string, links []CorosyncLink) {
	addresses = map[int]string{}
	for number := range 8 {
		value, ok := a.values["link"+strconv.Itoa(number)]
		if !ok {
			continue
		}
		link := CorosyncLink{Number: number}
		for _, part := range strings.Split(value, ",") {
			key, v, found := strings.Cut(part, "=")
			switch {
			case !found:
				addresses[number] = part
			case key == "address":
				addresses[number] = v
			case key == "priority":
				link.Priority, _ = strconv.Atoi(v)
			}
		}
		links = append(links, link)
	}
	return addresses, links
}

func pvecmCreate(c *Command, a arguments) int {
	var exists bool
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		exists = db != nil && db.Has(corosyncFile)
	})
	if exists {
		return c.die(exitDie, "cluster config '/etc/pve/corosync.conf' already exists")
	}
	c.task("clustercreate", a.get("clustername"), func(out io.Writer) error { return createCluster(c, a, out) })
	return 0
}

func createCluster(c *Command, a arguments, out io.Writer) error {
	address, err := nodeAddress(c.Node)
	if err != nil {
		return err
	}
	prepareSSH(c.World, c.Node)
	if !c.Node.Exists("/etc/corosync/authkey") {
		fmt.Fprint(out, "Corosync Cluster Engine Authentication key generator.\nGathering 2048 bits for key from /dev/urandom.\nWriting corosync key to /etc/corosync/authkey.\n")
		if err := c.Node.WriteFile("/etc/corosync/authkey", randomBytes(256), 0o400); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "Writing corosync config to /etc/pve/corosync.conf")
	addresses, links := linkOptions(a)
	if len(links) == 0 {
		addresses, links = map[int]string{0: address.String()}, []CorosyncLink{{}}
	}
	conf := &Corosync{Name: a.get("clustername"), Version: 1, Links: links,
		Totem: map[string]string{"ip_version": "ipv4-6", "link_mode": "passive", "secauth": "on", "version": "2"},
		Nodes: []CorosyncNode{{Name: c.Node.Name(), ID: a.int("nodeid", 1), Votes: a.int("votes", 1), Links: addresses}}}
	if c.Node.Debian() != "bookworm" {
		conf.Totem["token_coefficient"] = a.or("token-coefficient", "125")
	}
	if err := c.sleep(time.Second); err != nil {
		return err
	}
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		db.Write(corosyncFile, []byte(conf.String()), v.now)
		v.Nodes[c.Node.Name()].Restarted = true
	})
	mergeRootKey(c.World, c.Node)
	if err := c.Node.WriteFile("/etc/corosync/corosync.conf", []byte(conf.String()), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(out, "Restart corosync and cluster filesystem")
	c.Node.EnableUnit("corosync.service", true)
	c.Node.StopUnit("corosync.service")
	c.Node.StopUnit("pve-cluster.service")
	if err := c.Node.StartUnit("corosync.service"); err != nil {
		return err
	}
	if err := c.Node.StartUnit("pve-cluster.service"); err != nil {
		return err
	}
	return c.sleep(2 * time.Second)
}

func clusterOf(db *Database) *Corosync {
	if db == nil {
		return nil
	}
	return db.corosync()
}

func (c *Command) notInCluster() int {
	return c.die(exitENOENT, "Error: Corosync config '/etc/pve/corosync.conf' does not exist - is this node part of a cluster?")
}

func pvecmDelnode(c *Command, a arguments) int {
	c.changed = true
	code := 0
	var online bool
	var conf *Corosync
	var target *CorosyncNode
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		conf = clusterOf(db).clone()
		wanted := a.get("node")
		if conf != nil && !v.quorate(c.Node.Name()) {
			code = c.die(exitDie, "cluster not ready - no quorum?")
			return
		}
		if conf != nil {
			for i, n := range conf.Nodes {
				if n.Name == wanted || n.Links[0] == wanted || n.Links[1] == wanted && wanted != "" {
					target = &conf.Nodes[i]
				}
			}
		}
		if target == nil {
			code = exitDie
			if conf == nil {
				code = exitENOENT
			}
			code = c.die(code, "Node/IP: %s is not a known host of the cluster.", wanted)
			return
		}
		if target.Name == c.Node.Name() {
			code = c.die(exitDie, "Cannot delete myself from cluster!")
			return
		}
		online = db.online(conf, target.Name)
		name := target.Name
		n := v.node(name)
		if online {
			// The removed node stops corosync and keeps its files.
			left := db.clone(fmt.Sprintf("%s-%d", name, v.next()))
			v.Databases[left.ID] = left
			n.Database, n.Removed = left.ID, true
			n.stopped("corosync.service", v.now)
		} else if n.Database == db.ID {
			left := db.clone(fmt.Sprintf("%s-%d", name, v.next()))
			v.Databases[left.ID] = left
			n.Database = left.ID
		}
		var rest []CorosyncNode
		for _, other := range conf.Nodes {
			if other.Name != name {
				rest = append(rest, other)
			}
		}
		conf.Nodes = rest
		conf.Version++
		db.Write(corosyncFile, []byte(conf.String()), v.now)
		v.reload(db)
	})
	if code != 0 {
		return code
	}
	c.printf("Killing node %d\n", target.ID)
	if !online {
		fmt.Fprintln(c.Stderr, "Could not kill node (error = CS_ERR_NOT_EXIST)")
	}
	if err := c.sleep(time.Second); err != nil {
		return c.die(exitDie, "interrupted")
	}
	c.World.distribute(c.Node.Name())
	return 0
}

// reload does what corosync does when its configuration changes.
func (v *view) reload(db *Database) {
	db.Ring.Expected = 0
	db.Ring.Reloaded = v.now
	v.refreshRing(db)
}

// distribute copies the cluster's corosync.conf to every member, as pmxcfs does. It does not overwrite a higher
// version.
func (w *World) distribute(from string) {
	var text []byte
	var members []string
	w.at(func(v *view) {
		db := v.database(from)
		if data, ok := db.Read(corosyncFile); ok {
			text, members = data, db.onlineNodes()
		}
	})
	next := usable(string(text))
	for _, name := range members {
		n := w.node(name)
		if n == nil || text == nil {
			continue
		}
		if has, err := n.ReadFile("/etc/corosync/corosync.conf"); err == nil && next != nil {
			if local := usable(string(has)); local != nil && local.Name == next.Name && local.Version > next.Version {
				continue
			}
		}
		_ = n.WriteFile("/etc/corosync/corosync.conf", text, 0o644) // pmxcfs only logs a failure
	}
}
