package run

import (
	"context"
	"sync"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
)

// widest is how many tasks are planned ahead at most while nothing changes.
const widest = 1000

// ahead plans a host's upcoming tasks before their turn, as a processor executes past a branch. While
// nothing changes, all plans are there when they are wanted, from two or three flights. When a step
// is applied the plans behind it are dropped, and the window shrinks, for a host that changes once
// will likely change again; each task that turns out unchanged doubles it.
type ahead struct {
	r *runner
	h *host

	mu      sync.Mutex
	slots   []*slot // of the whole run, in order
	at      int     // the slot whose turn it is
	window  int
	futures map[*slot]*future
}

// future is a decision being made.
type future struct {
	cancel   context.CancelFunc
	saw      *observe.Tracker
	done     chan struct{}
	decision *decision
}

func newAhead(r *runner, h *host) *ahead {
	a := &ahead{r: r, h: h, window: widest, futures: map[*slot]*future{}}
	if r.options.NoReadAhead {
		a.window = 0
	}
	return a
}

// begin sets the road ahead at the beginning of a play: its slots and what follows them.
func (a *ahead) begin(play *lang.Play, slots []*slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots, a.at = slots, -1
	a.startLocked(nil, nil)
	a.at = 0
}

// take returns the decision for a slot whose turn has come. What changes drops it, so a decision
// that is taken holds until the next change; taken again after one, it is made anew.
func (a *ahead) take(ctx context.Context, s *slot) *decision {
	for {
		a.mu.Lock()
		a.moveTo(s)
		f := a.futures[s]
		if f == nil {
			f = a.startLocked(s, nil)
		} else {
			a.startLocked(nil, nil)
		}
		a.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return &decision{err: ctx.Err()}
		}
		a.mu.Lock()
		valid := a.futures[s] == f
		a.mu.Unlock()
		if valid {
			return f.decision
		}
	}
}

// holds says whether a decision that was taken is still current: nothing that it saw has changed since.
func (a *ahead) holds(s *slot, d *decision) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.futures[s]
	if f == nil {
		return false
	}
	select {
	case <-f.done:
		return f.decision == d
	default:
		return false
	}
}

// pass ends a slot's turn. One that needed nothing widens the window.
func (a *ahead) pass(s *slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.futures[s]; f != nil {
		f.cancel()
		delete(a.futures, s)
		a.window = min(widest, 2*a.window)
	}
}

func (a *ahead) moveTo(s *slot) {
	for i := a.at; i < len(a.slots); i++ {
		if a.slots[i] == s {
			a.at = i
			return
		}
	}
}

// alongside runs fn as a planner of the host together with what the window allows, so that what they
// read travels in one flight.
func (a *ahead) alongside(fn func(ctx context.Context)) {
	a.mu.Lock()
	a.startLocked(nil, fn)
	a.mu.Unlock()
}

// startLocked starts planning s (if not nil) and the slots behind it, all held until each has said
// what it reads first.
func (a *ahead) startLocked(s *slot, also func(ctx context.Context)) *future {
	var starting []*slot
	if s != nil {
		starting = append(starting, s)
	}
	for i := a.at + 1; i < len(a.slots) && i <= a.at+a.window; i++ {
		next := a.slots[i]
		if a.futures[next] == nil && next != s && a.r.resultsThere(a.h, next) {
			starting = append(starting, next)
		}
	}
	var first *future
	type begun struct {
		slot *slot
		ctx  context.Context
		f    *future
	}
	var all []begun
	for _, next := range starting {
		ctx, cancel := context.WithCancel(a.r.ctx)
		ctx, saw := observe.Track(ctx)
		f := &future{cancel: cancel, saw: saw, done: make(chan struct{})}
		a.futures[next] = f
		if next == s {
			first = f
		}
		all = append(all, begun{next, ctx, f})
	}
	if len(all) == 0 && also == nil {
		return nil
	}
	a.h.observed.Go(a.r.ctx, func(ctx context.Context) {
		for _, b := range all {
			a.h.observed.Go(b.ctx, func(ctx context.Context) {
				defer b.f.cancel()
				defer close(b.f.done)
				b.f.decision = a.r.decide(ctx, a.h, b.slot)
			})
		}
		if also != nil {
			also(ctx)
		}
	})
	return first
}

// changed drops all plans: a step was applied, or predicted, that they have not seen.
func (a *ahead) changed() {
	a.drop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window = min(a.window, 2)
}

// peerChanged drops the plans that looked at another host, which a step has touched.
func (a *ahead) peerChanged(peer *observe.Host) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, f := range a.futures {
		if f.saw.Saw(peer) {
			f.cancel()
			delete(a.futures, s)
		}
	}
}

func (a *ahead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, f := range a.futures {
		f.cancel()
		delete(a.futures, s)
	}
}

// resultsThere says whether all results that a slot's expressions read are registered on the host; of
// one that may read any it is known only when its turn has come.
func (r *runner) resultsThere(h *host, s *slot) bool {
	if s.references.AllResults {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range s.references.Results {
		if _, ok := h.results[name]; !ok {
			return false
		}
	}
	return true
}
