package run

import (
	"context"
	"reflect"
	"slices"
	"time"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/modules"
)

// Sending ahead: consecutive tasks share a flight if the engine can predict their steps. The host begins a task's steps only
// if everything that their plan was made from, and everything that verifies the task before, is exactly as predicted
// (observe.Kind.Holds). The first difference or failure ends the flight. The remaining tasks have not begun, and are planned
// again in their turn.
//
// When the turn of a task comes whose steps were sent ahead, it is decided, verified and reported as usual, with the answers
// that the host gave before it began the next task.

// mostAlong and mostAlongBytes limit how many tasks, and how much data, are sent with the steps of a task.
const (
	mostAlong      = 64
	mostAlongBytes = 256 << 10
)

// mostReadAlong limits for how many tasks after those whose steps are sent the reads are sent, too.
const mostReadAlong = 200

// doneAhead returns the part with an item's steps if they were sent ahead, or nil if they have yet to be sent. The error is
// errContradiction if other steps were sent than are planned now.
func (e *execution) doneAhead(on *host, it *itemPlan, commands []command, o *outcome) (*part, error) {
	p := e.host.sent.take()
	if p == nil {
		return nil, nil
	}
	if p.task != e.task { // an earlier task failed or the shell was lost, and this is a handler or a rescue
		e.leaveOver(e.host, p)
		for _, p := range e.host.sent.rest() {
			e.leaveOver(e.host, p)
		}
		return nil, nil
	}
	same := on == e.host && p.key == it.key && len(p.steps) == len(commands) && len(commands) == len(it.plan.Steps)
	for i := range p.steps {
		same = same && p.steps[i].Summary == commands[i].step.Summary && sameAction(p.steps[i].Action, commands[i].step.Action)
	}
	if same {
		return p, nil
	}
	for _, step := range p.steps {
		o.begin(step)
	}
	o.effect = true
	return nil, errContradiction
}

// leaveOver reports a part whose task never had its turn. What the task notifies has to run if its steps were carried out, and the
// host has then recorded it as due.
func (e *executor) leaveOver(h *host, p *part) {
	e.report(report.Note{Text: p.leftOver(h)})
	h.keeper.before(e.execution(p.task, h).notifies())
	e.notifications.add(p.task, h, missed)
}

