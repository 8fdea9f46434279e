package proxmox

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// request is what a joining node sends to a member.
type request struct {
	name      string
	links     map[int]string
	fallback  string // its own address, for use without links
	id, votes int    // an ID of 0 means the lowest free one
	force     bool
}

// addNode adds a node to the cluster's configuration, on the member that received the request. log is what the member
// prints.
func (w *World) addNode(c *Command, member Node, r request) (log string, err error) {
	deadline := c.slept + 10*time.Second
	for {
		var locked bool
		w.at(func(v *view) {
			db := v.database(member.Name())
			if locked = db != nil && v.now.Before(db.LockedUntil); locked {
				return
			}
			log, err = v.enter(member.Name(), r)
		})
		if !locked {
			break
		}
		if c.slept > deadline {
			return "", errors.New("cfs-lock 'file-corosync_conf' error: got lock request timeout")
		}
		if err := c.sleep(time.Second); err != nil {
			return "", err
		}
	}
	if err != nil {
		return log, err
	}
	w.distribute(member.Name())
	// The member gives corosync a second to load the new configuration.
	return log, c.sleep(time.Second)
}

func (v *view) enter(member string, r request) (log string, err error) {
	db := v.database(member)
	conf := clusterOf(db).clone()
	if conf == nil {
		return "", failed(exitDie, "node is not in a cluster, no join info available!")
	}
	if !v.quorate(member) {
		for _, n := range conf.Nodes {
			if joining := v.Nodes[n.Name]; joining != nil && joining.Joining {
				joining.Disturbed = true
				return "", fmt.Errorf("unable to create directory '/etc/pve/nodes/%s' - Permission denied", r.name)
			}
		}
		return "", errors.New("cluster not ready - no quorum?")
	}
	links := r.links
	existing := conf.node(r.name)
	if existing != nil && !r.force {
		return "", fmt.Errorf("can't add existing node '%s'", r.name)
	}
	if len(links) == 0 {
		switch {
		case len(conf.Links) > 1:
			return "", errors.New("no links given but multiple links found on other nodes, fallback only supported on single-link clusters")
		case r.fallback == "":
			return "", errors.New("no links and no fallback ip (new_node_ip) given, cannot join cluster")
		}
		log = fmt.Sprintf("No cluster network links passed explicitly, fallback to local node IP '%s'\n", r.fallback)
		links = map[int]string{conf.Links[0].Number: r.fallback}
	}
	for _, link := range conf.Links {
		if links[link.Number] == "" {
			return "", fmt.Errorf("corosync: link %d exists in cluster config but wasn't specified for new node", link.Number)
		}
	}
	for _, number := range sortedKeys(links) {
		if !slices.ContainsFunc(conf.Links, func(l CorosyncLink) bool { return l.Number == number }) {
			return "", fmt.Errorf("corosync: link %d specified for new node doesn't exist in cluster config", number)
		}
		for _, other := range conf.Nodes {
			if other.Name != r.name && other.Links[number] == links[number] {
				return "", fmt.Errorf("corosync: address '%s' already used on link ring%d_addr by node '%s'", links[number], number, other.Name)
			}
		}
	}
	if existing != nil {
		if r.id != 0 && r.id != existing.ID || r.votes != existing.Votes {
			return "", fmt.Errorf("can't add existing node '%s'", r.name)
		}
		log += fmt.Sprintf("forcing overwrite of configured node '%s'\n", r.name)
		existing.Links = links
	} else {
		id := r.id
		for n := 1; id == 0; n++ {
			if !slices.ContainsFunc(conf.Nodes, func(other CorosyncNode) bool { return other.ID == n }) {
				id = n
			}
		}
		conf.Nodes = append(conf.Nodes, CorosyncNode{Name: r.name, ID: id, Votes: r.votes, Links: links})
	}
	conf.Version++
	db.MakeDir("nodes/"+r.name, v.now)
	db.Write(corosyncFile, []byte(conf.String()), v.now)
	db.LockedUntil = v.now.Add(time.Second)
	v.reload(db)
	return log, nil
}
