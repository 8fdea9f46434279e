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

// maxActing is the number of acting shells of a connection. Each occupies one session, and half of the sessions must
// stay free for what cannot run in a shell.
const maxActing = maxSessions / 2

// actingLoop is the loop of the acting shell: see scripts/act.sh. The function that turns a shell into a command is there as
// text, too, for the scripts that call it.
var actingLoop = shellText("_hl_execs", script("exec")) + script("act")

// shellText returns the lines that set a variable to a script and evaluate it.
func shellText(name, script string) string {
	word, err := quote(script)
	if err != nil {
		panic(err) // it is embedded in the program
	}
	return name + "=" + word + "\neval \"$" + name + "\"\n"
}

// gathered sets how many bytes actingLoop keeps of the beginning and the end of each stream.
var gathered = fmt.Sprintf("_hl_half=%d\n", MaxOutput/2)

// leftOut is the exit code of a command or query that was skipped because of an earlier one.
const leftOut = 300

// actingPlaces are the directories for the acting shells' files. Memory comes first, so that a full disk does not lose
// an answer.
const actingPlaces = "/dev/shm /tmp /var/tmp"

// actingDir returns the shell code that creates the loop's directory for a command's script and streams, in the first
// of the places with enough space. It starts no process to check that. It runs before the shell's first word: if it
// fails, there is no acting shell, and nothing was run.
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

// sweep removes the directories that killed acting shells have left behind, with scripts, environments and inputs.
// Every shell runs it first; if there are none, it starts no process. A directory is removed only if no other user can
// have written to it (it is owned by this user, has mode 0700 and is not a symbolic link) and the shell that it names
// is not in /proc. If the process ID was reused, the directory is kept for now.
const sweep = `for _hl_o in /dev/shm/hlplay.* /tmp/hlplay.* /var/tmp/hlplay.*; do
	[ -d "$_hl_o" ] && [ ! -L "$_hl_o" ] && [ -d "/proc/$$" ] || continue
	[ "$(stat -c '%u %a' "$_hl_o")" = "$(id -u) 700" ] && [ -s "$_hl_o/shell" ] || continue
	read -r _hl_p <"$_hl_o/shell" && [ ! -d "/proc/$_hl_p" ] && rm -rf "$_hl_o"
done
`

// notePid records the command's process ID in the loop's directory, with the number of the first command that was sent with
// it.
const notePid = `echo "$2 $$" >"$1"` + "\n"

// interruptActing stops the command of an acting shell, or leaves it running if the third argument is "leave", and keeps the
// commands sent with it from starting. The first argument is the name of the shell's directory, the second the number of the
// first of these commands.
const interruptActing = `for d in "/dev/shm/$1" "/tmp/$1" "/var/tmp/$1"; do
	[ -d "$d" ] || continue
	: >"$d/stop.$2"
	[ "${3-}" = leave ] || { read -r first pid <"$d/pid" && [ "$first" = "$2" ] && kill -TERM "$pid"; }
done`

// errNoActing reports that a command has to run in its own session. Nothing was sent.
var errNoActing = errors.New("there is no acting shell to be had")

// runInShell carries out actions in the user's acting shell. If it returns errNoActing, nothing was run.
func (s *session) runInShell(ctx context.Context, a Actions) ([]Result, []Answer, error) {
	first := a.Commands[0]
	if slices.ContainsFunc(a.Commands, func(c Command) bool { return c.Via.Script != "" }) { // only the shell can run such a command
		if err := s.act.enter(ctx); err != nil {
			return nil, nil, &UnstartedError{Host: s.conn.name, Program: first.Argv[0], Err: err}
		}
	} else if !s.act.tryEnter() {
		return nil, nil, errNoActing
	}
	defer s.act.leave()
	mark := nonce()
	text, err := a.frames(mark, s.who(), s.conn.packs())
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
	most := a.keeping()
	if t, ok := s.conn.transport.(*sshTransport); ok && len(a.Ahead) > 0 && len(most) > lastAnswers {
		run.awaits, run.enough = len(most)-lastAnswers, t.count.gather()
		defer run.enough()
	}
	answers, err := s.answer(bounded, sh, text, most, run)
	if err != nil {
		s.act.drop()
	} else {
		sh.unheard = slices.ContainsFunc(a.all(), func(c Command) bool { return c.Via.Script != "" })
	}
	results, under, complaint := run.so()
	unstarted := errors.Is(err, errNoMark) && !sh.overdue() && bounded.Err() == nil // the shell itself, so that nothing was begun
	if err != nil && !unstarted {
		a.lost(fmt.Errorf("whether it ended is not known: %w", s.explain(sh.spawned, err)), s.left(bounded, run.awaited))
	}
	switch {
	case complaint != nil:
		return results, nil, complaint
	case under == nil && err == nil:
		return results, a.answers(answers), nil
	case under == nil && len(run.said) == len(a.Then): // what was sent ahead is lost
		return results, given(run.said), nil
	case under == nil: // only the queries were not answered; whoever asks again learns why
		return results, nil, nil
	case run.awaited != nil && run.awaited != under:
		return results, nil, &UnstartedError{Host: s.conn.name, Program: under.Argv[0], Err: context.Cause(bounded)}
	case bounded.Err() != nil && err == nil:
		return results, nil, s.abandoned(bounded, *under, "it has ended since")
	case bounded.Err() != nil:
		return results, nil, s.abandoned(bounded, *under, mayRun)
	case unstarted:
		s.act.barred = true
		return nil, nil, errNoActing
	}
	return results, nil, fmt.Errorf("%s: whether it ended is not known: %w", under.Argv[0], s.explain(sh.spawned, err))
}

