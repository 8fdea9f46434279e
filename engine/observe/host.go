package observe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

// Asker sends queries to a host in one flight. remote.Session is one.
type Asker interface {
	Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error)
}

// Host is the read side of one host: what is remembered and predicted of it, and the flights that
// fetch the rest. All its methods may be called from many goroutines.
type Host struct {
	hostName, address string
	dial              func(context.Context) (Asker, error)
	probeDial         Dial // see SetDial

	peers func() []*Host
	peer  func(name string) (*Host, error)

	mu        sync.Mutex
	memory    map[Key]*entry
	predicted map[Key]prediction
	vague     []Expectation // those with Match
	pending   []*entry
	running   int // planners of this host that are not waiting
	flying    bool
	connected *connected // from the first observation on
	flightCtx context.Context
	flights   int
	reads     int
	forgotten int // how often
}

type prediction struct {
	value   any
	unknown string
}

// connected is a way to the host that is being opened, and is there once ready is closed.
type connected struct {
	ready chan struct{}
	asker Asker
	err   error
}

// entry is one observation: waited for, in flight, or remembered.
type entry struct {
	key     Key
	kind    kind
	waiters map[*waiter]struct{}
	sent    bool // its flight has left
	done    bool
	value   any
	err     error
}

// waiter is one goroutine that waits; home is the host whose planner it is, nil for none.
type waiter struct {
	home *Host
	wake chan struct{}
}

// await returns when w is woken, or when ctx ends. waiters are those that w is among until it is to be
// woken, guarded by mu.
func (w *waiter) await(ctx context.Context, mu *sync.Mutex, waiters map[*waiter]struct{}) error {
	select {
	case <-w.wake:
		return nil
	case <-ctx.Done():
	}
	mu.Lock()
	_, still := waiters[w]
	delete(waiters, w)
	mu.Unlock()
	switch {
	case !still: // it is just being counted in and woken
		<-w.wake
	case w.home != nil: // nobody else will count it in
		w.home.arrive()
	}
	return ctx.Err()
}

// wake ends the waiting of all. Planners are counted in before they wake, and all before any: a planner
// that finishes at once must not let a flight go that the others would still add to.
func wake(all []*waiter) {
	for _, w := range all {
		if w.home != nil {
			w.home.arrive()
		}
	}
	for _, w := range all {
		close(w.wake)
	}
}

// NewHost returns a host of which nothing is known yet. dial is called when the first observation is
// asked for, and again after it has failed; ctx bounds every flight.
func NewHost(ctx context.Context, name, address string, dial func(context.Context) (Asker, error)) *Host {
	return &Host{
		hostName: name, address: address, dial: dial, flightCtx: ctx,
		memory: map[Key]*entry{}, predicted: map[Key]prediction{},
	}
}

// NewRecorded returns a host of which exactly the given observations are known; asking for
// another is an error that names the key. It is what table tests of plans run against.
func NewRecorded(name string, known ...Expectation) *Host {
	h := NewHost(context.Background(), name, "192.0.2.1", func(context.Context) (Asker, error) {
		return notRecorded{}, nil
	})
	h.Predict(known)
	return h
}

type notRecorded struct{}

func (notRecorded) Ask(_ context.Context, queries []remote.Query) ([]remote.Answer, error) {
	return nil, errors.New("the observation is not recorded for this test")
}

// Name is the host's name in the inventory.
func (h *Host) Name() string { return h.hostName }

// Address is where the inventory says that the host is; a name or an IP address.
func (h *Host) Address() string { return h.address }

// SetPeers gives the host its view of the others: all is the hosts that the play names, in the
// inventory's order and whatever --limit says; find looks up any host of the inventory.
func (h *Host) SetPeers(all func() []*Host, find func(name string) (*Host, error)) {
	h.peers, h.peer = all, find
}

// Peers are the hosts of the play, this one included, in the inventory's order.
func (h *Host) Peers() []*Host {
	if h.peers == nil {
		return []*Host{h}
	}
	return h.peers()
}

// Peer is another host of the inventory, or this one. It is connected to when first observed.
func (h *Host) Peer(name string) (*Host, error) {
	if name == h.hostName {
		return h, nil
	}
	if h.peer == nil {
		return nil, fmt.Errorf("no host %q in the inventory", name)
	}
	return h.peer(name)
}

// Flights is the number of flights sent so far, and the number of observations they carried.
func (h *Host) Flights() (flights, observations int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flights, h.reads
}

type plannerKey struct{}

