// Package evacuate implements the module that moves the guests of a Proxmox VE node to other nodes.
package evacuate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

type Module struct {
	LocalDisks bool          `hcl:"local_disks,optional" default:"false" doc:"Copy disks on local storages to storages of the same name on the target node. This takes as long as the copy does."`
	Stopped    bool          `hcl:"stopped,optional" default:"false" doc:"Also move stopped guests, for example before the node is removed. Stopped highly available guests are then an error, because maintenance mode does not move them."`
	Timeout    time.Duration `hcl:"timeout,optional" default:"\"15m\"" doc:"How long to wait for the highly available guests to leave."`
}

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "evacuate",
	Summary: "Moves the guests off a node, before it is restarted or removed",
	Doc: `The guests of the host move to other nodes:

- **highly available** guests by maintenance mode (` + "`ha-manager crm-command node-maintenance`" + `): the HA manager chooses the nodes, and
  brings the guests back when the mode ends. The module does not end the mode: notify a handler that does, as in playbooks/upgrade.hcl.
- **other** guests one by one (` + "`qm migrate`, `pct migrate`" + `), the largest first, each to the suitable node with the most free memory.
  Virtual machines keep running; containers are restarted. They do not come back by themselves.

If any guest cannot move, none is moved, and the error says which and why: a raw device or a local disk, a lock, a mapped device that
no other node has, a strict rule, too little memory. Nodes that are offline, in maintenance mode, or not in the inventory are not used.`,
	Example: `task "no guest runs here" {
  evacuate {}
}
`,
	New: func() modules.Module { return &Module{} },
}

// Scope implements modules.Scoped: two nodes that are evacuated at once would move their guests to each other.
func (m *Module) Scope() modules.Scope { return modules.OneByOne }

// Validate implements modules.Validator.
func (m *Module) Validate() error {
	if m.Timeout < 0 {
		return &modules.ArgumentError{Argument: "timeout", Problem: "negative", Want: "expected a duration such as \"15m\""}
	}
	return nil
}

// state holds the observations that a plan is made from.
type state struct {
	host     modules.Host
	node     string
	cluster  pve.Cluster
	ha       pve.HA
	guests   map[int]pve.Guest
	configs  map[string]pve.GuestConfig // of this node's guests
	running  map[int]bool
	storages map[string]pve.Storage
	mappings map[string]pve.Mapping
}

func survey(ctx context.Context, h modules.Host) (*state, error) {
	pve.Clusters.Want(h, "")
	pve.HAs.Want(h, "")
	pve.GuestLists.Want(h, "")
	pve.Running.Want(h, "")
	s := &state{host: h}
	node, err := pve.Nodes.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	s.node = node.Name
	if !node.Installed {
		return nil, fmt.Errorf("%s has no Proxmox VE: it has no guests to move", h.Name())
	}
	if s.cluster, err = pve.Clusters.Observe(ctx, h, ""); err != nil {
		return nil, err
	}
	if err := pve.Writable(ctx, h); err != nil {
		return nil, err
	}
	if s.cluster.Name == "" {
		return nil, fmt.Errorf("%s is not in a cluster: there is no other node for its guests", h.Name())
	}
	if s.ha, err = pve.HAs.Observe(ctx, h, ""); err != nil {
		return nil, err
	}
	if s.guests, err = pve.GuestLists.Observe(ctx, h, ""); err != nil {
		return nil, err
	}
	if s.running, err = pve.Running.Observe(ctx, h, ""); err != nil {
		return nil, err
	}
	var here []string
	for _, id := range slices.Sorted(maps.Keys(s.guests)) {
		if s.guests[id].Node == s.node {
			here = append(here, strconv.Itoa(id))
		}
	}
	pve.Storages.Want(h, "")
	pve.Mappings.Want(h, "")
	if s.configs, err = pve.GuestConfigs.ObserveAll(ctx, h, here); err != nil {
		return nil, err
	}
	if s.storages, err = pve.Storages.Observe(ctx, h, ""); err != nil {
		return nil, err
	}
	s.mappings, err = pve.Mappings.Observe(ctx, h, "")
	return s, err
}

