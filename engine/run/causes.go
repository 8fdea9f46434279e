package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"hlplay/engine/defect"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
)

// causes are what the tasks so far would change, as far as check mode can tell. A plan that fails on what one of
// them may change first does not foretell that the run fails there.
type causes struct {
	mu    sync.Mutex
	hosts map[*observe.Host]*changes
	// opaque is of steps of which only the playbook's author knows what they change, in their order.
	opaque []cause
}

// changes are what tasks would change of one host.
type changes struct {
	keys    map[observe.Key]cause // what a step names
	since   map[observe.Key]int   // how many steps were opaque before that one: what they may change, it has settled
	matches []match
	// local is of steps whose effects nobody can list: anything may be different behind them but for what lasts. boot is of
	// those behind which even that is. elsewhere is of such steps on other hosts: they reach what the hosts share.
	local, boot, elsewhere causeList
}

// match is what a step names by a pattern.
type match struct {
	of    func(observe.Key) bool
	since int
	cause
}

// cause is a task that would change something, on a host.
type cause struct {
	task *task
	host string
}

// causeList is tasks in the order in which they were met; each stands there once.
type causeList []cause

func (l *causeList) add(c cause) {
	if n := len(*l); n == 0 || (*l)[n-1] != c {
		*l = append(*l, c)
	}
}

func (c *causes) of(h *observe.Host) *changes {
	if c.hosts == nil {
		c.hosts = map[*observe.Host]*changes{}
	}
	if c.hosts[h] == nil {
		c.hosts[h] = &changes{keys: map[observe.Key]cause{}, since: map[observe.Key]int{}}
	}
	return c.hosts[h]
}

// step adds a step that a task would carry out on a host, among all hosts, with what it expects, each with its host.
func (c *causes) step(t *task, on *observe.Host, all []*observe.Host, step modules.Step, expect []observe.Expectation) {
	by := cause{t, on.Name()}
	c.mu.Lock()
	for _, e := range expect {
		if found := c.of(e.Host); e.Match != nil {
			found.matches = append(found.matches, match{e.Match, len(c.opaque), by})
		} else {
			found.keys[e.Key], found.since[e.Key] = by, len(c.opaque)
		}
	}
	if step.Unknown {
		c.opaque = append(c.opaque, by)
	}
	if _, boots := step.Action.(modules.Reboot); boots {
		c.of(on).boot.add(by)
	}
	c.mu.Unlock()
	if step.Wide || !step.Bounded() {
		c.anything(by, on, all, step.Wide)
	}
}

// anything adds a task of which nobody can list what it would change of a host and, if it is wide, of others.
func (c *causes) anything(by cause, on *observe.Host, all []*observe.Host, wide bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(on).local.add(by)
	for _, other := range all {
		switch {
		case other == on:
		case wide:
			c.of(other).local.add(by)
		default:
			c.of(other).elsewhere.add(by)
		}
	}
}

// anythingShared adds a task of which only the playbook's author knows what it would change, if anything.
func (c *causes) anythingShared(by cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opaque = append(c.opaque, by)
}

// obscured are the tasks of which only the playbook's author knows what they change, if something was read that hosts share and
// that no step behind them has settled. Commands of the author are not counted: see observe.AfterChange.
func (c *causes) obscured(h *observe.Host, saw ...*observe.Tracker) (found causeList) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := len(c.opaque)
	look := func(h *observe.Host, reads []observe.Read) {
		for _, r := range reads {
			if r.Shared() && !r.ByAuthor() {
				since = min(since, c.hosts[h].settled(r.Key()))
			}
		}
	}
	for _, t := range saw {
		if t == nil {
			continue
		}
		look(h, t.Reads())
		for other, reads := range t.Elsewhere() {
			look(other, reads)
		}
	}
	for _, by := range c.opaque[since:] {
		found.add(by)
	}
	return found
}

// settled is how many opaque steps came before the last step that names an observation.
func (c *changes) settled(key observe.Key) int {
	if c == nil {
		return 0
	}
	since := c.since[key]
	for _, m := range c.matches {
		if m.of(key) {
			since = max(since, m.since)
		}
	}
	return since
}

// behind are the tasks that may change first what was read, on the planner's own host h and elsewhere.
func (c *causes) behind(h *observe.Host, saw ...*observe.Tracker) (found causeList) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range saw {
		if t == nil {
			continue
		}
		found = append(found, c.hosts[h].behind(t.Reads())...)
		for other, reads := range t.Elsewhere() {
			found = append(found, c.hosts[other].behind(reads)...)
		}
	}
	return found
}

