package run_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
)

// The tests run the engine against hosts that are a map of settings each, with a module of their own:
// what is under test is scheduling, prediction and verification, not any real module.

// settings observes one setting.
var settings = &observe.Kind[string]{
	Name: "setting",
	Ask: func(names []string) []remote.Query {
		return []remote.Query{{Script: "get", Args: names}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, string, error)) {
		lines := strings.Split(string(answers[0].Stdout), "\n")
		for i, name := range names {
			tell(name, lines[i], nil)
		}
	},
}

// setting is the module under which tests change hosts.
type setting struct {
	Name  string `hcl:"name" doc:"Which setting."`
	Value string `hcl:"value" doc:"What it shall be."`
	// How it misbehaves.
	Lies      bool   `hcl:"lies,optional" doc:"The command exits 0 and does nothing."`
	Settles   int    `hcl:"settles,optional" doc:"Shows only after so many seconds."`
	Doomed    bool   `hcl:"doomed,optional" doc:"Never shows, and that can be seen at once."`
	Impatient bool   `hcl:"impatient,optional" doc:"Does not wait for what settles."`
	Fails     bool   `hcl:"fails,optional" doc:"The command fails."`
	Busy      int    `hcl:"busy,optional" doc:"The command finds a lock for so many seconds, and is tried again for twice as long."`
	Panics    bool   `hcl:"panics,optional" doc:"The module is defective."`
	Scope_    string `hcl:"scope,optional" doc:"one_by_one or cluster."`
	Repeats   bool   `hcl:"repeats,optional" doc:"Asks for an act and not for a state."`
	Clouds    string `hcl:"clouds,optional" doc:"A setting that becomes unknowable."`
	On        string `hcl:"on,optional" doc:"The host that is changed instead."`
	Needs     string `hcl:"needs,optional" doc:"A setting that must not be empty."`
	NeedsOf   string `hcl:"needs_of,optional" doc:"The host whose setting that is."`
	Exact     bool   `hcl:"exact,optional" doc:"Nothing but the setting changes."`
	Claims    string `hcl:"claims,optional" doc:"A setting that it says will be empty."`
	ThenFails bool   `hcl:"then_fails,optional" doc:"A second command fails."`
	Guard     string `hcl:"guard,optional" doc:"The host undoes it after this time unless it is proven."`
	Long      bool   `hcl:"long,optional" doc:"The host carries the command through."`
	Minutes   int    `hcl:"minutes,optional" doc:"How long the command may take."`
	AlsoFrom  string `hcl:"also_from,optional" doc:"A host whose setting of the same name is read first."`
}

func (m *setting) Scope() modules.Scope {
	switch m.Scope_ {
	case "one_by_one":
		return modules.OneByOne
	case "cluster":
		return modules.OncePerCluster
	}
	return modules.EachHost
}

func (m *setting) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if m.Panics {
		panic("out of its depth")
	}
	if m.Needs != "" {
		of := h
		if m.NeedsOf != "" {
			peer, err := h.Peer(m.NeedsOf)
			if err != nil {
				return modules.Plan{}, err
			}
			of = peer
		}
		if needed, err := settings.Observe(ctx, of, m.Needs); err != nil || needed == "" {
			return modules.Plan{}, cmp.Or(err, fmt.Errorf("there is no %s", m.Needs))
		}
	}
	value := m.Value
	if m.AlsoFrom != "" {
		peer, err := h.Peer(m.AlsoFrom)
		if err != nil {
			return modules.Plan{}, err
		}
		theirs, err := settings.Observe(ctx, peer, m.Name)
		if err != nil {
			return modules.Plan{}, err
		}
		value += theirs
	}
	on := h
	if m.On != "" {
		peer, err := h.Peer(m.On)
		if err != nil {
			return modules.Plan{}, err
		}
		on = peer
	}
	is, err := settings.Observe(ctx, on, m.Name)
	if err != nil {
		return modules.Plan{}, err
	}
	plan := modules.Plan{Data: cty.ObjectVal(map[string]cty.Value{"was": cty.StringVal(is)}), Repeats: m.Repeats}
	if is == value && !m.Repeats {
		return plan, nil
	}
	if m.Doomed && is != "" {
		return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s is %s for good", m.Name, is)}
	}
	verb := "set"
	switch {
	case m.Doomed:
		value = "broken"
	case m.Lies:
		verb = "pretend"
	case m.Fails:
		verb = "fail"
	case m.Busy > 0:
		verb = fmt.Sprintf("busy-%d", m.Busy)
	case m.Settles > 0:
		verb = fmt.Sprintf("settle-%d", m.Settles)
	}
	step := modules.Step{
		Summary: fmt.Sprintf("set %s to %s", m.Name, value),
		Action: modules.Run{Argv: []string{verb, m.Name, value},
			Long: m.Long, Limit: time.Duration(m.Minutes) * time.Minute, Retry: []string{"locked"}, Patience: 2 * time.Duration(m.Busy) * time.Second},
		Diff:   &modules.Diff{Subject: m.Name, Before: is, After: value},
		Expect: []observe.Expectation{settings.Expect(m.Name, value).On(on)},
		// Hosts that wait at the same time advance the one clock all the more.
		Settle: time.Duration(m.Settles) * time.Minute,
		Await:  m.Name,
		Wide:   m.Scope_ != "",
		Exact:  m.Exact,
	}
	if on != h {
		step.On = on
	}
	if m.Impatient {
		step.Settle = 0
	}
	if m.Clouds != "" {
		step.Expect = append(step.Expect, settings.Unknown(m.Clouds, m.Name+" decides it"))
	}
	if m.Claims != "" {
		step.Expect = append(step.Expect, settings.Expect(m.Claims, ""))
	}
	plan.Steps = append(plan.Steps, step)
	if m.Guard != "" {
		within, err := time.ParseDuration(m.Guard)
		if err != nil {
			return plan, err
		}
		plan.Guard = &modules.Guard{Within: within, Files: []string{"/etc/settings"}, Proofs: []modules.Proof{{Summary: "the gateway answers", Argv: []string{"prove", "gateway", "up"}}}}
	}
	if m.ThenFails {
		plan.Steps = append(plan.Steps, modules.Step{Summary: "fail " + m.Name, Action: modules.Run{Argv: []string{"fail", m.Name, value}}})
	}
	return plan, nil
}

