package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
)

// widest is how many tasks are planned ahead at most while nothing changes.
const widest = 1000

// hostsAtOnce is on how many hosts tasks are planned ahead at a time. Each of them connects, and has a
// goroutine for each task meanwhile; what is planned needs little.
const hostsAtOnce = 64

// slowHost is how long a host that is slow, or does not answer at all, keeps its place among those.
const slowHost = 4 * time.Second

// ahead plans a host's upcoming tasks before their turn, as a processor executes past a branch. While
// nothing changes, all plans are there when they are wanted, from two or three flights. When a step
// is applied the plans behind it are dropped, and the window shrinks, for a host that changes once
// will likely change again; each task that turns out unchanged doubles it.
//
// A task that reads the result of one before it is planned with the result that the other will have if
// its plan says that there is nothing to do; otherwise it waits for its turn.
type ahead struct {
	r *runner
	h *host

	mu     sync.Mutex
	road   *road
	at     int // the slot whose turn it is
	window int
	// next is the first slot that was not yet considered, held those behind that could not be begun.
	next    int
	held    []int
	futures map[*slot]*future
	// reads are what each slot was planned from when it was last planned.
	reads map[*slot][]observe.Read
}

// future is a decision being made.
type future struct {
	cancel   context.CancelFunc
	saw      *observe.Tracker
	ready    observe.Event
	decision *decision // nil if it could not be made ahead
	// result is what the task will register if nothing is to be done; nil if that is not so.
	result *cty.Value
}

func newAhead(r *runner, h *host) *ahead {
	a := &ahead{r: r, h: h, road: &road{}, window: widest, futures: map[*slot]*future{}, reads: map[*slot][]observe.Read{}}
	if r.options.NoReadAhead {
		a.window = 0
	}
	return a
}

// begin sets the road at the beginning of a play.
func (a *ahead) begin(way *road) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.road, a.at, a.next, a.held = way, -1, 0, nil
	a.startLocked(nil, nil)
	a.at = 0
}

// take returns the decision for a slot whose turn has come. What changes drops it, so a decision
// that is taken holds until the next change; taken again after one, it is made anew.
func (a *ahead) take(ctx context.Context, s *slot) *decision {
	for {
		a.mu.Lock()
		if i, ok := a.road.index[s]; ok {
			a.at = i
		}
		f := a.futures[s]
		if f == nil {
			f = a.startLocked(s, nil)
		}
		a.mu.Unlock()
		if err := f.ready.Wait(ctx); err != nil {
			return &decision{err: err}
		}
		current := f.decision != nil && a.r.sameResults(a.h, f.decision.results)
		a.mu.Lock()
		if a.futures[s] == f {
			if current {
				// If it acts, what were planned behind it now would be dropped: that is planned with its
				// verification.
				if !f.decision.acts() {
					a.startLocked(nil, nil)
				}
				a.mu.Unlock()
				return f.decision
			}
			delete(a.futures, s)
		}
		a.mu.Unlock()
	}
}

// holds says whether a decision that was taken is still current: nothing that it saw has changed since.
func (a *ahead) holds(s *slot, d *decision) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.futures[s]
	return f != nil && f.ready.Happened() && f.decision == d
}

// pass ends a slot's turn. One that needed nothing widens the window.
func (a *ahead) pass(s *slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.futures[s]; f != nil {
		a.noteLocked(s, f)
		f.cancel()
		delete(a.futures, s)
		a.window = min(widest, 2*a.window)
	}
}

// alongside runs fn as a planner of the host together with what the window allows, so that what they
// read travels in one flight.
func (a *ahead) alongside(fn func(ctx context.Context)) {
	a.mu.Lock()
	a.startLocked(nil, fn)
	a.mu.Unlock()
}

