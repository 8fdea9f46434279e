package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// startLimit bounds the time from the start of a shell to its first word, and that which a host takes to open a session.
const startLimit = 30 * time.Second

// silenceLimit is how long a shell that is asked may say nothing, beside what its queries' own limits allow, and
// answerLimit how long it may answer.
const (
	silenceLimit = 2 * time.Minute
	answerLimit  = 30 * time.Minute
)

// boot and sourced are what shells are started with. They read their real scripts from their standard input, so
// that nothing of them is seen in the host's process list and the login shell has nothing to
// misread. There is no quote, backslash or newline in them: a login shell that knows words and single
// quotes hands them on unchanged.
//
// With boot one script comes as a frame, and what is behind it is left for what the script starts. A connection that
// is cut in its length runs nothing.
const boot = `read -r _n && eval "$(head -c "$_n")"`

// With sourced the shell itself reads its input, maybe more of it than it runs, and runs each command once it is whole.
// A host is spared a process for each script: dash (0.5.12) reads blocks of 8 KiB, which costs less than a program that
// does; bash reads byte by byte, 1.5 µs each.
const sourced = "exec sh"

// environment is the beginning of every script. LC_ALL makes messages comparable. The system
// directories are not in the PATH that sshd gives to an ordinary user of Debian.
const environment = "export LC_ALL=C PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin\"\n"

// marks prints the first words of a script on both streams: whatever came before them is noise.
const marks = `printf '\n%s %s\n' "$_hl_n" "$$"; printf '\n%s %s\n' "$_hl_n" "$$" >&2` + "\n"

// spawned is a process whose streams begin behind the noise of its start.
type spawned struct {
	process
	nonce     string
	out, errs *skipper
	timer     *time.Timer
	// late is closed when the process has not said its first word in time. Closing its streams need not end them: a host
	// may go on with what a .bashrc waits for.
	late chan struct{}
}

// errNoWord says that a process has not said its first word in time.
var errNoWord = errors.New("it did not say its first word in time")

// errSilent says that a shell that was asked has stopped answering.
var errSilent = errors.New("the shell has stopped answering")

// watch closes the process if it has not said its first word in time.
func (p *spawned) watch() {
	p.late = make(chan struct{})
	p.timer = time.AfterFunc(startLimit, func() {
		close(p.late)
		p.process.Close()
	})
}

// overdue says whether the first word has not come in time.
func (p *spawned) overdue() bool {
	select {
	case <-p.late:
		return true
	default:
		return false
	}
}

// started waits for the first word of the process, and returns what stands behind it: its id.
func (p *spawned) started() (string, error) {
	if err := p.out.skip(); err != nil {
		return "", err
	}
	p.timer.Stop()
	return p.out.said, nil
}

// Close lets go of the process and of its timer.
func (p *spawned) Close() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.process.Close()
}

// complaint is the last lines that the process printed before it was to say its first word.
func (p *spawned) complaint() string {
	text := lastLines(p.errs.dropped(), 3)
	if text == "" {
		text = lastLines(p.out.dropped(), 3)
	}
	return text
}

// lastLines is the end of what a command printed, as one line for an error message.
func lastLines(b []byte, n int) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(b), "?"), func(r rune) bool { return r == '\n' || r == '\r' })
	kept := lines[:0]
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-n):], "; ")
}

// shell is a long-lived shell on a host.
type shell struct {
	*spawned
	outFrames, errFrames *unframer
	next                 int
	// unheard says that an acting shell that is idle does something once it knows that its last answer has arrived.
	unheard bool
	// dir is the name of the directory in which an acting shell keeps its files, free what gives back its place among those.
	dir  string
	free func()
}

// bye tells an acting shell that is idle that its last answer has arrived, and has it end. It reports whether the shell
// waits to know that.
func (sh *shell) bye() bool {
	if sh.unheard {
		_, _ = io.WriteString(sh.Stdin(), "0 0 bye\n") // where that fails, the answer counts as lost
	}
	return sh.unheard
}

// frame puts a script's length before it.
func frame(script []byte) []byte {
	return append(fmt.Appendf(nil, "%d\n", len(script)), script...)
}

// whole makes one command of a script for a shell that was started with sourced: it runs all of it, or nothing if
// the connection is cut in it.
func whole(script []byte) []byte {
	return slices.Concat([]byte("{\n"), script, []byte("}\n"))
}

// errShellEnded says that the shell ended while it was asked.
var errShellEnded = errors.New("the shell ended before it had answered")

// gather reads the pieces of a stream from the one with the number next to the one with the number last, and calls moved
// when something has come.
func gather(r io.Reader, u *unframer, next, last int, moved func(), each func(piece) error) error {
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	for next <= last {
		size, err := r.Read(*chunk)
		moved()
		pieces, bad := u.feed((*chunk)[:size])
		for _, p := range pieces {
			if err := each(p); err != nil {
				return err
			}
			next = p.id + 1
		}
		switch {
		case next > last:
		case bad != nil:
			return bad
		case err == io.EOF:
			return errShellEnded
		case err != nil:
			return err
		}
	}
	return nil
}

// chunks are what streams are read through.
var chunks = sync.Pool{New: func() any { chunk := make([]byte, 16<<10); return &chunk }}

