package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
	"hlplay/modules"
)

// turn is a play being carried out on one batch of its hosts.
type turn struct {
	*runner
	play    *lang.Play
	slots   map[*lang.Task]*slot
	batch   []*host
	rolling bool   // one of several batches
	fatal   string // why the run must end after the current task
	shut    bool   // another run is changing one of the hosts: handlers do not run either
	// rescuable counts the groups with a rescue part that the current task stands in.
	rescuable int
}

// nodes runs tasks and groups in order and returns the hosts that came through.
func (t *turn) nodes(nodes []lang.Node, hosts []*host) []*host {
	for _, n := range nodes {
		if t.over() || len(hosts) == 0 {
			return hosts
		}
		switch n := n.(type) {
		case *lang.Task:
			hosts = t.task(t.slots[n], hosts)
		case *lang.Group:
			hosts = t.group(n, hosts)
		case *lang.Flush:
			t.handlers()
			hosts = t.stillAlive(hosts)
		}
	}
	return hosts
}

func (t *turn) over() bool { return t.fatal != "" || t.ctx.Err() != nil }

// group runs a group's tasks; a host on which one fails takes the rescue part, and every host takes
// the always part.
func (t *turn) group(g *lang.Group, hosts []*host) []*host {
	if len(g.Rescue) > 0 {
		t.rescuable++
	}
	came := t.nodes(g.Tasks, hosts)
	if len(g.Rescue) > 0 {
		t.rescuable--
		came = append(came, t.rescue(g, missing(hosts, came))...)
		came = inOrder(hosts, came)
	}
	if len(g.Always) == 0 {
		return came
	}
	// It runs although a task before it has failed, or has even ended the play.
	fatal := t.fatal
	t.fatal = ""
	var through []*host
	reachable := t.reachable(hosts)
	t.despite(reachable, func() { through = t.nodes(g.Always, reachable) })
	if fatal != "" {
		t.fatal = fatal
	}
	return both(came, through)
}

// despite calls fn with hosts that have failed before taken along; they stay failed whatever it does.
func (t *turn) despite(hosts []*host, fn func()) {
	was := map[*host]bool{}
	t.mu.Lock()
	for _, h := range hosts {
		was[h], h.failed = h.failed, false
	}
	t.mu.Unlock()
	fn()
	t.mu.Lock()
	for h, failed := range was {
		h.failed = h.failed || failed
	}
	t.mu.Unlock()
}

// rescue gives hosts that failed inside a group another road.
func (t *turn) rescue(g *lang.Group, failed []*host) []*host {
	t.mu.Lock()
	var again []*host
	for _, h := range failed {
		if !h.unreachable {
			h.failed = false
			again = append(again, h)
		}
	}
	t.mu.Unlock()
	if len(again) == 0 {
		return nil
	}
	return t.nodes(g.Rescue, again)
}

func (t *turn) reachable(hosts []*host) []*host {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*host
	for _, h := range hosts {
		if !h.unreachable {
			all = append(all, h)
		}
	}
	return all
}

// task gives a task its turn: every host decides and acts side by side, and the next task begins
// when all are done, so that what a later task changes never overtakes an earlier one elsewhere.
func (t *turn) task(s *slot, hosts []*host) []*host {
	// Who selects a task selects what it notifies.
	if !s.handler && (!t.selected(s.task) || t.beforeStart(s.task)) {
		t.registerSkipped(s, hosts)
		return hosts
	}
	t.report(report.TaskStarted{Play: s.play.Name, Task: s.task.Name, Handler: s.handler})
	t.lead(hosts[0])
	var slow chan struct{}
	if s.task.Throttle > 0 {
		slow = make(chan struct{}, s.task.Throttle)
	}
	previous := make(chan struct{})
	close(previous)
	var wg sync.WaitGroup
	ended := make([]report.Status, len(hosts))
	gate := t.gate(hosts)
	for i, h := range hosts {
		mine := make(chan struct{})
		wg.Add(1)
		go func(before <-chan struct{}) {
			defer wg.Done()
			ended[i] = t.onHost(s, h, slow, before, gate)
			<-before // a host that skips must not let the next one overtake those before it
			close(mine)
		}(previous)
		previous = mine
	}
	wg.Wait()
	if why := gate.shut(); why != "" {
		t.fatal, t.shut = why, true
		return nil
	}
	t.forAll(s, hosts, ended)
	came := t.stillAlive(hosts)
	t.judge(s, hosts, came)
	return came
}

// elsewhere is how a task ends on a host for which another one does it.
const elsewhere report.Status = ""

// forAll ends a task that one host does for all. A leader that is lost makes room for the next host, and
// so does one on which a cluster-wide change has its condition false; where the leader fails, the hosts
// that rely on it have failed with it.
func (t *turn) forAll(s *slot, hosts []*host, ended []report.Status) {
	leader, status := hosts[0], ended[0]
	var others []*host
	for i, h := range hosts {
		if ended[i] == elsewhere {
			others = append(others, h)
		}
	}
	first := make(chan struct{})
	close(first)
	for len(others) > 0 && t.ctx.Err() == nil && (status == report.Unreachable || status == report.Skipped && !s.task.RunOnce) {
		leader, others = others[0], others[1:]
		t.lead(leader)
		status = t.onHost(s, leader, nil, first, nil)
	}
	t.share(s, leader, others)
	if s.handler && finished(status) {
		for _, h := range others {
			h.keeper.clear(nodestate.Name(s.play.Name, s.task.Name))
		}
	}
	if status != report.Failed || s.task.IgnoreErrors || len(others) == 0 || t.ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	for _, h := range others {
		h.failed = true
	}
	t.mu.Unlock()
	t.report(report.Note{Text: fmt.Sprintf("task %q failed on %s, which runs it for all: %s cannot go on either", s.task.Name, leader.Name, strings.Join(names(others), ", "))})
}