// still is a module that reads nothing and does nothing, or refuses.
type still struct {
	Refuses string `hcl:"refuses,optional" doc:"Why."`
}

func (m *still) Plan(context.Context, modules.Host) (modules.Plan, error) {
	if m.Refuses != "" {
		return modules.Plan{}, errors.New(m.Refuses)
	}
	return modules.Plan{}, nil
}

func (m *still) OnlyReads() bool { return true }

var settingSpec = modules.Spec{
	Name: "setting", Summary: "A setting of a test's host",
	Result: struct {
		Was string `cty:"was" doc:"What it was before."`
	}{},
	New: func() modules.Module { return &setting{} },
}

// stage is the hosts of a test.
type stage struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*timer]bool
	hosts  map[string]*fakeHost
	// acts are all commands that were run, "host: verb name value", in order.
	acts []string
	// asks are the flights, by host.
	asks map[string]int
	// onAct, if set, is called before each command.
	onAct func(host string)
	// onConnect, if set, is called before a connection is made; its error is that of the connection.
	onConnect func(host string) error
	// onEvent, if set, is called at each flight, command and sleep, one at a time.
	onEvent func(ctx context.Context)
	// onAnswer, if set, is called behind each flight and command.
	onAnswer func()
	// ctx, if set, is what the run goes under.
	ctx  context.Context
	busy int // commands under way, and the most there were
	most int
}

type fakeHost struct {
	settings map[string]string
	pending  map[string]pendingSetting
	dead     bool
	// refuses is that the user who acts cannot be become.
	refuses bool
	// freeAt is when a lock is gone.
	freeAt time.Time
	// due is what is kept on the node, by its ID.
	due map[string]string
	// undo is what the host undoes by itself; nil if nothing.
	undo *fakeUndo
	// long are the long commands of which something is kept there, cuts how often the connection is lost under the next ones.
	long map[string]*fakeLong
	cuts int
}

// fakeLong is a long command: what is known of it, whether it has ended, and how. then is what it does at its end.
type fakeLong struct {
	about  string
	ended  bool
	result remote.Result
	then   func()
}

// fakeUndo is a change that a host undoes by itself.
type fakeUndo struct {
	id, what string
	at       time.Time
	before   map[string]string
	done     bool
}

// now undoes it.
func (h *fakeHost) undoNow() {
	h.settings, h.undo.done = h.undo.before, true
}

// cut reports whether nobody reaches the host.
func (h *fakeHost) cut() bool { return h.dead || h.settings["link"] == "cut" }

type pendingSetting struct {
	value string
	at    time.Time
}

