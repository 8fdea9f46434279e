package observe

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