// managed reports whether the HA manager moves the guest.
func (s *state) managed(id int) bool { return s.ha.Manages(s.sid(id)) }

func (s *state) sid(id int) string { return s.guests[id].SID(id) }

// Plan implements modules.Module.
func (m *Module) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := survey(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	var managed, others []int
	for _, id := range slices.Sorted(maps.Keys(s.guests)) {
		switch {
		case s.guests[id].Node != s.node:
		case s.managed(id) && (s.moves(id) || m.Stopped):
			managed = append(managed, id)
		case !s.managed(id) && (s.running[id] || m.Stopped):
			others = append(others, id)
		}
	}
	targets, problems := s.targets(ctx)
	if len(managed)+len(others) > 0 && len(targets) == 0 {
		return modules.Plan{}, fmt.Errorf("the guests of %s (%s) have nowhere to go: %s", s.node, s.list(append(managed, others...)), strings.Join(problems, "; "))
	}
	problems = nil
	for _, id := range managed {
		if why := s.stuck(id, targets, m.Stopped); why != "" {
			problems = append(problems, s.title(id)+": "+why)
		}
	}
	moves, stuck := m.assign(s, others, targets)
	problems = append(problems, stuck...)
	if len(problems) > 0 {
		return modules.Plan{}, fmt.Errorf("nothing was moved from %s, because some of its guests cannot move:\n%s", s.node, strings.Join(problems, "\n"))
	}
	var steps []modules.Step
	// Without any resource, the manager is idle and ignores the mode.
	if len(s.ha.Resources) > 0 && (s.ha.Nodes[s.node] != "maintenance" || len(managed) > 0) {
		steps = append(steps, m.maintenance(s, managed))
	}
	for _, move := range moves {
		steps = append(steps, move.step(s))
	}
	return modules.Plan{Steps: steps}, nil
}

// moves reports whether maintenance mode moves a highly available guest. It leaves those that should be stopped.
func (s *state) moves(id int) bool {
	state := s.ha.Resources[s.sid(id)].State
	return state == "started" || s.running[id]
}

// title describes a guest for people.
func (s *state) title(id int) string { return s.configs[strconv.Itoa(id)].Label(id) }

func (s *state) list(ids []int) string {
	var all []string
	for _, id := range ids {
		all = append(all, strconv.Itoa(id))
	}
	return strings.Join(all, ", ")
}

// maintenance returns the step that makes the HA manager move its guests. The target nodes are not known beforehand.
func (m *Module) maintenance(s *state, managed []int) modules.Step {
	after, guests, running := s.ha.Clone(), maps.Clone(s.guests), maps.Clone(s.running)
	after.Nodes[s.node] = "maintenance"
	for _, id := range managed {
		service := after.Services[s.sid(id)]
		service.Node = ""
		after.Services[s.sid(id)] = service
		guests[id] = pve.Guest{Type: guests[id].Type}
		delete(running, id)
	}
	s.ha, s.guests, s.running = after, guests, running
	summary := fmt.Sprintf("put %s into maintenance mode", s.node)
	if len(managed) > 0 {
		summary += ": its highly available guests move (" + s.list(managed) + ")"
	}
	return modules.Step{
		Risk:    modules.Restarts,
		Summary: summary,
		Action: modules.Run{Argv: []string{"ha-manager", "crm-command", "node-maintenance", "enable", s.node}, Dir: "/root", Limit: time.Minute,
			Retry: []string{"got lock request timeout"}, Patience: time.Minute, Explain: pve.Explain},
		Expect: append(pve.Everywhere(s.host, pve.HAs.Expect("", after), pve.GuestLists.Expect("", guests)), pve.Running.Expect("", running)),
		Settle: m.Timeout,
		Await:  fmt.Sprintf("%s in maintenance mode, and without highly available guests (ha-manager status)", s.node),
		Unmet:  "the HA manager has not moved all of them: see ha-manager status, and journalctl -u pve-ha-crm on its master",
		Wide:   true,
	}
}