func newStage(names ...string) *stage {
	s := &stage{hosts: map[string]*fakeHost{}, asks: map[string]int{}, timers: map[*timer]bool{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, name := range names {
		s.hosts[name] = &fakeHost{settings: map[string]string{}, pending: map[string]pendingSetting{}, due: map[string]string{}, long: map[string]*fakeLong{}}
	}
	return s
}

// clone is another stage with hosts as they are now.
func (s *stage) clone() *stage {
	c := newStage(slices.Collect(maps.Keys(s.hosts))...)
	c.now = s.now
	for name, h := range s.hosts {
		c.hosts[name] = &fakeHost{settings: maps.Clone(h.settings), pending: maps.Clone(h.pending), dead: h.dead, due: maps.Clone(h.due), long: maps.Clone(h.long)}
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

// timer is what is to be done at a time.
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

// state is what the hosts have become.
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
	if s.hosts[h.Name].cut() {
		return nil, &remote.UnreachableError{Host: h.Name, Address: h.Address, Reason: "nobody answers"}
	}
	return &fakeConn{stage: s, name: h.Name, host: s.hosts[h.Name], done: make(chan struct{})}, nil
}

// What is kept on a node is read and cleared by these scripts.
var (
	readsKept  = nodestate.States.Ask([]string{""})[0].Script
	clearsKept = nodestate.Clear().Script
	arms, _    = nodestate.Undo{}.Arm()
	undoes     = nodestate.Undo{}.Now()
	forgets    = nodestate.Forgotten()

	startsLong   = nodestate.Long{}.Start().Script
	awaitsLong   = nodestate.Long{}.Await(0).Script
	discardsLong = nodestate.Discard().Script
)

type fakeConn struct {
	stage *stage
	name  string
	host  *fakeHost
	done  chan struct{}
}

func (c *fakeConn) Ask(ctx context.Context, queries []remote.Query) ([]remote.Answer, error) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	if c.host.cut() {
		return nil, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	c.stage.event(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.stage.asks[c.name]++
	defer c.stage.answered()
	return c.answer(queries)
}

func (c *fakeConn) answer(queries []remote.Query) ([]remote.Answer, error) {
	answers := make([]remote.Answer, len(queries))
	for i, q := range queries {
		switch q.Script {
		case readsKept:
			var text strings.Builder
			for _, id := range slices.Sorted(maps.Keys(c.host.due)) {
				fmt.Fprintf(&text, "due %s %s\n", id, c.host.due[id])
			}
			if u := c.host.undo; u != nil && u.done {
				fmt.Fprintf(&text, "undo undone %s yes %s\n", u.id, u.what)
			} else if u != nil {
				fmt.Fprintf(&text, "undo armed %s %d %s\n", u.id, int(u.at.Sub(c.stage.now).Seconds()), u.what)
			}
			for _, id := range slices.Sorted(maps.Keys(c.host.long)) {
				l := c.host.long[id]
				fate := "alive"
				if l.ended {
					fate = "ended"
				}
				fmt.Fprintf(&text, "running %s %d %s 7 hlplay-%s.service %s\n", fate, l.result.Exit, id, id, l.about)
			}
			answers[i].Stdout = []byte(text.String())
			continue
		case arms.Script:
			seconds, _ := strconv.Atoi(q.Args[1])
			c.host.undo = &fakeUndo{id: q.Args[0], what: q.Args[2], at: c.stage.now.Add(time.Duration(seconds) * time.Second), before: maps.Clone(c.host.settings)}
			continue
		case undoes.Script:
			if !c.host.undo.done {
				c.host.undoNow()
			}
			answers[i].Stdout = fmt.Appendf(nil, "undo undone %s yes %s\n", c.host.undo.id, c.host.undo.what)
			continue
		case forgets.Script:
			c.host.undo = nil
			continue
		case awaitsLong:
			l := c.host.long[q.Args[0]]
			l.ended = true
			if l.then != nil {
				l.then()
			}
			continue
		case discardsLong:
			for _, id := range q.Args {
				delete(c.host.long, id)
			}
			continue
		case clearsKept:
			for _, id := range q.Args {
				delete(c.host.due, id)
			}
			continue
		case "get":
		default:
			if u := c.host.undo; u != nil && q.Script == (nodestate.Undo{ID: u.id}).Disarm().Script {
				if c.host.undo = nil; u.done {
					answers[i].Exit = 77
				}
				continue
			}
			return nil, fmt.Errorf("unexpected query %q", q.Script)
		}
		var values []string
		for _, name := range q.Args {
			if p, ok := c.host.pending[name]; ok && !c.stage.now.Before(p.at) {
				c.host.settings[name] = p.value
				delete(c.host.pending, name)
			}
			values = append(values, c.host.settings[name])
		}
		answers[i].Stdout = []byte(strings.Join(values, "\n"))
	}
	return answers, nil
}

func (c *fakeConn) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	s := c.stage
	s.mu.Lock()
	s.event(ctx)
	if ctx.Err() != nil {
		s.mu.Unlock()
		return remote.Result{}, ctx.Err()
	}
	s.busy++
	s.most = max(s.most, s.busy)
	onAct := s.onAct
	s.mu.Unlock()
	if onAct != nil {
		onAct(c.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	if c.host.cut() {
		return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	if before := cmd.Before.Args; len(before) > 3 { // behind who locks the node
		for i := 3; i < len(before); i += 2 {
			c.host.due[before[i]] = before[i+1]
		}
	}
	if cmd.Argv[0] == "true" {
		return remote.Result{}, nil
	}
	if cmd.Via.Script == "" {
		return c.run(cmd)
	}
	id := cmd.Via.Args[0]
	if cmd.Via.Script == startsLong {
		r, err := c.run(cmd)
		if err != nil {
			return r, err
		}
		c.host.long[id] = &fakeLong{about: cmd.Via.Args[1], ended: true, result: r}
	}
	if c.host.cuts > 0 {
		c.host.cuts--
		close(c.done)
		return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
	}
	r := c.host.long[id].result
	delete(c.host.long, id) // whoever has read its end removes it
	return r, nil
}

// run carries a command out.
func (c *fakeConn) run(cmd remote.Command) (remote.Result, error) {
	s := c.stage
	verb, name, value := cmd.Argv[0], cmd.Argv[1], cmd.Argv[2]
	s.acts = append(s.acts, c.name+": "+strings.Join(cmd.Argv, " "))
	defer s.answered()
	switch {
	case strings.HasPrefix(verb, "busy-"):
		var seconds int
		fmt.Sscanf(verb, "busy-%d", &seconds)
		if c.host.freeAt.IsZero() {
			c.host.freeAt = s.now.Add(time.Duration(seconds) * time.Second)
		}
		if s.now.Before(c.host.freeAt) {
			return remote.Result{Exit: 1, Stderr: []byte("locked\n")}, nil
		}
		c.host.settings[name] = value
	case verb == "set":
		c.host.settings[name] = value
		delete(c.host.pending, name)
		if c.host.cut() {
			return remote.Result{}, &remote.UnreachableError{Host: c.name, Reason: "the connection was lost"}
		}
	case verb == "prove":
		if c.host.settings[name] != value {
			return remote.Result{Exit: 1, Stderr: []byte("no answer\n")}, nil
		}
	case verb == "pretend":
		return remote.Result{Stderr: []byte("it is not my day\n")}, nil
	case verb == "fail":
		return remote.Result{Exit: 1, Stderr: []byte("no such luck\n")}, nil
	case strings.HasPrefix(verb, "settle-"):
		var seconds int
		fmt.Sscanf(verb, "settle-%d", &seconds)
		c.host.pending[name] = pendingSetting{value, s.now.Add(time.Duration(seconds) * time.Second)}
	}
	return remote.Result{Stdout: []byte(verb + "\n")}, nil
}

func (c *fakeConn) RunAll(ctx context.Context, a remote.Actions) (results []remote.Result, answers []remote.Answer, err error) {
	if c.host.refuses {
		return nil, nil, &remote.BecomeError{Host: c.name, Login: "admin", User: "root", Reason: "sudo does not accept the password"}
	}
	for i, cmd := range a.Commands {
		r, err := c.Run(ctx, cmd)
		if err != nil {
			return results, nil, err
		}
		results = append(results, r)
		if a.Ended != nil {
			a.Ended(i, r)
		}
		if r.Exit != 0 {
			return results, nil, nil
		}
	}
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	answers, err = c.answer(a.Then)
	return results, answers, err
}

func (c *fakeConn) WriteFile(context.Context, remote.File) error { return errors.New("not used") }
func (c *fakeConn) As(string) remote.Session                     { return c }
func (c *fakeConn) User() string                                 { return "root" }
func (c *fakeConn) Stats() remote.Stats                          { return remote.Stats{} }
func (c *fakeConn) Done() <-chan struct{}                        { return c.done }
func (c *fakeConn) Close() error                                 { return nil }

// play runs a playbook on the stage and returns what was reported.
func (s *stage) play(t *testing.T, source string, change ...func(*run.Options)) *report.Recorder {
	t.Helper()
	inv := s.inventory()
	pb, diags := lang.LoadSource("test.hcl", []byte(source), lang.Options{
		Modules:   []modules.Spec{settingSpec, {Name: "still", Summary: "Nothing", New: func() modules.Module { return &still{} }}},
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

// outcomes are the results as "host task: status", sorted by task order as reported, hosts sorted.
func outcomes(r *report.Recorder) []string {
	var all []string
	for _, result := range r.Results() {
		all = append(all, fmt.Sprintf("%s %s: %s", result.Host, result.Task, result.Status))
	}
	slices.Sort(all)
	return all
}
