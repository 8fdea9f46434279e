package run

import (
	"context"
	"path/filepath"

	"hlplay/engine/nodestate"
	"hlplay/engine/remote"
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
