package run

import (
	"context"
	"maps"
	"slices"
	"sync"

	"hlplay/engine/report"
	"hlplay/modules"
)

// ledger holds what the run has added to numbers that are limited for the whole run (modules.Tally), by what is counted.
type ledger struct {
	mu    sync.Mutex
	names map[string]map[string]bool
}

func newLedger(earlier map[string][]string) *ledger {
	l := &ledger{names: map[string]map[string]bool{}}
	for of, names := range earlier {
		l.add(of, names)
	}
	return l
}

func (l *ledger) add(of string, names []string) {
	if l.names[of] == nil {
		l.names[of] = map[string]bool{}
	}
	for _, name := range names {
		l.names[of][name] = true
	}
}

// withLocked returns names and what the run has added, sorted.
func (l *ledger) withLocked(of string, names map[string]bool) []string {
	all := maps.Clone(names)
	maps.Copy(all, l.names[of])
	return slices.Sorted(maps.Keys(all))
}

// judge judges names together with what the run has added.
func (l *ledger) judge(t *modules.Tally, names map[string]bool) (note string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.Judge(l.withLocked(t.Of, names))
}

// take adds what a plan is about to add, unless that is too much.
func (l *ledger) take(t *modules.Tally) (taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := nameSet(t.Names)
	if _, err := t.Judge(l.withLocked(t.Of, names)); err != nil {
		return false, err
	}
	before := len(l.names[t.Of])
	l.add(t.Of, t.Names)
	return len(l.names[t.Of]) > before, nil
}

func nameSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// tallies adds up the tallies of a task's plans on all its hosts, before any host begins.
type tallies struct {
	ledger *ledger
	// run is set if only tallies of the whole run are judged, because later batches of a rolling play follow.
	run    bool
	coming sync.WaitGroup // hosts that have not decided yet

	mu    sync.Mutex
	names map[string]map[string]bool
	noted map[string]int // the first host that is to report the note of a tally
}

func newTallies(l *ledger, hosts int, run bool) *tallies {
	c := &tallies{ledger: l, run: run, names: map[string]map[string]bool{}, noted: map[string]int{}}
	c.coming.Add(hosts)
	return c
}

// arrive returns the function to call when the host has decided, or never will.
func (c *tallies) arrive() func() {
	if c == nil {
		return func() {}
	}
	return sync.OnceFunc(c.coming.Done)
}

// judge adds the tallies of a host's decision, waits for the other hosts, and judges them. order is the host's position. A nil
// value judges the host alone.
func (c *tallies) judge(ctx context.Context, l *ledger, d *decision, order int, arrived func()) (notes []string, err error) {
	defer arrived()
	if c == nil {
		c = newTallies(l, 0, false)
	}
	var own []*modules.Tally
	for _, it := range d.items {
		if t := it.plan.Tally; it.err == nil && t != nil && (t.Run || !c.run) {
			own = append(own, t)
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	c.put(own, order)
	arrived()
	c.coming.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range own {
		names := c.names[t.Of]
		var note string
		if t.Run {
			note, err = l.judge(t, names)
		} else {
			note, err = t.Judge(slices.Sorted(maps.Keys(names)))
		}
		if err != nil {
			return nil, err
		}
		if note != "" && c.noted[t.Of] == order && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	return notes, nil
}

func (c *tallies) put(tallies []*modules.Tally, order int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tallies {
		if c.names[t.Of] == nil {
			c.names[t.Of], c.noted[t.Of] = map[string]bool{}, order
		}
		c.noted[t.Of] = min(c.noted[t.Of], order)
		for _, name := range t.Names {
			c.names[t.Of][name] = true
		}
	}
}

// count records what a plan is about to add to a number of the whole run. It fails if that is too much: a plan may have changed
// since the tallies were judged.
func (e *execution) count(plan modules.Plan) error {
	t := plan.Tally
	if t == nil || !t.Run || len(plan.Steps) == 0 || len(t.Names) == 0 {
		return nil
	}
	taken, err := e.ledger.take(t)
	if taken && !e.check {
		e.report(report.Counted{Of: t.Of, Names: t.Names})
	}
	return err
}
