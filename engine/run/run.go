// Package run carries out playbooks: plays, hosts, tasks, handlers.
//
// It plans the upcoming tasks of every host ahead of their turn, so that their reads travel together. It alone acts on
// hosts, step by step, and plans again after each task to verify that nothing is left to do. In check mode it overlays the
// observations with the steps' expectations instead of acting.
//
// Its parts, in reading order:
//
//   - the conductor takes plays, batches of hosts, tasks and handlers in order (run.go, play.go, batch.go,
//     handlers.go, everywhere.go, gate.go, await.go, consent.go, finish.go, leftover.go);
//   - an execution carries out a task on a host: steps, flights, verification, settling, or in check mode prediction
//     (execute.go, propose.go, guard.go, steps.go, sendahead.go, foresight.go, sharing.go, proposal.go, command.go, long.go, reboot.go,
//     proof.go, settle.go, verify.go, predict.go, doubt.go, keep.go, copies.go, fulfil.go, changed.go, executor.go);
//   - a host's planner decides what a task needs there, ahead for upcoming tasks (planner.go, readahead.go, planning.go,
//     decide.go, delegate.go, peers.go, expressions.go, upcoming.go);
//   - Ask, Facts and Read read hosts outside of a run (console.go, facts.go);
//   - a host has its connection, its registered results, its standing in the run, what was sent to it ahead, and what is
//     kept on its node (host.go, sentahead.go, keeper.go, connection.go).
//
// All of them share a few types: task, outcome, notifications, causes, asking, throttle, tallies, Clock. A file calls only functions
// of files that are named after it, which TestReadingOrder checks.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// Options say how to run a playbook.
type Options struct {
	// Check predicts without acting.
	Check bool
	// Limit is a pattern of hosts. Other hosts are read if a task needs them as peers, but never changed. Empty means
	// all.
	Limit string
	// Tags and SkipTags select tasks; see lang.Selected.
	Tags, SkipTags []string
	// StartAt is the name of the first task to run; empty means the first of the playbook.
	StartAt string
	// Earlier, if not nil, returns the result that a task before StartAt has registered on a host in the run that this
	// one resumes.
	Earlier func(host, play, task string) (result cty.Value, ok bool)
	// Counted holds what the run that this one resumes has added to numbers that are limited for the whole run, by what is
	// counted: see report.Counted.
	Counted map[string][]string
	// Connect opens a connection to a host of the inventory.
	Connect func(ctx context.Context, h *inventory.Host) (remote.Conn, error)
	// Prepare, if not nil, checks before the first connection how the run's hosts will be reached. Its notes are
	// reported; an error ends the run before it starts.
	Prepare func(hosts []*inventory.Host) (notes []string, err error)
	// Reporter receives events. Redactor removes secrets from them.
	Reporter report.Reporter
	Redactor *report.Redactor
	// Forks limits how many hosts are worked on at a time. Zero changes all hosts at once, and reads ahead on as many as
	// suits the controller.
	Forks int
	// Approve, if not nil, is asked before steps are carried out or predicted. Its error fails the task. What is sent ahead is
	// asked about before that, and again when the task has its turn; an approval that depends on the order excludes SendAhead.
	Approve func(Proposal) error
	// Ask, if not nil, is asked before a task changes anything, once for all hosts where it has something to do. A task that
	// is left out counts as skipped there, and a handler stays due. Its error fails the task.
	Ask func(ctx context.Context, proposals []Proposal) (Answer, error)
	// Clock is the clock for waiting; nil means RealClock.
	Clock Clock
	// NoReadAhead plans each task only when its turn has come. The results are the same, only slower.
	NoReadAhead bool
	// SendAhead lets the steps of several tasks share a flight where the engine can foresee them. The results are the same,
	// only faster.
	SendAhead bool
	// SendAheadFrom is the latency (see remote.Stats) from which SendAhead applies to a host whose acting shells have no hand;
	// zero applies it to all. Without a hand, the host must start more processes, which cost more than a short round trip.
	SendAheadFrom time.Duration
	// Wait is how long to wait for another run that is changing a host; zero does not wait.
	Wait time.Duration
	// Unfulfilled, if not nil, is called with expectations (Step.Expect) of steps that were carried out that do not match
	// the host once their task has settled, which is a defect of the module. Tests set it. If it is nil, nothing is observed
	// for it.
	Unfulfilled func(Unfulfilled)
	// Archive, if not nil, keeps copies of the vital files of Modules that the run changes.
	Archive Archive
	Modules []modules.Spec
	// Rehearse is set if the hosts are simulated, so that the controller's probes must not reach anything else.
	Rehearse bool
}

