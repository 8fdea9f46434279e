package pve

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Node describes Proxmox VE on a host, apart from any cluster.
type Node struct {
	// Name is the node name: uname -n up to the first dot. It cannot change once a cluster exists.
	Name string
	// Codename is VERSION_CODENAME in /etc/os-release: bookworm, trixie.
	Codename string
	// Installed is set if the package pve-manager is installed and configured.
	Installed bool
	// Version is pve-manager's version ("9.2.11"); empty if it is not installed, or only predicted to be.
	Version string
}

// Nodes observes Node, under the empty name.
var Nodes = &observe.Kind[Node]{
	Complete: func(expected, found Node) Node {
		expected.Version = cmp.Or(expected.Version, found.Version)
		return expected
	},
	Name: "pve-node", What: "the installation of Proxmox VE",
	Ask: func([]string) []remote.Query { return []remote.Query{nodeQuery} },
	Parse: func(names []string, answers []remote.Answer, tell func(string, Node, error)) {
		node, err := parseNode(answers[0])
		for _, name := range names {
			tell(name, node, err)
		}
	},
}

// Listed returns the host that the inventory lists under the name of a node, or under a domain name that begins with it.
func Listed(h *observe.Host, node string) (*observe.Host, error) {
	host, err := h.Peer(node)
	if err == nil {
		return host, nil
	}
	for _, peer := range h.Peers() {
		if strings.HasPrefix(peer.Name(), node+".") {
			return peer, nil
		}
	}
	return nil, err
}

// HostOf is like Listed, for what is read or done on the node itself: it returns an error if the host is a different node,
// whatever the inventory calls it.
func HostOf(ctx context.Context, h *observe.Host, node string) (*observe.Host, error) {
	host, err := Listed(h, node)
	if err != nil {
		return nil, err
	}
	is, err := Nodes.Observe(ctx, host, "")
	switch {
	case err != nil:
		return nil, err
	case is.Name != node:
		return nil, fmt.Errorf("the inventory's host %s is node %s, not %s: correct its address or its name in the inventory", host.Name(), is.Name, node)
	}
	return host, nil
}

// Elsewhere returns the On of a step that a task of h carries out on target: nil if that is the same host.
func Elsewhere(h, target *observe.Host) *observe.Host {
	if target == h {
		return nil
	}
	return target
}

func parseNode(a remote.Answer) (Node, error) {
	found, err := ParseFindings(a)
	n := Node{Name: found["name"], Codename: found["codename"]}
	switch {
	case err != nil:
		return n, err
	case n.Name == "":
		return n, fmt.Errorf("/proc/sys/kernel/hostname contains no name: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	n.Version, n.Installed = found.Version("pve-manager")
	return n, nil
}

// Major returns the major version of Proxmox VE on a host, 8 or 9: from pve-manager's version or, if that is not known
// yet, from the matching Debian release. Any other version is an error: hlplay knows how these two behave and does not
// guess about others.
func Major(ctx context.Context, h *observe.Host) (int, error) {
	n, err := Nodes.Observe(ctx, h, "")
	if err != nil {
		return 0, err
	}
	return n.major(h.Name())
}

// majorOfDebian maps the code names of Debian releases to the major versions of Proxmox VE built for them.
var majorOfDebian = map[string]int{"bullseye": 7, "bookworm": 8, "trixie": 9}

// supported reports whether hlplay knows how a major version behaves.
func supported(major int) bool { return major == 8 || major == 9 }

func (n Node) major(host string) (int, error) {
	if n.Version != "" {
		first, _, _ := strings.Cut(n.Version, ".")
		if major, err := strconv.Atoi(first); err == nil && supported(major) {
			return major, nil
		}
		return 0, fmt.Errorf("%s runs Proxmox VE %s: hlplay knows versions 8 and 9", host, n.Version)
	}
	if major := majorOfDebian[n.Codename]; supported(major) {
		return major, nil
	}
	return 0, fmt.Errorf("%s is Debian %q: hlplay knows bookworm (Proxmox VE 8) and trixie (Proxmox VE 9)", host, n.Codename)
}