// sameAction reports whether two actions do the same.
func sameAction(a, b modules.Action) bool {
	strip := func(a modules.Action) modules.Action {
		if run, ok := a.(modules.Run); ok {
			run.Explain, run.Suspect = nil, nil
			return run
		}
		return a
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// pays reports whether it pays to send steps ahead to a host: the hand of its acting shell answers the queries that travel with
// them without a process, or a round trip takes longer than these processes.
func (e *executor) pays(h *host) bool {
	s := h.connection.stats()
	return s.Hand || s.Latency >= e.sendAheadFrom
}

// sharing returns how many tasks after t may share one flight.
func (e *execution) sharing(t *task) int {
	n, _, _ := e.ahead(t, mostAlong+1)
	return n
}

// ahead returns the tasks that are certain to follow t, and how many of the first of them may share its flight, at most so
// many. flushes is set if the play's handlers, or those behind t, run right after them.
func (e *execution) ahead(t *task, most int) (sharing int, following []*task, flushes bool) {
	p := e.host.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[t]
	if !ok || p.window == 0 {
		return 0, nil, t.handler && p.window > 0
	}
	following = p.upcoming.tasks[at+1:]
	for i := range following {
		if p.upcoming.legs[at+1+i] != p.upcoming.legs[at] {
			following = following[:i]
			break
		}
	}
	flushes = p.upcoming.flushes[at+len(following)]
	for sharing < min(most, len(following)) && e.mayShare(following[sharing]) && following[sharing].confinable {
		sharing++
	}
	return sharing, following, flushes
}

// train is a flight under construction: the parts that are sent along with an item's steps.
type train struct {
	*foresight
	along []*part
	// verified is what verifies the last steps so far. between is what the plans of items with nothing to do after them were
	// made from.
	verified, between []observe.Read
	// long is the command of the last step so far, if that is a long one.
	long nodestate.Long
	// longest is how long the parts of the last task may take.
	longest time.Duration
	// registered are the results of its tasks, which are not known yet.
	registered map[string]bool
	size       int
}

// along returns what is sent along with an item's steps: the parts of the next items and tasks, and the reads that the host
// answers before it begins the first of them or, if there are none, those that are likely to come next.
func (e *execution) along(ctx context.Context, it *itemPlan, rest []*itemPlan, commands []command, pays bool) (along []*part, reads []observe.Read) {
	user := e.task.user(e.host)
	pass := e.host.connection.asReader(user)
	shares := pays && e.mayShare(e.task) && it.confined(e.task) && it.delegated == nil && ordinary(it.from.settings) && untimed(it.from.settings) && pass != nil && e.host.connection.isRoot(user) &&
		!e.host.sent.waiting() && e.sendable(it.plan, commands, e.host.observed, true)
	sharing, following, flushes := e.ahead(e.task, mostAlong)
	last := e.task.play
	if n := len(following); n > 0 {
		last = following[n-1].play
	}
	beyond := e.host.planner.beyond(e.task, len(following))
	if shares = shares && e.host.keeper.look(ctx) == nil; shares {
		e.host.sent.hold(true)
		defer func() { e.host.sent.hold(len(along) > 0) }()
		e.host.planner.await(ctx, following[:sharing])
	}
	f := e.foresee(ctx)
	first, ok := f.carryOut(e.task, it)
	if !shares || !ok {
		for _, next := range rest {
			if next.saw != nil {
				first = append(first, next.saw.Reads()...)
			}
			if next.acts() {
				return nil, first
			}
		}
		return nil, append(first, f.behind(nil, following, f.dueBehind(last, true), beyond)...)
	}
	t := &train{foresight: f, verified: first, registered: map[string]bool{}}
	for i := range commands {
		e.detach(e.host, &commands[i])
		t.long = commands[i].long
	}
	next, open := e.couple(t, rest, following[:sharing], user)
	handlers := f.dueBehind(last, flushes)
	if open && next == len(following) {
		n, open := e.couple(t, nil, handlers, user)
		handlers = handlers[n:]
		if at := slices.Index(e.playbook.Plays, last) + 1; open && flushes && at < len(e.playbook.Plays) && !e.host.reprieved.Load() {
			leg := e.host.planner.nextLeg(last, e.playbook.Plays[at])
			if n, _ := e.couple(t, nil, leg, user); n > 0 {
				beyond = beyond[slices.Index(beyond, leg[n-1])+1:]
			}
		}
	}
	behind := slices.Concat(t.between, f.behind(t.along, following[next:], handlers, beyond))
	if len(t.along) == 0 {
		return nil, behind
	}
	for i, p := range t.along {
		reads := p.after
		if !p.repeats || e.unfulfilled != nil { // which compares what its steps expect
			reads = slices.Concat(reads, slices.DeleteFunc(slices.Clone(p.reads), observe.Read.OfContent))
		}
		if i+1 < len(t.along) {
			reads = append(append(reads, t.along[i+1].between...), t.along[i+1].reads...)
		} else {
			reads = slices.Concat(reads, behind, e.host.planner.coming(p.task, e.sharing(p.task)))
		}
		p.readback = e.host.observed.Readback(reads, pass)
		p.ask()
	}
	return t.along, slices.Concat(first, t.along[0].between, t.along[0].reads)
}

// couple adds the rest of a task's items and then the tasks that follow to a train, up to the first that cannot share the
// flight. It returns how many of the tasks are in it, and whether more may follow those.
func (e *execution) couple(t *train, rest []*itemPlan, following []*task, user string) (n int, open bool) {
	for i, it := range rest {
		if it.module == nil || it.delegated != nil {
			return 0, false
		}
		if it = t.again(e.task, it); !t.add(e.task, it, nil, i == len(rest)-1) {
			t.between = append(t.between, it.saw.Reads()...)
			return 0, false
		}
	}
	t.registered[e.task.Register] = true
	for n, next := range following {
		if !e.mayShare(next) || !next.confinable || next.user(e.host) != user || slices.ContainsFunc(next.references.Results, func(name string) bool { return t.registered[name] }) || !e.host.hasResults(next.references.Results) {
			return n, false
		}
		d, planned, ok := t.decide(next)
		if !ok {
			return n, false
		}
		if next.Register != "" {
			t.registered[next.Register] = true
		}
		if !d.acts() {
			t.between = append(t.between, planned...)
			continue
		}
		before := len(t.along)
		for i, it := range d.items {
			if len(t.along) > before { // an item before it has changed what its plan was made from
				it, planned = t.again(next, it), nil
			}
			if !t.add(next, it, planned, i == len(d.items)-1) {
				return n, false
			}
		}
	}
	return len(following), true
}

// exceeds reports whether a part, with those of earlier items, may take longer than the timeout of its task, which begins with
// the task's turn.
func (t *train) exceeds(p *part, s *lang.Settings) bool {
	if n := len(t.along); n == 0 || t.along[n-1].task != p.task {
		t.longest = 0
	}
	t.longest += p.longest()
	return !untimed(s) && t.longest > s.Timeout
}

// tell returns what reports that the host begins a command of a part, as far as it matters what becomes of it if the run is interrupted: a
// long one, and what comes right behind one.
func (t *train) tell(p *part) func(i int) {
	wasLong := t.long.ID != ""
	return func(i int) {
		now := report.Progress{Host: t.host.Name, Task: p.task.Name}
		was := i == 0 && wasLong || i > 0 && p.longs[i-1].ID != ""
		switch {
		case i < len(p.steps) && (was || p.longs[i].ID != ""):
			now.What, now.Detached = p.steps[i].Summary, p.longs[i].ID != ""
		case i == len(p.steps) && was && p.until != nil:
			now = settling(now, *p.until)
		case !was:
			return
		}
		t.report(now)
	}
}

// add adds an item, and reports whether what comes after it may share the flight, too. planned is what else its plan was made
// from. last is set for the task's last item.
func (t *train) add(of *task, it *itemPlan, planned []observe.Read, last bool) bool {
	if it.err != nil || len(it.saw.Elsewhere()) > 0 {
		return false
	}
	planned = slices.Concat(planned, it.saw.Reads())
	if len(it.plan.Steps) == 0 {
		t.between = append(t.between, planned...)
		return true
	}
	p := t.part(of, it, last)
	if p == nil || t.exceeds(p, it.from.settings) || t.approve != nil && t.approve(t.executor.execution(of, t.host).proposal([]*itemPlan{it}, false)) != nil {
		return false
	}
	p.Begins = t.tell(p)
	var ok bool
	if p.If, ok = t.at.Holds(slices.Concat(t.verified, t.between, planned)); !ok {
		return false
	}
	if t.long.ID != "" {
		p.If = append(p.If, t.long.Behind())
	}
	var done bool
	if p.after, done = t.carryOut(of, it); !done && !it.plan.Partial {
		return false
	}
	if t.size += p.Size(); t.size > mostAlongBytes || len(t.along) == mostAlong {
		return false
	}
	p.repeats = it.plan.Repeats
	p.reads, p.between, t.verified, t.between, t.long = planned, t.between, p.after, nil, p.longs[len(p.longs)-1]
	t.along = append(t.along, p)
	return done // what a partial plan leaves to do is planned from what the host answers
}
