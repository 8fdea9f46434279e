package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// slack is what a command has beyond its limit to be ended by timeout(1) on the host, before the
// controller gives it up.
const slack = 10 * time.Second

// killAfter is what a command has between SIGTERM and SIGKILL.
const killAfter = 2 * time.Second

// script is what the command's shell reads: an environment, a directory, the mark that ends the
// noise, and the command, which takes the shell's place. As one compound command it is run whole or,
// if the connection is cut within it, not at all: "rm -rf /srv/old" must not become "rm -rf /srv".
func (c Command) script(nonce, user string) ([]byte, error) {
	words, err := quoteAll(c.Argv)
	if err != nil {
		return nil, err
	}
	env, err := exports(c.Env)
	if err != nil {
		return nil, err
	}
	cd := "cd \"${HOME:-/}\" 2>/dev/null || cd /\n"
	switch {
	case c.Dir != "":
		if !path.IsAbs(c.Dir) {
			return nil, fmt.Errorf("directory %q: want an absolute path", c.Dir)
		}
		dir, err := quote(c.Dir)
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		cd = "cd " + dir + " || exit 125\n"
	case user == "root":
		cd = "cd /\n"
	}
	seconds := int(math.Ceil(c.limit().Seconds()))
	return fmt.Appendf(nil, "{\n%s_hl_n=%s\n%s%s%sexec timeout -k %d %d %s\n}\n",
		environment, nonce, env, cd, marks, int(killAfter.Seconds()), seconds, words), nil
}

func (c Command) limit() time.Duration {
	if c.Limit <= 0 {
		return DefaultLimit
	}
	return c.Limit
}

// errOverLimit says that not even the host ended a command at its limit.
var errOverLimit = errors.New("it did not end at its limit")

// Run runs one command in an exec session of its own or, where sudo wants a password each time, in
// the user's acting shell. Commands see LC_ALL=C unless their Env says otherwise.
func (s *session) Run(ctx context.Context, c Command) (Result, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return Result{}, fmt.Errorf("%s: a command without a program", s.conn.name)
	}
	if _, err := c.script("", ""); err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, c.limit()+killAfter+slack, errOverLimit)
	defer cancel()
	inShell, err := s.needsPassword(bounded)
	if err != nil {
		return Result{}, err
	}
	if inShell {
		return s.runInShell(bounded, c)
	}
	return s.runAlone(bounded, c)
}

// runAlone runs a command in a session of its own.
func (s *session) runAlone(ctx context.Context, c Command) (Result, error) {
	began := time.Now()
	p, err := s.spawn(ctx, true)
	if err != nil {
		return Result{}, err
	}
	defer p.Close()
	script, err := c.script(p.nonce, s.who())
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
	}
	go func() {
		// A command need not read its input: an error here is none.
		_, _ = p.Stdin().Write(append(frame(script), c.Stdin...))
		_ = p.Stdin().Close()
	}()
	var moves atomic.Int64
	out, errs := newCollector(p.out, &moves), newCollector(p.errs, &moves)
	pid := make(chan string, 1)
	go func() {
		defer close(pid)
		if said, err := p.started(); err == nil {
			pid <- said
		}
		out.collect()
	}()
	go errs.collect()

	result := func() Result {
		return Result{Stdout: out.bytes(), Stderr: errs.bytes(), Duration: time.Since(began)}
	}
	select {
	case <-p.Exited():
	case <-ctx.Done():
		select {
		case id, ok := <-pid:
			if ok {
				s.interrupt(ctx, `kill -TERM "$1"`, id)
			}
		case <-time.After(interruptLimit): // it has not come to the command, or its word is on the way
		}
		p.Terminate()
		// Its streams stay open meanwhile: closing them could kill it in the middle of its own tidying.
		select {
		case <-p.Exited():
			if _, err := p.Status(); err == nil {
				return result(), s.abandoned(ctx, c, "it has ended since")
			}
		case <-time.After(killAfter + time.Second):
		}
		return result(), s.abandoned(ctx, c, mayRun)
	}
	exit, statusErr := p.Status()
	drain(ctx, &moves, out, errs)
	if err := out.failure(); err != nil { // it never came to the command
		return result(), s.notStarted(p, c, err)
	}
	if statusErr != nil {
		if lost := s.conn.gone(); lost != nil {
			return result(), fmt.Errorf("%s: whether it ended is not known: %w", c.Argv[0], lost)
		}
		return result(), fmt.Errorf("%s: %s: how it ended is not known: %w", s.conn.name, c.Argv[0], statusErr)
	}
	r := result()
	r.Exit = exit
	return r, nil
}

