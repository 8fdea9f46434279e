package observe

import (
	"maps"
	"slices"
)

type prediction struct {
	value   any
	unknown string
}

// Predict overlays expectations on what is observed. Expectations about other hosts are stored there.
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

// expects reports whether a step expects something of exactly that key. The caller holds h.mu.
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

// Predicted reports whether what is observed under a key is replaced by what a step expects, which happens in check
// mode only. It is for plans that test whether something works: before the step is done, a test says nothing.
func (h *Host) Predicted(key Key) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.expectedLocked(key)
	return ok
}

// expectedLocked returns what steps expect of a key.
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

// doubtLocked returns why an observed value may be different when its task runs, or "".
func (h *Host) doubtLocked(key Key, value any) string {
	for _, v := range slices.Backward(h.vague) {
		if v.If != nil && v.Match(key) && v.If(value) {
			return v.Unknown
		}
	}
	return ""
}

// mayAppear returns why something that does not exist now may exist when its task runs, or "".
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

func (h *Host) predictionLocked(k kind, name string) (value any, err error, ok bool) {
	key := Key{k.name(), name}
	p, ok := h.expectedLocked(key)
	if p.unknown != "" {
		return nil, &UnknownError{h.hostName, key, k.words(name), p.unknown}, true
	}
	return p.value, nil, ok
}
