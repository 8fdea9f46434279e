package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hlplay/engine/report"
	"hlplay/modules"
)

// settle waits until planning again finds nothing left to do, as long as the steps allow.
func (e *execution) settle(ctx context.Context, it *itemPlan, done modules.Plan) error {
	var limit time.Duration
	await := ""
	for _, step := range done.Steps {
		if step.Settle > limit {
			limit, await = step.Settle, step.Await
		}
	}
	if await == "" {
		await = "the change to show"
	}
	// What was planned together with the first verification has not seen the change either.
	defer func() {
		for _, step := range done.Steps {
			e.changed(step)
		}
	}()
	begun := e.clock.Now()
	looked := begun // what was seen before the time was over proves nothing, so there is always a look after it
	pause := 250 * time.Millisecond
	for {
		if it.err == nil && len(it.plan.Steps) == 0 {
			return nil
		}
		var final *modules.FinalError
		if looked.Sub(begun) >= limit || errors.As(it.err, &final) {
			return unsettled(it, done, limit, await)
		}
		e.report(report.Progress{Host: e.host.Name, Task: e.task.Name, What: await, Awaits: true, Limit: limit})
		if err := e.clock.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, 2*time.Second)
		looked = e.clock.Now()
		e.host.forgetAll()
		e.alone(ctx, it)
		if unreachable(e.host, it.err) {
			return it.err
		}
	}
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