// notStarted explains why a command did not come to run.
func (s *session) notStarted(p *spawned, c Command, err error) error {
	if c.Dir != "" && errors.Is(err, errNoMark) {
		if exit, statusErr := p.Status(); statusErr == nil && exit == 125 {
			return s.noDirectory(c, p.complaint())
		}
	}
	return s.explain(p, err)
}

func (s *session) noDirectory(c Command, complaint string) error {
	return fmt.Errorf("%s: %s was not started: its directory %s cannot be entered: %s", s.conn.name, c.Argv[0], c.Dir, orNothing(complaint))
}

const mayRun = "it may still run on the host"

// abandoned is the error of a command that was given up.
func (s *session) abandoned(ctx context.Context, c Command, fate string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errOverLimit) {
		return fmt.Errorf("%s: %s: %w of %s, and timeout(1) on the host did not end it; %s", s.conn.name, c.Argv[0], cause, c.limit(), fate)
	}
	return fmt.Errorf("%s: %s was given up and sent SIGTERM; %s: %w", s.conn.name, c.Argv[0], fate, cause)
}

// interruptLimit bounds the attempt to end a command that is given up.
const interruptLimit = 2 * time.Second

// interrupt ends a command through the reading shell, which has the right to: sshd itself passes no
// signal on to what runs as root or through sudo.
func (s *session) interrupt(ctx context.Context, script string, args ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptLimit)
	defer cancel()
	// Best effort: the error that follows says that the command may still run.
	_, _ = s.ask(ctx, []Query{{Script: script, Args: args}})
}

// collector gathers a stream.
type collector struct {
	r     *skipper
	moves *atomic.Int64 // counts what comes in, to see that a stream is silent
	done  chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
	err error
}

func newCollector(r *skipper, moves *atomic.Int64) *collector {
	return &collector{r: r, moves: moves, done: make(chan struct{})}
}

