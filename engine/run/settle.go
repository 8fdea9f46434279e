package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// settle waits until planning again finds nothing left to do, for as long as the steps allow.
func (e *execution) settle(ctx context.Context, it *itemPlan, done modules.Plan) error {
	var limit time.Duration
	var until *remote.Query
	await := ""
	for _, step := range done.Steps {
		if step.Settle > limit {
			limit, await, until = step.Settle, step.Await, step.Until
		}
	}
	waited := e.waited // with the last step's flight, which the verification has seen the end of
	e.waited = 0
	if waited > 0 {
		until = nil
	}
	if await == "" {
		await = "the change to show"
	}
	// Plans that were made together with the first verification have not seen the change either.
	var seen *observe.Readback
	defer func() {
		for _, step := range done.Steps {
			e.changed(step, seen)
		}
	}()
	looked := e.clock.Now() // a look before the deadline proves nothing, so there is always one after it
	begun := looked.Add(-waited)
	retry := backoff{250 * time.Millisecond, remote.LongestPause}
	watches := true
	for first := true; ; first = false {
		if it.err == nil && len(it.plan.Steps) == 0 {
			return nil
		}
		var final *modules.FinalError
		if looked.Sub(begun) >= limit || errors.As(it.err, &final) {
			return unsettled(it, done, limit, await)
		}
		if first { // plans for later tasks are of no use yet, and their reads would be wasted
			e.host.planner.invalidate()
		}
		e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: await, Awaits: true, Limit: limit})
		before, pause := e.clock.Now(), retry.next()
		seen = nil
		if left := limit - before.Sub(begun); watches && left > 0 {
			var err error
			if seen, err = e.watch(ctx, it, until, pause, left); err != nil {
				watches = false
			}
			until = nil
		}
		if seen != nil {
			looked = before // at the earliest
			e.alone(ctx, it)
		}
		if seen == nil || len(it.saw.Elsewhere()) > 0 {
			seen = nil
			if err := e.clock.Sleep(ctx, pause); err != nil {
				return err
			}
			looked = e.clock.Now()
			e.forgetAll()
			e.alone(ctx, it)
		}
		if unreachable(e.host, it.err) {
			return it.err
		}
	}
}

// watchFor is how long a host waits for a change before it is asked again, because some changes cannot be watched.
const watchFor = 20 * time.Second

// watch makes the host wait until a query exits with 0 or, if that is nil, until something changes on which an item's plan is
// based, and reads that again. It returns what it read, or nil if the host cannot do so; it cannot watch other hosts, for example.
func (e *execution) watch(ctx context.Context, it *itemPlan, until *remote.Query, pause, limit time.Duration) (*observe.Readback, error) {
	again, known, ok := e.host.observed.Watch(it.saw)
	w := remote.Watch{Known: known, Pause: pause, Limit: min(limit, watchFor)}
	if until != nil {
		again = e.host.observed.Readback(it.saw.Reads(), func(remote.Query) bool { return true })
		w, ok = remote.Watch{Until: until, Limit: limit}, len(again.Queries()) > 0
	}
	if !ok {
		return nil, nil
	}
	again.LendTo(e.hosts.observed())
	w.Queries = again.Queries()
	answers, err := e.host.connection.Watch(ctx, w)
	switch {
	case errors.Is(err, remote.ErrUnwatchable):
		return nil, nil
	case err != nil:
		return nil, err
	}
	again.Arrive(answers)
	return again, nil
}

// settles reports whether the effects of steps may take a while to show.
func settles(steps []modules.Step) bool {
	return slices.ContainsFunc(steps, func(s modules.Step) bool { return s.Settle > 0 })
}

// unsettled says what is still missing after a step.
func unsettled(it *itemPlan, done modules.Plan, limit time.Duration, await string) error {
	if it.err != nil {
		return fmt.Errorf("done: %s; but then: %w", summaries(done.Steps), it.err)
	}
	missing := summaries(it.plan.Steps)
	for _, step := range it.plan.Steps {
		if step.Unmet != "" {
			missing += ": " + step.Unmet
		}
	}
	if limit == 0 {
		return fmt.Errorf("done, and yet still to do: %s", missing)
	}
	return fmt.Errorf("waited %s for %s; still to do: %s", limit, await, missing)
}
