package run

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// guarded carries out steps under a guard: the host undoes them unless a proof over a new connection succeeds.
func (e *execution) guarded(ctx context.Context, it *itemPlan, rest []*itemPlan, seen *baseline, o *outcome) error {
	guard := it.plan.Guard
	if guard == nil || e.check {
		return e.steps(ctx, it, rest, seen, o)
	}
	u, armed, err := e.arm(ctx, it.plan)
	if err != nil {
		return err
	}
	err = e.steps(ctx, it, rest, seen, o)
	undo := u.Now()
	if took := e.clock.Now().Sub(armed); took >= provable(guard) { // the host may have undone the change before its last steps
		undo = u.Again()
		if err == nil {
			err = fmt.Errorf("the steps took %s, and the host undoes them after %s: allow more time, or find out what is slow", took.Round(time.Second), guard.Within)
		}
	}
	takeBack := func(why error) error { return e.takeBack(ctx, it.plan, u, undo, armed, o, why) }
	var lost *remote.UnreachableError
	switch {
	case ctx.Err() != nil:
		return &armedError{context.Cause(ctx), e.host.Name, guard.Within - e.clock.Now().Sub(armed)}
	case err != nil && !errors.As(err, &lost):
		return takeBack(err)
	}
	var stopping error // why the host did not keep a change that was proven before
	for {              // processes started over the old connection may end with it
		if err := e.prove(ctx, guard, u, armed); err != nil {
			return takeBack(cmp.Or(stopping, err))
		}
		root := e.host.connection.asRoot()
		if root == nil {
			return takeBack(errors.New("the connection was lost again"))
		}
		answers, err := root.Ask(ctx, []remote.Query{u.Disarm()})
		if err == nil {
			err = nodestate.Disarmed(answers[0])
		}
		if err == nil {
			break
		}
		err = fmt.Errorf("the change was proven, but not confirmed: %w", err)
		if !errors.Is(err, nodestate.ErrStopping) {
			return takeBack(cmp.Or(stopping, err))
		}
		if stopping = err; e.clock.Sleep(ctx, time.Second) != nil {
			return takeBack(stopping)
		}
	}
	for _, step := range it.plan.Steps { // the answer of the step that cut the connection was lost, but its effect is proven
		if slices.Contains(o.open, step.Summary) {
			o.end(step)
		}
	}
	e.host.observed.ForgetAll()
	return nil
}

// provable returns how long after arming a change can be proven. The rest of the time is for disarming.
func provable(guard *modules.Guard) time.Duration { return guard.Within * 4 / 5 }

// arm tells the host what to undo, and when.
func (e *execution) arm(ctx context.Context, plan modules.Plan) (u nodestate.Undo, armed time.Time, err error) {
	for _, step := range plan.Steps {
		if step.On != nil && step.On != e.host.observed {
			return u, armed, fmt.Errorf("%s: it is carried out on another host, where nothing would undo it; this is a defect of module %s", step.Summary, e.task.Module.Name)
		}
	}
	guard := plan.Guard
	root := e.host.connection.asRoot()
	if root == nil {
		return u, armed, errors.New("the host can undo this by itself only as root: let the task become root")
	}
	if err := e.host.keeper.apart(ctx, nil); err != nil { // no other run may change the host meanwhile
		return u, armed, err
	}
	u = nodestate.Undo{
		ID: rand.Text(), Task: e.task.Name, File: filepath.ToSlash(e.task.Range.Filename), Line: e.task.Range.Start.Line,
		Playbook: e.playbook.Path, Run: e.holder.Run, By: e.holder.By, Since: e.clock.Now().UTC().Truncate(time.Second),
		Within: guard.Within, Files: guard.Files, Commands: guard.Undo, Outlives: guard.Outlives,
	}
	q, err := u.Arm()
	if err != nil {
		return u, armed, err
	}
	armed = e.clock.Now()
	answers, err := root.Ask(ctx, []remote.Query{q})
	if err == nil && answers[0].Exit != 0 {
		err = fmt.Errorf("exit code %d: %s", answers[0].Exit, firstLine(answers[0].Stderr))
	}
	if err != nil {
		return u, armed, fmt.Errorf("nothing was started, because the host could not be told how to undo it: %w", err)
	}
	return u, armed, nil
}

