package observe

import (
	"context"
	"errors"
	"net"

	"hlplay/engine/defect"
)

// Dial connects the controller to a TCP address, like net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// SetDial sets the function that the host's probes use to connect. Without it, they fail.
func (h *Host) SetDial(dial Dial) { h.probeDial = dial }

// probeLocked starts an observation that the controller makes itself. It neither waits for a flight nor delays one: a
// port behind a packet filter takes seconds to answer, if it answers at all.
func (h *Host) probeLocked(e *entry) {
	e.sent = true
	dial := h.probeDial
	if dial == nil {
		dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("nothing is probed from the controller here")
		}
	}
	go func() {
		value, err := probe(h.flightCtx, e, dial)
		h.mu.Lock()
		h.settleLocked(e, result{value: value, err: err}, true)
		if h.flightCtx.Err() != nil && h.memory[e.key] == e { // it was cancelled and has observed nothing
			delete(h.memory, e.key)
		}
		woken := make([]*waiter, 0, len(e.waiters))
		for w := range e.waiters {
			woken = append(woken, w)
			delete(e.waiters, w)
		}
		h.mu.Unlock()
		wake(woken)
	}()
}

func probe(ctx context.Context, e *entry, dial Dial) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = defect.Recovered("observing "+e.key.Kind, p)
		}
	}()
	return e.kind.probe(ctx, dial, e.key.Name)
}
