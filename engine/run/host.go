package run

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/observe"
	"hlplay/engine/report"
)

// host is the run's state of one host.
type host struct {
	*inventory.Host
	value      cty.Value // what expressions see as `host`
	connection *connection
	observed   *observe.Host
	planner    *planner
	keeper     *keeper
	// sent holds what was sent to the host ahead of its task's turn.
	sent sentAhead
	// admitted is set once no other run held the host's lock when this run started to change it: see gate.
	admitted bool
	// reached is set once a task has had its turn on the host.
	reached bool
	// reprieved is set while a host that has failed takes part nevertheless, in its handlers for example: see despite.
	reprieved atomic.Bool
	// turns carries the host's turns to their goroutine.
	turns chan func()

	mu sync.Mutex // guards the fields below
	// results are the registered results. foretold maps those that check mode has only predicted to their tasks.
	results  map[string]cty.Value
	foretold map[string]cause
	counts   report.Counts
	// failed and unreachable hosts leave the run.
	failed, unreachable bool
	// predicted is set once check mode has changed something here: see observe.AfterChange.
	predicted bool
}

// turn runs fn, a task's turn on the host, in the goroutine of all of its turns, whose stack the first of them grows. It must not be
// called before the previous turn is about to end, nor by two goroutines.
func (h *host) turn(fn func()) {
	if h.turns == nil {
		h.turns = make(chan func())
		go func(turns <-chan func()) {
			for fn := range turns {
				fn()
			}
		}(h.turns)
	}
	h.turns <- fn
}

// count adds a task's outcome to the recap. A failure removes the host from the run unless the task says otherwise.
func (h *host) count(t *task, o outcome, ignored, rescued bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.sure {
		h.counts.Changed++
	}
	if len(o.open) > 0 {
		h.counts.Unfinished++
	}
	switch o.status {
	case report.OK:
		h.counts.OK++
	case report.Skipped:
		h.counts.Skipped++
	case report.Uncertain:
		h.counts.Uncertain++
	case report.Unreachable:
		h.counts.Unreachable++
		h.unreachable = true
	case report.Failed:
		switch {
		case ignored:
			h.counts.Ignored++
		case rescued:
			h.counts.Rescued++
		default:
			h.counts.Failed++
		}
		h.failed = h.failed || !o.forgiven
	}
}

func (h *host) counted() report.Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// register makes an outcome visible as result.NAME.
func (h *host) register(t *task, o outcome) {
	if t.Register == "" {
		return
	}
	value := o.value()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.results[t.Register] = value
	delete(h.foretold, t.Register)
	switch n := len(o.behind); {
	case o.foretold || o.unknown:
		h.foretold[t.Register] = cause{t, h.Name}
	case n > 0:
		h.foretold[t.Register] = o.behind[n-1]
	}
}

// recall registers a result of an earlier run.
func (h *host) recall(name string, value cty.Value) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.results[name] = value
	delete(h.foretold, name)
}

// adopt registers the result of a task that another host ran for all.
func (h *host) adopt(t *task, leader *host) {
	leader.mu.Lock()
	value := leader.results[t.Register]
	by, foretold := leader.foretold[t.Register]
	leader.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.results[t.Register] = value
	delete(h.foretold, t.Register)
	if foretold {
		h.foretold[t.Register] = by
	}
}

// result returns a registered result.
func (h *host) result(name string) (value cty.Value, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value, ok = h.results[name]
	return value, ok
}

// hasResults reports whether results of these names are registered.
func (h *host) hasResults(names []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		if _, ok := h.results[name]; !ok {
			return false
		}
	}
	return true
}

// readResults returns the registered results that a task's expressions read. Those in given take precedence.
func (h *host) readResults(t *task, given map[string]cty.Value) map[string]cty.Value {
	read := h.readNamed(t.references.Results, t.references.AllResults)
	maps.Copy(read, given)
	return read
}

// readNamed returns registered results by name, or all of them.
func (h *host) readNamed(names []string, all bool) map[string]cty.Value {
	h.mu.Lock()
	defer h.mu.Unlock()
	read := map[string]cty.Value{}
	if all {
		maps.Copy(read, h.results)
	}
	for _, name := range names {
		if v, ok := h.results[name]; ok {
			read[name] = v
		}
	}
	return read
}

// foretoldBy returns the tasks of those results that check mode has only predicted.
func (h *host) foretoldBy(results map[string]cty.Value) (found causeList) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range results {
		if by, ok := h.foretold[name]; ok {
			found.add(by)
		}
	}
	return found
}

// sameResults reports whether the registered results are still those that were read.
func (h *host) sameResults(read map[string]cty.Value) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, v := range read {
		if is, ok := h.results[name]; !ok || !is.RawEquals(v) {
			return false
		}
	}
	return true
}

