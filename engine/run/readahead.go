package run

import (
	"context"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/modules"
)

// future is a decision that is being made.
type future struct {
	cancel   context.CancelFunc
	saw      *observe.Tracker
	ready    observe.Event
	decision *decision // nil if it could not be made ahead
	// result is what the task will register if it has nothing to do, otherwise nil.
	result *cty.Value
}

// starting starts the plan of a future as a planner of the host, and calls done when it has ended.
type starting func(plan func(ctx context.Context, fn func(ctx context.Context)), done func())

// failed reports whether the plan has been made, and cannot be carried out.
func (f *future) failed() bool {
	return f.ready.Happened() && f.decision != nil &&
		(f.decision.err != nil || slices.ContainsFunc(f.decision.items, func(it *itemPlan) bool { return it.err != nil }))
}

// startLocked starts planning t, unless it is nil, and the tasks that the window allows after the current one. All are
// held until each has announced its first reads. If t will probably change the host, or another host carries it out for all, it is
// planned alone. What the caller waits for in any case, also or the plan of t alone, it makes itself by calling here, if that is not nil,
// once it no longer holds the lock: its stack has grown already, which takes a new goroutine longer than many plans.
func (p *planner) startLocked(t *task, also func(ctx context.Context)) (first *future, here func(ctx context.Context)) {
	var begin []starting
	var upcoming []int
	if t != nil {
		first = p.futureLocked(t, nil, &begin)
	}
	if past := p.past[t]; t == nil || !t.handler && !past.changes() && (!past.led || p.window == widest) {
		upcoming = p.upcomingLocked()
	}
	for _, i := range upcoming {
		next := p.upcoming.tasks[i]
		if i <= p.at || p.futures[next] != nil {
			continue
		}
		if from, ok := p.producersLocked(i); ok {
			p.futureLocked(next, from, &begin)
		} else {
			p.held = append(p.held, i)
		}
	}
	observed := p.host.observed
	var begun sync.WaitGroup
	begun.Add(len(begin))
	all := func(ctx context.Context) {
		for _, b := range begin {
			b(observed.Go, begun.Done)
		}
		if also != nil {
			also(ctx)
		}
	}
	start := func() { observed.Go(p.ctx, all) }
	switch {
	case also != nil:
		return first, func(ctx context.Context) { observed.Run(ctx, all) }
	case len(begin) == 0:
		return first, nil
	case t != nil && len(begin) == 1:
		return first, func(ctx context.Context) {
			defer context.AfterFunc(ctx, first.cancel)()
			announced := observed.Hold()
			begin[0](func(ctx context.Context, plan func(context.Context)) {
				observed.Run(ctx, func(ctx context.Context) {
					announced()
					plan(ctx)
				})
			}, begun.Done)
		}
	case len(begin) <= 2:
		start()
		return first, nil
	}
	p.admit(func() <-chan struct{} {
		start()
		ended := make(chan struct{})
		go func() {
			begun.Wait()
			close(ended)
		}()
		return ended
	})
	return first, nil
}

// upcomingLocked removes and returns the tasks that may be started now, in order: those held back and those that the
// window has reached, up to the horizon.
func (p *planner) upcomingLocked() (upcoming []int) {
	window := p.window
	if p.host.sent.only() {
		window = 0 // nothing else was read with what the host has done ahead
	}
	horizon := p.horizonLocked()
	slices.Sort(p.held)
	n := 0
	for n < len(p.held) && p.held[n] <= horizon {
		n++
	}
	upcoming, p.held = p.held[:n:n], slices.Clone(p.held[n:])
	for p.next = max(p.next, p.at+1); p.next < len(p.upcoming.tasks) && p.next <= min(p.at+window, horizon); p.next++ {
		upcoming = append(upcoming, p.next)
	}
	return upcoming
}

