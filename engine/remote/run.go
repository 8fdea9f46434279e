package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// slack is how long after a command's limit the controller waits for timeout(1) to stop it before giving up.
const slack = 10 * time.Second

// killAfter is the time between SIGTERM and SIGKILL.
const killAfter = 2 * time.Second

// script returns what the command's shell reads: environment, directory, the mark that ends the noise, and the command,
// which replaces the shell. It is a single compound command, so that nothing runs if the connection is cut in the
// middle: "rm -rf /srv/old" must not become "rm -rf /srv".
//
// opening comes before the command's environment.
func (c Command) script(nonce, user, opening string) ([]byte, error) {
	words, err := quoteAll(c.Argv)
	if err != nil {
		return nil, err
	}
	run := c.timeout() + words
	if c.Via.Script == "" {
		return c.around(nonce, user, opening, marks, run)
	}
	env, cd, err := c.surroundings(user)
	if err != nil {
		return nil, err
	}
	own, err := quote(env + cd + run + "\n")
	if err != nil {
		return nil, err
	}
	via, err := c.Via.function("_hl_via")
	if err != nil {
		return nil, err
	}
	c.Env = nil // only the command gets it
	return c.around(nonce, user, opening, marks, "_hl_command="+own+"\n"+via)
}

// timeout returns the beginning of the line that runs the command within its limit.
func (c Command) timeout() string {
	return fmt.Sprintf("exec timeout -v -k %d %d ", int(killAfter.Seconds()), c.seconds())
}

// seconds returns the limit in seconds.
func (c Command) seconds() int { return int(math.Ceil(c.limit().Seconds())) }

// around returns a script that prepares for the command, prints the mark, and ends with the line run.
func (c Command) around(nonce, user, opening, word, run string) ([]byte, error) {
	env, cd, err := c.surroundings(user)
	if err != nil {
		return nil, err
	}
	before, err := c.before()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "{\n%s%s_hl_n=%s\n%s%s%s%s\n}\n", opening, before, nonce, env, cd, word, run), nil
}

// surroundings returns the lines that export the command's environment, and those that change to its directory.
func (c Command) surroundings(user string) (env, cd string, err error) {
	if env, err = exports(c.Env); err != nil {
		return "", "", err
	}
	where, err := c.where(user)
	if err != nil {
		return "", "", err
	}
	switch where {
	case "":
		cd = "cd \"${HOME:-/}\" 2>/dev/null || cd /\n"
	case "/":
		cd = "cd /\n"
	default:
		dir, err := quote(where)
		if err != nil {
			return "", "", fmt.Errorf("directory: %w", err)
		}
		cd = entering + "_hl_cd " + dir + " 125\n"
	}
	return env, cd, nil
}

// where returns the command's directory. Empty means the user's home.
func (c Command) where(user string) (string, error) {
	switch {
	case c.Dir == "" && user == "root":
		return "/", nil
	case c.Dir == "":
		return "", nil
	case !path.IsAbs(c.Dir):
		return "", fmt.Errorf("directory %q: want an absolute path", c.Dir)
	}
	return path.Clean(c.Dir), nil
}

// called reports whether the acting shell can run the command by calling a function.
func (c Command) called() bool { return c.inBlock() || c.plain() }

// inBlock reports whether the acting shell can run the command by calling a function, and whether it is Brief without input or
// a function of its own.
func (c Command) inBlock() bool {
	if c.input != nil || c.Via.Script != "" {
		return false
	}
	return c.ownByCall() || c.own.name == "" && c.Brief && len(c.Stdin) == 0
}

// ownByCall reports whether the command is a function of the acting shell that can be called with its input.
func (c Command) ownByCall() bool {
	return c.own.name != "" && c.input == nil && c.Via.Script == "" && isText(c.Stdin)
}

// plain reports whether the acting shell can run the command by calling _hl_run, which takes words.
func (c Command) plain() bool {
	if c.input != nil || c.Via.Script != "" || c.ownByCall() {
		return false
	}
	words := slices.Concat(c.Argv, slices.Collect(maps.Values(c.Env)), []string{c.Dir})
	return !slices.ContainsFunc(words, func(w string) bool { return strings.ContainsAny(w, "\x00\r") })
}

