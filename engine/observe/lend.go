package observe

// Union reports whether two hosts are certain to be united as far as a product is concerned: whatever is observed of kinds that are
// Alike, they would observe the same. It decides from what is remembered of both (Kind.Remembered), and asks nobody.
type Union func(a, b *Host) bool

var unions []Union

// AddUnions adds what unites hosts. The registry of modules calls it during initialization.
func AddUnions(more ...Union) { unions = append(unions, more...) }

// LendTo prepares a readback to lend its answers to other hosts. It must be called before the step begins.
func (r *Readback) LendTo(hosts []*Host) {
	r.borrowers = make(map[*Host]int, len(hosts))
	for _, to := range hosts {
		if to != r.host {
			r.borrowers[to] = to.changes()
		}
	}
}

// Lend makes another host forget what the step may have changed there, as ForgetTouched does. If the two are united, the other
// host then knows from the answers of the host that carried out the step what they observe alike. These answers are
// not older than any change that the run knows of: nothing has happened on either of the hosts between LendTo and Lend. r may be
// nil.
func (r *Readback) Lend(to *Host, touched func(Read) bool) {
	lends := false
	if r != nil {
		known, may := r.borrowers[to]
		lends = r.lends && may && to.changes() == known
	}
	to.mu.Lock()
	to.touchLocked(touched)
	changes := to.changesLocked()
	to.mu.Unlock()
	if !lends || !United(r.host, to) { // which is not remembered if the step may have changed it
		return
	}
	to.mu.Lock()
	var woken []*waiter
	if to.changesLocked() == changes {
		for _, q := range r.requests {
			if q.kind.alike() && q.from != nil {
				to.keepSaidLocked(&said{q.from.queries, q.from.answers, len(to.touches), true})
			}
		}
		woken = to.answerPendingLocked()
	}
	to.mu.Unlock()
	wake(woken)
}

// United reports whether two hosts are certain to be united (see Union), and so to see the same files on file systems that hosts share.
func United(a, b *Host) bool {
	for _, u := range unions {
		if u(a, b) {
			return true
		}
	}
	return false
}

// changes returns how often something was forgotten of the host.
func (h *Host) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changesLocked()
}

func (h *Host) changesLocked() int { return h.forgotten + len(h.touches) }

// Remembered returns what is remembered under a name, or follows from kept answers, without asking the host.
func (k *Kind[T]) Remembered(h *Host, name string) (value T, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.memory[k.Key(name)]
	if e == nil && k.Common {
		e = &entry{key: k.Key(name), kind: k}
		h.answeredLocked(e)
	}
	if e == nil || !e.done || e.err != nil {
		return value, false
	}
	value, ok = e.value.(T)
	return value, ok
}
