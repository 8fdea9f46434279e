package run

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// The steps of consecutive tasks travel in one flight where the engine can foresee them. The host begins the steps of a task
// only if it finds everything that their plan was made from, and all that verifies the task before, exactly as foreseen
// (observe.Kind.Holds). The first difference or failure ends it, and what is behind was not begun: it is planned and sent when
// its turn has come.
//
// What the host has done ahead is taken up when its task has its turn: the task is decided, verified and reported as ever, only
// that its flight has been answered already. Its answers are from before the next task's steps.

// mostAlong and mostAlongBytes limit what travels with the steps of a task.
const (
	mostAlong      = 16
	mostAlongBytes = 256 << 10
)

// part is a task's share of a flight that was sent for an earlier one.
type part struct {
	remote.Ahead
	task     *task
	steps    []modules.Step
	readback *observe.Readback
	// reads are what the plan of the task was made from, and what its verification reads. between are those of tasks with
	// nothing to do before it.
	reads, after, between []observe.Read
}

// sentAhead is what a host has done ahead, in the order of its tasks.
type sentAhead struct {
	mu    sync.Mutex
	parts []*part
}

func (s *sentAhead) add(along []*part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range along {
		if p.Begun {
			s.parts = append(s.parts, p)
		}
	}
}

// waiting reports whether there is something whose turn has not come yet.
func (s *sentAhead) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts) > 0
}

// take removes and returns what was done ahead first, or nil.
func (s *sentAhead) take() *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parts) == 0 {
		return nil
	}
	p := s.parts[0]
	s.parts = s.parts[1:]
	return p
}

// rest removes and returns all that was done ahead.
func (s *sentAhead) rest() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.parts
	s.parts = nil
	return all
}

// errOtherwise is the error of a task whose steps were carried out as foreseen, but not as they would be planned now.
var errOtherwise = errors.New("its steps were sent ahead, and the host found everything as foreseen; but it changed to and fro while that was compared: see what else works on it, then run again")

// passed returns the outcome of a task whose turn is over. It has failed if what was done ahead for it was not taken up.
func (s *sentAhead) passed(t *task, o outcome) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parts) == 0 || s.parts[0].task != t {
		return o
	}
	p := s.parts[0]
	s.parts = s.parts[1:]
	for _, step := range p.steps {
		if !slices.Contains(o.open, step.Summary) && !slices.Contains(o.steps, step.Summary) {
			o.begin(step)
		}
	}
	o.effect = true
	if o.status != report.Failed && o.status != report.Unreachable {
		o.status, o.message = report.Failed, errOtherwise.Error()
	}
	return o
}

// doneAhead returns what the host has done ahead of an item's turn, or nil if that is still to be done.
func (e *execution) doneAhead(on *host, it *itemPlan, commands []command, o *outcome) (*part, error) {
	p := e.host.sent.take()
	if p == nil {
		return nil, nil
	}
	if p.task != e.task { // a task before it has failed, or the shell was lost, and this is a handler or a rescue
		e.report(report.Note{Text: p.leftOver(e.host)})
		for _, p := range e.host.sent.rest() {
			e.report(report.Note{Text: p.leftOver(e.host)})
		}
		return nil, nil
	}
	same := on == e.host && len(p.steps) == len(commands) && len(commands) == len(it.plan.Steps)
	for i := range p.steps {
		same = same && p.steps[i].Summary == commands[i].step.Summary && sameAction(p.steps[i].Action, commands[i].step.Action)
	}
	if same {
		return p, nil
	}
	for _, step := range p.steps {
		o.begin(step)
	}
	o.effect = true
	return nil, errOtherwise
}

