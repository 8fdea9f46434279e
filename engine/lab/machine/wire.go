package machine

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// wire is a client's TCP connection with a machine. While the machine is cut off at the address that the client has connected to, nothing
// passes, and both sides wait. Unlike with TCP, it is noticed at once that a client has gone.
type wire struct {
	net.Conn
	m  *Machine
	at netip.Addr // the zero value if the machine was reached otherwise

	mu sync.Mutex
	// changed is broadcast when one of the following changes, and when the network does; its lock is mu.
	changed sync.Cond
	// waited is set once something had to wait: from then on, other goroutines read and write.
	waited  struct{ in, out bool }
	in, out []byte
	ended   error // of the client's side
	closed  bool
}

// wire wraps the connection of a client that has connected to one of the machine's addresses.
func (m *Machine) wire(conn net.Conn, at netip.Addr) *wire {
	w := &wire{Conn: conn, m: m}
	w.changed.L = &w.mu
	if m.hears(at) {
		w.at = at
	}
	return w
}

// reach is how clients outside of the lab reach a machine. It is read while the machine's own lock is held.
type reach struct {
	heard     []netip.Addr // nil means all addresses
	connected bool
}

// hears reports whether packets to an address of the machine's own arrive.
func (m *Machine) hears(a netip.Addr) bool {
	r := m.reach.Load()
	return r == nil || r.heard == nil || slices.Contains(r.heard, a)
}

func (w *wire) passes() bool {
	if w.at.IsValid() {
		return w.m.hears(w.at)
	}
	r := w.m.reach.Load()
	return r == nil || r.connected
}

// setNetwork replaces the network. Connections go on if the machine is not cut off any more.
func (m *Machine) setNetwork(r reloaded) {
	m.SetValue(reloadedKey{}, r)
	m.reach.Store(&reach{m.Heard(), m.connected()})
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	for conn := range m.server.conns {
		if w, ok := conn.(*wire); ok {
			w.mu.Lock()
			w.changed.Broadcast()
			w.mu.Unlock()
		}
	}
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	waited := w.waited.in
	w.mu.Unlock()
	if !waited {
		n, err := w.Conn.Read(p)
		if err != nil || w.passes() {
			return n, err
		}
		w.mu.Lock()
		w.in, w.waited.in = append(w.in, p[:n]...), true
		w.mu.Unlock()
		go w.receive()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.closed:
			return 0, net.ErrClosed
		case len(w.in) > 0 && w.passes():
			n := copy(p, w.in)
			w.in = w.in[n:]
			return n, nil
		case w.ended != nil:
			return 0, w.ended
		}
		w.changed.Wait()
	}
}

// receive takes what the client sends, until the client or the connection ends.
func (w *wire) receive() {
	chunk := make([]byte, 32<<10)
	for {
		n, err := w.Conn.Read(chunk)
		w.mu.Lock()
		w.in, w.ended = append(w.in, chunk[:n]...), err
		w.changed.Broadcast()
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if !w.waited.out {
		if w.mu.Unlock(); w.passes() {
			return w.Conn.Write(p)
		}
		w.mu.Lock()
		w.waited.out = true
		go w.send()
	}
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return 0, net.ErrClosed
	case w.ended != nil:
		return 0, w.ended
	}
	w.out = append(w.out, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// send sends what was written, whenever the machine is not cut off.
func (w *wire) send() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed {
		if len(w.out) == 0 || !w.passes() {
			w.changed.Wait()
			continue
		}
		out := w.out
		w.out = nil
		w.mu.Unlock()
		_, err := w.Conn.Write(out)
		w.mu.Lock()
		if err != nil {
			w.ended = err
			w.changed.Broadcast()
			return
		}
	}
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	return w.Conn.Close()
}
