package preflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "preflight",
	Summary: "Fails unless the hosts are fit for a cluster",
	Doc: `Makes the checks of ` + "`hlplay preflight`" + ` a gate of a playbook: the host's name, release, clock, machine id, processor, memory
for the OSDs, network cards, disks, firmware and ports are checked, on their own and against those of the play's other hosts. Each of the
others must answer packets of the full MTU at its address and at those in the network blocks, and quickly enough for corosync.
Nothing is ever changed.

A problem that prevents a cluster fails the task, with advice on how to fix it; a lesser problem is a note. Each host reports its own
problems. Another host that cannot be read is left out, with a note; if it takes part in the run, its own task fails.

The clock is read along with everything else, so a slow connection can hide a small difference; ` + "`hlplay preflight`" + ` reads it
alone.`,
	Example: `task "the hosts are fit for a cluster" {
  preflight {
    osds = length(host.vars.osd_devices)
    network "ceph" {
      addresses = { for name in groups.pve : name => hosts[name].vars.ceph_address }
    }
    accept = ["nic"]
  }
}`,
	New: func() modules.Module { return &Module{} },
}

// Module describes what the hosts must be fit for.
type Module struct {
	OSDs     int       `hcl:"osds,optional" default:"0" doc:"Number of disks of the host that become OSDs."`
	Networks []Network `hcl:"network,block" doc:"Addresses at which the hosts must reach each other, besides those of the inventory."`
	Accept   []string  `hcl:"accept,optional" enum:"host,name,resolution,release,clock,machine_id,cpu,memory,nic,disks,firmware,paths,mtu,ports" doc:"Problems of the host to ignore, by the word that hlplay preflight prints before the problem."`
}

// Network is a network between the hosts.
type Network struct {
	Name      string            `hcl:"name,label" doc:"what the network is for, such as ceph"`
	Addresses map[string]string `hcl:"addresses" doc:"The addresses in it, by host: { pve1 = \"10.10.10.11\" }. Hosts that are not of the play, and empty addresses, are ignored."`
}

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if m.OSDs < 0 {
		return &modules.ArgumentError{Argument: "osds", Problem: fmt.Sprintf("%d is not a number of disks", m.OSDs), Want: "osds = length(host.vars.osd_devices)"}
	}
	for _, n := range m.Networks {
		for _, host := range slices.Sorted(maps.Keys(n.Addresses)) {
			if a := n.Addresses[host]; a != "" {
				if _, err := netip.ParseAddr(a); err != nil {
					return &modules.ArgumentError{Argument: "network." + n.Name + ".addresses", Problem: fmt.Sprintf("%q, for %s, is not an IP address", a, host), Want: "expected an address without a prefix length, such as 10.10.10.11"}
				}
			}
		}
	}
	return nil
}

// OnlyReads implements modules.Reader.
func (m *Module) OnlyReads() bool { return true }

// Want implements modules.Announcer.
func (m *Module) Want(h modules.Host) {
	observe.Files.Want(h, machineIDFile, processorsFile)
	listening.Want(h, "")
	clocks.Want(h, "")
}

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	peers := h.Peers()
	machines := make([]Machine, len(peers))
	errs := make([]error, len(peers))
	reads := make([]func(context.Context), len(peers))
	for i, peer := range peers {
		machines[i] = Machine{Host: peer.Name(), Address: peer.Address(), Addresses: m.addressesOf(peer)}
		if peer == h {
			machines[i].OSDs = m.OSDs
		}
		m.Want(peer)
		reads[i] = func(ctx context.Context) {
			if errs[i] = machines[i].read(ctx, peer); errs[i] == nil {
				errs[i] = machines[i].readClock(ctx, peer)
			}
		}
	}
	reads = append(reads, func(ctx context.Context) { m.wantPings(ctx, h, peers) })
	observe.Together(ctx, reads...)
	var plan modules.Plan
	var targets []Target
	var changed error // why the paths between the hosts cannot be tested
	own := 0
	for i, peer := range peers {
		if peer.Predicted(observe.Networks.Key("")) && changed == nil {
			changed = &observe.UnknownError{Host: h.Name(), Key: pings.Key(""), What: "whether the hosts reach each other", Because: "the network of " + peer.Name() + " is changed first"}
		}
		if peer == h {
			own = i
			continue
		}
		err := errs[i]
		if ctx.Err() != nil || observe.IsUnknown(err) {
			return modules.Plan{}, err
		}
		if err != nil {
			plan.Notes = append(plan.Notes, fmt.Sprintf("could not compare with %s: %v", peer.Name(), err))
			machines[i].Unread = err.Error()
		}
		var unreachable *remote.UnreachableError
		if errors.As(err, &unreachable) { // if the host takes part in the run, its own task reports it
			continue
		}
		for _, address := range machines[i].Addresses {
			targets = append(targets, Target{peer.Name(), address})
		}
	}
	err := errs[own]
	if err == nil && changed == nil {
		err = machines[own].reach(ctx, h, targets)
	}
	if err != nil {
		return modules.Plan{}, err
	}
	notes, err := m.decide(h.Name(), Judge(machines))
	plan.Notes = append(plan.Notes, notes...)
	if err == nil {
		err = changed
	}
	return plan, err
}

// wantPings announces the packets to the other hosts as soon as the host's links are known, so that they need not wait for what is
// read of those.
func (m *Module) wantPings(ctx context.Context, h modules.Host, peers []modules.Host) {
	interfaces, err := observe.Fact(ctx, h, "interfaces")
	if err != nil || !interfaces.IsWhollyKnown() {
		return
	}
	own := Machine{Links: linksOf(interfaces)}
	for _, peer := range peers {
		if peer == h {
			continue
		}
		for _, address := range m.addressesOf(peer) {
			pings.Want(h, pingName(address, own.mtuTo(address)))
		}
	}
}

// decide returns what the findings about a host mean for the task.
func (m *Module) decide(host string, r Report) (notes []string, err error) {
	var wrong []string
	for _, f := range r.Findings {
		text := fmt.Sprintf("%s: %s; %s", f.About, f.Problem, f.Mend)
		switch {
		case f.Host != host, slices.Contains(m.Accept, strings.ReplaceAll(f.About, " ", "_")):
		case !f.Stops:
			notes = append(notes, text)
		default:
			wrong = append(wrong, text)
		}
	}
	if len(wrong) > 0 {
		return notes, errors.New(strings.Join(wrong, "\n"))
	}
	return notes, nil
}

// addressesOf returns the addresses at which a host must be reached.
func (m *Module) addressesOf(h modules.Host) []string {
	var all []string
	add := func(address string) {
		if _, err := netip.ParseAddr(address); err == nil && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	add(h.Address())
	for _, n := range m.Networks {
		add(n.Addresses[h.Name()])
	}
	return all
}
