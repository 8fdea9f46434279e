package observe

import (
	"slices"

	"hlplay/engine/remote"
)

// entry is one observation: pending, in flight or remembered.
type entry struct {
	key     Key
	kind    kind
	waiters map[*waiter]struct{}
	sent    bool // it has been sent
	done    bool
	value   any
	err     error
	// said is the host's answers, if they are kept: see KeepAnswers.
	said *said
}

// said holds queries and the answers to them.
type said struct {
	queries []remote.Query
	answers []remote.Answer
	// since is the number of the host's touches before the queries were sent: see Host.touches.
	since int
	// lent is set if another host was asked: see Readback.Lend.
	lent bool
}

// KeepAnswers keeps the answers from which observations are parsed, for Readback.Watch, until the returned function is
// called.
func (h *Host) KeepAnswers() (enough func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keeping++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.keeping--; h.keeping > 0 {
			return
		}
		for _, e := range h.memory {
			e.said = nil
		}
	}
}

// Forget drops everything that a step may have changed. Predictions are kept: they belong to check mode, in which no
// step is carried out.
func (h *Host) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(false)
}

// ForgetAll drops all observations, because the host was rebooted.
func (h *Host) ForgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(true)
}

// ForgetShared drops what any step on another host may have changed: see Kind.Shared.
func (h *Host) ForgetShared() { h.ForgetTouched(Read.Shared) }

// ForgetTouched drops what a certain step on another host may have changed, which is what touched accepts, and all failures.
func (h *Host) ForgetTouched(touched func(Read) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touchLocked(touched)
}

// touchLocked is ForgetTouched. What could not be found out is not certain to stay so.
func (h *Host) touchLocked(touched func(Read) bool) {
	h.touches = append(h.touches, touched)
	h.forgetWhere(func(key Key, e *entry) bool {
		return e.err != nil || !e.kind.lasting() && touched(Read{e.kind, key.Name})
	})
}

// touchedLocked reports whether what is observed under a key may have been changed since there were so many touches.
func (h *Host) touchedLocked(key Key, k kind, since int) bool {
	return slices.ContainsFunc(h.touches[since:], func(touched func(Read) bool) bool { return touched(Read{k, key.Name}) })
}

func (h *Host) forgetLocked(lasting bool) {
	h.forgotten++
	h.common = nil
	h.forgetWhere(func(_ Key, e *entry) bool { return lasting || !e.kind.lasting() || e.err != nil })
}

func (h *Host) forgetWhere(stale func(Key, *entry) bool) {
	for key, e := range h.memory {
		if e.sent && stale(key, e) { // whatever has not been sent yet will be read after the step
			delete(h.memory, key)
		}
	}
}

// foundLocked returns the observed value, or an error if the value may be different when the task runs.
func (h *Host) foundLocked(k kind, name string, e *entry) (any, error) {
	if e.err != nil {
		return e.value, e.err
	}
	if because := h.doubtLocked(e.key, e.value); because != "" {
		return nil, &UnknownError{h.hostName, e.key, k.words(name), because}
	}
	return e.value, nil
}

// entryLocked returns the entry for a key. If there is none, it creates one and queues it or starts its probe.
func (h *Host) entryLocked(k kind, name string) *entry {
	key := Key{k.name(), name}
	e, ok := h.memory[key]
	if !ok {
		e = &entry{key: key, kind: k, waiters: map[*waiter]struct{}{}}
		h.memory[key] = e
		switch {
		case k.common() && h.answeredLocked(e):
		case h.foreseen != nil:
			e.err, e.sent, e.done = errNotKnown, true, true
		case k.probes():
			h.probeLocked(e)
		default:
			h.pending = append(h.pending, e)
		}
	}
	return e
}

// keepLocked keeps the answers to the requests of kinds that are Common. They were sent when there were so many touches.
func (h *Host) keepLocked(requests []*request, since int) {
	for _, r := range requests {
		if r.kind.common() && r.from != nil {
			h.keepSaidLocked(&said{r.from.queries, r.from.answers, since, false})
		}
	}
}

// keepSaidLocked keeps answers in place of earlier ones of the same origin to the same queries.
func (h *Host) keepSaidLocked(s *said) {
	h.common = slices.DeleteFunc(slices.Clone(h.common), func(before *said) bool {
		return before.lent == s.lent && slices.EqualFunc(before.queries, s.queries, remote.Query.Same)
	})
	h.common = append(h.common, s)
}

// answerPendingLocked settles what was announced and has not been sent, as far as it follows from kept answers, and returns those who
// wait for it.
func (h *Host) answerPendingLocked() (woken []*waiter) {
	h.pending = slices.DeleteFunc(h.pending, func(e *entry) bool {
		if !e.kind.common() || !h.answeredLocked(e) {
			return false
		}
		for w := range e.waiters {
			woken = append(woken, w)
			delete(e.waiters, w)
		}
		return true
	})
	return woken
}

// answeredLocked settles an entry from kept answers, if these answer all of its queries and nothing that has happened since
// can have changed it. Those of other hosts count only for kinds that are Alike.
func (h *Host) answeredLocked(e *entry) bool {
	var kept []*said
	for _, s := range slices.Backward(h.common) {
		if (!s.lent || e.kind.alike()) && !h.touchedLocked(e.key, e.kind, s.since) {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return false
	}
	r := requestsFor([]*entry{e})[0]
	var answers []remote.Answer
	for _, q := range r.queries {
		answer, ok := answerTo(q, kept)
		if !ok {
			return false
		}
		answers = append(answers, answer)
	}
	if r.defect != nil || len(answers) == 0 {
		return false
	}
	results := map[*entry]result{}
	r.tell(answers, results)
	o, told := results[e]
	if o.err != nil && slices.ContainsFunc(kept, func(s *said) bool { return s.lent || s.since < len(h.touches) }) {
		return false // what another host could not find out, or this one before a step, it may find out now
	}
	h.settleLocked(e, o, told)
	e.sent = true
	return true
}

// answerTo returns the answer to a query, if it was asked.
func answerTo(q remote.Query, all []*said) (remote.Answer, bool) {
	for _, s := range all {
		for i, asked := range s.queries {
			if asked.Same(q) {
				return s.answers[i], true
			}
		}
	}
	return remote.Answer{}, false
}
