package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Target is a host to connect to. Empty fields are taken from ~/.ssh/config, looked up under Address, and then from the
// defaults of ssh(1).
type Target struct {
	// Name is the name in the inventory, for messages. Address is a host name, an IP address or an alias of ~/.ssh/config;
	// empty means Name.
	Name, Address string
	// MovedTo, if not empty, is the address to dial. The configuration, jump hosts and host key remain those of
	// Address, which the host had when the run started.
	MovedTo string
	// Port is 22 if it is zero and the configuration sets none.
	Port int
	// User is the login user. If it is empty and the configuration sets none, it is the user who runs hlplay.
	User string
	// Keys are paths of private keys, which are offered before any others.
	Keys []string
	// KnownHosts is a known_hosts file that replaces the user's and the system's.
	KnownHosts string
}

// Options apply to all hosts of a run.
type Options struct {
	// HostKeys says what to do about hosts with an unknown key.
	HostKeys HostKeyPolicy
	// SSHConfig is the path of the configuration. Empty means ~/.ssh/config if it exists, None means no configuration.
	SSHConfig string
	// Agent is the path of the agent's socket. Empty means $SSH_AUTH_SOCK, None means no agent.
	Agent string
	// AskPassword asks for the login user's password, once per run, if no key is accepted.
	AskPassword bool
	// AskSudoPassword asks for the login user's sudo password, once per run, if sudo requires one on a host.
	AskSudoPassword bool
	// Password and SudoPassword, if not nil, return the passwords in place of the user, once per run.
	Password, SudoPassword func() (string, error)
	// Ask asks the user for a secret; nil means that there is nobody to ask.
	Ask func(ctx context.Context, prompt string) (string, error)
	// Remark, if not nil, is called with problems of a host that should be fixed but do not prevent the connection.
	Remark func(text string)
	// Secrets remembers the user's answers; nil remembers them for one connection only.
	Secrets *Secrets
	// Dials is shared by the dials of a run; nil means that this is the only dial.
	Dials *DialLimiter
	// DialTimeout limits each dial up to the end of the handshake, not counting the time in which the user is asked.
	// Zero means the configuration's ConnectTimeout or, if there is none, DefaultDialTimeout.
	DialTimeout time.Duration
	// KeepAlive is how long a connection may be silent before the host is sent a keep-alive request. If it stays silent
	// for three times as long, the connection counts as lost. Zero means DefaultKeepAlive.
	KeepAlive time.Duration
	// Slack is added to the time that a host has for accepting a connection, opening a session, starting a shell and
	// answering.
	Slack time.Duration
}

const (
	// DefaultDialTimeout is the default limit of a dial.
	DefaultDialTimeout = 15 * time.Second
	// DefaultKeepAlive makes a host that vanished without closing its connections count as lost after 20 seconds.
	DefaultKeepAlive = 5 * time.Second
)

