package pve

import (
	"regexp"
	"strconv"
	"strings"

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
	Name: "ceph-node",
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			{Script: `n=$(uname -n); n=${n%%.*}
[ -x /usr/bin/ceph-mon ] && [ -x /usr/bin/ceph-osd ] && [ -x /usr/sbin/ceph-volume ] && echo installed
[ -e /run/pve-ceph-install-flag ] && echo installing
if [ -L /etc/ceph/ceph.conf ]; then printf 'conf %s\n' "$(readlink /etc/ceph/ceph.conf)"
elif [ -e /etc/ceph/ceph.conf ]; then echo foreign; fi
for d in mon mgr mds; do [ -d "/var/lib/ceph/$d/ceph-$n" ] && echo "$d"; done
exit 0`},
			{Script: `dpkg-query -W -f '${Status}\t${Version}\n' ceph-mon 2>/dev/null || true`},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, CephNode, error)) {
		node := parseCephNode(answers[0].Stdout, answers[1].Stdout)
		for _, name := range names {
			tell(name, node, nil)
		}
	},
}

// cephVersion is the version of a Debian package of Ceph: an epoch may precede it.
var cephVersion = regexp.MustCompile(`^(?:\d+:)?(\d+)\.`)

func parseCephNode(state, version []byte) CephNode {
	var n CephNode
	for line := range strings.Lines(string(state)) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "installed":
			n.Installed = true
		case "installing":
			n.Installing = true
		case "conf":
			n.Conf = value
		case "foreign":
			n.ForeignConf = true
		case "mon":
			n.Mon = true
		case "mgr":
			n.Mgr = true
		case "mds":
			n.MDS = true
		}
	}
	status, text, _ := strings.Cut(strings.TrimSpace(string(version)), "\t")
	if m := cephVersion.FindStringSubmatch(text); m != nil && strings.HasSuffix(status, " installed") {
		n.Release, _ = strconv.Atoi(m[1])
	}
	return n
}

// CephReleases are the major versions by code name, those that Proxmox VE 8 and 9 offer.
var CephReleases = map[string]int{"quincy": 17, "reef": 18, "squid": 19, "tentacle": 20}

// CephReleaseName is the code name of a major version, or the number where hlplay knows none.
func CephReleaseName(major int) string {
	for name, number := range CephReleases {
		if number == major {
			return name
		}
	}
	return strconv.Itoa(major)
}