// isText reports whether shells keep a text that is part of a script. No shell keeps NUL, and the shell of the simulated nodes
// does not keep carriage returns.
func isText(b []byte) bool { return !bytes.ContainsAny(b, "\x00\r") && utf8.Valid(b) }

// inCall reports whether the input of a plain command is text that is sent with the call. More of it, or other bytes, are sent
// in a frame of their own, which costs the host a process.
func (c Command) inCall() bool { return len(c.Stdin) > 0 && len(c.Stdin) <= 32<<10 && isText(c.Stdin) }

// callPlain returns the lines by which the acting shell runs the command from its words: see _hl_run.
func (c Command) callPlain(nonce, user string) (string, error) {
	where, err := c.where(user)
	if err != nil {
		return "", err
	}
	words := []string{strconv.Itoa(c.seconds()), where, strconv.Itoa(len(c.Env))}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if !isName(name) {
			return "", fmt.Errorf("environment variable %q: want a name of letters, digits and underscores", name)
		}
		words = append(words, name+"="+c.Env[name])
	}
	words = append(words, c.Argv...)
	line, err := quoteAll(words)
	if err != nil {
		return "", err
	}
	kind, input, lines := "long", "", ""
	if c.Brief {
		kind = "brief"
	}
	if len(c.Stdin) > 0 {
		input = "yes"
	}
	if c.inCall() {
		text, err := quote(string(c.Stdin))
		if err != nil {
			return "", err
		}
		lines = "_hl_input " + text + "\n"
	}
	call, err := quoteAll([]string{c.codes(), kind, input, nonce, lengths(words), line})
	if err != nil {
		return "", err
	}
	prepare, err := c.prepare()
	return lines + prepare + "_hl_run " + call + "\n", err
}

// prepare returns the beginning of the line by which the acting shell runs the command, with what comes before it.
func (c Command) prepare() (string, error) {
	if c.Before.Script == "" {
		return "", nil
	}
	words, err := quoteAll(append([]string{c.Before.Script}, c.Before.Args...))
	return "! _hl_prepare " + words + " || ", err
}

// call returns the lines by which the acting shell runs the command.
func (c Command) call(nonce, user string) (string, error) {
	if c.plain() {
		return c.callPlain(nonce, user)
	}
	run, word := "", `echo "$_hl_n" >"$_hl_d/began" || exit 1`+"\n"
	if c.own.name == "" {
		words, err := quoteAll(c.Argv)
		if err != nil {
			return "", err
		}
		run = c.timeout() + words
		if len(c.Stdin) > 0 {
			text, err := quote(string(c.Stdin))
			if err != nil {
				return "", err
			}
			word = "printf %s " + text + ` >"$_hl_d/in" || exit 1` + "\n" + word
			run += ` <"$_hl_d/in"`
		}
	} else {
		args := slices.Clone(c.own.args)
		switch {
		case c.own.summed:
			args = append(args, string(c.Stdin), fmt.Sprintf("%x", sha256.Sum256(c.Stdin)))
		case len(c.Stdin) > 0:
			args = append(args, string(c.Stdin))
		}
		if c.own.byHand && len(c.Env) == 0 {
			words, err := request(c.own.name, args)
			if err != nil {
				return "", err
			}
			accepted, err := quote(c.codes())
			if err != nil {
				return "", err
			}
			prepare, err := c.prepare()
			return prepare + "_hl_own " + accepted + " " + nonce + " " + words + "\n", err
		}
		words, err := quoteAll(args)
		if err != nil {
			return "", err
		}
		run = c.own.name + " " + words
	}
	script, err := c.around(nonce, user, "", word, run)
	if err != nil {
		return "", err
	}
	words, err := quoteAll([]string{c.codes(), string(script)})
	return "_hl_do " + words + "\n", err
}

// check returns an error if the command cannot be sent.
func (c Command) check() (err error) {
	if c.called() {
		_, err = c.call("", "")
	} else {
		_, err = c.script("", "", "")
	}
	return err
}

// ExitPrevented is the exit code with which a Command's Before prevents the command.
const ExitPrevented = 76

// PreventedError reports that a Command was not run because its Before prevented it.
type PreventedError struct {
	Host string
	// Said is what Before printed on standard error.
	Said string
}