// startLocked starts planning s (if not nil) and what the window allows behind the slot whose turn it
// is, all held until each has said what it reads first.
func (a *ahead) startLocked(s *slot, also func(ctx context.Context)) *future {
	var begin []func(done func())
	var first *future
	if s != nil {
		first = a.futureLocked(s, nil, &begin)
	}
	for _, i := range a.upcomingLocked() {
		next := a.road.slots[i]
		if i <= a.at || a.futures[next] != nil {
			continue
		}
		if from, ok := a.producersLocked(i); ok {
			a.futureLocked(next, from, &begin)
		} else {
			a.held = append(a.held, i)
		}
	}
	if len(begin) == 0 && also == nil {
		return first
	}
	var begun sync.WaitGroup
	begun.Add(len(begin))
	start := func() {
		a.h.observed.Go(a.r.ctx, func(ctx context.Context) {
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
	go a.r.seated(func() <-chan struct{} {
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

// seated starts work on a host when there is room for one more, and returns when it has ended or the host is slow.
func (r *runner) seated(start func() (ended <-chan struct{})) {
	select {
	case r.planning <- struct{}{}:
		defer func() { <-r.planning }()
	case <-r.ctx.Done(): // the work finds that for itself
	}
	patience := time.NewTimer(slowHost)
	defer patience.Stop()
	select {
	case <-start():
	case <-patience.C:
	}
}

// upcomingLocked takes out the slots that may be begun now, in order: those held back and those that the
// window has reached.
func (a *ahead) upcomingLocked() []int {
	upcoming := a.held
	a.held = nil
	slices.Sort(upcoming)
	for a.next = max(a.next, a.at+1); a.next < len(a.road.slots) && a.next <= a.at+a.window; a.next++ {
		upcoming = append(upcoming, a.next)
	}
	return upcoming
}

// producersLocked finds the plans that must say that there is nothing to do before a slot can be planned
// with the results that they foretell; ok is false if one of them is not there or says otherwise, or
// if a result is missing that none of them registers.
func (a *ahead) producersLocked(i int) (from map[string]*future, ok bool) {
	s := a.road.slots[i]
	if s.references.AllResults {
		return nil, false
	}
	var others []string
	for _, name := range s.references.Results {
		at, ok := a.road.producers[i][name]
		if !ok || at < a.at {
			others = append(others, name)
			continue
		}
		f := a.futures[a.road.slots[at]]
		if f == nil || f.ready.Happened() && f.result == nil {
			return nil, false
		}
		if from == nil {
			from = map[string]*future{}
		}
		from[name] = f
	}
	return from, a.r.registered(a.h, others)
}

// futureLocked makes the future of a slot; calling what it adds to begin sets it to work.
func (a *ahead) futureLocked(s *slot, from map[string]*future, begin *[]func(done func())) *future {
	ctx, cancel := context.WithCancel(a.r.ctx)
	ctx, saw := observe.Track(ctx)
	f := &future{cancel: cancel, saw: saw}
	a.futures[s] = f
	likely := a.likelyLocked(s)
	*begin = append(*begin, func(done func()) {
		a.h.observed.Want(likely)
		if len(likely) == 0 {
			a.r.announce(a.h, s)
		}
		a.h.observed.Go(ctx, func(ctx context.Context) {
			defer done()
			defer cancel()
			defer f.ready.Happen()
			if results, ok := a.foresee(ctx, s, from); ok {
				f.decision = a.r.decide(ctx, a.h, s, results)
				if s.task.Register != "" && f.decision.foreseeable(s) {
					result := f.decision.nothingToDo(s).value()
					f.result = &result
				}
			} else {
				a.hold(s, f)
			}
		})
	})
	return f
}

// noteLocked remembers what a slot was planned from, or as much as is known of that.
func (a *ahead) noteLocked(s *slot, f *future) {
	if reads := f.saw.Reads(); f.ready.Happened() && f.decision != nil || len(reads) > len(a.reads[s]) {
		a.reads[s] = reads
	}
}

// widestRide is for how many tasks at most what they read travels with a step before them.
const widestRide = 2

// coming is what the slots behind one will probably read if it changes the host. A handler stands before the
// slots behind the one whose turn it was.
func (a *ahead) coming(s *slot) []observe.Read {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.road.index[s]
	if !ok {
		at = a.at
	}
	if a.window == 0 {
		return nil
	}
	var all []observe.Read
	for i := at + 1; i < len(a.road.slots) && i <= at+widestRide; i++ {
		all = append(all, a.likelyLocked(a.road.slots[i])...)
	}
	return all
}

// likelyLocked is what a slot was planned from when it was last planned: it will probably read the same
// again. Commands of its author are left out if facts or results may decide otherwise now whether they
// are to run.
func (a *ahead) likelyLocked(s *slot) []observe.Read {
	if f := a.futures[s]; f != nil {
		a.noteLocked(s, f)
	}
	reads := a.reads[s]
	refs := s.references
	if !refs.AllFacts && !refs.AllResults && len(refs.Facts)+len(refs.Results) == 0 {
		return reads
	}
	return slices.DeleteFunc(slices.Clone(reads), observe.Read.ByAuthor)
}

// foresee is the results that a slot reads, some as they will be if other plans have nothing to do.
func (a *ahead) foresee(ctx context.Context, s *slot, from map[string]*future) (map[string]cty.Value, bool) {
	foreseen := map[string]cty.Value{}
	for name, f := range from {
		if f.ready.Wait(ctx) != nil || f.result == nil {
			return nil, false
		}
		foreseen[name] = *f.result
	}
	return a.r.results(a.h, s, foreseen), true
}

// hold puts a slot back that could not be planned ahead.
func (a *ahead) hold(s *slot, f *future) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.futures[s] == f {
		a.dropLocked(s, f)
	}
}

func (a *ahead) dropLocked(s *slot, f *future) {
	a.noteLocked(s, f)
	f.cancel()
	delete(a.futures, s)
	if i, ok := a.road.index[s]; ok {
		a.held = append(a.held, i)
	}
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
			a.dropLocked(s, f)
		}
	}
}

// sharedChanged drops the plans that looked at what the hosts share, which a step on another host may have changed.
func (a *ahead) sharedChanged() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, f := range a.futures {
		shared := slices.ContainsFunc(f.saw.Reads(), observe.Read.Shared)
		for _, reads := range f.saw.Elsewhere() {
			shared = shared || slices.ContainsFunc(reads, observe.Read.Shared)
		}
		if shared {
			a.dropLocked(s, f)
		}
	}
}

func (a *ahead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, f := range a.futures {
		a.noteLocked(s, f)
		f.cancel()
		delete(a.futures, s)
	}
	a.next, a.held = a.at+1, nil
}

// registered says whether results are there.
func (r *runner) registered(h *host, names []string) bool {
	if len(names) == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if _, ok := h.results[name]; !ok {
			return false
		}
	}
	return true
}

// results are those that a slot's expressions read, as far as they are there, with the foreseen ones.
func (r *runner) results(h *host, s *slot, foreseen map[string]cty.Value) map[string]cty.Value {
	read := foreseen
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.references.AllResults {
		for name, v := range h.results {
			read[name] = v
		}
	}
	for _, name := range s.references.Results {
		if _, ok := foreseen[name]; ok {
			continue
		}
		if v, ok := h.results[name]; ok {
			read[name] = v
		}
	}
	return read
}

// sameResults says whether a host's results are what a decision was made from.
func (r *runner) sameResults(h *host, read map[string]cty.Value) bool {
	if len(read) == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, v := range read {
		if is, ok := h.results[name]; !ok || !is.RawEquals(v) {
			return false
		}
	}
	return true
}
