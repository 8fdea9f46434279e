package remote

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestRoundTripsAreWaitedFor lets a connection carry a command that is answered late and in pieces, with keep-alive requests and
// window adjustments in between.
func TestRoundTripsAreWaitedFor(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newCountingConn(near)
	send := func(n int) {
		t.Helper()
		go func() { _, _ = io.ReadFull(far, make([]byte, n)) }()
		if _, err := c.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	arrive := func(n int) {
		t.Helper()
		go func() { _, _ = far.Write(make([]byte, n)) }()
		if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	send(52) // a keep-alive request, and its reply
	arrive(36)
	for command := range 2 {
		sent := c.asks()
		send(500)
		sent()
		send(52)
		arrive(36) // nothing tells this reply from the beginning of the answer
		for range 3 {
			arrive(1000)
			send(36) // a window adjustment
		}
		arrive(1000)
		if got, want := c.stats().RoundTrips, command+1; got != want {
			t.Errorf("%d round trips after %d commands, expected %d", got, want, want)
		}
	}
	c.asks()()
	arrive(36)
	if got := c.stats(); got.RoundTrips != 2 || got.Sent != 52+2*(500+52+3*36) {
		t.Errorf("%d round trips and %d bytes sent, expected 2 and %d", got.RoundTrips, got.Sent, 52+2*(500+52+3*36))
	}
	send(100) // the start of a process that is needed later, and is then not there yet
	answered := c.awaits()
	arrive(36)
	answered()
	send(100) // and another one, which is
	arrive(36)
	if got := c.stats().RoundTrips; got != 3 {
		t.Errorf("%d round trips after a process that was waited for and one that was not, expected 3", got)
	}
}

// TestLongAnswersAreOneRoundTrip has a host print so much that x/crypto/ssh adjusts the window while it arrives.
func TestLongAnswersAreOneRoundTrip(t *testing.T) {
	key := newKey(t, "id", "")
	c := mustDial(t, newServer(t, key).target("root", key), plain())
	ask(t, c, Query{Script: ":"})
	run(t, c, Command{Argv: []string{"true"}})
	before := c.Stats()
	const flights = 5
	for range flights {
		ask(t, c, Query{Script: "head -c 500000 /dev/zero | tr '\\0' x"})
		run(t, c, Command{Argv: []string{"sh", "-c", "head -c 500000 /dev/zero | tr '\\0' x"}})
	}
	after := c.Stats()
	if got := after.RoundTrips - before.RoundTrips; got != 2*flights {
		t.Errorf("%d round trips for %d flights with %d kB of answers, expected one each", got, 2*flights, (after.Received-before.Received)/1000)
	}
}

// TestAnswersGather lets a host print many answers, and go on only when the controller has left them to gather; what it waits for, it reads
// as it comes.
func TestAnswersGather(t *testing.T) {
	for name, test := range map[string]struct {
		queries int
		gathers bool
	}{
		"many":          {2 * lastAnswers, true},
		"only the last": {lastAnswers - 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			key, told := newKey(t, "id", ""), filepath.Join(t.TempDir(), "told")
			c := mustDial(t, newServer(t, key).target("root", key), plain())
			run(t, c, Command{Argv: []string{"true"}})
			count := c.transport.(*sshTransport).count
			var gathered atomic.Bool
			count.pause = func(time.Duration) {
				if !gathered.Swap(true) {
					if err := os.WriteFile(told, nil, 0o600); err != nil {
						t.Error(err)
					}
				}
			}
			wait := "exit"
			if test.gathers { // the first answer is there, and the others are not
				wait = `echo; while [ ! -e "$1" ]; do sleep 0.01; done`
			}
			a := Actions{
				Commands: []Command{{Argv: []string{"true"}}}, Then: []Query{{Script: "echo first"}, {Script: wait, Args: []string{told}}},
				Ahead: []*Ahead{{Commands: []Command{MakeDir(t.TempDir(), 0o755, "", "")}, Then: slices.Repeat([]Query{{Script: "echo again"}}, test.queries)}},
			}
			_, answers, err := c.RunAll(bounded(t), a)
			if err != nil || len(answers) != 2 || len(a.Ahead[0].Answers) != test.queries {
				t.Fatalf("%d and %d answers: %v", len(answers), len(a.Ahead[0].Answers), err)
			}
			if gathered.Load() != test.gathers {
				t.Errorf("answers were left to gather: %v, want %v", gathered.Load(), test.gathers)
			}
			count.mu.Lock()
			defer count.mu.Unlock()
			if count.gathering != 0 {
				t.Error("later answers gather, too")
			}
		})
	}
}

// TestLongAnswersDoNotGather reads on at once while more is there.
func TestLongAnswersDoNotGather(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newCountingConn(near)
	pauses := 0
	c.pause = func(time.Duration) { pauses++ }
	arrive := func(size int) {
		t.Helper()
		go func() { _, _ = far.Write(make([]byte, size)) }()
		for got := 0; got < size; {
			n, err := c.Read(make([]byte, 100))
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	arrive(10)
	enough := c.gather()
	for _, step := range []struct{ size, pauses int }{
		{350, 1}, // before the first read
		{10, 2},
	} {
		if arrive(step.size); pauses != step.pauses {
			t.Errorf("%d pauses after %d bytes, want %d", pauses, step.size, step.pauses)
		}
	}
	enough()
	enough()
	if arrive(10); pauses != 2 {
		t.Errorf("%d pauses, one of them after there was enough", pauses)
	}
}