func (e *PreventedError) Error() string {
	return e.Host + ": nothing was begun: " + strings.TrimSpace(e.Said)
}

// before returns what runs before the command. It does not read the command's input.
func (c Command) before() (string, error) {
	const at = "_hl_at=${1-}\n"
	switch {
	case c.Before.Script != "":
		call, err := c.Before.function("_hl_before")
		return at + call, err
	case c.Via.Script != "":
		return at, nil
	}
	return "", nil
}

// function returns the lines that define the script as a function and call it with empty input.
func (q Query) function(name string) (string, error) {
	args, err := quoteAll(q.Args)
	return name + "() {\n" + q.Script + "\n}\n" + name + " " + args + " </dev/null\n", err
}

func (c Command) stdin() io.Reader {
	if c.input != nil {
		return c.input
	}
	return bytes.NewReader(c.Stdin)
}

func (c Command) limit() time.Duration {
	if c.Limit <= 0 {
		return DefaultLimit
	}
	return c.Limit
}

// errOverLimit reports that the host did not stop a command at its limit.
var errOverLimit = errors.New("it did not end at its limit")

// Run runs one command; see RunAll.
func (s *session) Run(ctx context.Context, c Command) (Result, error) {
	results, _, err := s.RunAll(ctx, Actions{Commands: []Command{c}})
	if len(results) == 0 {
		return Result{}, err
	}
	return results[0], err
}

// RunAll runs commands in the user's acting shell. If the shell is busy or cannot be started, it runs each in its own
// session, asks no queries, and does nothing ahead. Commands get LC_ALL=C unless Env sets it.
func (s *session) RunAll(ctx context.Context, a Actions) ([]Result, []Answer, error) {
	if len(a.Commands) == 0 {
		return nil, nil, fmt.Errorf("%s: no command to run", s.conn.name)
	}
	for _, c := range a.all() {
		if len(c.Argv) == 0 || c.Argv[0] == "" {
			return nil, nil, fmt.Errorf("%s: a command without a program", s.conn.name)
		}
		if err := c.check(); err != nil {
			return nil, nil, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
		}
	}
	for _, ahead := range a.Ahead {
		if len(ahead.Commands) == 0 || slices.ContainsFunc(ahead.Commands, func(c Command) bool { return !c.Portable() }) {
			return nil, nil, fmt.Errorf("%s: what is sent ahead needs commands of its own that the shell calls; this is a defect of hlplay", s.conn.name)
		}
	}
	if ctx.Err() != nil {
		return nil, nil, &UnstartedError{Host: s.conn.name, Program: a.Commands[0].Argv[0], Err: context.Cause(ctx)}
	}
	results, answers, err := s.runInShell(ctx, a)
	if !errors.Is(err, errNoActing) {
		return results, answers, err
	}
	for i, c := range a.Commands {
		c.Via = Query{}
		r, err := s.runWithoutShell(ctx, c)
		if err != nil {
			return results, nil, err
		}
		results = append(results, r)
		if a.Ended != nil {
			a.Ended(i, r)
		}
		if !c.accepts(r.Exit) {
			break
		}
	}
	return results, nil, nil
}

// runWithoutShell runs a command in its own session. It waits no longer than the command may take.
func (s *session) runWithoutShell(ctx context.Context, c Command) (Result, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, c.limit()+killAfter+slack, errOverLimit)
	defer cancel()
	if bounded.Err() != nil {
		return Result{}, fmt.Errorf("%s: %s was not started: %w", s.conn.name, c.Argv[0], context.Cause(bounded))
	}
	return s.runAlone(bounded, c)
}

// accepted returns the exit codes that count as success.
func (c Command) accepted() []int {
	if c.OK == nil {
		return []int{0}
	}
	return c.OK
}

// codes returns the accepted exit codes as words.
func (c Command) codes() string {
	words := make([]string, 0, 1)
	for _, code := range c.accepted() {
		words = append(words, strconv.Itoa(code))
	}
	return strings.Join(words, " ")
}

func (c Command) accepts(exit int) bool { return slices.Contains(c.accepted(), exit) }

