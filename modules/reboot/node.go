package reboot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// services are the units of Proxmox VE that the other nodes, guests and people need.
var services = []string{"corosync.service", "pve-cluster.service", "pvedaemon.service", "pveproxy.service", "pvestatd.service", "pve-ha-crm.service", "pve-ha-lrm.service"}

// configured is corosync's configuration on the node itself: what corosync uses, and what is there without pmxcfs.
const configured = "/etc/corosync/corosync.conf"

// amongNodes completes the step with what is to be true after the reboot. It returns an error if the host must not be away.
func (m *Module) amongNodes(ctx context.Context, h modules.Host, step *modules.Step) error {
	action := step.Action.(modules.Reboot)
	wantMembership(h)
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	hidden := false // whether the host may be in a cluster of which it says nothing
	if !cluster.Mounted {
		if hidden, err = mayBelong(ctx, h); err != nil {
			return err
		}
	}
	if hidden {
		if cluster, err = pve.Remounted.Observe(ctx, h, ""); err != nil {
			return err
		}
		hidden = !cluster.Mounted
	}
	if hidden && !m.LosesQuorum {
		return fmt.Errorf("%s has %s, but its cluster file system is not mounted, so its membership in the cluster and whether the others would have a quorum without it are unknown: start it (systemctl start pve-cluster.service) and run again, or set loses_quorum = true",
			h.Name(), configured)
	}
	units := slices.Clone(m.Units)
	if cluster.Mounted || hidden {
		running, err := active(ctx, h)
		if err != nil {
			return err
		}
		units = append(units, running...)
	}
	if len(units) > 0 {
		action.Ready = append(action.Ready, activated(units))
	}
	action.Alone = hidden
	if len(cluster.Members) > 1 {
		if !m.LosesQuorum {
			if err := spared(ctx, h, cluster); err != nil {
				return err
			}
		}
		action.Alone = true
		if cluster.Quorate && !m.LosesQuorum {
			action.Ready = append(action.Ready, modules.Proof{
				Summary: "a quorum of cluster " + cluster.Name,
				Argv:    []string{"sh", "-c", "corosync-quorumtool -s 2>/dev/null | grep -q '^Quorate: *Yes' || { echo 'there is none (pvecm status)' >&2; exit 1; }"},
				Explain: said,
			})
		}
	}
	step.Action = action
	return nil
}

// wantMembership announces what tells whether a host is a node of a cluster.
func wantMembership(h modules.Host) {
	pve.Nodes.Want(h, "")
	pve.Clusters.Want(h, "")
	observe.Files.Want(h, configured)
	observe.Files.Want(h, pve.PmxcfsProgram)
}

// mayBelong reports whether a host on which pmxcfs does not run is configured as a node of a cluster. A host on which pmxcfs is not
// installed is none, even if it uses corosync otherwise. What check mode cannot know counts as no: the run itself looks.
func mayBelong(ctx context.Context, h modules.Host) (bool, error) {
	for _, path := range []string{configured, pve.PmxcfsProgram} {
		exists, err := observe.Exists(ctx, h, path)
		switch {
		case observe.IsUnknown(err):
			return false, nil
		case err != nil || !exists:
			return false, err
		}
	}
	return true, nil
}

// active returns the services of Proxmox VE and the daemons of Ceph that are running now. What check mode cannot know is left out: the
// run itself looks.
func active(ctx context.Context, h modules.Host) ([]string, error) {
	ceph.Units.Want(h, "")
	states, err := observe.Units.ObserveAll(ctx, h, services)
	if err != nil && !observe.IsUnknown(err) {
		return nil, err
	}
	var all []string
	for _, name := range services {
		if unit := states[name]; unit.Active() {
			all = append(all, name)
		}
	}
	daemons, err := ceph.Units.Observe(ctx, h, "")
	if err != nil && !observe.IsUnknown(err) {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(daemons)) {
		if daemons[name] == "active" {
			all = append(all, name)
		}
	}
	return all, nil
}

// activated proves that units are active; systemctl is-active is content with one of them.
func activated(units []string) modules.Proof {
	return modules.Proof{
		Summary: "its units",
		Argv: append([]string{"sh", "-c", `for u; do
	s=$(systemctl is-active "$u") || { echo "$u is $s (systemctl status $u)" >&2; exit 1; }
done`, "sh"}, units...),
		Explain: said,
	}
}

// said returns what a proof has printed about its failure, which says enough.
func said(_ int, _, stderr []byte) error {
	if text := strings.TrimSpace(string(stderr)); text != "" {
		return errors.New(text)
	}
	return nil
}

// spared returns an error if the cluster would have no quorum without the host. A cluster that has none already loses nothing.
func spared(ctx context.Context, h modules.Host, cluster pve.Cluster) error {
	if !cluster.Quorate {
		return nil
	}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return err
	}
	total, left := 0, 0
	var rest []string
	for _, name := range cluster.Names() {
		member := cluster.Members[name]
		total += member.Votes
		if member.Online && name != node.Name {
			left += member.Votes
			rest = append(rest, name)
		}
	}
	if cluster.Device != "" {
		total += cluster.DeviceVotes
		device, err := pve.QDevices.Observe(ctx, h, "")
		if err != nil {
			return err
		}
		if device.Alive {
			left += cluster.DeviceVotes
			rest = append(rest, "the QDevice")
		}
	}
	needed := total/2 + 1
	if left >= needed {
		return nil
	}
	who, way := "nobody", "give the cluster another node or a QDevice (playbooks/qdevice.hcl)"
	if len(rest) > 0 {
		who = strings.Join(rest, ", ")
	}
	if off := slices.DeleteFunc(cluster.Offline(), func(name string) bool { return name == node.Name }); len(off) > 0 {
		way = "bring " + strings.Join(off, ", ") + " back first"
	}
	return fmt.Errorf("while %s reboots, cluster %s would have no quorum: %s would have %d of %d votes, and %d are needed. %s%s, or set loses_quorum = true",
		node.Name, cluster.Name, who, left, total, needed, strings.ToUpper(way[:1]), way[1:])
}
