package proxmox

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func pvecmStatus(c *Command, _ arguments) int {
	var conf *Corosync
	c.World.at(func(v *view) { conf = clusterOf(v.database(c.Node.Name())) })
	if conf == nil {
		return c.notInCluster()
	}
	c.printf("Cluster information\n-------------------\n%-17s %s\n%-17s %d\n%-17s %s\n%-17s %s\n\n",
		"Name:", conf.Name, "Config Version:", conf.Version, "Transport:", "knet", "Secure auth:", conf.Totem["secauth"])
	return quorumtool(c, "siH")
}

func pvecmNodes(c *Command, _ arguments) int {
	var conf *Corosync
	c.World.at(func(v *view) { conf = clusterOf(v.database(c.Node.Name())) })
	if conf == nil {
		return c.notInCluster()
	}
	return quorumtool(c, "l")
}

// corosyncQuorumtool implements corosync-quorumtool with -s, -l, -i, -H and -p.
func corosyncQuorumtool(c *Command) int {
	var flags string
	for i := 1; i < len(c.Argv); i++ {
		flags += strings.TrimLeft(c.Argv[i], "-")
	}
	return quorumtool(c, flags)
}

// quorumtool prints the status (s) or the nodes (l), with addresses instead of names (i) and hexadecimal IDs (H).
func quorumtool(c *Command, flags string) int {
	code := 0
	var text strings.Builder
	c.World.at(func(v *view) {
		db := v.database(c.Node.Name())
		conf := clusterOf(db)
		if conf == nil || !v.runs(c.Node.Name(), "corosync.service", 0) || v.nodeState(c.Node.Name()).Removed || conf.node(c.Node.Name()) == nil {
			code = 1
			return
		}
		code = db.quorumText(&text, v, conf, c.Node.Name(), flags)
	})
	if code == 1 {
		return c.die(1, "Cannot initialize CMAP service")
	}
	c.printf("%s", text.String())
	return code
}

func (db *Database) quorumText(b *strings.Builder, v *view, conf *Corosync, node, flags string) int {
	q, code := v.quorum(db, conf, node), 0
	members, registered := db.Ring.Members, v.deviceRegistered(conf, node)
	if !v.member(db, node) { // it has its own ring until the others admit it
		members = []int{conf.node(node).ID}
		q.Total = conf.votes(members)
		q.Quorate = q.Total >= q.Needed
	}
	if !q.Quorate {
		code = 2
	}
	if !strings.Contains(flags, "l") || strings.Contains(flags, "s") {
		quorate, needed, words := "Yes", fmt.Sprintf("%d  ", q.Needed), "Quorate "
		if registered {
			words += "Qdevice "
		}
		if !q.Quorate {
			quorate, needed, words = "No", fmt.Sprintf("%d Activity blocked", q.Needed), strings.TrimPrefix(words, "Quorate ")
		}
		id := conf.node(node).ID
		idText := fmt.Sprint(id)
		if strings.Contains(flags, "H") {
			idText = fmt.Sprintf("0x%08x", id)
		}
		fmt.Fprintf(b, "Quorum information\n------------------\n")
		for _, line := range [][2]string{{"Date:", v.now.Format("Mon Jan _2 15:04:05 2006")}, {"Quorum provider:", "corosync_votequorum"},
			{"Nodes:", fmt.Sprint(len(members))}, {"Node ID:", idText},
			{"Ring ID:", fmt.Sprintf("%d.%x", slices.Min(members), db.Ring.Sequence)}, {"Quorate:", quorate}} {
			fmt.Fprintf(b, "%-17s %s\n", line[0], line[1])
		}
		fmt.Fprintf(b, "\nVotequorum information\n----------------------\n")
		for _, line := range [][2]string{{"Expected votes:", fmt.Sprint(q.Expected)}, {"Highest expected:", fmt.Sprint(q.Expected)},
			{"Total votes:", fmt.Sprint(q.Total)}, {"Quorum:", needed}, {"Flags:", words}} {
			fmt.Fprintf(b, "%-17s %s\n", line[0], line[1])
		}
	} else {
		code = 0
	}
	header := "Name"
	if registered {
		header = "   Qdevice Name"
	}
	fmt.Fprintf(b, "\nMembership information\n----------------------\n    Nodeid      Votes %s\n", header)
	ordered := append([]CorosyncNode(nil), conf.Nodes...)
	slices.SortFunc(ordered, func(a, b CorosyncNode) int { return a.ID - b.ID })
	for _, n := range ordered {
		if !slices.Contains(members, n.ID) {
			continue
		}
		id, name := fmt.Sprint(n.ID), n.Name
		if strings.Contains(flags, "H") {
			id = fmt.Sprintf("0x%08x", n.ID)
		}
		if strings.Contains(flags, "i") {
			name = n.Links[conf.Links[0].Number]
		}
		if n.Name == node {
			name += " (local)"
		}
		if registered {
			name = fmt.Sprintf("%10s %s", v.deviceFlags(db, conf, n.Name), name)
		}
		fmt.Fprintf(b, "%10s %10d %s\n", id, n.Votes, name)
	}
	if registered {
		id, votes, more := "0", conf.deviceVotes(), ""
		if strings.Contains(flags, "H") {
			id = "0x00000000"
		}
		if !v.deviceAlive(db, conf, node) {
			votes, more = 0, fmt.Sprintf(" (votes %d)", votes)
		}
		fmt.Fprintf(b, "%10s %10d %10s Qdevice%s\n", id, votes, "", more)
	}
	return code
}

