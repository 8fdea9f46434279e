package observe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"hlplay/engine/remote"
)

// foreseen belongs to a host as it is known or foreseen.
type foreseen struct {
	// elsewhere is set once a plan has asked for another host.
	elsewhere atomic.Bool
}

// errNotKnown is the error of an observation that a foreseen host does not know.
var errNotKnown = errors.New("it is not known yet")

// Foresee returns the host as it is remembered now, or follows from kept answers, for plans about what comes after steps: Predict overlays what those are
// expected to bring about. It is never asked anything: an observation that is not known is an error.
func (h *Host) Foresee() *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &Host{
		hostName: h.hostName, address: h.address, dial: h.dial, flightCtx: h.flightCtx, now: h.now, inventory: h.inventory,
		memory: map[Key]*entry{}, predicted: maps.Clone(h.predicted), vague: slices.Clone(h.vague), foreseen: &foreseen{},
		common: slices.Clone(h.common), touches: slices.Clone(h.touches),
	}
	for key, e := range h.memory {
		if e.done {
			f.memory[key] = &entry{key: key, kind: e.kind, sent: true, done: true, value: e.value, err: e.err}
		}
	}
	f.peers = func() []*Host {
		f.foreseen.elsewhere.Store(true)
		return []*Host{f}
	}
	f.peer = func(name string) (*Host, error) {
		f.foreseen.elsewhere.Store(true)
		return nil, fmt.Errorf("%s is another host", name)
	}
	return f
}

// Holds returns queries by which the host itself can tell, later, whether plans that were made from some observations of a
// foreseen host still hold: all of them then exit with 0. ok is false if that cannot be asked: an observation is unknown or
// an error, or belongs to more than this host, or its kind has no such query.
func (h *Host) Holds(reads []Read) (queries []remote.Query, ok bool) {
	if h.foreseen == nil || h.foreseen.elsewhere.Load() {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	kinds := map[string]kind{}
	values := map[string]map[string]any{}
	for _, r := range reads {
		value, err, predicted := h.predictionLocked(r.kind, r.name)
		if !predicted {
			e := h.memory[r.Key()]
			if e == nil || !e.done || e.err != nil || h.doubtLocked(e.key, e.value) != "" {
				return nil, false
			}
			if value = e.value; r.kind.lasting() {
				continue
			}
		}
		if err != nil || r.kind.shared(r.name) && r.kind.name() != Checks.Name {
			return nil, false
		}
		kinds[r.kind.name()] = r.kind
		if values[r.kind.name()] == nil {
			values[r.kind.name()] = map[string]any{}
		}
		values[r.kind.name()][r.name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		more, ok := kinds[name].holds(values[name])
		if !ok {
			return nil, false
		}
		queries = append(queries, more...)
	}
	return queries, true
}
