package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeHost is a transport whose processes are functions of their streams. Closing a process does not end it, as on a
// host where a .bashrc keeps waiting.
type fakeHost struct {
	run  func(in io.Reader, out, errs io.Writer)
	gone chan struct{}
}

type fakeProcess struct {
	in        *io.PipeWriter
	out, errs *io.PipeReader
	exited    chan struct{}
}

func (h *fakeHost) start(context.Context, string, bool) (process, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	errsR, errsW := io.Pipe()
	p := &fakeProcess{inW, outR, errsR, make(chan struct{})}
	go func() {
		h.run(inR, outW, errsW)
		inR.Close()
		outW.Close()
		errsW.Close()
		close(p.exited)
	}()
	return p, nil
}

func (h *fakeHost) probe()                {}
func (h *fakeHost) lost() error           { return nil }
func (h *fakeHost) done() <-chan struct{} { return h.gone }
func (h *fakeHost) stats() Stats          { return Stats{} }
func (h *fakeHost) close() error          { return nil }

func (p *fakeProcess) Stdin() io.WriteCloser   { return p.in }
func (p *fakeProcess) Stdout() io.Reader       { return p.out }
func (p *fakeProcess) Stderr() io.Reader       { return p.errs }
func (p *fakeProcess) Exited() <-chan struct{} { return p.exited }
func (p *fakeProcess) Status() (int, error)    { return 0, nil }
func (p *fakeProcess) Terminate()              {}
func (p *fakeProcess) Close()                  {}

// sniff reads what is sent to a shell, returns the nonce of its marks, and continues reading.
func sniff(in io.Reader) string {
	var text strings.Builder
	chunk := make([]byte, 4096)
	for {
		n, err := in.Read(chunk)
		text.Write(chunk[:n])
		if _, rest, ok := strings.Cut(text.String(), "_hl_n="); ok && len(rest) > 32 {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			return rest[:32]
		}
		if err != nil {
			return ""
		}
	}
}

// If a host does not answer, hlplay gives up after a time that follows from its limits, and says what did not answer.
func TestSilentHostTimesOut(t *testing.T) {
	first := func(in io.Reader, out, errs io.Writer) string {
		nonce := sniff(in)
		go func() { _, _ = io.WriteString(errs, "\n"+nonce+" 7\n") }()
		_, _ = io.WriteString(out, "\n"+nonce+" 7\n")
		return nonce
	}
	hang := func(in io.Reader) {
		go func() { _, _ = io.Copy(io.Discard, in) }()
		time.Sleep(24 * time.Hour)
	}
	for name, test := range map[string]struct {
		run   func(in io.Reader, out, errs io.Writer)
		query Query
		want  string
		after time.Duration
	}{
		"a .bashrc that sleeps": {func(in io.Reader, out, errs io.Writer) { hang(in) }, Query{Script: ":"},
			"did not answer within 30s", startLimit},
		"one that reads nothing": {func(io.Reader, io.Writer, io.Writer) { time.Sleep(24 * time.Hour) }, Query{Script: ":"},
			"did not answer within 30s", startLimit},
		"a banner that never ends, slowly": {func(in io.Reader, out, _ io.Writer) {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			for range 600 {
				_, _ = io.WriteString(out, "welcome\n")
				time.Sleep(time.Second)
			}
		}, Query{Script: ":"}, "did not answer within 30s", startLimit},
		"a shell that stops": {func(in io.Reader, out, errs io.Writer) {
			first(in, out, errs)
			hang(in)
		}, Query{Script: ":"}, "has stopped answering", silenceLimit},
		"one that stops behind its limit": {func(in io.Reader, out, errs io.Writer) {
			first(in, out, errs)
			hang(in)
		}, Query{Script: ":", Limit: time.Hour}, "has stopped answering", silenceLimit + time.Hour + killAfter},
		"half an answer": {func(in io.Reader, out, errs io.Writer) {
			nonce := first(in, out, errs)
			_, _ = io.WriteString(out, "half\n"+nonce+" 0")
			hang(in)
		}, Query{Script: ":"}, "has stopped answering", silenceLimit},
		"an answer that never ends": {func(in io.Reader, out, errs io.Writer) {
			first(in, out, errs)
			for range 120 {
				_, _ = io.WriteString(out, "x")
				time.Sleep(time.Minute)
			}
		}, Query{Script: ":"}, "has stopped answering", silenceLimit + answerLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConn(&fakeHost{run: test.run, gone: make(chan struct{})}, "node", "node:22", "root")
				c.use(Options{})
				began := time.Now()
				_, err := c.Ask(t.Context(), []Query{test.query})
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "node") {
					t.Errorf("error %v, want one that says %q", err, test.want)
				}
				if took := time.Since(began); took < test.after || took > test.after+2*time.Second {
					t.Errorf("given up after %s, want %s", took, test.after)
				}
				time.Sleep(48 * time.Hour) // for those that were left behind
			})
		})
	}
}

