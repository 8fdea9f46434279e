// Package run carries out a playbook: plays, hosts, tasks, handlers.
//
// It plans upcoming tasks of every host ahead of their turn, so that what they read travels
// together; it alone acts on hosts, step by step, and after each task plans again to see that
// nothing is left to do. In check mode it lays the steps' expectations over the observations
// instead of acting.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
)

// Options say how a playbook is run.
type Options struct {
	// Check predicts and does not act.
	Check bool
	// Limit is a pattern of hosts; hosts outside it are read where a task needs them as peers, and
	// never changed. Empty means all.
	Limit string
	// Tags and SkipTags select tasks; see lang.Selected.
	Tags, SkipTags []string
	// StartAt is the name of the first task to run; empty means the first.
	StartAt string
	// Connect opens a connection to a host of the inventory.
	Connect func(ctx context.Context, h *inventory.Host) (remote.Conn, error)
	// Prepare, if it is not nil, judges how the hosts of the run are to be reached, before one is. Its notes are
	// reported; its error ends the run before it began.
	Prepare func(hosts []*inventory.Host) (notes []string, err error)
	// Reporter is told what happens; Redactor keeps secrets out of it.
	Reporter report.Reporter
	Redactor *report.Redactor
	// Clock is what waiting goes by; nil means the real one.
	Clock Clock
	// NoReadAhead plans each task only when its turn has come. Results are the same, slower.
	NoReadAhead bool
	// Wait is how long to wait for another run that is changing a host; zero is not at all.
	Wait time.Duration
	// Unfulfilled, if it is not nil, is told what steps that were carried out had said would be observed (Step.Expect),
	// and is not, once their task has settled: a defect of their module. Tests set it. Without it nothing is asked.
	Unfulfilled func(Unfulfilled)
	// Rehearse is only reported.
	Rehearse bool
}

