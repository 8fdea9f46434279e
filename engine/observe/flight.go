package observe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

// flushLocked sends everything that is pending if all of the host's planners are waiting, at least one of them for
// something that is pending.
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
	go h.fly(batch, h.forgotten, len(h.touches))
}

// fly fetches a batch and delivers the results. forgotten is the value of Host.forgotten when the batch was sent, and since the
// number of touches.
func (h *Host) fly(batch []*entry, forgotten, since int) {
	requests, results, err := h.fetch(batch)
	h.mu.Lock()
	if h.forgotten == forgotten {
		h.keepLocked(requests, since)
	}
	var woken []*waiter
	for _, e := range batch {
		o, told := results[e]
		switch {
		case err != nil:
			e.err = err
			if h.memory[e.key] == e { // a failed flight is not remembered
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

// settleLocked stores the result in an entry.
func (h *Host) settleLocked(e *entry, o result, told bool) {
	e.value, e.err, e.done = o.value, o.err, true
	if h.keeping > 0 {
		e.said = o.said
	}
	if !told {
		e.err = fmt.Errorf("observation %s on %s: the answer does not mention it", e.key, h.hostName)
	}
	if n, ok := e.value.(Network); ok && e.err == nil {
		h.inventory.Heard(h.hostName, n)
	}
}

// result is what a flight returned for one entry.
type result struct {
	value any
	err   error
	said  *said
}

// fetch queries everything in a batch, kind by kind, and returns the requests and the results. A panic becomes an error of the
// flight.
func (h *Host) fetch(batch []*entry) (requests []*request, results map[*entry]result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = defect.Recovered("observing "+h.hostName, p)
		}
	}()
	requests = requestsFor(batch)
	var queries []remote.Query
	for _, r := range requests {
		queries = append(queries, r.queries...)
	}
	answers, asked, err := h.send(queries)
	answered := h.now()
	if err != nil {
		return nil, nil, err
	}
	if len(answers) != len(queries) {
		return nil, nil, fmt.Errorf("%s answered %d of %d queries", h.hostName, len(answers), len(queries))
	}
	results = make(map[*entry]result, len(batch))
	for _, r := range requests {
		r.asked, r.answered = asked, answered
		r.tell(answers[:len(r.queries)], results)
		answers = answers[len(r.queries):]
	}
	return requests, results, nil
}

// request is the part of a batch that belongs to one kind.
type request struct {
	kind    kind
	names   []string
	entries map[string]*entry
	queries []remote.Query
	defect  error // set if the kind panicked
	from    *said // set once it was answered
	// asked and answered are when the queries were sent and when the answers arrived.
	asked, answered time.Time
}

// requestsFor returns the requests that fetch a batch, sorted by the kinds' names.
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

// catch is deferred. It turns a panic in the kind into an error of the kind's own observations: a defect in one module
// must not affect other modules or leave other hosts in the middle of a step.
func (r *request) catch() {
	if p := recover(); p != nil {
		r.defect = defect.Recovered("observing "+r.kind.name(), p)
	}
}

// tell parses the answers into results.
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
	r.from = &said{queries: r.queries, answers: answers}
	r.kind.parse(r.names, answers, r.asked, r.answered, func(name string, value any, err error) {
		if e := r.entries[name]; e != nil {
			results[e] = result{value, err, r.from}
		}
	})
}