// ahead returns how many hosts are planned ahead at a time.
func (o Options) ahead() int {
	if o.Forks == 0 {
		return hostsAtOnce
	}
	return min(o.Forks, hostsAtOnce)
}

// Run carries out the playbook and returns what happened on each host. The error is about the run as a whole, such as a
// pattern that matches nothing or an interruption. Failed hosts and tasks are in the recap.
func Run(ctx context.Context, pb *lang.Playbook, inv *inventory.Inventory, o Options) (report.Recap, error) {
	if o.Clock == nil {
		o.Clock = RealClock{}
	}
	if o.Redactor == nil {
		o.Redactor = report.NewRedactor()
	}
	limit := inv.Hosts
	if o.Limit != "" {
		var err error
		if limit, err = inv.Match(o.Limit); err != nil {
			return report.Recap{}, fmt.Errorf("--limit: %w", err)
		}
	}
	if o.StartAt != "" {
		if err := pb.CheckStart(o.StartAt, o.Tags, o.SkipTags); err != nil {
			return report.Recap{}, err
		}
	}
	o.Redactor.Add(pb.SensitiveTexts()...)
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConductor(running, cancel, pb, inv, limit, o)
	defer c.holder.End()
	defer c.close()

	plays := make([]plannedPlay, 0, len(pb.Plays))
	var order []string
	var named []*inventory.Host
	mentioned := map[string]bool{}
	for _, play := range pb.Plays {
		all, err := inv.Match(play.Hosts)
		if err != nil {
			return report.Recap{}, fmt.Errorf("%s: play %q: hosts: %w", play.Range, play.Name, err)
		}
		if err := c.missingDelegate(play); err != nil {
			return report.Recap{}, err
		}
		p := plannedPlay{play: play, peers: all}
		for _, h := range all {
			if c.expressions.limited[h.Name] {
				p.hosts = append(p.hosts, h)
				mentioned[h.Name] = true
			}
		}
		plays = append(plays, p)
	}
	for _, h := range inv.Hosts {
		if mentioned[h.Name] {
			order, named = append(order, h.Name), append(named, h)
			c.hosts.get(h)
		}
	}
	switch {
	case len(pb.Plays) == 0:
		return report.Recap{}, fmt.Errorf("%s has no plays: add one, such as play \"…\" { hosts = \"…\" }", pb.Path)
	case len(order) == 0:
		return report.Recap{}, errors.New("no host matches the playbook's patterns and --limit: nothing to do")
	}
	var notes []string
	if o.Prepare != nil {
		var err error
		if notes, err = o.Prepare(named); err != nil {
			return report.Recap{}, err
		}
	}
	c.report(report.RunStarted{Playbook: pb.Path, Inventory: inv.Path, Check: o.Check, Rehearse: o.Rehearse, Hosts: order})
	for _, of := range slices.Sorted(maps.Keys(o.Counted)) { // a run that resumes this one needs to look no further
		c.report(report.Counted{Of: of, Names: o.Counted[of]})
	}
	for _, text := range notes {
		c.report(report.Note{Text: text})
	}
	for _, p := range plays {
		if c.ctx.Err() != nil {
			break
		}
		c.play(p)
	}
	c.left()
	c.reportSentAhead()
	c.flushKept()
	c.reportLeftovers()
	recap := c.recap(order)
	recap.Interrupted = ctx.Err() != nil
	c.report(recap)
	if ctx.Err() != nil {
		return recap, ctx.Err()
	}
	return recap, nil
}

// conductor is one run. It goes through plays, batches, tasks and handlers in order, while the planner of each host
// decides what the host needs and the executor does it.
type conductor struct {
	*executor
	options Options
	cancel  context.CancelFunc
	started time.Time
	forks   throttle // of Options.Forks
	// waitingToStart is set until the task named by --start-at-task is reached.
	waitingToStart bool
}

