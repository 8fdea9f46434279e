package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxActing is how many acting shells a connection has. Each keeps one of the places for sessions,
// and half of those must stay free for what cannot use a shell.
const maxActing = maxSessions / 2

// actingLoop runs one command after another; above it stands how.
var actingLoop = script("act")

// gathered is what actingLoop is told besides: of how many bytes it keeps the beginning and the end of a stream each.
var gathered = fmt.Sprintf("_hl_half=%d\n", MaxOutput/2)

// leftOut is the code of what was not run because of what came before it.
const leftOut = 300

// actingPlaces are where an acting shell may keep its files: in memory first, so that a full disk does not cost an answer.
const actingPlaces = "/dev/shm /tmp /var/tmp"

// actingDir makes the directory of a name in which the loop keeps a command's script and streams, in the first of the
// places that has room for them: it costs no process to see that. It comes before the shell's first word: without a
// directory there is no acting shell, and nothing was run.
func actingDir(places, name string) string {
	return "for _hl_o in " + places + `; do
	_hl_d=$_hl_o/` + name + `
	[ -w "$_hl_o" ] && mkdir -m 700 "$_hl_d" || continue
	{ echo "$$" >"$_hl_d/shell" && printf %262144s "" >"$_hl_d/script" && true >"$_hl_d/script"; } 2>/dev/null && break
	rm -rf "$_hl_d"
done
[ -s "$_hl_d/shell" ] || { echo "neither of ` + places + ` has room for the files of a command" >&2; exit 1; }
`
}

// sweep removes the directories of acting shells that were killed: they hold scripts, environments and inputs. Every
// shell begins with it, and without such a directory it costs no process. One is removed only if it is this user's own,
// 0700 and no link, so that nobody else has put anything there, and if the shell that it names is not in /proc. That of
// another process which has its number by now stays until the next time.
const sweep = `for _hl_o in /dev/shm/hlplay.* /tmp/hlplay.* /var/tmp/hlplay.*; do
	[ -d "$_hl_o" ] && [ ! -L "$_hl_o" ] && [ -d "/proc/$$" ] || continue
	[ "$(stat -c '%u %a' "$_hl_o")" = "$(id -u) 700" ] && [ -s "$_hl_o/shell" ] || continue
	read -r _hl_p <"$_hl_o/shell" && [ ! -d "/proc/$_hl_p" ] && rm -rf "$_hl_o"
done
`

// notePid tells the loop's directory which process the command is, and the number of the first that was sent with it.
const notePid = `echo "$2 $$" >"$1"` + "\n"

// interruptActing ends the command of the acting shell whose directory has a name, or leaves it running if that is its third
// argument, and lets none of those behind it begin that were sent with it. Its second argument is the number of the first of them.
const interruptActing = `for d in "/dev/shm/$1" "/tmp/$1" "/var/tmp/$1"; do
	[ -d "$d" ] || continue
	: >"$d/stop.$2"
	[ "${3-}" = leave ] || { read -r first pid <"$d/pid" && [ "$first" = "$2" ] && kill -TERM "$pid"; }
done`

// errNoActing says that a command is to be run in a session of its own: nothing was sent yet.
var errNoActing = errors.New("there is no acting shell to be had")

// runInShell carries out actions in the acting shell of the user. After errNoActing nothing has been run.
func (s *session) runInShell(ctx context.Context, a Actions) ([]Result, []Answer, error) {
	first := a.Commands[0]
	if slices.ContainsFunc(a.Commands, func(c Command) bool { return c.Via.Script != "" }) { // it needs the shell
		if err := s.act.enter(ctx); err != nil {
			return nil, nil, &UnstartedError{Host: s.conn.name, Program: first.Argv[0], Err: err}
		}
	} else if !s.act.tryEnter() {
		return nil, nil, errNoActing
	}
	defer s.act.leave()
	mark := nonce()
	text, err := a.frames(mark, s.who())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.conn.name, err)
	}
	if !s.act.stands() {
		prelude, err := s.startActing(ctx)
		if err != nil {
			return nil, nil, err
		}
		text = append(prelude, text...)
	}
	sh := s.act.shell
	sh.unheard = false
	bounded, over := context.WithCancelCause(ctx)
	defer over(nil)
	run := &running{session: s, actions: a, mark: mark, since: time.Now(), under: &a.Commands[0]}
	run.timer = time.AfterFunc(first.limit()+killAfter+slack, func() { over(errOverLimit) })
	defer run.timer.Stop()
	answers, err := s.answer(bounded, sh, text, a.keeping(), run)
	if err != nil {
		s.act.drop()
	} else {
		sh.unheard = slices.ContainsFunc(a.Commands, func(c Command) bool { return c.Via.Script != "" })
	}
	results, under, complaint := run.so()
	switch {
	case complaint != nil:
		return results, nil, complaint
	case under == nil && err == nil:
		return results, a.answers(answers), nil
	case under == nil: // the queries alone are not answered: whoever asks again is told why
		return results, nil, nil
	case run.awaited != nil && run.awaited != under:
		return results, nil, &UnstartedError{Host: s.conn.name, Program: under.Argv[0], Err: context.Cause(bounded)}
	case bounded.Err() != nil && err == nil:
		return results, nil, s.abandoned(bounded, *under, "it has ended since")
	case bounded.Err() != nil:
		return results, nil, s.abandoned(bounded, *under, mayRun)
	case errors.Is(err, errNoMark) && !sh.overdue():
		s.act.barred = true
		return nil, nil, errNoActing
	}
	return results, nil, fmt.Errorf("%s: whether it ended is not known: %w", under.Argv[0], s.explain(sh.spawned, err))
}

