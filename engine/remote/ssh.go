package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxSessions is the number of concurrent sessions that a connection uses for commands and files, besides its
// long-lived shells. sshd's MaxSessions is 10, and sshd sometimes refuses sessions before that.
const maxSessions = 4

// sshTransport starts command lines over an SSH connection.
type sshTransport struct {
	client *ssh.Client
	chain  []*ssh.Client // all clients of a ProxyJump chain, client last
	count  *countingConn
	places chan struct{}
	// startLimit limits the time that the host takes to open a session.
	startLimit time.Duration
	// open is the number of open sessions. narrow is set once the host has refused one. idle closes unused shells,
	// which are started again when needed, and reports whether there were any.
	open   atomic.Int64
	narrow atomic.Bool
	idle   func() bool
	spare  spare
	// acceptsNone is set once it is known that the host does not accept scriptVariable.
	acceptsNone atomic.Bool

	once    sync.Once
	gone    chan struct{}
	goneErr error // valid once gone is closed
}

func newSSHTransport(chain []*ssh.Client, count *countingConn, o Options) *sshTransport {
	t := &sshTransport{
		client: chain[len(chain)-1], chain: chain, count: count,
		places: make(chan struct{}, maxSessions), gone: make(chan struct{}),
		startLimit: startLimit + o.Slack,
	}
	go func() {
		err := t.client.Wait()
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("the host closed it")
		}
		t.end(err)
	}()
	go t.keepAlive(o.KeepAlive)
	return t
}

// end closes the connection with an error. The first error counts.
func (t *sshTransport) end(err error) {
	t.once.Do(func() {
		t.goneErr = err
		close(t.gone)
		closeAll(t.chain)
	})
}

func (t *sshTransport) close() error {
	t.end(errClosed)
	return nil
}

func (t *sshTransport) lost() error {
	select {
	case <-t.gone:
		return t.goneErr
	default:
		return nil
	}
}

func (t *sshTransport) done() <-chan struct{} { return t.gone }

func (t *sshTransport) stats() Stats { return t.count.stats() }

// missable is how many keep-alive replies may be missing before a connection counts as lost.
const missable = 3

// keepAlive sends keep-alive requests to a silent host. Any byte counts as a reply, since the actual reply may be
// queued behind megabytes of output.
func (t *sshTransport) keepAlive(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var received int64
	var asking atomic.Bool
	missed := 0
	for {
		select {
		case <-ticker.C:
		case <-t.gone:
			return
		}
		if now := t.count.stats().Received; now != received {
			received, missed = now, 0
			continue
		}
		if missed++; missed > missable {
			t.end(fmt.Errorf("the host has not answered for %s", every*time.Duration(missed)))
			return
		}
		if asking.CompareAndSwap(false, true) {
			go func() {
				defer asking.Store(false)
				// Hosts that do not know the request reject it, which is as good as a reply.
				_, _, _ = t.client.SendRequest("keepalive@openssh.com", true, nil)
			}()
		}
	}
}

// probe sends a keep-alive request. If there is no reply, keepAlive ends the connection.
func (t *sshTransport) probe() {
	answered := make(chan struct{})
	go func() {
		if _, _, err := t.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
			close(answered)
		}
	}()
	select {
	case <-answered:
	case <-t.gone:
	}
}

// openAttempts limits how often a refused session is requested again. The pauses double from firstPause and add up to
// 1.6 seconds. If other sessions of the connection are open, it is requested until one of them is closed, with pauses
// of at most longestPause.
const (
	openAttempts = 6
	firstPause   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond
	// patientAttempts is how many refusals are tolerated before concluding that the host allows very few sessions.
	patientAttempts = 2
)

// errRefused reports that the host currently refuses to open another session.
var errRefused = errors.New("the host refused a session")

// channel opens a session. A host that has just closed a session may refuse the next for a moment, and a host with a
// low MaxSessions until another is closed.
func (t *sshTransport) channel(ctx context.Context) (ssh.Channel, <-chan *ssh.Request, error) {
	pause, attempts := firstPause, 0
	for {
		ch, requests, err := t.openChannel(ctx)
		if err == nil {
			return ch, requests, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason == ssh.Prohibited || refused.Reason == ssh.UnknownChannelType {
			return nil, nil, err
		}
		t.spare.drop()
		attempts++
		if attempts > patientAttempts {
			t.narrow.Store(true)
		}
		shared := t.open.Load() > 0
		if t.narrow.Load() && t.idle != nil && t.idle() {
			pause = firstPause
		}
		switch {
		case shared && t.narrow.Load(): // another session will be closed eventually
			attempts = 0
		case attempts == openAttempts:
			return nil, nil, fmt.Errorf("%w %d times (is MaxSessions in its sshd_config very low?): %w", errRefused, attempts, refused)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, max(pause, longestPause))
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-t.gone:
			return nil, nil, t.goneErr
		}
	}
}