func newConductor(ctx context.Context, cancel context.CancelFunc, pb *lang.Playbook, inv *inventory.Inventory, limit []*inventory.Host, o Options) *conductor {
	limited := map[string]bool{}
	for _, h := range limit {
		limited[h.Name] = true
	}
	expressions := &expressions{hosts: inv.HostsValue(), groups: inv.GroupsValue(), limited: limited}
	holder := nodestate.Begin(rand.Text(), pb.Path, time.Now())
	all := &hosts{inventory: inv, met: map[string]*host{}}
	c := &conductor{
		executor: &executor{
			ctx: ctx, playbook: pb, check: o.Check, clock: o.Clock, holder: &holder, unfulfilled: o.Unfulfilled,
			approve: o.Approve, redact: o.Redactor.String,
			report: reporting(o.Reporter), hosts: all, expressions: expressions, copies: newCopies(o.Archive, o.Modules),
			sendAhead: o.SendAhead && !o.Check && !o.NoReadAhead && o.Ask == nil && o.Forks == 0, sendAheadFrom: o.SendAheadFrom,
			ledger: newLedger(o.Counted), notifications: newNotifications(), tasksOf: map[*lang.Play]map[*lang.Task]*task{},
		},
		options: o, cancel: cancel, started: o.Clock.Now(),
		waitingToStart: o.StartAt != "",
	}
	if o.Ask != nil {
		c.asking = &asking{ask: o.Ask}
	}
	shared := &planning{
		ctx: ctx, hosts: all, expressions: expressions, redactor: o.Redactor,
		readAhead: !o.NoReadAhead, room: make(chan struct{}, o.ahead()),
		share: func(h *host, t *task) bool { return c.mayShare(t) && t.confinable && c.pays(h) },
		due:   c.notifications.anyDue,
	}
	if !o.Check {
		shared.copied = func(h *host, t *task) []observe.Read { return c.copies.reads(h, t, true, false) }
	}
	readers, dial := readers(pb, inv), inventory.Dialer(inv.Hosts, o.Rehearse)
	addresses := make(map[string]string, len(inv.Hosts))
	for _, ih := range inv.Hosts {
		addresses[ih.Name] = ih.Address
	}
	everyone := observe.NewInventory(addresses)
	all.add = func(ih *inventory.Host) *host {
		h := &host{Host: ih, value: ih.Value(), results: map[string]cty.Value{}, foretold: map[string]cause{}}
		h.connection = newConnection(ih, o.Connect, readers[ih.Name])
		h.connection.acts = !o.Check
		h.connection.busy = func(what string) { c.report(report.Progress{Host: ih.Name, What: what}) }
		h.observed = observe.NewHost(ctx, ih.Name, ih.Address, h.connection.dial)
		h.observed.SetClock(o.Clock.Now)
		h.observed.SetDial(dial)
		h.observed.SetPeers(all.observedPeers, all.observedPeer)
		h.observed.SetInventory(everyone)
		h.keeper = newKeeper(h.connection, h.observed, &holder, func(text string) { c.report(report.Note{Text: text}) })
		h.planner = newPlanner(shared, h)
		return h
	}
	return c
}

// close ends planning and the connections.
func (c *conductor) close() {
	for _, h := range c.hosts.all() {
		h.planner.drop()
		h.connection.close()
		if h.turns != nil {
			close(h.turns)
		}
	}
}

// reporting serializes concurrent events. A nil reporter gets none.
func reporting(r report.Reporter) func(report.Event) {
	if r == nil {
		return func(report.Event) {}
	}
	var mu sync.Mutex
	return func(e report.Event) {
		mu.Lock()
		defer mu.Unlock()
		r.Report(e)
	}
}

type plannedPlay struct {
	play         *lang.Play
	hosts, peers []*inventory.Host
}

func (c *conductor) recap(order []string) report.Recap {
	recap := report.Recap{
		Order: order, Hosts: map[string]report.Counts{}, Costs: map[string]report.Cost{},
		Check: c.check, Duration: c.clock.Now().Sub(c.started),
	}
	for _, h := range c.hosts.all() {
		if slices.Contains(order, h.Name) {
			recap.Hosts[h.Name] = h.counted()
			s := h.connection.stats()
			recap.Costs[h.Name] = report.Cost{RoundTrips: s.RoundTrips, Flights: s.Flights, Sent: s.Sent, Received: s.Received}
		}
	}
	return recap
}

// readers returns the user who reads each host: the most privileged one that the playbook becomes there, so that one
// set of observations serves all tasks. Empty means the login user.
func readers(pb *lang.Playbook, inv *inventory.Inventory) map[string]string {
	users := map[string]string{}
	for _, h := range inv.Hosts {
		if h.Become {
			users[h.Name] = becomeUser(h.BecomeUser)
		}
	}
	for _, play := range pb.Plays {
		hosts, err := inv.Match(play.Hosts)
		if err != nil {
			continue // reported by Run
		}
		for _, t := range play.AllTasks() {
			for _, h := range hosts {
				for _, name := range t.On(h.Name) {
					if b := t.Become(name); b != nil && b.Enabled && users[name] != "root" {
						users[name] = becomeUser(b.User)
					}
				}
			}
		}
	}
	return users
}
