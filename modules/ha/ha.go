// Package ha makes guests highly available, and places them. On Proxmox VE 8 a placement is a group; from 9 on it is a
// node-affinity rule, and resource-affinity rules keep guests together or apart.
package ha

import (
	"context"
	"fmt"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// Module is a resource, a placement or an affinity. Exactly one block is set.
type Module struct {
	Resource  *Resource  `hcl:"resource,block" doc:"A guest that is highly available."`
	Placement *Placement `hcl:"placement,block" doc:"The nodes that resources prefer."`
	Affinity  *Affinity  `hcl:"affinity,block" doc:"Resources that are kept together or apart. Proxmox VE 9 only."`
}

// Spec describes the module.
var Spec = modules.Spec{
	Name:  "ha",
	Vital: []string{"/etc/pve/ha/*"},

	Rewritten: []string{"/etc/pve/ha/resources.cfg", "/etc/pve/ha/groups.cfg", "/etc/pve/ha/rules.cfg"},
	Summary:   "High availability: resources, and the nodes that they prefer",
	Doc: `**resource** makes a guest highly available. The task is done when the HA manager has brought the guest into the requested state;
for started, the guest must run. **Adding a resource in the default state starts a stopped guest.** A resource in state error
fails the task, with the reason if it can be determined. Clearing that state is the first step of the repair: with
state = "disabled", the task does so. Each run notes what would prevent the guest from being recovered on another node: a local disk, an
ISO of a local storage in its drive, a device of its node, fewer than three votes.

**placement** sets the nodes that resources prefer; a higher number wins. On Proxmox VE 8 it is a group to which
the resources are assigned, on 9 a node-affinity rule. A resource can be in only one placement. A new placement may move
running guests immediately; a strict one stops guests when none of its nodes is online.

When a cluster has been upgraded from 8 to 9, Proxmox VE converts groups to rules by itself, as soon as all nodes run 9 and are online.
The task waits for that, and says what prevents it. The converted rule, ha-group-NAME, is the placement NAME, so that a playbook
written for 8 still works.

**affinity** keeps resources together on one node, or apart on different nodes, with a resource-affinity rule, which Proxmox VE 8 does not
have. Rules that Proxmox VE would refuse, or accept and then ignore, are refused: resources whose nodes have different priorities, a rule that
contradicts another, even by way of other resources, keeping resources together that are in different placements, and keeping resources
apart with too few nodes, or with placements, strict or not, that name too few. Guests may move immediately.

As long as a node has active resources, its watchdog resets it when it has been without a quorum for a minute.`,
	Example: `task "a resource" {
  ha {
    resource {
      sid          = "vm:100"
      max_restart  = 1
      max_relocate = 1
    }
  }
}

task "where it prefers to run" {
  ha {
    placement {
      name      = "prefer-pve1"
      nodes     = { pve1 = 2, pve2 = 1 }
      resources = ["vm:100"]
    }
  }
}
`,
	New: func() modules.Module { return &Module{} },
}

// Scope implements modules.Scoped.
func (m *Module) Scope() modules.Scope { return modules.OncePerCluster }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	switch {
	case m.Resource != nil && m.Placement == nil && m.Affinity == nil:
		return m.Resource.validate()
	case m.Placement != nil && m.Resource == nil && m.Affinity == nil:
		return m.Placement.validate()
	case m.Affinity != nil && m.Resource == nil && m.Placement == nil:
		return m.Affinity.validate()
	}
	return &modules.ArgumentError{Argument: "ha", Problem: "needs one block", Want: "expected exactly one of resource, placement, affinity"}
}

// Plan plans the block.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := m.Validate(); err != nil {
		return modules.Plan{}, err
	}
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	switch {
	case s.major == 9 && len(s.ha.Groups) > 0:
		return s.migration(ctx)
	case m.Resource != nil:
		return m.Resource.plan(ctx, s)
	case m.Affinity != nil:
		return m.Affinity.plan(s)
	}
	return m.Placement.plan(s)
}

// state holds the observations that a plan is made from.
type state struct {
	host    modules.Host
	major   int
	cluster pve.Cluster
	ha      pve.HA
	notes   []string
	// written records the files that the plan's steps change.
	written map[string]bool
}

func (s *state) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *state) plan(steps ...modules.Step) modules.Plan {
	return modules.Plan{Steps: steps, Notes: s.notes}
}

func survey(ctx context.Context, h modules.Host) (*state, error) {
	pve.Nodes.Want(h, "")
	pve.Clusters.Want(h, "")
	pve.GuestLists.Want(h, "")
	ha, err := pve.HAs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	cluster, err := pve.Clusters.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	major, err := pve.Major(ctx, h)
	if err != nil {
		return nil, err
	}
	switch {
	case cluster.Name == "":
		return nil, fmt.Errorf("%s is not in a cluster: high availability needs one of at least three nodes", h.Name())
	case major == 9 && len(ha.Resources) == 0:
		ha.Groups = map[string]pve.Group{} // Proxmox VE removes them once there is a resource
	}
	if err := pve.Writable(ctx, h); err != nil {
		return nil, err // without a quorum, the manager's status is outdated as well
	}
	return &state{host: h, major: major, cluster: cluster, ha: ha, written: map[string]bool{}}, nil
}

// versions maps subcommands of ha-manager to the file whose version they check.
var versions = map[string]string{"set": pve.ResourcesFile, "groupset": pve.GroupsFile, "rules set": pve.RulesFile}

// manager returns a command that runs ha-manager.
func (s *state) manager(args ...string) modules.Run {
	call := args[0]
	if call == "rules" {
		call += " " + args[1]
	}
	file := versions[call]
	digest := s.ha.Digests[file]
	if s.written[file] {
		digest = ""
	}
	s.written[file] = true
	return pve.Versioned(modules.Run{
		Argv: append([]string{"ha-manager"}, args...), Dir: "/root", Limit: time.Minute,
		Retry: []string{
			"got lock request timeout",
			// The manager has not listed its nodes yet, which it does within seconds of the first resource.
			"rule defines more resources than available nodes",
		},
		Patience: time.Minute,
		Explain:  pve.Explain,
	}, file, digest)
}
