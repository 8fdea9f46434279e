package run

import (
	"context"

	"hlplay/engine/observe"
)

// alone plans an item again without planning other tasks ahead.
func (e *execution) alone(ctx context.Context, it *itemPlan) {
	e.host.observed.Run(observe.WithUser(ctx, e.task.observer(e.host)), func(ctx context.Context) { it.replan(ctx, e.host) })
}

// verify plans an item again together with the next tasks, so that the reads that verify a step travel with those of
// the next task.
func (e *execution) verify(ctx context.Context, it *itemPlan) {
	e.host.planner.alongside(func(planner context.Context) {
		// The planner's context identifies the planner; the task's own context limits it.
		planner, cancel := context.WithCancelCause(planner)
		defer cancel(nil)
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		defer stop()
		it.replan(observe.WithUser(planner, e.task.observer(e.host)), e.host)
	})
}