// frames are what is sent to the acting shell. Commands that follow each other, and the queries after them, share a frame, the block, if
// the shell can call functions for them.
type frames struct {
	text, block bytes.Buffer
	mark, user  string
	packs       bool // whether long blocks are compressed
}

// flush ends the block.
func (f *frames) flush() {
	if f.block.Len() > 0 {
		kind, script := "block", whole(f.block.Bytes())
		if f.packs && len(script) >= packedFrom {
			kind, script = "packed", pack(script)
		}
		fmt.Fprintf(&f.text, "%d 0 %s\n%s", len(script), kind, script)
		f.block.Reset()
	}
}

// script adds a frame of a kind for a command that the shell cannot call.
func (f *frames) script(c Command, kind string) error {
	f.flush()
	script, err := c.script(f.mark, f.user, notePid)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Argv[0], err)
	}
	fmt.Fprintf(&f.text, "%d %d %s %s\n%s%swhole\n", len(script), len(c.Stdin), kind, c.codes(), script, c.Stdin)
	return nil
}

// frames returns what is sent to the acting shell. If packs is set, long blocks are compressed.
func (a Actions) frames(mark, user string, packs bool) ([]byte, error) {
	f := &frames{mark: mark, user: user, packs: packs}
	for i, c := range a.Commands {
		if c.called() {
			if c.plain() && len(c.Stdin) > 0 && !c.inCall() {
				f.flush()
				fmt.Fprintf(&f.text, "%d 0 input\n%s", len(c.Stdin), c.Stdin)
			}
			call, err := c.call(mark, user)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Argv[0], err)
			}
			if i == 0 {
				f.block.WriteString("_hl_first\n")
			}
			f.block.WriteString(call)
			continue
		}
		kind := "next"
		if i == 0 {
			kind = "first"
		}
		if err := f.script(c, kind); err != nil {
			return nil, err
		}
	}
	scripts := repeated{}
	behind := func(i int) []Query {
		if i < len(a.Ahead) {
			return a.Ahead[i].If
		}
		return nil
	}
	if len(a.Then) > 0 {
		if err := scripts.ask(&f.block, a.Then, behind(0)); err != nil {
			return nil, err
		}
	}
	before := a.Then
	for i, ahead := range a.Ahead {
		if err := f.ahead(ahead, before, behind(i+1), scripts); err != nil {
			return nil, err
		}
		before = ahead.Then
	}
	f.flush()
	return f.text.Bytes(), nil
}

// keeping returns how many bytes to keep of each stream, for each command and query.
func (a Actions) keeping() []int {
	most := append(slices.Repeat([]int{MaxOutput}, len(a.Commands)), keeping(a.Then)...)
	for _, ahead := range a.Ahead {
		most = append(most, ahead.keeping()...)
	}
	return most
}

// answers returns the answers to the queries, or nil if the queries were skipped.
func (a Actions) answers(all []Answer) []Answer {
	return given(all[len(a.Commands) : len(a.Commands)+len(a.Then)])
}

// given returns answers to queries, or nil if the queries were skipped.
func given(answers []Answer) []Answer {
	for _, answer := range answers {
		if answer.Exit == leftOut {
			return nil
		}
	}
	return answers
}

