package observe

import (
	"context"
	"time"

	"hlplay/engine/defect"
	"hlplay/engine/remote"
)

// Asker sends queries to a host in one flight. remote.Session implements it.
type Asker interface {
	Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error)
}

// connected is a connection to the host, or an attempt to connect. asker and err are valid once ready is closed.
type connected struct {
	ready chan struct{}
	asker Asker
	err   error
}

// connectLocked starts connecting unless a connection exists or is being opened.
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

// Connect waits until the host is connected, the connection has failed or ctx ends, and returns the error if any. It
// returns at once if an observation has already connected.
func (h *Host) Connect(ctx context.Context) error {
	_, err := h.connect(ctx)
	return err
}

// Connected reports whether a connection to the host has been made.
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
			h.connected = nil // the next caller tries again
		}
		h.mu.Unlock()
	}
	return c.asker, c.err
}

// send waits for the connection to the host and sends the queries. asked is when they left.
func (h *Host) send(queries []remote.Query) (answers []remote.Answer, asked time.Time, err error) {
	if err := h.flightCtx.Err(); err != nil {
		return nil, asked, err
	}
	asker, err := h.connect(context.WithoutCancel(h.flightCtx)) // dialling ends with flightCtx
	if err != nil {
		return nil, asked, err
	}
	asked = h.now()
	answers, err = asker.Ask(h.flightCtx, queries)
	return answers, asked, err
}
