package run

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// play carries out one play, batch by batch.
func (c *conductor) play(p plannedPlay) {
	alive := make([]*host, len(p.hosts))
	for i, ih := range p.hosts {
		alive[i] = c.hosts.get(ih)
	}
	if alive = inRun(alive); len(alive) == 0 {
		return
	}
	batches, err := batches(alive, p.play.Serial)
	if err != nil { // lang has validated it, so this is a defect
		c.report(report.Note{Text: fmt.Sprintf("play %q: serial: %v", p.play.Name, err)})
		return
	}
	if len(batches) > 1 {
		c.leftDue(p, alive)
	}
	for i, members := range batches {
		members = inRun(members)
		if len(members) == 0 || c.ctx.Err() != nil {
			continue
		}
		c.report(report.PlayStarted{Play: p.play.Name, Hosts: names(members), Batch: i + 1, Batches: len(batches)})
		if fatal := c.batch(p, members, len(batches) > 1, i+1 < len(batches)); fatal != "" {
			c.report(report.Note{Text: fatal})
			c.cancel()
			return
		}
	}
}

// leftDue runs, before the first batch of a rolling play, the handlers that earlier runs have left due on its hosts: a
// task of the first batch may depend on what they do on the last host. Hosts that no earlier play has reached wait for
// their batch.
func (c *conductor) leftDue(p plannedPlay, hosts []*host) {
	declared := map[string]bool{}
	for _, t := range p.play.Handlers {
		declared[nodestate.Name(p.play.Name, t.Name)] = true
	}
	var left []*host
	for _, h := range reachable(hosts) {
		if len(declared) > 0 && h.reached && h.keeper.look(c.ctx) == nil &&
			slices.ContainsFunc(h.keeper.overdue(), func(d nodestate.Due) bool { return declared[d.ID] }) {
			left = append(left, h)
		}
	}
	if len(left) > 0 {
		c.begin(p, left, true).handlers()
	}
}

// batch runs a play's tasks, then its handlers, on some of its hosts. It returns why the run must end, or "".
// rolling is set if it is one of several batches, and more if others follow it.
func (c *conductor) batch(p plannedPlay, members []*host, rolling, more bool) string {
	b := c.begin(p, members, rolling)
	b.more = more
	b.nodes(p.play.Tasks, members)
	b.handlers()
	for _, h := range reachable(members) {
		if h.reached && h.keeper.look(b.ctx) == nil {
			h.keeper.tellRunning()
		}
	}
	return b.fatal
}

// begin prepares the hosts for a play.
func (c *conductor) begin(p plannedPlay, members []*host, rolling bool) *batch {
	c.hosts.setPeers(p.peers)
	c.expressions.setPeers(p.peers)
	b := &batch{conductor: c, play: p.play, tasks: c.tasks(p.play), members: members, rolling: rolling}
	c.lead(members[0])
	ahead := c.upcoming(p.play)
	for _, h := range members { // plans of other hosts may read it before its own have announced what they read
		defer h.observed.Hold()()
	}
	for _, h := range members {
		nodestate.States.Want(h.observed, "")
		h.planner.begin(ahead)
	}
	return b
}

// tasks returns the tasks of a play. They are created once for all batches.
func (c *conductor) tasks(play *lang.Play) map[*lang.Task]*task {
	if known := c.tasksOf[play]; known != nil {
		return known
	}
	tasks := map[*lang.Task]*task{}
	for _, t := range play.AllTasks() {
		tasks[t] = newTask(play, t)
	}
	c.tasksOf[play] = tasks
	return tasks
}

// upcoming returns the upcoming tasks from a play on.
func (c *conductor) upcoming(play *lang.Play) *upcoming {
	ahead := &upcoming{index: map[*task]int{}, flushes: map[int]bool{}}
	behind := false
	for _, p := range c.playbook.Plays {
		behind = behind || p == play
		if !behind {
			continue
		}
		if p != play && (p.Hosts != play.Hosts || len(p.Serial) > 0 || len(play.Serial) > 0) {
			break
		}
		ahead.add(p.Tasks, c.tasks(p), c.selected)
		if len(p.Handlers) > 0 {
			ahead.flush()
		}
	}
	ahead.findProducers()
	return ahead
}

// batches splits hosts by the sizes of serial, each a number or a percentage of all hosts. The last size repeats.
func batches(hosts []*host, serial []string) ([][]*host, error) {
	if len(serial) == 0 {
		return [][]*host{hosts}, nil
	}
	var all [][]*host
	for i, rest := 0, hosts; len(rest) > 0; i++ {
		size, err := batchSize(serial[min(i, len(serial)-1)], len(hosts))
		if err != nil {
			return nil, err
		}
		size = min(size, len(rest))
		all = append(all, rest[:size])
		rest = rest[size:]
	}
	return all, nil
}

// batchSize returns the number of hosts that "2" or "30%" means, at least one.
func batchSize(s string, all int) (int, error) {
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || p <= 0 || p > 100 {
			return 0, fmt.Errorf("%q is not a percentage between 0 and 100", s)
		}
		return max(1, int(float64(all)*p/100)), nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is neither a number of hosts nor a percentage", s)
	}
	return n, nil
}