// prove reconnects and runs the proofs until they succeed, the time is nearly over, or the host has undone the change
// early, since the host's own clock decides. What counts is a connection made after the SSH server has read its
// configuration. The host is asked whether it has over the old connection if that still works, otherwise over another one.
func (e *execution) prove(ctx context.Context, guard *modules.Guard, u nodestate.Undo, armed time.Time) error {
	deadline := armed.Add(provable(guard))
	ctx, cancel := withTimeout(ctx, e.clock, deadline.Sub(e.clock.Now()), errUnproven)
	defer cancel()
	patience := min(provable(guard)/4, mostReloading)
	reloaded := false
	if guard.Address == "" { // otherwise no answer would come over the old connection, as when the change has cut it
		bounded, stop := withTimeout(ctx, e.clock, patience, errUnproven)
		reloaded = e.reloaded(bounded, patience) == nil
		stop()
	}
	e.host.connection.drop()
	e.host.keeper.took(remote.Query{}, errReconnected)
	if guard.Address != "" {
		e.host.connection.move(guard.Address)
	}
	what := "a new connection to " + e.host.connection.where()
	reconnect := func() error {
		_, err := e.host.connection.reopen(ctx)
		if err != nil && !errors.Is(err, errUnproven) {
			err = fmt.Errorf("%s: %w", what, err)
		}
		return err
	}
	var before error
	for retry := (backoff{500 * time.Millisecond, 5 * time.Second}); ; {
		e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: what, Awaits: true, Limit: guard.Within})
		last := reconnect()
		if last == nil && !reloaded { // who accepted this connection may be about to read its configuration
			if last = e.reloaded(ctx, patience); last == nil {
				reloaded, last = true, reconnect()
			}
		}
		for _, proof := range guard.Proofs {
			if last != nil {
				break
			}
			what = proof.Summary
			last = e.proof(ctx, proof)
		}
		if last == nil {
			return nil
		}
		if errors.Is(last, errUnproven) { // what failed before says more
			return cmp.Or(before, fmt.Errorf("%s: %w", what, last))
		}
		if e.isUndone(ctx, u) { // later failures say nothing about the change
			return cmp.Or(before, last)
		}
		if retry.sleep(ctx, e.clock) != nil {
			return last
		}
		before = last
	}
}

// mostReloading is how long to wait, each time, for an SSH server to take a signal.
const mostReloading = 10 * time.Second

// reloaded waits until the host's SSH server has taken the signal to read its configuration again, if it was sent one. Before
// that, a login says nothing about the new configuration.
func (e *execution) reloaded(ctx context.Context, limit time.Duration) error {
	root := e.host.connection.asRoot()
	if root == nil {
		return errors.New("the connection was lost again")
	}
	answers, err := root.Ask(ctx, []remote.Query{remote.Until(remote.Reloaded(), limit, 0), remote.Reloaded()})
	if err == nil {
		err = answers[1].Err
	}
	if err == nil && answers[1].Exit != 0 {
		err = errors.New(firstLine(answers[1].Stderr))
	}
	return err
}

// isUndone reports whether the host says that it is undoing a change or has undone it.
func (e *execution) isUndone(ctx context.Context, u nodestate.Undo) bool {
	root := e.host.connection.asRoot()
	if root == nil {
		return false
	}
	state, err := nodestate.Look(ctx, root)
	return err == nil && slices.ContainsFunc(state.Undo, func(found nodestate.Undo) bool { return found.ID == u.ID && found.Undone })
}

// errReconnected ends the acting shells of a connection that was replaced. errUnproven ends the proofs.
var (
	errReconnected = errors.New("the host was reconnected")
	errUnproven    = errors.New("the time for the proofs has run out")
)

// untilUndone is how long to wait for a host that should have undone a change.
const untilUndone = 2 * time.Minute