// frames is what the acting shell is sent: brief commands that follow one another, and the queries behind them, in one frame.
func (a Actions) frames(mark, user string) ([]byte, error) {
	var text, block bytes.Buffer
	flush := func() {
		if block.Len() > 0 {
			script := whole(block.Bytes())
			fmt.Fprintf(&text, "%d 0 block\n%s", len(script), script)
			block.Reset()
		}
	}
	for i, c := range a.Commands {
		if c.inBlock() {
			call, err := c.call(mark, user)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Argv[0], err)
			}
			if i == 0 {
				block.WriteString("_hl_first\n")
			}
			block.WriteString(call)
			continue
		}
		flush()
		script, err := c.script(mark, user, notePid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Argv[0], err)
		}
		kind := "next"
		if i == 0 {
			kind = "first"
		}
		fmt.Fprintf(&text, "%d %d %s %s\n%s%swhole\n", len(script), len(c.Stdin), kind, c.codes(), script, c.Stdin)
	}
	if len(a.Then) > 0 {
		script, err := calls(a.Then)
		if err != nil {
			return nil, err
		}
		block.Write(script)
	}
	flush()
	return text.Bytes(), nil
}

// keeping is how much is kept of what the commands print, and of the answers to the queries.
func (a Actions) keeping() []int {
	return append(slices.Repeat([]int{MaxOutput}, len(a.Commands)), keeping(a.Then)...)
}

// answers are those to the queries, nil if they were left out.
func (a Actions) answers(all []Answer) []Answer {
	answers := all[len(a.Commands):]
	for _, answer := range answers {
		if answer.Exit == leftOut {
			return nil
		}
	}
	return answers
}

// running is actions that are under way in the acting shell.
type running struct {
	session *session
	actions Actions
	mark    string
	timer   *time.Timer

	mu      sync.Mutex
	since   time.Time
	results []Result
	// under is the command under way; nil when there is none left to be run.
	under *Command
	// given says that what is under way is given up: how it ends is no result, unless what is behind it was begun, for
	// then it had ended before. late is the last that has come since.
	given     bool
	late      *Result
	awaited   *Command // by whom was interrupted
	complaint error    // why a command was not started
}

// ended takes the next piece that the shell has answered.
func (r *running) ended(i int, a Answer) {
	commands := r.actions.Commands
	if i >= len(commands) || a.Exit == leftOut {
		return
	}
	result, err := r.session.result(commands[i], r.mark, a)
	now := time.Now()
	r.timer.Stop()
	r.mu.Lock()
	if r.given {
		before := r.late
		if before != nil {
			r.results, r.under = append(r.results, *before), &commands[i]
		}
		if result.Duration, r.since = now.Sub(r.since), now; err == nil {
			result = result.limited(commands[i].limit())
			r.late = &result
		}
		r.mu.Unlock()
		if before != nil && r.actions.Ended != nil {
			r.actions.Ended(i-1, *before)
		}
		return
	}
	result.Duration, r.since, r.under = now.Sub(r.since), now, nil
	result = result.limited(commands[i].limit())
	switch {
	case err != nil:
		r.complaint = err
		r.timer.Reset(silenceLimit) // for what is behind it
	default:
		r.results = append(r.results, result)
		if !commands[i].accepts(result.Exit) {
			r.timer.Reset(silenceLimit) // for what is left out
		} else if i+1 < len(commands) {
			r.under = &commands[i+1]
			r.timer.Reset(r.under.limit() + killAfter + slack)
		} else {
			r.timer.Reset(allowed(r.actions.Then))
		}
	}
	r.mu.Unlock()
	if err == nil && r.actions.Ended != nil {
		r.actions.Ended(i, result)
	}
}

