package ceph

import (
	"regexp"
	"strconv"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Node is the Ceph software and the daemons of one node.
type Node struct {
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

// Nodes observes Node; its only name is "".
var Nodes = &observe.Kind[Node]{
	Name: "ceph-node", What: "the installation of Ceph",
	Ask: func([]string) []remote.Query { return []remote.Query{nodeQuery} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, Node, error)) {
		node, err := parseNode(answers[0])
		for _, name := range names {
			tell(name, node, err)
		}
	},
}

// nodeQuery asks what a host has of Ceph. Apart from dpkg-query and readlink all is the shell's own work.
var nodeQuery = remote.Query{Script: `read -r _n </proc/sys/kernel/hostname
[ -x /usr/bin/ceph-mon ] && [ -x /usr/bin/ceph-osd ] && [ -x /usr/sbin/ceph-volume ] && echo installed
[ -e /run/pve-ceph-install-flag ] && echo installing
if [ -L /etc/ceph/ceph.conf ]; then echo "conf $(readlink /etc/ceph/ceph.conf)"
elif [ -e /etc/ceph/ceph.conf ]; then echo foreign; fi
for _d in mon mgr mds; do [ -d "/var/lib/ceph/$_d/ceph-${_n%%.*}" ] && echo "$_d"; done
dpkg-query -W -f 'package ${Package} ${Version} ${Status}\n' ceph-mon`, Inline: true}

// packageVersion is the version of a Debian package of Ceph: an epoch may precede it.
var packageVersion = regexp.MustCompile(`^(?:\d+:)?(\d+)\.`)

func parseNode(a remote.Answer) (Node, error) {
	found, err := pve.ParseFindings(a)
	n := Node{
		Installed: found.Has("installed"), Installing: found.Has("installing"),
		Conf: found["conf"], ForeignConf: found.Has("foreign"),
		Mon: found.Has("mon"), Mgr: found.Has("mgr"), MDS: found.Has("mds"),
	}
	if version, ok := found.Version("ceph-mon"); ok {
		if m := packageVersion.FindStringSubmatch(version); m != nil {
			n.Release, _ = strconv.Atoi(m[1])
		}
	}
	return n, err
}

// releases are the major versions by code name, those that Proxmox VE 8 and 9 offer.
var releases = map[string]int{"quincy": 17, "reef": 18, "squid": 19, "tentacle": 20}

// Release returns the major version of a code name, or 0 if hlplay does not know the name.
func Release(name string) int { return releases[name] }

// ReleaseName returns the code name of a major version, or the number if hlplay does not know the version.
func ReleaseName(major int) string {
	for name, number := range releases {
		if number == major {
			return name
		}
	}
	return strconv.Itoa(major)
}