// Go runs fn as a planner of this host: as long as one of a host's planners runs and does not
// wait, the host's next flight is held back for what that planner may still ask. The context
// given to fn must be the one that it observes with.
func (h *Host) Go(ctx context.Context, fn func(ctx context.Context)) {
	h.arrive()
	go func() {
		defer h.leave()
		fn(context.WithValue(ctx, plannerKey{}, h))
	}()
}

// Together runs functions side by side as planners of the calling planner's host and returns when all
// have ended, so that what they read travels together. A panic in one of them is the caller's.
func Together(ctx context.Context, fns ...func(ctx context.Context)) {
	if len(fns) == 0 {
		return
	}
	h, _ := ctx.Value(plannerKey{}).(*Host)
	if h != nil {
		h.mu.Lock()
		h.running += len(fns) - 1 // the caller's own place goes to one of them
		h.mu.Unlock()
	}
	var left atomic.Int64
	left.Store(int64(len(fns)))
	var panicked atomic.Pointer[defect.Error]
	done := make(chan struct{})
	for _, fn := range fns {
		go func() {
			defer func() {
				if p := recover(); p != nil {
					panicked.Store(defect.Recovered("reading", p))
				}
				switch {
				case left.Add(-1) == 0: // its place goes back to the caller
					close(done)
				case h != nil:
					h.leave()
				}
			}()
			fn(ctx)
		}()
	}
	<-done
	if p := panicked.Load(); p != nil {
		panic(p)
	}
}

func (h *Host) arrive() {
	h.mu.Lock()
	h.running++
	h.mu.Unlock()
}

func (h *Host) leave() {
	h.mu.Lock()
	h.running--
	h.flushLocked()
	h.mu.Unlock()
}

// Forget drops all that a step can have changed.
// Predictions stay; they belong to check mode, in which nothing is applied.
func (h *Host) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(false)
}

// ForgetAll drops all that is remembered: the host was rebooted.
func (h *Host) ForgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(true)
}

// ForgetShared drops what a step on another host can have changed: see Kind.Shared.
func (h *Host) ForgetShared() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetWhere(func(key Key, e *entry) bool { return e.kind.shared(key.Name) })
}

func (h *Host) forgetLocked(lasting bool) {
	h.forgetWhere(func(_ Key, e *entry) bool { return lasting || !e.kind.lasting() })
}

func (h *Host) forgetWhere(stale func(Key, *entry) bool) {
	h.forgotten++
	for key, e := range h.memory {
		if e.sent && stale(key, e) { // what is not sent yet will be read after the step
			delete(h.memory, key)
		}
	}
}

// Predict lays expectations over what is observed. Those for other hosts go there.
func (h *Host) Predict(expectations []Expectation) {
	for _, e := range expectations {
		on := h
		if e.Host != nil {
			on = e.Host
		}
		on.mu.Lock()
		switch {
		case e.Match != nil:
			on.vague = append(on.vague, e)
			if e.Values != nil {
				maps.DeleteFunc(on.predicted, func(k Key, _ prediction) bool { return e.Match(k) })
			}
		case e.Update != nil && on.expects(e.Key):
			if before := on.predicted[e.Key]; before.unknown == "" {
				on.predicted[e.Key] = prediction{value: e.Update(before.value)}
			}
		default:
			on.predicted[e.Key] = prediction{e.Value, e.Unknown}
		}
		on.mu.Unlock()
	}
}

// expects reports whether a step expects something of exactly that key.
func (h *Host) expects(key Key) bool {
	_, ok := h.predicted[key]
	return ok
}

// Known returns what is remembered or predicted under a key, without fetching it.
func (h *Host) Known(key Key) (any, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.expectedLocked(key); ok {
		return p.value, p.unknown == ""
	}
	if e, ok := h.memory[key]; ok && e.done && e.err == nil && h.doubtLocked(key, e.value) == "" {
		return e.value, true
	}
	return nil, false
}

// expectedLocked is what steps expect of a key.
func (h *Host) expectedLocked(key Key) (prediction, bool) {
	if p, ok := h.predicted[key]; ok {
		return p, true
	}
	for _, v := range slices.Backward(h.vague) {
		switch {
		case v.If != nil, v.Appears, !v.Match(key):
		case v.Values != nil:
			return prediction{value: v.Values(key)}, true
		default:
			return prediction{unknown: v.Unknown}, true
		}
	}
	return prediction{}, false
}