// sameAction reports whether two actions do the same.
func sameAction(a, b modules.Action) bool {
	strip := func(a modules.Action) modules.Action {
		if run, ok := a.(modules.Run); ok {
			run.Explain, run.Suspect = nil, nil
			return run
		}
		return a
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// replay returns what RunAll would have returned for the part alone.
func (p *part) replay(ended func(int, remote.Result)) ([]remote.Result, []remote.Answer, error) {
	for i, r := range p.Results {
		ended(i, r)
	}
	n := len(p.Results)
	switch {
	case p.Err == nil && n < len(p.Commands) && (n == 0 || slices.Contains(accepted(p.Commands[n-1]), p.Results[n-1].Exit)):
		return p.Results, nil, errors.New("the host was kept from carrying it out to the end")
	case p.Err != nil || len(p.Answers) != len(p.Then):
		return p.Results, nil, p.Err
	}
	return p.Results, p.Answers, nil
}

// accepted returns the exit codes after which a host goes on.
func accepted(c remote.Command) []int {
	if c.OK == nil {
		return []int{0}
	}
	return c.OK
}

// travels reports whether the steps of a task may share a flight with those of the tasks around it, as far as the playbook
// tells. Its order between hosts must not matter, and nothing may depend on how it ends elsewhere.
func (e *executor) travels(t *task) bool {
	refs := t.references
	return e.sendAhead && t.Module.Local && !t.handler && !t.RunOnce && !t.Delegated() && t.Until == nil &&
		!t.play.AnyErrorsFatal && t.play.MaxFailPercentage == nil && !refs.Peers.Any() && !refs.AllResults
}

// distant reports whether a round trip to the host takes so long that steps are sent to it together.
func (e *execution) distant() bool { return e.host.connection.stats().Latency >= e.sendAheadFrom }

// travelling returns how many of the tasks after one may travel together.
func (e *execution) travelling(t *task) int {
	p := e.host.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[t]
	if !ok {
		return 0
	}
	n := 0
	for i := at + 1; i < len(p.upcoming.tasks) && n <= mostAlong && e.travels(p.upcoming.tasks[i]) && p.upcoming.legs[i] == p.upcoming.legs[at]; i++ {
		n++
	}
	return n
}

// following returns up to a number of tasks that follow one for certain, and may travel with it.
func (e *execution) following(number int) []*task {
	p := e.host.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.upcoming.index[e.task]
	if !ok || p.window == 0 {
		return nil
	}
	var all []*task
	for i := at + 1; i < len(p.upcoming.tasks) && len(all) < number && e.travels(p.upcoming.tasks[i]) && p.upcoming.legs[i] == p.upcoming.legs[at]; i++ {
		all = append(all, p.upcoming.tasks[i])
	}
	return all
}

// ordinary reports whether a task's settings leave its end to its steps.
func ordinary(s *lang.Settings) bool {
	return s == nil || s.Retries == 0 && s.Timeout == 0 && s.Throttle == 0 && !s.IgnoreErrors
}

// portable reports whether the steps of a plan can travel with others, in these commands.
func (e *execution) portable(plan modules.Plan, commands []command, on *observe.Host) bool {
	if plan.Guard != nil || plan.Repeats || plan.Doubt != nil || len(plan.Steps) == 0 || len(commands) != len(plan.Steps) {
		return false
	}
	for i, step := range plan.Steps {
		if step.On != nil || step.Wide || step.Unknown || step.Refresh || step.Settle != 0 || len(step.Objects) > 0 || !step.Bounded() || !commands[i].Portable() {
			return false
		}
		if run, ok := step.Action.(modules.Run); ok && (run.Long || len(run.Retry) > 0 || run.Suspect != nil || run.Stale != nil) {
			return false
		}
		for _, expected := range step.Expect {
			if expected.Host != nil && expected.Host != on {
				return false
			}
		}
	}
	return true
}

// foresight is a host as it will be when the steps so far are done.
type foresight struct {
	*execution
	ctx  context.Context
	host *host
	at   *observe.Host
	due  map[string]bool // handlers that the steps so far record
}

func (e *execution) foresee(ctx context.Context) *foresight {
	at := e.host.observed.Foresee()
	h := &host{Host: e.host.Host, value: e.host.value, connection: e.host.connection, observed: at, keeper: e.host.keeper,
		results: e.host.readNamed(nil, true)}
	h.planner = newPlanner(e.host.planner.planning, h)
	due := map[string]bool{}
	for _, d := range e.notifies() {
		due[d.ID] = true
	}
	return &foresight{e, ctx, h, at, due}
}

// plan runs fn as a planner of the foreseen host.
func (f *foresight) plan(fn func(ctx context.Context)) {
	done := make(chan struct{})
	f.at.Go(f.ctx, func(ctx context.Context) {
		defer close(done)
		fn(ctx)
	})
	<-done
}

// carryOut predicts the steps of an item's plan. It returns what verifies them, and whether that will find nothing to do.
func (f *foresight) carryOut(t *task, it *itemPlan) (reads []observe.Read, done bool) {
	for _, step := range it.plan.Steps {
		expect := slices.Clone(step.Expect)
		for i := range expect {
			expect[i].Host = f.at
		}
		f.at.Predict(expect)
	}
	again := *it
	again.saw = nil
	f.plan(func(ctx context.Context) { again.replan(observe.WithUser(ctx, t.observer(f.host)), f.host) })
	if again.err != nil || len(again.plan.Steps) > 0 || len(again.saw.Elsewhere()) > 0 {
		return nil, false
	}
	return again.saw.Reads(), true
}

// decide plans a task on the foreseen host and returns what the decision was made from.
func (f *foresight) decide(t *task) (d *decision, reads []observe.Read, ok bool) {
	f.plan(func(ctx context.Context) { d = f.host.planner.decide(ctx, t, f.host.readResults(t, nil)) })
	if d.err != nil || d.elsewhere || d.scope != modules.EachHost || !ordinary(d.settings) || len(d.saw.Elsewhere()) > 0 {
		return nil, nil, false
	}
	reads = slices.Clone(d.saw.Reads())
	for _, it := range d.items {
		if it.err != nil || it.delegated != nil || it.saw == nil || len(it.saw.Elsewhere()) > 0 {
			return nil, nil, false
		}
		reads = append(reads, it.saw.Reads()...)
	}
	return d, reads, true
}

// along returns the shares of the next tasks in the flight of an item's steps, and what has to be read before the first of
// them.
func (e *execution) along(ctx context.Context, it *itemPlan, rest []*itemPlan, commands []command) (along []*part, reads []observe.Read) {
	user := e.task.user(e.host)
	pass := e.host.connection.asReader(user)
	if !e.travels(e.task) || len(rest) > 0 || it.delegated != nil || !ordinary(it.from.settings) || pass == nil || !e.host.connection.isRoot(user) ||
		e.host.sent.waiting() || !e.portable(it.plan, commands, e.host.observed) {
		return nil, nil
	}
	following := e.following(mostAlong)
	if len(following) == 0 {
		return nil, nil
	}
	f := e.foresee(ctx)
	first, ok := f.carryOut(e.task, it)
	if !ok {
		return nil, nil
	}
	verified := first
	registered := map[string]bool{e.task.Register: true}
	var between []observe.Read // what tasks with nothing to do are planned from
	size := 0
	for _, t := range following {
		if t.user(e.host) != user || slices.ContainsFunc(t.references.Results, func(name string) bool { return registered[name] }) || !e.host.hasResults(t.references.Results) {
			break
		}
		d, planned, ok := f.decide(t)
		if !ok {
			break
		}
		if t.Register != "" {
			registered[t.Register] = true
		}
		if !d.acts() {
			between = append(between, planned...)
			continue
		}
		p := f.part(t, d)
		if p == nil || e.approve != nil && e.approve(e.executor.execution(t, e.host).proposal(d.items, false)) != nil {
			break
		}
		if p.If, ok = f.at.Holds(slices.Concat(verified, between, planned)); !ok {
			break
		}
		if p.after, ok = f.carryOut(t, d.items[0]); !ok {
			break
		}
		if size += p.size(); size > mostAlongBytes {
			break
		}
		p.reads, p.between, verified, between = planned, between, p.after, nil
		along = append(along, p)
	}
	if len(along) == 0 {
		return nil, nil
	}
	for i, p := range along {
		reads := slices.Concat(p.after, p.reads)
		coming := widestReadback
		if i+1 < len(along) {
			reads = append(append(reads, along[i+1].between...), along[i+1].reads...)
		} else {
			coming = max(coming, e.travelling(p.task))
		}
		reads = append(reads, e.host.planner.coming(p.task, coming)...)
		p.readback = e.host.observed.Readback(reads, pass)
		p.Then, _ = distinct(p.readback.Queries())
	}
	return along, slices.Concat(first, along[0].between, along[0].reads)
}

// part returns the share of a task in a flight, without its conditions and reads, or nil if it cannot travel.
func (f *foresight) part(t *task, d *decision) *part {
	if t.ForEach != nil || len(d.items) != 1 {
		return nil
	}
	it := d.items[0]
	commands := together(f.host, f.host, it.plan.Steps, newBaseline(it, false))
	if !f.portable(it.plan, commands, f.at) {
		return nil
	}
	for _, step := range it.plan.Steps { // a copy of a vital file is kept before a step that changes it is sent
		if f.copies.archive != nil && len(f.copies.of(step, t.Module)) > 0 {
			return nil
		}
	}
	commands[0].Before = f.host.keeper.beforeAhead(f.executor.execution(t, f.execution.host).notifies(), f.due)
	p := &part{task: t, steps: it.plan.Steps}
	for _, c := range commands {
		p.Commands = append(p.Commands, c.Command)
	}
	return p
}

// size returns about how many bytes are sent for a part.
func (p *part) size() (n int) {
	for _, c := range p.Commands {
		n += len(c.Stdin) + len(strings.Join(c.Argv, " ")) + len(strings.Join(c.Before.Args, " ")) + 512
	}
	for _, q := range p.If {
		n += len(q.Script) + len(strings.Join(q.Args, " "))
	}
	return n
}

// leftOver says that a part was not taken up.
func (p *part) leftOver(h *host) string {
	return fmt.Sprintf("%s: task %q had not had its turn, but its steps were sent with those of an earlier one and may be done: %s", h.Name, p.task.Name, summaries(p.steps))
}

// reportSentAhead says what hosts have done ahead of its turn when the run ended before that.
func (c *conductor) reportSentAhead() {
	for _, h := range c.hosts.all() {
		for _, p := range h.sent.rest() {
			c.report(report.Note{Text: p.leftOver(h)})
		}
	}
}
