package pveceph

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// state holds the observations that most parts start from.
type state struct {
	host  modules.Host
	node  pve.Node
	local ceph.Node
	conf  ceph.Conf
	// units holds the states of the daemons' units on this node.
	units map[string]string
	notes []string
}

func (s *state) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *state) plan(steps ...modules.Step) modules.Plan {
	for i := range steps {
		if _, ok := steps[i].Action.(modules.Run); !ok {
			continue
		}
		for _, e := range slices.Clone(steps[i].Expect) {
			if e.Key.Kind == ceph.Confs.Name {
				unknown := observe.Files.Unknown(linkTarget, "pveceph writes it")
				unknown.Host = e.Host
				steps[i].Expect = append(steps[i].Expect, unknown)
			}
		}
	}
	return modules.Plan{Steps: steps, Notes: s.notes}
}

// wantSurvey announces what survey reads.
func wantSurvey(h modules.Host) {
	pve.Nodes.Want(h, "")
	ceph.Nodes.Want(h, "")
	ceph.Confs.Want(h, "")
	ceph.Units.Want(h, "")
	ceph.Monitors.Want(h, h.Name()) // a single query answers everything that is asked of the monitors
}

// survey reads a node that has Ceph installed and usable.
func survey(ctx context.Context, h modules.Host) (*state, error) {
	wantSurvey(h)
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	local, err := ceph.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	conf, err := ceph.Confs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	switch {
	case local.Installing:
		return nil, installing(h)
	case !local.Installed:
		return nil, fmt.Errorf("%s has no Ceph: run a task with pveceph { install { … } } first", h.Name())
	case local.ForeignConf:
		return nil, fmt.Errorf("/etc/ceph/ceph.conf on %s is a regular file, not a link to /etc/pve/ceph.conf: check its content, move it away, and run again", h.Name())
	}
	units, err := ceph.Units.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	return &state{host: h, node: node, local: local, conf: conf, units: units}, nil
}

// runs reports whether a daemon of this node is running, regardless of Ceph's maps.
func (s *state) runs(kind, id string) bool { return s.units[ceph.DaemonUnit(kind, id)] == "active" }

// started returns the expectation that units of this node's daemons are running.
func (s *state) started(units ...string) observe.Expectation {
	return ceph.Units.Expect("", ceph.WithUnits(s.units, units...)).On(s.host)
}

func installing(h modules.Host) error {
	return fmt.Errorf("/run/pve-ceph-install-flag exists on %s: pveceph install is running, or was killed; if apt is not running there, remove the file and run again", h.Name())
}

// running is survey for parts that need a cluster with a monitor.
func running(ctx context.Context, h modules.Host) (*state, error) {
	s, err := survey(ctx, h)
	if err == nil && (!s.conf.Initialised() || len(s.conf.MonHosts()) == 0) {
		err = fmt.Errorf("%s: %w", h.Name(), ceph.ErrNoCeph)
	}
	return s, err
}

// members returns the names of the nodes of the Proxmox VE cluster.
func (s *state) members(ctx context.Context) ([]string, error) {
	cluster, err := pve.Clusters.Observe(ctx, s.host, "")
	if err != nil {
		return nil, err
	}
	switch {
	case !cluster.Mounted:
		return nil, fmt.Errorf("the members of the cluster are not known: /etc/pve on %s is not mounted: start pve-cluster.service there (systemctl start pve-cluster.service), and run again", s.host.Name())
	case cluster.Name == "":
		return []string{s.node.Name}, nil
	}
	return cluster.Names(), nil
}

// writable returns an error if /etc/pve is not writable.
func (s *state) writable(ctx context.Context) error {
	cluster, err := pve.Clusters.Observe(ctx, s.host, "")
	if err != nil {
		return err
	}
	if !cluster.Mounted || !cluster.Quorate {
		return fmt.Errorf("%s has no quorum: /etc/pve is read-only (online: %s)", s.host.Name(), strings.Join(cluster.Online(), ", "))
	}
	return nil
}

// linkTarget is the target of /etc/ceph/ceph.conf on every node of a Ceph cluster of Proxmox VE.
const linkTarget = "/etc/pve/ceph.conf"

// linked returns the expectation of the node's local state with a change and with the link, which monitors, OSDs and init
// create.
func (s *state) linked(change func(*ceph.Node)) observe.Expectation {
	local := s.local
	local.Conf = linkTarget
	if change != nil {
		change(&local)
	}
	return ceph.Nodes.Expect("", local).On(s.host)
}

// addressesIn returns the host's addresses in a network.
func addressesIn(ctx context.Context, h modules.Host, network netip.Prefix) ([]string, error) {
	n, err := observe.Networks.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, i := range n.Interfaces {
		for _, prefix := range i.Addresses {
			if network.Contains(prefix.Addr()) {
				found = append(found, prefix.Addr().String())
			}
		}
	}
	return found, nil
}

// addressesInAny returns the host's addresses in the networks of a list, as in public_network.
func addressesInAny(ctx context.Context, h modules.Host, networks string) ([]string, error) {
	all, err := ceph.Networks(networks)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, network := range all {
		addresses, err := addressesIn(ctx, h, network)
		if err != nil {
			return nil, err
		}
		found = append(found, addresses...)
	}
	return found, nil
}

// settleDaemon limits how long the cluster may take to know a daemon. A manager first loads some thirty Python modules,
// which takes more than a minute on a busy machine.
const settleDaemon = 3 * time.Minute

// startUnit starts a daemon that exists but is not running. until exits with 0 once the monitors know it.
func (s *state) startUnit(unit, await string, until ceph.Condition, expect []observe.Expectation) modules.Step {
	return modules.Step{
		Summary: "start " + unit,
		Action:  modules.Run{Argv: []string{"systemctl", "enable", "--now", unit}, Limit: 2 * time.Minute, Brief: true},
		Expect:  append(expect, s.started(unit)),
		Settle:  settleDaemon,
		Await:   await + " (journalctl -u " + unit + ")",
		Until:   until,
		Wide:    true, Elsewhere: elsewhere,
	}
}
