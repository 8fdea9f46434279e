package ha

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// finish adds the step's effects to it.
func (r *Resource) finish(s *state, after pve.HA, step modules.Step) modules.Step {
	step.Expect = pve.Everywhere(s.host, pve.HAs.Expect("", after))
	step.Settle = pve.SettleService
	step.Await = fmt.Sprintf("%s %s (ha-manager status; now %s)", r.SID, r.goal(), s.ha.Services[r.SID])
	step.Until = pve.ServiceArrived(r.SID, r.State)
	step.Wide = true
	return step
}

// goal describes the requested state.
func (r *Resource) goal() string {
	switch r.State {
	case "started":
		return "running"
	case "disabled":
		return "stopped"
	}
	return r.State
}

// settled waits for a resource whose configuration is right and whose service is on its way.
func (r *Resource) settled(ctx context.Context, s *state, after pve.HA) (modules.Plan, error) {
	service := s.ha.Services[r.SID]
	if service.Arrived(r.State) {
		return s.plan(), nil
	}
	if err := r.obstructed(ctx, s); err != nil {
		return modules.Plan{}, err
	}
	return s.plan(r.finish(s, after, modules.Step{
		Summary: fmt.Sprintf("wait for %s: %s, wanted %s", r.SID, service, r.State),
		Action:  modules.Wait{},
		Refresh: true,
	})), nil
}

// obstructed notes what prevents a guest that is to run from being started.
func (r *Resource) obstructed(ctx context.Context, s *state) error {
	if r.State != "started" {
		return nil
	}
	obstacle, err := r.obstacle(ctx, s)
	if err == nil && obstacle != "" {
		s.note("%s", obstacle)
	}
	return err
}

// inError says why a resource is in state error, as far as can be seen, and how to get it out of it.
func (r *Resource) inError(ctx context.Context, s *state) error {
	obstacle, err := r.obstacle(ctx, s)
	if err != nil {
		return err
	}
	service := s.ha.Services[r.SID]
	reason := ""
	if len(service.Failed) > 0 {
		reason = "; it could not be started on " + strings.Join(service.Failed, ", ")
	}
	if obstacle != "" {
		reason += "; " + obstacle
	}
	return &modules.FinalError{Err: fmt.Errorf("%s is in state error%s: find the cause (on %s: journalctl -u pve-ha-lrm, and the guest's task log), fix it, run a task with state = \"disabled\" or `ha-manager set %s --state disabled`, and run again once it is stopped",
		r.SID, reason, orUnknown(service.Node), r.SID)}
}

func orUnknown(node string) string {
	if node == "" {
		return "its node"
	}
	return node
}

// obstacle returns why the guest cannot be started, or "" if no reason is known.
func (r *Resource) obstacle(ctx context.Context, s *state) (string, error) {
	_, id := pve.SplitServiceID(r.SID)
	guest, err := pve.GuestConfigs.Observe(ctx, s.host, strconv.Itoa(id))
	if err != nil {
		return "", err
	}
	lock := guest.Options["lock"]
	if lock == "" {
		return "", nil
	}
	program := map[string]string{"lxc": "pct"}[guest.Type]
	if program == "" {
		program = "qm"
	}
	return fmt.Sprintf("guest %d is locked (%s) and cannot be started: wait for the operation that locked it or, if that was interrupted, run `%s unlock %d` on %s",
		id, lock, program, id, orUnknown(guest.Node)), nil
}