// horizonLocked returns the last task that it makes sense to plan ahead: the first after the current one that will probably
// change the host, as far as the last plans tell. What comes after it would be planned again. If that one shares its flight, so are those
// in it, and what the next reads travels with them. Once the run has changed something, a
// task that reads other hosts is left for its turn, when these have done the tasks before it. So is what comes after a task that one
// host carries out for all, or after handlers that are due, and everything while another host has yet to carry out a step of the
// current task that affects all.
func (p *planner) horizonLocked() int {
	if p.at >= 0 && p.at < len(p.upcoming.tasks) && p.stirs.others(p.upcoming.tasks[p.at], p.host) {
		return p.at
	}
	if p.window == widest { // nothing has changed yet
		return len(p.upcoming.tasks)
	}
	train := false // whether an earlier one of these tasks will change the host, and shares its flight
	for i := p.at + 1; i < len(p.upcoming.tasks); i++ {
		if i > 0 && p.upcoming.flushes[i-1] && p.due(p.upcoming.tasks[i-1].play, p.host) {
			return i - 1
		}
		past := p.pastLocked(p.upcoming.tasks[i])
		switch {
		case past.elsewhere:
			return i - 1
		case past.led:
			return i
		case past.changes() && !p.sharesLocked(p.upcoming.tasks[i]):
			if train { // what it reads travels with the last of those before it
				return i - 1
			}
			return i
		}
		train = train || past.acts
	}
	return len(p.upcoming.tasks)
}

// sharesLocked reports whether a task's steps may travel with those of the tasks around it, which are then planned ahead, too.
func (p *planner) sharesLocked(t *task) bool {
	return p.window < widest && p.travelsLocked(t)
}

func (p *planner) travelsLocked(t *task) bool {
	return p.share != nil && p.share(p.host, t) && !p.pastLocked(t).apart
}

// prepare lets the host start what will carry out a task's steps while the plans of other tasks still wait for what they read.
func (p *planner) prepare(t *task, d *decision) {
	here := func(it *itemPlan) bool {
		return it.delegated == nil && slices.ContainsFunc(it.plan.Steps, func(s modules.Step) bool { return s.On == nil })
	}
	if slices.ContainsFunc(d.items, here) {
		p.host.connection.prepare(t.user(p.host))
	}
}

// curb drops the plans of the tasks behind one that will change the host, as was just decided, before they read anything more.
func (p *planner) curb(t *task, d *decision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[t]
	if !ok || p.window == widest || p.sharesLocked(t) && !d.apart(t) {
		return
	}
	for next, f := range p.futures {
		if i, ok := p.upcoming.index[next]; ok && i > at {
			p.dropLocked(next, f)
		}
	}
}

// producersLocked returns the plans that must have nothing to do before a task can be planned with the results that
// they predict. ok is false if one of them is missing or has something to do, or if nothing registers a missing result.
func (p *planner) producersLocked(i int) (from map[string]*future, ok bool) {
	t := p.upcoming.tasks[i]
	if t.references.AllResults || t.references.Peers.ReadsResults() { // results of other hosts are available only when the task's turn comes
		return nil, false
	}
	var others []string
	for _, name := range t.references.Results {
		at, ok := p.upcoming.producers[i][name]
		if !ok || at < p.at {
			others = append(others, name)
			continue
		}
		f := p.futures[p.upcoming.tasks[at]]
		if f == nil || f.ready.Happened() && f.result == nil {
			return nil, false
		}
		if from == nil {
			from = map[string]*future{}
		}
		from[name] = f
	}
	return from, p.host.hasResults(others)
}

// futureLocked creates the future of a task. It appends to begin what starts it.
func (p *planner) futureLocked(t *task, from map[string]*future, begin *[]starting) *future {
	ctx, cancel := context.WithCancel(p.ctx)
	ctx, saw := observe.Track(ctx)
	f := &future{cancel: cancel, saw: saw}
	p.futures[t] = f
	likely := p.likelyLocked(t)
	changing := p.past[t].modules
	saw.Likely(likely)
	var copied []observe.Read
	if p.copied != nil && len(changing) > 0 {
		copied = p.copied(p.host, t)
	}
	*begin = append(*begin, func(plan func(context.Context, func(context.Context)), done func()) {
		p.host.observed.Want(likely)
		p.host.observed.Want(copied)
		if len(likely) == 0 {
			p.announce(t)
		}
		for _, m := range changing {
			forecast(p.host.observed, m)
		}
		plan(ctx, func(ctx context.Context) {
			defer done()
			defer cancel()
			defer f.ready.Happen()
			if results, ok := p.foresee(ctx, t, from); ok {
				f.decision = p.decide(ctx, t, results)
				if f.decision.hasSteps() {
					p.prepare(t, f.decision)
					p.curb(t, f.decision)
				}
				if t.Register != "" && f.decision.foreseeable(t) {
					result := f.decision.nothingToDo(t).value()
					f.result = &result
				}
			} else {
				p.hold(t, f)
			}
		})
	})
	return f
}

