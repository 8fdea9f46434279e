package observe

import (
	"fmt"
	"slices"

	"hlplay/engine/remote"
)

// Readback holds observations that travel with a step and are read when it is done: those that verify the step, and
// those that are needed next.
type Readback struct {
	host     *Host
	requests []*request
	queries  []remote.Query
	// forgotten is that of the host when the readback was prepared, and since the number of its touches.
	forgotten, since int
	// borrowers are the hosts that may use the answers, with how often they had forgotten something then.
	borrowers map[*Host]int
	// lends is set once the answers are in the host's memory, if nothing has happened to the host meanwhile.
	lends bool
}

// Readback prepares to read observations along with the next step. Observations with a query that pass rejects are
// omitted; they are fetched when a planner asks for them.
func (h *Host) Readback(reads []Read, pass func(remote.Query) bool) *Readback {
	readback := &Readback{host: h}
	h.mu.Lock()
	readback.forgotten, readback.since = h.forgotten, len(h.touches)
	var batch []*entry
	seen := map[Key]bool{}
	for _, r := range reads {
		key := Key{r.kind.name(), r.name}
		remembered := r.kind.lasting() && h.memory[key] != nil && h.memory[key].err == nil // see forgetLocked
		if _, _, predicted := h.predictionLocked(r.kind, r.name); !seen[key] && !remembered && !predicted && !r.kind.probes() {
			batch = append(batch, &entry{key: key, kind: r.kind, sent: true})
		}
		seen[key] = true
	}
	h.mu.Unlock()
	for _, r := range requestsFor(batch) {
		all := true
		for _, q := range r.queries {
			all = all && pass(q)
		}
		if all {
			readback.requests = append(readback.requests, r)
			readback.queries = append(readback.queries, r.queries...)
		}
	}
	return readback
}

// Watch prepares to read again the observations on which a plan is based, as soon as they change. known are the
// previous answers to the queries. ok is false if the host alone cannot tell whether the plan may change: it is based
// on other hosts too, on what the controller finds out itself, or on answers that were not kept.
func (h *Host) Watch(saw *Tracker) (again *Readback, known []remote.Answer, ok bool) {
	reads := saw.Reads()
	if len(saw.Elsewhere()) > 0 || slices.ContainsFunc(reads, func(r Read) bool { return r.kind.probes() }) {
		return nil, nil, false
	}
	again = h.Readback(reads, func(remote.Query) bool { return true })
	for _, q := range again.queries {
		answer, ok := saw.answer(q)
		if !ok {
			return nil, nil, false
		}
		known = append(known, answer)
	}
	return again, known, len(known) > 0
}

// Queries returns the queries to ask after the step.
func (r *Readback) Queries() []remote.Query { return r.queries }

// Renew says that the host answered right after a step that is only now taken into account, whatever was forgotten since the
// readback was prepared. What hosts share may have been changed since by another host: it is not remembered if it was forgotten.
func (r *Readback) Renew() {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	r.forgotten = r.host.forgotten
}

// Arrive forgets what the step may have changed and remembers the answers. It remembers nothing if there are no
// answers, or if something else has changed the host in the meantime, and not what a step on another host may have changed
// (ForgetTouched).
func (r *Readback) Arrive(answers []remote.Answer) {
	wake(r.land(r.results(answers)))
}

// land stores results in the host's memory and returns the waiters for any of them.
func (r *Readback) land(results map[*entry]result) (woken []*waiter) {
	h := r.host
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := h.forgotten == r.forgotten
	h.forgetLocked(false)
	if !fresh {
		return nil
	}
	if len(results) > 0 {
		h.keepLocked(r.requests, r.since)
		r.lends = len(h.touches) == r.since
	}
	for e, o := range results {
		if h.touchedLocked(e.key, e.kind, r.since) {
			continue
		}
		if wanted := h.memory[e.key]; wanted != nil {
			if wanted.sent {
				continue
			}
			e, wanted.sent = wanted, true // it no longer needs to be sent
		}
		h.settleLocked(e, o, true)
		h.memory[e.key] = e
		for w := range e.waiters {
			woken = append(woken, w)
			delete(e.waiters, w)
		}
	}
	h.pending = slices.DeleteFunc(h.pending, func(e *entry) bool { return e.sent })
	return woken
}

func (r *Readback) results(answers []remote.Answer) map[*entry]result {
	if len(answers) != len(r.queries) {
		return nil
	}
	results := map[*entry]result{}
	for _, q := range r.requests {
		q.tell(answers[:len(q.queries)], results)
		answers = answers[len(q.queries):]
		for name, e := range q.entries {
			if _, told := results[e]; !told {
				results[e] = result{err: fmt.Errorf("observation %s on %s: the answer does not mention it", Key{q.kind.name(), name}, r.host.hostName)}
			}
		}
	}
	return results
}
