// Package delay simulates the distance between a client and a server: a TCP proxy that delays every byte by half a
// round trip in each direction, and counts what passes. Benchmarks use it to measure the cost of a controller that is
// far from its hosts.
//
// It models only latency: no loss, no limited bandwidth, no slow start. As it terminates TCP next to the server, it
// also hides the effects of Nagle's algorithm and delayed acknowledgements between the two.
package delay

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Counts are the totals of a proxy since it was started.
type Counts struct {
	Connections int
	// Up is the number of bytes from clients to the server, Down from the server.
	Up, Down int64
	// Reversals is how often the direction changed on a connection as the client sees it, summed over all connections.
	// Two of them are a round trip.
	Reversals int
}

// RoundTrips returns how many times clients waited for the server.
func (c Counts) RoundTrips() int { return c.Reversals / 2 }

// Proxy forwards connections to one server.
type Proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	half     time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	counts Counts
	open   map[net.Conn]bool
	closed bool
	failed error
}

// Start forwards the connections of a listener to what dial connects to, with a round-trip time of rtt. The proxy takes
// ownership of the listener.
func Start(listener net.Listener, dial func() (net.Conn, error), rtt time.Duration) *Proxy {
	p := &Proxy{listener: listener, dial: dial, half: rtt / 2, open: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	return p
}

// Counts may be called at any time.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Close closes all connections and waits for the proxy to end. It returns the first error from connecting to the
// server.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.listener.Close()
	p.running.Wait()
	return p.failed
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(client) {
			p.running.Go(func() { p.serve(client) })
		}
	}
}

// keep registers a connection for Close. It returns false if the proxy has been closed.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// serve forwards one connection. It delays the handshake as TCP would: the client is connected one round trip after its
// first packet, and the server half a round trip later.
func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	established := time.Now().Add(2 * p.half)
	p.mu.Lock()
	p.counts.Connections++
	p.mu.Unlock()
	turn := &turns{proxy: p}
	up := p.depart(client, func() time.Time {
		if now := time.Now(); now.After(established) {
			return now
		}
		return established
	}, turn.up)
	time.Sleep(3 * p.half)
	server, err := p.dial()
	if err != nil {
		p.mu.Lock()
		p.failed = errors.Join(p.failed, err)
		p.mu.Unlock()
		client.Close()
		for range up { // until its reader has noticed
		}
		return
	}
	if !p.keep(server) {
		client.Close()
	}
	defer p.drop(server)
	down := p.depart(server, time.Now, nil)
	var both sync.WaitGroup
	both.Go(func() { arrive(server, client, up, nil) })
	both.Go(func() { arrive(client, server, down, turn.down) })
	both.Wait()
}

// chunk is a piece of data that arrives at once. An empty chunk marks the end of the data.
type chunk struct {
	bytes []byte
	due   time.Time
}

// inFlight is how many chunks may be under way in one direction, far more than fit into an SSH window.
const inFlight = 4096

// depart reads from a connection until its end. sent returns the time at which data that was just read counts as sent;
// read is called with its length.
func (p *Proxy) depart(from net.Conn, sent func() time.Time, read func(int)) <-chan chunk {
	way := make(chan chunk, inFlight)
	go func() {
		defer close(way)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				if read != nil {
					read(n)
				}
				way <- chunk{append([]byte(nil), buffer[:n]...), sent().Add(p.half)}
			}
			if err != nil {
				way <- chunk{due: sent().Add(p.half)}
				return
			}
		}
	}()
	return way
}

// arrive writes each chunk when it is due. written is called with its length.
func arrive(to, from net.Conn, way <-chan chunk, written func(int)) {
	broken := false
	for c := range way {
		time.Sleep(time.Until(c.due))
		switch {
		case broken:
		case c.bytes == nil:
			finish(to)
		default:
			if written != nil {
				written(len(c.bytes))
			}
			if _, err := to.Write(c.bytes); err != nil {
				broken = true
				from.Close()
			}
		}
	}
}

// finish signals the end of the data to the other side, if the connection can be closed in one direction.
func finish(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	c.Close()
}

// turns counts the bytes of a connection and remembers the direction of the last one.
type turns struct {
	proxy *Proxy
	last  int
}

func (t *turns) up(n int)   { t.note(1, int64(n), 0) }
func (t *turns) down(n int) { t.note(-1, 0, int64(n)) }

func (t *turns) note(direction int, up, down int64) {
	t.proxy.mu.Lock()
	defer t.proxy.mu.Unlock()
	t.proxy.counts.Up += up
	t.proxy.counts.Down += down
	if t.last != direction {
		t.last = direction
		t.proxy.counts.Reversals++
	}
}