// openChannel requests a session once.
func (t *sshTransport) openChannel(ctx context.Context) (ssh.Channel, <-chan *ssh.Request, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.startLimit, fmt.Errorf("the host opened no session within %s", t.startLimit))
	defer cancel()
	type opened struct {
		ch       ssh.Channel
		requests <-chan *ssh.Request
	}
	result := make(chan error, 1)
	var o opened
	var given atomic.Bool // whichever sets it second closes the channel
	go func() {
		began := time.Now()
		sent := t.count.asks()
		ch, requests, err := t.client.OpenChannel("session", nil)
		sent()
		if err == nil {
			t.count.sessionOpened(time.Since(began))
		}
		o = opened{ch, requests}
		if !given.CompareAndSwap(false, true) && err == nil {
			go ssh.DiscardRequests(requests)
			ch.Close()
		}
		result <- err
	}()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		if given.CompareAndSwap(false, true) {
			return nil, nil, context.Cause(ctx)
		}
		err = <-result
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the host opened no session: %w", err)
	}
	return o.ch, o.requests, nil
}

// reserve takes one of the places for sessions and returns the function that releases it.
func (t *sshTransport) reserve(ctx context.Context, brief bool) (func(), error) {
	if !brief {
		return func() {}, nil
	}
	select {
	case t.places <- struct{}{}:
		return sync.OnceFunc(func() { <-t.places }), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.gone:
		return nil, t.goneErr
	}
}

func (t *sshTransport) start(ctx context.Context, line string, brief bool) (process, error) {
	p, err := t.session(ctx, brief)
	if err != nil {
		return nil, err
	}
	if err := p.exec(line); err != nil {
		return nil, err
	}
	return p, nil
}

// session opens a session in which nothing is running yet.
func (t *sshTransport) session(ctx context.Context, brief bool) (*sshProcess, error) {
	release, err := t.reserve(ctx, brief)
	if err != nil {
		return nil, err
	}
	p := t.spare.take(ctx)
	if p == nil {
		ch, requests, err := t.channel(ctx)
		if err != nil {
			release()
			return nil, err
		}
		p = newSSHProcess(ch, requests, t.count)
	}
	p.written = t.spare.wanted()
	t.occupy(p, release)
	return p, nil
}

// newSSHProcess returns the process that is to run in a session.
func newSSHProcess(ch ssh.Channel, requests <-chan *ssh.Request, count *countingConn) *sshProcess {
	p := &sshProcess{ch: ch, count: count, exited: make(chan struct{}), err: errors.New("the host did not say")}
	go p.listen(requests)
	return p
}

// sshProcess is a session with something running in it.
type sshProcess struct {
	ch      ssh.Channel
	count   *countingConn
	release func()
	// written, if not nil, is called when the host has taken what was written to the process, or what it was started with.
	written func()
	exited  chan struct{}
	status  int // valid once exited is closed
	err     error
}

// listen waits for the end of the process.
func (p *sshProcess) listen(requests <-chan *ssh.Request) {
	ended := false
	for r := range requests {
		switch {
		case ended:
		case r.Type == "exit-status":
			var m struct{ Status uint32 }
			if p.err = ssh.Unmarshal(r.Payload, &m); p.err == nil {
				p.status = int(m.Status)
			}
			ended = true
		case r.Type == "exit-signal":
			var m struct {
				Name       string
				CoreDumped bool
				Message    string
				Language   string
			}
			if p.err = ssh.Unmarshal(r.Payload, &m); p.err == nil {
				p.status = 128 + signalNumber[m.Name]
			}
			ended = true
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
		if ended {
			select {
			case <-p.exited:
			default:
				close(p.exited)
			}
		}
	}
	if !ended {
		close(p.exited)
	}
}

type channelInput struct {
	ssh.Channel
	count   *countingConn
	written func()
}

// Write waits until the host takes what is written. sshd takes nothing before it has started the process.
func (c channelInput) Write(b []byte) (int, error) {
	sent := c.count.asks()
	n, err := c.Channel.Write(b)
	sent()
	if err == nil && c.written != nil {
		c.written()
	}
	return n, err
}

// Close ends the input and leaves the channel open for the output.
func (c channelInput) Close() error {
	defer c.count.asks()()
	return c.CloseWrite()
}

func (p *sshProcess) Stdin() io.WriteCloser   { return channelInput{p.ch, p.count, p.written} }
func (p *sshProcess) Stdout() io.Reader       { return p.ch }
func (p *sshProcess) Stderr() io.Reader       { return p.ch.Stderr() }
func (p *sshProcess) Exited() <-chan struct{} { return p.exited }
func (p *sshProcess) Status() (int, error)    { return p.status, p.err }

// Terminate sends SIGTERM, which sshd passes on only to the login user's own processes.
func (p *sshProcess) Terminate() {
	_, _ = p.ch.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"TERM"}))
}

func (p *sshProcess) Close() {
	_ = p.ch.Close()
	p.release()
}
