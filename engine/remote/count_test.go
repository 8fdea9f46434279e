package remote

import (
	"io"
	"net"
	"testing"
)

// TestKeepAlivesAreNoRoundTrips lets a connection carry a command that is answered late, with keep-alive requests in between.
func TestKeepAlivesAreNoRoundTrips(t *testing.T) {
	for name, test := range map[string]struct {
		more int // bytes that the host sends with the reply to each keep-alive request
		want int
	}{
		"keep-alives alone":                    {0, 1},
		"keep-alives between pieces of output": {1000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			c := newCountingConn(near)
			// pass sends a message to the host and returns when its answer has arrived.
			pass := func(request, reply int) {
				t.Helper()
				go func() {
					if _, err := io.ReadFull(far, make([]byte, request)); err == nil {
						_, _ = far.Write(make([]byte, reply))
					}
				}()
				if _, err := c.Write(make([]byte, request)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, reply)); err != nil {
					t.Fatal(err)
				}
			}
			c.unwaited(func() { pass(52, 36+test.more) }) // before the command
			go func() { _, _ = io.ReadFull(far, make([]byte, 500)) }()
			if _, err := c.Write(make([]byte, 500)); err != nil { // the command
				t.Fatal(err)
			}
			for range 2 {
				c.unwaited(func() { pass(52, 36+test.more) })
			}
			go func() { _, _ = far.Write(make([]byte, 500)) }()
			if _, err := io.ReadFull(c, make([]byte, 500)); err != nil { // its answer
				t.Fatal(err)
			}
			if got := c.stats(); got.RoundTrips != test.want || got.Sent != 500+3*52 {
				t.Errorf("%d round trips and %d bytes sent, expected %d and %d", got.RoundTrips, got.Sent, test.want, 500+3*52)
			}
		})
	}
}
