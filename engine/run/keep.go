package run

import (
	"context"
	"path/filepath"
	"slices"

	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// keep prepares a host's node for a step: it takes the lock and records the handlers that the task notifies as due. The
// returned query has to run in the step's own shell.
func (e *execution) keep(ctx context.Context, on *host) (remote.Query, error) {
	notifies := e.notifies()
	if on != e.host {
		if len(notifies) > 0 {
			if err := e.host.keeper.apart(ctx, notifies); err != nil {
				return remote.Query{}, err
			}
		}
		notifies = nil
	}
	if err := on.keeper.look(ctx); err != nil {
		return remote.Query{}, err
	}
	if err := on.keeper.locked(); err != nil {
		return remote.Query{}, err
	}
	if !on.connection.isRoot(e.task.user(on)) {
		return remote.Query{}, on.keeper.apart(ctx, notifies)
	}
	q := on.keeper.before(notifies)
	if why := on.keeper.cannot(); why != "" && len(notifies) > 0 {
		on.keeper.unkept(why)
	}
	return q, nil
}

// notifies returns the handlers that the task notifies, as they are recorded on a node.
func (e *execution) notifies() (all []nodestate.Due) {
	for _, name := range e.task.Notify {
		all = append(all, nodestate.Due{
			ID: nodestate.Name(e.task.play.Name, name), Play: e.task.play.Name, Handler: name,
			Task: e.task.Name, File: filepath.ToSlash(e.task.Range.Filename), Line: e.task.Range.Start.Line,
			Playbook: e.playbook.Path, Run: e.holder.Run, By: e.holder.By, Since: e.clock.Now().UTC(),
		})
	}
	return all
}

// clears returns the handlers that are no longer due when the last steps of an item have succeeded: the handler that is
// running, if the exit code alone proves its success.
func clears(t *task, plan modules.Plan, last bool, commands []command) []string {
	if !t.handler || !last || !plan.Repeats || t.Until != nil || slices.ContainsFunc(commands, command.suspicious) {
		return nil
	}
	return []string{nodestate.Name(t.play.Name, t.Name)}
}

// judgeKept decides after a task which handlers stay due. A handler that has succeeded is no longer due, nor are those
// that a task has announced if it did not start anything. A failed command may have made its change, which the next run
// would find done, so the handlers that it notifies stay due.
func (b *batch) judgeKept(t *task, h *host, o outcome) {
	if b.check {
		return
	}
	if t.handler && finished(o.status) && !o.held && !o.left {
		h.keeper.clear(nodestate.Name(t.play.Name, t.Name))
	}
	if o.sure || o.effect || len(o.open) > 0 {
		return
	}
	for _, name := range t.Notify {
		if !b.notifications.has(handlerKey{t.play.Name, name, h.Name}) {
			h.keeper.withdraw(nodestate.Name(t.play.Name, name))
		}
	}
}

// finished reports whether a handler with this status need not run again.
func finished(status report.Status) bool {
	return status == report.OK || status == report.Changed || status == report.Skipped
}
