package run

import (
	"hlplay/engine/lang"
)

// batch carries out a play on one batch of its hosts.
type batch struct {
	*conductor
	play    *lang.Play
	tasks   map[*lang.Task]*task
	members []*host
	rolling bool   // one of several batches
	more    bool   // others follow it
	fatal   string // why the run has to end after the current task
	shut    bool   // another run is changing one of the hosts; do not run handlers either
	// rescuable is the number of groups with a rescue part around the current task.
	rescuable int
}

// nodes runs tasks and groups in order and returns the hosts that have not failed.
func (b *batch) nodes(nodes []lang.Node, hosts []*host) []*host {
	for _, n := range nodes {
		if b.over() || len(hosts) == 0 {
			return hosts
		}
		switch n := n.(type) {
		case *lang.Task:
			hosts = b.task(b.tasks[n], hosts)
		case *lang.Group:
			hosts = b.group(n, hosts)
		case *lang.Flush:
			b.handlers()
			hosts = inRun(hosts)
		}
	}
	return hosts
}

func (b *batch) over() bool { return b.fatal != "" || b.ctx.Err() != nil }

// group runs the tasks of a group. A host on which one fails takes the rescue part, and every host takes the always part.
// Both parts run even if one of the tasks has ended the play: a failure may have been reported as rescued before the task had ended
// on all hosts.
func (b *batch) group(g *lang.Group, hosts []*host) []*host {
	if len(g.Rescue) > 0 {
		b.rescuable++
	}
	came := b.nodes(g.Tasks, hosts)
	if len(g.Rescue) > 0 {
		b.rescuable--
		b.despiteEnd(func() { came = append(came, b.rescue(g, missing(hosts, came))...) })
		came = inOrder(hosts, came)
	}
	if len(g.Always) == 0 {
		return came
	}
	var through []*host
	here := reachable(hosts)
	b.despiteEnd(func() { despite(here, func() { through = b.nodes(g.Always, here) }) })
	return both(came, through)
}

// despiteEnd calls fn as if no task had ended the play. A play that had ended stays ended, whatever fn does.
func (b *batch) despiteEnd(fn func()) {
	fatal := b.fatal
	b.fatal = ""
	fn()
	if fatal != "" {
		b.fatal = fatal
	}
}

// rescue runs the rescue part of a group on the hosts that failed inside it. If another run keeps this one out, nothing
// has failed.
func (b *batch) rescue(g *lang.Group, failed []*host) []*host {
	again := reachable(failed)
	if len(again) == 0 || b.shut {
		return nil
	}
	for _, h := range again {
		h.setFailed(false)
	}
	return b.nodes(g.Rescue, again)
}

func missing(all, some []*host) []*host {
	in := map[*host]bool{}
	for _, h := range some {
		in[h] = true
	}
	var rest []*host
	for _, h := range all {
		if !in[h] {
			rest = append(rest, h)
		}
	}
	return rest
}

func inOrder(order, some []*host) []*host { return missing(order, missing(order, some)) }

func both(a, b []*host) []*host { return inOrder(a, inOrder(b, a)) }
