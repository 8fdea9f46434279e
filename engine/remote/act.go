package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxActing is how many acting shells a connection has. Each keeps one of the places for sessions,
// and half of those must stay free for what cannot use a shell.
const maxActing = maxSessions / 2

// actingLoop runs one command after another, each for one round trip; a session of its own costs
// three, and through sudo another sudo. A frame is "<length> <input>\n", the script, and the
// command's input.
//
// A command has pipes of its own for its output, with a reader each that ends at the mark behind the
// command's last word: what a child in the background prints later reaches nobody. What the readers
// have gathered is sent when the command is over. A connection that is lost meanwhile does not break
// the pipes, so that no package manager dies half-way of having printed a line.
const actingLoop = `trap 'rm -rf "$_hl_d"' EXIT
trap 'exit 1' HUP INT PIPE TERM 2>/dev/null
cd /
_hl_i=0
while read -r _hl_l _hl_in; do
	head -c "$_hl_l" >"$_hl_d/script"
	_hl_f=/dev/null
	if [ "$_hl_in" -gt 0 ]; then
		_hl_f=$_hl_d/in
		head -c "$_hl_in" >"$_hl_f"
	fi
	{ {
		sh "$_hl_d/script" "$_hl_d/pid" <"$_hl_f"
		_hl_r=$?
		printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$_hl_r"
		printf '\n%s %s %s\n' "$_hl_n" "$_hl_i" "$_hl_r" >&2
	} | sed "/^$_hl_n $_hl_i /q" >"$_hl_d/out"; } 2>&1 | sed "/^$_hl_n $_hl_i /q" >"$_hl_d/err"
	cat "$_hl_d/out"
	cat "$_hl_d/err" >&2
	rm -f "$_hl_d/script" "$_hl_d/in" "$_hl_d/pid" "$_hl_d/out" "$_hl_d/err"
	_hl_i=$((_hl_i+1))
done
exit 0
`

// actingDir makes the directory in which the loop keeps a command's script and streams: in memory
// where there is such a file system, so that a full disk does not cost an answer. It comes before
// the shell's first word: without a directory there is no acting shell, and nothing was run.
func actingDir(dir string) string {
	return "_hl_d=" + dir + "\n[ -w /dev/shm ] || _hl_d=/tmp${_hl_d#/dev/shm}\nmkdir -m 700 \"$_hl_d\" || exit 1\n"
}

// notePid tells the loop's directory which process the command is.
const notePid = `echo "$$" >"$1"` + "\n"

// interruptActing ends the command of the acting shell whose directory has a name.
const interruptActing = `for d in "/dev/shm/$1" "/tmp/$1"; do [ ! -s "$d/pid" ] || kill -TERM "$(cat "$d/pid")"; done`

// errNoActing says that a command is to be run in a session of its own: nothing was sent yet.
var errNoActing = errors.New("there is no acting shell to be had")

// runInShell runs a command in the acting shell of the user, which it waits for if it is to. After
// errNoActing the command has not been run.
func (s *session) runInShell(ctx context.Context, c Command, wait bool) (Result, error) {
	if wait {
		if err := s.act.enter(ctx); err != nil {
			return Result{}, fmt.Errorf("%s: %s was not started: %w", s.conn.name, c.Argv[0], err)
		}
	} else if !s.act.tryEnter() {
		return Result{}, errNoActing
	}
	defer s.act.leave()
	began := time.Now()
	mark := nonce()
	script, err := c.script(mark, s.who(), notePid)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", s.conn.name, c.Argv[0], err)
	}
	text := fmt.Appendf(nil, "%d %d\n", len(script), len(c.Stdin))
	text = append(append(text, script...), c.Stdin...)
	if !s.act.stands() {
		prelude, err := s.startActing(ctx)
		if err != nil {
			return Result{}, err
		}
		text = append(prelude, text...)
	}
	sh := s.act.shell
	answer, err := s.answer(ctx, sh, text)
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			result, _ := s.result(c, mark, answer)
			result.Duration = took
			return result, s.abandoned(ctx, c, "it has ended since")
		}
		s.act.drop()
		return Result{Duration: took}, s.abandoned(ctx, c, mayRun)
	case errors.Is(err, errNoMark) && !sh.overdue.Load():
		s.act.drop()
		s.act.barred = true
		return Result{}, errNoActing
	case err != nil:
		s.act.drop()
		return Result{Duration: took}, fmt.Errorf("%s: whether it ended is not known: %w", c.Argv[0], s.explain(sh.spawned, err))
	}
	result, err := s.result(c, mark, answer)
	result.Duration = took
	return result, err
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
	dir := "/dev/shm/hlplay." + nonce()
	sh, prelude, err := s.shell(ctx, true, actingDir(dir), actingLoop)
	if err != nil {
		free()
		return nil, err
	}
	sh.dir, sh.free = dir, free
	s.act.shell = sh
	return prelude, nil
}

// answer sends a command to the acting shell and waits for its end. If the context ends before, the
// command is sent SIGTERM and has a moment to end: the answer then comes with no error.
func (s *session) answer(ctx context.Context, sh *shell, text []byte) (Answer, error) {
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	type end struct {
		answers []Answer
		err     error
	}
	ended := make(chan end, 1)
	go func() {
		answers, err := sh.exchange(waiting, text, 1)
		ended <- end{answers, err}
	}()
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		s.interrupt(ctx, interruptActing, sh.dir[strings.LastIndexByte(sh.dir, '/')+1:])
		select {
		case e = <-ended:
		case <-time.After(killAfter + time.Second):
			giveUp()
			e = <-ended
		}
	}
	if e.err != nil {
		return Answer{}, e.err
	}
	return e.answers[0], nil
}

// result is what the command itself has printed: all that stands behind its mark.
func (s *session) result(c Command, mark string, a Answer) (Result, error) {
	out := newSkipper(bytes.NewReader(a.Stdout), mark)
	errs := newSkipper(bytes.NewReader(a.Stderr), mark)
	stdout, err := io.ReadAll(out)
	stderr, err2 := io.ReadAll(errs)
	if err != nil || err2 != nil {
		complaint := lastLines(errs.dropped(), 3)
		if a.Exit == 125 && c.Dir != "" {
			return Result{}, s.noDirectory(c, complaint)
		}
		return Result{}, fmt.Errorf("%s: %s was not started (exit code %d): %s", s.conn.name, c.Argv[0], a.Exit, orNothing(complaint))
	}
	return Result{Stdout: stdout, Stderr: stderr, Exit: a.Exit}, nil
}