// past is what is known of a task's last plan.
type past struct {
	// reads are what it was based on, and elsewhere is set if it was based on other hosts, too.
	reads     []observe.Read
	elsewhere bool
	// made is set once a plan was made. It acts if it had steps, and it has failed if it could not be made for an item, or not at
	// all.
	made, acts, failed bool
	// led is set if another host carries the task out for all.
	led bool
	// apart is set if it had steps that share no flight with other tasks, whatever these are.
	apart bool
	// modules are those of the items for which it had something to do.
	modules []modules.Module
}

// changes reports whether a task will probably have something to do. A plan that was dropped while it was being made may have had.
func (p past) changes() bool { return p.acts || p.failed || !p.made && len(p.reads) > 0 }

// forecast announces what the plan of a module that has something to do will probably read.
func forecast(h *observe.Host, module modules.Module) {
	if m, ok := module.(modules.Announcer); ok {
		m.Want(h)
	}
	if m, ok := module.(modules.Forecaster); ok {
		m.MayRead(h)
	}
}

// noteLocked records what is known of a task's plan.
func (p *planner) noteLocked(t *task, f *future) {
	is := p.past[t]
	ready := f.ready.Happened() && f.decision != nil
	if reads := f.saw.Reads(); ready || len(reads) > len(is.reads) {
		is.reads = reads
	}
	if ready {
		is.made, is.acts, is.elsewhere = true, f.decision.hasSteps(), len(f.saw.Elsewhere()) > 0
		is.failed = !is.acts && f.decision.acts()
		is.led, is.modules = f.decision.elsewhere, nil
		is.apart = f.decision.apart(t)
		for _, it := range f.decision.items {
			if it.acts() && it.delegated == nil {
				is.modules = append(is.modules, it.module)
			}
		}
		p.stirs.note(t, p.host, f.decision.wide())
	}
	p.past[t] = is
}

// pastLocked returns what is known of a task's last plan.
func (p *planner) pastLocked(t *task) past {
	if f := p.futures[t]; f != nil {
		p.noteLocked(t, f)
	}
	return p.past[t]
}

// changes reports whether a task will probably have something to do, as far as its last plan tells.
func (p *planner) changes(t *task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pastLocked(t).changes()
}

// last returns what the last plan of a task was based on (see likelyLocked), and whether it had steps. One that was not made may have
// some, unless the task only checks.
func (p *planner) last(t *task) (reads []observe.Read, acts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reads = slices.Clone(p.likelyLocked(t))
	is := p.past[t]
	return reads, is.acts || !is.made && !t.checks
}

// travels reports whether a task's steps may share a flight with those of the tasks around it, as far as its last plan tells.
func (p *planner) travels(t *task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.travelsLocked(t)
}

// expect announces what will probably be read of the host next, because a step of another host's task has made it forget what it knew. It
// is then read with whatever is asked first, which is often no more than what verifies that step.
func (p *planner) expect(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, next := range p.nextLocked(t) {
		p.host.observed.Want(p.likelyLocked(next))
		p.expectCopiesLocked(next)
		for _, m := range p.past[next].modules {
			forecast(p.host.observed, m)
		}
	}
}

// expectCopies is like expect, for a step that has made the host forget only a part of what it knew. The files of which copies are kept
// before the next change are certain to be needed.
func (p *planner) expectCopies(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, next := range p.nextLocked(t) {
		p.expectCopiesLocked(next)
	}
}

func (p *planner) expectCopiesLocked(next *task) {
	if p.copied != nil && len(p.pastLocked(next).modules) > 0 {
		p.host.observed.Want(p.copied(p.host, next))
	}
}

