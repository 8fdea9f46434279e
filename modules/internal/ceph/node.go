package ceph

import (
	"strconv"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Node describes the Ceph software and daemons of a node.
type Node struct {
	// Installed is set if the server binaries are present (and ceph-volume, which creates OSDs).
	Installed bool
	// Release is the major version of the server packages: 19 is squid. It is zero if they are not installed.
	Release int
	// Installing is set if /run/pve-ceph-install-flag exists: pveceph install is running, or was killed and left the
	// file. Every other pveceph command then claims that binaries are missing.
	Installing bool
	// Conf is the target of the symbolic link /etc/ceph/ceph.conf; empty if it is not a link.
	Conf string
	// ForeignConf is set if /etc/ceph/ceph.conf is a file of its own, which pveceph refuses.
	ForeignConf bool
	// Mon, Mgr and MDS are set if the daemon of this node, whose id is the name of the node, has a directory below
	// /var/lib/ceph.
	Mon, Mgr, MDS bool
}

// Nodes observes Node, under the empty name.
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

// nodeQuery asks which parts of Ceph a host has. Apart from dpkg-query and readlink, the shell does everything itself.
var nodeQuery = remote.Query{Script: `read -r _n </proc/sys/kernel/hostname
[ -x /usr/bin/ceph-mon ] && [ -x /usr/bin/ceph-osd ] && [ -x /usr/sbin/ceph-volume ] && echo installed
[ -e /run/pve-ceph-install-flag ] && echo installing
if [ -L /etc/ceph/ceph.conf ]; then echo "conf $(readlink /etc/ceph/ceph.conf)"
elif [ -e /etc/ceph/ceph.conf ]; then echo foreign; fi
for _d in mon mgr mds; do [ -d "/var/lib/ceph/$_d/ceph-${_n%%.*}" ] && echo "$_d"; done
dpkg-query -W -f 'package ${Package} ${Version} ${Status}\n' ceph-mon`, Inline: true}

// packageVersion matches the version of a Debian package of Ceph, which may have an epoch.
var packageVersion = pattern.New(`^(?:\d+:)?(\d+)\.`)

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

// releases maps the code names that Proxmox VE 8 and 9 offer to major versions.
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