// Commands are given up as well if their shell is silent: a sudo that hangs, and the queries after the last command.
func TestSilentCommandTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(in io.Reader, _, _ io.Writer) {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			time.Sleep(24 * time.Hour)
		}
		c := newConn(&fakeHost{run: silent, gone: make(chan struct{})}, "node", "node:22", "alice")
		c.use(Options{AskSudoPassword: true})
		for _, user := range []string{"alice", "root"} {
			began := time.Now()
			_, err := c.As(user).Run(t.Context(), Command{Argv: []string{"true"}})
			if err == nil || !strings.Contains(err.Error(), "the shell of user "+user+" did not answer within 30s") {
				t.Errorf("%s: error %v", user, err)
			}
			if took := time.Since(began); took > startLimit+2*time.Second {
				t.Errorf("%s: given up after %s", user, took)
			}
		}
		time.Sleep(48 * time.Hour)
	})
}

func TestSilenceIsNoCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(&fakeHost{run: func(in io.Reader, _, _ io.Writer) {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			time.Sleep(24 * time.Hour)
		}, gone: make(chan struct{})}, "node", "node:22", "root")
		c.use(Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Ask(ctx, []Query{{Script: ":"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
		time.Sleep(48 * time.Hour)
	})
}

// An agent that accepts the connection but is silent, and a key that is a FIFO.
func TestSilentAgentTimesOut(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key)
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	unreachable(t, s.target("root", key), Options{SSHConfig: None, Agent: socket, DialTimeout: 50 * time.Millisecond}, "no answer within 50ms")

	fifo := filepath.Join(t.TempDir(), "key")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	target := s.target("root", key)
	target.Keys = []string{fifo}
	unreachable(t, target, plain(), "key "+fifo+": it is a FIFO")
}

// A host that is known to be slow gets more time.
func TestSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(&fakeHost{run: func(in io.Reader, _, _ io.Writer) {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			time.Sleep(24 * time.Hour)
		}, gone: make(chan struct{})}, "node", "node:22", "root")
		c.use(Options{Slack: 10 * time.Minute})
		began := time.Now()
		_, err := c.Ask(t.Context(), []Query{{Script: ":"}})
		if err == nil || !strings.Contains(err.Error(), "did not answer within 10m30s") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took < startLimit+10*time.Minute {
			t.Errorf("given up after %s", took)
		}
		time.Sleep(48 * time.Hour) // for what was left behind
	})
}

// TestDialsThatNeverEnd checks that the time limit of a dial also ends one to a host that talks forever before it identifies
// itself, and one through a jump host that never answers.
func TestDialsThatNeverEnd(t *testing.T) {
	key := newKey(t, "id", "")
	for name, line := range map[string]string{"lines": "welcome\r\n", "one line": "welcome ", "nothing but line ends": "\r\n"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					for {
						if _, err := io.WriteString(c, line); err != nil {
							return
						}
					}
				}()
			}
		}()
		_, err = Dial(bounded(t), Target{Name: "node", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, KnownHosts: "/nonesuch"},
			Options{SSHConfig: None, Agent: None, DialTimeout: 100 * time.Millisecond})
		var u *UnreachableError
		if !errors.As(err, &u) {
			t.Errorf("%s without end: error %v", name, err)
		}
	}

	jump := newServer(t, key, func(s *server) { s.silent = true })
	home := settings(t, "")
	config := fmt.Sprintf("Host behind\n  HostName 10.0.0.1\n  ProxyJump root@127.0.0.1:%d\n  UserKnownHostsFile %[2]s\nHost *\n  UserKnownHostsFile %[2]s\n  IdentityFile %s\n",
		jump.port(), jump.knownHosts(), key.path)
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	unreachable(t, Target{Name: "node", Address: "behind"}, Options{DialTimeout: 2 * time.Second}, "no answer within 2s")
}
