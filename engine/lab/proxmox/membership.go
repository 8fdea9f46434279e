package proxmox

import (
	"net/netip"
	"slices"
	"time"
)

// joinDelay is how long corosync takes from its start until it is a member: the token and consensus timeouts on a LAN.
const joinDelay = 1500 * time.Millisecond

// Ring is the runtime state of corosync in a cluster.
type Ring struct {
	// Sequence is the number of the ring, which is printed in hexadecimal. Every change increases it by four.
	Sequence int
	// Members are the IDs of the nodes in the quorate partition.
	Members []int
	// Expected is set by `pvecm expected` and cleared when corosync.conf changes; zero means unset.
	Expected int
	// Reloaded is when the members last loaded a changed corosync.conf.
	Reloaded time.Time
}

func (r Ring) clone() Ring {
	r.Members = slices.Clone(r.Members)
	return r
}

// firstSequence is the sequence before the first ring that corosync forms (1.5).
const firstSequence = 1

// refreshRing updates the membership of a cluster.
func (v *view) refreshRing(db *Database) {
	conf := db.corosync()
	if conf == nil {
		return
	}
	var members []int
	for _, n := range conf.Nodes {
		if v.member(db, n.Name) {
			members = append(members, n.ID)
		}
	}
	slices.Sort(members)
	for _, n := range conf.Nodes {
		if slices.Contains(members, n.ID) {
			v.Nodes[n.Name].Seen = members
		}
	}
	if len(members) == 0 || slices.Equal(members, db.Ring.Members) {
		return
	}
	if db.Ring.Sequence == 0 {
		db.Ring.Sequence = firstSequence
	}
	if total := conf.votes(members); db.Ring.Expected > 0 && total > db.Ring.Expected {
		db.Ring.Expected = total
	}
	db.Ring.Sequence += 4
	db.Ring.Members = members
}

// member reports whether a node's corosync is part of the ring.
func (v *view) member(db *Database, node string) bool {
	n := v.Nodes[node]
	if n == nil || n.Database != db.ID || n.Removed {
		return false
	}
	delay := joinDelay
	if conf := db.corosync(); conf != nil && len(conf.Nodes) == 1 {
		delay = 0
	}
	return v.runs(node, "corosync.service", delay) && !v.severed(db, node)
}

// severed reports whether none of the links of a node's corosync carries packets: it has a ring of its own, without a quorum. Whether
// two nodes that have links left have one in common does not matter.
func (v *view) severed(db *Database, node string) bool {
	conf := db.corosync()
	heard, known := v.heard[node]
	if conf == nil || len(conf.Nodes) < 2 || !known || heard == nil || conf.node(node) == nil {
		return false
	}
	for _, link := range conf.node(node).Links {
		a, err := netip.ParseAddr(link)
		if err != nil || slices.Contains(heard, a) { // a name is not followed here
			return false
		}
	}
	return true
}

// sees returns the IDs of the nodes that a node sees online.
func (v *view) sees(db *Database, conf *Corosync, node string) []int {
	if own := conf.node(node); own != nil && v.severed(db, node) && v.runs(node, "corosync.service", 0) {
		return []int{own.ID}
	}
	return db.Ring.Members
}

func (c *Corosync) votes(ids []int) int {
	total := 0
	for _, n := range c.Nodes {
		if slices.Contains(ids, n.ID) {
			total += n.Votes
		}
	}
	return total
}

// Quorum is the result of votequorum for a cluster.
type Quorum struct {
	Expected, Total, Needed int
	Quorate                 bool
}

// quorum returns the quorum as a member sees it: the QDevice's votes for a node depend on the node's own daemon.
func (v *view) quorum(db *Database, conf *Corosync, node string) Quorum {
	q := Quorum{Expected: db.Ring.Expected}
	if q.Expected == 0 {
		q.Expected = conf.deviceVotes()
		for _, n := range conf.Nodes {
			q.Expected += n.Votes
		}
	}
	q.Total = conf.votes(db.Ring.Members)
	if v.deviceAlive(db, conf, node) {
		q.Total += conf.deviceVotes()
	}
	q.Needed = q.Expected/2 + 1
	q.Quorate = q.Total >= q.Needed
	return q
}

// quorate reports whether a node may write to its /etc/pve; standalone nodes always may.
func (v *view) quorate(node string) bool {
	db := v.database(node)
	if db == nil {
		return false
	}
	conf := db.corosync()
	if conf == nil {
		return true
	}
	return v.member(db, node) && v.quorum(db, conf, node).Quorate
}

// online reports whether a cluster considers a node online.
func (db *Database) online(conf *Corosync, node string) bool {
	n := conf.node(node)
	return n != nil && slices.Contains(db.Ring.Members, n.ID)
}

// onlineNodes returns the names of the members, sorted.
func (db *Database) onlineNodes() []string {
	conf := db.corosync()
	if conf == nil {
		return nil
	}
	var names []string
	for _, n := range conf.Nodes {
		if slices.Contains(db.Ring.Members, n.ID) {
			names = append(names, n.Name)
		}
	}
	return names
}