// lastAnswers is how many answers to actions with something ahead are read at once: the caller waits for the end.
const lastAnswers = 16

// running holds the state of actions in the acting shell.
type running struct {
	session *session
	actions Actions
	mark    string
	timer   *time.Timer
	// awaits is the first of the last answers, which are read as soon as they come, and enough stops gathering the earlier ones. It is nil
	// if the answers are too few to gather.
	awaits int
	enough func()

	mu      sync.Mutex
	since   time.Time
	results []Result
	// under is the running command, or nil after the last.
	under *Command
	// given is set when nobody waits for the running command any more. Its result then counts only if a later command
	// was started, which proves that it had ended before. late is the latest result since then.
	given     bool
	late      *Result
	awaited   *Command // the command that an interrupted caller waits for
	complaint error    // why a command did not start
	said      []Answer // to Then, if something follows it
	// ahead is the running command of what was sent ahead, and leftOut is set if something was not met there, or has failed.
	ahead   *Command
	leftOut bool
}

// ended handles the shell's next answer.
func (r *running) ended(i int, a Answer) {
	commands := r.actions.Commands
	if r.enough != nil && i >= r.awaits {
		r.enough()
	}
	if i >= len(commands) {
		r.endedAhead(i-len(commands), a)
		return
	}
	if a.Exit == leftOut {
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
	begins := func() {}
	switch {
	case err != nil:
		r.complaint, r.leftOut = err, true
		r.timer.Reset(r.session.conn.silenceLimit) // for the others
	default:
		r.results = append(r.results, result)
		if !commands[i].accepts(result.Exit) {
			r.leftOut = true
			r.timer.Reset(r.session.conn.silenceLimit) // for the skipped ones
		} else if i+1 < len(commands) {
			r.under = &commands[i+1]
			r.timer.Reset(r.under.limit() + killAfter + slack)
		} else {
			if len(r.actions.Ahead) == 0 {
				r.timer.Reset(r.session.conn.allowed(r.actions.Then))
			} else {
				r.timer.Reset(r.limitBefore(0))
			}
			begins = r.beginsLocked(0)
		}
	}
	r.mu.Unlock()
	if err == nil && r.actions.Ended != nil {
		r.actions.Ended(i, result)
	}
	begins()
}

// await returns the running command if it may be waited for although the context has ended: see Choice. No later
// command is started then.
func (r *running) await(ctx context.Context) *Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	under := r.under
	if under == nil {
		under = r.ahead
	}
	if detached(ctx, under) {
		r.awaited = under
	}
	return r.awaited
}

// giveUp records that nobody waits for the running command any more.
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

// startActing starts the user's acting shell and returns what must be sent to it first.
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
	program, err := quote(s.conn.hand)
	if err != nil {
		free()
		return nil, err
	}
	pipes, err := quote(handPipes)
	if err != nil {
		free()
		return nil, err
	}
	hand := "_hl_program=" + program + " _hl_pipes=" + pipes + "\n"
	loop := hand + shellText("_hl_entering", entering) + placeFunctions + actingLoop
	var packed []byte
	dir := "hlplay." + nonce()
	before := actingDir(actingPlaces, dir)
	if s.conn.packs() {
		packed = packOnce(loop)
		before = fmt.Sprintf(unpack, len(packed)) + before // a gzip that fails means that there is no acting shell, too
		loop = "eval \"$_hl_e\"\n"
	}
	sh, opening, err := s.shell(ctx, boot, true, before)
	if err != nil {
		free()
		return nil, err
	}
	sh.dir, sh.free = dir, free
	s.act.shell = sh
	return append(frame([]byte(opening+gathered+loop)), packed...), nil
}

// answer sends frames to the acting shell and waits for the answers. most is as in exchange. run receives each answer
// as it arrives. If the context ends, the running command gets SIGTERM and some time to end, and later ones are
// skipped; the answers are then returned without an error.
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
				case <-time.After(run.awaited.limit() + killAfter + slack): // the host does not stop it
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

// result returns the result of the command itself, whose output begins after the mark.
func (s *session) result(c Command, mark string, a Answer) (Result, error) {
	out := newSkipper(bytes.NewReader(a.Stdout), mark)
	errs := newSkipper(bytes.NewReader(a.Stderr), mark)
	stdout, err := io.ReadAll(out)
	stderr, err2 := io.ReadAll(errs)
	switch { // the host may have had no space for one of them
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
