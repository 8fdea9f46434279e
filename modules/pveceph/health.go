package pveceph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/suggest"
	"hlplay/modules"
	"hlplay/modules/internal/ceph"
	"hlplay/modules/internal/pve"
)

// Health waits for Ceph to be healthy.
type Health struct {
	Allow   []string      `hcl:"allow,optional" doc:"Problems to accept: codes of Ceph's health checks (OSDMAP_FLAGS), flags (noout), OSDs that may be down or out (osd.3), nodes that may be in maintenance mode (pve2). Ceph itself does not warn about OSDs that are out or nodes in maintenance mode; the codes for them are OSD_OUT and NODE_MAINTENANCE."`
	Timeout time.Duration `hcl:"timeout,optional" default:"5m" doc:"How long to wait for temporary problems to pass. Whatever an administrator has set (flags, OSDs that are out, maintenance mode) fails the task at once."`
}

func (m *Health) scope() modules.Scope { return modules.OncePerCluster }

func (m *Health) onlyReads() bool { return true }

var (
	checkCode = pattern.New(`^[A-Z][A-Z0-9_]+$`)
	osdName   = pattern.New(`^osd\.\d+$`)
)

func (m *Health) validate() error {
	if m.Timeout <= 0 {
		return &modules.ArgumentError{Argument: "health.timeout", Problem: m.Timeout.String(), Want: "expected a positive duration"}
	}
	for _, name := range m.Allow {
		if checkCode.MatchString(name) || osdName.MatchString(name) || slices.Contains(ceph.OSDFlags, name) {
			continue
		}
		if near := suggest.Nearest(name, ceph.OSDFlags); near != "" {
			return &modules.ArgumentError{Argument: "health.allow", Problem: fmt.Sprintf("%q is not a flag", name), Want: near}
		}
		if err := ceph.CheckName("health.allow", name); err != nil {
			return err
		}
	}
	return nil
}

// fault is a problem, or a state that may have been forgotten.
type fault struct {
	// names lists the names in allow that accept it.
	names []string
	text  string
	// set is set if an administrator caused it, so that it does not pass by itself.
	set bool
}

func (m *Health) plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	s, err := running(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	ceph.Statuses.Want(h, "")
	pve.HAs.Want(h, "")
	health, err := ceph.Healths.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	status, err := ceph.Statuses.Observe(ctx, h, "")
	if err != nil {
		return modules.Plan{}, err
	}
	faults, err := s.faults(ctx, health, status)
	if err != nil {
		return modules.Plan{}, err
	}
	if err := m.checkNodes(ctx, s); err != nil {
		return modules.Plan{}, err
	}
	var wrong, set []string
	for _, f := range faults {
		switch {
		case slices.ContainsFunc(f.names, func(name string) bool { return slices.Contains(m.Allow, name) }):
			s.note("allowed: %s", f.text)
		case f.set:
			set = append(set, f.text)
		default:
			wrong = append(wrong, f.text)
		}
	}
	if len(set) > 0 {
		return modules.Plan{}, errors.New("Ceph is not healthy, and waiting does not help: " + strings.Join(append(set, wrong...), "; "))
	}
	if health.Awaited != "" {
		s.note("Ceph is not healthy now; a run waits for at most %s: %s", m.Timeout, health.Awaited)
	}
	if len(wrong) == 0 {
		plan := s.plan()
		plan.Data = modules.Data(result{Health: &health.Status})
		return plan, nil
	}
	out := maps.Clone(health.Out)
	maps.DeleteFunc(out, func(id int, _ string) bool { _, down := health.Down[id]; return down })
	good := ceph.Health{Status: "HEALTH_OK", Out: out}.WithFlags(health.Flags)
	good.Awaited = strings.Join(wrong, "; ")
	serving := ceph.Status{PGs: status.PGs, Clean: status.Clean, Others: map[string]int{}}
	if moving := status.PGs - status.Clean; moving > 0 {
		serving.Others["active+remapped"] = moving
	}
	return s.plan(modules.Step{
		Summary: "wait for Ceph to be healthy: " + good.Awaited,
		Action:  modules.Wait{},
		Expect:  []observe.Expectation{ceph.Healths.Expect("", good).On(h), ceph.Statuses.Expect("", serving).On(h)},
		Settle:  m.Timeout,
		Await:   "Ceph to be healthy",
		Unmet:   "see ceph health detail",
		Refresh: true,
	}), nil
}