// Dial connects to a host over SSH. The error is an *UnreachableError unless the configuration cannot be read or the context
// has ended.
func Dial(ctx context.Context, t Target, o Options) (Conn, error) {
	if o.KeepAlive <= 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.Secrets == nil {
		o.Secrets = &Secrets{}
	}
	if o.Dials == nil {
		o.Dials = &DialLimiter{}
	}
	r, err := newResolver(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	e, err := r.resolve(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	var clients []*ssh.Client
	var count *countingConn
	for i, hop := range append(e.via, e) {
		var through *ssh.Client
		if i > 0 {
			through = clients[i-1]
		}
		client, counted, err := hop.inTurn(ctx, hop.patient(o), through)
		if err != nil {
			closeAll(clients)
			if hop != e {
				return nil, e.throughJump(hop, err)
			}
			return nil, err
		}
		clients, count = append(clients, client), counted
	}
	c := newConn(newSSHTransport(clients, count, o), e.name, e.address(), e.user)
	c.use(o)
	return c, nil
}

// closeAll closes the connections of a chain, the farthest first.
func closeAll(clients []*ssh.Client) {
	for i := len(clients) - 1; i >= 0; i-- {
		clients[i].Close()
	}
}

// throughJump wraps the error of a jump host.
func (e *endpoint) throughJump(hop *endpoint, err error) error {
	var u *UnreachableError
	if !errors.As(err, &u) {
		return err
	}
	return &UnreachableError{
		Host: e.name, Address: e.address(), Err: err,
		Reason: fmt.Sprintf("its ProxyJump host %s (%s) is not reachable: %s", hop.name, u.Address, u.Reason),
		Hint:   u.Hint,
	}
}

// inTurn dials once there is a place at the host.
func (e *endpoint) inTurn(ctx context.Context, o Options, through *ssh.Client) (*ssh.Client, *countingConn, error) {
	release, err := o.Dials.acquire(ctx, e.address())
	switch {
	case errors.Is(err, errDialTimeout): // of another dial to the same address
		return nil, nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("%s: the dial was given up: %w", e.name, err)
	}
	client, count, err := e.dial(ctx, o, through)
	release(err)
	return client, count, err
}

// errDialTimeout is the cause of cancellation if a dial takes too long.
var errDialTimeout = errors.New("dial timeout")

// dial connects to one host, through another if through is not nil.
func (e *endpoint) dial(ctx context.Context, o Options, through *ssh.Client) (*ssh.Client, *countingConn, error) {
	keys, err := e.loadHostKeys(o.HostKeys)
	if err != nil {
		return nil, nil, e.unreachable(err.Error(), "repair the file", err)
	}
	clock, ctx, stop := newClock(ctx, o.DialTimeout)
	defer stop()
	ask := clock.prompter(o)
	ring, closeAgent := e.keyring(ctx, ask)
	defer closeAgent()

	if o.Remark != nil {
		for _, text := range ring.remarks {
			o.Remark(text)
		}
	}
	conn, err := e.connect(ctx, through)
	if err != nil {
		return nil, nil, e.explain(ctx, o, err, ring)
	}
	proxy, _ := conn.(*proxied)
	count := newCountingConn(conn)
	// The handshake takes no context, so the context closes the connection.
	release := context.AfterFunc(ctx, func() { conn.Close() })
	config := &ssh.ClientConfig{
		User:              e.user,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(ring.signers...)},
	}
	if o.AskPassword {
		password := func() (string, error) {
			return ask.ask(ctx, loginPassword, "SSH password: ")
		}
		config.Auth = append(config.Auth, ssh.PasswordCallback(password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if echos[i] {
						return nil, fmt.Errorf("the host asks %q, which hlplay cannot answer", questions[i])
					}
					var err error
					if answers[i], err = password(); err != nil {
						return nil, err
					}
				}
				return answers, nil
			}))
	}
	sent := count.asks()
	c, channels, requests, err := ssh.NewClientConn(count, e.address(), config)
	sent()
	if !release() && err == nil { // the context has just ended
		err = context.Cause(ctx)
	}
	if err != nil {
		if proxy != nil && ctx.Err() == nil && (strings.HasSuffix(err.Error(), "EOF") || strings.HasSuffix(err.Error(), "broken pipe")) {
			err = e.proxyFailed(err, proxy.complaint())
		}
		conn.Close()
		if proxy != nil {
			proxy.hangUp()
		}
		err = e.explain(ctx, o, keys.without(err), ring)
		var u *UnreachableError
		if errors.As(err, &u) && proxy == nil && count.silent() && ctx.Err() == nil {
			u.NoAnswer = true
		}
		return nil, nil, err
	}
	if proxy != nil {
		proxy.patient.Store(false)
	}
	return ssh.NewClient(c, channels, requests), count, nil
}

// connect opens the connection that carries SSH.
func (e *endpoint) connect(ctx context.Context, through *ssh.Client) (net.Conn, error) {
	switch {
	case through != nil:
		return through.DialContext(ctx, "tcp", e.address())
	case e.proxy != nil:
		conn, err := e.proxy.start(e.address())
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	var d net.Dialer
	if e.from != "" {
		from, err := net.ResolveTCPAddr(e.network, net.JoinHostPort(e.from, "0"))
		if err != nil {
			return nil, fmt.Errorf("BindAddress %s: %w", e.from, err)
		}
		d.LocalAddr = from
	}
	conn, err := d.DialContext(ctx, e.network, e.address())
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // Go's default, but we rely on it
	}
	return conn, nil
}

func (e *endpoint) unreachable(reason, hint string, err error) error {
	return &UnreachableError{Host: e.name, Address: e.address(), Reason: reason, Hint: hint, NoAnswer: e.proxy == nil && notTaken(err), Err: err}
}

// notTaken reports whether an error means that nothing accepted the connection.
func notTaken(err error) bool {
	var dial *net.OpError
	var dns *net.DNSError
	var behind *ssh.OpenChannelError
	switch {
	case errors.As(err, &dns), errors.Is(err, syscall.ENETUNREACH): // the controller's own problem
		return false
	case errors.As(err, &behind):
		return behind.Reason == ssh.ConnectionFailed
	}
	return errors.As(err, &dial) && dial.Op == "dial"
}

// rootHints are the hints of AddRootHints.
var rootHints []string

// AddRootHints adds hints about how products can make hosts stop accepting root's key. A hint is the rest of a
// sentence, such as "if …, start …". The registry of modules calls it when the program starts.
func AddRootHints(more ...string) { rootHints = append(rootHints, more...) }

