package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/report"
)

// widest is how many tasks are planned ahead at most while nothing changes.
const widest = 1000

// hostsAtOnce is on how many hosts tasks are planned ahead at a time. Each of them connects, and has a
// goroutine for each task meanwhile; what is planned needs little.
const hostsAtOnce = 64

// slowHost is how long a host that is slow, or does not answer at all, keeps its place among those.
const slowHost = 4 * time.Second

// planning is what the planners of a run share.
type planning struct {
	ctx         context.Context // of the run
	hosts       *hosts
	expressions *expressions
	redactor    *report.Redactor
	readAhead   bool
	// room is for the hosts that are planned ahead at a time.
	room chan struct{}
}

// planner plans a host's tasks, the upcoming ones before their turn, as a processor executes past a branch. While
// nothing changes, all plans are there when they are wanted, from two or three flights. When a step
// is applied the plans behind it are dropped, and the window shrinks, for a host that changes once
// will likely change again; each task that turns out unchanged doubles it.
//
// A task that reads the result of one before it is planned with the result that the other will have if
// its plan says that there is nothing to do; otherwise it waits for its turn.
type planner struct {
	*planning
	host *host

	mu       sync.Mutex
	upcoming *upcoming
	at       int // the task whose turn it is
	window   int
	// next is the first task that was not yet considered, held those behind that could not be begun.
	next    int
	held    []int
	futures map[*task]*future
	// reads are what each task was planned from when it was last planned.
	reads map[*task][]observe.Read
}

func newPlanner(shared *planning, h *host) *planner {
	p := &planner{planning: shared, host: h, upcoming: &upcoming{}, futures: map[*task]*future{}, reads: map[*task][]observe.Read{}}
	if shared.readAhead {
		p.window = widest
	}
	return p
}

// begin sets what lies ahead at the beginning of a play, and plans it.
func (p *planner) begin(ahead *upcoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upcoming, p.at, p.next, p.held = ahead, -1, 0, nil
	p.startLocked(nil, nil)
	p.at = 0
}

// decision returns the decision for a task whose turn has come. What changes drops it, so a decision
// that is taken holds until the next change; taken again after one, it is made anew.
func (p *planner) decision(ctx context.Context, t *task) *decision {
	for {
		p.mu.Lock()
		if i, ok := p.upcoming.index[t]; ok {
			p.at = i
		}
		f := p.futures[t]
		if f == nil {
			f = p.startLocked(t, nil)
		}
		p.mu.Unlock()
		if err := f.ready.Wait(ctx); err != nil {
			return &decision{err: err}
		}
		current := f.decision != nil && p.host.sameResults(f.decision.results)
		p.mu.Lock()
		if p.futures[t] == f {
			if current {
				// If it acts, what were planned behind it now would be dropped: that is planned with its
				// verification.
				if !f.decision.acts() {
					p.startLocked(nil, nil)
				}
				p.mu.Unlock()
				return f.decision
			}
			delete(p.futures, t)
		}
		p.mu.Unlock()
	}
}

// current reports whether a decision that was taken is still current: nothing that it saw has changed since.
func (p *planner) current(t *task, d *decision) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.futures[t]
	return f != nil && f.ready.Happened() && f.decision == d
}

// done ends a task's turn. One that needed nothing widens the window.
func (p *planner) done(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.futures[t]; f != nil {
		p.noteLocked(t, f)
		f.cancel()
		delete(p.futures, t)
		p.window = min(widest, 2*p.window)
	}
}

// alongside runs fn as a planner of the host together with what the window allows, so that what they
// read travels in one flight.
func (p *planner) alongside(fn func(ctx context.Context)) {
	p.mu.Lock()
	p.startLocked(nil, fn)
	p.mu.Unlock()
}

// invalidate drops all plans: a step was applied, or predicted, that they have not seen.
func (p *planner) invalidate() {
	p.drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = min(p.window, 2)
}

// peerChanged drops the plans that looked at another host, which a step has touched.
func (p *planner) peerChanged(peer *observe.Host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, f := range p.futures {
		if f.saw.Saw(peer) {
			p.dropLocked(t, f)
		}
	}
}

// sharedChanged drops the plans that looked at what the hosts share, which a step on another host may have changed.
func (p *planner) sharedChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, f := range p.futures {
		shared := slices.ContainsFunc(f.saw.Reads(), observe.Read.Shared)
		for _, reads := range f.saw.Elsewhere() {
			shared = shared || slices.ContainsFunc(reads, observe.Read.Shared)
		}
		if shared {
			p.dropLocked(t, f)
		}
	}
}

func (p *planner) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, f := range p.futures {
		p.noteLocked(t, f)
		f.cancel()
		delete(p.futures, t)
	}
	p.next, p.held = p.at+1, nil
}

// reach connects to the host if nothing has been read of it yet: what is not there is not done for it.
func (p *planner) reach(ctx context.Context) (err error) {
	if p.host.observed.Connected() {
		return nil
	}
	done := make(chan struct{})
	go p.admit(func() <-chan struct{} {
		go func() {
			defer close(done)
			err = p.host.observed.Connect(ctx)
		}()
		return done
	})
	<-done
	return err
}

// admit starts work on a host when there is room for one more, and returns when it has ended or the host is slow.
func (p *planning) admit(start func() (ended <-chan struct{})) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-p.ctx.Done(): // the work finds that for itself
	}
	patience := time.NewTimer(slowHost)
	defer patience.Stop()
	select {
	case <-start():
	case <-patience.C:
	}
}