// checkNodes rejects names in allow that refer to nothing.
func (m *Health) checkNodes(ctx context.Context, s *state) error {
	for _, name := range m.Allow {
		if checkCode.MatchString(name) || osdName.MatchString(name) || slices.Contains(ceph.OSDFlags, name) {
			continue
		}
		members, err := s.members(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(members, name) {
			return fmt.Errorf("health.allow: %q is not a node of the cluster (%s), nor a flag, an OSD such as osd.3 or the code of a check such as OSDMAP_FLAGS",
				name, strings.Join(members, ", "))
		}
	}
	return nil
}

// faults returns Ceph's problems, and what an administrator has set and may have forgotten.
func (s *state) faults(ctx context.Context, health ceph.Health, status ceph.Status) ([]fault, error) {
	ha, err := pve.HAs.Observe(ctx, s.host, "")
	if err != nil {
		return nil, err
	}
	var all []fault
	for _, code := range slices.Sorted(maps.Keys(health.Checks)) {
		if code == "OSD_FLAGS" {
			all = append(all, groupFlags(health.Checks[code])...)
			continue
		}
		if code == "OSDMAP_FLAGS" || downCheck.MatchString(code) && len(health.Down) > 0 {
			continue // covered below, for each flag and each OSD
		}
		all = append(all, fault{names: []string{code}, text: describeCheck(code, health.Checks[code])})
	}
	for _, id := range slices.Sorted(maps.Keys(health.Down)) {
		f := fault{names: []string{osd(id), "OSD_DOWN"}, text: osdOn(id, health.Down[id]) + " is down"}
		if _, out := health.Out[id]; out { // an OSD that starts is marked in again
			f = fault{names: []string{osd(id), "OSD_OUT"}, text: osdOn(id, health.Down[id]) + " is down and out"}
		}
		all = append(all, f)
	}
	for _, id := range slices.Sorted(maps.Keys(health.Out)) {
		if _, down := health.Down[id]; !down {
			all = append(all, fault{names: []string{osd(id), "OSD_OUT"}, text: osdOn(id, health.Out[id]) + " is out: it gets no data (ceph osd in " + strconv.Itoa(id) + ")", set: true})
		}
	}
	for _, flag := range health.Flags {
		all = append(all, fault{names: []string{flag, "OSDMAP_FLAGS"}, text: fmt.Sprintf("flag %s is set: %s (ceph osd unset %s)", flag, flagMeaning[flag], flag), set: true})
	}
	for _, code := range []string{"PG_AVAILABILITY", "PG_DEGRADED"} {
		if _, said := health.Checks[code]; said {
			continue
		}
		if text := unwell(status, code); text != "" {
			all = append(all, fault{names: []string{code}, text: text})
		}
	}
	for _, node := range slices.Sorted(maps.Keys(ha.Nodes)) {
		if ha.Nodes[node] == "maintenance" {
			all = append(all, fault{names: []string{node, "NODE_MAINTENANCE"}, set: true,
				text: node + " is in maintenance mode (ha-manager crm-command node-maintenance disable " + node + ")"})
		}
	}
	return all, nil
}

// groupFlags returns the flags that single OSDs, hosts or device classes have, as the check OSD_FLAGS lists them ("host pve2 has flags
// noout").
func groupFlags(c ceph.Check) []fault {
	var all []fault
	for _, line := range c.Detail {
		who, flags, ok := strings.Cut(line, " has flags ")
		if !ok {
			all = nil
			break
		}
		name := strings.Trim(who[strings.LastIndexByte(who, ' ')+1:], "'")
		for _, flag := range strings.Split(flags, ",") {
			all = append(all, fault{names: []string{flag, "OSD_FLAGS"}, set: true,
				text: fmt.Sprintf("flag %s is set for %s: %s (ceph osd unset-group %s %s)", flag, who, flagMeaning[flag], flag, name)})
		}
	}
	if len(all) == 0 { // no list, or not one that is understood
		return []fault{{names: []string{"OSD_FLAGS"}, text: describeCheck("OSD_FLAGS", c), set: true}}
	}
	return all
}

// downCheck matches the codes about OSDs that are down: OSD_DOWN, or OSD_HOST_DOWN for all OSDs of a host.
var downCheck = pattern.New(`^OSD_([A-Z]+_)?DOWN$`)

// flagMeaning says what a flag of the OSD map prevents.
var flagMeaning = map[string]string{
	"pause": "clients can neither read nor write", "noup": "OSDs that start stay down", "nodown": "OSDs that fail are not marked down",
	"noin": "OSDs that start stay out", "noout": "OSDs that are down are not marked out", "nobackfill": "no data is backfilled",
	"norebalance": "no data is rebalanced", "norecover": "no data is recovered", "noscrub": "no data is scrubbed",
	"nodeep-scrub": "no data is scrubbed deeply", "notieragent": "no cache tier is flushed", "nosnaptrim": "no snapshot is trimmed",
}

// describeCheck describes a failing check with its first details.
func describeCheck(code string, c ceph.Check) string {
	text := code + ": " + c.Message
	const most = 3
	detail := c.Detail
	if len(detail) > most {
		detail = append(slices.Clone(detail[:most]), fmt.Sprintf("and %d more", len(c.Detail)-most))
	}
	if len(detail) > 0 {
		text += " (" + strings.Join(detail, "; ") + ")"
	}
	return text
}

// unwell describes the placement groups in a state that a health check is about. Ceph itself warns only after a minute.
func unwell(status ceph.Status, code string) string {
	var states []string
	for _, state := range slices.Sorted(maps.Keys(status.Others)) {
		words := strings.Split(state, "+")
		active := slices.Contains(words, "active")
		degraded := slices.Contains(words, "degraded") || slices.Contains(words, "undersized")
		if code == "PG_AVAILABILITY" && !active || code == "PG_DEGRADED" && active && degraded {
			states = append(states, fmt.Sprintf("%d %s", status.Others[state], state))
		}
	}
	if len(states) == 0 {
		return ""
	}
	return "placement groups: " + strings.Join(states, ", ")
}

func osd(id int) string { return "osd." + strconv.Itoa(id) }

// osdOn formats an OSD and its node.
func osdOn(id int, node string) string {
	if node == "" {
		return osd(id)
	}
	return osd(id) + " on " + node
}
