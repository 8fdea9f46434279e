package delay

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pipes is a listener for in-memory connections, so that only the test's clock advances.
type pipes struct {
	offered chan net.Conn
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.offered:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return nil }

func (l *pipes) connect() net.Conn {
	ours, theirs := net.Pipe()
	l.offered <- theirs
	return ours
}

// parrot sends a greeting, as sshd does, and then repeats each line that it receives.
func parrot(c net.Conn) {
	defer c.Close()
	io.WriteString(c, "hello\n")
	scan := bufio.NewScanner(c)
	for scan.Scan() {
		io.WriteString(c, scan.Text()+"\n")
	}
}

const rtt = 100 * time.Millisecond

func TestDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, func() (net.Conn, error) {
			ours, theirs := net.Pipe()
			go parrot(theirs)
			return ours, nil
		}, rtt)
		began := time.Now()
		client := l.connect()
		var at []time.Duration
		r := bufio.NewReader(client)
		hear := func(want string) {
			line, err := r.ReadString('\n')
			if err != nil || line != want {
				t.Fatalf("heard %q (%v), expected %q", line, err, want)
			}
			at = append(at, time.Since(began))
		}
		hear("hello\n")
		for _, line := range []string{"one\n", "another\n"} {
			io.WriteString(client, line)
			hear(line)
		}
		// The first line includes the handshake, which takes one and a half round trips to connect to the server.
		if diff := cmp.Diff([]time.Duration{2 * rtt, 3 * rtt, 4 * rtt}, at); diff != "" {
			t.Errorf("lines came at other times (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(Counts{Connections: 1, Up: 12, Down: 18, Reversals: 5}, p.Counts()); diff != "" {
			t.Errorf("wrong counts (-want +got):\n%s", diff)
		}
		client.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDelayHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		arrived := make(chan time.Time, 1)
		p := Start(l, func() (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				bufio.NewReader(theirs).ReadString('\n')
				arrived <- time.Now()
			}()
			return ours, nil
		}, rtt)
		began := time.Now()
		client := l.connect()
		io.WriteString(client, "early\n")
		if took := (<-arrived).Sub(began); took != 3*rtt/2 {
			t.Errorf("the first line took %s to the server, expected a round trip and a half (%s)", took, 3*rtt/2)
		}
		client.Close()
		p.Close()
	})
}

func TestCloseEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, func() (net.Conn, error) {
			ours, theirs := net.Pipe()
			go parrot(theirs)
			return ours, nil
		}, rtt)
		client := l.connect()
		if _, err := bufio.NewReader(client).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still open")
		}
	})
}

func TestServerThatRefuses(t *testing.T) {
	refused := errors.New("refused")
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, func() (net.Conn, error) { return nil, refused }, rtt)
		client := l.connect()
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("the client has a connection to nobody")
		}
		if err := p.Close(); !errors.Is(err, refused) {
			t.Errorf("Close says %v, expected %v", err, refused)
		}
	})
}
