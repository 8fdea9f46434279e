package pve

import (
	"encoding/json"
	"errors"
	"slices"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Cluster is the cluster as seen by one node.
type Cluster struct {
	// Mounted is set if pmxcfs serves /etc/pve. Otherwise nothing else here is known.
	Mounted bool
	// Name is the name of the cluster; empty on a standalone node.
	Name string
	// ConfigVersion is corosync's config_version; it increases with each change.
	ConfigVersion int
	// Quorate is set if /etc/pve can be written, which is always true on a standalone node.
	Quorate bool
	// Members holds the nodes of the cluster by name; empty on a standalone node.
	Members map[string]Member
	// Device is the address of the host of the QDevice; empty without a QDevice. DeviceVotes is the number of its votes.
	Device      string
	DeviceVotes int
	// AuthKey is set if /etc/corosync/authkey exists. On a standalone node it was left by an earlier create or join,
	// and pvecm add refuses it.
	AuthKey bool
	// Certificate is set if the node's own key, /etc/pve/local/pve-ssl.key, exists. It is missing after a join that
	// died halfway.
	Certificate bool
}

// Member is a node of a cluster.
type Member struct {
	ID     int
	Votes  int
	Online bool
	// Links holds the addresses of the knet links by number, from corosync.conf.
	Links map[int]string
}

// Online returns the names of the members that are online, sorted.
func (c Cluster) Online() []string {
	var names []string
	for name, m := range c.Members {
		if m.Online {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Offline returns the names of the members that are not online, sorted.
func (c Cluster) Offline() []string {
	online := c.Online()
	return slices.DeleteFunc(c.Names(), func(name string) bool { return slices.Contains(online, name) })
}

// Names returns the names of all members, sorted.
func (c Cluster) Names() []string {
	names := make([]string, 0, len(c.Members))
	for name := range c.Members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// With returns the cluster with another member, as every member will see it once the node has joined.
func (c Cluster) With(name string, m Member) Cluster {
	members := make(map[string]Member, len(c.Members)+1)
	for n, old := range c.Members {
		members[n] = old
	}
	if m.ID == 0 {
		m.ID = lowestFree(members)
	}
	members[name] = m
	c.Members = members
	c.ConfigVersion++
	return c
}

// lowestFree returns the node id that the next member gets in corosync's configuration.
func lowestFree(members map[string]Member) int {
	used := map[int]bool{}
	for _, m := range members {
		used[m.ID] = true
	}
	id := 1
	for used[id] {
		id++
	}
	return id
}

// Clusters observes Cluster, under the empty name.
//
// /etc/pve/.members contains what pmxcfs itself knows (names, online, quorum); corosync.conf adds votes and link
// addresses. Proxmox VE considers a node to be in a cluster if /etc/pve/corosync.conf exists.
var Clusters = &observe.Kind[Cluster]{
	Name: "pve-cluster", What: "the membership in the cluster",
	Shared: observe.Always,
	Ask:    AskFiles,
	Common: true,
	Parse: func(names []string, answers []remote.Answer, tell func(string, Cluster, error)) {
		c, err := parseCluster(ParseFiles(answers[0]))
		for _, name := range names {
			tell(name, c, err)
		}
	},
}

// Remounted observes Cluster like Clusters, under the empty name, but waits a little while pve-cluster.service is starting: an upgrade
// restarts it, and /etc/pve is away meanwhile. It does not wait if the service is stopped.
var Remounted = &observe.Kind[Cluster]{
	Name: "pve-cluster-remounted", What: "the membership in the cluster",
	Shared: observe.Always,
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: remounts + filesQuery.Script, Args: filesQuery.Args, Inline: true}}
	},
	Parse: Clusters.Parse,
}

const remounts = `for _i in 1 2 3 4 5 6 7 8 9 10; do
	if timeout 10 test -L ` + LocalLink + `; then break; fi
	case $(systemctl is-active pve-cluster.service) in
	inactive | failed | unknown) break ;;
	esac
	sleep 1
done
`

func parseCluster(files Files) (Cluster, error) {
	c := Cluster{Mounted: files.Has(LocalLink), AuthKey: files.Has(authKey), Certificate: files.Has(localKey)}
	members, listed, err := files.Read(membersFile)
	conf, inCluster, err2 := files.Read(corosyncFile)
	if err = errors.Join(err, err2); err != nil {
		if errors.Is(err, ErrNotMounted) {
			return Cluster{AuthKey: c.AuthKey}, nil
		}
		return c, err
	}
	if !c.Mounted || !listed {
		return Cluster{AuthKey: c.AuthKey}, nil
	}
	if !inCluster {
		c.Quorate = true
		return c, nil
	}
	return c, c.fill(members, conf)
}

// fill reads the two files of a node that is in a cluster.
func (c *Cluster) fill(members, conf []byte) error {
	corosync, err := parseCorosync(conf)
	if err != nil {
		return &FileError{corosyncFile, err}
	}
	live, err := parseMembers(members)
	if err != nil {
		return &FileError{membersFile, err}
	}
	c.Name, c.ConfigVersion = corosync.name, corosync.version
	c.Members, c.Device, c.DeviceVotes = corosync.nodes, corosync.device, corosync.deviceVotes
	c.Quorate = live.Cluster.Quorate == 1
	for name, m := range c.Members {
		m.Online = live.Nodes[name].Online == 1
		c.Members[name] = m
	}
	return nil
}

// memberFile is /etc/pve/.members.
type memberFile struct {
	Node    string `json:"nodename"`
	Cluster struct {
		Name    string `json:"name"`
		Quorate int    `json:"quorate"`
	} `json:"cluster"`
	Nodes map[string]struct {
		Online int `json:"online"`
	} `json:"nodelist"`
}

func parseMembers(content []byte) (memberFile, error) {
	var m memberFile
	err := json.Unmarshal(content, &m)
	return m, err
}
