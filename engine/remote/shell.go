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

// startLimit limits the time from the start of a shell to its first word, and the time that a host takes to open a
// session.
const startLimit = 30 * time.Second

// silenceLimit is how long a shell may be silent while it answers, in addition to its queries' own limits. answerLimit
// is how long it may take to answer.
const (
	silenceLimit = 2 * time.Minute
	answerLimit  = 30 * time.Minute
)

// boot and sourced start a shell that reads its real script from standard input, so that the script is not in the
// host's process list and the login shell cannot misread it. They contain no quote, backslash or newline, so that any
// login shell that supports words and single quotes passes them on unchanged.
//
// With boot, one script is sent, preceded by its length, and the rest of the input is left for what the script starts.
// If the connection is cut within that length, nothing runs.
const boot = `read -r _n && eval "$(head -c "$_n")"`

// With sourced, the shell itself reads its input, possibly more than it runs, and runs each command once it is
// complete. That saves the host a process per script: dash (0.5.12) reads blocks of 8 KiB, which costs less than a
// program would; bash reads byte by byte at 1.5 µs each.
const sourced = "exec sh"

// environment starts every script. LC_ALL makes messages comparable. On Debian, the PATH that sshd sets for ordinary
// users lacks the sbin directories.
const environment = "export LC_ALL=C PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin\"\n"

// marks prints the first words of a script on both streams: whatever came before them is noise.
const marks = `printf '\n%s %s\n' "$_hl_n" "$$"; printf '\n%s %s\n' "$_hl_n" "$$" >&2` + "\n"

// firstWords are the marks of a reading shell. They say whether the host has a Perl, and so an acting shell its hand, and
// whether it has gzip, too.
const firstWords = "_hl_p=; if command -v perl >/dev/null; then _hl_p='" + withPerl + "'; fi\n" +
	"if [ \"$_hl_p\" ] && command -v gzip >/dev/null; then _hl_p='" + withPerl + withGzip + "'; fi\n" +
	`printf '\n%s %s\n' "$_hl_n" "$$$_hl_p"; printf '\n%s %s\n' "$_hl_n" "$$$_hl_p" >&2` + "\n"

const (
	withPerl = " perl"
	withGzip = " gzip"
)

// spawned is a process whose streams start after the noise printed at its start.
type spawned struct {
	process
	nonce     string
	out, errs *skipper
	timer     *time.Timer
	// late is closed if the process has not printed its first word in time. Closing the streams may not end the
	// process: a .bashrc may be waiting on the host.
	late chan struct{}
}

// errNoWord reports that a process has not printed its first word in time.
var errNoWord = errors.New("it did not say its first word in time")

// errSilent reports that a shell has stopped answering.
var errSilent = errors.New("the shell has stopped answering")

// watch closes the process if it has not printed its first word in time.
func (p *spawned) watch(limit time.Duration) {
	p.late = make(chan struct{})
	p.timer = time.AfterFunc(limit, func() {
		close(p.late)
		p.process.Close()
	})
}

// overdue reports whether the first word was late.
func (p *spawned) overdue() bool {
	select {
	case <-p.late:
		return true
	default:
		return false
	}
}

// started waits for the first word of the process and returns the process ID that follows it.
func (p *spawned) started() (string, error) {
	if err := p.out.skip(); err != nil {
		return "", err
	}
	p.timer.Stop()
	return p.out.said, nil
}

// Close closes the process and stops its timer.
func (p *spawned) Close() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.process.Close()
}

// complaint returns the last lines that the process printed before its first word.
func (p *spawned) complaint() string {
	text := lastLines(p.errs.dropped(), 3)
	if text == "" {
		text = lastLines(p.out.dropped(), 3)
	}
	return text
}

// lastLines returns the end of a command's output as a single line for an error message.
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
	// unheard is set if an idle acting shell is still to do something when it learns that its last answer has arrived.
	unheard bool
	// bare is set while a shell lacks the functions that its first script defined: see primed.
	bare bool
	// dir is the name of an acting shell's directory. free releases the acting shell's place.
	dir  string
	free func()
}

// bye tells an idle acting shell that its last answer has arrived, and ends it. It reports whether the shell was
// waiting for that.
func (sh *shell) bye() bool {
	if sh.unheard {
		_, _ = io.WriteString(sh.Stdin(), "0 0 bye\n") // if that fails, the answer counts as lost
	}
	return sh.unheard
}

// frame prepends a script's length to it.
func frame(script []byte) []byte {
	return append(fmt.Appendf(nil, "%d\n", len(script)), script...)
}

// whole turns a script into a single command for a shell that was started with sourced. The shell runs all of it, or
// nothing if the connection is cut in the middle.
func whole(script []byte) []byte {
	return slices.Concat([]byte("{\n"), script, []byte("}\n"))
}

// errShellEnded reports that the shell ended before it had answered.
var errShellEnded = errors.New("the shell ended before it had answered")

// gather reads the pieces of a stream from number next to number last, and calls moved for everything that arrives.
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

// chunks are the buffers for reading streams.
var chunks = sync.Pool{New: func() any { chunk := make([]byte, 16<<10); return &chunk }}

// pairs matches the pieces of the two streams, which are read concurrently.
type pairs struct {
	mu        sync.Mutex
	next      int // number of the first
	last      int // number of the last
	gaps      bool
	most      []int
	out, errs []piece
	answers   []Answer
	each      func(int, Answer)
}

// take returns a function that adds a piece to one of the streams and reports the answer that it completes.
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

// exchange writes a text, which is empty if the shell was given its script, and reads the answers, one for each number in most, which
// says how many bytes to keep of each stream (zero for hlplay's own queries). each, if not nil, is called with the answers in
// order as they arrive. The text is written while the answers are read, and both streams are read concurrently, because each may
// fill its window.
//
// After an error the shell must be closed; its streams may still be being read. If gaps is set, answers missing before
// the last one get the code cutOff. If limit is set, the shell may not be silent for longer.
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
	if len(text) > 0 {
		go func() {
			_, err := sh.Stdin().Write(text)
			wrote <- err
		}()
	}
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
		case <-wrote: // an error shows as the end of the streams
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
			if grace == nil { // the other stream may say why
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

// lane holds at most one shell and lets one caller at a time use it.
type lane struct {
	turn  chan struct{}
	shell *shell
	// barred is set if the host has no room for such a shell.
	barred bool
}

func newLane() *lane { return &lane{turn: make(chan struct{}, 1)} }

// enter waits for the lane. The caller must leave it afterwards.
func (l *lane) enter(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryEnter enters the lane if it is free, and reports whether it was.
func (l *lane) tryEnter() bool {
	select {
	case l.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *lane) leave() { <-l.turn }

// drop closes the shell. The next caller starts another one.
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

// stands reports whether the lane has a shell that is still running.
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