// pairs puts together what the two streams bring, which are read side by side.
type pairs struct {
	mu        sync.Mutex
	next      int // the number of the first
	last      int // the number of the last
	gaps      bool
	most      []int
	out, errs []piece
	answers   []Answer
	each      func(int, Answer)
}

// take adds a piece to one of the streams, and tells the answer that it completes.
func (p *pairs) take(stream *[]piece) func(piece) error {
	return func(one piece) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for id := p.next + len(*stream); p.gaps && id < one.id && one.id == p.last; id++ {
			if err := p.put(stream, piece{id: id, exit: cutOff}); err != nil {
				return err
			}
		}
		return p.put(stream, one)
	}
}

func (p *pairs) put(stream *[]piece, one piece) error {
	*stream = append(*stream, one)
	i := len(*stream) - 1
	if i >= len(p.out) || i >= len(p.errs) {
		return nil
	}
	o, e := p.out[i], p.errs[i]
	if o.id != p.next+i || e.id != o.id || e.exit != o.exit {
		return fmt.Errorf("the shell answered query %d with %d and %d: something wrote into its streams", p.next+i, o.id, e.id)
	}
	a := Answer{Stdout: o.data, Stderr: e.data, Exit: o.exit, Cut: o.out}
	if p.most[i] == 0 && o.out+e.out > 0 {
		a = Answer{Stderr: fmt.Appendf(nil, "it printed more than %d MiB\n", maxAnswer>>20), Exit: tooMuch}
	}
	p.answers = append(p.answers, a)
	if p.each != nil {
		p.each(i, a)
	}
	return nil
}

// exchange writes a text and reads the answers to it, as many as most has numbers, which say how many bytes are kept of
// each stream, zero for a query of ours; each, if it is not nil, is told every one as it
// comes, in order. The text is written while the answers are read, and both streams are read at the
// same time: each may fill its window. After an error the shell is of no use any more, and its streams
// may still be read from: close it. With gaps, what is missing right before the last answer is one with the code
// cutOff. With a limit, the shell may not be silent for longer.
func (sh *shell) exchange(ctx context.Context, text []byte, most []int, gaps bool, limit time.Duration, each func(int, Answer)) ([]Answer, error) {
	n := len(most)
	wrote := make(chan error, 1)
	outs, errs := make(chan error, 1), make(chan error, 1)
	first, last := sh.next, sh.next+n-1
	p := &pairs{next: first, last: last, gaps: gaps, most: most, answers: make([]Answer, 0, n), each: each}
	sh.outFrames.expect(most)
	sh.errFrames.expect(most)
	sounds := make(chan struct{}, 1)
	moved := func() {
		select {
		case sounds <- struct{}{}:
		default:
		}
	}
	silent := time.NewTimer(cmp.Or(limit, time.Hour))
	defer silent.Stop()
	var silence <-chan time.Time
	if limit > 0 {
		silence = silent.C
	}
	go func() {
		_, err := sh.Stdin().Write(text)
		wrote <- err
	}()
	go func() {
		if _, err := sh.started(); err != nil {
			outs <- err
			return
		}
		outs <- gather(sh.out, sh.outFrames, first, last, moved, p.take(&p.out))
	}()
	go func() { errs <- gather(sh.errs, sh.errFrames, first, last, moved, p.take(&p.errs)) }()

	var outErr, errsErr error
	var grace <-chan time.Time
	for outs != nil || errs != nil {
		var err error
		select {
		case err = <-outs:
			outs, outErr = nil, err
		case err = <-errs:
			errs, errsErr = nil, err
		case <-wrote: // an error of it shows as the end of the streams
			wrote = nil
		case <-sounds:
			if limit > 0 {
				silent.Reset(limit)
			}
		case <-silence:
			return nil, errSilent
		case <-sh.late:
			return nil, errNoWord
		case <-grace:
			if outErr != nil {
				return nil, outErr
			}
			return nil, errShellEnded
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case err == nil:
		case errors.Is(err, errShellEnded), errors.Is(err, errNoMark):
			if grace == nil { // what the other stream says may tell why
				grace = time.After(time.Second)
			}
		default:
			return nil, err
		}
	}
	if err := cmp.Or(outErr, errsErr); err != nil {
		return nil, err
	}
	if len(p.answers) != n {
		return nil, fmt.Errorf("the shell answered %d of %d queries: something wrote into its streams", len(p.answers), n)
	}
	sh.next += n
	return p.answers, nil
}

// lane is where one shell runs at a time, and is asked one thing at a time.
type lane struct {
	turn  chan struct{}
	shell *shell
	// barred says that the host has no room for such a shell.
	barred bool
}

func newLane() *lane { return &lane{turn: make(chan struct{}, 1)} }

// enter waits for the lane; the caller must leave it.
func (l *lane) enter(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryEnter enters the lane if nobody is in it.
func (l *lane) tryEnter() bool {
	select {
	case l.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *lane) leave() { <-l.turn }

// drop closes the shell; the next to enter starts another.
func (l *lane) drop() {
	if l.shell != nil {
		if !l.shell.bye() {
			l.shell.Terminate()
		}
		l.shell.Close()
		if l.shell.free != nil {
			l.shell.free()
		}
		l.shell = nil
	}
}

// stands says whether the lane has a shell that has not ended.
func (l *lane) stands() bool {
	if l.shell == nil {
		return false
	}
	select {
	case <-l.shell.Exited():
		l.drop()
		return false
	default:
		return true
	}
}
