package evacuate

import (
	"cmp"
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

// targets returns the nodes that can take guests, with their free memory, and why the others cannot.
func (s *state) targets(ctx context.Context) (free map[string]uint64, problems []string) {
	free = map[string]uint64{}
	for _, name := range s.cluster.Names() {
		if name == s.node {
			continue
		}
		why := ""
		peer, err := pve.Listed(s.host, name)
		switch {
		case !s.cluster.Members[name].Online:
			why = "is offline"
		case s.ha.Nodes[name] == "maintenance":
			why = "is in maintenance mode"
		case err != nil:
			why = "is not in the inventory"
		default:
			pve.FreeMemory.Want(peer, "")
			var memory uint64
			if peer, err = pve.HostOf(ctx, s.host, name); err == nil {
				memory, err = pve.FreeMemory.Observe(ctx, peer, "")
			}
			if err != nil {
				why = fmt.Sprintf("does not report its free memory: %v", err)
			} else {
				free[name] = memory
			}
		}
		if why != "" {
			problems = append(problems, name+" "+why)
		}
	}
	if len(problems) == 0 && len(free) == 0 {
		problems = []string{"the cluster has no other node"}
	}
	return free, problems
}

// stuck says why a highly available guest cannot leave, or "" if it can.
func (s *state) stuck(id int, targets map[string]uint64, stopped bool) string {
	if stopped && !s.moves(id) {
		return fmt.Sprintf("it is highly available but not running, so maintenance mode leaves it here: move it (ha-manager crm-command relocate %s NODE)", s.sid(id))
	}
	if state := s.ha.Services[s.sid(id)].State; state == "error" {
		return "it is highly available and in state error: fix it first (ha-manager status)"
	}
	config := s.configs[strconv.Itoa(id)]
	if lock := config.Options["lock"]; lock != "" {
		return fmt.Sprintf("it is locked (%s): wait for the operation to finish", lock)
	}
	tie := pve.TieOf(config, s.storages, s.mappings)
	if tie.Bound != "" {
		return tie.Bound
	}
	if len(tie.Devices) > 0 && s.running[id] {
		return fmt.Sprintf("it cannot be migrated live with mapped devices (%s): stop it first", strings.Join(tie.Devices, ", "))
	}
	candidates := slices.Sorted(maps.Keys(targets))
	if tie.Only != nil {
		candidates = slices.DeleteFunc(candidates, func(node string) bool { return !slices.Contains(tie.Only, node) })
	}
	if len(candidates) == 0 {
		return fmt.Sprintf("no node that accepts guests has what it needs, which is on %s", orNone(tie.Only))
	}
	return s.ruled(s.sid(id), candidates)
}

// ruled names the HA rule or group that leaves a guest no node, or returns "".
func (s *state) ruled(sid string, candidates []string) string {
	allowed := func(nodes map[string]int) bool {
		return slices.ContainsFunc(candidates, func(node string) bool { _, ok := nodes[node]; return ok })
	}
	if name := s.ha.Resources[sid].Group; name != "" && s.ha.Groups[name].Restricted && !allowed(s.ha.Groups[name].Nodes) {
		return fmt.Sprintf("group %s is restricted, and none of its other nodes accepts guests", name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.ha.Rules)) {
		rule := s.ha.Rules[name]
		switch {
		case rule.Disabled || !rule.Resources[sid]:
		case rule.Type == "node-affinity" && rule.Strict && !allowed(rule.Nodes):
			return fmt.Sprintf("rule %s is strict, and none of its other nodes accepts guests", name)
		case rule.Affinity == "negative":
			free := slices.DeleteFunc(slices.Clone(candidates), func(node string) bool {
				for other := range rule.Resources {
					if other != sid && s.ha.Services[other].Node == node {
						return true
					}
				}
				return false
			})
			if len(free) == 0 {
				return fmt.Sprintf("rule %s keeps it apart from guests on all other nodes", name)
			}
		}
	}
	return ""
}

// move is the migration of a guest to another node.
type move struct {
	id     int
	target string
	local  bool // copies local disks
}

// assign chooses a node for each guest, the largest guest first, and says why there is none for the others.
func (m *Module) assign(s *state, ids []int, targets map[string]uint64) (moves []move, problems []string) {
	free := maps.Clone(targets)
	memory := func(id int) uint64 { return s.configs[strconv.Itoa(id)].Memory() }
	ordered := slices.SortedStableFunc(slices.Values(ids), func(a, b int) int { return cmp.Compare(memory(b), memory(a)) })
	for _, id := range ordered {
		config := s.configs[strconv.Itoa(id)]
		tie := pve.TieOf(config, s.storages, s.mappings)
		candidates := slices.Sorted(maps.Keys(free))
		if tie.Only != nil {
			candidates = slices.DeleteFunc(candidates, func(node string) bool { return !slices.Contains(tie.Only, node) })
		}
		roomy := slices.DeleteFunc(slices.Clone(candidates), func(node string) bool { return s.running[id] && free[node] < memory(id) })
		why := ""
		switch {
		case config.Options["lock"] != "":
			why = fmt.Sprintf("it is locked (%s): wait for the operation to finish", config.Options["lock"])
		case tie.Bound != "" && !tie.Local:
			why = tie.Bound
		case tie.Bound != "" && !m.LocalDisks:
			why = tie.Bound + "; local_disks = true copies it"
		case len(tie.Devices) > 0 && s.running[id]:
			why = fmt.Sprintf("it cannot be migrated live with mapped devices (%s): stop it first", strings.Join(tie.Devices, ", "))
		case len(candidates) == 0:
			why = fmt.Sprintf("no node that accepts guests has what it needs, which is on %s", orNone(tie.Only))
		case len(roomy) == 0:
			why = fmt.Sprintf("it needs %d MiB, and no node has that much memory free: %s", memory(id)>>20, room(candidates, free))
		}
		if why != "" {
			problems = append(problems, s.title(id)+": "+why)
			continue
		}
		target := slices.MaxFunc(roomy, func(a, b string) int { return cmp.Or(cmp.Compare(free[a], free[b]), -cmp.Compare(a, b)) })
		if s.running[id] {
			free[target] -= memory(id)
		}
		moves = append(moves, move{id, target, tie.Bound != ""})
	}
	return moves, problems
}

// room formats the free memory of nodes.
func room(nodes []string, free map[string]uint64) string {
	var all []string
	for _, node := range nodes {
		all = append(all, fmt.Sprintf("%s %d MiB", node, free[node]>>20))
	}
	return strings.Join(all, ", ")
}

// step returns the step that migrates the guest, and updates the state accordingly.
func (v move) step(s *state) modules.Step {
	id := strconv.Itoa(v.id)
	guest := s.guests[v.id]
	title, running := s.title(v.id), s.running[v.id]
	argv, how, risk := []string{"qm", "migrate", id, v.target}, "", modules.Harmless
	switch {
	case guest.Type == "lxc" && running:
		argv, how, risk = []string{"pct", "migrate", id, v.target, "--restart", "1"}, ", which restarts it", modules.Restarts
	case guest.Type == "lxc":
		argv = []string{"pct", "migrate", id, v.target}
	case running:
		argv, how = append(argv, "--online", "1"), ", while it runs"
	}
	if v.local {
		how += ", with its disks"
		if guest.Type == "qemu" {
			argv = append(argv, "--with-local-disks", "1")
		}
	}
	guests, still := maps.Clone(s.guests), maps.Clone(s.running)
	guests[v.id] = pve.Guest{Node: v.target, Type: guest.Type}
	delete(still, v.id)
	s.guests, s.running = guests, still
	config := s.configs[id]
	config.Node = v.target
	return modules.Step{
		Risk:    risk,
		Summary: fmt.Sprintf("move %s to %s%s", title, v.target, how),
		Action: modules.Run{Argv: argv, Dir: "/root", Limit: 12 * time.Hour, Long: true,
			Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: pve.Explain},
		Expect: append(pve.Everywhere(s.host, pve.GuestLists.Expect("", guests), pve.GuestConfigs.Expect(id, config)), pve.Running.Expect("", still)),
		Settle: 20 * time.Second,
		Await:  fmt.Sprintf("guest %s on %s", id, v.target),
		Wide:   true,
	}
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