// runAlone runs a command in its own session.
func (s *session) runAlone(ctx context.Context, c Command) (Result, error) {
	began := time.Now()
	p, err := s.spawn(ctx, boot, true)
	switch {
	case errors.Is(err, errOverLimit):
		return Result{}, fmt.Errorf("%s: %s was not started: the host opened no session for it within its limit of %s", s.conn.name, c.Argv[0], c.limit())
	case err != nil:
		return Result{}, err
	}
	defer p.Close()
	script, err := c.script(p.nonce, s.who(), environment)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
	}
	go func() {
		// A command need not read its input, so this error is ignored.
		if _, err := p.Stdin().Write(frame(script)); err == nil {
			_, _ = io.Copy(p.Stdin(), c.stdin())
		}
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
	case <-p.late:
		return Result{}, s.notStarted(p, c, errNoWord)
	case <-ctx.Done():
		select {
		case id, ok := <-pid:
			if ok {
				s.interrupt(ctx, `kill -TERM "$1"`, id)
			}
		case <-time.After(s.conn.waits.interrupt): // the command has not started, or its first word is under way
		}
		p.Terminate()
		// Its streams stay open: closing them could kill it while it cleans up.
		select {
		case <-p.Exited():
			if _, err := p.Status(); err == nil {
				return result(), s.abandoned(ctx, c, "it has ended since")
			}
		case <-time.After(s.conn.waits.end):
		}
		return result(), s.abandoned(ctx, c, mayRun)
	}
	exit, statusErr := p.Status()
	drain(ctx, &moves, out, errs)
	if err := out.failure(); err != nil { // the command never started
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
	return r.limited(c.limit()), nil
}

// notStarted explains why a command did not start.
func (s *session) notStarted(p *spawned, c Command, err error) error {
	if c.Before.Script != "" && errors.Is(err, errNoMark) {
		if exit, statusErr := p.Status(); statusErr == nil && exit == ExitPrevented {
			return &PreventedError{Host: s.conn.name, Said: string(p.errs.dropped())}
		}
	}
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

// abandoned returns the error for a command that was given up.
func (s *session) abandoned(ctx context.Context, c Command, fate string) error {
	cause := context.Cause(ctx)
	if left := s.left(ctx, &c); fate == mayRun && left != nil {
		return left
	}
	if errors.Is(cause, errOverLimit) {
		return fmt.Errorf("%s: %s: %w of %s, and timeout(1) on the host did not end it; %s", s.conn.name, c.Argv[0], cause, c.limit(), fate)
	}
	return fmt.Errorf("%s: %s was given up and sent SIGTERM; %s: %w", s.conn.name, c.Argv[0], fate, cause)
}

// waits are the time limits for ending a command that was given up.
type waits struct {
	// interrupt limits the attempt to send SIGTERM, end the time from then until the command has ended.
	interrupt, end time.Duration
}

// usualWaits last until the command gets SIGKILL.
var usualWaits = waits{interrupt: 2 * time.Second, end: killAfter + time.Second}

// interrupt stops a command through the reading shell, which may send it a signal. sshd does not pass signals on to
// processes of root or of sudo.
func (s *session) interrupt(ctx context.Context, script string, args ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.conn.waits.interrupt)
	defer cancel()
	// Best effort: the error that follows says that the command may still be running.
	_, _ = s.ask(ctx, []Query{{Script: script, Args: args}})
}

// collector reads a stream into a keeper.
type collector struct {
	r     *skipper
	moves *atomic.Int64 // counts reads, to detect a silent stream
	done  chan struct{}

	mu   sync.Mutex
	kept keeper
	err  error
}

func newCollector(r *skipper, moves *atomic.Int64) *collector {
	return &collector{r: r, moves: moves, done: make(chan struct{}), kept: keeper{limit: MaxOutput}}
}

func (c *collector) collect() {
	defer close(c.done)
	chunk := make([]byte, 64<<10)
	for {
		n, err := c.r.Read(chunk)
		c.moves.Add(1)
		c.mu.Lock()
		_, _ = c.kept.Write(chunk[:n])
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
	return c.kept.bytes()
}

// failure returns the error that cut the stream short.
func (c *collector) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// A command that has ended may have left a child that holds its output open forever, while its own output is still
// arriving. drain waits until nothing has arrived for silence, and no longer than patience.
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
