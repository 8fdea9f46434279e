package nodestate

import (
	"context"
	"errors"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Look reads a node's State.
func Look(ctx context.Context, node observe.Asker) (s State, err error) {
	names := []string{""}
	answers, err := node.Ask(ctx, States.Ask(names))
	if err != nil {
		return State{}, err
	}
	States.Parse(names, answers, func(_ string, value State, told error) { s, err = value, told })
	return s, err
}

// forgetting is the shell code that removes records of handlers, and the lock if its mark is still the given one. Its
// arguments are the mark, the text for the node's log, and the IDs of the handlers.
const forgetting = holding + `_hl_m=$1 _hl_w=$2
shift 2
if [ -e "$_hl_v/due" ]; then cd "$_hl_v/due" && rm -f -- "$@" || exit 1; fi
_hl_who lock
if [ -n "$_hl_m" ] && [ "$_hl_l" = "$_hl_m" ]; then
	set -- $_hl_l
	rm -f "$_hl_v/lock" "$_hl_v/hold.$4" || exit 1
fi
! command -v logger >/dev/null || logger -t hlplay -- "$_hl_w" || :`

// ErrBusy reports that a command of the run that holds a node's lock is still running.
var ErrBusy = errors.New("a command of the run that holds the lock is still running there: wait until it ends")

// RunningError reports that nothing was forgotten because a long command is running on the node.
type RunningError struct{ Long Long }

func (e *RunningError) Error() string {
	return e.Long.String() + ": wait until it ends, or stop it there"
}

// Forget removes what s lists from a node: due handlers, the lock, ended commands and undone changes. Changes that are
// still armed are disarmed and so become permanent. The node's log records who did that and why. Anything that is not in
// s is newer and stays. Forget fails without removing anything while a long command is running there.
func Forget(ctx context.Context, node observe.Asker, s State, by, reason string) error {
	if s.Refused != "" {
		return errors.New(s.Refused)
	}
	for _, l := range s.Running {
		if l.Fate == Alive {
			return &RunningError{l}
		}
	}
	mark := ""
	if s.Lock != nil {
		if s.Lock.Busy {
			return ErrBusy
		}
		mark = s.Lock.mark
	}
	for _, u := range s.Undo {
		if u.Undone && !u.Ended {
			return fmt.Errorf("%s; if it stopped halfway, restore the files from %s/undo/%s.undone, then remove that directory", u, Dir, u.ID)
		}
	}
	args := []string{mark, fmt.Sprintf("%s cleared %d due handlers, %d ended commands and %d changes to undo: %s", by, len(s.Due), len(s.Running), len(s.Undo), reason)}
	for _, d := range s.Due {
		args = append(args, d.ID)
	}
	queries := []remote.Query{{Script: forgetting, Args: args}}
	for _, u := range s.Undo {
		if u.Undone {
			queries = append(queries, Forgotten(u.ID))
		} else {
			queries = append(queries, u.Disarm())
		}
	}
	if len(s.Running) > 0 {
		queries = append(queries, Discard(s.Running...))
	}
	answers, err := node.Ask(ctx, queries)
	for _, a := range answers {
		if err == nil && a.Exit == exitUndone {
			err = ErrUndone
		} else if err == nil && a.Exit != 0 {
			err = fmt.Errorf("%s: exit code %d: %s", Dir, a.Exit, a.Stderr)
		}
	}
	return err
}