// onHost carries out a task on one host and reports it, unless another host does it for all. before is closed when the host's
// predecessor is done: tasks that may not run on two hosts at once wait for it.
func (t *turn) onHost(s *slot, h *host, slow chan struct{}, before <-chan struct{}, gate *gate) report.Status {
	ctx := t.ctx
	if s.task.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = withTimeout(ctx, t.options.Clock, s.task.Timeout,
			fmt.Errorf("the task's timeout of %s is over", s.task.Timeout))
		defer cancel()
	}
	begun := t.options.Clock.Now()
	defer h.ahead.pass(s)
	arrive := gate.arrive()
	defer arrive()
	d := h.ahead.take(ctx, s)
	if err := t.reach(ctx, h); err != nil { // nothing was to be read
		o := failure(h, err)
		o.duration = t.options.Clock.Now().Sub(begun)
		t.finish(s, h, o)
		return o.status
	}
	h.reached = true
	if d.elsewhere {
		return elsewhere
	}
	arrive()
	if d.acts() {
		again, err := gate.pass(ctx, h)
		if err != nil {
			o := failure(h, err)
			if shut := (*shutError)(nil); errors.As(err, &shut) {
				o = outcome{status: report.Skipped, message: err.Error(), held: true}
			}
			t.finish(s, h, o)
			return o.status
		}
		if again {
			d = h.ahead.take(ctx, s)
		}
	}
	if d.scope == modules.OneByOne {
		select {
		case <-before:
		case <-ctx.Done():
		}
		d = h.ahead.take(ctx, s) // what the hosts before changed has dropped the plan
	}
	if slow != nil && d.acts() {
		select {
		case slow <- struct{}{}:
			defer func() { <-slow }()
		case <-ctx.Done():
		}
		d = h.ahead.take(ctx, s)
	}
	o := t.attempts(ctx, s, h, d)
	o.duration = t.options.Clock.Now().Sub(begun)
	t.finish(s, h, o)
	return o.status
}

// reach connects to a host that nothing has been read of yet: what is not there is not done for it.
func (t *turn) reach(ctx context.Context, h *host) (err error) {
	if h.observed.Connected() {
		return nil
	}
	done := make(chan struct{})
	go t.seated(func() <-chan struct{} {
		go func() {
			defer close(done)
			err = h.observed.Connect(ctx)
		}()
		return done
	})
	<-done
	return err
}

// judge decides after a task whether the play goes on.
func (t *turn) judge(s *slot, before, after []*host) {
	rest := t.stillAlive
	if t.rescuable > 0 { // nothing rescues a host that is lost
		rest, after = t.reachable, t.reachable(before)
	}
	lost := len(before) - len(after)
	if lost == 0 {
		return
	}
	failed := len(t.batch) - len(rest(t.batch))
	switch {
	case t.play.AnyErrorsFatal:
		t.fatal = fmt.Sprintf("play %q ends: task %q failed on %d of %d hosts, and any_errors_fatal is set", t.play.Name, s.task.Name, lost, len(before))
	case t.play.MaxFailPercentage != nil && float64(failed)*100 > *t.play.MaxFailPercentage*float64(len(t.batch)):
		t.fatal = fmt.Sprintf("play %q ends: %d of %d hosts have failed, more than max_fail_percentage = %g", t.play.Name, failed, len(t.batch), *t.play.MaxFailPercentage)
	case t.rolling && failed == len(t.batch):
		t.fatal = fmt.Sprintf("play %q ends: all hosts of this batch have failed, so the next batch is not touched", t.play.Name)
	}
}

func (t *turn) beforeStart(task *lang.Task) bool {
	if t.waitingToStart && task.Name == t.options.StartAt {
		t.waitingToStart = false
	}
	return t.waitingToStart
}

// lead makes h the host that runs what runs once. A new leader has planned such tasks as not its own,
// and the old one as its own.
func (r *runner) lead(h *host) {
	r.mu.Lock()
	was := r.hosts[r.leader]
	r.leader = h.Name
	r.mu.Unlock()
	if was != nil && was != h {
		was.ahead.drop()
		h.ahead.drop()
	}
}

// leads says whether h is the host that run_once tasks and cluster-wide changes run on.
func (r *runner) leads(h *host) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader == h.Name
}

func missing(all, some []*host) []*host {
	in := map[*host]bool{}
	for _, h := range some {
		in[h] = true
	}
	var rest []*host
	for _, h := range all {
		if !in[h] {
			rest = append(rest, h)
		}
	}
	return rest
}

func inOrder(order, some []*host) []*host { return missing(order, missing(order, some)) }

func both(a, b []*host) []*host { return inOrder(a, inOrder(b, a)) }
