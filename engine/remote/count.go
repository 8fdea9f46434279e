package remote

import (
	"net"
	"sync"
	"time"
)

// countingConn counts the encrypted bytes that pass through a connection.
type countingConn struct {
	net.Conn
	acknowledge func()

	mu             sync.Mutex
	sent, received int64
	turns          int
	incoming       bool // the direction of the last bytes
	opened         int  // sessions
	latency        time.Duration
}

func newCountingConn(c net.Conn) *countingConn {
	return &countingConn{Conn: c, acknowledge: quickAck(c), incoming: true}
}

// Read acknowledges at once what it has read. sshd leaves Nagle's algorithm on for sessions without a terminal, so each
// of its small packets waits for the acknowledgement of the previous one, which the controller's kernel would otherwise
// delay by 40 ms. Linux forgets the setting, so it is set again after each read.
func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		c.received += int64(n)
		if !c.incoming {
			c.incoming = true
			c.turns++
		}
		c.mu.Unlock()
		c.acknowledge()
	}
	return n, err
}

// sessionOpened records how long the host took to open a session: see Stats.Latency.
func (c *countingConn) sessionOpened(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened++; c.opened > 1 && (c.latency == 0 || took < c.latency) {
		c.latency = max(took, 1)
	}
}

// A keep-alive request and its reply are one packet each, with every cipher of x/crypto/ssh at most this long.
const (
	keepAliveRequest = 128
	keepAliveReply   = 64
)

// unwaited calls exchange, which sends a keep-alive request and returns when the reply is there. Nobody waits for the reply, so
// it is no round trip, unless something else has travelled meanwhile: how long a command takes would decide otherwise how many round
// trips a run counts.
func (c *countingConn) unwaited(exchange func()) {
	c.mu.Lock()
	turns, incoming, sent, received := c.turns, c.incoming, c.sent, c.received
	c.mu.Unlock()
	exchange()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent-sent <= keepAliveRequest && c.received-received <= keepAliveReply {
		c.turns, c.incoming = turns, incoming
	}
}

// silent reports whether nothing was ever read.
func (c *countingConn) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received == 0
}

func (c *countingConn) Write(p []byte) (int, error) {
	// Count before sending, because otherwise the answer could be counted first.
	c.mu.Lock()
	if c.incoming {
		c.incoming = false
		c.turns++
	}
	c.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.sent += int64(n)
	c.mu.Unlock()
	return n, err
}

func (c *countingConn) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{RoundTrips: c.turns / 2, Sent: c.sent, Received: c.received, Latency: c.latency}
}