// forgetAll forgets all observations of the host and of its peers: whatever is being waited for may happen on any of
// them. See mayHaveChanged for a peer that is ahead.
func (h *host) forgetAll() {
	h.observed.Forget()
	for _, peer := range h.observed.Peers() {
		if p := h.planner.hosts.behind(peer); p != nil {
			p.mayHaveChanged()
		} else {
			peer.Forget()
		}
	}
}

// mayHaveChanged forgets what may have changed on a host because of another one. If the host is ahead, that is only what it
// shares with others, because what it has answered of itself is all that is known of the moment before its next steps.
func (h *host) mayHaveChanged() {
	if !h.sent.unlessAhead(h.observed.Forget) {
		h.observed.ForgetShared()
	}
}

// fail removes a host from the run although no task of its own has failed there.
func (h *host) fail() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failed && !h.unreachable {
		h.failed = true
		h.counts.Failed++
	}
}

// standing reports whether a host has failed, and whether it was lost.
func (h *host) standing() (failed, unreachable bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed, h.unreachable
}

// inRun returns the hosts that have neither failed nor been lost.
func inRun(hosts []*host) (in []*host) {
	for _, h := range hosts {
		if failed, unreachable := h.standing(); !failed && !unreachable {
			in = append(in, h)
		}
	}
	return in
}

// reachable returns the hosts that were not lost.
func reachable(hosts []*host) (in []*host) {
	for _, h := range hosts {
		if _, unreachable := h.standing(); !unreachable {
			in = append(in, h)
		}
	}
	return in
}

// setFailed sets whether a host has failed, and returns the previous value.
func (h *host) setFailed(failed bool) (was bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, h.failed = h.failed, failed
	return was
}

// noteChange records that check mode has changed something on a host, and returns the previous value.
func (h *host) noteChange() (before bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.predicted = h.predicted, true
	return before
}

// hosts are the hosts that a run has used so far, with state that changes from task to task: the current peers, and the
// host that runs what must run once.
type hosts struct {
	inventory *inventory.Inventory
	// add creates the run's state of a host that is used for the first time.
	add func(*inventory.Host) *host

	mu     sync.Mutex
	met    map[string]*host
	peers  []*inventory.Host
	leader string
}

// get returns the run's state of a host, creating it on first use. A peer that is not in any play is only connected to
// if it is observed.
func (a *hosts) get(ih *inventory.Host) *host {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.met[ih.Name]
	if h == nil {
		h = a.add(ih)
		a.met[ih.Name] = h
	}
	return h
}

// known returns the run's state of a host, or nil if the run has not used it.
func (a *hosts) known(name string) *host {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.met[name]
}

// all returns the hosts that were used, in the inventory's order.
func (a *hosts) all() []*host {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*host, 0, len(a.met))
	for _, ih := range a.inventory.Hosts {
		if h := a.met[ih.Name]; h != nil {
			all = append(all, h)
		}
	}
	return all
}

// observed returns the modules' views of all hosts.
func (a *hosts) observed() []*observe.Host {
	all := a.all()
	views := make([]*observe.Host, len(all))
	for i, h := range all {
		views[i] = h.observed
	}
	return views
}

// behind returns the host that belongs to a module's view.
func (a *hosts) behind(o *observe.Host) *host { return a.known(o.Name()) }

func (a *hosts) setPeers(peers []*inventory.Host) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers = peers
}

// observedPeers returns the hosts of the current play, regardless of --limit.
func (a *hosts) observedPeers() []*observe.Host {
	a.mu.Lock()
	peers := a.peers
	a.mu.Unlock()
	views := make([]*observe.Host, 0, len(peers))
	for _, ih := range peers {
		views = append(views, a.get(ih).observed)
	}
	return views
}

func (a *hosts) observedPeer(name string) (*observe.Host, error) {
	ih := a.inventory.Host(name)
	if ih == nil {
		return nil, fmt.Errorf("no host %q in the inventory %s", name, a.inventory.Path)
	}
	return a.get(ih).observed, nil
}

// setLeader makes h the host that runs what must run once, and returns the previous one, or nil.
func (a *hosts) setLeader(h *host) (was *host) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was = a.met[a.leader]
	a.leader = h.Name
	return was
}

// leads reports whether h is the host that runs run_once tasks and cluster-wide changes.
func (a *hosts) leads(h *host) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leader == h.Name
}

func names(hosts []*host) []string {
	all := make([]string, 0, len(hosts))
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return all
}

// despite calls fn with the failed hosts included again. They stay failed whatever fn does.
func despite(hosts []*host, fn func()) {
	var failed []*host
	for _, h := range hosts {
		if h.setFailed(false) {
			failed = append(failed, h)
			h.reprieved.Store(true)
		}
	}
	fn()
	for _, h := range failed {
		h.setFailed(true)
		h.reprieved.Store(false)
	}
}
