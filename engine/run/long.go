package run

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// reattachLimit is how long to try to reconnect after the connection was lost during a long command.
const reattachLimit = 2 * time.Minute

// detach turns a command that its module declares long into a nodestate.Long, if root runs it and the host can keep
// records. Each attempt is a separate command.
func (e *execution) detach(on *host, c *command) {
	a, ok := c.step.Action.(modules.Run)
	if !ok || !a.Long && a.Limit <= remote.DefaultLimit || !on.connection.isRoot(e.task.user(on)) || on.keeper.cannot() != "" {
		return
	}
	limit := a.Limit
	if limit <= 0 {
		limit = remote.DefaultLimit
	}
	c.long = nodestate.Long{
		ID: rand.Text(), What: e.redact(c.step.Summary), Task: e.task.Name, File: filepath.ToSlash(e.task.Range.Filename), Line: e.task.Range.Start.Line,
		Playbook: e.playbook.Path, Run: e.holder.Run, By: e.holder.By, Since: e.clock.Now().UTC(), Limit: int(limit.Seconds()),
	}
	c.Via = c.long.Start()
}

// follow makes a command wait for the end of the one that is sent right before it: if that is a long one, the command is not begun if it
// was withheld.
func (c *command) follow(previous command) {
	if c.Before = (remote.Query{}); previous.long.ID != "" {
		c.Before = previous.long.Behind()
	}
}

// reattach reconnects to a long command, waits for its end and returns its result as if nothing had happened. If the
// host does not come back, the error is final. next, if not nil, is the command that was sent right behind it; if it succeeds and that one
// may have been begun, the host leaves the run.
func (e *execution) reattach(ctx context.Context, on *host, c command, next *command, lost error) (r remote.Result, ended bool, err error) {
	left := func() error {
		return &remote.LeftError{Host: on.Name, Program: c.Argv[0], Err: context.Cause(ctx)}
	}
	begun := e.clock.Now()
	tried := begun
	withheld := false
	for retry := (backoff{time.Second, 15 * time.Second}); tried.Sub(begun) < reattachLimit; {
		what := fmt.Sprintf("the connection, which was lost while %q ran there", c.step.Summary)
		e.report(report.Progress{Host: on.Name, Task: e.task.Name, What: what, Awaits: true, Limit: reattachLimit})
		if err := retry.sleep(ctx, e.clock); err != nil {
			return remote.Result{}, false, left()
		}
		tried = e.clock.Now()
		if _, err := on.connection.reopen(ctx); err != nil {
			lost = err
			continue
		}
		state, err := nodestate.Look(ctx, on.connection)
		if err == nil && !slices.ContainsFunc(state.Running, func(l nodestate.Long) bool { return l.ID == c.long.ID }) {
			err = fmt.Errorf("the connection was lost and restored, and whether the command was started is unknown: %w", lost)
			on.connection.fail(err)
			return remote.Result{}, false, err
		}
		if err == nil {
			withheld, err = e.withhold(ctx, on, c, next)
		}
		if err == nil {
			e.report(report.Note{Text: fmt.Sprintf("%s: the connection was lost while %q was running there; hlplay waits for it over a new connection", on.Name, c.step.Summary)})
			e.report(report.Progress{Host: on.Name, Task: e.task.Name, What: c.step.Summary, Detached: true})
			if r, err = e.attach(ctx, on, c, state.Lock); err == nil {
				if next != nil && !withheld && slices.Contains(accepted(c.Command), r.Exit) {
					err = fmt.Errorf("whether it was begun is not known: %w", lost)
					on.connection.fail(err)
				}
				return r, true, err
			}
			begun, tried, retry.pause = e.clock.Now(), e.clock.Now(), time.Second
		}
		switch {
		case ctx.Err() != nil:
			return remote.Result{}, false, left()
		case !unreachable(on, err):
			return remote.Result{}, false, err
		}
		lost = err
	}
	err = &remote.UnreachableError{
		Host: on.Name, Address: on.Address, Err: lost,
		Reason: fmt.Sprintf("the connection was lost while %q was running there, and was not restored within %s", c.step.Summary, reattachLimit),
		Hint:   "the command is still running there: hlplay status " + on.Name + " shows it, and the next run waits for it",
	}
	on.connection.fail(err)
	return remote.Result{}, false, err
}

// withhold keeps a host from beginning what was sent behind a long command, and reports whether it did. Later parts of the flight are then
// planned anew. If the host may have begun them already, nothing changes: whatever was sent behind it has lost its connection.
func (e *execution) withhold(ctx context.Context, on *host, c command, next *command) (withheld bool, err error) {
	along := on == e.host && on.sent.waiting()
	if next == nil && !along {
		return false, nil
	}
	answers, err := on.connection.Ask(ctx, []remote.Query{c.long.Withhold()})
	if withheld = err == nil && answers[0].Exit == 0; withheld && along {
		e.copyAgain(on.sent.withheld())
	}
	return withheld, err
}

// attach waits for the end of a long command over a new connection, whose shell takes over the lock.
func (e *execution) attach(ctx context.Context, on *host, c command, lock *nodestate.Holder) (remote.Result, error) {
	session, err := on.connection.session(ctx, e.task.user(on))
	if err != nil {
		return remote.Result{}, err
	}
	again := remote.Command{Argv: c.Argv, Dir: "/", Limit: c.Limit, OK: c.OK, Before: on.keeper.retake(lock), Via: c.long.Attach()}
	results, _, err := session.RunAll(ctx, remote.Actions{Commands: []remote.Command{again}})
	on.keeper.took(again.Before, err)
	if err != nil || len(results) == 0 {
		return remote.Result{}, on.keeper.prevented(err)
	}
	return results[0], nil
}
