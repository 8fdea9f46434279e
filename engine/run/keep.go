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

// keep does what is to be done on a host's node before a step for the host h, which is carried out on the host on, by user. What it
// returns is to be done by the step's own shell.
func (t *turn) keep(ctx context.Context, s *slot, h, on *host, user string) (remote.Query, error) {
	var notifies []nodestate.Due
	for _, name := range s.task.Notify {
		notifies = append(notifies, nodestate.Due{
			ID: nodestate.Name(s.play.Name, name), Play: s.play.Name, Handler: name,
			Task: s.task.Name, File: filepath.ToSlash(s.task.Range.Filename), Line: s.task.Range.Start.Line,
			Playbook: t.playbook.Path, Run: t.holder.Run, By: t.holder.By, Since: t.options.Clock.Now().UTC(),
		})
	}
	if on != h {
		if len(notifies) > 0 {
			if err := h.keeper.apart(ctx, notifies); err != nil {
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
	if !on.link.isRoot(user) {
		return remote.Query{}, on.keeper.apart(ctx, notifies)
	}
	q := on.keeper.before(notifies)
	if why := on.keeper.cannot(); why != "" && len(notifies) > 0 {
		on.keeper.unkept(why)
	}
	return q, nil
}

// judgeKept decides behind a task what of what it notifies stays due. A handler that has succeeded is no longer due; what a
// task has announced never was if nothing was begun. A command that failed may have made its change all the same, and the next
// run would find it made.
func (t *turn) judgeKept(s *slot, h *host, o outcome) {
	if t.options.Check {
		return
	}
	if s.handler && finished(o.status) && !o.held {
		h.keeper.clear(nodestate.Name(s.play.Name, s.task.Name))
	}
	if o.sure || o.effect || len(o.open) > 0 {
		return
	}
	for _, name := range s.task.Notify {
		id := nodestate.Name(s.play.Name, name)
		t.mu.Lock()
		_, notified := t.runner.handlers[handlerKey{s.play.Name, name, h.Name}]
		t.mu.Unlock()
		h.keeper.mu.Lock()
		ours := h.keeper.ours[id]
		h.keeper.mu.Unlock()
		if ours && !notified {
			h.keeper.clear(id)
		}
	}
}

// finished reports whether a handler that ended so need not run again.
func finished(status report.Status) bool {
	return status == report.OK || status == report.Changed || status == report.Skipped
}

// clears are the handlers that are no longer due when the last steps of an item have succeeded: the handler itself, if it
// asks for an act, which the exit code alone proves.
func clears(s *slot, plan modules.Plan, last bool, commands []command) []string {
	if !s.handler || !last || !plan.Repeats || s.task.Until != nil || slices.ContainsFunc(commands, command.suspicious) {
		return nil
	}
	return []string{nodestate.Name(s.play.Name, s.task.Name)}
}