// Run carries out the playbook and returns what became of each host. The error is about the run as a
// whole (a pattern that matches nothing, an interruption); hosts and tasks that failed are in the recap.
func Run(ctx context.Context, pb *lang.Playbook, inv *inventory.Inventory, o Options) (report.Recap, error) {
	if o.Clock == nil {
		o.Clock = RealClock{}
	}
	if o.Redactor == nil {
		o.Redactor = report.NewRedactor()
	}
	r := &runner{
		options: o, playbook: pb, inventory: inv,
		planning: make(chan struct{}, hostsAtOnce), hosts: map[string]*host{}, handlers: map[handlerKey]notice{}, overdue: map[handlerKey]bool{},
		hostsValue: inv.HostsValue(), groupsValue: inv.GroupsValue(),
		started: o.Clock.Now(),
	}
	o.Redactor.Add(lang.SensitiveStrings(pb.Var, pb.Local)...)
	r.holder = nodestate.Begin(rand.Text(), pb.Path, time.Now())
	defer r.holder.End()
	defer r.close()
	limit := inv.Hosts
	if o.Limit != "" {
		var err error
		if limit, err = inv.Match(o.Limit); err != nil {
			return report.Recap{}, fmt.Errorf("--limit: %w", err)
		}
	}
	r.limited = map[string]bool{}
	for _, h := range limit {
		r.limited[h.Name] = true
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	r.waitingToStart = o.StartAt != ""
	if o.StartAt != "" {
		if err := pb.CheckStart(o.StartAt, o.Tags, o.SkipTags); err != nil {
			return report.Recap{}, err
		}
	}
	r.readers = readers(pb, inv)

	plays := make([]plannedPlay, 0, len(pb.Plays))
	var order []string
	var named []*inventory.Host
	mentioned := map[string]bool{}
	for _, play := range pb.Plays {
		all, err := inv.Match(play.Hosts)
		if err != nil {
			return report.Recap{}, fmt.Errorf("%s: play %q: hosts: %w", play.Range, play.Name, err)
		}
		p := plannedPlay{play: play, peers: all}
		for _, h := range all {
			if r.limited[h.Name] {
				p.hosts = append(p.hosts, h)
				mentioned[h.Name] = true
			}
		}
		plays = append(plays, p)
	}
	for _, h := range inv.Hosts {
		if mentioned[h.Name] {
			order, named = append(order, h.Name), append(named, h)
			r.host(h)
		}
	}
	switch {
	case len(pb.Plays) == 0:
		return report.Recap{}, fmt.Errorf("%s has no play, and nothing to do: begin with play \"…\" { hosts = \"…\" }", pb.Path)
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
	r.report(report.RunStarted{Playbook: pb.Path, Inventory: inv.Path, Check: o.Check, Rehearse: o.Rehearse, Hosts: order})
	for _, text := range notes {
		r.report(report.Note{Text: text})
	}
	for _, p := range plays {
		if r.ctx.Err() != nil {
			break
		}
		r.play(p)
	}
	r.flushKept()
	r.reportLostHandlers()
	recap := r.recap(order)
	recap.Interrupted = ctx.Err() != nil
	r.report(recap)
	if ctx.Err() != nil {
		return recap, ctx.Err()
	}
	return recap, nil
}

// runner is one run.
type runner struct {
	options   Options
	playbook  *lang.Playbook
	inventory *inventory.Inventory
	ctx       context.Context
	cancel    context.CancelFunc
	limited   map[string]bool
	readers   map[string]string
	started   time.Time
	holder    nodestate.Holder

	hostsValue, groupsValue cty.Value

	mu             sync.Mutex // guards hosts, handlers and the fields of hosts that say so
	hosts          map[string]*host
	handlers       map[handlerKey]notice
	overdue        map[handlerKey]bool // that were found due from earlier runs
	waitingToStart bool
	peers          []*inventory.Host
	playValues     map[*lang.Play]cty.Value // what expressions see as `play`, with peers as its hosts
	leader         string                   // the first host of the task whose turn it is
	slotsOf        map[*lang.Play]map[*lang.Task]*slot

	causes causes // of what check mode meets

	// planning has room for the hosts that are planned ahead at a time.
	planning chan struct{}

	reportMu sync.Mutex
}

type plannedPlay struct {
	play         *lang.Play
	hosts, peers []*inventory.Host
}

// host is what a run knows of one host.
type host struct {
	*inventory.Host
	value    cty.Value
	observed *observe.Host
	link     *link
	ahead    *ahead
	keeper   *keeper
	// admitted says that no other run held its lock when this run began to change it: see gate.
	admitted bool
	// reached says that a task has had its turn on it.
	reached bool

	// results are the registered results, and counts the outcome so far; foretold is which of the results check mode has only
	// predicted, and the task. Guarded by runner.mu.
	results  map[string]cty.Value
	foretold map[string]cause
	counts   report.Counts
	// failed and unreachable hosts leave the run; guarded by runner.mu.
	failed, unreachable bool
	// clouded says that check mode has changed something here: see observe.AfterChange. Guarded by runner.mu.
	clouded bool
}

// host returns the run's view of a host, made on first use: a peer that no play names is only
// connected to if somebody observes it.
func (r *runner) host(ih *inventory.Host) *host {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hosts[ih.Name]; h != nil {
		return h
	}
	h := &host{Host: ih, value: ih.Value(), results: map[string]cty.Value{}, foretold: map[string]cause{}}
	h.link = newLink(ih, r.options.Connect, r.readers[ih.Name])
	h.link.busy = func(what string) { r.report(report.Progress{Host: ih.Name, What: what}) }
	h.observed = observe.NewHost(r.ctx, ih.Name, ih.Address, h.link.dial)
	h.observed.SetPeers(r.observedPeers, r.observedPeer)
	h.keeper = newKeeper(h.link, h.observed, &r.holder, func(text string) { r.report(report.Note{Text: text}) })
	h.ahead = newAhead(r, h)
	r.hosts[ih.Name] = h
	return h
}

func (r *runner) observedPeers() []*observe.Host {
	r.mu.Lock()
	peers := r.peers
	r.mu.Unlock()
	all := make([]*observe.Host, 0, len(peers))
	for _, ih := range peers {
		all = append(all, r.host(ih).observed)
	}
	return all
}

func (r *runner) observedPeer(name string) (*observe.Host, error) {
	ih := r.inventory.Host(name)
	if ih == nil {
		return nil, fmt.Errorf("no host %q in the inventory %s", name, r.inventory.Path)
	}
	return r.host(ih).observed, nil
}

// observedHosts are all hosts that the run has met so far.
func (r *runner) observedHosts() []*observe.Host {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*observe.Host, 0, len(r.hosts))
	for _, h := range r.hosts {
		all = append(all, h.observed)
	}
	return all
}

// byObserved finds the host behind a module's view of it.
func (r *runner) byObserved(o *observe.Host) *host {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hosts[o.Name()]
}

func (r *runner) report(e report.Event) {
	if r.options.Reporter == nil {
		return
	}
	r.reportMu.Lock()
	defer r.reportMu.Unlock()
	r.options.Reporter.Report(e)
}

func (r *runner) recap(order []string) report.Recap {
	r.mu.Lock()
	defer r.mu.Unlock()
	recap := report.Recap{
		Order: order, Hosts: map[string]report.Counts{}, Costs: map[string]report.Cost{},
		Check: r.options.Check, Duration: r.options.Clock.Now().Sub(r.started),
	}
	for _, name := range order {
		h := r.hosts[name]
		recap.Hosts[name] = h.counts
		s := h.link.stats()
		recap.Costs[name] = report.Cost{RoundTrips: s.RoundTrips, Flights: s.Flights, Sent: s.Sent, Received: s.Received}
	}
	return recap
}

func (r *runner) close() {
	for _, h := range r.met() {
		h.ahead.drop()
		h.link.close()
	}
}

// readers says as which user each host is read: the most privileged one that the playbook becomes
// there, so that one set of observations serves all tasks; empty means the login user.
func readers(pb *lang.Playbook, inv *inventory.Inventory) map[string]string {
	users := map[string]string{}
	raise := func(hosts []*inventory.Host, b *lang.Become) {
		if b == nil || !b.Enabled {
			return
		}
		for _, h := range hosts {
			if user := becomeUser(b.User); users[h.Name] != "root" {
				users[h.Name] = user
			}
		}
	}
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
			raise(hosts, t.EffectiveBecome())
		}
	}
	return users
}

func becomeUser(user string) string {
	if user == "" {
		return "root"
	}
	return user
}
