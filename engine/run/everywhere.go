package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
	"hlplay/modules"
)

// task runs a task on all hosts in parallel. The next task starts when all hosts have finished, so that a change of a
// later task never overtakes one of an earlier task on another host.
func (b *batch) task(t *task, hosts []*host) []*host {
	// Selecting a task selects the handlers that it notifies.
	switch {
	case t.handler:
	case !b.selected(t.Task):
		leaveOut(t, hosts)
		return hosts
	case b.beforeStart(t):
		b.recall(t, hosts)
		return hosts
	}
	b.report(report.TaskStarted{Play: t.play.Name, Task: t.Name, Handler: t.handler})
	b.lead(hosts[0])
	all := &everywhere{gate: b.gate(t, hosts), tallies: newTallies(b.ledger, len(hosts), b.more), consent: newConsent(hosts)}
	previous := make(chan struct{})
	close(previous)
	var wg sync.WaitGroup
	ended := make([]report.Status, len(hosts))
	for i, h := range hosts {
		mine := make(chan struct{})
		before := previous
		wg.Add(1)
		h.turn(func() {
			defer wg.Done()
			ended[i] = b.onHost(t, h, i, all, before)
			<-before // a host that skips the task must not let the next one overtake those before it
			close(mine)
		})
		previous = mine
	}
	wg.Wait()
	if why := all.gate.shut(); why != "" {
		b.fatal, b.shut = why, true
		return nil
	}
	b.forAll(t, hosts, ended, all.left.Load())
	came := inRun(hosts)
	b.judge(t, hosts, came)
	return came
}

// beforeStart reports whether a task comes before the one that --start-at-task names.
func (b *batch) beforeStart(t *task) bool {
	if b.waitingToStart && t.Name == b.options.StartAt {
		b.waitingToStart = false
	}
	return b.waitingToStart
}

// selected reports whether --tags and --skip-tags select a task.
func (c *conductor) selected(t *lang.Task) bool {
	return lang.Selected(t, c.options.Tags, c.options.SkipTags)
}

// lead makes h the host that runs what must run once, and drops the plans of the old and the new leader, which were
// made for the other role.
func (c *conductor) lead(h *host) {
	if was := c.hosts.setLeader(h); was != nil && was != h {
		was.planner.drop()
		h.planner.drop()
	}
}

// everywhere is the state that the hosts of a task share while it runs.
type everywhere struct {
	throttle throttle
	gate     *gate
	tallies  *tallies
	consent  *consent
	left     atomic.Bool          // by the answer to a question
	halted   atomic.Pointer[host] // a host on which a guarded change or a reboot failed
}

// elsewhere is the status of a task on a host for which another host runs it.
const elsewhere report.Status = ""

// onHost runs a task on one host and reports it, unless another host runs it for all. before is closed when the host's
// predecessor has finished; tasks that must not run on two hosts at once wait for it.
func (b *batch) onHost(t *task, h *host, order int, all *everywhere, before <-chan struct{}) report.Status {
	begun := b.clock.Now()
	settings := b.settings(t, h)
	ctx, cancel := b.bounded(begun, settings.Timeout)
	defer cancel()
	var notes []string // about the tallies
	finish := func(o outcome) report.Status {
		if o.status != report.Skipped {
			o.notes = slices.Concat(notes, o.notes)
		}
		o = h.sent.passed(h, t, o)
		o.forgiven = settings.IgnoreErrors
		o.duration = b.clock.Now().Sub(begun)
		b.finish(t, h, o)
		return o.status
	}
	defer h.planner.done(t)
	arrive, counted, arrived := all.gate.arrive(), all.tallies.arrive(), all.consent.arrive()
	defer arrive()
	defer counted()
	defer arrived()
	d := h.planner.decision(ctx, t)
	if err := h.planner.reach(ctx); err != nil { // the host was not read from
		return finish(failure(h, err))
	}
	if !h.reached {
		h.reached = true
		switch waited, err := b.awaitUndo(ctx, h); {
		case err != nil:
			return finish(failure(h, err))
		case waited:
			d = h.planner.decision(ctx, t)
		}
	}
	if d.elsewhere {
		return elsewhere
	}
	undone := false
	for _, to := range b.delegates(t, h, d) {
		if err := to.planner.reach(ctx); err != nil {
			return finish(failure(h, err))
		}
		waited, err := b.awaitUndo(ctx, to)
		if err != nil {
			return finish(failure(h, err))
		}
		undone = undone || waited
	}
	if undone {
		d = h.planner.decision(ctx, t)
	}
	if d.settings != nil {
		if settings.Timeout == 0 && d.settings.Timeout > 0 {
			ctx, cancel = b.bounded(begun, d.settings.Timeout)
			defer cancel()
		}
		settings = *d.settings
	}
	arrive()
	if d.acts() {
		again, err := all.gate.pass(ctx, h)
		if err != nil {
			o := failure(h, err)
			if shut := (*shutError)(nil); errors.As(err, &shut) {
				o = outcome{status: report.Skipped, message: err.Error(), held: true}
			}
			return finish(o)
		}
		if again {
			d = h.planner.decision(ctx, t)
		}
	}
	e := b.execution(t, h)
	var over error
	if notes, over = all.tallies.judge(ctx, b.ledger, d, order, counted); over != nil {
		return finish(e.fault(d, over, d.reads()...))
	}
	if b.asking != nil && !b.check && d.acts() {
		var err error
		d, err = e.consents(b.ctx, d, all.consent, order, arrived)
		if errors.Is(err, errLeft) {
			all.left.Store(true)
			return finish(leftOut())
		}
		if err != nil {
			return finish(failure(h, err))
		}
		// The user may have taken longer to answer than the task may take.
		begun = b.clock.Now()
		ctx, cancel = b.bounded(begun, settings.Timeout)
		defer cancel()
	}
	arrived()
	if d.scope == modules.OneByOne {
		select {
		case <-before:
		case <-ctx.Done():
		}
		d = h.planner.decision(ctx, t) // a change on an earlier host has dropped the plan
		if failed := all.halted.Load(); failed != nil && d.acts() {
			return finish(outcome{status: report.Failed, message: "not started: it failed on " + failed.Name + ", the previous host", held: true})
		}
	}
	if settings.Throttle > 0 && d.acts() {
		defer all.throttle.enter(ctx, settings.Throttle)()
		d = h.planner.decision(ctx, t)
	}
	if b.options.Forks > 0 && d.acts() {
		defer b.forks.enter(ctx, b.options.Forks)()
		d = h.planner.decision(ctx, t)
	}
	o := e.attempts(ctx, d, settings)
	if o.halts {
		all.halted.Store(h)
	}
	return finish(o)
}

