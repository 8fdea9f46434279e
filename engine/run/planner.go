package run

import (
	"context"
	"slices"
	"sync"

	"hlplay/engine/observe"
)

// widest limits how many tasks are planned ahead while nothing changes.
const widest = 1000

// planner plans a host's tasks, the upcoming ones ahead of their turn, as a processor executes speculatively past a
// branch. While nothing changes, all plans are ready when they are wanted, after two or three flights. When a step is
// applied, the plans after it are dropped and the window shrinks, because a host that changes once will probably change
// again. Each task that turns out unchanged doubles the window.
//
// A task that reads the result of an earlier one is planned ahead if the earlier task's plan has nothing to do, with
// the result that follows from that. Otherwise it waits for its turn.
type planner struct {
	*planning
	host *host

	mu       sync.Mutex
	upcoming *upcoming
	at       int   // index of the task whose turn it is
	turn     *task // that has begun its turn and not ended it; nil between turns
	window   int
	// next is the first task that has not been considered yet. held are earlier ones that could not be started.
	next    int
	held    []int
	futures map[*task]*future
	past    map[*task]past
}

func newPlanner(shared *planning, h *host) *planner {
	p := &planner{planning: shared, host: h, upcoming: &upcoming{}, futures: map[*task]*future{}, past: map[*task]past{}}
	if shared.readAhead {
		p.window = widest
	}
	return p
}

// begin sets the upcoming tasks at the beginning of a play, and plans them.
func (p *planner) begin(ahead *upcoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upcoming, p.at, p.next, p.held = ahead, -1, 0, nil
	p.startLocked(nil, nil)
	p.at = 0
}

// decision returns the decision about a task whose turn has come. Changes drop plans, so a decision holds until the
// next change; if called again after one, decision plans again.
func (p *planner) decision(ctx context.Context, t *task) *decision {
	for {
		p.mu.Lock()
		if i, ok := p.upcoming.index[t]; ok {
			p.at = i
		}
		p.turn = t
		f := p.futures[t]
		var here func(context.Context)
		if f == nil {
			f, here = p.startLocked(t, nil)
		}
		p.mu.Unlock()
		if here != nil {
			here(ctx)
			if err := ctx.Err(); err != nil {
				return &decision{err: err}
			}
		}
		if err := f.ready.Wait(ctx); err != nil {
			return &decision{err: err}
		}
		current := f.decision != nil && p.host.sameResults(f.decision.results)
		p.mu.Lock()
		if p.futures[t] == f {
			if current {
				// If it acts, plans for later tasks would be dropped anyway; they are made along with its verification.
				p.noteLocked(t, f)
				if !f.decision.acts() && (!f.decision.elsewhere || p.window == widest) {
					p.host.sent.idle()
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

// current reports whether nothing on which a decision is based has changed since.
func (p *planner) current(t *task, d *decision) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.futures[t]
	return f != nil && f.ready.Happened() && f.decision == d
}

// done ends a task's turn. A task with nothing to do widens the window.
func (p *planner) done(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.stirs.note(t, p.host, false)
	p.turn = nil
	if f := p.futures[t]; f != nil {
		p.noteLocked(t, f)
		f.cancel()
		delete(p.futures, t)
		p.window = min(widest, 2*p.window)
	}
}

// alongside runs fn as a planner of the host, together with the tasks that the window allows, so that their reads share
// flights.
func (p *planner) alongside(fn func(ctx context.Context)) {
	p.mu.Lock()
	_, here := p.startLocked(nil, fn)
	p.mu.Unlock()
	here(p.ctx)
}

// invalidate drops all plans, because a step that they do not take into account was carried out or predicted.
func (p *planner) invalidate() {
	p.drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = min(p.window, 2)
}

// peerChanged drops the plans that have observed another host, which a step has changed.
func (p *planner) peerChanged(peer *observe.Host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, f := range p.futures {
		if f.saw.Saw(peer) {
			p.dropLocked(t, f)
		}
	}
}

// readsChanged drops the plans that have observed something of a host that a step on another one may have changed. Of such that
// failed, that is anything: see observe.Host.ForgetTouched.
func (p *planner) readsChanged(on *observe.Host, touched func(observe.Read) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, f := range p.futures {
		reads := f.saw.Elsewhere()[on]
		if on == p.host.observed {
			reads = f.saw.Reads()
		}
		if slices.ContainsFunc(reads, touched) || len(reads) > 0 && f.failed() {
			p.dropLocked(t, f)
			p.window = min(p.window, 2)
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

// reach connects to the host if nothing has been read from it yet, so that no task succeeds on an unreachable host.
func (p *planner) reach(ctx context.Context) (err error) {
	if p.host.observed.Connected() {
		return nil
	}
	done := make(chan struct{})
	p.admit(func() <-chan struct{} {
		go func() {
			defer close(done)
			err = p.host.observed.Connect(ctx)
		}()
		return done
	})
	<-done
	return err
}