// behind are the tasks that may change one of some observations; those that name it come last.
func (c *changes) behind(reads []observe.Read) (found causeList) {
	if c == nil || len(reads) == 0 {
		return nil
	}
	var named causeList
	lasting, shared := true, false
	for _, r := range reads {
		key := r.Key()
		lasting = lasting && r.Lasts()
		shared = shared || r.Shared()
		if by, ok := c.keys[key]; ok {
			named.add(by)
		}
		for _, m := range c.matches {
			if m.of(key) {
				named.add(m.cause)
			}
		}
	}
	if shared {
		found = append(found, c.elsewhere...)
	}
	found = append(found, c.boot...)
	if !lasting {
		found = append(found, c.local...)
	}
	return append(found, named...)
}

// reads reports whether a module of a task may change nothing, whatever it comes to.
func reads(m modules.Module) bool {
	reader, ok := m.(modules.Reader)
	return ok && reader.OnlyReads()
}

// doubt is in check mode why it cannot be known whether an error will come about, or nil if it will: it was found in
// what tasks that come first may change.
func (e *execution) doubt(d *decision, err error, saw ...*observe.Tracker) error {
	if !e.check || !circumstantial(err) {
		return nil
	}
	found := e.behind(d, saw...)
	if len(found) == 0 {
		return nil
	}
	return &doubtfulError{err, e.task, e.host.Name, found}
}

// behind are in check mode the tasks that may change first what a decision was made of, and what was seen since.
func (e *execution) behind(d *decision, saw ...*observe.Tracker) causeList {
	if !e.check {
		return nil
	}
	found := append(e.host.foretoldBy(d.results), d.peers.foretold()...)
	found = append(found, e.causes.behind(e.host.observed, append(saw, d.saw)...)...)
	if d.scope == modules.EachHost { // what other hosts do with the same task, they do at the same time
		found = slices.DeleteFunc(found, func(c cause) bool { return c.task == e.task && c.host != e.host.Name })
	}
	return found
}

// errSatisfied says that a host is as an item wants it.
var errSatisfied = errors.New("nothing is to be done")

// obscured is in check mode why it cannot be known that an item has nothing to do, or nil if it is known: a command of the
// playbook's author that comes first may have changed what hosts share by then, such as a cluster. A module that only reads has
// nothing to do in any case.
func (e *execution) obscured(it *itemPlan) error {
	if !e.check || reads(it.module) {
		return nil
	}
	found := e.causes.obscured(e.host.observed, it.from.saw, it.saw)
	if it.from.scope == modules.EachHost { // what other hosts do with the same task, they do at the same time
		found = slices.DeleteFunc(found, func(c cause) bool { return c.task == e.task })
	}
	if len(found) == 0 {
		return nil
	}
	return &doubtfulError{errSatisfied, e.task, e.host.Name, found}
}

// told are in check mode the tasks that may change first what an item's result tells, if it is registered.
func (e *execution) told(it *itemPlan) causeList {
	if e.task.Register == "" {
		return nil
	}
	return e.behind(it.from, it.saw)
}

// circumstantial reports whether an error may have its reason in how a host is. A file of the controller that cannot be read,
// a host that does not answer, a defect and an end of time are no such errors.
func circumstantial(err error) bool {
	var file *fs.PathError
	var lost *remote.UnreachableError
	var panicked *defect.Error
	return !errors.As(err, &file) && !errors.As(err, &lost) && !errors.As(err, &panicked) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// doubtfulError is a failure in check mode of which only the run can tell whether it comes about.
type doubtfulError struct {
	err    error
	task   *task // that it is of, on host
	host   string
	causes causeList
}

func (e *doubtfulError) Unwrap() error { return e.err }

func (e *doubtfulError) Error() string {
	last := e.causes[len(e.causes)-1]
	what := fmt.Sprintf("task %q", last.task.Name)
	if last == (cause{e.task, e.host}) {
		what = "what this task does first"
	}
	if last.host != e.host {
		what += " on " + last.host
	}
	others := map[cause]bool{}
	for _, c := range e.causes {
		if c != last {
			others[c] = true
		}
	}
	switch n := len(others); {
	case n == 1:
		what += " or another task before it"
	case n > 1:
		what += fmt.Sprintf(" or one of %d tasks before it", n)
	}
	return fmt.Sprintf("%s; so it is now, and %s may change that", e.err, what)
}
