package pvecm

import (
	"context"
	"errors"
	"fmt"

	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// onlineHosts returns the hosts of the cluster's online nodes, by node name. The play must have all of them, whatever
// --limit selects. announce announces what else is read from each. A host that does not answer is an error only if the
// cluster sees it online.
func onlineHosts(ctx context.Context, h modules.Host, c pve.Cluster, announce func(modules.Host)) (map[string]modules.Host, error) {
	for _, peer := range h.Peers() {
		pve.Nodes.Want(peer, "")
		announce(peer)
	}
	hosts := map[string]modules.Host{}
	var away error
	for _, peer := range h.Peers() {
		node, err := pve.Nodes.Observe(ctx, peer, "")
		var unreachable *remote.UnreachableError
		switch {
		case errors.As(err, &unreachable) && ctx.Err() == nil:
			away = err
		case err != nil:
			return nil, err
		case c.Members[node.Name].Online:
			hosts[node.Name] = peer
		}
	}
	for _, name := range c.Online() {
		switch {
		case hosts[name] == nil && away != nil:
			return nil, away
		case hosts[name] == nil:
			return nil, fmt.Errorf("cluster node %s is not among the hosts of the play: add it to the play's hosts, which must have all nodes of cluster %s (a --limit may leave it out)", name, c.Name)
		}
	}
	return hosts, nil
}