// nextLocked returns what comes next on the host while a task's turn lasts elsewhere: the host's own turn of that task, unless it is over,
// and the tasks behind that one, up to the first that will probably have something to do.
func (p *planner) nextLocked(t *task) []*task {
	at, ok := p.upcoming.index[t]
	if !ok || p.window == 0 {
		return nil
	}
	if p.turn != t {
		at++
	}
	tasks := p.upcoming.tasks[at:min(at+mostReadAlong, len(p.upcoming.tasks))]
	for i, next := range tasks {
		if past := p.pastLocked(next); past.changes() || past.led {
			return tasks[:i+1]
		}
	}
	return tasks
}

// await waits until the plans of tasks that are being made are there.
func (p *planner) await(ctx context.Context, tasks []*task) {
	p.mu.Lock()
	var making []*future
	for _, t := range tasks {
		if f := p.futures[t]; f != nil {
			making = append(making, f)
		}
	}
	p.mu.Unlock()
	for _, f := range making {
		_ = f.ready.Wait(ctx)
	}
}

// coming returns what the next tasks, up to number, will probably read if a task changes the host.
func (p *planner) coming(t *task, number int) []observe.Read {
	p.mu.Lock()
	defer p.mu.Unlock()
	tasks := p.behindLocked(t)
	var all []observe.Read
	for _, next := range tasks[:min(number, len(tasks))] {
		all = append(all, p.likelyLocked(next)...)
	}
	return all
}

// behindLocked returns the upcoming tasks behind one of them; behind a handler, which is none of them, those behind the task
// whose turn it was. It returns none if nothing is planned ahead.
func (p *planner) behindLocked(t *task) []*task {
	at, ok := p.upcoming.index[t]
	if !ok {
		at = p.at
	}
	if p.window == 0 {
		return nil
	}
	return p.upcoming.tasks[min(at+1, len(p.upcoming.tasks)):]
}

// beyond returns the tasks that probably come after the next so many.
func (p *planner) beyond(t *task, number int) []*task {
	p.mu.Lock()
	defer p.mu.Unlock()
	tasks := p.behindLocked(t)
	tasks = tasks[min(number, len(tasks)):]
	return tasks[:min(len(tasks), mostReadAlong)]
}

// nextLeg returns the first tasks of the play behind another one, as many as are certain to follow the handlers of that play if nothing
// fails, and no more than share a flight. It returns none if handlers run in the middle of one of the two plays: which tasks follow those
// depends on what has failed, and what an earlier run has left due may run before the first task.
func (p *planner) nextLeg(play, next *lang.Play) []*task {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.upcoming.tasks, func(t *task) bool { return t.play == next })
	if at <= 0 || p.upcoming.tasks[at-1].play != play || p.window == 0 || hasFlush(play.Tasks) || hasFlush(next.Tasks) {
		return nil
	}
	end := at
	for end < min(len(p.upcoming.tasks), at+mostAlong) && p.upcoming.legs[end] == p.upcoming.legs[at] {
		end++
	}
	return p.upcoming.tasks[at:end]
}

// likelyLocked returns what a task's last plan was based on, which it will probably read again. It omits commands of
// the playbook's author if facts or results may now decide that they do not run.
func (p *planner) likelyLocked(t *task) []observe.Read {
	reads := p.pastLocked(t).reads
	refs := t.references
	if !refs.AllFacts && !refs.AllResults && len(refs.Facts)+len(refs.Results) == 0 {
		return reads
	}
	return slices.DeleteFunc(slices.Clone(reads), observe.Read.ByAuthor)
}

// foresee returns the results that a task reads, including those predicted by plans that have nothing to do.
func (p *planner) foresee(ctx context.Context, t *task, from map[string]*future) (map[string]cty.Value, bool) {
	foreseen := map[string]cty.Value{}
	for name, f := range from {
		if f.ready.Wait(ctx) != nil || f.result == nil {
			return nil, false
		}
		foreseen[name] = *f.result
	}
	return p.host.readResults(t, foreseen), true
}

// hold puts back a task that could not be planned ahead.
func (p *planner) hold(t *task, f *future) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.futures[t] == f {
		p.dropLocked(t, f)
	}
}

func (p *planner) dropLocked(t *task, f *future) {
	p.noteLocked(t, f)
	f.cancel()
	delete(p.futures, t)
	if i, ok := p.upcoming.index[t]; ok {
		p.held = append(p.held, i)
	}
}
