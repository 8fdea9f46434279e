package run

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hlplay/engine/nodestate"
	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/engine/report"
	"hlplay/modules"
)

// part is the part of a task, or of one item of its for_each, of a flight that was sent in the turn of an earlier one.
type part struct {
	remote.Ahead
	task     *task
	key      string // of the item
	steps    []modules.Step
	longs    []nodestate.Long // the record of each step's command; without an ID, the shell runs the command itself
	copied   []string         // vital files of which copies were kept before the part was sent
	readback *observe.Readback
	// until is the last step, if the host waits until it has settled. clears are the handlers that are no longer due when all
	// steps have succeeded.
	until  *modules.Step
	clears []string
	// repeats is set if nothing but the exit codes verifies the steps.
	repeats bool
	// reads are what the task's plan was made from, and after is what its verification reads. between is what the plans of
	// tasks with nothing to do before it were made from.
	reads, after, between []observe.Read
}

// ask sets what the host is asked after the steps, in the order in which flight expects the answers.
func (p *part) ask() {
	p.Then, _ = distinct(p.readback.Queries())
	if p.until != nil {
		p.Then = slices.Insert(p.Then, 0, awaits(*p.until))
	}
	if p.clears != nil {
		p.Then = append(p.Then, nodestate.Clear(p.clears...))
	}
}

// awaits returns the query with which the host waits behind a step until that has settled.
func awaits(step modules.Step) remote.Query {
	behind := 0
	if a, ok := step.Action.(modules.Run); ok {
		behind = a.Underway
	}
	return remote.Until(*step.Until, step.Settle, behind)
}

// longest returns how long the host may take for the commands, until the last one has settled.
func (p *part) longest() (d time.Duration) {
	for i, c := range p.Commands {
		d += cmp.Or(c.Limit, remote.DefaultLimit) + p.steps[i].Settle
	}
	return d
}

// cleared reports whether the host has said that the part's handler has run and is no longer due.
func (p *part) cleared() bool {
	n := len(p.Then)
	return p.clears != nil && p.Err == nil && len(p.Answers) == n && p.Answers[n-1].Exit == 0
}

// leftOver is the note for a part whose task never had its turn.
func (p *part) leftOver(h *host) string {
	var became []string
	say := func(what string, steps []modules.Step) {
		if len(steps) > 0 {
			became = append(became, what+": "+summaries(steps))
		}
	}
	heard := len(p.Results)
	rest := p.steps[heard:]
	unheard := "may have been carried out"
	if errors.As(p.Err, new(*remote.PreventedError)) {
		unheard = "were not begun"
	}
	if last := heard - 1; last >= 0 && !slices.Contains(accepted(p.Commands[last]), p.Results[last].Exit) {
		say("were carried out", p.steps[:last])
		say(fmt.Sprintf("failed with exit code %d", p.Results[last].Exit), p.steps[last:heard])
		unheard = "were not begun"
	} else {
		say("were carried out", p.steps[:heard])
	}
	say(unheard, rest)
	text := fmt.Sprintf("%s: the turn of task %q had not come, but its steps were sent with those of an earlier task and %s", h.Name, p.task.Name, strings.Join(became, "; "))
	if len(p.detached()) > 0 && len(rest) > 0 && unheard != "were not begun" {
		text += "; hlplay status " + h.Name + " shows whether one of them is still running there, and the next run waits for its end"
	}
	return text
}

// detached returns the records of its long commands.
func (p *part) detached() []nodestate.Long {
	return slices.DeleteFunc(slices.Clone(p.longs), func(l nodestate.Long) bool { return l.ID == "" })
}

// replay returns what RunAll would have returned if only this part had been sent.
func (p *part) replay(ended func(int, remote.Result)) ([]remote.Result, []remote.Answer, error) {
	for i, r := range p.Results {
		ended(i, r)
	}
	n := len(p.Results)
	switch {
	case p.Err == nil && n < len(p.Commands) && (n == 0 || slices.Contains(accepted(p.Commands[n-1]), p.Results[n-1].Exit)):
		return p.Results, nil, errors.New("the host did not carry out all of its commands")
	case p.Err != nil || len(p.Answers) != len(p.Then):
		return p.Results, nil, p.Err
	}
	return p.Results, p.Answers, nil
}

// accepted returns the exit codes after which a host continues.
func accepted(c remote.Command) []int {
	if c.OK == nil {
		return []int{0}
	}
	return slices.Clone(c.OK)
}

// sentAhead is the queue of parts that a host has begun before the turn of their tasks, in order.
type sentAhead struct {
	mu    sync.Mutex
	parts []*part
	// stopped is set if the last flight ended early, so that only the reads of the next task were answered.
	stopped bool
	// held is set while parts are being sent. From then on, until the last of them has had its turn, what the host has answered
	// must not be forgotten, because it may be further already. Nothing that another host does meanwhile can change that.
	held bool
}

// hold sets whether parts are about to be sent. add ends that, too.
func (s *sentAhead) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// unlessAhead calls fn unless parts are being sent or wait for their turn, and reports whether it did.
func (s *sentAhead) unlessAhead(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held || len(s.parts) > 0 {
		return false
	}
	fn()
	return true
}

func (s *sentAhead) add(along []*part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped, s.held = false, false
	for _, p := range along {
		if p.Begun {
			s.parts = append(s.parts, p)
		} else {
			s.stopped = true
		}
	}
}

// idle records that the task whose turn it is has nothing to do.
func (s *sentAhead) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = s.stopped && len(s.parts) > 0
}

// only reports whether only the reads of the next task were answered, so that nothing else should be planned.
func (s *sentAhead) only() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts) > 0 || s.stopped
}

// waiting reports whether the queue is not empty.
func (s *sentAhead) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts) > 0
}

// take removes and returns the first part, or nil.
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

// rest removes and returns all parts.
func (s *sentAhead) rest() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.parts
	s.parts = nil
	return all
}

// withheld removes and returns all parts, which the host has not begun after all.
func (s *sentAhead) withheld() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.parts
	for _, p := range all {
		p.Begun = false
	}
	s.parts, s.stopped = nil, s.stopped || len(all) > 0
	return all
}

// passed returns the outcome of a task whose turn on a host is over. The task fails if a part of it is still in the queue, because its
// steps were carried out although it did not ask for them, or may have been when the connection was lost.
func (s *sentAhead) passed(h *host, t *task, o outcome) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parts) == 0 || s.parts[0].task != t {
		return o
	}
	err := errContradiction
	for len(s.parts) > 0 && s.parts[0].task == t {
		p := s.parts[0]
		if p.Err != nil {
			err = p.Err
		}
		s.parts = s.parts[1:]
		for _, step := range p.steps {
			if p.key != "" {
				step.Summary = p.key + ": " + step.Summary
			}
			if !slices.Contains(o.open, step.Summary) && !slices.Contains(o.steps, step.Summary) {
				o.begin(step)
			}
		}
	}
	o.effect = true
	if o.status != report.Failed && o.status != report.Unreachable {
		failed := failure(h, err)
		o.status, o.message, o.hint = failed.status, failed.message, failed.hint
	}
	return o
}

// errContradiction is the error of a task whose steps were carried out as predicted, but are not those that would be planned
// now.
var errContradiction = errors.New("its steps were sent ahead and carried out, because the host compared as predicted; what it answered then says otherwise, so something else changes it: find out what, then run again")
