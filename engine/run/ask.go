package run

import (
	"context"
	"errors"
	"sync"
)

// Answer is an answer to the question whether a task is to be carried out.
type Answer int

const (
	// Leave leaves the task out on the hosts in question.
	Leave Answer = iota
	// Carry carries the task out there, including anything else that turns out to be necessary on the way.
	Carry
	// CarryAll carries out this task and everything after it without asking.
	CarryAll
)

// errLeft is the error of a task that is left out because of an answer. The task is skipped, as if its condition were
// false, except that a handler stays due.
var errLeft = errors.New("left out, as answered")

// asking asks the user about the tasks of a run. A nil value agrees to everything.
type asking struct {
	ask func(context.Context, []Proposal) (Answer, error)

	mu  sync.Mutex // one question at a time
	all bool       // agree without asking from now on
}

// put asks whether to carry out proposals. asked is set if it waited for an answer. After a no, the error is errLeft.
func (a *asking) put(ctx context.Context, proposals []Proposal) (asked bool, err error) {
	if a == nil {
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	answer, err := a.ask(ctx, proposals)
	switch {
	case err != nil:
		return true, err
	case answer == Leave:
		return true, errLeft
	}
	a.all = answer == CarryAll
	return true, nil
}
