package run

import (
	"context"
	"slices"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
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

// startLocked starts planning t, unless it is nil, and the tasks that the window allows after the current one. All are
// held until each has announced its first reads.
func (p *planner) startLocked(t *task, also func(ctx context.Context)) *future {
	var begin []func(done func())
	var first *future
	if t != nil {
		first = p.futureLocked(t, nil, &begin)
	}
	for _, i := range p.upcomingLocked() {
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
	if len(begin) == 0 && also == nil {
		return first
	}
	var begun sync.WaitGroup
	begun.Add(len(begin))
	start := func() {
		p.host.observed.Go(p.ctx, func(ctx context.Context) {
			for _, b := range begin {
				b(begun.Done)
			}
			if also != nil {
				also(ctx)
			}
		})
	}
	if also != nil || len(begin) <= 2 {
		start()
		return first
	}
	go p.admit(func() <-chan struct{} {
		start()
		ended := make(chan struct{})
		go func() {
			begun.Wait()
			close(ended)
		}()
		return ended
	})
	return first
}

// upcomingLocked removes and returns the tasks that may be started now, in order: those held back and those that the
// window has reached.
func (p *planner) upcomingLocked() []int {
	upcoming := p.held
	p.held = nil
	slices.Sort(upcoming)
	window := p.window
	if p.host.sent.only() {
		window = 0 // nothing else was read with what the host has done ahead
	}
	for p.next = max(p.next, p.at+1); p.next < len(p.upcoming.tasks) && p.next <= p.at+window; p.next++ {
		upcoming = append(upcoming, p.next)
	}
	return upcoming
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

// futureLocked creates the future of a task. It appends to begin the function that starts it.
func (p *planner) futureLocked(t *task, from map[string]*future, begin *[]func(done func())) *future {
	ctx, cancel := context.WithCancel(p.ctx)
	ctx, saw := observe.Track(ctx)
	f := &future{cancel: cancel, saw: saw}
	p.futures[t] = f
	likely := p.likelyLocked(t)
	saw.Likely(likely)
	*begin = append(*begin, func(done func()) {
		p.host.observed.Want(likely)
		if len(likely) == 0 {
			p.announce(t)
		}
		p.host.observed.Go(ctx, func(ctx context.Context) {
			defer done()
			defer cancel()
			defer f.ready.Happen()
			if results, ok := p.foresee(ctx, t, from); ok {
				f.decision = p.decide(ctx, t, results)
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

// noteLocked records what a task's plan is based on, as far as is known.
func (p *planner) noteLocked(t *task, f *future) {
	if reads := f.saw.Reads(); f.ready.Happened() && f.decision != nil || len(reads) > len(p.reads[t]) {
		p.reads[t] = reads
	}
	if f.ready.Happened() && f.decision != nil {
		p.acted[t] = f.decision.hasSteps()
	}
}

// last returns what the last plan of a task was based on (see likelyLocked), and whether it had steps.
func (p *planner) last(t *task) (reads []observe.Read, acts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reads = slices.Clone(p.likelyLocked(t))
	acts, planned := p.acted[t]
	return reads, acts || !planned
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

// widestReadback is the number of following tasks whose reads travel along with a step.
const widestReadback = 2

// coming returns what the next tasks, up to number, will probably read if a task changes the host. After a handler,
// these are the tasks after the one whose turn it was.
func (p *planner) coming(t *task, number int) []observe.Read {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[t]
	if !ok {
		at = p.at
	}
	if p.window == 0 {
		return nil
	}
	var all []observe.Read
	for i := at + 1; i < len(p.upcoming.tasks) && i <= at+number; i++ {
		all = append(all, p.likelyLocked(p.upcoming.tasks[i])...)
	}
	return all
}

// likelyLocked returns what a task's last plan was based on, which it will probably read again. It omits commands of
// the playbook's author if facts or results may now decide that they do not run.
func (p *planner) likelyLocked(t *task) []observe.Read {
	if f := p.futures[t]; f != nil {
		p.noteLocked(t, f)
	}
	reads := p.reads[t]
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