// takeBack undoes a change at once if the host can be reached; otherwise it waits until the host has undone it. It
// returns an error that says why, and with what result. q is what tells the host to undo it.
func (e *execution) takeBack(ctx context.Context, plan modules.Plan, u nodestate.Undo, q remote.Query, armed time.Time, o *outcome, why error) error {
	deadline := armed.Add(u.Within + untilUndone)
	var last error
	for retry := (backoff{time.Second, 10 * time.Second}); e.clock.Now().Before(deadline); {
		var found *nodestate.Undo
		if found, last = e.undo(ctx, u, q); last == nil && found.Ended {
			e.host.observed.ForgetAll()
			o.takenBack(plan.Steps, found.Failed == "")
			return &undoneError{why: why, failed: found.Failed}
		}
		if ctx.Err() != nil {
			break
		}
		e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: "the host to undo the change", Awaits: true, Limit: u.Within})
		if retry.sleep(ctx, e.clock) != nil {
			break
		}
		if last != nil && e.host.connection.hasMoved() { // one of the two addresses is right
			e.host.connection.move("")
		}
	}
	e.host.planner.invalidate()
	if ctx.Err() != nil {
		return &armedError{context.Cause(ctx), e.host.Name, u.Within - e.clock.Now().Sub(armed)}
	}
	if last == nil {
		last = errors.New("it has not finished")
	}
	return &remote.UnreachableError{
		Host: e.host.Name, Address: e.host.Address, Err: last,
		Reason: fmt.Sprintf("%v; the host should have undone the change by itself after %s, but cannot be asked whether it did: %v", why, u.Within, last),
		Hint:   "look at its console: " + nodestate.Dir + "/undo holds the original files and a log",
	}
}

// undo tells the host to undo a change now, over the connection or a new one, and returns how far that has got.
func (e *execution) undo(ctx context.Context, u nodestate.Undo, q remote.Query) (*nodestate.Undo, error) {
	bounded, cancel := withTimeout(ctx, e.clock, 20*time.Second, errUnproven)
	defer cancel()
	root := e.host.connection.asRoot()
	if root == nil {
		if _, err := e.host.connection.reopen(bounded); err != nil {
			return nil, err
		}
		e.host.keeper.took(remote.Query{}, errReconnected)
		if root = e.host.connection.asRoot(); root == nil {
			return nil, errors.New("the connection was lost again")
		}
	}
	answers, err := root.Ask(bounded, []remote.Query{q})
	if err != nil {
		e.host.connection.drop() // undoing may have cut the connection
		return nil, err
	}
	if answers[0].Exit != 0 {
		return nil, fmt.Errorf("exit code %d: %s", answers[0].Exit, firstLine(answers[0].Stderr))
	}
	for _, found := range nodestate.Read(answers[0]).Undo {
		if found.ID == u.ID {
			if found.Ended {
				_, _ = root.Ask(bounded, []remote.Query{nodestate.Forgotten(u.ID)}) // the next run would repeat the message
			}
			return &found, nil
		}
	}
	return nil, errors.New("it has no record of the change any more")
}

// undoneError reports that a host has undone a failed change.
type undoneError struct {
	why    error
	failed string // what went wrong while undoing
}

// Unwrap returns the cause, unless that is that the host could not be reached: it can be reached again.
func (e *undoneError) Unwrap() error {
	if errors.As(e.why, new(*remote.UnreachableError)) {
		return nil
	}
	return e.why
}

func (e *undoneError) Error() string {
	if e.failed != "" {
		return fmt.Sprintf("%v; the host could not undo the change: %s", e.why, e.failed)
	}
	return fmt.Sprintf("%v; the host has undone the change", e.why)
}

// armedError reports that a run ended while a host was waiting for a proof.
type armedError struct {
	why  error
	host string
	left time.Duration
}

func (e *armedError) Unwrap() error { return e.why }

func (e *armedError) Error() string { return "interrupted before the change was confirmed" }

func (e *armedError) Hint() string {
	return fmt.Sprintf("%s will undo it by itself within %s; run again after that", e.host, max(e.left, 0).Round(time.Second))
}