// explain says why a dial failed and what to do about it.
func (e *endpoint) explain(ctx context.Context, o Options, err error, ring keyring) error {
	var key *hostKeyError
	var told *UnreachableError
	var dns *net.DNSError
	var errno syscall.Errno
	var behind *ssh.OpenChannelError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(context.Cause(ctx), errDialTimeout) && e.proxy != nil:
		return e.unreachable(fmt.Sprintf("no answer within %s through its ProxyCommand at %s", o.DialTimeout, e.proxy.Place),
			"try it by hand: "+e.proxy.line, fmt.Errorf("%w: %w", errDialTimeout, err))
	case errors.Is(context.Cause(ctx), errDialTimeout):
		return e.unreachable(fmt.Sprintf("no answer within %s", o.DialTimeout),
			"check the address, that the host is up, and that no firewall drops port "+fmt.Sprint(e.port), fmt.Errorf("%w: %w", errDialTimeout, err))
	case ctx.Err() != nil:
		return fmt.Errorf("%s: the dial was given up: %w", e.name, context.Cause(ctx))
	case errors.As(err, &key):
		return e.unreachable(key.reason, key.hint, err)
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(err.Error(), "no supported methods remain"):
		hint := "add the controller's public key to ~/.ssh/authorized_keys of " + e.user + " on the host, or name the right user or key in the inventory"
		if e.user == "root" {
			for _, more := range rootHints {
				hint += "; " + more
			}
		}
		return e.unreachable(e.refusal(o, ring, err), hint, err)
	case errors.As(err, &dns):
		return e.unreachable("the name "+dns.Name+" does not resolve: "+dns.Err, "correct the address in the inventory", err)
	case locked(err) != "":
		return e.unreachable(locked(err), "load the key into the agent (ssh-add), or run again in a terminal and give its passphrase", err)
	case strings.HasPrefix(err.Error(), "ssh: handshake failed"):
		return e.unreachable("the SSH handshake failed: "+strings.TrimPrefix(err.Error(), "ssh: handshake failed: "),
			"check that an SSH server listens at this address and allows this connection", err)
	case errors.As(err, &behind) && behind.Reason == ssh.Prohibited:
		return e.unreachable("its jump host does not forward connections: "+behind.Message, "allow it there, with AllowTcpForwarding local in sshd_config, or jump through another host", err)
	case errors.As(err, &behind):
		return e.unreachable(fmt.Sprintf("its jump host cannot connect to %s: %s", e.address(), behind.Message), "check the address, as seen from the jump host, and that sshd runs on the host", err)
	case errors.As(err, &errno):
		return e.unreachable(fmt.Sprintf("cannot connect to %s: %s", e.address(), errno), "check the address and that sshd runs on the host", err)
	}
	return e.unreachable("cannot connect: "+err.Error(), "check the address and that sshd runs on the host", err)
}

// refusal says which credentials a host did not accept.
func (e *endpoint) refusal(o Options, ring keyring, err error) string {
	parts := []string{"no key was accepted for user " + e.user}
	switch {
	case o.AskPassword && (strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "keyboard-interactive")):
		parts[0] = "neither a key nor the password was accepted for user " + e.user
	case o.AskPassword:
		parts[0] += ", and the host takes no passwords"
	}
	if len(ring.tried) > 0 {
		parts = append(parts, "offered "+strings.Join(ring.tried, ", "))
	} else {
		parts = append(parts, "there was no key to offer")
	}
	parts = append(parts, ring.problems...)
	if problem := locked(err); problem != "" {
		parts = append(parts, problem)
	}
	return strings.Join(parts, "; ")
}

// locked returns the problem with an encrypted key, or "". x/crypto/ssh includes an error from signing only as text in
// its own.
func locked(err error) string {
	for _, sign := range []string{"is encrypted", "the passphrase was wrong"} {
		if i := strings.Index(err.Error(), "key "); i >= 0 && strings.Contains(err.Error(), sign) {
			return err.Error()[i:]
		}
	}
	return ""
}

// clock limits a dial without counting the time in which the user is asked.
type clock struct {
	mu     sync.Mutex
	timer  *time.Timer
	left   time.Duration
	since  time.Time
	paused int
}

func newClock(ctx context.Context, limit time.Duration) (*clock, context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{left: limit, since: time.Now()}
	c.timer = time.AfterFunc(limit, func() { cancel(errDialTimeout) })
	return c, ctx, func() {
		c.timer.Stop()
		cancel(nil)
	}
}

// prompter returns a prompter that stops the clock while it asks.
func (c *clock) prompter(o Options) *prompter {
	return &prompter{Secrets: o.Secrets, question: o.Ask, answers: o.answers(), waiting: c.pause, done: c.resume}
}

func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused++; c.paused == 1 {
		c.timer.Stop()
		c.left -= time.Since(c.since)
	}
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused--; c.paused == 0 {
		c.since = time.Now()
		c.timer.Reset(max(c.left, time.Second))
	}
}