// settings returns the task's settings on a host, as far as they are known without reading the host.
func (b *batch) settings(t *task, h *host) lang.Settings {
	var scope lang.Scope
	if t.SettingsVary() {
		scope = b.expressions.foreseen(h, t)
	}
	settings, _ := t.Settings(scope) // planning reports the error
	return settings
}

// bounded returns a context with the rest of the timeout of a task that has started. A timeout of zero sets no limit.
func (b *batch) bounded(begun time.Time, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(b.ctx)
	}
	return withTimeout(b.ctx, b.clock, timeout-b.clock.Now().Sub(begun), fmt.Errorf("the task timed out after %s", timeout))
}

// forAll ends a task that one host runs for all. If that host is lost, or the condition of a cluster-wide change is
// false there, the next host takes over. If the task fails there, it has failed on the hosts that rely on it. left
// reports whether the task was left out because of an answer.
func (b *batch) forAll(t *task, hosts []*host, ended []report.Status, left bool) {
	leader, status := hosts[0], ended[0]
	var others []*host
	for i, h := range hosts {
		if ended[i] == elsewhere {
			others = append(others, h)
		}
	}
	first := make(chan struct{})
	close(first)
	for !left && len(others) > 0 && b.ctx.Err() == nil && (status == report.Unreachable || status == report.Skipped && !t.RunOnce) {
		leader, others = others[0], others[1:]
		b.lead(leader)
		all := &everywhere{}
		status = b.onHost(t, leader, 0, all, first)
		left = all.left.Load()
	}
	share(t, leader, others)
	if t.handler && finished(status) && !left {
		for _, h := range others {
			h.keeper.clear(nodestate.Name(t.play.Name, t.Name))
		}
	}
	if status != report.Failed || len(inRun([]*host{leader})) > 0 || len(others) == 0 || b.ctx.Err() != nil {
		return
	}
	for _, h := range others {
		h.setFailed(true)
	}
	b.report(report.Note{Text: fmt.Sprintf("task %q failed on %s, which runs it for all hosts: %s cannot continue either", t.Name, leader.Name, strings.Join(names(others), ", "))})
}

// judge decides after a task whether the play continues.
func (b *batch) judge(t *task, before, after []*host) {
	rest := inRun
	if b.rescuable > 0 { // a lost host is not rescued
		rest, after = reachable, reachable(before)
	}
	lost := len(before) - len(after)
	if lost == 0 {
		return
	}
	failed := len(b.members) - len(rest(b.members))
	switch {
	case b.play.AnyErrorsFatal:
		b.fatal = fmt.Sprintf("play %q ends: task %q failed on %d of %d hosts, and any_errors_fatal is set", b.play.Name, t.Name, lost, len(before))
	case b.play.MaxFailPercentage != nil && float64(failed)*100 > *b.play.MaxFailPercentage*float64(len(b.members)):
		b.fatal = fmt.Sprintf("play %q ends: %d of %d hosts have failed, more than max_fail_percentage = %g", b.play.Name, failed, len(b.members), *b.play.MaxFailPercentage)
	case b.rolling && failed == len(b.members):
		b.fatal = fmt.Sprintf("play %q ends: all hosts of this batch have failed, so the next batch is not started", b.play.Name)
	}
}