// corosyncCfgtool implements corosync-cfgtool with -s, -n and -R.
func corosyncCfgtool(c *Command) int {
	flags := strings.Join(c.Argv[1:], "")
	wires := c.World.wires()
	code := 0
	var b strings.Builder
	c.World.at(func(v *view) {
		db, name := v.database(c.Node.Name()), c.Node.Name()
		conf := v.running(name)
		if conf == nil {
			code = 1
			return
		}
		switch {
		case strings.Contains(flags, "R"):
			b.WriteString("Reloading corosync.conf...\n")
			if next := usable(db.Text(corosyncFile)); next == nil || next.Version >= conf.Version && conf.refuses(next) {
				code = 7
				return
			}
			b.WriteString("Done\n")
			v.reload(db)
		case strings.Contains(flags, "n"):
			db.neighbours(&b, conf, name, wires)
		default:
			db.linkStatus(&b, conf, name, wires)
		}
	})
	if code == 1 {
		return c.die(1, "Could not initialize corosync configuration API error CS_ERR_LIBRARY")
	}
	c.printf("%s", b.String())
	if code == 7 {
		return c.die(7, "Could not reload configuration. Error CS_ERR_INVALID_PARAM")
	}
	return 0
}

// running returns the configuration of a node's corosync, or nil if corosync is not running.
func (v *view) running(node string) *Corosync {
	conf := clusterOf(v.database(node))
	if conf == nil || !v.runs(node, "corosync.service", 0) || v.nodeState(node).Removed || conf.node(node) == nil {
		return nil
	}
	return conf
}

// corosyncCmapctl implements corosync-cmapctl -g totem.config_version.
func corosyncCmapctl(c *Command) int {
	var conf *Corosync
	c.World.at(func(v *view) { conf = v.running(c.Node.Name()) })
	switch {
	case !slices.Equal(c.Argv[1:], []string{"-g", "totem.config_version"}):
		return c.die(1, "corosync-cmapctl: only -g totem.config_version is simulated")
	case conf == nil:
		return c.die(1, "Failed to initialize the cmap API. Error CS_ERR_LIBRARY")
	}
	c.printf("totem.config_version (u64) = %d\n", conf.Version)
	return 0
}

// wires maps nodes to the addresses of their interfaces.
type wires map[string][]netip.Prefix

func (w *World) wires() wires {
	all := wires{}
	for _, n := range w.all() {
		all[n.Name()] = n.Addresses()
	}
	return all
}

// join reports whether packets get from one node's address to the other's: both addresses exist and are in the same
// network.
func (w wires) join(a, from, b, to string) bool {
	there, err := netip.ParseAddr(to)
	if err != nil {
		return true // a name: not resolved here
	}
	here, err := netip.ParseAddr(from)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(w[a], func(p netip.Prefix) bool { return p.Addr() == here && p.Masked().Contains(there) }) &&
		slices.ContainsFunc(w[b], func(p netip.Prefix) bool { return p.Addr() == there })
}

func (db *Database) linkStatus(b *strings.Builder, conf *Corosync, node string, wires wires) {
	own := conf.node(node)
	fmt.Fprintf(b, "Local node ID %d, transport knet\n", own.ID)
	for _, link := range conf.numbers() {
		fmt.Fprintf(b, "LINK ID %d udp\n\taddr\t= %s\n\tstatus:\n", link, own.Links[link])
		for _, n := range conf.Nodes {
			state := "disconnected"
			switch {
			case n.Name == node:
				state = "localhost"
			case db.online(conf, n.Name) && wires.join(node, own.Links[link], n.Name, n.Links[link]):
				state = "connected"
			}
			fmt.Fprintf(b, "\t\tnodeid: %10d:\t%s\n", n.ID, state)
		}
	}
}

func (db *Database) neighbours(b *strings.Builder, conf *Corosync, node string, wires wires) {
	own := conf.node(node)
	fmt.Fprintf(b, "Local node ID %d, transport knet\n", own.ID)
	for _, n := range conf.Nodes {
		if n.Name == node {
			continue
		}
		reachable := "reachable"
		if !db.online(conf, n.Name) {
			reachable = "unreachable"
		}
		fmt.Fprintf(b, "nodeid: %d %s\n", n.ID, reachable)
		for _, link := range conf.numbers() {
			state := "disconnected"
			if db.online(conf, n.Name) && wires.join(node, own.Links[link], n.Name, n.Links[link]) {
				state = "connected"
			}
			fmt.Fprintf(b, "   LINK: %d udp (%s->%s) enabled %s mtu: 1397\n", link, own.Links[link], n.Links[link], state)
		}
		b.WriteString("\n")
	}
}