// await returns the command under way if it may be waited for though the context has ended: see Choice. What is behind it is then not
// started.
func (r *running) await(ctx context.Context) *Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	if detached(ctx, r.under) {
		r.awaited = r.under
	}
	return r.awaited
}

// giveUp says that nobody waits any more for the command under way.
func (r *running) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = true
}

func (r *running) so() ([]Result, *Command, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results, r.under, r.complaint
}

// startActing starts the user's acting shell and returns what is to be sent to it first.
func (s *session) startActing(ctx context.Context) ([]byte, error) {
	if s.act.barred {
		return nil, errNoActing
	}
	select {
	case s.conn.acting <- struct{}{}:
	default:
		return nil, errNoActing
	}
	free := func() { <-s.conn.acting }
	dir := "hlplay." + nonce()
	sh, opening, err := s.shell(ctx, boot, true, actingDir(actingPlaces, dir))
	if err != nil {
		free()
		return nil, err
	}
	sh.dir, sh.free = dir, free
	s.act.shell = sh
	return frame([]byte(opening + gathered + Place + placeFunctions + actingLoop)), nil
}

// answer sends frames to the acting shell and waits for the answers, of which most is kept; run is told of each as it comes. If the
// context ends before, the command under way is sent SIGTERM and has a moment to end, and what is behind
// it is left out: the answers then come with no error.
func (s *session) answer(ctx context.Context, sh *shell, text []byte, most []int, run *running) ([]Answer, error) {
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	type end struct {
		answers []Answer
		err     error
	}
	first := strconv.Itoa(sh.next)
	ended := make(chan end, 1)
	go func() {
		answers, err := sh.exchange(waiting, text, most, false, 0, run.ended)
		ended <- end{answers, err}
	}()
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		if run.await(ctx) != nil {
			s.interrupt(ctx, interruptActing, sh.dir, first, "leave")
			made, choice := chosen(ctx)
			select {
			case e = <-ended:
				return e.answers, e.err
			case <-made:
			}
			switch choice() {
			case Await:
				select {
				case e = <-ended:
				case <-time.After(run.awaited.limit() + killAfter + slack): // the host does not end it
					run.giveUp()
					giveUp()
					e = <-ended
				}
				return e.answers, e.err
			case Leave:
				run.giveUp()
				giveUp()
				e = <-ended
				return e.answers, e.err
			}
		}
		run.giveUp()
		s.interrupt(ctx, interruptActing, sh.dir, first)
		select {
		case e = <-ended:
		case <-time.After(s.conn.waits.end):
			giveUp()
			e = <-ended
		}
	}
	return e.answers, e.err
}

// result is what the command itself has printed: all that stands behind its mark.
func (s *session) result(c Command, mark string, a Answer) (Result, error) {
	out := newSkipper(bytes.NewReader(a.Stdout), mark)
	errs := newSkipper(bytes.NewReader(a.Stderr), mark)
	stdout, err := io.ReadAll(out)
	stderr, err2 := io.ReadAll(errs)
	switch { // one of them may have found no room on the host
	case err == nil && err2 != nil:
		stderr, err2 = a.Stderr, nil
	case err != nil && err2 == nil:
		stdout, err = a.Stdout, nil
	}
	if err != nil || err2 != nil {
		complaint := lastLines(errs.dropped(), 3)
		if a.Exit == ExitPrevented && c.Before.Script != "" {
			return Result{}, &PreventedError{Host: s.conn.name, Said: string(errs.dropped())}
		}
		if a.Exit == 125 && c.Dir != "" {
			return Result{}, s.noDirectory(c, complaint)
		}
		if errno := errnoIn(complaint); errno != nil {
			return Result{}, fmt.Errorf("%s: %s was not started: %w (%s)", s.conn.name, c.Argv[0], errno, complaint)
		}
		return Result{}, fmt.Errorf("%s: %s was not started (exit code %d): %s", s.conn.name, c.Argv[0], a.Exit, orNothing(complaint))
	}
	return Result{Stdout: stdout, Stderr: stderr, Exit: a.Exit}, nil
}
