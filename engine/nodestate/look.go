package nodestate

import (
	"context"
	"errors"
	"fmt"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// Look reads what is kept on a node.
func Look(ctx context.Context, node observe.Asker) (s State, err error) {
	names := []string{""}
	answers, err := node.Ask(ctx, States.Ask(names))
	if err != nil {
		return State{}, err
	}
	States.Parse(names, answers, func(_ string, value State, told error) { s, err = value, told })
	return s, err
}

// forgetting removes the handlers that its arguments name behind the mark of a lock, and the lock if it has that mark; what it says
// of that stands in the node's log.
const forgetting = holding + `_hl_m=$1 _hl_w=$2
shift 2
if [ -e "$_hl_v/due" ]; then cd "$_hl_v/due" && rm -f -- "$@" || exit 1; fi
_hl_who lock
if [ -n "$_hl_m" ] && [ "$_hl_l" = "$_hl_m" ]; then
	set -- $_hl_l
	rm -f "$_hl_v/lock" "$_hl_v/hold.$4" || exit 1
fi
! command -v logger >/dev/null || logger -t hlplay -- "$_hl_w" || :`

// ErrBusy says that a command of the run goes on that holds a node's lock.
var ErrBusy = errors.New("a command of the run that holds its lock goes on there: wait for its end")

// Forget makes a node forget what it keeps: no handler is due any more, and nobody holds its lock. The node's log says so,
// with who did that and why. What is not in s stays, as it has come since.
func Forget(ctx context.Context, node observe.Asker, s State, by, reason string) error {
	if s.Refused != "" {
		return errors.New(s.Refused)
	}
	mark := ""
	if s.Lock != nil {
		if s.Lock.Busy {
			return ErrBusy
		}
		mark = s.Lock.mark
	}
	args := []string{mark, fmt.Sprintf("%s has forgotten %d due handlers: %s", by, len(s.Due), reason)}
	for _, d := range s.Due {
		args = append(args, d.ID)
	}
	answers, err := node.Ask(ctx, []remote.Query{{Script: forgetting, Args: args}})
	if err == nil && answers[0].Exit != 0 {
		err = fmt.Errorf("%s: exit code %d: %s", Dir, answers[0].Exit, answers[0].Stderr)
	}
	return err
}
