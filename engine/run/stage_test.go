package run_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// The tests run the engine with a test module, against hosts that are maps of settings. They test scheduling,
// prediction and verification, not any real module.

// stage is the set of hosts of a test.
type stage struct {
	restless int           // how often another process writes to a file while it is read, see still
	latency  time.Duration // that the connections report
	hand     bool          // whether they report a hand
	mu       sync.Mutex
	now      time.Time
	timers   map[*timer]bool
	hosts    map[string]*fakeHost
	// acts are all commands that were run, "host: verb name value", in order.
	acts []string
	// gets are the settings that hosts were asked for, as "NUMBER NAME" with the number of commands that were run before.
	gets []string
	// asks is the number of flights by host.
	asks map[string]int
	// watches is, by host, how often it waited itself.
	watches map[string]int
	// unwatchable, if set, is the reason why no host can wait itself.
	unwatchable error
	// onAct, if set, is called before each command.
	onAct func(host string)
	// onConnect, if set, is called before a connection is made. If it returns an error, connecting fails with it.
	onConnect func(host string) error
	// onEvent, if set, is called at each flight, command and sleep, one at a time.
	onEvent func(ctx context.Context)
	// onAnswer, if set, is called behind each flight and command.
	onAnswer func()
	// meddle, if set, is called under mu before and after each command that a host runs, with how many it has run before.
	meddle func(h *fakeHost, host string, n int, after bool)
	ran    map[string]int // commands, by host
	// ready is what connections were asked to have ready, "prepare host" and "spare host".
	ready []string
	// flights counts, by host, the flights with commands.
	flights map[string]int
	// joints are the settings that the hosts share. coarse is set if steps do not say that they change nothing else. stale are the
	// commands that did not find what their plans had seen.
	joints map[string]string
	coarse bool
	stale  []string
	// ctx, if set, is what the run goes under.
	ctx  context.Context
	busy int // commands under way, and the most there were
	most int
}

func newStage(names ...string) *stage {
	s := &stage{hosts: map[string]*fakeHost{}, asks: map[string]int{}, ran: map[string]int{}, flights: map[string]int{}, watches: map[string]int{}, joints: map[string]string{}, timers: map[*timer]bool{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, name := range names {
		s.hosts[name] = &fakeHost{settings: map[string]string{}, pending: map[string]pendingSetting{}, due: map[string]string{}, long: map[string]*fakeLong{}, next: map[string]string{}}
	}
	return s
}

// clone returns another stage with a copy of the hosts.
func (s *stage) clone() *stage {
	c := newStage(slices.Collect(maps.Keys(s.hosts))...)
	c.now, c.joints, c.coarse = s.now, maps.Clone(s.joints), s.coarse
	for name, h := range s.hosts {
		c.hosts[name] = &fakeHost{settings: maps.Clone(h.settings), pending: maps.Clone(h.pending), dead: h.dead, due: maps.Clone(h.due), long: maps.Clone(h.long), next: maps.Clone(h.next)}
	}
	return c
}

func (s *stage) Now() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.now }

func (s *stage) Sleep(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	s.event(ctx)
	s.passLocked(d)
	s.mu.Unlock()
	return ctx.Err()
}

// passLocked lets time pass.
func (s *stage) passLocked(d time.Duration) {
	s.now = s.now.Add(d)
	for _, h := range s.hosts {
		if h.undo != nil && !h.undo.done && !s.now.Before(h.undo.at) {
			h.undoNow()
		}
	}
	for t := range s.timers {
		if !s.now.Before(t.at) {
			delete(s.timers, t)
			t.fn()
		}
	}
}

// timer is a function to call at a time.
type timer struct {
	at time.Time
	fn func()
}

func (s *stage) AfterFunc(d time.Duration, fn func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &timer{s.now.Add(d), fn}
	s.timers[t] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.timers, t)
	}
}

func (s *stage) note(ready string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, ready)
}

func (s *stage) event(ctx context.Context) {
	if s.onEvent != nil {
		s.onEvent(ctx)
	}
}

func (s *stage) answered() {
	if s.onAnswer != nil {
		s.onAnswer()
	}
}

// state returns the settings of all hosts.
func (s *stage) state() map[string]map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]map[string]string{}
	for name, h := range s.hosts {
		all[name] = maps.Clone(h.settings)
	}
	return all
}

func (s *stage) inventory() *inventory.Inventory {
	names := slices.Sorted(maps.Keys(s.hosts))
	inv := &inventory.Inventory{Path: "test"}
	for _, name := range names {
		inv.Hosts = append(inv.Hosts, &inventory.Host{Name: name, Address: name, Connection: "ssh", Groups: []string{"all"}})
	}
	inv.Groups = []*inventory.Group{{Name: "all", Hosts: inv.Hosts}}
	return inv
}

func (s *stage) connect(_ context.Context, h *inventory.Host) (remote.Conn, error) {
	if s.onConnect != nil {
		if err := s.onConnect(h.Name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	host := s.hosts[h.Name]
	if host.cut() {
		return nil, &remote.UnreachableError{Host: h.Name, Address: h.Address, Reason: "nobody answers"}
	}
	host.connects++
	return &fakeConn{stage: s, name: h.Name, host: host, done: make(chan struct{}), count: host.connects}, nil
}

// play runs a playbook on the stage and returns the events.
func (s *stage) play(t *testing.T, source string, change ...func(*run.Options)) *report.Recorder {
	t.Helper()
	inv := s.inventory()
	pb, diags := lang.LoadSource("test.hcl", []byte(source), lang.Options{
		Modules: []modules.Spec{settingSpec, ownSpec, countedSpec, {Name: "restart", Summary: "A reboot of a test's host", New: func() modules.Module { return &restart{} }},
			{Name: "still", Summary: "Nothing", New: func() modules.Module { return &noop{restless: &s.restless} }},
			{Name: "look", Summary: "Nothing, on its own host", Local: true, New: func() modules.Module { return &noop{restless: &s.restless} }},
			{Name: "joint", Summary: "A setting that the hosts share", New: func() modules.Module { return &joint{coarse: s.coarse} }}},
		Inventory: inv,
	})
	if diags.HasErrors() {
		t.Fatalf("the test's playbook: %v", diags)
	}
	recorder := &report.Recorder{}
	o := run.Options{Reporter: recorder, Connect: s.connect, Clock: s}
	for _, c := range change {
		c(&o)
	}
	ctx := s.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	if _, err := run.Run(ctx, pb, inv, o); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
	return recorder
}

// outcomes returns the results as "host task: status", sorted by task order as reported, hosts sorted.
func outcomes(r *report.Recorder) []string {
	var all []string
	for _, result := range r.Results() {
		all = append(all, fmt.Sprintf("%s %s: %s", result.Host, result.Task, result.Status))
	}
	slices.Sort(all)
	return all
}
