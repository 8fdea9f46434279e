package observe

import (
	"context"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

// Asker sends queries to a host in one flight. remote.Session is one.
type Asker interface {
	Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error)
}

// connected is a way to the host that is being opened, and is there once ready is closed.
type connected struct {
	ready chan struct{}
	asker Asker
	err   error
}

// connectLocked begins to connect, unless that is done or under way.
func (h *Host) connectLocked() *connected {
	if h.connected != nil {
		return h.connected
	}
	c := &connected{ready: make(chan struct{})}
	h.connected = c
	go func() {
		defer close(c.ready)
		defer func() {
			if p := recover(); p != nil {
				c.err = defect.Recovered("connecting to "+h.hostName, p)
			}
		}()
		c.asker, c.err = h.dial(h.flightCtx)
	}()
	return c
}

// Connect returns when the host is connected to, with the reason if it cannot be, or when ctx ends. Where an observation
// has connected already it costs nothing.
func (h *Host) Connect(ctx context.Context) error {
	_, err := h.connect(ctx)
	return err
}

// Connected reports whether the host has been connected to.
func (h *Host) Connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.connected == nil {
		return false
	}
	select {
	case <-h.connected.ready:
		return h.connected.err == nil
	default:
		return false
	}
}

func (h *Host) connect(ctx context.Context) (Asker, error) {
	h.mu.Lock()
	c := h.connectLocked()
	h.mu.Unlock()
	select {
	case <-c.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.err != nil {
		h.mu.Lock()
		if h.connected == c {
			h.connected = nil // who asks next tries again
		}
		h.mu.Unlock()
	}
	return c.asker, c.err
}

// send asks when the host is connected.
func (h *Host) send(queries []remote.Query) ([]remote.Answer, error) {
	if err := h.flightCtx.Err(); err != nil {
		return nil, err
	}
	asker, err := h.connect(context.WithoutCancel(h.flightCtx)) // the dialling ends with flightCtx
	if err != nil {
		return nil, err
	}
	return asker.Ask(h.flightCtx, queries)
}
