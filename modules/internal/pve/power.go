package pve

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Power is whether a guest should run.
type Power struct {
	ID int
	On bool
	// Timeout is how long the guest may take to shut down. One that takes longer keeps running, and the step fails.
	Timeout time.Duration
}

// Locked returns an error if an operation has locked the guest, so that nothing else can change it.
func (g GuestConfig) Locked(id int) error {
	if lock := g.Options["lock"]; lock != "" {
		return fmt.Errorf("%s is locked (%s): wait for the operation to finish, or resolve the lock by hand (%s unlock %d), and run again", g.Label(id), lock, kinds[g.Type].program, id)
	}
	return nil
}

// Plan returns the steps that start a guest or shut it down; none if it is in the wanted state. A highly available guest
// is started and stopped by the HA manager. on is the host of the guest's node.
func (p Power) Plan(ctx context.Context, h, on *observe.Host, have GuestConfig) ([]modules.Step, error) {
	HAs.Want(h, "")
	Clusters.Want(h, "")
	ha, err := HAs.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	if ha.Manages(have.SID(p.ID)) {
		return p.managed(ctx, h, on, have, ha)
	}
	running, err := Running.Observe(ctx, on, "")
	if err != nil || running[p.ID] == p.On {
		return nil, err
	}
	if err := p.possible(ctx, on, have); err != nil {
		return nil, err
	}
	id, after := strconv.Itoa(p.ID), p.without(running)
	program := kinds[have.Type].program
	step := modules.Step{
		Summary: "start " + have.Label(p.ID), Action: run(5*time.Minute, program, "start", id), Await: have.Label(p.ID) + " running",
		Settle: 20 * time.Second, Wide: true, On: Elsewhere(h, on),
	}
	if p.On {
		after[p.ID] = true
		step.Expect = Everywhere(h, GuestConfigs.Expect(id, have.Started()))
	} else {
		step.Risk = modules.Restarts
		step.Summary, step.Await = "shut down "+have.Label(p.ID), have.Label(p.ID)+" stopped"
		step.Action = run(p.Timeout+time.Minute, program, "shutdown", id, "--timeout", strconv.Itoa(int(p.Timeout.Seconds())))
	}
	step.Expect = append(step.Expect, Running.Expect("", after).On(on))
	return []modules.Step{step}, nil
}

// without returns the running guests without this one.
func (p Power) without(running map[int]bool) map[int]bool {
	after := map[int]bool{}
	maps.Copy(after, running)
	delete(after, p.ID)
	return after
}

// run returns a command for a guest, which must not be started twice.
func run(limit time.Duration, argv ...string) modules.Run {
	return modules.Run{
		Argv: argv, Dir: "/root", Limit: limit, Long: true,
		Retry: []string{"got lock request timeout", "can't lock file"}, Patience: time.Minute, Explain: Explain,
	}
}

// possible returns why a guest cannot be started or stopped, or nil.
func (p Power) possible(ctx context.Context, on *observe.Host, have GuestConfig) error {
	if template, _ := Truth(have.Options["template"]); template && p.On {
		return fmt.Errorf("%s is a template, which cannot be started: clone it", have.Label(p.ID))
	}
	if err := have.Locked(p.ID); err != nil {
		return err
	}
	return Writable(ctx, on)
}

// managed plans for a highly available guest.
func (p Power) managed(ctx context.Context, h, on *observe.Host, have GuestConfig, ha HA) ([]modules.Step, error) {
	sid := have.SID(p.ID)
	want, service := ha.Resources[sid], ha.Services[sid]
	asked := p.On == (want.State == "started") // a disabled resource is stopped as well
	if !asked {
		want.State = map[bool]string{true: "started", false: "stopped"}[p.On]
	}
	switch {
	case asked && service.Arrived(want.State):
		return nil, nil
	case service.State == "error":
		return nil, fmt.Errorf("%s is highly available and in state error: find the cause (ha-manager status), take it out of that state (ha-manager set %s --state disabled), and run again", have.Label(p.ID), sid)
	}
	if err := p.possible(ctx, on, have); err != nil {
		return nil, err
	}
	cluster, err := Clusters.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	command := run(time.Minute, "ha-manager", "set", sid, "--state", want.State)
	command.Long = false
	step := modules.Step{
		Risk:    modules.Restarts,
		Summary: fmt.Sprintf("have the HA manager bring %s into the state %s", have.Label(p.ID), want.State),
		Action:  Versioned(command, ResourcesFile, ha.Digests[ResourcesFile]),
		Expect:  Everywhere(h, HAs.Expect("", ha.With(sid, want, have.Node, cluster.Online()))),
		Settle:  SettleService,
		Await:   fmt.Sprintf("%s %s (ha-manager status; now %s)", sid, want.State, service),
		Until:   ServiceArrived(sid, want.State),
		Wide:    true,
	}
	if asked {
		step.Risk, step.Summary = modules.Harmless, fmt.Sprintf("wait for %s: %s, wanted %s", have.Label(p.ID), service, want.State)
		step.Action, step.Refresh = modules.Wait{}, true
	}
	if p.On {
		step.Expect = append(step.Expect, Running.Unknown("", "the HA manager chooses where "+sid+" is started").On(on))
	} else {
		running, err := Running.Observe(ctx, on, "")
		if err != nil {
			return nil, err
		}
		step.Settle += p.Timeout
		step.Expect = append(step.Expect, Running.Expect("", p.without(running)).On(on))
	}
	return []modules.Step{step}, nil
}
