package run

import (
	"sync"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// causes are the changes that the previous tasks would make, as far as check mode can tell. If planning fails because
// of something that one of them may change first, that does not predict a failure of the run.
type causes struct {
	mu    sync.Mutex
	hosts map[*observe.Host]*changes
	// opaque are the tasks with steps whose effects only the author of the playbook knows, in order.
	opaque []cause
	// vague are the tasks of which check mode could not tell what they would do.
	vague []vagueTask
}

// vagueTask is a task of which check mode could not tell what it would do.
type vagueTask struct {
	cause
	module modules.Module
}

// changes are what tasks would change on one host.
type changes struct {
	keys    map[observe.Key]cause // what steps name
	since   map[observe.Key]int   // number of opaque steps before the step that names a key and so settles the key's value
	matches []match
	// local are tasks with steps whose effects cannot be listed: afterwards everything except lasting facts may be
	// different, and after those in boot even these. elsewhere are such tasks on other hosts, which may change what the
	// hosts share.
	local, boot, elsewhere causeList
}

// match is a pattern with which a step names observations.
type match struct {
	of    func(observe.Key) bool
	since int
	cause
}

// cause is a task that would change something on a host.
type cause struct {
	task *task
	host string
}

// causeList is a list of tasks in order, without duplicates.
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

// step adds a step that a task would carry out on a host. all are all hosts, and expect are the step's expectations
// with their hosts.
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

// anything adds a task whose effects on a host, and if wide is set also on other hosts, cannot be listed.
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

// anythingShared adds a task whose changes, if any, only the author of the playbook knows.
func (c *causes) anythingShared(by cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opaque = append(c.opaque, by)
}

// nobodyKnows adds a task of which check mode could not tell what it would do. m is nil if its arguments are not known.
func (c *causes) nobodyKnows(by cause, m modules.Module) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vague = append(c.vague, vagueTask{by, m})
}

// unclear returns the tasks of which nobody can tell what they do to what was read: those of a module that check mode could
// not predict, as far as they may be behind an error, and those whose effects only the author of the playbook knows.
func (c *causes) unclear(module string, behind func(modules.Module) bool, h *observe.Host, saw ...*observe.Tracker) (found causeList) {
	c.mu.Lock()
	for _, v := range c.vague {
		if v.task.Module.Name == module && (behind == nil || v.module == nil || behind(v.module)) {
			found.add(v.cause)
		}
	}
	c.mu.Unlock()
	return append(found, c.obscured(h, saw...)...)
}

// obscured returns the tasks whose effects only the author of the playbook knows, if something was read that hosts
// share and that no later step has settled. The author's own reading commands are not counted: see observe.AfterChange.
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

// settled returns the number of opaque steps before the last step that names an observation.
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

// behind returns the tasks that may first change what was read, on the planner's own host h and elsewhere.
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

// behind returns the tasks that may change one of the observations. Those that name it come last.
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