// doubtLocked is why what was really observed may be different when its turn comes; empty where nothing says so.
func (h *Host) doubtLocked(key Key, value any) string {
	for _, v := range slices.Backward(h.vague) {
		if v.If != nil && v.Match(key) && v.If(value) {
			return v.Unknown
		}
	}
	return ""
}

// mayAppear is why something may be there when its turn comes that is not there now; empty where nothing says so.
func (h *Host) mayAppear(key Key) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.expectedLocked(key); ok {
		return ""
	}
	for _, v := range slices.Backward(h.vague) {
		if v.Appears && v.Match(key) {
			return v.Unknown
		}
	}
	return ""
}

// foundLocked is what was observed under a name, and an error if that says nothing about when its turn comes.
func (h *Host) foundLocked(k kind, name string, e *entry) (any, error) {
	if e.err != nil {
		return e.value, e.err
	}
	if because := h.doubtLocked(e.key, e.value); because != "" {
		return nil, &UnknownError{h.hostName, e.key, k.words(name), because}
	}
	return e.value, nil
}

func (h *Host) predictionLocked(k kind, name string) (value any, err error, ok bool) {
	key := Key{k.name(), name}
	p, ok := h.expectedLocked(key)
	if p.unknown != "" {
		return nil, &UnknownError{h.hostName, key, k.words(name), p.unknown}, true
	}
	return p.value, nil, ok
}

// entryLocked returns the entry for a key, new and pending if there is none.
func (h *Host) entryLocked(k kind, name string) *entry {
	key := Key{k.name(), name}
	e, ok := h.memory[key]
	if !ok {
		e = &entry{key: key, kind: k, waiters: map[*waiter]struct{}{}}
		h.memory[key] = e
		if k.probes() {
			h.probeLocked(e)
		} else {
			h.pending = append(h.pending, e)
		}
	}
	return e
}

func (h *Host) want(k kind, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, _, ok := h.predictionLocked(k, name); !ok {
		h.entryLocked(k, name)
	}
}

func (h *Host) observe(ctx context.Context, k kind, name string) (any, error) {
	home, _ := ctx.Value(plannerKey{}).(*Host)
	if t, ok := ctx.Value(trackerKey{}).(*Tracker); ok {
		t.add(h, home, Read{k, name})
	}
	h.mu.Lock()
	if err := ctx.Err(); err != nil { // a plan that was dropped meanwhile asks for nothing more
		h.mu.Unlock()
		return nil, err
	}
	if value, err, ok := h.predictionLocked(k, name); ok {
		h.mu.Unlock()
		return value, err
	}
	e := h.entryLocked(k, name)
	if e.done {
		defer h.mu.Unlock()
		return h.foundLocked(k, name, e)
	}
	w := &waiter{home: home, wake: make(chan struct{})}
	e.waiters[w] = struct{}{}
	if !k.probes() {
		h.connectLocked() // while planners still find out what else they need
	}
	h.mu.Unlock()
	if home != nil {
		home.leave()
	}
	if home != h {
		h.mu.Lock()
		h.flushLocked()
		h.mu.Unlock()
	}
	if err := w.await(ctx, &h.mu, e.waiters); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.foundLocked(k, name, e)
}

// flushLocked sends all that is pending if every planner of the host waits, and one of them for some of it.
func (h *Host) flushLocked() {
	if h.running > 0 || h.flying || !slices.ContainsFunc(h.pending, func(e *entry) bool { return len(e.waiters) > 0 }) {
		return
	}
	batch := h.pending
	h.pending = nil
	h.flying = true
	h.flights++
	h.reads += len(batch)
	for _, e := range batch {
		e.sent = true
	}
	go h.fly(batch)
}

// fly fetches a batch and delivers it.
func (h *Host) fly(batch []*entry) {
	results, err := h.fetch(batch)
	h.mu.Lock()
	var woken []*waiter
	for _, e := range batch {
		o, told := results[e]
		switch {
		case err != nil:
			e.err = err
			if h.memory[e.key] == e { // a failed flight is not a memory
				delete(h.memory, e.key)
			}
		default:
			h.settleLocked(e, o, told)
		}
		e.done = true
		for w := range e.waiters {
			woken = append(woken, w)
			delete(e.waiters, w)
		}
	}
	h.mu.Unlock()
	wake(woken)
	h.mu.Lock()
	h.flying = false
	h.flushLocked()
	h.mu.Unlock()
}

// settleLocked gives an entry what came for it.
func (h *Host) settleLocked(e *entry, o result, told bool) {
	e.value, e.err, e.done = o.value, o.err, true
	if !told {
		e.err = fmt.Errorf("observation %s on %s: the answer does not mention it", e.key, h.hostName)
	}
}

