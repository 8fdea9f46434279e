package observe

import "hlplay/engine/remote"

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

// ForgetShared drops what a step on another host may have changed: see Kind.Shared.
func (h *Host) ForgetShared() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgottenShared++
	h.forgetWhere(func(key Key, e *entry) bool { return e.kind.shared(key.Name) })
}

func (h *Host) forgetLocked(lasting bool) {
	h.forgetWhere(func(_ Key, e *entry) bool { return lasting || !e.kind.lasting() || e.err != nil })
}

func (h *Host) forgetWhere(stale func(Key, *entry) bool) {
	h.forgotten++
	h.common = nil
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
		case h.foreseen != nil:
			e.err, e.sent, e.done = errNotKnown, true, true
		case k.probes():
			h.probeLocked(e)
		case k.common() && h.answeredLocked(e):
		default:
			h.pending = append(h.pending, e)
		}
	}
	return e
}

// keepLocked keeps the answers to the requests of kinds that are Common.
func (h *Host) keepLocked(requests []*request) {
	for _, r := range requests {
		if r.kind.common() && r.from != nil {
			h.common = append(h.common, r.from)
		}
	}
}

// answeredLocked settles a new entry from kept answers, if these answer all of its queries.
func (h *Host) answeredLocked(e *entry) bool {
	if len(h.common) == 0 {
		return false
	}
	r := requestsFor([]*entry{e})[0]
	var answers []remote.Answer
	for _, q := range r.queries {
		answer, ok := answerTo(q, h.common)
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