func (c *collector) collect() {
	defer close(c.done)
	chunk := make([]byte, 64<<10)
	for {
		n, err := c.r.Read(chunk)
		c.moves.Add(1)
		c.mu.Lock()
		c.buf.Write(chunk[:n])
		if err != nil {
			if err != io.EOF {
				c.err = err
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

func (c *collector) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}

// failure is the error that ended the stream before its end.
func (c *collector) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// A command that has ended may have left a child that holds its output open for ever. What the
// command itself wrote is on its way: it is waited for until nothing has come for silence, and no
// longer than patience.
const (
	silence  = 2 * time.Second
	patience = time.Minute
)

// drain waits for the end of the streams of a process that has ended.
func drain(ctx context.Context, moves *atomic.Int64, streams ...*collector) {
	give := time.After(patience)
	for _, c := range streams {
		for seen, open := moves.Load(), true; open; {
			select {
			case <-c.done:
				open = false
			case <-time.After(silence):
				now := moves.Load()
				if now == seen {
					return
				}
				seen = now
			case <-give:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// actingLoop runs one command after another for a user whom sudo lets in only with a password, so
// that the password is paid once and not once a command. A frame is "<length> <input>\n", the
// script, and the command's input. The output goes to files, made anew for each command, and is sent
// when the command has ended: a child that it leaves behind goes on writing to a file that nobody
// reads any more, and not into the next answer. The files are in memory where there is such a file
// system, so that a full disk does not cost an answer.
const actingLoop = `trap 'rm -rf "$_hl_d"' EXIT
trap 'exit 1' HUP INT PIPE TERM
umask 077
_hl_i=0
while read -r _hl_l _hl_in; do
	head -c "$_hl_l" >"$_hl_d/script"
	head -c "$_hl_in" >"$_hl_d/in"
	sh "$_hl_d/script" <"$_hl_d/in" >"$_hl_d/out" 2>"$_hl_d/err"
	_hl_r=$?
	cat "$_hl_d/out"
	cat "$_hl_d/err" >&2
	rm -f "$_hl_d/script" "$_hl_d/in" "$_hl_d/out" "$_hl_d/err"
	printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$_hl_r"
	printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$_hl_r" >&2
	_hl_i=$((_hl_i+1))
done
exit 0
`

// runInShell runs a command in the acting shell of the user.
func (s *session) runInShell(ctx context.Context, c Command) (Result, error) {
	if err := s.act.enter(ctx); err != nil {
		return Result{}, fmt.Errorf("%s: %s was not started: %w", s.conn.name, c.Argv[0], err)
	}
	defer s.act.leave()
	began := time.Now()
	dir := "/dev/shm/hlplay." + nonce()
	loop := "_hl_d=" + dir + "; [ -w /dev/shm ] || _hl_d=/tmp${_hl_d#/dev/shm}\nmkdir -m 700 \"$_hl_d\" || exit\n" + actingLoop
	if s.act.stands() {
		dir = s.act.shell.dir
	} else {
		sh, prelude, err := s.shell(ctx, loop)
		if err != nil {
			return Result{}, err
		}
		s.act.shell, sh.dir = sh, dir
		if _, err := sh.exchange(ctx, prelude, 0); err != nil {
			s.act.drop()
			if ctx.Err() != nil {
				return Result{}, fmt.Errorf("%s: %s was not started: %w", s.conn.name, c.Argv[0], err)
			}
			return Result{}, s.explain(sh.spawned, err)
		}
	}
	sh := s.act.shell
	mark := nonce()
	script, err := c.script(mark, s.who())
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
	}
	text := fmt.Appendf(nil, "%d %d\n", len(script), len(c.Stdin))
	text = append(append(text, script...), c.Stdin...)
	answers, err := sh.exchange(ctx, text, 1)
	if err != nil {
		if ctx.Err() != nil {
			s.interrupt(ctx, `for d in "/dev/shm/$1" "/tmp/$1"; do [ ! -f "$d/out" ] || kill -TERM "$(sed -n '2s/.* //p' "$d/out")"; done`,
				dir[strings.LastIndexByte(dir, '/')+1:])
			s.act.drop()
			return Result{Duration: time.Since(began)}, s.abandoned(ctx, c, mayRun)
		}
		s.act.drop()
		return Result{Duration: time.Since(began)}, fmt.Errorf("%s: whether it ended is not known: %w", c.Argv[0], s.explain(sh.spawned, err))
	}
	out := newSkipper(bytes.NewReader(answers[0].Stdout), mark)
	errs := newSkipper(bytes.NewReader(answers[0].Stderr), mark)
	stdout, err := io.ReadAll(out)
	stderr, err2 := io.ReadAll(errs)
	if err != nil || err2 != nil {
		if answers[0].Exit == 125 && c.Dir != "" {
			return Result{}, s.noDirectory(c, lastLines(errs.dropped(), 3))
		}
		return Result{}, fmt.Errorf("%s: %s was not started (exit code %s): %s", s.conn.name, c.Argv[0],
			strconv.Itoa(answers[0].Exit), orNothing(lastLines(errs.dropped(), 3)))
	}
	return Result{Stdout: stdout, Stderr: stderr, Exit: answers[0].Exit, Duration: time.Since(began)}, nil
}
