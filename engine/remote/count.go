package remote

import (
	"net"
	"sync"
	"time"
)

// countingConn counts the encrypted bytes that pass through a connection, and the round trips: see Stats.RoundTrips.
type countingConn struct {
	net.Conn
	acknowledge func()

	mu             sync.Mutex
	sent, received int64
	roundTrips     int
	// sending is the number of calls under way that send something of which an answer is expected.
	sending int
	// asked is set once such a call has written something, until something arrives.
	asked   bool
	opened  int // sessions
	latency time.Duration
	// gathering is the number of flights under way with many answers of which only the last ones are waited for.
	gathering int
	// drained is set if the last Read took all that had arrived.
	drained bool
	pause   func(time.Duration)
}

// gathers is how long answers are left to gather that nobody waits for.
const gathers = 3 * time.Millisecond

func newCountingConn(c net.Conn) *countingConn {
	return &countingConn{Conn: c, acknowledge: quickAck(c), pause: time.Sleep}
}

// asks marks what is written until the returned function is called as something that is answered. What x/crypto/ssh writes by
// itself, such as a window adjustment after it has read some 96 KiB, and keep-alive requests keep nobody waiting: counted, they would
// make the number of round trips depend on how much a host prints and on how long its commands take.
func (c *countingConn) asks() (sent func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sending--
	}
}

// Read acknowledges at once what it has read. sshd leaves Nagle's algorithm on for sessions without a terminal, so each
// of its small packets waits for the acknowledgement of the previous one, which the controller's kernel would otherwise
// delay by 40 ms. Linux forgets the setting, so it is set again after each read. While answers gather, it comes a moment later, so that
// sshd's next packets travel, and are read, together.
func (c *countingConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	pause := c.gathering > 0 && c.drained
	c.mu.Unlock()
	if pause {
		c.pause(gathers)
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		c.drained = n < len(p)
		c.received += int64(n)
		if c.asked {
			c.asked = false
			c.roundTrips++
		}
		c.mu.Unlock()
		c.acknowledge()
	}
	return n, err
}

// gather lets what arrives gather for a moment until the returned function is called. Reading each small packet of a long flight as it
// comes would take the controller's processor more time than everything else that it does meanwhile.
func (c *countingConn) gather() (enough func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gathering--
	})
}

// sessionOpened records how long the host took to open a session: see Stats.Latency.
func (c *countingConn) sessionOpened(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened++; c.opened > 1 && (c.latency == 0 || took < c.latency) {
		c.latency = max(took, 1)
	}
}

// awaits says that something that was sent without asks, or is about to be, is waited for until the returned function is called.
func (c *countingConn) awaits() (answered func()) {
	answered = c.asks()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = true
	return answered
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
	c.asked = c.asked || c.sending > 0
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
	return Stats{RoundTrips: c.roundTrips, Sent: c.sent, Received: c.received, Latency: c.latency}
}
