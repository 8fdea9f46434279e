package pve

import (
	"regexp"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// CephNode is the Ceph software and the daemons of one node.
type CephNode struct {
	// Installed says that the server binaries are there (and ceph-volume, which makes OSDs).
	Installed bool
	// Release is the major version of the server packages: 19 is squid. Zero if not installed.
	Release int
	// Installing says that /run/pve-ceph-install-flag exists: pveceph install runs, or was killed and
	// left it, and every other pveceph command claims that binaries are missing.
	Installing bool
	// Conf is where the symbolic link /etc/ceph/ceph.conf points; empty if it is not a link.
	Conf string
	// ForeignConf says that /etc/ceph/ceph.conf is a file of its own, which pveceph refuses.
	ForeignConf bool
	// Mon, Mgr and MDS say that the daemon of this node (its id is the node's name) has a directory
	// below /var/lib/ceph.
	Mon, Mgr, MDS bool
}

// CephNodes observes CephNode; its only name is "".
var CephNodes = &observe.Kind[CephNode]{
	Name: "ceph-node", What: "the installation of Ceph",
	Ask: askNode,
	Parse: func(names []string, answers []remote.Answer, tell func(string, CephNode, error)) {
		node, err := parseCephNode(answers[0])
		for _, name := range names {
			tell(name, node, err)
		}
	},
}

// cephVersion is the version of a Debian package of Ceph: an epoch may precede it.
var cephVersion = regexp.MustCompile(`^(?:\d+:)?(\d+)\.`)

func parseCephNode(a remote.Answer) (CephNode, error) {
	found, err := parseFindings(a)
	n := CephNode{
		Installed: found.has("installed"), Installing: found.has("installing"),
		Conf: found["conf"], ForeignConf: found.has("foreign"),
		Mon: found.has("mon"), Mgr: found.has("mgr"), MDS: found.has("mds"),
	}
	if version, ok := found.version("ceph-mon"); ok {
		if m := cephVersion.FindStringSubmatch(version); m != nil {
			n.Release, _ = strconv.Atoi(m[1])
		}
	}
	return n, err
}

// cephReleases are the major versions by code name, those that Proxmox VE 8 and 9 offer.
var cephReleases = map[string]int{"quincy": 17, "reef": 18, "squid": 19, "tentacle": 20}

// CephRelease returns the major version of a code name, or 0 if hlplay does not know the name.
func CephRelease(name string) int { return cephReleases[name] }

// CephReleaseName returns the code name of a major version, or the number if hlplay does not know the version.
func CephReleaseName(major int) string {
	for name, number := range cephReleases {
		if number == major {
			return name
		}
	}
	return strconv.Itoa(major)
}