// result is what a flight brought for one entry.
type result struct {
	value any
	err   error
}

// fetch asks for a batch, kind by kind, and tells what came. A panic is an error of the flight.
func (h *Host) fetch(batch []*entry) (results map[*entry]result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = defect.Recovered("observing "+h.hostName, p)
		}
	}()
	requests := requestsFor(batch)
	var queries []remote.Query
	for _, r := range requests {
		queries = append(queries, r.queries...)
	}
	answers, err := h.send(queries)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(queries) {
		return nil, fmt.Errorf("%s answered %d of %d queries", h.hostName, len(answers), len(queries))
	}
	results = make(map[*entry]result, len(batch))
	for _, r := range requests {
		r.tell(answers[:len(r.queries)], results)
		answers = answers[len(r.queries):]
	}
	return results, nil
}

// request is what is asked of one kind.
type request struct {
	kind    kind
	names   []string
	entries map[string]*entry
	queries []remote.Query
	defect  error // of a kind that panicked
}

// requestsFor are those that fetch a batch, in the order of the kinds' names.
func requestsFor(batch []*entry) []*request {
	byKind := map[string]*request{}
	var all []*request
	for _, e := range batch {
		r := byKind[e.key.Kind]
		if r == nil {
			r = &request{kind: e.kind, entries: map[string]*entry{}}
			byKind[e.key.Kind] = r
			all = append(all, r)
		}
		r.names = append(r.names, e.key.Name)
		r.entries[e.key.Name] = e
	}
	slices.SortFunc(all, func(a, b *request) int { return strings.Compare(a.kind.name(), b.kind.name()) })
	for _, r := range all {
		slices.Sort(r.names)
		r.ask()
	}
	return all
}

func (r *request) ask() {
	defer r.catch()
	r.queries = r.kind.ask(r.names)
}

// catch, deferred, turns a panic of the kind into an error of its own observations: a defect in one module must not keep others
// from acting, nor leave other hosts in the middle of a step.
func (r *request) catch() {
	if p := recover(); p != nil {
		r.defect = defect.Recovered("observing "+r.kind.name(), p)
	}
}

// tell puts what the answers say into results.
func (r *request) tell(answers []remote.Answer, results map[*entry]result) {
	if r.defect == nil {
		r.parse(answers, results)
	}
	if r.defect == nil {
		return
	}
	for _, e := range r.entries {
		if _, told := results[e]; !told {
			results[e] = result{err: r.defect}
		}
	}
}

func (r *request) parse(answers []remote.Answer, results map[*entry]result) {
	defer r.catch()
	r.kind.parse(r.names, answers, func(name string, value any, err error) {
		if e := r.entries[name]; e != nil {
			results[e] = result{value, err}
		}
	})
}

// connectLocked begins to connect, unless that is done or under way.
func (h *Host) connectLocked() *connected {
	if h.connected != nil {
		return h.connected
	}
	c := &connected{ready: make(chan struct{})}
	h.connected = c
	go func() {
		defer close(c.ready)
		defer func() {
			if p := recover(); p != nil {
				c.err = defect.Recovered("connecting to "+h.hostName, p)
			}
		}()
		c.asker, c.err = h.dial(h.flightCtx)
	}()
	return c
}

// Connect returns when the host is connected to, with the reason if it cannot be, or when ctx ends. Where an observation
// has connected already it costs nothing.
func (h *Host) Connect(ctx context.Context) error {
	_, err := h.connect(ctx)
	return err
}

// Connected reports whether the host has been connected to.
func (h *Host) Connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.connected == nil {
		return false
	}
	select {
	case <-h.connected.ready:
		return h.connected.err == nil
	default:
		return false
	}
}

func (h *Host) connect(ctx context.Context) (Asker, error) {
	h.mu.Lock()
	c := h.connectLocked()
	h.mu.Unlock()
	select {
	case <-c.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.err != nil {
		h.mu.Lock()
		if h.connected == c {
			h.connected = nil // who asks next tries again
		}
		h.mu.Unlock()
	}
	return c.asker, c.err
}

// send asks when the host is connected.
func (h *Host) send(queries []remote.Query) ([]remote.Answer, error) {
	if err := h.flightCtx.Err(); err != nil {
		return nil, err
	}
	asker, err := h.connect(context.WithoutCancel(h.flightCtx)) // the dialling ends with flightCtx
	if err != nil {
		return nil, err
	}
	return asker.Ask(h.flightCtx, queries)
}
