package run

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

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
