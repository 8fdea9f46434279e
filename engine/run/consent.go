package run

import (
	"cmp"
	"context"
	"errors"
	"slices"
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

// consent is the question about one task for all hosts where the task has something to do. The zero value is a question
// for a single host.
type consent struct {
	coming sync.WaitGroup // hosts whose needs are not known yet
	once   sync.Once
	asked  bool
	err    error

	mu        sync.Mutex
	hosts     []*host
	proposals []Proposal
}

func newConsent(hosts []*host) *consent {
	c := &consent{}
	c.coming.Add(len(hosts))
	return c
}

// arrive returns the function to call when the host's needs are known.
func (c *consent) arrive() func() {
	if c == nil {
		return func() {}
	}
	return sync.OnceFunc(c.coming.Done)
}

// put adds the host's proposal, waits for the other hosts, and asks. What was read before the answer is out of date, so
// it is forgotten.
func (c *consent) put(ctx context.Context, a *asking, h *host, p Proposal, arrived func()) (asked bool, err error) {
	c.mu.Lock()
	c.hosts, c.proposals = append(c.hosts, h), append(c.proposals, p)
	c.mu.Unlock()
	arrived()
	c.coming.Wait()
	c.once.Do(func() {
		slices.SortFunc(c.proposals, func(a, b Proposal) int { return cmp.Compare(a.order, b.order) })
		if c.asked, c.err = a.put(ctx, c.proposals); !c.asked {
			return
		}
		for _, h := range c.hosts {
			h.forgetAll()
			h.planner.invalidate()
		}
	})
	return c.asked, c.err
}

// consents asks whether to carry out a decision. It returns the decision after the answer, which may be a different
// one; after a no, the error is errLeft. If the host then needs something that was not shown, it asks again. A nil
// consent asks for this host alone.
func (e *execution) consents(ctx context.Context, d *decision, c *consent, order int, arrived func()) (*decision, error) {
	defer arrived()
	var shown Proposal
	for {
		now := e.proposal(d.items, true)
		if covers(shown, now) || e.approve != nil && e.approve(now) != nil { // steps that are not allowed fail without a question
			return d, nil
		}
		if c == nil {
			c = &consent{}
		}
		now.order = order
		asked, err := c.put(ctx, e.asking, e.host, now, arrived)
		if e.agreed = err == nil; !asked || err != nil {
			return d, err
		}
		shown, c, arrived = now, nil, func() {}
		d = e.host.planner.decision(ctx, e.task)
	}
}

// covers reports whether everything in now was also in shown.
func covers(shown, now Proposal) bool {
	return !slices.ContainsFunc(now.Steps, func(s ProposedStep) bool {
		return !slices.ContainsFunc(shown.Steps, func(other ProposedStep) bool { return other.same(s) })
	})
}
